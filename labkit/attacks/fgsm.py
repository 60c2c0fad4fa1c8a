"""The fast gradient sign method."""

from __future__ import annotations

from typing import Literal

from torch import Tensor

from labkit.attacks._losses import cross_entropy
from labkit.attacks._search import climb, column, direction, project, radii
from labkit.models.classifier import Classifier


def fgsm(
    model: Classifier, x: Tensor, y: Tensor, eps: float, norm: Literal["linf", "l2", "l1", "noise_to_signal"]
) -> Tensor:
    """One step of length ``eps`` along the gradient of the cross-entropy.

    Under "linf" the step is the gradient's sign, under "l2" and "noise_to_signal" the gradient over its length, under
    "l1" the signs of its largest values. Weaker than any attack of many steps: if it is not, those have failed.

    Source: Goodfellow, Shlens and Szegedy, 2015, arXiv 1412.6572; for "l1" Tramer and Boneh, 2019, arXiv 1904.13000.
    """
    z = x.clone().requires_grad_()
    gradient = climb(cross_entropy(model(z).float(), y).sum(), z)
    step = column(radii(x, eps, norm), x) * direction(gradient, norm, x, model.bounds)
    return project(x + step, x, eps, norm, model.bounds)
