"""Guided integrated gradients: along a path that changes first what the output hardly feels."""

from __future__ import annotations

from typing import Annotated

import torch
from torch import Tensor

from labkit.attributions._passes import WITHOUT_GRADIENTS, gradient
from labkit.attributions._quadrature import integrate
from labkit.core.method import Range
from labkit.models.classifier import Classifier, Forward

BEFORE = 2.0**-20  # how far before a bend of the path its last point stands


def guided_ig(
    model: Classifier,
    x: Tensor,
    target: Tensor,
    baseline: Tensor,
    batch_size: int,
    *,
    fraction: Annotated[float, Range(0.01, 1), "share of the entries that move at once"] = 0.1,
    anchors: Annotated[int, Range(0, 64), "points of the straight line that the path must pass"] = 4,
    bends: Annotated[int, Range(1, 1024, log=True), "straight pieces of the path from one anchor to the next"] = 8,
    tolerance: Annotated[float, Range(1e-4, 0.5, log=True), "completeness gap at which a row is done"] = 0.02,
    max_steps: Annotated[int, Range(2, 65536, log=True), "steps after which a row is left as it is"] = 2048,
) -> Annotated[tuple[Tensor, dict[str, Tensor]], "complete", "relaxed"]:
    """Gradients integrated along a path on which, piece by piece, the ``fraction`` of the entries with the smallest
    gradients goes to the input first, so that regions of noise are passed where they say least (Kapishnikov et al.,
    2021, arXiv 2106.09788). Each piece takes an equal share of the distance between two anchors in the 1-norm.

    The path is laid once, and then integrated with as many points as each row needs, as integrated gradients are.

    Returns:
        Values like x in logits, and the ``steps`` of the integral that each row took.
    """
    model.require("gradients", by="guided_ig", instead=WITHOUT_GRADIENTS)
    z, forward = model.relax(x)
    start, _ = model.relax(baseline)
    nodes = _lay(forward, target, start, z, fraction, anchors + 1, bends)
    pieces = len(nodes) - 1

    def path(rows: Tensor, at: Tensor) -> tuple[Tensor, Tensor]:
        piece = (at * pieces).long().clamp(max=pieces - 1)
        here, way = nodes[piece, rows], nodes[piece + 1, rows] - nodes[piece, rows]
        share = (at * pieces - piece).reshape(-1, *[1] * (z.ndim - 1))
        return (here + share * way).to(z), (pieces * way).to(z)

    ends = torch.arange(pieces, dtype=torch.float64)[:, None] + torch.tensor([0, 1 - BEFORE], dtype=torch.float64)
    grid = torch.cat([ends.flatten() / pieces, torch.ones(1, dtype=torch.float64)])
    found = integrate(model, x, target, path, grid, tolerance=tolerance, max_steps=max_steps, batch_size=batch_size)
    return found.values, {"steps": found.steps}


def _lay(
    forward: Forward, target: Tensor, start: Tensor, end: Tensor, fraction: float, legs: int, bends: int
) -> Tensor:
    """(legs * bends + 1, n, ...) the ends of the path's pieces, in float64: shorter numbers may never reach a place."""
    kind = end.dtype
    start, end = start.double(), end.double()
    nodes = [start]
    for leg in range(1, legs + 1):
        goal = end if leg == legs else start + leg / legs * (end - start)
        length = (goal - nodes[-1]).flatten(1).abs().sum(1)
        for piece in range(1, bends):
            size = gradient(forward, nodes[-1].to(kind), target).abs().nan_to_num(torch.inf)
            at, aim, small = (part.flatten(1) for part in (nodes[-1], goal, size))
            nodes.append(_piece(at, aim, small, length * (1 - piece / bends), fraction).reshape(start.shape))
        nodes.append(goal)
    return torch.stack(nodes)


def _piece(at: Tensor, goal: Tensor, size: Tensor, left: Tensor, fraction: float) -> Tensor:
    """The next place, from which ``left`` (n,) of the way to the goal remains; the smallest sizes move first."""
    while True:
        way = (goal - at).abs()
        need = way.sum(1) - left
        moving = (way > 0) & (need > 1e-4 * left)[:, None]
        if not moving.any():
            return at
        ranked = torch.where(moving, size, torch.inf)
        last = ((moving.sum(1) * fraction).ceil().long() - 1).clamp_min(0)
        chosen = moving & (ranked <= ranked.sort(1).values.gather(1, last[:, None]))
        share = (need / (way * chosen).sum(1).clamp_min(torch.finfo(way.dtype).tiny)).clamp(0, 1)[:, None]
        # an entry that goes all the way is put there: a difference of rounding would never be over
        moved = torch.where(share == 1, goal, at + share * (goal - at))
        at = torch.where(chosen, moved, at)
