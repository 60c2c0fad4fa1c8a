"""The Square attack: random search, without gradients."""

from __future__ import annotations

from typing import Annotated, Literal

import torch
from torch import Tensor

from labkit.attacks import _squares
from labkit.attacks._search import Best, Bounds, column, project, radii
from labkit.core.draws import Draws
from labkit.core.method import Range
from labkit.models.classifier import Classifier


def square(
    model: Classifier,
    x: Tensor,
    y: Tensor,
    eps: float,
    norm: Literal["linf", "l2", "l1", "l0", "noise_to_signal"],
    generator: Draws,
    *,
    queries: Annotated[int, Range(1, 20_000, log=True), "model answers asked for, for each row"] = 500,
    share: Annotated[float, Range(0.001, 1, log=True), "share of the pixels changed by the first squares"] = 0.8,
) -> Annotated[Tensor, "queries"]:
    """Changes one random square at a time and keeps the change when the margin grows. Rows leave when broken.

    Needs the logits alone, so hidden gradients do not stop it. Inputs that are not images are treated as one row of
    pixels. Every row draws its own squares. Under "l0" there are no squares: a share of the changed values is taken back
    and as many others are set to a bound.

    Source: Andriushchenko, Croce, Flammarion and Hein, 2020, arXiv 1912.00049 (algorithms 1 to 3); "l1": Croce and Hein,
    2021, arXiv 2103.01208; "l0": Croce, Andriushchenko, Singh, Flammarion and Hein, 2022, arXiv 2006.12834.
    """
    best = Best(x, y)
    as_image = x.shape if x.ndim == 4 else (len(x), 1, 1, x[0].numel())
    for query in range(queries):
        rows = best.rows
        if not len(rows):
            break
        here, stream = x[rows], generator[rows.cpu().numpy()].spawn(query)
        image, now = (v.reshape(-1, *as_image[1:]) for v in (here, best.points[rows]))
        size = _squares.shrunk(share, query / queries) if query else None
        budget = column(radii(here, eps, norm), image) if norm == "noise_to_signal" else eps
        points = image + _proposed(stream, image, now - image, budget, norm, size, model.bounds)
        points = project(points.reshape(here.shape), here, eps, norm, model.bounds)
        with torch.no_grad():
            best.offer(points, model(points))
    return best.points


def _proposed(
    generator: Draws, image: Tensor, delta: Tensor, eps: float | Tensor, norm: str, share: float | None, bounds: Bounds
) -> Tensor:
    """The next perturbation from the best one so far; without a share the first one."""
    if norm == "linf":
        return _squares.linf(generator, delta, eps, share) if share else _squares.stripes(generator, image, eps)
    if norm == "l0":
        assert isinstance(eps, float | int)
        if share:
            return _squares.swapped(generator, image, delta, eps, share, bounds)
        return _squares.scattered(generator, image, eps, bounds)
    p = 1 if norm == "l1" else 2
    if share:
        return _squares.moved(generator, delta, eps, share, p)
    # Under "l1" the bounds cut much of the low parts of a bump: a longer one is cut to the budget by the projection.
    return _squares.bumps(generator, image, eps, p) * (3 if p == 1 else 1)
