"""What analyses of predictions have in common: provenance without any model, and which class is positive."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import version
from typing import Any

import labkit
from labkit.core import ledger
from labkit.core.cost import Meter
from labkit.core.record import Provenance, array_digest
from labkit.core.refused import Refused, unknown
from labkit.records.predict import Predictions
from labkit.records.scores import Scores

MAKERS = {
    Predictions: "Predictions, from labkit.predict or Predictions.from_frame",
    Scores: "Scores, from Scores.from_frame",
}


@dataclass
class Statement:
    """An analysis of predictions under way; at its end it says where the result came from.

    Attributes:
        truth: whether the analysis needs the true classes.
        counted: whether it takes rows that stand for several people each.
        takes: the kinds of records that it works on.

    Raises:
        Refused: another kind of record; no row; predictions without truth, or counted ones, where the analysis does
            not say that it takes them.
    """

    analysis: str
    options: Mapping[str, Any]
    seed: int
    predictions: Mapping[str, Predictions | Scores]
    truth: bool = True
    counted: bool = False
    takes: tuple[type[Predictions | Scores], ...] = (Predictions,)
    started: datetime = field(default_factory=lambda: datetime.now(UTC))
    meter: Meter = field(default_factory=Meter)

    def __post_init__(self) -> None:
        for name, p in self.predictions.items():
            if not isinstance(p, self.takes):
                instead = "; or ".join(MAKERS[kind] for kind in self.takes)
                raise Refused(self.analysis, f"a {type(p).__name__} as {name}", instead)
            if not len(p):
                raise Refused(self.analysis, f"{name} without a row", "at least one prediction")
            if self.truth and not p.has_truth:
                instead = "y= with the column of true labels, or what needs no truth, such as the rate of each answer"
                raise Refused(self.analysis, f"{name} without truth", instead)
            if not self.counted and getattr(p, "count", None) is not None:
                given = f"{len(p)} counted rows that stand for {p.people} people"
                raise Refused(self.analysis, given, "one row a person: Predictions.from_frame on (a part of) the table")

    def provenance(self, scored: Mapping[str, Mapping[str, float]] | None = None) -> Provenance:
        """Where the result came from, with the time it took until now; noted in the ledger, if one is kept.

        Args:
            scored: by the name of the predictions, their values by metric, where the result is such a number.
        """
        for name, p in self.predictions.items():
            noted(self.analysis, p, (scored or {}).get(name, {}))
        sources = {name: {**p.provenance.data, "predictions": p.digest} for name, p in self.predictions.items()}
        took = self.meter.cost()
        return Provenance(
            analysis=self.analysis,
            version=labkit.__version__,
            options=self.options,
            seed=self.seed,
            model=next(iter(self.predictions.values())).provenance.model,
            data=next(iter(sources.values())) if len(sources) == 1 else sources,
            packages=_packages(),
            started=self.started.isoformat(timespec="seconds"),
            seconds=took["seconds"],
            took=took,
        )


def noted(analysis: str, p: Predictions | Scores, scored: Mapping[str, float]) -> None:
    """Note in the ledger, if one is kept, that these rows were looked at, with values by metric."""
    if ledger.opened() is None or not p.has_truth:
        return
    model, rows = str(p.provenance.model.get("sha256") or p.digest), rows_digest(p)
    name = str(p.provenance.data.get("name", ""))
    for metric, value in scored.items() or [("", float("nan"))]:
        ledger.note(analysis, rows, model, name=name, metric=metric, value=value)


def rows_digest(p: Predictions | Scores) -> str:
    """The digest that stands for the rows, whatever model answered them: that of the split; of a table, of its truth and
    groups."""
    known = p.provenance.data.get("sha256") if p.provenance.model.get("sha256") else None
    if known or p.y is None:
        return str(known or p.digest)
    return array_digest(p.y, *(p.groups[g] for g in sorted(p.groups)))


@cache
def _packages() -> dict[str, str]:
    """The versions that a result may depend on. Looking them up takes longer than a small audit: once will do."""
    return {"python": platform.python_version(), **{p: version(p) for p in ("numpy", "scipy")}}


def positive_class(asked: str, p: Predictions, positive: int | str | None) -> int:
    """The index of the class that counts as positive: the one named, or the 1 of {0, 1}.

    Raises:
        Refused: no class named where it is not plain; a number that means one class as an index and another as a
            name (classes "1" and "2"); a class that no example has.
    """
    names = list(p.classes)
    choose = "positive= with one of " + ", ".join(map(repr, names))
    if positive is None:
        if names not in (["0", "1"], ["False", "True"]):
            raise Refused(asked, f"classes {', '.join(map(repr, names[:6]))} and none named as positive", choose)
        found = 1
    elif isinstance(positive, str):
        if positive not in names:
            raise unknown(f"{asked} with positive={positive!r}", positive, names)
        found = names.index(positive)
    else:
        meant = {int(positive)} if 0 <= positive < len(names) else set()
        meant |= {names.index(str(positive))} if str(positive) in names else set()
        if len(meant) != 1:
            given = f"positive={positive}, which " + (
                f"is the position of {names[positive]!r} and the name of another class"
                if meant
                else f"is no class among {names}"
            )
            raise Refused(asked, given, choose)
        found = meant.pop()
    if p.has_truth and not (p.y == found).any():
        given = f"no example whose true class is {names[found]!r}, the positive one"
        raise Refused(asked, given, "predictions on data that hold both classes, or another " + choose)
    return found
