"""Whether a model makes more of the tie between group and class than there is in the data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np

from labkit.core.record import Dims, Record

PerMeasure = Annotated[np.ndarray, Dims("measure")]
PerTerm = Annotated[np.ndarray, Dims("measure", "group", "class")]


@dataclass(frozen=True, kw_only=True)
class BiasAmplification(Record):
    """Directional bias amplification (Wang and Russakovsky, 2021, arXiv 2102.12594): 0 is ideal, above it answers follow
    the group more than the truth does, below it less. From -1 to 1; intervals are at 95 %.

    A *measure* is a direction and what it is held against. In the direction "A->T" the classes are predicted and their
    rates among each group are compared, in "T->A" the groups are predicted and their shares among each class. The
    reference is "test" (the truth of the same people) or "train" (the training data).

    Attributes:
        feature, groups, classes: the sensitive feature, its groups, and the classes of the task.
        n: people. count: (group,) of them; the others' group is unknown.
        people: (group, class) people by group and true class.
        runs: training runs; replicates: bootstrap draws and permutations.
        direction, reference: of each measure.
        value, low, high: the mean over runs, with an interval over people, and over runs where there are several.
        by_run: the value of each run.
        runs_sd, people_sd: the standard deviation of the runs' values (nan for one), and the standard error of
            the mean that comes from which people there are.
        null_mean, null_low, null_high: the value, and its middle 95 %, of runs with the same errors in each class dealt
            at random over the groups. It is below 0 where errors wash the tie out.
        p: how often such runs have a value at least as high.
        term, term_low, term_high: the value by group and class, of which ``value`` is the mean; nan where it has no people.
        sign: 1 where group and class occur together more often than if they were independent, -1 where less, 0 where as
            often. sure: whether that is beyond chance (chi-square, 5 %).
        counted: whether a term is in the mean: terms of few people are shown, not counted.
    """

    feature: str
    groups: tuple[str, ...]
    classes: tuple[str, ...]
    n: int
    count: Annotated[np.ndarray, Dims("group")]
    people: Annotated[np.ndarray, Dims("group", "class")]
    runs: int
    replicates: int
    direction: tuple[str, ...]
    reference: tuple[str, ...]
    value: PerMeasure
    low: PerMeasure
    high: PerMeasure
    by_run: Annotated[np.ndarray, Dims("measure", "run")]
    runs_sd: PerMeasure
    people_sd: PerMeasure
    null_mean: PerMeasure
    null_low: PerMeasure
    null_high: PerMeasure
    p: PerMeasure
    term: PerTerm
    term_low: PerTerm
    term_high: PerTerm
    sign: PerTerm
    sure: PerTerm
    counted: PerTerm
