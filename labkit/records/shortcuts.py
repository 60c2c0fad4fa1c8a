"""Cues that are cheap to read, and how far a model's answers hang on each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np

from labkit.core.record import Dims, Record

PerCue = Annotated[np.ndarray, Dims("cue")]
Ends = tuple[float, float, float]


@dataclass(frozen=True, kw_only=True)
class Shortcuts(Record):
    """What each cue tells of the label by itself, and what the model does when it is exchanged. Intervals are at 95 %.

    A cue's *answer* is the most frequent training label at its level (ten levels of a number, a category, a
    kind of patch, a word there or not). It *agrees* with a test row when that is the row's label.

    Attributes:
        model, classes: names. n_train, n_test: rows. n_exchanged: test rows in which cues were exchanged.
        accuracy: (value, low, high) of the model on the test rows, Wilson. majority: the share of the label most frequent
            in training, among them.
        cues: names. column: whether a cue is a column or a word, which a model may read by right.
        p: of independence of cue and label in training (chi-square), Holm's over all cues.
        alone, alone_low, alone_high: accuracy of the cue's answer on the test rows (Wilson).
        share: how much of what the model has over the majority's share the cue has by itself, with its bootstrap ends
            share_low, share_high; nan where the model has nothing.
        agree, disagree: rows where the cue agrees and where not. right, wrong: the model's accuracy on each; gap,
            gap_low, gap_high: the first less the second (Newcombe); nan where a cue says one class only.
        worst, worst_low, worst_high, worst_n, worst_group: the least accuracy over levels and labels with at least
            ``least`` rows, as worst-group accuracy (Sagawa et al., 2020, arXiv 1911.08731).
        excess, excess_low, excess_high: how much more the model's probabilities go with the cue than the labels do, as
            difference of Cramer's V on the test rows, bootstrap.
        follow_class: the class that answers turn to with the cue most surely, -1 where it was not measured.
        follow, follow_low, follow_high: the share of rows whose answer becomes what the cue says when the cue is taken
            from a training row that says so, less that when it is taken from one that says something else (paired, Bonett
            and Price), at the level of the cue where that is surest, corrected for the levels tried; nan where a cue cannot be exchanged or says one class only.
    """

    model: str
    classes: tuple[str, ...]
    n_train: int
    n_test: int
    n_exchanged: int
    accuracy: Ends
    majority: float
    least: int
    cues: tuple[str, ...]
    column: PerCue
    p: PerCue
    alone: PerCue
    alone_low: PerCue
    alone_high: PerCue
    share: PerCue
    share_low: PerCue
    share_high: PerCue
    agree: PerCue
    disagree: PerCue
    right: PerCue
    wrong: PerCue
    gap: PerCue
    gap_low: PerCue
    gap_high: PerCue
    worst: PerCue
    worst_low: PerCue
    worst_high: PerCue
    worst_n: PerCue
    worst_group: tuple[str, ...]
    excess: PerCue
    excess_low: PerCue
    excess_high: PerCue
    follow: PerCue
    follow_low: PerCue
    follow_high: PerCue
    follow_class: PerCue
