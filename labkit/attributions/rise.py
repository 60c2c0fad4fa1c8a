"""RISE: where an image must be seen for the score to be high, by showing it through random masks."""

from __future__ import annotations

from typing import Annotated

import torch
from torch import Tensor, nn

from labkit.attributions._coalitions import doubling, in_rounds, reached
from labkit.attributions._passes import score
from labkit.core.draws import Draws
from labkit.core.method import Range
from labkit.core.refused import Refused
from labkit.models.classifier import Classifier

FIRST = 64  # masks before errors are looked at


def rise(
    model: Classifier,
    x: Tensor,
    target: Tensor,
    baseline: Tensor,
    generator: Draws,
    batch_size: int,
    *,
    cells: Annotated[int, Range(2, 64), "cells of a mask along each side"] = 7,
    shown: Annotated[float, Range(0.05, 0.95), "chance that a cell is shown"] = 0.5,
    tolerance: Annotated[
        float, Range(1e-4, 1, log=True), "standard error at which a row is done, of its change"
    ] = 0.02,
    max_samples: Annotated[int, Range(16, 65536, log=True), "masks after which a row is left as it is"] = 2048,
) -> tuple[Tensor, dict[str, Tensor]]:
    """How much higher the target's score is where a pixel is shown than on average (Petsiuk, Das and Saenko, 2018, arXiv
    1806.07421): the image through smooth random masks, over the baseline. The paper's map is this one plus the mean
    score, a constant that ranks nothing and only adds noise.

    Asks for outputs only. The mask's cells are shifted by chance, so the map is finer than they are.

    Returns:
        Like x, in units of the score, the same for every channel, so that the channels add up to the map; its
        ``standard_error``, the ``samples`` (masks) that each row took, and whether it ``reached`` the tolerance.

    Raises:
        Refused: inputs that are no images, which have no neighbourhood to blend.
    """
    model.require("continuous", by="rise", instead="occlusion, feature_ablation or kernel_shap")
    if x.ndim != 4:
        given = (
            f"inputs of shape {tuple(x.shape[1:])}, which are no images: there is no picture to look at through a mask"
        )
        raise Refused("rise", given, "occlusion, feature_ablation or kernel_shap")
    with torch.no_grad():
        full, empty = (score(model(v), target).double() for v in (x, baseline))

        def grow(rows: Tensor, sums: Tensor | None, done: int, count: int) -> Tensor:
            """(rows, 5, height, width): sums of mask, mask², score, score² and their product."""
            stream = generator[rows.cpu().numpy()]
            sums = (
                torch.zeros(len(rows), 5, *x.shape[2:], dtype=torch.float64, device=x.device) if sums is None else sums
            )
            each = max(1, batch_size // len(rows))
            for i in range(done, count, each):
                drawn = range(i, min(i + each, count))
                mask = torch.stack([_mask(stream.spawn(j), x.shape[2], x.shape[3], cells, shown) for j in drawn])
                mask = mask.to(x.device)[:, :, None]
                looked = mask.to(x) * x[rows] + (1 - mask.to(x)) * baseline[rows]
                found = score(model(looked.flatten(0, 1)), target[rows]).double().reshape(len(drawn), len(rows))
                high = (found - full[rows])[:, :, None, None, None]
                parts = (mask, mask**2, high.expand_as(mask), (high**2).expand_as(mask), high * mask)
                sums = sums + torch.stack([p.sum(0)[:, 0] for p in parts], 1)
            return sums

        values, error, used = in_rounds(full - empty, doubling(FIRST, max_samples), grow, _slopes, tolerance)
    met = reached(error, full - empty, tolerance)
    shape, channels = (len(x), 1, *x.shape[2:]), x.shape[1]
    values, error = ((v.reshape(shape) / channels).expand(x.shape).clone() for v in (values, error))
    return values, {"standard_error": error, "samples": used, "reached": met}


def _slopes(_rows: Tensor, sums: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """The covariance of score and mask over the mask's mean, and its error as that of a regression's slope."""
    mask, square, high, high_square, product = (sums / count).unbind(1)
    covariance, spread = product - mask * high, (square - mask**2).clamp_min(1e-300)
    left = (high_square - high**2 - covariance**2 / spread).clamp_min(0)
    return covariance / mask, (left * spread / (count - 2)).sqrt() / mask


def _mask(draws: Draws, height: int, width: int, cells: int, shown: float) -> Tensor:
    """(rows, height, width) float64 from 0 to 1: random cells enlarged smoothly, cut out at a random shift."""
    grid = torch.from_numpy(draws.uniform(cells + 1, cells + 1) < shown).double()
    tall, wide = -(-height // cells), -(-width // cells)
    big = nn.functional.interpolate(grid[:, None], ((cells + 1) * tall, (cells + 1) * wide), mode="bilinear")[:, 0]
    lot = torch.from_numpy(draws.spawn(1).uniform(2)).double()
    down, across = (lot * torch.tensor([tall, wide])).long().unbind(1)
    rows = (down[:, None] + torch.arange(height))[:, :, None]
    columns = (across[:, None] + torch.arange(width))[:, None]
    return big[torch.arange(len(big))[:, None, None], rows, columns]
