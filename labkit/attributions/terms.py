"""Terms: what a sum of terms says of itself, without any estimate."""

from __future__ import annotations

from typing import Annotated

import torch
from torch import Tensor, nn

from labkit.attributions._passes import score
from labkit.models.classifier import Classifier


def terms(model: Classifier, x: Tensor, target: Tensor, baseline: Tensor) -> Annotated[Tensor, "complete"]:
    """Shapley values of the target's logit for a model that is a sum of terms in one feature or two, in closed form.

    A term in one feature gives it the change from baseline to input. A term in two is divided by Shapley's rule: each
    feature gets the mean of what it changes when it moves first, and when it moves second. Kernel SHAP estimates the
    same values from outputs (Lundberg and Lee, 2017, arXiv 1705.07874); here they are read from the model.

    Returns:
        Like x, in logits, adding up to the output's change. A feature at its baseline gets 0.
    """
    model.require("terms", by="terms", instead="kernel_shap, which estimates the same values, or occlusion")
    values = torch.zeros(x.shape, dtype=torch.float64, device=x.device)
    for term in model.module.terms:  # type: ignore[union-attr]
        for feature, share in zip(term.features, _shares(term, x, baseline), strict=True):  # type: ignore[arg-type]
            values[:, feature] += score(share, target)
    return values


def _shares(term: nn.Module, x: Tensor, baseline: Tensor) -> list[Tensor]:
    """(n, classes) of a term's change for each of its features."""
    change = term(x).double() - term(baseline).double()
    if len(term.features) == 1:  # type: ignore[arg-type]
        return [change]
    first, second = term.features  # type: ignore[misc]
    moved = baseline.clone()
    moved[:, first] = x[:, first]
    before = term(moved).double() - term(baseline).double()
    moved[:, first], moved[:, second] = baseline[:, first], x[:, second]
    after = change - (term(moved).double() - term(baseline).double())
    return [(before + after) / 2, change - (before + after) / 2]
