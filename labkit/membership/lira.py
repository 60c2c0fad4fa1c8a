"""Likelihood ratio attack, online."""

from __future__ import annotations

from typing import Annotated

import numpy as np

from labkit.core.method import Range
from labkit.membership._signals import margin, mean_over, spread_over


def lira(
    logits: np.ndarray,
    y: np.ndarray,
    shadow: np.ndarray,
    inside: np.ndarray,
    *,
    least: Annotated[
        int, Range(3, 10_000), "shadow models with, and without, a row from which its spread is its own"
    ] = 32,
) -> np.ndarray:
    """(n,) log-likelihood ratio of the model's margin (log p / (1 - p) of the label) under two normal distributions: of
    shadow models that saw the row, and of those that did not.

    With few shadow models a row's own spread is mostly noise: one for all rows is then taken, from their deviations.

    Source: Carlini, Chien, Nasr, Song, Terzis and Tramèr, 2022, arXiv 2112.03570.
    """
    own, others = margin(logits, y), margin(shadow, y)
    score = np.zeros(len(own))
    for among, sign in ((inside, 1), (~inside, -1)):
        mean = mean_over(others, among, "lira")
        spread = spread_over(others, among, mean, least)
        score -= sign * (((own - mean) / spread) ** 2 / 2 + np.log(spread))
    return score
