"""Sensitive features and their intersections: who belongs to which group."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np

from labkit.core.refused import Refused
from labkit.records.predict import Predictions

MANY_VALUES, FEW_PEOPLE = 20, 30


@dataclass(frozen=True)
class Grouping:
    """One sensitive feature or intersection: its groups' names and each person's group, -1 where unknown."""

    name: str
    groups: tuple[str, ...]
    code: np.ndarray

    def counts(self, among: Any = slice(None)) -> np.ndarray:
        """(groups,) people of each group, among all or some rows."""
        code = self.code[among]
        return np.bincount(code[code >= 0], minlength=len(self.groups))


def grouping(asked: str, p: Predictions, by: str | tuple[str, ...]) -> Grouping:
    """The groups of one sensitive feature, or every combination of several, also those without anybody.

    Raises:
        Refused: an unknown feature, or one with more than 20 values of which most have fewer than 30 people.
    """
    parts = (by,) if isinstance(by, str) else tuple(by)
    code, known = np.zeros(len(p), np.int64), np.ones(len(p), bool)
    seen: list[list[str]] = []
    for part in parts:
        column = p.group(part)
        groups, sizes = np.unique(column[column != ""], return_counts=True)
        if len(groups) > MANY_VALUES and np.median(sizes) < FEW_PEOPLE:
            given = f"{len(groups)} values, half of them with {int(np.median(sizes))} people or fewer"
            raise Refused(f"{asked} by {part}", given, "a feature in few groups, such as age in bands")
        code = code * len(groups) + np.searchsorted(groups.astype(str), column)
        known &= column != ""
        seen.append(groups.tolist())
    names = tuple(" & ".join(combination) for combination in product(*seen))
    return Grouping(" & ".join(parts), names, np.where(known, code, -1))
