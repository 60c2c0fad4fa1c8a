"""Recommendation: which attribution is most faithful for one model and its inputs, and how sure that is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np

from labkit.core.record import Dims, Record


@dataclass(frozen=True, kw_only=True)
class Recommendation(Record):
    """Attributions side by side on the same examples, judged by the same scores. Intervals are at 95 %.

    Attributes:
        model: its name. n: examples.
        budget, unit: what was allowed, in "seconds" or "passes" (rows through the model; with gradient, three).
        passes: what it took, in passes.
        methods: those that were judged, best first.
        excluded, reasons: those that were not, and why each. unaffordable: which of these for want of budget alone.
        cost: passes of each judged method with its scores.
        scores: what was measured, by name; better: "lower" or "higher"; struck: why a score does not count, "" where it
            does.
        value: each method's mean of each score; nan where it does not apply.
        control: the same of maps that explain nothing, named by ``controls``.
        skill: each method's mean over the scores that count, 0 for a random map and 1 for the best method by each;
            skill_low, skill_high: its interval over the examples.
        win: the share of bootstrap resamples of the examples in which the method has the largest skill.
        agreement: Spearman's correlation of the sizes of two methods' maps; it counts for nothing.
        choice: the method with the largest skill; "" where nothing can be judged.
        rivals: methods that it is not told apart from.
        lead, lead_low, lead_high: how far its skill is ahead of the next method's, example by example.
    """

    model: str
    n: int
    budget: float
    unit: str
    passes: int
    methods: tuple[str, ...]
    excluded: tuple[str, ...]
    reasons: tuple[str, ...]
    unaffordable: tuple[str, ...]
    cost: Annotated[np.ndarray, Dims("method")]
    scores: tuple[str, ...]
    better: tuple[str, ...]
    struck: tuple[str, ...]
    value: Annotated[np.ndarray, Dims("method", "score")]
    controls: tuple[str, ...]
    control: Annotated[np.ndarray, Dims("control", "score")]
    skill: Annotated[np.ndarray, Dims("method")]
    skill_low: Annotated[np.ndarray, Dims("method")]
    skill_high: Annotated[np.ndarray, Dims("method")]
    win: Annotated[np.ndarray, Dims("method")]
    agreement: Annotated[np.ndarray, Dims("method", "other")]
    choice: str
    rivals: tuple[str, ...]
    lead: float
    lead_low: float
    lead_high: float

    @property
    def conclusive(self) -> bool:
        """Whether the choice is told apart from every other method that was judged; a single one is told apart from none."""
        return len(self.methods) > 1 and bool(self.choice) and not self.rivals
