"""Sparse random search: which values to change, found without gradients."""

from __future__ import annotations

from typing import Annotated, Literal

import torch
from torch import Tensor

from labkit.attacks._search import Best, drawn
from labkit.core.draws import Draws
from labkit.core.method import Range
from labkit.models.classifier import Classifier

# Parts of the whole search after which fewer values are exchanged, and by what the first share is then divided.
_SLOWER = ((0.005, 2), (0.02, 4), (0.05, 5), (0.1, 6), (0.2, 8), (0.4, 10), (0.6, 12), (0.8, 15))


def sparse_search(
    model: Classifier,
    x: Tensor,
    y: Tensor,
    eps: float,
    norm: Literal["l0"],
    generator: Draws,
    *,
    queries: Annotated[int, Range(1, 100_000, log=True), "model answers asked for, for each row"] = 500,
    share: Annotated[float, Range(0.001, 1, log=True), "share of the changed values exchanged at first"] = 0.3,
) -> Annotated[Tensor, "queries"]:
    """Changes ``eps`` values to their bounds, exchanges some of them for others, and keeps what raises the margin.

    Needs the logits alone, so hidden gradients do not stop it. A value that is at a bound goes to the other one. Fewer
    values are exchanged as the search goes on. Rows leave when broken; every row draws its own values.

    Source: Croce, Andriushchenko, Singh, Flammarion and Hein, 2022, arXiv 2006.12834.
    """
    assert model.bounds
    size = x[0].numel()
    count = min(int(eps), size)
    best = Best(x, y)
    chosen = torch.zeros(len(x), size, dtype=torch.bool, device=x.device)
    for query in range(queries if count else 0):
        rows = best.rows
        if not len(rows):
            break
        here, stream = x[rows].flatten(1), generator[rows.cpu().numpy()].spawn(query)
        now = best.points[rows].flatten(1)
        exchanged = count if query == 0 else max(1, round(share / _divisor(query / queries) * count))
        places, fresh = _exchange(stream, chosen[rows], exchanged)
        points = torch.where(fresh, _bound(stream.spawn(2), here, model.bounds), now)
        points = torch.where(places, points, here).view(-1, *x.shape[1:])
        before = best.margin[rows]
        with torch.no_grad():
            best.offer(points, model(points))
        better = best.margin[rows] > before
        chosen[rows[better]] = places[better]
    return best.points


def _divisor(progress: float) -> int:
    """By what the share of exchanged values is divided at ``progress`` (0 to 1) through the search."""
    return max((by for at, by in _SLOWER if progress > at), default=1)


def _exchange(stream: Draws, chosen: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Places after ``count`` of the chosen were given up for as many others, and which of them are new."""
    key = drawn(stream.uniform(chosen.shape[1]), chosen)
    fresh = _highest(torch.where(chosen, -1.0, key), count) & ~chosen
    left = _highest(torch.where(chosen, key, -1.0), count) & chosen
    return (chosen & ~left) | fresh, fresh


def _highest(key: Tensor, count: int) -> Tensor:
    """A mask of the ``count`` highest keys of each row."""
    count = min(count, key.shape[1])
    return torch.zeros_like(key, dtype=torch.bool).scatter(1, key.topk(count).indices, True)


def _bound(stream: Draws, x: Tensor, bounds: tuple[float, float]) -> Tensor:
    """One of the two bounds for each value, the other one where the value is at a bound already."""
    low, high = bounds
    up = drawn(stream.uniform(x.shape[1]), x) < 0.5
    return torch.where((up | (x <= low)) & (x < high), high, low).to(x.dtype)
