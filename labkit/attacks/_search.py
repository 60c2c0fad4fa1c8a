"""What several attacks share: the geometry of a budget, and keeping the best point found for each row."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from labkit.core.draws import Draws

NORMS = ("linf", "l2")
CLEAR = 0.03


def margin(logits: Tensor, y: Tensor) -> Tensor:
    """(n,) lead of the best wrong class over the true one: positive where the answer is wrong.

    Rows whose logits are not finite get minus infinity: NaN is a fault of the model, never a success of an attack.
    """
    true = logits.gather(1, y[:, None])[:, 0]
    wrong = logits.scatter(1, y[:, None], -torch.inf).amax(1)
    return torch.where(logits.isfinite().all(1), wrong - true, -torch.inf)


def column(values: Tensor, like: Tensor) -> Tensor:
    """(n,) values with further axes of length one, so that they multiply the rows of ``like``."""
    return values.reshape(-1, *[1] * (like.ndim - 1))


def l2(v: Tensor) -> Tensor:
    """(n,) Euclidean length of each row."""
    return v.flatten(1).norm(dim=1)


def project(v: Tensor, x: Tensor, eps: float, norm: str, bounds: tuple[float, float]) -> Tensor:
    """The rows of ``v`` brought into the ball of radius ``eps`` around ``x`` and into the bounds."""
    delta = v - x
    if norm == "linf":
        delta = delta.clamp(-eps, eps)
    else:
        delta = delta * column((eps / l2(delta).clamp_min(1e-30)).clamp(max=1), delta)
    return (x + delta).clamp(*bounds)


def direction(gradient: Tensor, norm: str) -> Tensor:
    """The step of length one that climbs fastest: the sign, or the gradient over its length."""
    if norm == "linf":
        return gradient.sign()
    return gradient / column(l2(gradient).clamp_min(1e-30), gradient)


def climb(loss: Tensor, v: Tensor) -> Tensor:
    """The gradient of a summed loss; zero where the model gives none or one that is not finite."""
    if not loss.requires_grad:
        return torch.zeros_like(v)
    gradient, *_ = torch.autograd.grad(loss, v, allow_unused=True)
    return torch.zeros_like(v) if gradient is None else gradient.nan_to_num(0.0, 0.0, 0.0)


def drawn(array: np.ndarray, like: Tensor) -> Tensor:
    """Draws as a tensor beside ``like``."""
    return torch.from_numpy(array).to(like.device)


def inside(generator: Draws, x: Tensor, eps: float, norm: str) -> Tensor:
    """One point a row, uniform in the ball of radius ``eps`` around ``x`` (the bounds are not looked at)."""
    shape = x.shape[1:]
    if norm == "linf":
        return x + eps * (2 * drawn(generator.uniform(*shape), x) - 1)
    radius = drawn(generator.spawn(1).uniform(), x) ** (1 / x[0].numel())
    way = direction(drawn(generator.normal(*shape), x), norm)
    return x + eps * column(radius, x) * way


class Best:
    """The most adversarial point seen for each row, and the rows that still stand.

    A row leaves ``rows`` when its margin is a clear share of its largest logit, not at the first wrong answer: then
    another batch gives the same answer, and mostly so does the input once it was rounded and stored.
    """

    def __init__(self, x: Tensor, y: Tensor) -> None:
        self.points, self.y = x.clone(), y
        self.margin = torch.full((len(x),), -torch.inf, device=x.device)
        self.rows = torch.arange(len(x), device=x.device)

    def offer(self, points: Tensor, logits: Tensor) -> Tensor:
        """Take the points (one for each row that stands) that are better; returns a mask of those still standing."""
        found = margin(logits.float(), self.y[self.rows])
        better = found > self.margin[self.rows]
        at = self.rows[better]
        self.points[at], self.margin[at] = points[better], found[better]
        standing = ~(found > CLEAR * logits.abs().amax(1))
        self.rows = self.rows[standing]
        return standing
