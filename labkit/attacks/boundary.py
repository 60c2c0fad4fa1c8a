"""The boundary attack, from Foolbox."""

from __future__ import annotations

import warnings
from typing import Annotated, Literal

import torch
from torch import Tensor, nn

from labkit.core.draws import Draws
from labkit.core.method import Range
from labkit.models.classifier import Classifier


def boundary(
    model: Classifier,
    x: Tensor,
    y: Tensor,
    norm: Literal["l2"],
    generator: Draws,
    *,
    steps: Annotated[int, Range(10, 25_000, log=True), "steps along the decision boundary"] = 500,
) -> Tensor:
    """Walks along the decision boundary towards each row, from a random wrong point: needs predicted labels alone.

    It looks for the smallest perturbation, so it names no budget and runs once for all of them. Rows are attacked one
    by one, each with its own seed: a row without any wrong point is given back as it was, and the others go on.

    Source: Brendel, Rauber and Bethge, 2018, arXiv 1712.04248, as implemented by Foolbox 3.
    """
    import foolbox

    assert model.bounds
    target = foolbox.PyTorchModel(_Answers(model).eval(), bounds=model.bounds, device=x.device)
    attack = foolbox.attacks.BoundaryAttack(steps=steps)
    devices = [x.device] if x.device.type == "cuda" else []
    found = x.clone()
    for i, seed in enumerate(generator.seeds()):
        with torch.random.fork_rng(devices=devices), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Foolbox warns of a row without a start and then raises
            torch.manual_seed(seed)
            try:
                found[i] = attack.run(target, x[i : i + 1], foolbox.criteria.Misclassification(y[i : i + 1]))[0]
            except ValueError:  # no starting point: nothing tried was answered wrongly
                continue
    return found


class _Answers(nn.Module):
    """A classifier as the module that Foolbox asks for."""

    def __init__(self, model: Classifier) -> None:
        super().__init__()
        self.model = model

    def forward(self, x: Tensor) -> Tensor:
        return self.model(x)
