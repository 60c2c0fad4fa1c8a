"""What is audited: a model with its data, or predictions alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import labkit as lk
from labkit.analyses._guard import check_classifier
from labkit.core.record import Record
from labkit.core.refused import Refused
from labkit.data.split import Dataset, Split
from labkit.models.classifier import Classifier
from labkit.models.generative import Generative
from labkit.records.predict import Predictions
from labkit.records.scores import Scores

Audited = Classifier | Predictions | Scores | str
SHOWN = ("adult_mlp", "fashion_cnn", "movies_gru")


@dataclass(frozen=True, eq=False)
class Subject:
    """One audited model. Predictions are computed once a split and kept in memory.

    Attributes:
        name: unique within the audit.
        model, data: None when only ``given`` predictions, or scores, are known.
        columns: what else is known of the people behind ``given`` answers, in their order; None where nothing is.
        card: what the zoo says of a reference model.
        records: what steps have computed that other steps need too.
    """

    name: str
    model: Classifier | None = None
    data: Dataset | None = None
    given: Predictions | Scores | None = None
    columns: Split | None = None
    card: Mapping[str, Any] = field(default_factory=dict)
    records: dict[tuple[Any, ...], Record] = field(default_factory=dict, repr=False)
    _made: dict[tuple[str, int], Predictions] = field(default_factory=dict, repr=False)

    @property
    def modality(self) -> str:
        return self.data.schema.modality if self.data else "tabular"

    @property
    def training(self) -> bool:
        """Whether there are rows that the model was trained on."""
        return self.given is None and self.data is not None and len(self.data.train) > 0

    @property
    def groups(self) -> tuple[str, ...]:
        """The sensitive features that the data names."""
        return tuple(sorted(self.given.groups if self.given else self.split("test").groups))

    @property
    def trained_on(self) -> int:
        """How many examples a reference model was trained on, where they are not this data's; else 0."""
        told = self.card["data"] if self.card else {}
        if self.data is None or not told or told["train"]["sha256"] == self.data.train.digest:
            return 0
        return int(told.get("trained_on", told["train"])["n"])

    def dataset(self) -> Dataset:
        """Training and test data. Refused when there are only predictions."""
        if self.data is None:
            raise Refused(f"the data of {self.name}", "predictions alone", "the model, and a data set for it")
        return self.data

    def split(self, name: str, rows: int = 0) -> Split:
        """The first ``rows`` examples of a part of the data, or all for 0."""
        part: Split = getattr(self.dataset(), name)
        return part[:rows] if rows else part

    def classifier(self) -> Classifier:
        """The model. Refused when there are only predictions."""
        if self.model is None:
            raise Refused(f"the model behind {self.name}", "predictions alone", "the model itself")
        return self.model

    def people(self, name: str, rows: int = 0) -> Split:
        """What is known of the people beside the answers: the model's data, or columns that came with predictions."""
        if self.given is None:
            return self.split(name, rows)
        if getattr(self.given, "count", None) is not None:
            given = "people so many that they were counted"
            raise Refused(f"the people behind {self.name}", given, "a part of the table, of at most a million rows")
        if self.columns is None:
            given = "answers and groups alone"
            raise Refused(f"the people behind {self.name}", given, "a table that holds more columns of theirs")
        return self.columns[:rows] if rows else self.columns

    def answers(self, split: str, rows: int = 0) -> Predictions | Scores:
        """The given answers, or what the model answers on a part of the data."""
        if isinstance(self.given, Scores):
            return self.given
        return self.predictions(split, rows)

    def predictions(self, split: str, rows: int = 0) -> Predictions:
        """What the model answers on a part of the data. Refused when there are only scores."""
        if isinstance(self.given, Scores):
            instead = "a threshold, above which a score is a positive answer"
            raise Refused(f"the classes that {self.name} answers", f"scores named {self.given.name}", instead)
        if self.given is not None and split == "test":
            return _first(self.given, rows) if rows else self.given
        if (split, rows) not in self._made:
            self._made[split, rows] = lk.predict(self.classifier(), self.split(split, rows))
        return self._made[split, rows]

    def describe(self) -> dict[str, Any]:
        """Name and digests, as evidence and manifest carry them."""
        if self.given is not None:
            beside = [] if self.columns is None else [{"role": "columns", **self.columns.describe()}]
            return {"name": self.name, "model": {}, "data": [dict(self.given.provenance.data), *beside]}
        return {
            "name": self.name,
            "model": self.classifier().describe(),
            "data": [{"role": role, **self.split(role).describe()} for role in ("train", "test")],
        }


def subjects(models: Audited | Sequence[Audited] | None, data: Dataset | Split | str | None) -> tuple[Subject, ...]:
    """The subjects of an audit: one reference model for images, one for tables and one for text when none is named.

    Answers alone may have a Split beside them: columns of the same people, in their order.

    Raises:
        Refused: an unknown name, a model without data, data that the model was not made for.
    """
    if models is None:
        models = list(SHOWN)
    listed: list[Audited] = list(models) if isinstance(models, list | tuple) else [models]  # type: ignore[list-item]
    if not listed:
        raise Refused("an audit", "no models", "at least one model, or its name")
    own = lk.data.load(data) if isinstance(data, str) else data
    beside = isinstance(own, Split) and all(isinstance(m, Predictions | Scores) for m in listed)
    if own is not None and not isinstance(own, Dataset) and not beside:
        raise Refused("an audit", f"data of type {type(own).__name__}", "a data set with .train and .test, or its name")
    return _unique([_subject(model, own) for model in listed])


def _subject(model: Audited, data: Dataset | Split | None) -> Subject:
    if isinstance(model, Predictions | Scores):
        name = str(model.provenance.data.get("name", "predictions"))
        columns = data if isinstance(data, Split) else None
        if columns is not None and len(columns) != len(model):
            given = f"{len(model)} answers and {len(columns)} rows of columns"
            raise Refused(f"an audit of {name}", given, "columns of the same people, in the same order")
        return Subject(name, given=model, columns=columns)
    assert not isinstance(data, Split)
    if isinstance(model, str):
        opened = _classifier(lk.zoo.load(model))
        return Subject(model, opened, data or lk.zoo.data(model), card=lk.zoo.card(model))
    own = _classifier(model)
    if data is None:
        raise Refused(f"an audit of {own.name}", "no data", "data=, a data set with .train and .test")
    return Subject(own.name, own, data)


def _classifier(model: Any) -> Classifier:
    if isinstance(model, Generative):
        check_classifier(model, "an audit")
    if not isinstance(model, Classifier):
        given = f"a {type(model).__name__}"
        raise Refused("an audit", given, "a classifier made by labkit.wrap or labkit.open, its name, or Predictions")
    return model


def _unique(found: Sequence[Subject]) -> tuple[Subject, ...]:
    """The same subjects; a name that stands twice gets a number."""
    counts = {"controls": 1}  # the folder of the planted controls
    named = []
    for subject in found:
        counts[subject.name] = counts.get(subject.name, 0) + 1
        again = counts[subject.name]
        named.append(subject if again == 1 else replace(subject, name=f"{subject.name} ({again})"))
    return tuple(named)


def _first(predictions: Predictions, rows: int) -> Predictions:
    if predictions.count is not None:
        return predictions  # counted people are as quickly judged together
    cut = slice(rows)
    return replace(
        predictions,
        y=predictions.y[cut],
        label=predictions.label[cut],
        proba=None if predictions.proba is None else predictions.proba[cut],
        groups={name: values[cut] for name, values in predictions.groups.items()},
        row=None if predictions.row is None else predictions.row[cut],
    )
