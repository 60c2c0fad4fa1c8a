"""What several attacks share: the geometry of a budget, and keeping the best point found for each row."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from labkit.core.draws import Draws

NORMS = ("linf", "l2", "l1", "l0", "noise_to_signal")
CLEAR = 0.03

Bounds = tuple[float, float] | None


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


def distance(v: Tensor, x: Tensor, norm: str) -> Tensor:
    """(n,) how far each row of ``v`` is from that of ``x``; infinite under "noise_to_signal" where silence was changed."""
    delta = (v - x).flatten(1)
    if norm == "l0":
        return (delta != 0).sum(1).to(x.dtype)
    if norm == "noise_to_signal":
        length = l2(delta)
        return torch.where(length > 0, length / l2(x), length)
    return torch.linalg.vector_norm(delta, {"linf": torch.inf, "l2": 2, "l1": 1}[norm], dim=1)


def radii(x: Tensor, eps: float | Tensor, norm: str) -> Tensor:
    """(n,) each row's budget; under "noise_to_signal" the Euclidean length that it stands for."""
    each = torch.as_tensor(eps, device=x.device).to(torch.promote_types(x.dtype, torch.float32)).expand(len(x))
    return each * l2(x) if norm == "noise_to_signal" else each


def project(v: Tensor, x: Tensor, eps: float | Tensor, norm: str, bounds: Bounds) -> Tensor:
    """The rows of ``v`` brought into the ball of radius ``eps`` around ``x`` and into the bounds.

    It is the nearest such point, but under "l2" (and "noise_to_signal"), where the ball comes first and the bounds then.
    Values are rounded towards ``x``, so that a distance measured afterwards does not exceed the budget.
    """
    delta, radius = v - x, radii(x, eps, norm)
    if norm == "linf":
        delta = delta.clamp(-column(radius, x), column(radius, x))
    elif norm == "l1":
        delta = _onto_l1(delta, room(delta, x, bounds), radius)
    elif norm == "l0":
        delta = _onto_l0(delta, room(delta, x, bounds), radius)
    else:
        delta = delta * column((radius / l2(delta).clamp_min(1e-30)).clamp(max=1), delta)
    points = (x + delta).to(x.dtype)
    points = torch.where((points - x).abs() > delta.abs(), torch.nextafter(points, x), points)
    return points if bounds is None else points.clamp(*bounds)


def room(delta: Tensor, x: Tensor, bounds: Bounds) -> Tensor:
    """How far each value may move the way that it does."""
    if bounds is None:
        return torch.full_like(delta, torch.inf)
    return torch.where(delta > 0, bounds[1] - x, x - bounds[0]).clamp_min(0)


def _onto_l1(delta: Tensor, room: Tensor, radius: Tensor) -> Tensor:
    """The nearest changes within the room whose sizes add up to at most ``radius``.

    Every size is lessened by one amount a row and cut to 0 and to its room (Duchi et al., 2008, doi
    10.1145/1390156.1390191; with bounds Croce and Hein, 2021, arXiv 2103.01208). Their sum is linear in that amount
    between the amounts at which a size leaves its room or reaches 0, so sorting these finds it.
    """
    size, far = delta.flatten(1).abs().double(), room.flatten(1).double()
    at, order = torch.cat([(size - far).clamp_min(0), size], 1).sort(dim=1, stable=True)
    falling = torch.where(order < size.shape[1], 1.0, -1.0).double().cumsum(1)
    total = torch.minimum(size, far).sum(1, keepdim=True)
    left = total - (falling[:, :-1] * at.diff(dim=1)).cumsum(1)
    left = torch.cat([total, left], 1)
    # The last amount at which too much is left, and from there on by the slope.
    last = ((left > radius[:, None]).sum(1, keepdim=True) - 1).clamp_min(0)
    slope = falling.gather(1, last).clamp_min(1)
    amount = at.gather(1, last) + (left.gather(1, last) - radius[:, None]) / slope
    amount = torch.where(total > radius[:, None], amount, 0.0)
    return delta.sign() * torch.minimum((size - amount).clamp_min(0), far).view_as(delta).to(delta.dtype)


