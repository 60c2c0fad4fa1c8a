"""Could a model's probabilities be mended after training, and by what?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from labkit.analyses._halves import Rows, others, rows_of
from labkit.analyses._predicted import Statement
from labkit.analyses._recalibration import stated
from labkit.analyses._recalibration.fits import WAYS, identity, log_loss
from labkit.core import progress, resampling
from labkit.core.refused import Refused, unknown
from labkit.records.predict import Predictions
from labkit.records.recalibrate import Map, Recalibrate

ASKED = "recalibrate"
LEAST = 30  # rows that a method is fitted on at least
FULL_MATRIX = 20  # classes up to which the full matrix is tried unasked: it has as many numbers as their square


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
        methods: names; None takes all that fit the number of classes, "dirichlet" for up to 20 of them.
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
    rows = rows_of(ASKED, p)
    source = rows if fitted_on is None else others(ASKED, p, fitted_on, warnings)
    if fitted_on is None:
        half = rows.half(seed)
        jobs = [(rows.part(~part), part) for part in (half, ~half)]
    else:
        jobs = [(source, np.ones(len(p), bool))]
    after = {name: np.empty(rows.proba.shape) for name in (*names, "chosen")}
    choices = []
    for i, (given, held) in enumerate(jobs):
        given.require(LEAST, "fit on")
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
    numbers = [stated.of(after[m], rows.proba, rows.y, replicates, seed, m) for m in methods_stated]
    each: dict[str, Any] = {name: np.array([one[name] for one in numbers]) for name in numbers[0]}
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
        fitted_on=len(source) if fitted_on is not None else min(len(given) for given, _ in jobs),
        crossed=fitted_on is None,
        event=p.classes[1] if len(p.classes) == 2 else "the answer is right",
        replicates=replicates,
        **each,
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


def _fitted(names: Sequence[str], rows: Rows, seed: int) -> dict[str, Map]:
    found = {"none": identity(rows.proba.shape[1])}
    for name in names[1:]:
        found[name] = WAYS[name].fit(rows.proba, rows.y, resampling.stream(seed, ASKED, "fit", name))
    return found


def _best(names: Sequence[str], rows: Rows, seed: int) -> str:
    """The method of least log loss on each half of these rows, fitted on the other."""
    half = rows.half(seed + 1)
    lost = dict.fromkeys(names, 0.0)
    for part in (half, ~half):
        given, held = rows.part(~part), rows.part(part)
        for name, found in _fitted(names, given, seed).items():
            lost[name] += float(log_loss(found(held.proba), held.y).sum())
    return min(names, key=lambda name: lost[name])
