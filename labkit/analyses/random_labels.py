"""Does a learner fit labels that mean nothing, and does a procedure score above chance on them?"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from labkit.analyses import _examples
from labkit.analyses._curve.asked import LEAST, fewer, two_parts
from labkit.analyses._curve.noise import by_seeds_and_rows
from labkit.analyses._curve.permuted import Control, Procedure, control, name_of, of_answers
from labkit.analyses._guard import Run
from labkit.core import resampling
from labkit.core.refused import Refused
from labkit.data.split import Dataset, Split
from labkit.models.classifier import Classifier
from labkit.records.random_labels import RandomLabels
from labkit.training.learners import learner as find_learner
from labkit.training.many import Fit, fit_many

ASKED = "random_labels"
FITTED = 0.99
FIT = Fit(epochs=50, rate=3e-3)


def random_labels(
    data: Dataset | Split,
    *,
    learner: Any = "network",
    model: Classifier | None = None,
    share: Sequence[float] = (0.0, 0.5, 1.0),
    seeds: int = 3,
    permutations: int = 20,
    procedure: Callable[..., Any] | None = None,
    chance: float | None = None,
    fit: Fit = FIT,
    rows: int = 512,
    test_rows: int = 512,
    device: str = "auto",
    checkpoint: str | Path | None = None,
    seed: int = 0,
) -> RandomLabels:
    """Training accuracy on true, partly and wholly permuted labels, and scores on permuted labels beside chance.

    A learner that fits labels that mean nothing has a training accuracy that says nothing of what it knows (Zhang et al.,
    2017, arXiv 1611.03530). On test rows whose labels are permuted too any procedure scores at chance, unless these labels
    reached it: a whole procedure, from the choice of columns to the score, is tested so (Ojala and Garriga, 2010, JMLR 11).

    With ``procedure`` that one alone is run, on the true labels and on permuted ones. Without, the learner's models on
    wholly permuted labels are the control, of which there are as many as ``permutations``.

    Args:
        data: training and test rows; a Split of all rows for a procedure that makes its own parts.
        learner: "network", "own" (the architecture of ``model``), a module, or a function from a seed to a module.
        share: of the training labels that are dealt out anew among their rows, for each level.
        seeds: models at each level but the last, 1.
        procedure: ``(x, y)`` -> a score of all rows, or ``(train, test)`` -> a score or the test rows' class numbers.
        chance: what the procedure's score is on average by chance, where it gives a score: the share of the majority for an
            accuracy, 0.5 for an area under the ROC curve.
        fit: how every model learns, whatever its labels.
        rows, test_rows: at most so many, drawn by the seed; a procedure has them all.
        checkpoint: a file from which training that was interrupted goes on.

    Raises:
        Refused: no training and test rows of two classes, 30 or more each; the same rows twice; a procedure that raises or
            gives neither a score nor class numbers; what the learner refuses.
    """
    _examples.count(ASKED, "permutations", permutations, 5, 10_000)
    _examples.count(ASKED, "seeds", seeds, 2, 1000)
    generator = resampling.stream(seed, ASKED, "labels")
    if procedure is not None:
        return _of_procedure(procedure, data, permutations, chance, seed, generator)
    chosen = two_parts(ASKED, data, rows, test_rows, seed)
    train, test = chosen
    levels = _levels(share)
    what = find_learner(learner, train, model)
    options = {"learner": what.name, "share": levels, "seeds": seeds, "permutations": permutations, "fit": asdict(fit)}
    run = Run(ASKED, options, seed, model, {"train": train.describe(), "test": test.describe()})
    run.warnings += fewer(data, chosen)
    models = np.array([permutations if level == 1 else seeds for level in levels])
    labels = np.array([_dealt(train.y, v, generator) for v, k in zip(levels, models) for _ in range(k)])
    many = fit_many(
        what.make, train.x, labels, np.ones(labels.shape, bool), fit=fit, device=device, checkpoint=checkpoint,
        title="training on permuted labels", watch=(test.x, test.y),
    )  # fmt: skip
    answers = many.logits(test.x).argmax(2)
    right, reached = (many.logits(train.x).argmax(2) == labels).mean(1), many.curves["train_accuracy"]
    steps = np.where((reached >= FITTED).any(1), (reached >= FITTED).argmax(1) + 1.0, np.inf)
    steps *= -(-len(train) // fit.batch_size)
    places = np.split(np.arange(len(labels)), np.cumsum(models)[:-1])
    last = answers[places[-1]]
    found = of_answers(last, np.array([generator.permutation(test.y) for _ in last]), generator)
    own = [by_seeds_and_rows(right[p]) for p in places]
    outside = [
        by_seeds_and_rows((answers[p] == test.y).mean(1), len(test), (answers[p] == test.y).mean(0)) for p in places
    ]
    return RandomLabels(
        provenance=run.provenance(),
        warnings=tuple(run.warnings),
        learner=what.name,
        about=f"{what.about}; {fit.optimizer}, rate {fit.rate:g}, {fit.epochs} epochs in batches of {fit.batch_size}",
        rows=len(train),
        n=len(test),
        share=np.array(levels),
        models=models,
        train=np.array([right[p].mean() for p in places]),
        train_low=np.array([low for low, _ in own]),
        train_high=np.array([high for _, high in own]),
        test=np.array([(answers[p] == test.y).mean() for p in places]),
        test_low=np.array([low for low, _ in outside]),
        test_high=np.array([high for _, high in outside]),
        steps=np.array([np.median(steps[p]) for p in places]),
        epoch=np.arange(1, fit.epochs + 1),
        fitted=np.array([reached[p].mean(0) for p in places]),
        **asdict(found),
        truly=float((answers[places[0]] == test.y).mean()) if levels[0] == 0 else float("nan"),
    )


def _levels(share: Sequence[float]) -> list[float]:
    """The levels in order, wholly permuted labels among them, whatever else was asked for."""
    try:
        found = sorted({float(v) for v in share} | {1.0})
    except (TypeError, ValueError):
        found = [-1.0]
    if not all(0 <= v <= 1 for v in found):
        raise Refused(f"{ASKED} with share={share!r:.60}", "no such shares", "numbers from 0 to 1")
    return found


def _dealt(y: np.ndarray, share: float, generator: np.random.Generator) -> np.ndarray:
    """Labels of which a share is permuted among the rows that have it."""
    rows = generator.permutation(len(y))[: round(share * len(y))]
    dealt = y.copy()
    dealt[rows] = y[generator.permutation(rows)]
    return dealt


def _of_procedure(
    procedure: Callable[..., Any],
    data: Dataset | Split,
    permutations: int,
    chance: float | None,
    seed: int,
    generator: np.random.Generator,
) -> RandomLabels:
    if not callable(procedure) or not isinstance(data, Dataset | Split):
        given = f"a {type(procedure).__name__} on a {type(data).__name__}"
        raise Refused(
            f"{ASKED} of a procedure", given, "a function of (x, y) or (train, test) and a data set or a Split"
        )
    parts = [data] if isinstance(data, Split) else [data.train, data.test]
    if min(map(len, parts)) < LEAST or len(np.unique(parts[0].y)) < 2:
        raise Refused(
            f"{ASKED} of a procedure", f"{min(map(len, parts))} rows", f"{LEAST} rows or more, of two classes"
        )
    runs = Procedure(ASKED, procedure, data)
    options = {"procedure": name_of(procedure), "permutations": permutations, "chance": chance}
    run = Run(ASKED, options, seed, data={part.name: part.describe() for part in parts})
    truly, y = runs(None)
    found: Control = control(runs, permutations, chance, generator)
    nothing: dict[str, Any] = dict.fromkeys(
        ("share", "models", "train", "train_low", "train_high", "test", "test_low", "test_high", "steps", "epoch"),
        np.zeros(0),
    )
    return RandomLabels(
        provenance=run.provenance(),
        learner=name_of(procedure),
        about="the user's procedure, run as a whole",
        rows=sum(map(len, parts)) - (len(y) if runs.parts else 0),
        n=len(y) if runs.parts else 0,
        **nothing,
        fitted=np.zeros((0, 0)),
        **asdict(found),
        truly=truly if isinstance(truly, float) else float((truly == y).mean()),
    )
