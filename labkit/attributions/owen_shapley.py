"""Owen values: Shapley values among features that belong together."""

from __future__ import annotations

from typing import Annotated

import torch
from torch import Tensor

from labkit.attributions._coalitions import Games, Shares, credited, games, or_exact, uniform_place
from labkit.attributions._permutations import FIRST, by_orders
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
        the ``standard_error`` of each value, from the spread between pairs of orders, the ``samples`` that each row took:
        at least eight pairs of orders, or all coalitions where these are few, and then the values are exact; and whether
        it ``reached`` the tolerance.
    """
    region, tree = hierarchy(model, x, features, cells)

    def ordering(draws: Draws, feature: Tensor) -> Tensor:
        order = torch.arange(feature.shape[1], device=feature.device).expand(feature.shape)
        for level in reversed(range(len(tree))):  # sorted by the leaves first, by the first branches last
            lot = torch.from_numpy(draws.spawn(level).uniform(int(tree[level].max()) + 1)).to(feature.device)
            drawn = lot.gather(1, tree[level][feature]).gather(1, order)
            order = order.gather(1, drawn.argsort(dim=1, stable=True))
        return order.argsort(1)

    def solve(game: Games) -> Shares:
        first = 2 * (game.players - 1) * FIRST
        return or_exact(
            game,
            first,
            max_samples,
            tolerance,
            lambda g, most: by_orders(g, ordering, tolerance, most),
            lambda g, inside: _weights(tree, g.feature, inside),
        )

    start = games(model, x, target, baseline, region, generator, batch_size)
    return credited(x, start, solve, tolerance)


def _weights(tree: Tensor, feature: Tensor, inside: Tensor) -> Tensor:
    """(rows, coalitions, players) the chance that a coalition's members but the player are who came before it; with the
    other sign for a player that is no member.

    At each level the branches beside the player's own are each there whole or not at all, with the chance that those
    come before its own in a random order.
    """
    above = torch.ones(*feature.shape, feature.shape[1], dtype=torch.bool, device=feature.device)
    weight = torch.ones(len(feature), *inside.shape, dtype=torch.float64, device=feature.device)
    for level in tree:
        node = level[feature]
        here = node[:, :, None] == node[:, None]
        size = here.sum(2).double()[:, None]
        count = (here.double() @ inside.double().T).mT  # (rows, coalitions, players) members in the player's own branch
        beside = (above & ~here).double()  # from players to players, the same either way round
        torn = ((count > 0) & (count < size)).double() @ beside > 0
        before, among = (inside / size) @ beside, 1 + (1 / size) @ beside
        weight *= uniform_place(before, among).masked_fill(torn, 0)
        above = here
    return torch.where(inside, weight, -weight)
