"""Do sums of the attribution go with what the output loses?"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any

import torch
from torch import Tensor

from labkit.core.draws import Draws
from labkit.core.method import Range
from labkit.faithfulness._positions import positions, support
from labkit.faithfulness._removing import falls, random_ranks
from labkit.models.classifier import Classifier

SHARES = (0.2, 0.4, 0.6)  # of the support, taken away together


def sensitivity_n(
    model: Classifier,
    x: Tensor,
    target: Tensor,
    baseline: Tensor,
    attribution: Tensor,
    generator: Draws,
    batch_size: int,
    memory: dict[Any, Any],
    *,
    subsets: Annotated[int, Range(8, 1000, log=True), "random subsets of each size"] = 24,
) -> Annotated[Tensor, "higher"]:
    """Pearson's correlation, over random subsets of n positions, between the attribution's sum over the subset and the
    fall of the target's score when the subset takes the baseline's values (Ancona, Ceolini, Öztireli and Gross, 2018,
    arXiv 1711.06104); the mean over n of a fifth, two fifths and three fifths of the support.

    Returns:
        (n,) from -1 to 1, higher is better: 1 for a model that is linear, 0 for a map without spread; nan where the
        output does not change or the support has fewer than two positions.
    """
    where = support(x, baseline)
    count = where.sum(1, keepdim=True)

    def gone() -> Iterator[Tensor]:
        for i, share in enumerate(SHARES):
            size = (count * share).round().clamp_min(1)
            for j in range(subsets):
                yield where & (random_ranks(where, generator.spawn(i * subsets + j)) < size)

    key = generator.keys.tobytes()  # what the model loses is the same for every map of these rows
    if key not in memory:
        memory[key] = falls(model, x, target, baseline, gone(), batch_size)
    values = positions(attribution).double()
    sums = torch.stack([(values * mask).sum(1) for mask in gone()])
    of_size = zip(sums.split(subsets), memory[key].split(subsets))
    found = torch.stack([_pearson(mine, fall) for mine, fall in of_size]).nanmean(0)
    return found.masked_fill(count[:, 0] < 2, torch.nan)


def _pearson(sums: Tensor, fall: Tensor) -> Tensor:
    """(n,) over the first axis: 0 where the sums have no spread but for rounding, nan where the falls have none."""
    rounding, still = (1e-9 * v.abs().amax(0) for v in (sums, fall))
    sums, fall = sums - sums.mean(0), fall - fall.mean(0)
    found = (sums * fall).sum(0) / (sums.norm(dim=0) * fall.norm(dim=0)).clamp_min(1e-300)
    found = torch.where(sums.abs().amax(0) > rounding, found, 0.0)
    return found.masked_fill(fall.abs().amax(0) <= still, torch.nan)
