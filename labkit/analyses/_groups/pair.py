"""Two groups of people set beside each other, chosen by name or by their size, never by what the model answered."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from labkit.analyses._groups.grouping import grouping
from labkit.core.refused import Refused, unknown
from labkit.records.predict import Predictions

LEAST = 30  # people in a group below which a comparison is warned of


@dataclass(frozen=True, eq=False)
class Pair:
    """Two groups of one sensitive feature.

    Attributes:
        name: of the feature or intersection. groups: the two names.
        first, second: the rows of each group's people.
        unknown, others: people of no known group, and of another group.
    """

    name: str
    groups: tuple[str, str]
    first: np.ndarray
    second: np.ndarray
    unknown: int
    others: int

    @property
    def n(self) -> np.ndarray:
        """(2,) people of each group."""
        return np.array([len(self.first), len(self.second)])

    def warnings(self) -> list[str]:
        """What a reader must know of who is compared."""
        found = [f"{self.unknown} people have no known {self.name} and are left out"] if self.unknown else []
        if self.others:
            found.append(f"{self.others} people of other groups of {self.name} are left out; name them by between=")
        small = [f"{g} has {n} people" for g, n in zip(self.groups, self.n) if n < LEAST]
        return [*found, *[f"{said}, fewer than {LEAST}: its intervals are rough" for said in small]]


def pair(asked: str, p: Predictions, by: str | tuple[str, ...], between: tuple[str, str] | None) -> Pair:
    """The two groups named, or the two with the most people, the larger first.

    Raises:
        Refused: an unknown feature or group, one group named twice, a group of fewer than two people.
    """
    found = grouping(asked, p, by)
    sizes = found.counts()
    if between is None:
        chosen = np.argsort(-sizes, kind="stable")[:2].tolist()
    else:
        names = [between] if isinstance(between, str) else list(between)
        for name in names:
            if name not in found.groups:
                raise unknown(f"{asked} between groups of {found.name}", name, found.groups)
        chosen = [found.groups.index(name) for name in names]
    if len(set(chosen)) != 2 or sizes[chosen].min() < 2:
        given = ", ".join(f"{found.groups[g]} ({sizes[g]} people)" for g in chosen) or "no group"
        raise Refused(f"{asked} by {found.name}", given, "two groups of at least two people each: between=(one, other)")
    first, second = (np.flatnonzero(found.code == g) for g in chosen)
    strangers = int((found.code < 0).sum())
    others = len(p) - strangers - len(first) - len(second)
    return Pair(found.name, (found.groups[chosen[0]], found.groups[chosen[1]]), first, second, strangers, others)
