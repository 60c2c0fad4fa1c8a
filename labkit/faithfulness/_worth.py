"""What is left of the target: its probability, or where outputs are no classes its share of the change."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from labkit.models.classifier import Classifier

Worth = Callable[[Tensor], Tensor]


def worth(model: Classifier, x: Tensor, target: Tensor, baseline: Tensor) -> Worth:
    """What is left of each row's target, as a function of the model's output for k stacked copies of the rows.

    Where columns are classes' logits it is the target's probability. Elsewhere it is the share that is left of the
    change from baseline to input: 1 at the input and 0 at the baseline; nan where there is no change.
    """
    if model.outputs != "values":
        return lambda out: column(out.double().softmax(1), target)
    with torch.no_grad():
        whole, nothing = (column(model(v).double(), target) for v in (x, baseline))
    change = torch.where(whole == nothing, torch.nan, whole - nothing)

    def left(out: Tensor) -> Tensor:
        copies = len(out) // len(target)
        return (column(out.double(), target) - nothing.repeat(copies)) / change.repeat(copies)

    return left


def column(out: Tensor, target: Tensor) -> Tensor:
    """(k * n,) each row's target column of the output for k stacked copies of n rows."""
    return out.gather(1, target.repeat(len(out) // len(target))[:, None])[:, 0]
