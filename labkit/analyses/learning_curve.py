"""Would more data, a larger model or longer training help?"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np

from labkit.analyses import _examples
from labkit.analyses._curve.asked import fewer, two_parts
from labkit.analyses._curve.law import Errors, law_of, need, roles
from labkit.analyses._curve.noise import by_seeds_and_rows, deviations, humps, valley
from labkit.analyses._curve.permuted import name_of
from labkit.analyses._curve.trained import Measured, Task, by_epochs, by_examples, by_features, by_width, of_width
from labkit.analyses._guard import Run
from labkit.core import resampling
from labkit.core.refused import Refused, unknown
from labkit.data.split import Dataset
from labkit.models.classifier import Classifier
from labkit.records.learning_curve import LearningCurve, Peak
from labkit.records.train import Training
from labkit.training.damage import LabelNoise
from labkit.training.learners import learner as find_learner
from labkit.training.many import Fit

ASKED = "learning_curve"
Along = Literal["examples", "width", "epochs"]
NAN = float("nan")
# Training rows, and how models learn, where the caller does not say.
ROWS = {"examples": 2048, "width": 512, "epochs": 1024}
FITS = {"examples": Fit(), "width": Fit(epochs=150), "epochs": Fit(epochs=100)}
HALVINGS, SMALLEST = 8, 20
# Widths as multiples of the one at the interpolation threshold.
MULTIPLES = (0.06, 0.12, 0.25, 0.5, 0.7, 0.85, 1, 1.2, 1.5, 2, 4, 8, 16)
FITTED = 0.01


def learning_curve(
    data: Dataset | Training,
    *,
    along: Along = "examples",
    learner: Any = "network",
    points: Sequence[int] | None = None,
    seeds: int = 5,
    noise: float = 0.0,
    wanted: float | None = None,
    model: Classifier | None = None,
    fit: Fit | None = None,
    ridge: float = 0.0,
    rows: int = 0,
    test_rows: int = 2000,
    device: str = "auto",
    checkpoint: str | Path | None = None,
    seed: int = 0,
    replicates: int = 1000,
) -> LearningCurve:
    """Training and test error with more rows, more units or more epochs, over several seeds.

    Along "examples" the error is held to fall as a power law with a floor (Hestness et al., 2017, arXiv 1712.00409). The law
    is fitted to sizes up to a quarter of the rows and judged by what it foretells of the others (Alabdulmohsin et al., 2022,
    arXiv 2209.06640); only where that does not fail is it read beyond the rows, and no more times than it was judged over.
    All models take as many steps as those on all rows do.

    Along "width" and "epochs" a peak is looked for, as in double descent (Belkin et al., 2019, arXiv 1812.11118; Nakkiran et
    al., 2020, arXiv 1912.02292), and held against the highest one that seeds and test rows alone would show. It comes out
    with wrong labels: ``noise``.

    Args:
        data: training and test rows; or how a model was trained (``labkit.zoo.curves(name)``), for the curve of its epochs.
        learner: "network", "own" (the architecture of ``model``), a module, or a function from a seed to a module. Along
            width: "network" with one hidden layer, "random_features" (least squares on random features, without any
            training) or a function of width and seed.
        points: rows, units or epochs. By default rows are halved up to 8 times, and widths lie around the one with as
            many numbers as there are equations; of epochs the last one counts.
        seeds: models at each point; rows, weights and order follow from them.
        noise: the share of the training labels that are made wrong, in [0, 1]. Test labels stay as they are.
        wanted: an accuracy: how many rows it would take.
        fit: how models learn. Nothing stops them early.
        ridge: with "random_features", the penalty on squared weights; 0 takes the shortest exact fit.
        rows, test_rows: at most so many, drawn by the seed; 0 takes 2048 along examples, 512 along width, 1024 along epochs.
        checkpoint: the beginning of the names of files from which training that was interrupted goes on.
        replicates: draws of seeds and test rows.

    Raises:
        Refused: no training and test rows of two classes, 30 or more each; the same rows twice; points that the rows do not
            reach; what the learner refuses.
    """
    if isinstance(data, Training):
        return _of_training(data, replicates, seed)
    if along not in get_args(Along):
        raise unknown(f"{ASKED} along something", str(along), get_args(Along))
    if wanted is not None and (along != "examples" or not 0 < wanted < 1):
        raise Refused(f"{ASKED} along {along}", f"wanted={wanted!r}", 'an accuracy between 0 and 1, along="examples"')
    _examples.count(ASKED, "seeds", seeds, 3, 1000)
    _examples.count(ASKED, "replicates", replicates, 100, 100_000)
    chosen = two_parts(ASKED, data, rows or ROWS[along], test_rows, seed)
    damaged = replace(chosen, train=LabelNoise(noise, seed)(chosen.train))
    fit = fit or FITS[along]
    options = {
        "along": along, "learner": learner if isinstance(learner, str) else name_of(learner), "points": list(points) if points else None, "seeds": seeds,
        "noise": noise, "wanted": wanted, "fit": asdict(fit), "ridge": ridge, "replicates": replicates,
    }  # fmt: skip
    sources = {"train": chosen.train.describe(), "test": chosen.test.describe()}
    run = Run(ASKED, options, seed, model, sources)
    run.warnings += fewer(data, chosen)
    task = Task(ASKED, damaged, fit, seeds, seed, device, Path(checkpoint) if checkpoint else None)
    curve = _measured(task, along, learner, model, points, ridge)
    away = deviations(
        curve.found.test, curve.found.of_a_row, replicates, task.generator("draws"), together=along == "epochs"
    )
    facts = _facts(curve, away) | (_law(task, curve, away, wanted) if along == "examples" else _peak(curve, away))
    n = len(chosen.test)
    ends = by_seeds_and_rows(curve.found.test, n, curve.found.of_a_row)
    return LearningCurve(
        provenance=run.provenance(),
        warnings=tuple(run.warnings),
        along=along,
        metric="error",
        rows=len(chosen.train),
        n=n,
        noise=noise,
        chance=_chance(task),
        **facts | {"test_low": ends[0], "test_high": ends[1]},
    )


@dataclass(frozen=True)
class _Curve:
    """What was measured at which points, of which learner, and where it can fit every label."""

    point: np.ndarray
    found: Measured
    learner: str
    about: str
    threshold: float = NAN


def _measured(
    task: Task, along: Along, given: Any, model: Classifier | None, points: Sequence[int] | None, ridge: float
) -> _Curve:
    train = task.data.train
    took = f"{task.fit.optimizer}, rate {task.fit.rate:g}, batches of {task.fit.batch_size}"
    if along == "width":
        make, threshold, name, about = _widths(task, given)
        many = [max(1, round(m * threshold)) for m in MULTIPLES] if threshold > 0 else None
        widths = _points(points or many, 1, 10**6)
        if name == "random_features":
            about += f", penalty {ridge:g}" if ridge else ", the shortest exact fit"
            return _Curve(widths, by_features(task, widths.tolist(), ridge), name, about, threshold)
        about += f"; {took}, {task.fit.epochs} epochs"
        return _Curve(widths, by_width(task, make, widths.tolist()), name, about, threshold)
    what = find_learner(given, train, model)
    if along == "epochs":
        last = int(_points(points, 2, 10**6)[-1]) if points else task.fit.epochs
        task = replace(task, fit=replace(task.fit, epochs=last))
        return _Curve(np.arange(1, last + 1), by_epochs(task, what), what.name, f"{what.about}; {took}")
    halved = [len(train) // 2**k for k in range(HALVINGS) if len(train) // 2**k >= SMALLEST]
    sizes = _points(points or halved, 2, len(train))
    about = f"{what.about}; {took}, as many steps as {task.fit.epochs} epochs of {sizes[-1]} rows"
    return _Curve(sizes, by_examples(task, what, sizes.tolist()), what.name, about)


def _widths(task: Task, given: Any) -> tuple[Callable[[int], Callable[[int], Any]], float, str, str]:
    """Width -> seed -> module; the width with as many numbers as equations; name and description."""
    train = task.data.train
    make, each = of_width(train)
    if given == "random_features":
        return make, float(len(train)), given, "least squares on random features with ReLU"
    if given == "network":
        threshold = len(train) * len(train.classes) / each
        return make, threshold, given, "a net with one hidden layer of so many units with ReLU"
    if callable(given):
        return lambda width: lambda seed: given(width, seed), NAN, name_of(given), f"{name_of(given)}(width, seed)"
    raise unknown(f"{ASKED} along width of a learner", str(given), ("network", "random_features"))


def _points(given: Sequence[int] | None, low: int, high: int) -> np.ndarray:
    asked = f"{ASKED} at points={given!r:.60}"
    found = np.unique(np.asarray(given if given is not None else [], float))
    if len(found) == 0 or (found != found.round()).any() or not low <= found[0] <= found[-1] <= high:
        raise Refused(asked, "no such sizes", f"whole numbers from {low} to {high:,}")
    return found.astype(np.int64)


def _facts(curve: _Curve, away: np.ndarray) -> dict[str, Any]:
    """What every curve states; ends over seeds alone."""
    found, mean = curve.found, curve.found.test.mean(1)
    ends = [*by_seeds_and_rows(found.train, most=np.inf), *by_seeds_and_rows(found.test, most=np.inf)]
    places = curve.point[(mean + away).argmin(1)]
    low, high = np.quantile(places, (0.025, 0.975), method="nearest") if away.any() else (NAN, NAN)
    return {
        "learner": curve.learner,
        "about": curve.about,
        "point": curve.point,
        "train": found.train,
        "test": found.test,
        **dict(zip(("train_low", "train_high", "test_low", "test_high"), ends)),
        "best": (float(curve.point[mean.argmin()]), float(low), float(high)),
        "role": np.full(len(mean), "shown"),
        "law": None,
        "told": False,
        "untold": "",
        "need": None,
        "peak": None,
        **{name: getattr(found, name) for name in ("passes", "flops", "seconds", "watts", "energy")},
    }


def _chance(task: Task) -> float:
    return float(1 - np.bincount(task.data.test.y).max() / len(task.data.test))


def _law(task: Task, curve: _Curve, away: np.ndarray, wanted: float | None) -> dict[str, Any]:
    mean, n = curve.found.test.mean(1), len(task.data.test)
    role = roles(curve.point, by_seeds_and_rows(curve.found.test, n, curve.found.of_a_row)[1], _chance(task))
    law, untold = law_of(Errors(curve.point, mean, np.maximum(mean + away, 0), n), role)
    told = law is not None and not untold
    asked = need(law, wanted, law.reach * float(curve.point[-1])) if law and told and wanted is not None else None
    return {"role": role, "law": law, "untold": untold, "told": told, "need": asked}


def _peak(curve: _Curve, away: np.ndarray) -> dict[str, Any]:
    """The highest hump of the mean test error, beside those of a curve that falls and then rises."""
    mean, point = curve.found.test.mean(1), curve.point
    height = humps(mean)
    null = humps(valley(mean) + away).max(1)
    reached = np.flatnonzero(curve.found.train.mean(1) <= FITTED)
    low, high = np.quantile(point[humps(mean + away).argmax(1)], (0.025, 0.975), method="nearest")
    at = (float(point[height.argmax()]), float(low), float(high)) if height.max() > 0 else (NAN,) * 3
    peak = Peak(
        at=at,
        height=float(height.max()),
        p=resampling.share_as_large(null, float(height.max())),
        threshold=curve.threshold,
        fits=float(point[reached[0]]) if len(reached) else NAN,
    )
    return {"peak": peak}


def _of_training(t: Training, replicates: int, seed: int) -> LearningCurve:
    """The curve of the epochs of a training that was recorded: losses, on validation rows that chose the epoch."""
    epochs = int((np.isfinite(t.train_loss) & np.isfinite(t.valid_loss)).all(0).sum())
    if not epochs:
        given = f"the training of {t.recipe}, which has no epochs"
        raise Refused(ASKED, given, "a data set, or a model that gradients trained")
    run = Run(ASKED, {"along": "epochs", "replicates": replicates}, seed, data=t.provenance.data)
    if epochs < t.train_loss.shape[1]:
        run.warn(f"epochs after {epochs}, which some runs did not reach, are left out")
    train, test = t.train_loss[:, :epochs].T, t.valid_loss[:, :epochs].T
    unknown_cost = (np.full(epochs, NAN),) * 3
    found = Measured(train, test, None, *unknown_cost, NAN, t.energy)
    curve = _Curve(np.arange(1, epochs + 1), found, t.recipe, f"as its card says, on {t.hardware}")
    away = deviations(test, None, replicates, resampling.stream(seed, ASKED, "training"), together=True)
    facts = _facts(curve, away) | (_peak(curve, away) if len(t.seeds) > 1 else {})
    return LearningCurve(
        provenance=run.provenance(),
        warnings=tuple(run.warnings),
        along="epochs",
        metric="loss",
        rows=0,
        n=0,
        noise=NAN,
        chance=NAN,
        **facts,
    )
