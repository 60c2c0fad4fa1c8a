"""Owen values: Shapley values among features that belong together."""

from __future__ import annotations

from typing import Annotated

import torch
from torch import Tensor

from labkit.attributions._coalitions import credited, games
from labkit.attributions._permutations import by_orders
from labkit.attributions._regions import hierarchy
from labkit.core.draws import Draws
from labkit.core.method import Range
from labkit.models.classifier import Classifier


def owen_shapley(
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
    """What a feature adds to those that came before it, on average over the orders in which each group of features comes
    in together, groups of groups likewise (Owen, 1977, doi 10.1007/978-3-642-45494-3_7; for many levels Winter, 1989,
    International Journal of Game Theory 18). Coalitions are then whole regions, more like inputs than scattered features.

    Here ``features`` are the groups: pixels of one object, columns of one kind. Without them a picture's cells are
    grouped by quadrants, words and stretches of a signal by halves, a picture beside its words against these; a
    table's columns stand alone, and the values are Shapley's. Orders are drawn with their opposites.

    Returns:
        Like x, in units of the score, adding up to its change from baseline to x, within a group to what the group adds;
        the ``standard_error`` of each value and the ``samples`` that each row took: at least two pairs of orders.
    """
    region, tree = hierarchy(model, x, features, cells)

    def ordering(draws: Draws, feature: Tensor) -> Tensor:
        order = torch.arange(feature.shape[1], device=feature.device).expand(feature.shape)
        for level in reversed(range(len(tree))):  # sorted by the leaves first, by the first branches last
            lot = torch.from_numpy(draws.spawn(level).uniform(int(tree[level].max()) + 1)).to(feature.device)
            drawn = lot.gather(1, tree[level][feature]).gather(1, order)
            order = order.gather(1, drawn.argsort(dim=1, stable=True))
        return order.argsort(1)

    start = games(model, x, target, baseline, region, generator, batch_size)
    return credited(x, start, lambda game: by_orders(game, ordering, tolerance, max_samples))
