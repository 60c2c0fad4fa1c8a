"""Feature ablation: what the output loses when one whole feature is replaced by the baseline."""

from __future__ import annotations

from typing import Annotated

import torch
from torch import Tensor

from labkit.attributions._coalitions import Games, Shares, credited, games
from labkit.attributions._regions import regions
from labkit.core.method import Range
from labkit.models.classifier import Classifier


def feature_ablation(
    model: Classifier,
    x: Tensor,
    target: Tensor,
    baseline: Tensor,
    features: Tensor | None,
    batch_size: int,
    *,
    cells: Annotated[int, Range(1, 64), "superpixels along each side, for images"] = 7,
) -> tuple[Tensor, dict[str, Tensor]]:
    """The fall of the target's score when a feature takes the baseline's values while all others stay (Covert, Lundberg
    and Lee, 2021, arXiv 2011.14878, table 2, with its kin).

    A feature is as ``features`` says: superpixels, one-hot columns of one variable, words of one phrase; without them as
    for ``kernel_shap``. Its fall is shared out evenly among its entries that differ from the baseline, so that the
    entries of one feature add up to it. What two features hold together, each alone does not lose.

    Returns:
        Like x, in units of the score: positive where the feature supports the target. Also a ``standard_error`` of 0, and
        as ``samples`` how many features were taken away.
    """

    def solve(game: Games) -> Shares:
        player = torch.arange(game.players, device=x.device)
        left = game.values(game.players, lambda _, number: number[:, None] != player)
        fall = game.full[:, None] - left
        return fall, torch.zeros_like(fall), torch.full_like(game.row, game.players)

    start = games(model, x, target, baseline, regions(model, x, features, cells), None, batch_size)
    return credited(x, start, solve)
