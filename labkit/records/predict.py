"""Predictions: what a model answered. Whatever needs no gradient works on this alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np

from labkit.core.record import Dims, Record
from labkit.core.refused import unknown

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, kw_only=True)
class Predictions(Record):
    """Answers of a model on one split.

    Attributes:
        y: true class indices; -1 in every row where no truth is given.
        label: predicted class indices.
        proba: class probabilities, or None when only labels are known.
        groups: for each sensitive feature the group of each example; "" where it is unknown.
        row: a hash of each example's input, or None; equal rows are equal inputs.
        count: how many people each row stands for, where rows were counted; None where each row is one person.
    """

    y: Annotated[np.ndarray, Dims("example")]
    label: Annotated[np.ndarray, Dims("example")]
    proba: Annotated[np.ndarray, Dims("example", "class")] | None = None
    classes: tuple[str, ...]
    groups: Mapping[str, np.ndarray] = field(default_factory=dict)
    row: Annotated[np.ndarray, Dims("example")] | None = None
    count: Annotated[np.ndarray, Dims("example")] | None = None

    def __len__(self) -> int:
        return len(self.y)

    @property
    def has_truth(self) -> bool:
        """Whether the true classes are known."""
        return not len(self) or bool(self.y[0] >= 0)

    @property
    def people(self) -> int:
        """How many people the rows stand for."""
        return len(self) if self.count is None else int(self.count.sum())

    def group(self, name: str) -> np.ndarray:
        """The group of each example under one sensitive feature. Raises Refused for an unknown one."""
        if name not in self.groups:
            raise unknown("grouping", name, self.groups)
        return self.groups[name]

    @classmethod
    def from_frame(
        cls,
        frame: pd.DataFrame,
        *,
        y: str | None,
        label: str | None = None,
        score: str | None = None,
        proba: Sequence[str] | None = None,
        groups: Sequence[str] | Mapping[str, Any] = (),
        classes: Sequence[Any] | None = None,
        threshold: float | None = None,
        name: str = "table",
    ) -> Predictions:
        """Predictions from a table, without any model.

        Args:
            frame: one row an example; also a polars or Arrow table.
            y: the column of true labels; None where nobody knows them: then only what needs no truth is measured.
            label: the column of predicted labels.
            score: the column with the probability of the second class (two classes only); predicted labels are then
                ``score >= threshold``, and ``threshold`` must be given unless ``label`` is.
            proba: the columns of class probabilities, in the order of ``classes``.
            groups: the columns of sensitive features, or values by feature that stand outside the table: a pandas
                Series is aligned on its index, anything else taken in the table's order. A missing value is unknown.
            classes: the labels in order; needed unless they are 0 and 1 or texts or whole numbers found in ``y`` (without
                ``y``, in ``label``).
            threshold: where a score becomes a positive answer.

        Raises:
            Refused: missing columns, missing values in ``y`` or the predictions, predictions that are not among the
                classes (scores given as labels, text against numbers), labels that read alike or stand for a missing
                value, scores outside 0 to 1 (percentages, log-odds), groups whose index does not hold the table's rows,
                a group column with more than 20 numbers or dates.
        """
        from labkit.records._frame import predictions_from_frame

        return predictions_from_frame(
            frame,
            y=y,
            label=label,
            score=score,
            proba=proba,
            groups=groups,
            classes=classes,
            threshold=threshold,
            name=name,
        )

    @classmethod
    def from_labels(
        cls,
        frame: pd.DataFrame,
        *,
        y: Sequence[str] | None,
        label: Sequence[str] | None = None,
        score: Sequence[str] | None = None,
        threshold: float | Mapping[str, float] | None = None,
        groups: Sequence[str] | Mapping[str, Any] = (),
        classes: Sequence[Any] | None = None,
        name: str = "table",
    ) -> dict[str, Predictions]:
        """Predictions of several labels at once, each of which is given or not (multilabel outputs).

        Args:
            frame: one row a person.
            y: a column of truth for each label, or None where nobody knows it.
            label: the columns of predicted labels, in the order of ``y``.
            score: the columns with the probability that the label is given, in the order of ``y``.
            threshold: where a score becomes a given label, for all or by the name of the column in ``score``.
            groups: as in ``from_frame``.
            classes: not given and given, in this order, where they are not 0 and 1 or False and True.
            name: how reports call the table.

        Returns:
            One yes-or-no task a label, of the same people in the same order, by the name of its column of truth (of
            its answers where there is no truth).

        Raises:
            Refused: lists of unequal length, a column listed twice, a label of more than two classes, a score without
                a threshold, and all that ``from_frame`` refuses.
        """
        from labkit.records._frame import predictions_from_labels

        return predictions_from_labels(
            frame, y=y, label=label, score=score, threshold=threshold, groups=groups, classes=classes, name=name
        )
