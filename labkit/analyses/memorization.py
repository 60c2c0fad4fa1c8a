"""Which training rows are remembered, and not learned from the others?"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from labkit.analyses import _examples
from labkit.analyses._guard import DEFAULT_BATCH, Run, as_split, logits, unchanged
from labkit.analyses._memory import (
    LEAST,
    LONG,
    Counts,
    check_parts,
    largest_influence,
    majority,
    parts_of,
    some,
)
from labkit.analyses._preflight import preflight
from labkit.analyses.predict import row_hashes
from labkit.core import intervals
from labkit.core.refused import Refused
from labkit.core.resampling import stream
from labkit.data.split import Dataset, Split
from labkit.membership._signals import margin
from labkit.models.classifier import Classifier
from labkit.records.memorization import Memorization
from labkit.training.learners import learner as find_learner
from labkit.training.many import Fit, Many, fit_many

ASKED = "memorization"
KEPT, SHOWN, RANKS = 50, 12, 200
PART = 4_000_000
LEVELS = np.round(np.arange(0, 1.01, 0.05), 2)
NONE = (float("nan"),) * 3


def memorization(
    model: Classifier | None,
    data: Dataset,
    *,
    learner: Any = "network",
    models: int = 48,
    share: float = 0.7,
    rows: int = 2000,
    fit: Fit = LONG,
    show: int | None = None,
    replicates: int = 200,
    seed: int = 0,
    device: str = "auto",
    memory: int = 2**30,
    checkpoint: str | Path | None = None,
    batch_size: int = DEFAULT_BATCH,
) -> Memorization:
    """How much each training row is remembered: how often models trained on a random part of the rows that holds it give it
    its label, less how often those do whose part does not hold it (Feldman and Zhang, 2020, arXiv 2008.03703; why what
    is rare has to be remembered: Feldman, 2020, arXiv 1906.05271). And in the same way what each training row does for
    each test row.

    Beside it what chance shows: the largest of all values, and how many rows reach each, when every row's right answers
    fall on the models at random. Of a given model it is told which rows it remembered: it gives back the label of rows
    to which models that did not see them give another one. How many rows a model that remembers nothing answers so is
    seen on test rows.

    Args:
        model: the model in question; None tells of the learner alone. It must have been trained on ``data.train``.
        learner: what is trained: "network", "own" (the model's architecture), a module, or a function of a seed.
        models: how many are trained; few cannot tell one row from chance.
        share: of the rows that each sees.
        rows: at most so many training rows, and as many test rows, drawn by the seed.
        fit: how each learns; nothing is remembered that was not learned for long enough.
        show: so many of the most memorised rows are kept to be looked at; None keeps 12 of rows that come with
            labkit, and none of others.
        checkpoint: a file; training that was interrupted goes on from it.

    Raises:
        Refused: no training data, the same rows twice, one class, fewer than 30 rows; whatever preflight finds.
    """
    asked = ASKED if model is None else f"{ASKED} of {getattr(model, 'name', model)}"
    check_parts(asked, data)
    models = _examples.count(asked, "models", models, 8, 100_000)
    rows = _examples.count(asked, "rows", rows, 30, 1_000_000)
    if not 0.1 <= share <= 0.9 or models * min(share, 1 - share) < 2:
        given = f"{models} models that each see a share of {share:g}"
        raise Refused(asked, given, "a share from 0.1 to 0.9, and so many models that two leave each row out")
    if show is None:
        show = SHOWN if _examples.comes_with_labkit(data) else 0
    show = _examples.count(asked, "show", show, 0, 1000)
    run = Run(ASKED, {}, seed, model, {"train": data.train.describe(), "test": data.test.describe()}, batch_size)
    chosen = some(data.train, rows, stream(seed, ASKED, "rows"))
    unseen = some(data.test, rows, stream(seed, ASKED, "test"))
    copies = np.isin(row_hashes(data.test.x[unseen]), row_hashes(data.train.x))
    if copies.any():
        run.warn(f"{int(copies.sum())} test rows are copies of training rows and were left out")
        unseen = unseen[~copies]
    if len(unseen) < LEAST:
        given = f"{len(unseen)} test rows that are no copies of training rows"
        raise Refused(asked, given, f"at least {LEAST} test rows that the model was not trained on")
    train, test = data.train[chosen], data.test[unseen]
    answers = None if model is None else _answers(run, model, train, test)
    trained = find_learner(learner, train, model)
    run.options = {
        "learner": trained.about,
        "models": models,
        "share": share,
        "rows": rows,
        "fit": asdict(fit),
        "show": show,
        "replicates": replicates,
    }
    saw = parts_of(models, len(train), share, stream(seed, ASKED, "parts"))
    many = fit_many(
        trained.make,
        train.x,
        train.y,
        saw,
        fit=fit,
        seeds=range(seed, seed + models),
        device=device,
        memory=memory,
        checkpoint=checkpoint,
        title="models on random parts of the training rows",
    )
    (said, sure), (said_test, _) = _told(many, train), _told(many, test)
    raised = (sure * saw).sum(0) / saw.sum(0) - (sure * ~saw).sum(0) / (~saw).sum(0)
    counts = Counts.of(saw, said == train.y)
    influence = _influence(saw, said_test == test.y, replicates, seed)
    others = parts_of(models, len(test), share, stream(seed, ASKED, "as if seen"))
    voted = majority(said, ~saw, len(data.classes)), majority(said_test, ~others, len(data.classes))
    shown = np.lexsort((-raised, -counts.value))[:show]
    return Memorization(
        provenance=run.provenance(),
        warnings=tuple(run.warnings),
        learner=trained.name,
        about=trained.about,
        models=models,
        share=share,
        classes=data.classes,
        row=chosen,
        label=train.y,
        n_test=len(test),
        answer=voted[0],
        raised=raised,
        **_rows(counts, saw, said == train.y, replicates, seed),
        **influence
        | {"influence_train": chosen[influence["influence_train"]]}
        | {"influence_test": unseen[influence["influence_test"]]},
        model="" if model is None else model.name,
        **_given_back(answers, voted, train, test),
        shown=shown,
        pictures=_examples.pictures(train, shown) if show else None,
        texts=_examples.texts(train, shown),
    )


def _answers(run: Run, model: Classifier, train: Split, test: Split) -> tuple[np.ndarray, np.ndarray]:
    """The labels that the model gives to either part."""
    found = []
    with unchanged(model):
        for part in (train, test):
            x, y, _ = as_split(part, model)
            preflight(run, model, x, y)
            found.append(logits(run, model, x).argmax(1))
    return found[0], found[1]


def _told(many: Many, split: Split) -> tuple[np.ndarray, np.ndarray]:
    """(models, n) the label that each model gives to each row, and its log odds of the row's own label."""
    size = max(1, PART // (many.count * len(split.classes)))
    said, sure = [], []
    for i in range(0, len(split), size):
        logits = many.logits(split.x[i : i + size])
        said.append(logits.argmax(2).astype(np.int16))
        sure.append(margin(logits, split.y[i : i + size]))
    return np.concatenate(said, 1), np.concatenate(sure, 1)


def _rows(counts: Counts, saw: np.ndarray, right: np.ndarray, replicates: int, seed: int) -> dict[str, Any]:
    """Memorisation of each row, and what chance shows of it."""
    value, (low, high) = counts.value, counts.interval
    null = -np.sort(-counts.by_chance(replicates, stream(seed, ASKED, "chance")), 1)
    rank = np.unique(np.linspace(0, len(value) - 1, min(RANKS, len(value))).round().astype(int))
    band = np.quantile(null[:, rank], [0.025, 0.975], axis=0)
    each = (right & saw).sum(1) / saw.sum(1) - (right & ~saw).sum(1) / (~saw).sum(1)
    # over models and over rows; the latter holds some of the former, which makes the interval wide
    half = 1.96 * float(np.sqrt(each.var(ddof=1) / len(each) + value.var(ddof=1) / len(value)))
    middle = float(value.mean())
    return {
        "right_inside": counts.right_inside,
        "inside": counts.inside,
        "right_outside": counts.right_outside,
        "outside": counts.outside,
        "value": value,
        "low": low,
        "high": high,
        "mean": (middle, middle - half, middle + half),
        "chance": float(np.quantile(null[:, 0], 0.95, method="higher")),
        "level": LEVELS,
        "rows_at": (value[:, None] >= LEVELS - 1e-9).sum(0),
        "chance_at": counts.expected_at(LEVELS),
        "rank": rank + 1,
        "band_low": band[0],
        "band_high": band[1],
    }


def _influence(saw: np.ndarray, right: np.ndarray, replicates: int, seed: int) -> dict[str, Any]:
    """The pairs with the largest influence, by position among the rows that were looked at."""
    generator = stream(seed, ASKED, "influence")
    train, test, line, count = largest_influence(saw, right, KEPT, replicates, generator)
    pairs = Counts.of(saw[:, train], right[:, test])
    low, high = pairs.interval
    return {
        "influence_train": train,
        "influence_test": test,
        "influence": pairs.value,
        "influence_low": low,
        "influence_high": high,
        "influence_chance": line,
        "influence_pairs": count,
        "pairs": saw.shape[1] * right.shape[1],
    }


def _given_back(
    answers: tuple[np.ndarray, np.ndarray] | None, voted: tuple[np.ndarray, np.ndarray], train: Split, test: Split
) -> dict[str, Any]:
    """Rows that models without them get wrong, and on how many of those the model in question gives their label."""
    hard, hard_test = voted[0] != train.y, voted[1] != test.y
    found = {"hard": int(hard.sum()), "hard_test": int(hard_test.sum())}
    if answers is None:
        return found | {"gives_label": None, "given_back": 0, "given_back_test": 0, "remembered": NONE}
    own, new = answers[0] == train.y, answers[1] == test.y
    hits, hits_test = int(own[hard].sum()), int(new[hard_test].sum())
    remembered = NONE
    if hard.any() and hard_test.any():
        ends = intervals.newcombe(hits, hard.sum(), hits_test, hard_test.sum())
        remembered = (float(hits / hard.sum() - hits_test / hard_test.sum()), float(ends[0]), float(ends[1]))
    return found | {"gives_label": own, "given_back": hits, "given_back_test": hits_test, "remembered": remembered}
