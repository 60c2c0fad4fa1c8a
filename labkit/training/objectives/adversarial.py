"""Adversarial training: the loss at the worst nearby inputs that a few gradient steps find."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from labkit.attacks._search import direction, project
from labkit.training.hardware import autocast
from labkit.training.members import Members
from labkit.training.objectives import Objective, cross_entropy


@dataclass(frozen=True, kw_only=True)
class Adversarial(Objective):
    """Cross-entropy at inputs that an adversary changed: the inner maximum is sought by projected gradient steps.

    Each attack starts at a random point of the ball and follows the sign of the loss's gradient in the inputs. The model
    is in evaluation mode meanwhile (no dropout, running statistics), and its weights' gradients are left alone. An epoch
    is judged by its accuracy under such an attack with more and smaller steps, so that the best epoch is the most robust.

    Source: Madry et al., 2018, arXiv 1706.06083. One step from a random start (``steps=1`` and a step of 1.25 ``eps``)
    is the fast variant of Wong, Rice and Kolter, 2020, arXiv 2001.03994.

    Attributes:
        eps: how far each input entry may move (Linf), in the data's unit.
        steps, step: gradient steps while training, and the length of one in the data's unit.
        judged_steps: gradient steps when an epoch is judged, each ``eps`` / 4 long.
        bounds: least and greatest value of an input.
    """

    eps: float
    steps: int
    step: float
    judged_steps: int = 10
    bounds: tuple[float, float] = (0.0, 1.0)

    def loss(self, answer: Members, x: Tensor, y: Tensor) -> Tensor:
        return cross_entropy(answer(self.attacked(answer, x, y, self.steps, self.step)), y).mean(1)

    def judge(self, answer: Members, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Cross-entropy and hits on attacked inputs: (models, n) each."""
        hostile = self.attacked(answer, x, y, self.judged_steps, self.eps / 4)
        with torch.no_grad():
            logits = answer(hostile)
        return cross_entropy(logits, y), (logits.argmax(-1) == y).float()

    def attacked(self, answer: Members, x: Tensor, y: Tensor, steps: int, step: float) -> Tensor:
        """(models, n, *shape) inputs within ``eps`` of ``x`` and within the bounds, where the loss is larger."""
        return self.climbed(answer, x, lambda logits: cross_entropy(logits, y), steps, step)

    def climbed(
        self, answer: Members, x: Tensor, height: Callable[[Tensor], Tensor], steps: int, step: float
    ) -> Tensor:
        """As ``attacked``, for any ``height`` of (models, n, classes) logits: it is summed and climbed."""
        model: Members = getattr(answer, "module", answer)  # several processes add up gradients of the loss alone
        mode = model.training
        model.eval()
        z = project(x + self.eps * (2 * torch.rand_like(x) - 1), x, self.eps, "linf", self.bounds)
        for _ in range(steps):
            z.requires_grad_()
            with torch.enable_grad(), autocast(x.device, model.low_precision):
                total = height(model(z)).sum()
            (gradient,) = torch.autograd.grad(total, z)
            z = project(z.detach() + step * direction(gradient, "linf"), x, self.eps, "linf", self.bounds)
        model.train(mode)
        return z
