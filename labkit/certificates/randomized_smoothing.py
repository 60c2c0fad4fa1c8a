"""Randomised smoothing."""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
import torch
from scipy.special import ndtri
from torch import Tensor

from labkit.core.draws import Draws
from labkit.core.intervals import clopper_pearson
from labkit.core.method import Range
from labkit.models.classifier import Classifier


def randomized_smoothing(
    model: Classifier,
    x: Tensor,
    y: Tensor,
    norm: Literal["l2"],
    generator: Draws,
    batch_size: int,
    *,
    sigma: Annotated[float, Range(1e-6, 1e6, log=True), "standard deviation of the noise, in the data's units"] = 0.25,
    choose: Annotated[int, Range(1, 100_000, log=True), "draws that choose the class"] = 100,
    draws: Annotated[int, Range(1, 1_000_000, log=True), "further draws that bound its share"] = 1000,
    alpha: Annotated[float, Range(1e-9, 0.5, log=True), "how often a row's radius may be too large"] = 0.001,
) -> Annotated[Tensor, "smoothed"]:
    """(n,) L2 radii within which the smoothed model's class stays; 0 where it is wrong or the draws do not tell it.

    Whose radius: not the model's own, but that of the class that ``model`` gives most often under Gaussian noise. Each
    row's radius is right with a confidence of 1 - ``alpha``. The bounds of the inputs are not used: noisy inputs lie
    outside of them, and the radius holds there too.

    Of ``choose`` draws the most frequent class is taken; of ``draws`` others, which had no say in that, its share is
    bounded from below (Clopper and Pearson). Above one half, the radius is sigma times the normal quantile of the bound.

    Raises:
        Refused: inputs that are not continuous.

    Source: Cohen, Rosenfeld and Kolter, 2019, arXiv 1902.02918.
    """
    model.require("continuous", by="randomized_smoothing", instead="a model of images, sound, series or numbers")
    first = _votes(model, x, generator, range(choose), sigma, batch_size)
    top = first.argmax(1)
    hits = _votes(model, x, generator, range(choose, choose + draws), sigma, batch_size).gather(1, top[:, None])[:, 0]
    share = clopper_pearson(hits.cpu().numpy(), draws, 1 - 2 * alpha)[0]
    radius = sigma * ndtri(np.maximum(share, 0.5))
    right = (top == y).cpu().numpy() & (first.sum(1) > 0).cpu().numpy()
    return torch.from_numpy(np.where(right, radius, 0.0)).to(x.device, torch.get_default_dtype())


def _votes(model: Classifier, x: Tensor, generator: Draws, numbers: range, sigma: float, batch_size: int) -> Tensor:
    """(n, classes) how often each class was given under noise; answers that are not finite are no vote."""
    each = max(1, batch_size // len(x))
    counts = torch.zeros(len(x), len(model.classes), dtype=torch.long, device=x.device)
    with torch.no_grad():
        for start in range(0, len(numbers), each):
            some = numbers[start : start + each]
            noise = np.stack([generator.spawn(number).normal(*x.shape[1:]) for number in some], 1)
            noisy = x[:, None] + sigma * torch.from_numpy(noise).to(x)
            logits = model(noisy.flatten(0, 1)).unflatten(0, (len(x), len(some)))
            votes = torch.nn.functional.one_hot(logits.nan_to_num(0.0).argmax(2), counts.shape[1])
            counts += (votes * logits.isfinite().all(2, keepdim=True)).sum(1)
    return counts
