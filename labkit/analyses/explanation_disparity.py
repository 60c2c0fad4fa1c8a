"""Do explanations serve groups of people alike, and does the model lean on the same columns in each?"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from labkit.analyses._columns import between, together
from labkit.analyses._explain.reliance import counts_alike, entries_used, reliance, shares
from labkit.analyses._groups.between import NAN, apart, listed, nothing_apart, permuted_means, tables
from labkit.analyses._groups.grouping import Grouping, grouping
from labkit.analyses._guard import DEFAULT_BATCH, Run, as_split
from labkit.analyses.explain import explain
from labkit.core import intervals, progress, resampling
from labkit.core.refused import Refused
from labkit.data.split import Split
from labkit.models.classifier import Classifier
from labkit.records.explain import Explanation
from labkit.records.explanation_disparity import RELIANCE, ExplanationDisparity
from labkit.records.predict import Predictions

ASKED = "explanation_disparity"
EVIDENCE = ("deletion", "infidelity", "max_sensitivity")
SPARSITY = "entries used"


def explanation_disparity(
    model: Classifier,
    data: Split,
    by: str | Sequence[str | tuple[str, ...]],
    method: str | Callable[..., Any] = "integrated_gradients",
    *,
    target: Any = None,
    baseline: Any = None,
    features: Mapping[str, Sequence[str | int]] | None = None,
    background: Any = None,
    evidence: Sequence[str | Callable[..., Any]] = EVIDENCE,
    least: int = 30,
    replicates: int = 1000,
    seed: int = 0,
    batch_size: int = DEFAULT_BATCH,
    **options: Any,
) -> ExplanationDisparity:
    """The quality of attributions by group, and of tables each column's share of them by group, with intervals and the
    largest differences beside groups made at random (Dai et al., 2022, arXiv 2205.07277; Balagopalan et al., 2022, arXiv
    2205.03295).

    Quality is each faithfulness measure as how far a person's map is ahead of a random one, and in how many entries the
    map lies. Shares are of the absolute attributions, a person's adding up to 1.

    A difference in shares says that the model's answers rest on other columns in one group. That may be because its
    people have other values there, and not because the model treats like values otherwise: so each column's attribution
    is also compared among people with like values of it (``like_p``).

    Args:
        data: people with sensitive features; a few hundred will do, since each is explained and its map put to the test.
        by: sensitive features; a tuple of several means their intersection.
        method: a name from ``labkit.names("attributions")``, or a function of the same form; options: its tunables.
        target, baseline, background: as in ``labkit.explain``.
        features: columns that are read together, by name, such as those of one category.
        evidence: faithfulness measures that are better high or low.
        least: groups with fewer people are shown and not compared.

    Raises:
        Refused: bare arrays, an unknown feature, whatever ``labkit.explain`` refuses.
    """
    if not isinstance(data, Split):
        raise Refused(ASKED, f"a {type(data).__name__}", "a Split with groups, such as data.test[:500]")
    if replicates < 100:
        raise Refused(f"{ASKED} with replicates={replicates}", "too few for a 95 % point", "replicates=100 or more")
    named = together(ASKED, data, features) if data.schema.modality == "tabular" else {}
    if features and not named:
        raise Refused(ASKED, f"features of {data.schema.modality} data", "a table, whose columns have names")
    asked: dict[str, Any] = {"target": target, "baseline": baseline, "background": background, "evidence": evidence}
    found = explain(model, data, method, seed=seed, batch_size=batch_size, **asked, **options)
    settings = {"method": found.method, **found.options, "of": found.of, "evidence": tuple(found.scores)}
    run = Run(ASKED, settings, seed, model, as_split(data, model)[2], batch_size, values=True)
    people = Predictions(
        provenance=found.provenance, y=data.y, label=found.predicted, classes=found.classes, groups=data.groups
    )
    groups = [grouping(ASKED, people, one) for one in ([by] if isinstance(by, str) else by)]
    if not groups:
        raise Refused(ASKED, "no sensitive feature", f"by= with some of {', '.join(data.groups)}")
    qualities, left_out = _qualities(found)
    share = shares(found.attribution, list(named.values())) if named else np.zeros((len(data), 0))
    ranked = [f.counts() >= max(least, 1) for f in groups]
    parts = [
        [_quality(v, f, r, replicates, resampling.stream(seed, ASKED, name, f.name)) for f, r in zip(groups, ranked)]
        for name, v in qualities.items()
    ]
    leaning = [_reliance(share, f, r, replicates, seed) for f, r in zip(groups, ranked)] if named else []
    measured = found.status == "measured"
    return ExplanationDisparity(
        provenance=run.provenance(),
        status="measured" if measured else "not_measured",
        reason=found.reason,
        warnings=tuple(dict.fromkeys([*found.warnings, *run.warnings])),
        model=model.name,
        method=found.method,
        of=found.of,
        n_total=len(data),
        replicates=replicates,
        least=least,
        qualities=tuple(qualities),
        left_out=left_out,
        withheld=np.concatenate([f.counts(found.withheld) for f in groups]),
        ranked=np.concatenate(ranked),
        measures=(*qualities, RELIANCE) if named else tuple(qualities),
        columns=tuple(named),
        told=_told(data, groups, list(named.values())),
        like_p=_like(found, data, groups, ranked, list(named.values()), replicates, seed),
        **listed(groups),
        **_by_group(list(qualities.values()), groups),
        **_shares_by_group(share, groups),
        column_difference=np.array([c[1] for c in leaning]).reshape(len(groups), len(named)),
        column_p=np.array([c[2] for c in leaning]).reshape(len(groups), len(named)),
        **tables([*parts, [c[0] for c in leaning]] if named else parts, groups),
    )


def _qualities(found: Explanation) -> tuple[dict[str, np.ndarray], tuple[str, ...]]:
    """(n,) of each measure how far a row's map is ahead of a random one; and what does not apply, with the reason."""
    kept, left_out = {}, []
    for name, score in found.scores.items():
        if score.not_applicable or not score.better:
            left_out.append(f"{name}: {score.not_applicable or 'neither high nor low values are better'}")
            continue
        sign = 1 if score.better == "higher" else -1
        kept[name] = sign * (score.values - score.controls["random"].values)
    return {**kept, SPARSITY: entries_used(found.attribution)}, tuple(left_out)


