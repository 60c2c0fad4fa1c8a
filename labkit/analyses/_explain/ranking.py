"""Which method is ahead over several scores, example by example, and how sure that is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from labkit.core import intervals, resampling

REPLICATES = 2000
EQUAL = 1e-6  # skills that differ by less are equal
SURE = 0.95  # share of resamples in which a choice must win


@dataclass(frozen=True, eq=False)
class Judged:
    """(methods, scores, examples) of methods and of controls, and which end of each score is better (1 or -1)."""

    methods: Sequence[str]
    controls: Sequence[str]
    scores: Sequence[str]
    sign: np.ndarray
    values: np.ndarray
    beside: np.ndarray

    def struck(self) -> list[str]:
        """Why a score does not count: a map that explains nothing comes before every method, or chance may do as well."""
        return [
            self._struck(self.sign[k] * self.values[:, k], self.sign[k] * self.beside[:, k])
            for k in range(len(self.sign))
        ]

    def _struck(self, own: np.ndarray, beside: np.ndarray) -> str:
        mine, theirs = _mean(own), _mean(beside)
        if not len(mine) or not np.isfinite(mine).any() or not np.isfinite(theirs).all():
            return "undefined here"
        first, hardest = int(np.nanargmax(mine)), int(theirs.argmax())
        if not mine[first] > theirs[hardest] + 1e-9:
            return f"the {self.controls[hardest]} map comes first"
        ahead = own[first] - beside[list(self.controls).index("random")]
        low = intervals.mean(ahead[np.isfinite(ahead)])[0]
        return "no method is clearly better than chance" if low <= 0 else ""

    def skill(self, struck: Sequence[str]) -> np.ndarray:
        """(methods, examples): 0 for a random map and 1 for the best method, on average over the scores that count.

        Ways of taking one measure (after a comma) count together as one. A method that cannot be put to a test has the
        others' mean in it.
        """
        random = list(self.controls).index("random")
        families: dict[str, list[np.ndarray]] = {}
        for k, (name, reason) in enumerate(zip(self.scores, struck)):
            if reason:
                continue
            own, chance = self.sign[k] * self.values[:, k], self.sign[k] * _mean(self.beside[:, k])[random]
            best = np.nanmax(_mean(own))
            families.setdefault(name.partition(",")[0], []).append(_filled((own - chance) / (best - chance)))
        if not families:
            return np.zeros((len(self.values), self.values.shape[2]))
        return np.mean([np.mean(parts, 0) for parts in families.values()], 0)


def _filled(values: np.ndarray) -> np.ndarray:
    """(methods, examples) with what is unknown at the mean of the other methods; 0 where none is known."""
    known = np.isfinite(values)
    total = np.where(known, values, 0.0).sum(0)
    others = np.divide(total, known.sum(0), out=np.zeros(values.shape[1]), where=known.any(0))
    return np.where(known, values, others)


def means(values: np.ndarray) -> np.ndarray:
    """(maps, scores) over the examples."""
    return np.stack([_mean(values[:, k]) for k in range(values.shape[1])], 1) if values.shape[1] else values[:, :, 0]


def _mean(values: np.ndarray) -> np.ndarray:
    """(rows,) means over the examples that are known; nan where none is."""
    known = np.isfinite(values)
    total = np.where(known, values, 0.0).sum(1)
    return np.divide(total, known.sum(1), out=np.full(len(values), np.nan), where=known.any(1))


def wins(skill: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """(methods,) the share of bootstrap resamples of the examples in which each has the largest mean; ties are shared."""
    n = skill.shape[1]
    counts = resampling.bootstrap_counts(np.ones(n), REPLICATES, generator)
    drawn = counts @ skill.T / n
    first = drawn >= drawn.max(1, keepdims=True) - EQUAL
    return (first / first.sum(1, keepdims=True)).mean(0)


def lead(skill: np.ndarray, other: np.ndarray, level: float = 0.95) -> tuple[float, float, float]:
    """The mean paired difference of two methods' skill, with Student's interval."""
    return float((skill - other).mean()), *intervals.mean(skill - other, level)


def rivals(skill: np.ndarray, win: np.ndarray) -> list[int]:
    """The methods after the first that it is not told apart from: by the paired 95 % interval of each, and the next method
    where the first wins in fewer than 95 of 100 resamples.

    The first is only called sure where it is ahead of every other, so each interval can have the level of the whole
    (Berger, 1982, doi 10.2307/1267823, on intersection-union tests).
    """
    near = [m for m in range(1, len(skill)) if not lead(skill[0], skill[m])[1] > EQUAL]
    return near or ([1] if len(skill) > 1 and win[0] < SURE else [])
