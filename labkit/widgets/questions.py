"""What a panel must know of an analysis: what it is given, which kind of method it runs, and when it fits."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from labkit.core.method import Param, Range
from labkit.core.refused import unknown
from labkit.data.split import Dataset, Split
from labkit.models.classifier import Classifier

Data = Dataset | Split


@dataclass(frozen=True)
class Question:
    """How one analysis is asked from a panel.

    Attributes:
        title: what a tab says.
        given: model, data and rows to the positional arguments before the method.
        methods: the kind of method it runs; "" when there is none to choose.
        first: the methods chosen at first; one, or several when it takes several at once.
        several: whether it takes several methods at once.
        rows: how many rows it takes at first; 0 when it always takes all.
        params: what this model and these data add to the method's own tunables.
        also: further arguments that model and data give, without a control.
        meaning: how a control's value becomes the argument of its name, where it is not the argument itself.
        fits: whether it can be asked of this model and these data.
    """

    title: str
    given: Callable[[Classifier, Any, Any], tuple[Any, ...]]
    methods: str = ""
    first: tuple[str, ...] = ()
    several: bool = False
    rows: int = 0
    params: Callable[[Classifier, Data], tuple[Param, ...]] = lambda model, data: ()
    also: Callable[[Classifier, Data], Mapping[str, Any]] = lambda model, data: {}
    meaning: Mapping[str, Callable[[Any], Any]] = field(default_factory=lambda: MappingProxyType({}))
    fits: Callable[[Classifier, Data], bool] = lambda model, data: True


def test_part(data: Data) -> Split:
    """The test part of a data set, or the split itself."""
    return data.test if isinstance(data, Dataset) else data


def _examples(model: Classifier, data: Data, rows: Any) -> tuple[Any, ...]:
    return model, test_part(data)[rows]


def _predictions(model: Classifier, data: Data, rows: Any) -> tuple[Any, ...]:
    from labkit.analyses.predict import predict

    return (predict(model, test_part(data)),)


def _train_and_test(model: Classifier, data: Any, rows: Any) -> tuple[Any, ...]:
    from labkit.analyses.predict import predict

    return predict(model, data.train), predict(model, data.test)


def _threat(model: Classifier, data: Data) -> tuple[Param, ...]:
    low, high = model.bounds or (0.0, 1.0)
    width = high - low
    return (
        Param("eps", float, 0.1 * width, Range(0, width), help="largest change allowed, in the data's own unit"),
        Param("norm", str, "linf", choices=("linf", "l2"), help="how a change is measured"),
    )


PREDICTED, ALONE, REST = "(the class predicted)", "(nothing)", "(the largest of the others)"


def _asked(model: Classifier, data: Data) -> tuple[Param, ...]:
    others = (ALONE, REST, *model.classes)
    return (
        Param("target", str, PREDICTED, choices=(PREDICTED, *model.classes), help="the class whose score is explained"),
        Param("against", str, ALONE, choices=others, help="whose score is taken off"),
    )


def _usual(model: Classifier, data: Data) -> dict[str, Any]:
    return {"background": data.background()} if isinstance(data, Dataset) else {}


def _people(model: Classifier, data: Data) -> tuple[Param, ...]:
    groups = tuple(test_part(data).groups)
    return (
        Param("by", str, groups[0], choices=groups, help="whose groups are compared"),
        Param("positive", str, model.classes[-1], choices=model.classes, help="the answer that counts as positive"),
    )


def _bounded(model: Classifier, data: Data) -> bool:
    return {"bounds", "continuous"} <= model.capabilities


QUESTIONS = {
    "explain": Question(
        "Explain",
        _examples,
        "attributions",
        ("integrated_gradients",),
        rows=8,
        params=_asked,
        also=_usual,
        meaning={
            "target": lambda name: None if name == PREDICTED else name,
            "against": lambda name: {ALONE: None, REST: "rest"}.get(name, name),
        },
    ),
    "attack": Question("Attack", _examples, "attacks", ("pgd",), rows=8, params=_threat, also=_usual, fits=_bounded),
    "robustness_curve": Question(
        "Robustness",
        _examples,
        "attacks",
        ("pgd", "square"),
        several=True,
        rows=32,
        params=_threat,
        also=_usual,
        meaning={"eps": lambda largest: [largest * k / 4 for k in range(5)]},
        fits=_bounded,
    ),
    "audit_groups": Question(
        "Groups",
        _predictions,
        "metrics",
        ("selection_rate", "true_positive_rate"),
        several=True,
        params=_people,
        meaning={"by": lambda name: [name]},
        fits=lambda model, data: bool(test_part(data).groups),
    ),
    "generalization_gap": Question(
        "Generalization", _train_and_test, "metrics", ("accuracy",), fits=lambda model, data: isinstance(data, Dataset)
    ),
    "calibration": Question("Calibration", _predictions),
}


def question(analysis: str) -> Question:
    """How an analysis is asked. Raises Refused when no panel knows it."""
    if analysis not in QUESTIONS:
        raise unknown("a panel", analysis, QUESTIONS)
    return QUESTIONS[analysis]
