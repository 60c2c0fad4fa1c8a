"""Two models, or two ways to train one, on the same people."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np

from labkit.core.record import Dims, Record

Cells = Annotated[np.ndarray, Dims("metric", "group")]
EVERYBODY = "everybody"
WORSE, BETTER, HIGHER, LOWER = "worse", "better", "higher", "lower"
WITHIN, NOT_SHOWN, UNKNOWN = "within the margin", "no difference shown", "not measured"


@dataclass(frozen=True, kw_only=True)
class ModelComparison(Record):
    """The answers of b beside those of a, for the same people. Differences are b less a; not measured is nan; intervals
    are at 95 %.

    Attributes:
        a, b: the two models' names. runs_a, runs_b: (metric, run) the metric of each training run, over everybody.
        positive: the class that counts as positive; "" where no metric needs one.
        metrics, better: their names, and 1 where more is better, -1 where less is, 0 where neither is.
        methods: what each metric's interval and p are.
        margin: a difference that would not matter. alarm: how often like models may be called worse, or better.
        group, feature: "everybody" first, then each group and what it is a group by. n: (group,) its people.
        ranked: (group,) whether it is large enough to be judged (``least`` people).
        value_a, value_b, difference, low, high: each metric in each group; with several runs the mean over them.
        p, p_holm: of no difference, two-sided, and corrected for all judged groups and metrics.
        p_worse, p_better: of b being no worse (no better) than a by more than the margin, corrected likewise: by the
            largest of all differences when answers are exchanged row by row; with several runs by Holm.
        alarms, pairs: of so many further pairs made by exchanging answers, which are as good as each other, how many
            were called worse; 0 of 0 with several runs.
        error_rows, error_runs: (metric,) standard errors of the difference over everybody, from the choice of the rows
            and from the training runs; nan where one run a side leaves the latter unknown.
        both_right, only_a, only_b, both_wrong, other_answer: people, with one run a side; else -1.
    """

    a: str
    b: str
    runs_a: Annotated[np.ndarray, Dims("metric", "run_a")]
    runs_b: Annotated[np.ndarray, Dims("metric", "run_b")]
    positive: str
    metrics: tuple[str, ...]
    better: Annotated[np.ndarray, Dims("metric")]
    methods: tuple[str, ...]
    margin: float
    alarm: float
    least: int
    replicates: int
    group: tuple[str, ...]
    feature: tuple[str, ...]
    n: Annotated[np.ndarray, Dims("group")]
    ranked: Annotated[np.ndarray, Dims("group")]
    value_a: Cells
    value_b: Cells
    difference: Cells
    low: Cells
    high: Cells
    p: Cells
    p_holm: Cells
    p_worse: Cells
    p_better: Cells
    alarms: int
    pairs: int
    error_rows: Annotated[np.ndarray, Dims("metric")]
    error_runs: Annotated[np.ndarray, Dims("metric")]
    both_right: int
    only_a: int
    only_b: int
    both_wrong: int
    other_answer: int

    @property
    def one_run(self) -> bool:
        """Whether each side is one training run, so that the comparison is of two files."""
        return self.runs_a.shape[1] == self.runs_b.shape[1] == 1

    def verdict(self, metric: int, group: int) -> str:
        """What is said of b in one cell: "worse", "better" ("higher", "lower" where neither is good), "within the
        margin" where the whole interval is (two one-sided tests at 2.5 %: Schuirmann, 1987, doi 10.1007/BF01068419),
        "no difference shown", or "not measured"."""
        at = metric, group
        if np.isnan(self.difference[at]) or not self.ranked[group]:
            return UNKNOWN
        if self.better[metric] == 0 and self.p_holm[at] <= self.alarm and not self.within(metric, group):
            return HIGHER if self.difference[at] > 0 else LOWER
        if self.p_worse[at] <= self.alarm:
            return WORSE
        if self.p_better[at] <= self.alarm:
            return BETTER
        return WITHIN if self.within(metric, group) else NOT_SHOWN

    def within(self, metric: int, group: int) -> bool:
        """Whether the whole interval of a difference is within the margin."""
        return bool(self.margin > 0 and max(-self.low[metric, group], self.high[metric, group]) <= self.margin)
