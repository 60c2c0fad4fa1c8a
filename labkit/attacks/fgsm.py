"""The fast gradient sign method."""

from __future__ import annotations

from typing import Literal

import torch.nn.functional as F
from torch import Tensor

from labkit.attacks._search import climb, direction, project
from labkit.models.classifier import Classifier


def fgsm(model: Classifier, x: Tensor, y: Tensor, eps: float, norm: Literal["linf", "l2"]) -> Tensor:
    """One step of length ``eps`` along the gradient of the cross-entropy.

    Under "linf" the step is the gradient's sign, under "l2" the gradient over its length. Weaker than any attack of
    many steps: if it is not, those have failed.

    Source: Goodfellow, Shlens and Szegedy, 2015, arXiv 1412.6572.
    """
    assert model.bounds
    z, forward = model.relax(x)
    z = z.detach().clone().requires_grad_()
    gradient = climb(F.cross_entropy(forward(z).float(), y, reduction="sum"), z)
    return project(x + eps * direction(gradient, norm), x, eps, norm, model.bounds)