def _onto_l0(delta: Tensor, room: Tensor, radius: Tensor) -> Tensor:
    """The nearest changes within the room at ``radius`` places, rounded down: those that bring most are kept."""
    size, far = delta.abs(), torch.minimum(delta.abs(), room)
    gain = (far * (2 * size - far)).flatten(1)
    rank = gain.argsort(dim=1, descending=True, stable=True).argsort(dim=1)
    return torch.where((rank < radius.floor()[:, None]).view_as(delta), delta.sign() * far, 0.0)


def direction(
    gradient: Tensor, norm: str, points: Tensor | None = None, bounds: Bounds = None, share: float | Tensor = 0.05
) -> Tensor:
    """The step of length one that climbs: the sign, or the gradient over its length.

    Under "l1" it is spread evenly over the ``share`` of values with the largest gradients (Tramer and Boneh, 2019, arXiv
    1904.13000), which beats the single steepest one; with ``points`` and ``bounds`` only those count that may still move.
    Under "l0", where a step has no length of its own, the value with the largest gradient moves by one unit.
    """
    if norm == "linf":
        return gradient.sign()
    if norm == "l0":
        return gradient / column(gradient.flatten(1).abs().amax(1).clamp_min(1e-30), gradient)
    if norm != "l1":
        return gradient / column(l2(gradient).clamp_min(1e-30), gradient)
    if points is not None:
        gradient = torch.where(room(gradient, points, bounds) > 0, gradient, 0.0)
    size = gradient.flatten(1).abs()
    count = torch.as_tensor(share, device=size.device).mul(size.shape[1]).round().long().clamp(1, size.shape[1])
    least = size.sort(dim=1, descending=True).values.gather(1, count.expand(len(size))[:, None] - 1)
    signs = gradient.sign() * (size >= least).view_as(gradient)
    return signs / column(signs.flatten(1).abs().sum(1).clamp_min(1), signs)


def climb(loss: Tensor, v: Tensor, *, again: bool = False) -> Tensor:
    """The gradient of a summed loss; zero where the model gives none or one that is not finite.

    ``again`` keeps what is needed for a further gradient of the same answers.
    """
    if not loss.requires_grad:
        return torch.zeros_like(v)
    gradient, *_ = torch.autograd.grad(loss, v, allow_unused=True, retain_graph=again)
    return torch.zeros_like(v) if gradient is None else gradient.nan_to_num(0.0, 0.0, 0.0)


def drawn(array: np.ndarray, like: Tensor) -> Tensor:
    """Draws as a tensor beside ``like``."""
    return torch.from_numpy(array).to(like.device)


def inside(generator: Draws, x: Tensor, eps: float | Tensor, norm: str, bounds: Bounds = None) -> Tensor:
    """One point a row, uniform in the ball of radius ``eps`` around ``x``.

    The bounds are looked at under "l0" alone, where ``eps`` values are drawn anew, uniform within them.
    """
    shape, radius = x.shape[1:], column(radii(x, eps, norm), x)
    if norm == "linf":
        return x + radius * (2 * drawn(generator.uniform(*shape), x) - 1)
    if norm == "l0":
        low, high = bounds or (0.0, 1.0)
        rank = drawn(generator.uniform(*shape), x).flatten(1).argsort(1).argsort(1).view_as(x)
        fresh = low + (high - low) * drawn(generator.spawn(1).uniform(*shape), x)
        return torch.where(rank < radius.floor(), fresh.to(x.dtype), x)
    if norm == "l1":
        way = drawn(generator.signs(*shape), x) * -drawn(1 - generator.spawn(2).uniform(*shape), x).log()
        way = way / column(way.flatten(1).abs().sum(1), way)
    else:
        way = direction(drawn(generator.normal(*shape), x), norm)
    return x + radius * column(drawn(generator.spawn(1).uniform(), x) ** (1 / x[0].numel()), x) * way


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
