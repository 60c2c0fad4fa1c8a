"""Which labels may be wrong, and how far can whoever says so be believed?"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from labkit.analyses import _examples
from labkit.analyses._confident import Confident, confident, exact, floor, planted
from labkit.analyses._groups.probes import dealt_folds
from labkit.analyses._guard import Run, probabilities
from labkit.core import resampling
from labkit.core.refused import Refused
from labkit.data.split import Dataset, Split
from labkit.models.classifier import Classifier
from labkit.records.label_errors import LabelErrors
from labkit.records.predict import Predictions
from labkit.training.learners import Learner
from labkit.training.learners import learner as find_learner
from labkit.training.many import Fit, fit_many

ASKED = "label_errors"
LEAST, SURE = 30, 0.1
# Errors are planted at the estimated rate, within these shares of the labels.
FEWEST, MOST = 0.02, 0.2
STEPS = 150
Answers = Callable[[np.ndarray], np.ndarray]
Ends = tuple[float, float, float]


def label_errors(
    data: Split | Dataset | Predictions,
    *,
    learner: Any = "network",
    model: Classifier | None = None,
    fit: Fit | None = None,
    folds: int = 5,
    rows: int = 6000,
    show: int = 0,
    seed: int = 0,
    device: str = "auto",
) -> LabelErrors:
    """Labels that a learner doubts which has not seen them, by confident learning (Northcutt, Jiang and Chuang, 2021, doi
    10.1613/jair.1.12125, arXiv 1911.00068): a row is suspected where its probability for another class is at least that
    class's mean among the rows labelled so.

    A learner that is unsure by the nature of the task doubts many right labels. So labels are made wrong on purpose, at
    the rate estimated and in its directions, the learner is trained anew, and it is told how many of them are named; and
    it is estimated how many labels would differ from the answer however sure the learner were.

    Args:
        data: a Split, a Dataset (its training part is looked at), or predictions with probabilities for rows that the
            model was not trained on.
        learner: "network", "own" (``model``'s architecture with fresh weights), a module, or a function seed -> module.
        fit: how each is trained; None for a few hundred steps at least. folds: of the cross-fitting.
        rows: labels looked at; of more rows so many are drawn.
        show: how many suspects are kept as pictures or text; they are people's rows, so none unless asked.

    Raises:
        Refused: fewer than 30 rows, labels of one class, predictions without truth or probabilities.
    """
    options: dict[str, Any] = {"folds": folds, "rows": rows, "show": show}
    _check(data, folds, rows, show)
    split: Split | None = None
    if isinstance(data, Predictions):
        run = Run(ASKED, options, seed, data={**data.provenance.data, "predictions": data.digest})
        run.warn("a model that was trained on these rows agrees with what it learned by heart: only unseen rows tell")
        chosen, y, classes = np.arange(len(data)), data.y, data.classes
        given = np.asarray(data.proba, np.float64)
        name, about, answers = "the predictions", "probabilities as given", lambda _: given
    else:
        split = data.train if isinstance(data, Dataset) else data
        chosen = np.sort(resampling.stream(seed, ASKED, "rows").permutation(len(split))[:rows])
        part = split[chosen]
        y, classes = part.y, split.classes
        _least(y, classes)
        made = find_learner(learner, part, model)
        fit = fit or _short(len(part), folds)
        run = Run(ASKED, {**options, "learner": made.name, "fit": vars(fit)}, seed, model, split.describe())
        name, about, answers = made.name, made.about, _crossed(made, part, fit, folds, seed, device)
    _least(y, classes)
    proba = answers(y)
    found = confident(proba, y)
    order = np.flatnonzero(found.named)
    order = order[np.argsort(found.margin[order], kind="stable")]
    sure, n_sure = _surest(proba, y)
    trial, lowest = _trial(found, answers, y, seed), floor(proba, y)
    frequent = [min(1.0, r * s * len(y) / max(len(order), 1)) for r, s in zip(trial["recall"], lowest)]
    shown = chosen[order[:show]]
    return LabelErrors(
        provenance=run.provenance(),
        warnings=tuple(run.warnings),
        learner=name,
        about=about,
        folds=folds if split is not None else 0,
        n=len(y),
        classes=classes,
        accuracy=exact(int((proba.argmax(1) == y).sum()), len(y)),
        joint=found.cells[:, :-1],
        thresholds=found.thresholds,
        rate=found.interval(resampling.stream(seed, ASKED, "rate")),
        sure=sure,
        n_sure=n_sure,
        floor=lowest,
        refitted=split is not None,
        expected=(frequent[0], frequent[1], frequent[2]),
        row=chosen[order],
        given=y[order],
        suggested=found.suggested[order],
        margin=found.margin[order],
        pictures=_examples.pictures(split, shown) if split is not None and len(shown) else None,
        texts=_examples.texts(split, shown) if split is not None and len(shown) else (),
        **trial,
    )


def _check(data: Any, folds: int, rows: int, show: int) -> None:
    if isinstance(data, Predictions):
        if not data.has_truth or data.proba is None or data.count is not None:
            lack = "counted rows" if data.count is not None else "no probabilities" if data.has_truth else "no labels"
            instead = (
                "one row an example with y= and proba= (or score=), or the data themselves: a learner is then trained"
            )
            raise Refused(ASKED, f"predictions with {lack}", instead)
    elif not isinstance(data, Split | Dataset):
        raise Refused(ASKED, f"a {type(data).__name__}", "a Split, a Dataset, or Predictions with probabilities")
    if folds < 2 or rows < 10 * folds or show < 0:
        given = f"folds={folds}, rows={rows}, show={show}"
        raise Refused(ASKED, given, "two folds and ten rows a fold, or more, and show=0 or more")


def _least(y: np.ndarray, classes: tuple[str, ...]) -> None:
    if len(y) < LEAST:
        raise Refused(ASKED, f"{len(y)} rows", f"at least {LEAST}")
    if len(np.unique(y)) < 2:
        raise Refused(ASKED, f"labels of one class, {classes[int(y[0])]!r}", "labels of at least two classes")


def _short(n: int, folds: int) -> Fit:
    """Training that stops before wrong labels are learned by heart, though rows be few: 12 to 40 epochs, STEPS steps."""
    batch = 64
    epochs = STEPS * batch * folds / (n * (folds - 1))
    return Fit(epochs=int(np.clip(epochs, 12, 40)), batch_size=batch, rate=2e-3, weight_decay=0.01)


def _crossed(made: Learner, part: Split, fit: Fit, folds: int, seed: int, device: str) -> Answers:
    """From labels to (n, classes) probabilities, each row's by the model that was trained on the other folds."""
    fold = dealt_folds(part.y, folds, resampling.stream(seed, ASKED, "folds"))
    chosen = fold != np.arange(folds)[:, None]

    def answers(y: np.ndarray) -> np.ndarray:
        seeds = [seed + i for i in range(folds)]
        many = fit_many(
            made.make, part.x, y, chosen, fit=fit, seeds=seeds, device=device, title="cross-fitting for label errors"
        )
        return probabilities(many.logits(part.x)[fold, np.arange(len(fold))])

    return answers


def _surest(proba: np.ndarray, y: np.ndarray) -> tuple[Ends, int]:
    """How many labels differ from the answer among the tenth of rows, 30 at least, whose answer is surest."""
    most = max(LEAST, round(SURE * len(y)))
    rows = np.argsort(-proba.max(1), kind="stable")[:most]
    return exact(int((proba[rows].argmax(1) != y[rows]).sum()), most), most


def _trial(found: Confident, answers: Answers, y: np.ndarray, seed: int) -> dict[str, Any]:
    """Errors planted among the labels that are not suspected: how many are named, and what part of the newly named."""
    share = float(np.clip(found.rate, FEWEST, MOST))
    wrong, rows = planted(found, y, share, resampling.stream(seed, ASKED, "planted"))
    again = confident(answers(wrong), wrong)
    hits, new = int(again.named[rows].sum()), int((again.named & ~found.named).sum())
    return {"planted": len(rows), "recall": exact(hits, len(rows)), "precision": exact(hits, new)}
