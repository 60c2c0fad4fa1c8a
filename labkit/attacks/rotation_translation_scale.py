"""Turning, moving and zooming an image."""

from __future__ import annotations

import math
from typing import Annotated, Literal

import torch
from torch import Tensor

from labkit.attacks._moves import refined, require, turned, uniform, within
from labkit.core.draws import Draws
from labkit.core.method import Range
from labkit.data.schema import Schema
from labkit.models.classifier import Classifier


def rotation_translation_scale(
    model: Classifier,
    x: Tensor,
    y: Tensor,
    eps: float,
    generator: Draws,
    schema: Schema,
    batch_size: int,
    *,
    degrees: Annotated[float, Range(0, 180), "largest turn at eps 1, either way"] = 30.0,
    shift: Annotated[float, Range(0, 1), "largest move at eps 1, as a share of the height and of the width"] = 0.1,
    scale: Annotated[float, Range(0, 1), "largest zoom at eps 1: by 1 + scale, or by 1 over that"] = 0.1,
    rim: Annotated[Literal["border", "black"], "what enters: the border's own pixels, or the lowest value"] = "border",
    tries: Annotated[int, Range(1, 10_000, log=True), "random moves tried first, and in each round"] = 30,
    rounds: Annotated[int, Range(0, 20), "rounds of random moves around the best so far"] = 4,
) -> Annotated[Tensor, "queries"]:
    """The most adversarial way to turn, move and zoom each image, within limits that grow in proportion to eps.

    A grid of the extreme turns and moves comes first, then random ones, then ever smaller changes of the best. The
    paper finds gradients of little use here, so only answers are asked for. eps 0 leaves the image as it is. Images
    (n, channels, height, width) only; others are refused.

    Source: Engstrom, Tran, Tsipras, Schmidt and Madry, 2019, arXiv 1712.02779 (grid and worst-of-k; the zoom and the
    refinement are added).
    """
    require(schema, "rotation_translation_scale", "image")
    if eps == 0:
        return x.clone()
    height, width = x.shape[2:]
    most = x.new_tensor([math.radians(degrees), shift * height, shift * width, math.log1p(scale)]) * eps
    outside = None if rim == "border" else (model.bounds or (0.0, 1.0))[0]

    def move(rows: Tensor, parameters: Tensor) -> Tensor:
        angle, down, across, zoom = (parameters * most).T
        return within(turned(rows, angle, down, across, zoom.exp(), outside), model.bounds)

    steps = x.new_tensor([0.0, -1.0, 1.0])
    grid = torch.cartesian_prod(steps, steps, steps, steps[:1])[:, None].expand(-1, len(x), -1)
    starts = torch.cat([grid, uniform(generator.spawn(99), x, tries, 4)])
    return refined(model, x, y, move, starts, generator, rounds, batch_size)
