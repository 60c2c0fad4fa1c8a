"""Likelihood ratio attack, offline."""

from __future__ import annotations

from typing import Annotated

import numpy as np

from labkit.core.method import Range
from labkit.membership._signals import margin, mean_over, spread_over


def lira_offline(
    logits: np.ndarray,
    y: np.ndarray,
    shadow: np.ndarray,
    inside: np.ndarray,
    *,
    least: Annotated[int, Range(3, 10_000), "shadow models without a row from which its spread is its own"] = 32,
) -> np.ndarray:
    """(n,) how many standard deviations the model's margin lies above that of shadow models that never saw the row: they
    can be trained before anyone knows about whom will be asked.

    Source: Carlini et al., 2022, arXiv 2112.03570, section V-C.
    """
    others = margin(shadow, y)
    mean = mean_over(others, ~inside, "lira_offline")
    return np.asarray((margin(logits, y) - mean) / spread_over(others, ~inside, mean, least))
