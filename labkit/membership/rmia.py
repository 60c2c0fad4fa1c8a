"""Robust membership inference attack."""

from __future__ import annotations

from typing import Annotated

import numpy as np

from labkit.core.method import Range
from labkit.membership._signals import Population, likelihood, mean_over


def rmia(
    logits: np.ndarray,
    y: np.ndarray,
    shadow: np.ndarray,
    inside: np.ndarray,
    population: Population,
    *,
    online: Annotated[bool, "use the shadow models that saw the row as well"] = True,
    a: Annotated[
        float, Range(0, 1), "offline: how near a row's probability lies to what models that saw it give"
    ] = 0.3,
    gamma: Annotated[float, Range(0.1, 100, log=True), "by how much a row must outdo one of the population"] = 1.0,
) -> np.ndarray:
    """(n,) the share of a population that a row outdoes: whose label's probability, over that under shadow models, is less
    than the row's by ``gamma``. Needs fewer shadow models than ``lira``.

    The reference is the mean over models that saw the row and models that did not; offline the former are guessed as
    ``(1 - a) + a p`` of what models give that did not.

    Source: Zarifzadeh, Liu and Shokri, 2024, arXiv 2312.03262.
    """
    tiny = np.finfo(float).tiny
    p = likelihood(shadow, y)
    out = mean_over(p, ~inside, "rmia")
    seen = mean_over(p, inside, "rmia") if online else (1 - a) + a * out
    own = likelihood(logits, y) / np.maximum((seen + out) / 2, tiny)
    reference = np.maximum(likelihood(population.shadow, population.y).mean(0), tiny)
    others = np.sort(likelihood(population.logits, population.y) / reference)
    return np.searchsorted(others, own / gamma, side="left") / len(others)
