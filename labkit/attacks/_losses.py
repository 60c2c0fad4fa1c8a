"""What gradient attacks climb: functions of (n, classes) logits, (n,) true classes and at times (n,) targets."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from labkit.attacks import _search

Loss = Callable[..., Tensor]


def cross_entropy(logits: Tensor, y: Tensor) -> Tensor:
    """(n,) cross-entropy of the true class. Its gradient vanishes where a model is very sure."""
    return F.cross_entropy(logits, y, reduction="none")


def margin(logits: Tensor, y: Tensor) -> Tensor:
    """(n,) best wrong logit minus the true one (Carlini and Wagner, 2017, arXiv 1608.04644); 0 where any is not finite."""
    return _search.margin(logits, y).nan_to_num(0.0, neginf=0.0)


def dlr(logits: Tensor, y: Tensor) -> Tensor:
    """(n,) difference of logits ratio: the margin over the lead of the largest logit over the third largest.

    The same for logits times any number. Of fewer than four classes there is no such ratio left to climb: the margin.
    Source: Croce and Hein, 2020, arXiv 2003.01690.
    """
    if logits.shape[1] < 4:
        return margin(logits, y)
    largest = logits.topk(3, 1).values
    ratio = margin(logits, y) / (largest[:, 0] - largest[:, 2]).clamp_min(1e-12)
    return torch.where(logits.isfinite().all(1), ratio, 0.0)


def targeted_dlr(logits: Tensor, y: Tensor, target: Tensor) -> Tensor:
    """(n,) the target's logit minus the true one, over the lead of the largest logit over the mean of third and fourth.

    It draws each row to its class in ``target`` (n,). With fewer than four classes it is not divided. Source: Croce and
    Hein, 2020, arXiv 2003.01690.
    """
    lead = (logits.gather(1, target[:, None]) - logits.gather(1, y[:, None]))[:, 0]
    if logits.shape[1] >= 4:
        largest = logits.topk(4, 1).values
        lead = lead / (largest[:, 0] - largest[:, 2:].mean(1)).clamp_min(1e-12)
    return torch.where(logits.isfinite().all(1), lead, 0.0)


LOSSES: dict[str, Loss] = {"cross_entropy": cross_entropy, "margin": margin, "dlr": dlr}
