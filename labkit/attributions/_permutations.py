"""Credits by the order in which players come in: the mean of what each adds, over orders drawn in opposite pairs."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from labkit.attributions._coalitions import Games, Shares, doubling, in_rounds
from labkit.core.draws import Draws

FIRST = 8  # pairs of orders before errors are looked at, and the least: the spread of fewer says too little
# (random numbers of each row, players' features) -> (rows, players) the place at which each comes in
Ordering = Callable[[Draws, Tensor], Tensor]


def by_orders(game: Games, ordering: Ordering, tolerance: float, max_samples: int) -> Shares:
    """Credits, standard errors from the spread between pairs, and the coalitions asked for."""
    m, draws = game.players, game.draws
    assert draws is not None
    each = 2 * (m - 1)  # coalitions of a pair: with nobody and with everybody the score is known

    def grow(rows: Tensor, sums: Tensor | None, done: int, count: int) -> Tensor:
        """(rows, 2, players): sums of what each player adds and of its square."""
        part, stream = game.part(rows), draws[rows.cpu().numpy()]
        sums = torch.zeros(len(rows), 2, m, dtype=torch.float64, device=rows.device) if sums is None else sums
        together = max(1, game.batch_size // (max(1, each) * len(rows)))
        for pair in range(done, count, together):
            drawn = range(pair, min(pair + together, count))
            place = torch.stack([ordering(stream.spawn(i), part.feature) for i in drawn], 1)
            added = _added(part, place)
            sums = sums + torch.stack([added.sum(1), added.square().sum(1)], 1)
        return sums

    def read(_rows: Tensor, sums: Tensor, count: int) -> tuple[Tensor, Tensor]:
        mean = sums[:, 0] / count
        spread = (sums[:, 1] / count - mean.square()).clamp_min(0)
        return mean, widened(count - 1) * (spread / (count - 1)).sqrt()

    counts = doubling(FIRST, max(FIRST, max_samples // max(1, each)))
    credit, error, used = in_rounds(game.change, counts, grow, read, tolerance)
    return credit, error, each * used


def widened(freedom: int) -> float:
    """By what a standard error is enlarged, so that the estimate is within two of it in 95.4 % of the cases though it is
    itself estimated: half of Student's quantile (its expansion; Fisher and Cornish, 1960, doi 10.2307/1266546)."""
    return 1 + 1.25 / freedom + 1.53 / freedom**2


def _added(game: Games, place: Tensor) -> Tensor:
    """(rows, orders, players) what each player adds, averaged over an order and its opposite."""
    r, orders, m = place.shape

    def inside(row: Tensor, number: Tensor) -> Tensor:
        order, step = number // (2 * (m - 1)), number % (2 * (m - 1))
        early = place[row, order] < (step % (m - 1) + 1)[:, None]
        return early ^ (step >= m - 1)[:, None]  # who comes in late is who comes in early in the opposite order

    worth = game.values(orders * 2 * (m - 1), inside).reshape(r, orders, 2, m - 1)
    nobody, everybody = (v[:, None, None].expand(r, orders, 1) for v in (game.empty, game.full))
    forward = torch.cat([nobody, worth[:, :, 0], everybody], 2).diff()
    backward = -torch.cat([everybody, worth[:, :, 1], nobody], 2).diff()
    return ((forward + backward) / 2).gather(2, place)
