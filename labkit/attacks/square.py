"""The Square attack: random search, without gradients."""

from __future__ import annotations

from typing import Annotated, Literal

import torch
from torch import Tensor

from labkit.attacks import _squares
from labkit.attacks._search import Best, project
from labkit.core.draws import Draws
from labkit.core.method import Range
from labkit.models.classifier import Classifier


def square(
    model: Classifier,
    x: Tensor,
    y: Tensor,
    eps: float,
    norm: Literal["linf", "l2"],
    generator: Draws,
    *,
    queries: Annotated[int, Range(1, 20_000, log=True), "model answers asked for, for each row"] = 500,
    share: Annotated[float, Range(0.001, 1, log=True), "share of the pixels changed by the first squares"] = 0.8,
) -> Tensor:
    """Changes one random square at a time and keeps the change when the margin grows. Rows leave when broken.

    Needs the logits alone, so hidden gradients do not stop it. Inputs that are not images are treated as one row of
    pixels. Every row draws its own squares.

    Source: Andriushchenko, Croce, Flammarion and Hein, 2020, arXiv 1912.00049 (algorithms 1 to 3).
    """
    assert model.bounds
    best = Best(x, y)
    as_image = x.shape if x.ndim == 4 else (len(x), 1, 1, x[0].numel())
    propose = _squares.linf if norm == "linf" else _squares.l2
    begin = _squares.stripes if norm == "linf" else _squares.bumps
    for query in range(queries):
        rows = best.rows
        if not len(rows):
            break
        here, stream = x[rows], generator[rows.cpu().numpy()].spawn(query)
        image, shape = here.reshape(-1, *as_image[1:]), here.shape
        if query == 0:
            points = image + begin(stream, image, eps)
        else:
            now = best.points[rows].reshape(image.shape)
            points = image + propose(stream, now - image, eps, _squares.shrunk(share, query / queries))
        points = project(points.reshape(shape), here, eps, norm, model.bounds)
        with torch.no_grad():
            best.offer(points, model(points))
    return best.points
