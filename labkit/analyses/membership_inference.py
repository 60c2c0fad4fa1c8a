"""Can an outsider tell which rows a model was trained on?"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from labkit.analyses._examples import count, pictures, texts
from labkit.analyses._guard import DEFAULT_BATCH, Run, as_split, check_classifier
from labkit.analyses._membership import rows as drawing
from labkit.analyses._membership import verdict
from labkit.analyses._membership.blind import LIMIT
from labkit.analyses._membership.cases import ASKED, ENOUGH, Case, of_model, of_predictions
from labkit.analyses._predicted import Statement
from labkit.core import method, registry, roc
from labkit.core.record import Outcome
from labkit.core.refused import Refused
from labkit.core.words import number
from labkit.data.split import Dataset
from labkit.models.classifier import Classifier
from labkit.records.membership_inference import MembershipInference
from labkit.records.predict import Predictions
from labkit.training.many import Fit

LEARNING = Fit()
# what methods may name of a model, and of an outsider's own models
OFFERED, OF_SHADOWS = {"logits", "label", "y"}, {"shadow", "inside", "population"}
Methods = str | Callable[..., np.ndarray] | Sequence[str | Callable[..., np.ndarray]]


def membership_inference(
    model: Classifier | tuple[Predictions, Predictions],
    data: Dataset | None = None,
    methods: Methods | None = None,
    *,
    learner: Any = "network",
    shadows: int = ENOUGH,
    fit: Fit = LEARNING,
    rows: int = 4000,
    fpr: Sequence[float] = (0.001, 0.01, 0.1),
    show: int = 0,
    seed: int = 0,
    checkpoint: str | Path | None = None,
    batch_size: int = DEFAULT_BATCH,
) -> MembershipInference:
    """How many training rows an outsider recognizes as such, at how many false alarms.

    Members are rows of ``data.train``, others rows of ``data.test``, drawn by the seed and stated. The outsider trains
    ``shadows`` models, each on half of all these rows, so that every row is in half of them. The attack that does best on
    one half of the rows is stated on the other half. Two controls: a guess that never asks the model (Das, Zhang and
    Tramèr, 2024, arXiv 2406.16201), which must fail, or nothing is measured, since train and test data then differ by
    more than training (no shadow models are then trained; the scores of the other attacks stay in the record); and a copy
    of the model that never learned.

    What is found is a lower bound: a stronger attack, more shadow models, or a learner more like the model ("own") may
    recognize more.

    Args:
        model: a model; or what any model answered on training and on test rows, as two Predictions: then there are no
            shadow models, and whether a guess without the model does as well cannot be told.
        data: what it was trained on (train) and was not (test).
        methods: names (``labkit.names("membership")``) or functions; None takes all that can be had.
        learner: what the outsider trains: "network", "own" (the model's architecture), a module, or a function of a seed.
        shadows: how many; 0 leaves out the attacks that need them. Fewer than 16 make a weak attack, and it says so.
        fit: how each of them learns.
        rows: at most so many, members and others together.
        fpr: false positive rates. At one where fewer than 10 false positives are to be expected nothing is stated.
        show: keep the pictures or texts of so many of the most exposed members in the record.
        checkpoint: a file; shadow models whose training was interrupted go on from it.

    Raises:
        Refused: whatever preflight finds; the same rows as training and test data; fewer than 30 rows of either that stand
            in the data once; rows of one class; a method that needs what is not on offer.
    """
    asked = f"{ASKED} with these settings"
    count(asked, "rows", rows, 2 * drawing.LEAST, 10_000_000)
    count(asked, "shadows", shadows, 0, 100_000)
    count(asked, "show", show, 0, 1000)
    rates = _rates(fpr)
    options = {"methods": _named(methods), "rows": rows, "fpr": rates.tolist()}
    if isinstance(model, tuple | list):
        statement, case = of_predictions(model, data, options, seed)
        return _record(statement, case, verdict.attacks(ASKED, methods, set(case.offered)), rates, seed)
    if shadows == 1:
        raise Refused(asked, "shadows=1: each row is in all shadow models or in none", "shadows=2, better 16 or more")
    check_classifier(model, ASKED)
    if not isinstance(data, Dataset):
        instead = "a data set with .train, the rows that the model was trained on, and .test, rows that it was not"
        raise Refused(ASKED, f"data of type {type(data).__name__}", instead)
    tried = verdict.attacks(ASKED, methods, OFFERED | (OF_SHADOWS if shadows else set()))
    options |= {"learner": _named(learner), "shadows": shadows, "fit": asdict(fit), "show": show}
    about = {part: as_split(split, model)[2] for part, split in (("train", data.train), ("test", data.test))}
    run = Run(ASKED, options, seed, model, about, batch_size)
    case = of_model(run, model, data, learner, checkpoint, shadows, fit, rows, seed, methods is not None)
    return _record(run, case, tried, rates, seed, show)


def _record(
    made_by: Run | Statement, case: Case, tried: dict[str, verdict.Score], fpr: np.ndarray, seed: int, show: int = 0
) -> MembershipInference:
    member = case.drawn.member
    tried = {name: score for name, score in tried.items() if set(method.needs(score)) <= set(case.offered)}
    specs, needs, score = verdict.scores(ASKED, tried, case.offered)
    stated = verdict.halves(member, seed)
    chosen = verdict.choose(score[:, ~stated], member[~stated], fpr)
    best = {specs[chosen].name: tried[specs[chosen].name]}
    untrained = verdict.scores(ASKED, best, case.control)[2][0] if case.control else None
    guesses = case.guesses
    facts = {
        "member": member,
        "position": case.drawn.position,
        "stated": stated,
        "methods": tuple(s.name for s in specs),
        "specs": tuple(map(str, specs)),
        "needs": tuple(needs),
        "score": score,
        "chosen": chosen,
        "fpr": fpr,
        "untrained": untrained,
        "blind": tuple(guesses),
        "blind_score": np.array(list(guesses.values())).reshape(len(guesses), len(member)),
        "limit": LIMIT,
        "p": verdict.chance(score, member, seed),
        "copies": case.drawn.copies,
        "label": case.offered["y"],
        "shown": np.zeros(0, np.int64),
        **case.told,
    }
    found = MembershipInference(provenance=made_by.provenance(), **facts)
    status, reason = _status(found)
    warnings = tuple(dict.fromkeys([*case.warnings, *_doubts(found)]))
    kept: dict[str, Any] = {}
    if show and case.pool is not None:
        rows, _ = found.exposed(show)
        kept = {"shown": rows, "pictures": pictures(case.pool, rows), "texts": texts(case.pool, rows)}
    return replace(found, status=status, reason=reason, warnings=warnings, **kept)


def _status(found: MembershipInference) -> tuple[Outcome, str]:
    """Not measured where a guess without the model surely tells the sides apart."""
    name, (value, low, high) = found.guess()
    if not low > found.limit:
        return "measured", ""
    return "not_measured", (
        f"a guess by {name} that never asks the model tells training from test rows (area {number(value, low, high, 3)}, "
        f"{len(found.member)} rows): they differ by more than training, which would pass for memory; it takes test rows "
        "drawn at random from where the training rows come from, and read in the same way"
    )


def _doubts(found: MembershipInference) -> list[str]:
    said = []
    name, (value, low, high) = found.guess()
    if low <= found.limit < high:
        said.append(
            f"a guess by {name} that never asks the model may tell the sides apart: area {number(value, low, high, 3)}"
        )
    lost = found.fpr[found.fpr < found.resolved]
    if len(lost):
        said.append(
            f"at a false positive rate of {', '.join(f'{v:g}' for v in lost)} nothing is stated: {found.others} other rows "
            f"resolve {found.resolved:.2g} and more, {lost.min():g} would take {roc.EXPECTED / lost.min():,.0f}"
        )
    if found.copies:
        said.append(f"{found.copies} rows stand in the data more than once and were left out of both sides")
    return said


def _rates(fpr: Any) -> np.ndarray:
    try:
        found = np.unique(np.atleast_1d(np.asarray(fpr, float)))
    except (TypeError, ValueError):
        found = np.zeros(0)
    if not len(found) or not ((found > 0) & (found < 1)).all():
        raise Refused(f"{ASKED} at fpr={fpr!r:.60}", repr(fpr)[:60], "false positive rates between 0 and 1")
    return found


def _named(given: Any) -> Any:
    """A choice as it is recorded."""
    if given is None or isinstance(given, str):
        return given
    return [registry.label(m) for m in given] if isinstance(given, list | tuple) else registry.label(given)
