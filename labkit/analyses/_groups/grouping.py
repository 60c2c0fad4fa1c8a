"""Sensitive features and their intersections: who belongs to which group."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations, product
from typing import Any

import numpy as np

from labkit.core.refused import Refused
from labkit.records.predict import Predictions
from labkit.records.scores import Scores

MANY_VALUES, FEW_PEOPLE = 20, 30
# Of an intersection with more combinations than this, those without anybody are not listed.
MOST_LISTED = 200


@dataclass(frozen=True)
class Grouping:
    """One sensitive feature or intersection: its groups' names and each person's group, -1 where unknown.

    Attributes:
        count: None, or (n,) how many people each row stands for.
        unlisted: combinations without anybody that are too many to be listed.
    """

    name: str
    groups: tuple[str, ...]
    code: np.ndarray
    count: np.ndarray | None = None
    unlisted: int = 0

    def counts(self, among: Any = slice(None)) -> np.ndarray:
        """(groups,) people of each group, among all or some rows."""
        code = self.code[among]
        people = None if self.count is None else self.count[among][code >= 0]
        return np.bincount(code[code >= 0], people, len(self.groups)).astype(np.int64)

    @property
    def unknown(self) -> int:
        """People whose group is not known."""
        strangers = self.code < 0
        return int(strangers.sum() if self.count is None else self.count[strangers].sum())


def grouping(asked: str, p: Predictions | Scores, by: str | tuple[str, ...]) -> Grouping:
    """The groups of one sensitive feature, or every combination of several, also those without anybody
    (of more than 200 combinations, those with somebody).

    Raises:
        Refused: an unknown feature, or one with more than 20 values of which most have fewer than 30 people.
    """
    parts = (by,) if isinstance(by, str) else tuple(by)
    count = getattr(p, "count", None)
    code, known = np.zeros(len(p), np.int64), np.ones(len(p), bool)
    seen: list[list[str]] = []
    for part in parts:
        column = p.group(part)
        groups, at = np.unique(column[column != ""], return_inverse=True)
        sizes = np.bincount(at, None if count is None else count[column != ""])
        if len(groups) > MANY_VALUES and np.median(sizes) < FEW_PEOPLE:
            given = f"{len(groups)} values, half of them with {int(np.median(sizes))} people or fewer"
            raise Refused(f"{asked} by {part}", given, "a feature in few groups, such as age in bands")
        code = code * len(groups) + np.searchsorted(groups.astype(str), column)
        known &= column != ""
        seen.append(groups.tolist())
    title, code = " & ".join(parts), np.where(known, code, -1)
    every = math.prod(len(groups) for groups in seen)
    if every <= MOST_LISTED:
        names = tuple(" & ".join(combination) for combination in product(*seen))
        return Grouping(title, names, code, count)
    there, within = np.unique(code[known], return_inverse=True)
    code[known] = within
    places = np.unravel_index(there, [len(groups) for groups in seen])
    names = tuple(" & ".join(groups[i] for groups, i in zip(seen, place)) for place in zip(*places))
    return Grouping(title, names, code, count, every - len(there))


def offered(
    asked: str, p: Predictions, by: str | Sequence[str | tuple[str, ...]] | None, warnings: list[str]
) -> list[Grouping]:
    """The groupings asked for; of None those of the predictions, with a warning for each that has too many small groups."""
    found = []
    for one in p.groups if by is None else [by] if isinstance(by, str) else by:
        try:
            found.append(grouping(asked, p, one))
        except Refused as error:
            if by is not None:
                raise
            warnings.append(f"groups by {one} are left out: {error.given}")
    return found


def all_depths(by: Sequence[str | tuple[str, ...]], depth: int) -> list[str | tuple[str, ...]]:
    """The features named, and every intersection of up to ``depth`` of those that stand alone."""
    alone = [b for b in by if isinstance(b, str)]
    deeper = [c for size in range(2, depth + 1) for c in combinations(alone, size)]
    return [*by, *(c for c in deeper if c not in by)]
