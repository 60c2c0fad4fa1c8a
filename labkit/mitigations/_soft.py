"""Losses of logits that say how unlike groups are answered."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def cross_entropy(logits: Tensor, y: Tensor, weight: Tensor) -> Tensor:
    """The weighted mean loss in nats of (n, classes) logits."""
    return (weight * functional.cross_entropy(logits, y, reduction="none")).sum() / weight.sum()


def inequality(share: Tensor, group: Tensor, weight: Tensor, stratum: Tensor | None = None) -> Tensor:
    """How far apart groups' mean shares lie: squared differences of two groups, over all pairs, classes and strata.

    The square of a difference of two means of few people is too large on average, by the variance of both: that much
    is taken off, so that groups who are alike cost nothing on average. A pair with fewer than two people on a side
    costs nothing.

    Args:
        share: (n, classes) how much of each answer a person gets; rows add up to 1.
        group: (n,) codes; a negative code belongs to no group.
        weight: (n,) above or equal to 0.
        stratum: (n,) codes: groups are compared within each; None compares all.

    Returns:
        a scalar; its expectation is at least 0.
    """
    groups = int(group.max().clamp_min(0)) + 1
    cell = (group if stratum is None else stratum * groups + group).masked_fill(group < 0, -1)
    cells = cell[cell >= 0].unique()
    member = (cell[:, None] == cells).to(share) * weight[:, None]
    known = (member > 0).sum(0) > 1
    cells, member = cells[known], member[:, known]
    total = member.sum(0)
    mean = member.T @ share / total[:, None]
    portion = (member / total).square().sum(0)[:, None]  # 1 / n with equal weights
    spread = (member.T @ share.square() / total[:, None] - mean.square()).clamp_min(0)
    chance = spread * portion / (1 - portion).clamp_min(1e-6)
    first, second = torch.triu_indices(len(cells), len(cells), 1, device=cells.device)
    alike = cells[first] // groups == cells[second] // groups
    first, second = first[alike], second[alike]
    # what one class gains the others lose: of two classes each difference is seen twice
    return ((mean[first] - mean[second]).square() - chance[first] - chance[second]).sum() / 2
