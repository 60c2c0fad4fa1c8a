"""SmoothGrad: the gradient averaged over noisy copies of the input."""

from __future__ import annotations

from typing import Annotated

import torch
from torch import Tensor

from labkit.attributions._passes import WITHOUT_GRADIENTS, gradient
from labkit.core.draws import Draws
from labkit.core.method import Range
from labkit.models.classifier import Classifier


def smoothgrad(
    model: Classifier,
    x: Tensor,
    target: Tensor,
    generator: Draws,
    *,
    samples: Annotated[int, Range(1, 1000, log=True), "noisy copies of each input"] = 32,
    noise: Annotated[float, Range(0.001, 1, log=True), "standard deviation, as a share of the input's range"] = 0.15,
) -> Tensor:
    """The mean gradient of the target's logit over copies of the input with Gaussian noise (Smilkov et al., 2017,
    arXiv 1706.03825). The noise is scaled by each row's own range, and keeps its sign when averaged.

    Returns:
        Like x: logits per unit of the input. Its standard error falls with the root of ``samples``.
    """
    model.require("gradients", by="smoothgrad", instead=WITHOUT_GRADIENTS)
    z, forward = model.relax(x)
    flat = z.flatten(1)
    scale = (noise * (flat.amax(1) - flat.amin(1))).reshape(-1, *[1] * (z.ndim - 1))
    if model.padding is not None and z.shape == x.shape:
        scale = scale * (x != model.padding)  # noise would turn padding into values
    total = torch.zeros_like(z)
    for sample in range(samples):
        draw = torch.from_numpy(generator.spawn(sample).normal(*z.shape[1:])).to(z)
        total += gradient(forward, z + scale * draw, target)
    return total / samples
