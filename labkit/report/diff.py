"""What became worse between two models, two tables of predictions or two reports, at a stated rate of false alarms."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import labkit as lk
from labkit.core import store
from labkit.core.intervals import holm
from labkit.core.refused import Refused
from labkit.records.compare_models import BETTER, WORSE, ModelComparison
from labkit.records.finding import Finding
from labkit.records.predict import Predictions
from labkit.report import evidence as ev
from labkit.report.folder import AUDIT
from labkit.report.verify import verify

Z = 1.959964
# So many exchanges are drawn that as many would be called worse by chance; no rarer alarm than RAREST can be told.
EXPECTED, RAREST = 5, 1e-4
CONTROLS = "controls"
ORDER = {"does_not_meet": 0, "inconclusive": 1, "meets": 2}


@dataclass(frozen=True)
class Moved:
    """One finding of two reports whose number moved beyond chance, or whose status changed.

    Attributes:
        p: of no change, corrected for all findings; nan where a number has no interval.
        verdict: "worse" or "better" where it moved beyond chance and its status with it (met, inconclusive, not met);
            "moved" where it moved beyond chance with the status as it was; "not told from chance" where only the status changed.
    """

    id: str
    before: Finding
    after: Finding
    p: float
    verdict: str


@dataclass(frozen=True)
class Diff:
    """Two sides compared.

    Attributes:
        comparisons: of the predictions, by subject.
        moved: findings of two reports that changed; looked: how many were compared.
        left_out: what could not be compared, and why.
    """

    comparisons: Mapping[str, ModelComparison]
    moved: tuple[Moved, ...] = ()
    looked: int = 0
    left_out: tuple[str, ...] = ()

    @property
    def worse(self) -> bool:
        """Whether anything became worse."""
        cells = (r.verdict(m, g) for r in self.comparisons.values() for m, g in np.ndindex(r.difference.shape))
        return WORSE in cells or any(m.verdict == WORSE for m in self.moved)


def diff(
    pairs: Mapping[str, tuple[Predictions, Predictions]],
    *,
    by: Sequence[str] | None = None,
    metrics: Sequence[str] | None = None,
    positive: str | None = None,
    margin: float = 0.0,
    alarm: float = 0.01,
    seed: int = 0,
) -> Diff:
    """Pairs of predictions for the same people, by subject.

    Args:
        by: sensitive features; None takes those of both that can be grouped.
        alarm: how often like sides may be called worse, over all subjects, metrics and groups together.

    Raises:
        Refused: what ``labkit.compare_models`` refuses.
    """
    compared, left = {}, []
    if not RAREST <= alarm < 0.5:
        raise Refused(f"false alarms of {alarm!r}", repr(alarm), f"a share from {RAREST:g} to 0.5, such as 0.01")
    share = alarm / max(1, len(pairs))
    draws = max(1000, int(np.ceil(EXPECTED / share)))
    for name, (a, b) in pairs.items():
        settings: dict[str, Any] = {"positive": positive, "margin": margin, "alarm": share, "seed": seed}
        chosen, why = (by, []) if by is not None else _groups(a, b)
        left += why
        compared[name] = lk.compare_models(a, b, metrics, by=list(chosen), replicates=draws, **settings)
    return Diff(compared, left_out=tuple(left))


def reports(a: str | os.PathLike[str], b: str | os.PathLike[str], *, alarm: float = 0.01, **settings: Any) -> Diff:
    """Two reports written by ``labkit.audit``: the predictions that both kept, and the findings of the same checks.

    Half of ``alarm`` is for predictions, half for findings. A finding's number has moved where the difference is beyond
    chance for two independent estimates (normal, from the longer arm of each interval; Holm over all), which two models
    on the same rows exceed less often still.

    Raises:
        Refused: a folder without a whole report; reports without a subject or step in common; what ``diff`` refuses.
    """
    sides = [_documents(folder) for folder in (a, b)]
    names = _matched(*(list(dict.fromkeys(name for name, _ in side)) for side in sides))
    pairs: dict[str, tuple[Predictions, Predictions]] = {}
    shared, left = [], []
    for (name, step), (document, path) in sides[0].items():
        other = sides[1].get((names.get(name, ""), step))
        if other is None:
            left.append(f"{name}/{step} stands in one report alone")
            continue
        shared.append((f"{name}/{step}", document, other[0]))
        if all(d["record"] and d["record"]["kind"] == "predict" for d in (document, other[0])):
            pairs[name] = tuple(store.load(p) for p in (path, other[1]))  # type: ignore[assignment]
    back = {other: name for name, other in names.items()}
    alone = (key for key in sides[1] if (back.get(key[0], ""), key[1]) not in sides[0])
    left += [f"{name}/{step} stands in one report alone" for name, step in alone]
    if not shared:
        raise Refused(f"a comparison of {a} and {b}", "no subject and step in common", "two reports by the same plan")
    found = diff(pairs, alarm=alarm / 2, **settings)
    moved, looked = _moved(shared, alarm / 2)
    return Diff(found.comparisons, moved, looked, (*found.left_out, *left))


def _groups(a: Predictions, b: Predictions) -> tuple[list[str], list[str]]:
    """The features of both that can be grouped, and why others cannot."""
    from labkit.analyses._groups.grouping import grouping

    chosen, left = [], []
    for name in (n for n in a.groups if n in b.groups):
        try:
            grouping("diff", a, name)
            chosen.append(name)
        except Refused as refused:
            left.append(f"groups by {name} are left out: {refused.given}")
    return chosen, left


def _documents(folder: str | os.PathLike[str]) -> dict[tuple[str, str], tuple[dict[str, Any], Path]]:
    """Every evidence document of a whole report by subject and step, and where its record would be."""
    root = Path(folder)
    found = verify(root)
    if not found.intact:
        raise Refused(f"the report {folder}", f"changed files: {found.changes[0]}", "the folder as it was written")
    documents = {}
    for path in sorted((root / "evidence").rglob("*.json")):
        document = json.loads(path.read_bytes())
        name, _, step = document["id"].rpartition("/")
        if name != CONTROLS:
            record = (root / "records" / path.relative_to(root / "evidence")).with_suffix(".lk")
            documents[name, step] = document, record
    return documents


def _matched(first: Sequence[str], other: Sequence[str]) -> dict[str, str]:
    """The subjects of one name; of one subject a side, those two."""
    if len(first) == len(other) == 1:
        return {first[0]: other[0]}
    return {name: name for name in first if name in other}


def _moved(
    shared: Sequence[tuple[str, Mapping[str, Any], Mapping[str, Any]]], alarm: float
) -> tuple[tuple[Moved, ...], int]:
    """What changed among the findings of the same check and part, and how many were compared."""
    both = [pair for triple in shared for pair in _findings(*triple)]
    p = holm(np.array([_p(before, after) for _, before, after in both], float))
    found = []
    for (name, before, after), each in zip(both, p):
        beyond, changed = each <= alarm, before.status != after.status
        if not beyond and not changed:
            continue
        verdict = "not told from chance"
        if beyond:
            fell = ORDER.get(before.status, 0) - ORDER.get(after.status, 0)
            comparable = before.status in ORDER and after.status in ORDER and fell
            verdict = (WORSE if fell > 0 else BETTER) if comparable else "moved"
        found.append(Moved(name, before, after, float(each), verdict))
    return tuple(found), len(both)


def _findings(name: str, before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[tuple[str, Finding, Finding]]:
    key: Callable[[Mapping[str, Any]], tuple[str, str]] = lambda f: (f["check"], f["part"])  # noqa: E731
    others = {key(f): f for f in after["findings"]}
    for finding in before["findings"]:
        if key(finding) in others:
            check, part = key(finding)
            label = "/".join(p for p in (name, check, part) if p)
            yield label, ev.finding(finding), ev.finding(others[key(finding)])


def _p(before: Finding, after: Finding) -> float:
    """Two-sided p of one true value behind two estimates, as if they were independent."""
    from scipy.special import ndtr

    one, other = _error(before), _error(after)
    if before.estimate is None or after.estimate is None or not one or not other:
        return float("nan")
    return float(2 * ndtr(-abs(after.estimate - before.estimate) / np.hypot(one, other)))


def _error(finding: Finding) -> float:
    """A standard error from the longer arm of an interval; 0 where there is none."""
    if finding.low is None or finding.high is None or finding.estimate is None:
        return 0.0
    return max(finding.high - finding.estimate, finding.estimate - finding.low, 0.0) / Z


def is_report(path: str | os.PathLike[str]) -> bool:
    """Whether a path is the folder of an audit."""
    return (Path(path) / AUDIT).is_file()
