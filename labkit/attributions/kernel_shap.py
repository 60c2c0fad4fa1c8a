"""Kernel SHAP: Shapley values from a weighted regression on sampled coalitions, by Captum."""

from __future__ import annotations

from typing import Annotated

import torch
from torch import Tensor

from labkit.attributions._passes import score
from labkit.core.draws import Draws
from labkit.core.method import Range
from labkit.models.classifier import Classifier


def kernel_shap(
    model: Classifier,
    x: Tensor,
    target: Tensor,
    baseline: Tensor,
    generator: Draws,
    batch_size: int,
    *,
    samples: Annotated[int, Range(10, 100_000, log=True), "coalitions drawn for each row"] = 512,
    cells: Annotated[int, Range(1, 64), "superpixels along each side, for images"] = 7,
) -> Annotated[Tensor, "complete"]:
    """Shapley values of the target's logit, with absent features at the baseline's values (Lundberg and Lee, 2017,
    arXiv 1705.07874), by Captum's KernelShap.

    A feature is one entry (a column, also a categorical one; a token), in images one of ``cells`` x ``cells``
    rectangles over all channels, whose value is shared out evenly. Features that equal the baseline get exactly 0 and
    take no part in the regression. Each row is a regression of its own, with its own draws: rows never meet in one.

    Returns:
        Like x, in logits, adding up to the output's change. Sampling error falls with the root of ``samples``.
    """
    regions = _regions(x.shape[1:], cells).to(x.device)
    values = [
        _one(model, x[i : i + 1], target[i : i + 1], baseline[i : i + 1], regions, seed, samples, batch_size)
        for i, seed in enumerate(generator.seeds())
    ]
    return torch.cat(values)


def _one(
    model: Classifier,
    x: Tensor,
    target: Tensor,
    baseline: Tensor,
    regions: Tensor,
    seed: int,
    samples: int,
    batch_size: int,
) -> Tensor:
    """The values of one row."""
    from captum.attr import KernelShap

    differs = x[0] != baseline[0]
    features = regions[differs].unique()
    change = score(model(torch.cat([x, baseline])), target)
    values = torch.zeros(x.shape, dtype=change.dtype, device=x.device)
    if len(features) < 2:  # a single player takes all; the regression needs two
        values[0][differs] = (change[0] - change[1]) / max(1, int(differs.sum()))
        return values
    # entries that equal the baseline join the first feature, where they change nothing
    mask = torch.where(differs, torch.searchsorted(features, regions), 0)
    devices = [x.device] if x.is_cuda else []
    with torch.random.fork_rng(devices), torch.no_grad():
        torch.manual_seed(seed)
        fitted = KernelShap(model).attribute(
            x,
            baselines=baseline,
            target=int(target),
            feature_mask=mask[None],
            n_samples=samples,
            perturbations_per_eval=batch_size,
            return_input_shape=False,
        )[0]
    sizes = torch.bincount(mask[differs], minlength=len(features))
    values[0][differs] = (fitted.to(values) / sizes)[mask[differs]]
    return values


def _regions(shape: torch.Size, cells: int) -> Tensor:
    """The number of the region to which each entry belongs."""
    if len(shape) != 3:
        return torch.arange(shape.numel()).reshape(shape)
    down, across = (torch.arange(side) * min(cells, side) // side for side in shape[1:])
    return (down[:, None] * shape[2] + across).expand(shape).contiguous()
