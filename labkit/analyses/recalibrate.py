"""Could a model's probabilities be mended after training, and by what?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from labkit.analyses._predicted import Statement
from labkit.analyses._recalibration import stated
from labkit.analyses._recalibration.fits import WAYS, identity, log_loss
from labkit.core import progress, resampling
from labkit.core.refused import Refused, unknown
from labkit.data.holdout import in_fold
from labkit.records.predict import Predictions
from labkit.records.recalibrate import Map, Recalibrate

ASKED = "recalibrate"
LEAST = 30  # rows that a method is fitted on at least
FULL_MATRIX = 20  # classes up to which the full matrix is tried unasked: it has as many numbers as their square


@dataclass(frozen=True)
class _Rows:
    """Probabilities and true classes to fit on or to state on."""

    proba: np.ndarray
    y: np.ndarray
    keys: list[bytes]

    def part(self, rows: np.ndarray) -> _Rows:
        return _Rows(self.proba[rows], self.y[rows], [self.keys[i] for i in np.flatnonzero(rows)])

    def half(self, seed: int) -> np.ndarray:
        """A half at random; equal inputs are on one side."""
        try:
            return in_fold(self.keys, np.zeros(len(self.y), np.int64), 0, 2, seed)
        except Refused as error:
            raise Refused(f"{ASKED} on halves", error.given, "more rows of different inputs") from None


def recalibrate(
    p: Predictions,
    methods: Sequence[str] | str | None = None,
    *,
    fitted_on: Predictions | None = None,
    seed: int = 0,
    replicates: int = 1000,
) -> Recalibrate:
    """Maps from a model's probabilities to better ones, each stated on rows that it was not fitted on.

    Methods: "temperature" (Guo et al., 2017, arXiv 1706.04599; keeps every answer); for two classes "platt" (Platt, 1999) and
    "beta" (Kull, Silva Filho and Flach, 2017, doi 10.1214/17-EJS1338SI); for several "vector" (Guo et al.) and "dirichlet"
    (Kull et al., 2019, arXiv 1910.12656, penalised off the diagonal, with the penalty chosen within the rows fitted on);
    "isotonic" (Zadrozny and Elkan, 2002, doi 10.1145/775047.775151: each class against the rest, then divided by the sum,
    which may change answers). All but the last work on log-probabilities, since predictions hold no logits.

    Without ``fitted_on`` two halves are fitted on and stated on in turn. "chosen" is the method with the least log loss on
    halves within the rows fitted on, so that its numbers owe nothing to the choice. Maps for new rows, in the record's
    ``apply`` and ``recalibrated``, are fitted on all rows that were given to fit on.

    Args:
        p: what is stated, and without ``fitted_on`` also what is fitted on.
        methods: names; None takes all that fit the number of classes.
        fitted_on: predictions of the same model on other rows; rows whose inputs stand in ``p`` too are left out.
        replicates: draws under perfect calibration.

    Raises:
        Refused: predictions without probabilities or truth; an unknown method, or one for another number of classes; the
            same predictions twice; fewer than 30 rows to fit on, or all of one class.
    """
    names = _names(methods, len(p.classes) if isinstance(p, Predictions) else 2)
    sources = {"data": p} | ({} if fitted_on is None else {"fitted_on": fitted_on})
    options = {"methods": list(names), "replicates": replicates}
    statement = Statement(ASKED, options, seed, sources)
    warnings = list(p.warnings)
    rows = _rows(p, p)
    source = rows if fitted_on is None else _others(rows, p, fitted_on, warnings)
    if fitted_on is None:
        half = rows.half(seed)
        jobs = [(rows.part(~part), part) for part in (half, ~half)]
    else:
        jobs = [(source, np.ones(len(p), bool))]
    after = {name: np.empty(rows.proba.shape) for name in (*names, "chosen")}
    choices = []
    for i, (given, held) in enumerate(jobs):
        _check(given)
        progress.step("recalibration", i, len(jobs) + 1)
        maps = _fitted(names, given, seed)
        for name, found in maps.items():
            after[name][held] = rows.proba[held] if name == "none" else found(rows.proba[held])
        choices.append(_best(names, given, seed))
        after["chosen"][held] = after[choices[-1]][held]
    if fitted_on is None:
        maps, best = _fitted(names, source, seed), min(names, key=lambda m: log_loss(after[m], rows.y).mean())
    else:
        best = choices[0]
    progress.step("recalibration", len(jobs) + 1, len(jobs) + 1)
    methods_stated = (*names, "chosen")
    each = [stated.of(after[m], rows.proba, rows.y, replicates, seed, m) for m in methods_stated]
    otherwise = int((p.label != rows.proba.argmax(1)).sum())
    if otherwise:
        warnings.append(f"{otherwise} answers are not the most probable class; here the most probable class counts")
    return Recalibrate(
        provenance=statement.provenance(),
        warnings=tuple(warnings),
        methods=methods_stated,
        about=("as they are", *(WAYS[m].about for m in names[1:]), "the least log loss within the rows fitted on"),
        classes=p.classes,
        n=len(p),
        fitted_on=len(source.y) if fitted_on is not None else min(len(given.y) for given, _ in jobs),
        crossed=fitted_on is None,
        event=p.classes[1] if len(p.classes) == 2 else "the answer is right",
        replicates=replicates,
        **{name: np.array([one[name] for one in each]) for name in each[0]},
        **stated.curves([after[m] for m in methods_stated], rows.y, seed),
        chosen=best,
        choices=tuple(choices),
        maps=(*(maps[m] for m in names), maps[best]),
    )


def _names(methods: Sequence[str] | str | None, classes: int) -> tuple[str, ...]:
    fit = [m for m, way in WAYS.items() if way.most >= classes]
    if methods is None:
        found = [
            m for m in fit if (m == "dirichlet" and 2 < classes <= FULL_MATRIX) or m not in ("dirichlet", "vector")
        ]
        found += ["vector"] if classes > 2 else []
        return ("none", *sorted(found, key=list(WAYS).index))
    found = [methods] if isinstance(methods, str) else list(methods)
    for name in found:
        if name not in WAYS:
            raise unknown(f"{ASKED} by a method", name, WAYS)
        if name not in fit:
            raise Refused(f"{ASKED} by {name}", f"{classes} classes and a method for two", f"one of: {', '.join(fit)}")
    return ("none", *dict.fromkeys(found))


def _rows(p: Predictions, first: Predictions) -> _Rows:
    if p.proba is None:
        given = "predictions with labels only"
        raise Refused(ASKED, given, "probabilities: labkit.predict, or from_frame with score= or proba=")
    if p.classes != first.classes:
        given = f"classes {list(first.classes)[:4]} to state on and {list(p.classes)[:4]} to fit on"
        raise Refused(ASKED, given, "predictions of one model, with the same classes in the same order")
    keys = np.arange(len(p), dtype=np.uint64) if p.row is None else p.row
    return _Rows(p.proba.astype(float), p.y, [key.tobytes() for key in keys])


def _others(rows: _Rows, p: Predictions, fitted_on: Predictions, warnings: list[str]) -> _Rows:
    """The rows to fit on, without those that are stated on."""
    source = _rows(fitted_on, p)
    if fitted_on.digest == p.digest:
        raise Refused(
            ASKED, "the same predictions to fit on and to state on", "one of them: halves are then made of it"
        )
    if p.row is None or fitted_on.row is None:
        return source
    known = set(rows.keys)
    fresh = np.array([key not in known for key in source.keys])
    if not fresh.all():
        warnings.append(f"{int((~fresh).sum())} rows to fit on have inputs that are stated on, and are left out")
    return source.part(fresh)


def _check(rows: _Rows) -> None:
    if len(rows.y) < LEAST:
        instead = f"at least {LEAST}; without fitted_on= twice as many, of which each half is fitted on"
        raise Refused(ASKED, f"{len(rows.y)} rows to fit on", instead)
    if len(np.unique(rows.y)) < 2:
        raise Refused(ASKED, "rows to fit on that are all of one class", "predictions on rows of two classes or more")


def _fitted(names: Sequence[str], rows: _Rows, seed: int) -> dict[str, Map]:
    found = {"none": identity(rows.proba.shape[1])}
    for name in names[1:]:
        found[name] = WAYS[name].fit(rows.proba, rows.y, resampling.stream(seed, ASKED, "fit", name))
    return found


def _best(names: Sequence[str], rows: _Rows, seed: int) -> str:
    """The method of least log loss on each half of these rows, fitted on the other."""
    half = rows.half(seed + 1)
    lost = dict.fromkeys(names, 0.0)
    for part in (half, ~half):
        given, held = rows.part(~part), rows.part(part)
        for name, found in _fitted(names, given, seed).items():
            lost[name] += float(log_loss(found(held.proba), held.y).sum())
    return min(names, key=lambda name: lost[name])
