"""How far does the attribution move when the input hardly does?"""

from __future__ import annotations

from typing import Annotated

import torch
from torch import Tensor

from labkit.core.draws import Draws
from labkit.core.method import Range
from labkit.models.classifier import Classifier


def max_sensitivity(
    model: Classifier,
    x: Tensor,
    target: Tensor,
    baseline: Tensor,
    attribution: Tensor,
    attribute: object,
    generator: Draws,
    *,
    radius: Annotated[float, Range(0.001, 0.5, log=True), "largest move of an entry, as a share"] = 0.02,
    moves: Annotated[int, Range(1, 100, log=True), "inputs tried near each input"] = 4,
) -> Annotated[Tensor, "lower", "costly"]:
    """The largest relative change of the attribution, in the Euclidean norm, among inputs near this one (Yeh et al.,
    2019, arXiv 1901.09392). Entries move by up to ``radius`` of the bounds' range, or without bounds of their own
    distance from the baseline. A method that draws draws anew each time, so its noise counts.

    It tells how steady a method is, not whether it is true: a constant map has 0.

    Returns:
        (n,) from 0 on, lower is better; nan where the attribution is zero.

    Raises:
        Refused: a model whose inputs are words or categories.
    """
    model.require("continuous", by="max_sensitivity", instead="deletion or sensitivity_n, which take entries away")
    low, high = model.bounds or (-torch.inf, torch.inf)
    reach = (x - baseline).abs() if model.bounds is None else torch.full_like(x, high - low)
    size = attribution.double().flatten(1).norm(dim=1)
    worst = torch.zeros_like(size)
    for i in range(moves):
        draws = generator.spawn(i)
        move = radius * (2 * torch.from_numpy(draws.uniform(*x.shape[1:])).to(x) - 1) * reach
        near = attribute(model, (x + move).clamp(low, high), target, baseline, draws.spawn(1))  # type: ignore[operator]
        worst = torch.maximum(worst, (near - attribution).double().flatten(1).norm(dim=1))
    return torch.where(size > 0, worst / size, torch.nan)
