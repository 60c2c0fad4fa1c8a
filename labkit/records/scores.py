"""Scores: real-valued answers of a model or a formula, such as risk points, predicted prices or log-odds."""

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
class Scores(Record):
    """Real-valued answers to people, in the score's own unit.

    Attributes:
        name: what the score is called.
        value: the scores, finite, of any range.
        y: the true values in the same unit (of a regression) or 0 and 1 (of a score of risk); None where not known.
        groups: for each sensitive feature the group of each person; "" where it is unknown.
    """

    name: str
    value: Annotated[np.ndarray, Dims("example")]
    y: Annotated[np.ndarray, Dims("example")] | None = None
    groups: Mapping[str, np.ndarray] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.value)

    @property
    def has_truth(self) -> bool:
        """Whether the true values are known."""
        return self.y is not None

    @property
    def people(self) -> int:
        """How many people the scores are of."""
        return len(self)

    def group(self, name: str) -> np.ndarray:
        """The group of each person under one sensitive feature. Raises Refused for an unknown one."""
        if name not in self.groups:
            raise unknown("grouping", name, self.groups)
        return self.groups[name]

    @classmethod
    def from_frame(
        cls,
        frame: pd.DataFrame,
        *,
        score: str,
        y: str | None = None,
        groups: Sequence[str] | Mapping[str, Any] = (),
        name: str = "table",
    ) -> Scores:
        """Scores from a table, without any model.

        Args:
            frame: one row a person.
            score: the column of scores: numbers of any range.
            y: the column of true values, if they are known: numbers.
            groups: the columns of sensitive features, or values by feature that stand outside the table, as in
                ``Predictions.from_frame``.
            name: how reports call the table.

        Raises:
            Refused: missing columns; scores or true values that are missing (with where they are), infinite or no
                numbers; groups whose index does not hold the table's rows.
        """
        from labkit.records._frame import scores_from_frame

        return scores_from_frame(frame, score=score, y=y, groups=groups, name=name)
