"""What may stand in a removed position's place, besides the baseline."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from labkit.core.draws import Draws
from labkit.models.classifier import Classifier

NAMES = ("background", "noise", "shuffled")  # of the second fill


def second_fill(
    model: Classifier, x: Tensor, background: Tensor | None, generator: Draws
) -> tuple[str, Tensor] | tuple[()]:
    """A fill that knows nothing of the baseline, with its name: "noise" within the bounds; of texts and series the
    row's own entries, "shuffled"; of tables rows of the "background". Empty where there is none."""
    if model.bounds is not None:
        low, high = model.bounds
        return "noise", low + (high - low) * torch.from_numpy(generator.uniform(*x.shape[1:])).to(x)
    if model.padding is not None or x.ndim == 3:
        return "shuffled", shuffled(model, x, generator)
    if background is not None:
        return "background", drawn(background, len(x), generator)
    return ()


def other_baselines(model: Classifier, x: Tensor, background: Tensor | None, generator: Draws) -> dict[str, Tensor]:
    """Baselines besides the model's own: "mean" and "blurred" of images and series, "shuffled" words of a text, of
    tables the background's "mean" where columns are numbers and a "background" row."""
    continuous = model.embedding is None
    if continuous and x.ndim > 2:
        return {"mean": _mean(x), "blurred": _blurred(x)}
    if model.padding is not None:
        return {"shuffled": shuffled(model, x, generator)}
    if background is None:
        return {}
    row = {"background": drawn(background, len(x), generator)}
    return ({"mean": background.mean(0, keepdim=True).expand_as(x)} if continuous else {}) | row


def shuffled(model: Classifier, x: Tensor, generator: Draws) -> Tensor:
    """Each row's own entries, drawn by chance for every place along the last axis; padding stays and is not drawn."""
    chance = torch.from_numpy(generator.uniform(2, *x.shape[1:])).to(x.device)
    present = torch.ones_like(x, dtype=torch.bool) if model.padding is None else x != model.padding
    order = torch.where(present, chance[:, 0], 2).argsort(-1)  # what is present comes first
    among = present.sum(-1, keepdim=True).clamp_min(1)
    return torch.where(present, x.gather(-1, order.gather(-1, (chance[:, 1] * among).long())), x)


def drawn(background: Tensor, n: int, generator: Draws) -> Tensor:
    """(n, *shape) a row of the background for each row, by chance."""
    return background[torch.from_numpy(generator.integers(len(background), 1)[:, 0]).to(background.device)]


def _mean(x: Tensor) -> Tensor:
    over = (2, 3) if x.ndim == 4 else -1
    return x.mean(over, keepdim=True).expand_as(x)


def _blurred(x: Tensor) -> Tensor:
    """The mean over a window of a quarter of the image's or series' length."""
    sides = [max(3, side // 4 | 1) for side in x.shape[2:]]
    pool = functional.avg_pool2d if x.ndim == 4 else functional.avg_pool1d
    return pool(x, sides, 1, [side // 2 for side in sides], count_include_pad=False)
