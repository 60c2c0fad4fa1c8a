"""Forward and backward passes that several attributions share."""

from __future__ import annotations

import torch
from torch import Tensor

from labkit.models.classifier import Forward

# What to take of a model that has no gradients.
WITHOUT_GRADIENTS = "occlusion or kernel_shap, which ask for outputs only; or terms, where the model is a sum of terms"


def score(logits: Tensor, target: Tensor) -> Tensor:
    """(n,) logits of each row's target; with k stacked copies of the rows, (k * n,)."""
    return logits.gather(1, target.repeat(len(logits) // len(target))[:, None])[:, 0]


def gradient(forward: Forward, z: Tensor, target: Tensor) -> Tensor:
    """Gradient of each row's target logit at ``z``; zero where ``z`` does not reach the output."""
    return score_and_gradient(forward, z, target)[1]


def score_and_gradient(forward: Forward, z: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Each row's target logit at ``z`` and its gradient, from one pass forward and back."""
    with torch.enable_grad():
        z = z.detach().requires_grad_()
        out = score(forward(z), target)
    if not out.requires_grad:
        return out, torch.zeros_like(z)
    (found,) = torch.autograd.grad(out.sum(), z, allow_unused=True)
    return out.detach(), torch.zeros_like(z) if found is None else found


def entries(values: Tensor, x: Tensor) -> Tensor:
    """``values`` with one number for each entry of an input: over an embedding its width is summed."""
    return values if values.ndim == x.ndim else values.sum(-1)
