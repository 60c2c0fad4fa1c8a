"""Does the attribution change when the model forgets what it learned?"""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Annotated

import numpy as np
import torch
from torch import Tensor

from labkit.core.draws import Draws
from labkit.core.method import Range
from labkit.faithfulness._positions import positions, support
from labkit.models.classifier import Classifier


def randomized_weights(
    model: Classifier,
    x: Tensor,
    target: Tensor,
    baseline: Tensor,
    attribution: Tensor,
    attribute: object,
    generator: Draws,
    *,
    network: Annotated[int, Range(0, 1_000_000), "which random network"] = 0,
) -> tuple[Tensor, dict[str, Tensor]]:
    """Spearman's correlation between the sizes of an attribution and of the same method's on a copy of the model with
    random weights (Adebayo et al., 2018, arXiv 1810.03292).

    The correlation is taken over the input's support, the positions that differ from the baseline: most methods give
    zero elsewhere whatever the weights, so over the ``whole`` input, which is given beside it, nearly everything
    correlates.

    Returns:
        (n,) from -1 to 1: near 0 for a map that depends on what was learned, 1 for a copy of the input; nan where
        either map is constant on the support. Also ``whole`` (n,) and the random network's ``attribution``, like x.
    """
    random = replace(model, module=_redrawn(model.module, network), name=f"{model.name} with random weights")
    other = attribute(random, x, target, baseline, generator)  # type: ignore[operator]
    mine, theirs = (positions(v).abs().double().cpu().numpy() for v in (attribution, other))
    where = support(x, baseline).cpu().numpy()
    on_support = [_spearman(a[w], b[w]) for a, b, w in zip(mine, theirs, where)]
    whole = [_spearman(a, b) for a, b in zip(mine, theirs)]
    found, beside = (torch.tensor(v, dtype=torch.float64) for v in (on_support, whole))
    return found, {"whole": beside, "attribution": other}


def _redrawn(module: torch.nn.Module, network: int) -> torch.nn.Module:
    """A copy with random parameters: matrices and kernels normal with mean 0 and the size they had, vectors shuffled.

    Buffers stay, so that normalisation fits the data. The same for every batch of rows.
    """
    module = copy.deepcopy(module)
    with torch.no_grad():
        for i, parameter in enumerate(module.parameters()):
            generator = Draws(network, 1).spawn(i)
            if parameter.ndim > 1:
                size = parameter.double().square().mean().sqrt().to(parameter)
                parameter.copy_(torch.from_numpy(generator.normal(*parameter.shape)[0]).to(parameter) * size)
            else:
                order = torch.from_numpy(generator.uniform(parameter.numel())[0].argsort())
                parameter.copy_(parameter.flatten()[order.to(parameter.device)].reshape(parameter.shape))
    return module


def _spearman(a: np.ndarray, b: np.ndarray) -> float:
    from scipy.stats import rankdata

    a, b = rankdata(a), rankdata(b)
    a, b = a - a.mean(), b - b.mean()
    size = float(np.sqrt((a @ a) * (b @ b))) if len(a) else 0.0
    return float(a @ b) / size if size else float("nan")
