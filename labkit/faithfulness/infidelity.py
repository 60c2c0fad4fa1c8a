"""How much of what the output loses does the attribution leave unexplained?"""

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

LARGEST = 0.5  # of each side of an image, or of the support elsewhere


def infidelity(
    model: Classifier,
    x: Tensor,
    target: Tensor,
    baseline: Tensor,
    attribution: Tensor,
    generator: Draws,
    batch_size: int,
    memory: dict[Any, Any],
    *,
    removals: Annotated[int, Range(8, 1000, log=True), "parts taken away, one after the other"] = 48,
) -> Annotated[Tensor, "lower"]:
    """The mean squared difference between the attribution's sum over a part of the input and the fall of the target's
    score when that part takes the baseline's values (Yeh et al., 2019, arXiv 1901.09392), at the positive scale
    of the attribution that fits best and as a share of the falls' mean square: so neither the map's scale nor the score's
    matters.

    Parts are squares of an image with any side up to half of it, elsewhere random entries, one to half of the support.

    Returns:
        (n,) from 0 to 1, lower is better: 0 for a map whose sums are proportional to the falls, 1 for one that says
        nothing of them; nan where the output does not change.
    """
    where = support(x, baseline)

    def gone() -> Iterator[Tensor]:
        for i in range(removals):
            yield where & _part(x, where, generator.spawn(i))

    key = generator.keys.tobytes()  # what the model loses is the same for every map of these rows
    if key not in memory:
        memory[key] = falls(model, x, target, baseline, gone(), batch_size)
    values, lost = positions(attribution).double(), memory[key]
    sums = torch.stack([(values * mask).sum(1) for mask in gone()])
    scale = sums.square().sum(0) * lost.square().sum(0)
    fitted = torch.where(scale > 0, (sums * lost).sum(0).clamp_min(0).square() / scale.clamp_min(1e-300), 0.0)
    return (1 - fitted).masked_fill(lost.abs().amax(0) == 0, torch.nan)


def _part(x: Tensor, where: Tensor, generator: Draws) -> Tensor:
    """(n, positions) one part of each row."""
    chance = torch.from_numpy(generator.uniform(3)).to(x.device)[:, :, None]
    if x.ndim != 4:
        size = (1 + chance[:, 0] * LARGEST * where.sum(1, keepdim=True)).floor()
        return random_ranks(where, generator.spawn(1)) < size
    sides, masks = x.shape[2:], []
    for axis, length in enumerate(sides):
        width = (1 + chance[:, 0] * LARGEST * min(sides)).floor()
        start = (chance[:, axis + 1] * (length - width + 1)).floor()
        place = torch.arange(length, device=x.device)
        masks.append((place >= start) & (place < start + width))
    return (masks[0][:, :, None] & masks[1][:, None]).flatten(1)
