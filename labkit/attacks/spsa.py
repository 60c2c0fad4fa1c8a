"""SPSA and NES: gradient steps without gradients, from how the margin differs on both sides of the row."""

from __future__ import annotations

from typing import Annotated, Literal

import torch
from torch import Tensor

from labkit.attacks import _losses
from labkit.attacks._search import Best, direction, drawn, inside, project
from labkit.core.draws import Draws
from labkit.core.method import Range
from labkit.models.classifier import Classifier

KEPT, KEPT_SQUARES = 0.9, 0.999  # of Adam's means


def spsa(
    model: Classifier,
    x: Tensor,
    y: Tensor,
    eps: float,
    norm: Literal["linf", "l2"],
    generator: Draws,
    batch_size: int,
    *,
    steps: Annotated[int, Range(1, 1000, log=True), "steps"] = 30,
    draws: Annotated[int, Range(1, 10_000, log=True), "random ways a step, each asked about on both sides"] = 32,
    width: Annotated[float, Range(1e-4, 1, log=True), "how far aside each value is asked about; 1 is the range"] = 0.01,
    way: Annotated[
        Literal["spsa", "nes"], "spsa: ways of signs, steps by Adam; nes: normal ways, steps along the momentum"
    ] = "spsa",
) -> Annotated[Tensor, "queries"]:
    """Climbs the margin along an estimated gradient: the mean of random ways, times how the margin differs along them.

    Needs the logits alone, so gradients that are hidden or rounded away do not stop it: what changes over ``width`` counts.
    It starts at a random point of the ball, and rows leave when broken.

    Source: Uesato, O'Donoghue, van den Oord and Kohli, 2018, arXiv 1802.05666 (SPSA: Spall, 1992, doi 10.1109/9.119632);
    "nes": Ilyas, Engstrom, Athalye and Lin, 2018, arXiv 1804.08598.
    """
    best, bounds = Best(x, y), model.bounds
    aside = width * (bounds[1] - bounds[0] if bounds else 1.0)
    points = project(inside(generator, x, eps, norm), x, eps, norm, bounds)
    mean, square = torch.zeros_like(x), torch.zeros_like(x)
    for step in range(steps + 1):
        rows = best.rows
        with torch.no_grad():
            best.offer(points[rows], model(points[rows]))
        rows = best.rows
        if step == steps or not len(rows):
            break
        stream = generator[rows.cpu().numpy()].spawn(step + 1)
        gradient = _slope(model, points[rows], y[rows], stream, draws, aside, way == "nes", batch_size)
        mean[rows] = KEPT * mean[rows] + (1 - KEPT) * gradient
        square[rows] = KEPT_SQUARES * square[rows] + (1 - KEPT_SQUARES) * gradient**2
        climbed = mean[rows]
        if way == "spsa":
            spread = (square[rows] / (1 - KEPT_SQUARES ** (step + 1))).sqrt()
            climbed = climbed / (1 - KEPT ** (step + 1)) / spread.clamp_min(1e-30)
        # Adam's steps are long where they agree: under "linf" they are cut to the length of a sign.
        ahead = climbed.clamp(-1, 1) if way == "spsa" and norm == "linf" else direction(climbed, norm)
        points[rows] = project(points[rows] + 4 * eps / steps * ahead, x[rows], eps, norm, bounds)
    return best.points


def _slope(
    model: Classifier, x: Tensor, y: Tensor, stream: Draws, draws: int, aside: float, normal: bool, batch_size: int
) -> Tensor:
    """The estimated gradient of the margin, from ``draws`` pairs of answers a row."""
    total = torch.zeros_like(x)
    for some in torch.arange(draws).split(max(1, batch_size // (2 * len(x)))):
        streams = [stream.spawn(k) for k in some.tolist()]
        ways = torch.stack([drawn((s.normal if normal else s.signs)(*x.shape[1:]), x) for s in streams]).to(x.dtype)
        points = torch.stack([x + aside * ways, x - aside * ways]).flatten(0, 2)
        with torch.no_grad():
            logits = torch.cat([model(part).float() for part in points.split(batch_size)])
        ahead, behind = _losses.margin(logits, y.repeat(2 * len(some))).view(2, len(some), len(x))
        total += ((ahead - behind).view(*ahead.shape, *[1] * (x.ndim - 1)) * ways).sum(0)
    return total / (2 * aside * draws)
