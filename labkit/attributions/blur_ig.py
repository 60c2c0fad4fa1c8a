"""Blur integrated gradients: along the path on which a blurred picture becomes sharp."""

from __future__ import annotations

import math
from typing import Annotated

import torch
from torch import Tensor

from labkit.attributions._passes import WITHOUT_GRADIENTS
from labkit.attributions._quadrature import even, integrate
from labkit.core.method import Range
from labkit.core.refused import Refused
from labkit.models.classifier import Classifier


def blur_ig(
    model: Classifier,
    x: Tensor,
    target: Tensor,
    batch_size: int,
    *,
    blur: Annotated[float, Range(0, 512), "standard deviation in pixels; 0 takes a quarter of the shorter side"] = 0.0,
    tolerance: Annotated[float, Range(1e-4, 0.5, log=True), "completeness gap at which a row is done"] = 0.01,
    steps: Annotated[int, Range(2, 1024, log=True), "equal steps of the first round; later ones halve the worst"] = 8,
    max_steps: Annotated[int, Range(2, 65536, log=True), "steps after which a row is left as it is"] = 2048,
) -> tuple[Tensor, dict[str, Tensor]]:
    """Gradients integrated while a Gaussian blur of the image shrinks to nothing (Xu, Venugopalan and Sundararajan,
    2020, arXiv 2004.03383). No baseline is asked for: what is explained is where, and at which scale, detail counts.

    The blur follows the heat equation on the pixel grid, with nothing flowing over the border, so that its velocity is
    exact; its standard deviation falls evenly. Points gather where they are needed, as for integrated gradients.

    Returns:
        Like x, in logits, adding up to ``blur_change``, the logit at the image minus that at its blurred copy; and the
        ``steps`` that each row took.

    Raises:
        Refused: inputs that are no images (n, channels, height, width).
    """
    model.require("gradients", by="blur_ig", instead=WITHOUT_GRADIENTS)
    if x.ndim != 4 or model.embedding is not None:
        given = f"inputs of shape {tuple(x.shape[1:])}, which are no images: there is nothing to blur"
        raise Refused("blur_ig", given, "integrated_gradients, saliency or smoothgrad")
    widest = blur or min(x.shape[2:]) / 4
    (down, fall), (across, drop) = (_waves(side, x) for side in x.shape[2:])
    decay = fall[:, None] + drop
    waves = down @ x.double() @ across.T

    def path(rows: Tensor, at: Tensor) -> tuple[Tensor, Tensor]:
        sigma = (widest * (1 - at)).reshape(-1, 1, 1, 1)
        left = waves[rows] * (-decay * sigma.square() / 2).exp()
        seen, moved = (down.T @ part @ across for part in (left, left * decay * sigma * widest))
        return seen.to(x), moved.to(x)

    found = integrate(
        model, x, target, path, even(steps), tolerance=tolerance, max_steps=max_steps, batch_size=batch_size
    )
    return found.values, {"blur_change": found.change, "steps": found.steps}


def _waves(side: int, x: Tensor) -> tuple[Tensor, Tensor]:
    """The cosines (side, side) on which heat decays along an axis, one a row, and how fast each does."""
    place, wave = (torch.arange(side, dtype=torch.float64, device=x.device) for _ in range(2))
    cosines = torch.cos(math.pi * wave[:, None] * (place + 0.5) / side)
    return cosines / cosines.norm(dim=1, keepdim=True), 2 - 2 * torch.cos(math.pi * wave / side)