def _quality(
    values: np.ndarray, feature: Grouping, ranked: np.ndarray, replicates: int, generator: np.random.Generator
) -> dict[str, Any]:
    """How far the ranked groups are apart in the mean of a quality, among people in whom it is defined."""
    progress.step(ASKED, 0, 1)
    code = np.where(np.isfinite(values), feature.code, -1)
    sizes = np.bincount(code[code >= 0], minlength=len(ranked))
    at = np.flatnonzero(ranked & (sizes > 1))
    if len(at) < 2:
        return nothing_apart()
    rows = np.isin(code, at)
    inside, kept = np.searchsorted(at, code[rows]), values[rows]
    each = [kept[inside == g] for g in range(len(at))]

    def interval(level: float) -> tuple[np.ndarray, np.ndarray]:
        low, high = np.array([intervals.mean(v, level) for v in each]).T
        return low, high

    null = permuted_means(kept[:, None], inside, replicates, generator)[:, :, 0]
    part = apart(np.array([v.mean() for v in each]), interval, sizes[at], null)
    return part | {name: int(at[part[name]]) for name in ("highest", "lowest")}


def _reliance(
    share: np.ndarray, feature: Grouping, ranked: np.ndarray, replicates: int, seed: int
) -> tuple[dict[str, Any], np.ndarray, np.ndarray]:
    code = np.where(np.isfinite(share).all(1), feature.code, -1)
    at = np.flatnonzero(ranked & (np.bincount(code[code >= 0], minlength=len(ranked)) > 1))
    rows = np.isin(code, at)
    stream = resampling.stream(seed, ASKED, RELIANCE, feature.name)
    return reliance(share[rows], np.searchsorted(at, code[rows]), at, replicates, stream)


def _like(
    found: Explanation,
    data: Split,
    features: Sequence[Grouping],
    ranked: Sequence[np.ndarray],
    columns: Sequence[Sequence[int]],
    replicates: int,
    seed: int,
) -> np.ndarray:
    """(feature, column) p of a column counting alike among people with like values, after Holm's correction."""
    p = np.full((len(features), len(columns)), NAN)
    for i, (feature, large) in enumerate(zip(features, ranked)):
        at = np.flatnonzero(large)
        rows = np.isin(feature.code, at) & ~found.withheld
        for j, part in enumerate(columns):
            progress.step(ASKED, i * len(columns) + j, p.size)
            if len(at) > 1 and rows.any():
                size = np.abs(found.attribution[rows][:, list(part)].astype(float).sum(1))
                stream = resampling.stream(seed, ASKED, "like", feature.name, str(j))
                code = np.searchsorted(at, feature.code[rows])
                p[i, j] = counts_alike(size, data.x[rows][:, list(part)], code, replicates, stream)
    return intervals.holm(p)


def _by_group(qualities: Sequence[np.ndarray], features: Sequence[Grouping]) -> dict[str, Any]:
    """(quality, group) people, means, and the ends of Student's interval."""
    members = [f.code == g for f in features for g in range(len(f.groups))]
    cells = [[values[rows & np.isfinite(values)] for rows in members] for values in qualities]
    ends = np.array([[intervals.mean(v) for v in row] for row in cells])
    return {
        "of_group": np.array([[len(v) for v in row] for row in cells]),
        "value": np.array([[v.mean() if len(v) else NAN for v in row] for row in cells]),
        "low": ends[..., 0],
        "high": ends[..., 1],
    }


def _shares_by_group(share: np.ndarray, features: Sequence[Grouping]) -> dict[str, Any]:
    """(group, column) mean shares, and the ends of Student's interval within 0 to 1."""
    known = np.isfinite(share).all(1)
    cells = [share[(f.code == g) & known] for f in features for g in range(len(f.groups))]
    shape = (len(cells), share.shape[1])
    ends = np.array([[intervals.mean(column) for column in cell.T] for cell in cells]).reshape(*shape, 2)
    return {
        "share": np.array([cell.mean(0) if len(cell) else np.full(shape[1], NAN) for cell in cells]).reshape(shape),
        "share_low": np.maximum(ends[..., 0], 0.0),
        "share_high": np.minimum(ends[..., 1], 1.0),
    }


def _told(data: Split, features: Sequence[Grouping], columns: Sequence[Sequence[int]]) -> np.ndarray:
    """(feature, column) how much a column tells of the group; of columns read together the most that one of them does."""
    found = np.zeros((len(features), len(columns)))
    for i, feature in enumerate(features):
        known = feature.code >= 0
        for j, part in enumerate(columns):
            if known.any():
                sizes = data.schema.sizes
                found[i, j] = max(between(data.x[known, c], sizes[c] > 0, feature.code[known], True) for c in part)
    return found
