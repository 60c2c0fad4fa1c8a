"""Whether a model's scores tell inputs like those it knows from others."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np

from labkit.core.record import Dims, Record

Cells = Annotated[np.ndarray, Dims("score", "shift")]
Scores = Annotated[np.ndarray, Dims("score")]
Shifts = Annotated[np.ndarray, Dims("shift")]


@dataclass(frozen=True, kw_only=True)
class OutOfDistribution(Record):
    """How well each score tells rows as they usually are from shifted ones. Intervals are at 95 %.

    The rows are dealt in two halves. One is kept as it is; what is made from rows (a corruption, noise, a shuffle) is made
    from the other, which also serves, unchanged, as the control.

    Attributes:
        scores: their names; higher is more familiar.
        shifts, far: what the rows are told from, and whether it is a far shift (else a near one).
        n: rows of each shift. known, held: rows of the half that is kept, and of the other.
        auroc, low, high: how often a known row scores above a shifted one (DeLong); 0.5 is chance, below 0.5 the shifted
            rows look more familiar than the known ones.
        accepted, accepted_low, accepted_high: the share of shifted rows that is taken for familiar where 95 % of the known
            rows are (FPR at 95 % TPR); the interval allows for the threshold, which the known rows set.
        control, control_low, control_high: the area between the two halves: 0.5 but for chance.
        accuracy: (shift,) right answers to corrupted rows; nan where rows have no true class.
        confidence: (shift,) mean probability of the answers. known_accuracy, known_confidence: of the known rows.
        layer, neighbor, background: where features are taken, which neighbor's distance counts, and how many rows they
            are compared with; "", 0 and 0 where no score needs them.
        severity: of corruptions.
    """

    scores: tuple[str, ...]
    shifts: tuple[str, ...]
    far: Shifts
    n: Shifts
    known: int
    held: int
    auroc: Cells
    low: Cells
    high: Cells
    accepted: Cells
    accepted_low: Cells
    accepted_high: Cells
    control: Scores
    control_low: Scores
    control_high: Scores
    accuracy: Shifts
    confidence: Shifts
    known_accuracy: float
    known_confidence: float
    layer: str
    neighbor: int
    background: int
    severity: int
