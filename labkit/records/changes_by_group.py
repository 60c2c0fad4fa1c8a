"""What a change of the model did to groups of people."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np

from labkit.core.intervals import paired, wilson
from labkit.core.record import Dims, Record

PerGroup = Annotated[np.ndarray, Dims("measure", "group")]
PerFeature = Annotated[np.ndarray, Dims("measure", "feature")]
ANSWER = "other answer"


@dataclass(frozen=True, kw_only=True)
class ChangesByGroup(Record):
    """Two models' answers to the same people, by group: rates before and after, who gains and who loses, whose answers
    change. Not measured is nan. Intervals are at 95 %.

    Attributes:
        before, after: the two models' names.
        positive: the class that counts as positive; "" where no metric needs one.
        measures: the metrics, and last "other answer": how many are answered otherwise than before.
        better: (measure,) 1 when more is better, -1 when less is, 0 when neither is.
        features: what people are grouped by; "true class" is one of them. group, feature_of: each group's name and the
            index of its feature.
        n, unknown: people in each group; those of no known group, by feature.
        of: people whom the measure looks at: the same before and after.
        had: those of them who had it before. gained, lost: who have it after and not before, and the reverse.
        mcnemar: p of as many gains as losses, exact; mcnemar_holm: corrected for all ranked groups and metrics.
        ranked: whether the group is large enough to be compared (``least`` people, ``least_of`` looked at).
        highest, lowest: the ranked groups whose rate rises most (falls least) and falls most; -1 where fewer than two are
            ranked.
        difference, difference_low, difference_high: between their changes, with an interval that allows for having
            picked them. null95: what groups made at random exceed in 5 % of permutations.
        p, p_holm: how often groups at random have a pair as far apart beside its precision; and corrected for all
            measures and features.
        total: (measure, count) the same four counts over everybody: of, had, gained, lost.
    """

    before: str
    after: str
    positive: str
    measures: tuple[str, ...]
    better: Annotated[np.ndarray, Dims("measure")]
    n_total: int
    replicates: int
    least: int
    least_of: int
    features: tuple[str, ...]
    group: Annotated[np.ndarray, Dims("group")]
    feature_of: Annotated[np.ndarray, Dims("group")]
    n: Annotated[np.ndarray, Dims("group")]
    unknown: Annotated[np.ndarray, Dims("feature")]
    of: PerGroup
    had: PerGroup
    gained: PerGroup
    lost: PerGroup
    mcnemar: PerGroup
    mcnemar_holm: PerGroup
    ranked: PerGroup
    highest: PerFeature
    lowest: PerFeature
    difference: PerFeature
    difference_low: PerFeature
    difference_high: PerFeature
    null95: PerFeature
    p: PerFeature
    p_holm: PerFeature
    total: Annotated[np.ndarray, Dims("measure", "count")]

    @property
    def change(self) -> np.ndarray:
        """(measure, group) the rate after less that before; of "other answer" the share of answers that changed."""
        return _share(self.gained - self.lost, self.of)

    def interval(self) -> tuple[np.ndarray, np.ndarray]:
        """(measure, group) ends of the interval of ``change``: Bonett and Price's, and Wilson's for "other answer"."""
        low, high = (np.where(self.of > 0, end, np.nan) for end in paired(self.gained, self.lost, self.of))
        low[-1], high[-1] = wilson(self.gained[-1], self.of[-1])
        return low, high

    @property
    def rate_before(self) -> np.ndarray:
        """(measure, group)."""
        return _share(self.had, self.of)

    @property
    def rate_after(self) -> np.ndarray:
        """(measure, group)."""
        return _share(self.had + self.gained - self.lost, self.of)

    def overall(self, measure: int) -> tuple[float, float, float, float]:
        """Over everybody: the rate before, its change, and the ends of the change's interval."""
        of, had, gained, lost = self.total[measure]
        low, high = wilson(gained, of) if measure == len(self.measures) - 1 else paired(gained, lost, of)
        return float(had / of), float((gained - lost) / of), float(low), float(high)


def _share(hits: np.ndarray, of: np.ndarray) -> np.ndarray:
    return np.divide(hits, of, out=np.full(of.shape, np.nan), where=of > 0)
