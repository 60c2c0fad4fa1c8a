"""Permutation Shapley: what each feature adds when features come in one by one, over orders drawn in opposite pairs."""

from __future__ import annotations

from typing import Annotated

import torch
from torch import Tensor

from labkit.attributions._coalitions import Games, Shares, credited, games, or_exact
from labkit.attributions._permutations import FIRST, by_orders
from labkit.attributions._regions import regions
from labkit.core.draws import Draws
from labkit.core.method import Range
from labkit.models.classifier import Classifier


def permutation_shapley(
    model: Classifier,
    x: Tensor,
    target: Tensor,
    baseline: Tensor,
    features: Tensor | None,
    generator: Draws,
    batch_size: int,
    *,
    tolerance: Annotated[
        float, Range(1e-4, 1, log=True), "standard error at which a row is done, of its change"
    ] = 0.02,
    max_samples: Annotated[int, Range(16, 65536, log=True), "coalitions after which a row is left as it is"] = 2048,
    cells: Annotated[int, Range(1, 64), "superpixels along each side, for images"] = 7,
) -> Annotated[tuple[Tensor, dict[str, Tensor]], "complete"]:
    """Shapley values of the target's score, with absent features at the baseline's values: the mean of what a feature
    adds to those that came before it (Castro, Gómez and Tejada, 2009, doi 10.1016/j.cor.2008.04.004), over orders and
    their opposites (Mitchell, Cooper, Frank and Holmes, 2022, arXiv 2104.12199), which are exact for interactions of two.

    Unlike a regression it is unbiased at any number of orders. Features are those of ``kernel_shap``.

    Returns:
        Like x, in units of the score, adding up to its change from baseline to x; the ``standard_error`` of each value,
        from the spread between pairs of orders, the ``samples`` that each row took: at least eight pairs of orders,
        or all coalitions where these are few, and then the values are exact; and whether it ``reached`` the tolerance.
    """

    def ordering(draws: Draws, feature: Tensor) -> Tensor:
        lot = torch.from_numpy(draws.uniform(feature.shape[1])).to(feature.device)
        return lot.argsort(1)

    def solve(game: Games) -> Shares:
        first = 2 * (game.players - 1) * FIRST
        return or_exact(game, first, max_samples, tolerance, lambda g, most: by_orders(g, ordering, tolerance, most))

    start = games(model, x, target, baseline, regions(model, x, features, cells), generator, batch_size)
    return credited(x, start, solve, tolerance)
