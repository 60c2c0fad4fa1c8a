"""How a plan asks whether a model knows or remembers: its data, its gap, its curves, its memory, its probabilities."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import labkit as lk
from labkit.core.record import Record
from labkit.core.refused import Refused
from labkit.data.split import Dataset

if TYPE_CHECKING:
    from labkit.report.plan import Step
    from labkit.report.subject import Subject


def generalization_gap(
    subject: Subject, step: Step, seed: int, *, metric: str = "accuracy", positive: int | str | None = None
) -> Record:
    _both(subject, "the gap between training and test data", step.rows)
    train, test = subject.predictions("train", step.rows), subject.predictions("test", step.rows)
    return lk.generalization_gap(train, test, metric, positive=positive, seed=seed)


def leakage(subject: Subject, step: Step, seed: int, *, time: str | None = None, ids: tuple[str, ...] = ()) -> Record:
    data = _both(subject, "what training and test data share", step.rows)
    return lk.leakage(data, ids=ids, time=time, predictions=subject.predictions("test", step.rows), seed=seed)


def distribution_shift(subject: Subject, step: Step, seed: int) -> Record:
    data = _both(subject, "how far training and test data differ", step.rows)
    return lk.distribution_shift(data, model=subject.classifier(), seed=seed)


def label_errors(subject: Subject, step: Step, seed: int, *, learner: str = "network", show: int = 0) -> Record:
    data = _both(subject, "labels that look wrong", step.rows)
    return lk.label_errors(data.train, learner=learner, show=show, seed=seed)


def shortcuts(subject: Subject, step: Step, seed: int) -> Record:
    return lk.shortcuts(subject.classifier(), _both(subject, "cues that stand in for the answer", step.rows), seed=seed)


def learning_curve(
    subject: Subject,
    step: Step,
    seed: int,
    *,
    along: str = "examples",
    learner: str = "network",
    points: list[int] | None = None,
    seeds: int = 5,
    noise: float = 0.0,
    wanted: float | None = None,
) -> Record:
    data = _both(subject, f"how its error depends on {along}", step.rows)
    return lk.learning_curve(
        data,
        along=along,
        learner=learner,
        points=points,
        seeds=seeds,
        noise=noise,
        wanted=wanted,
        model=subject.model,
        seed=seed,
    )


def random_labels(
    subject: Subject, step: Step, seed: int, *, learner: str = "network", permutations: int = 20
) -> Record:
    data = _both(subject, "whether labels that mean nothing can be learned", step.rows)
    return lk.random_labels(data, learner=learner, model=subject.model, permutations=permutations, seed=seed)


def training(subject: Subject, step: Step, seed: int) -> Record:
    """The gap over the time of the real training, which only the cards of reference models tell."""
    if not subject.card:
        given = "a model whose training nobody kept"
        raise Refused(
            f"how the gap of {subject.name} grew", given, "loss and accuracy after each epoch, kept in training"
        )
    return lk.learning_curve(lk.zoo.curves(str(subject.card["name"])))


def compare_recipes(subject: Subject, step: Step, seed: int) -> Record:
    twin = subject.card.get("twin")
    if not twin:
        given = "a model without a twin on record"
        raise Refused(f"what a twin of {subject.name} did differently", given, "two training runs: lk.compare_recipes")
    return lk.compare_recipes(*(lk.zoo.curves(str(name)) for name in (subject.card["name"], twin)))


def loss_landscape(subject: Subject, step: Step, seed: int, *, points: int = 21, probes: int = 20) -> Record:
    split = subject.split("train" if subject.training else step.split, step.rows)
    return lk.loss_landscape(subject.classifier(), split, points=points, probes=probes, seed=seed)


def gradient_flow(subject: Subject, step: Step, seed: int) -> Record:
    split = subject.split("train" if subject.training else step.split, step.rows)
    return lk.gradient_flow(subject.classifier(), split, seed=seed)


def memorization(
    subject: Subject, step: Step, seed: int, *, learner: str = "network", models: int = 64, show: int | None = None
) -> Record:
    data = _both(subject, "which training examples are remembered", step.rows)
    return lk.memorization(subject.classifier(), data, learner=learner, models=models, show=show, seed=seed)


def membership_inference(
    subject: Subject,
    step: Step,
    seed: int,
    *,
    learner: str = "network",
    shadows: int = 16,
    methods: list[str] | None = None,
) -> Record:
    data = _both(subject, "whether training examples can be recognized from outside", step.rows)
    return lk.membership_inference(subject.classifier(), data, methods, learner=learner, shadows=shadows, seed=seed)


def attribute_inference(subject: Subject, step: Step, seed: int, *, by: str = "each") -> Record:
    data = _both(subject, f"whether {by} can be guessed better of training people", step.rows)
    if by not in {f.name for f in data.schema.features}:
        given = f"{by}, which is no column that the model reads"
        raise Refused(f"guessing {by} from answers of {subject.name}", given, "a column among the model's inputs")
    return lk.attribute_inference(subject.classifier(), data, by, seed=seed)


def canaries(subject: Subject, step: Step, seed: int, *, learner: str = "network", models: int = 32) -> Record:
    data = _both(subject, "how often an example must stand there to be remembered", step.rows)
    return lk.canaries(data, model=subject.model, learner=learner, models=models, seed=seed)


def recalibrate(subject: Subject, step: Step, seed: int) -> Record:
    return lk.recalibrate(subject.predictions(step.split, step.rows), seed=seed)


def conformal(subject: Subject, step: Step, seed: int, *, level: float = 0.9, method: str = "lac") -> Record:
    by = list(subject.groups) or None
    return lk.conformal(subject.predictions(step.split, step.rows), level=level, method=method, by=by, seed=seed)


def _both(subject: Subject, asked: str, rows: int) -> Dataset:
    """Training and test data of a model, at most so many rows of each; 0 takes all. Refused, naming what is missing, where there are only answers or only test data."""
    if subject.given is not None:
        raise Refused(f"{asked} of {subject.name}", "predictions on one split", "the model with its training data")
    if not subject.training:
        given = "no training data"
        raise Refused(
            f"{asked} of {subject.name}", given, "the rows that the model was trained on, beside the test data"
        )
    data = subject.dataset()
    return replace(data, train=data.train[:rows], test=data.test[:rows]) if rows else data


RUNNERS = (
    generalization_gap,
    leakage,
    distribution_shift,
    label_errors,
    shortcuts,
    learning_curve,
    random_labels,
    training,
    compare_recipes,
    loss_landscape,
    gradient_flow,
    memorization,
    membership_inference,
    attribute_inference,
    canaries,
    recalibrate,
    conformal,
)
