"""A model averaged over Gaussian noise on its input."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from labkit.core.draws import Draws, check_seed
from labkit.core.refused import Refused
from labkit.models.classifier import Classifier


def smoothed(model: Classifier, sigma: float, draws: int = 100, seed: int = 0, *, batch_size: int = 256) -> Classifier:
    """A Classifier whose probabilities are those of ``model`` averaged over noise of standard deviation ``sigma``.

    The same noise for every row and every call, so it is deterministic and differentiable, and rows do not depend on
    their batch. At most ``batch_size`` noisy rows are answered at once, also when gradients are taken: these passes are
    then run twice instead of kept.

    Its class is an estimate of the one that ``randomized_smoothing`` certifies, which needs votes and their error.

    Raises:
        Refused: inputs that are not continuous, a spread that is not above zero, fewer than one draw.

    Source: Cohen, Rosenfeld and Kolter, 2019, arXiv 1902.02918; averaged probabilities: Salman et al., 2019, arXiv
    1906.04584.
    """
    asked = f"{model.name} smoothed"
    model.require("continuous", by="smoothing", instead="a model of images, sound, series or numbers")
    check_seed(seed)
    if not (sigma > 0 and sigma < float("inf")):
        raise Refused(asked, f"sigma={sigma!r}", "the noise's standard deviation, in the data's units, above 0")
    if draws < 1 or batch_size < 1:
        raise Refused(asked, f"draws={draws!r}, batch_size={batch_size!r}", "whole numbers from 1")
    module = Smoothed(model, sigma, draws, seed, batch_size).eval().requires_grad_(False)
    return replace(model, module=module, outputs="probabilities", read=None, name=f"{model.name}_smoothed_{sigma:g}")


class Smoothed(nn.Module):
    """(n, *shape) -> (n, classes) mean probabilities. What it was made with is kept in buffers, and so in its digest."""

    sigma: Tensor

    def __init__(self, model: Classifier, sigma: float, draws: int, seed: int, batch_size: int) -> None:
        super().__init__()
        self.inner, self.model, self.batch_size = model.module, model, batch_size
        self.register_buffer("sigma", torch.tensor(sigma, dtype=torch.float64))
        self.register_buffer("made", torch.tensor([draws, seed], dtype=torch.int64))
        self.streams = Draws(seed, draws)

    def forward(self, x: Tensor) -> Tensor:
        most = max(1, self.batch_size // len(x))
        total = x.new_zeros(len(x), len(self.model.classes))
        for start in range(0, len(self.streams), most):
            drawn = self.streams[slice(start, start + most)].normal(*x.shape[1:])
            noise = torch.from_numpy(drawn).to(x) * self.sigma.to(x)
            if x.requires_grad:
                total = total + checkpoint(self._sum, x, noise, use_reentrant=False)
            else:
                total = total + self._sum(x, noise)
        return total / len(self.streams)

    def _sum(self, x: Tensor, noise: Tensor) -> Tensor:
        """(n, classes) probabilities, summed over some draws."""
        noisy = (x[:, None] + noise).flatten(0, 1)
        return self.model(noisy).softmax(1).unflatten(0, (len(x), len(noise))).sum(1)
