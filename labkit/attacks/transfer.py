"""Attacking a copy of the model that was learned from its answers."""

from __future__ import annotations

import math
from typing import Annotated, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from labkit.attacks._learned import TOGETHER, asked, once, some, steady
from labkit.attacks._search import Best, climb, column, direction, drawn, project
from labkit.core.draws import Draws
from labkit.core.method import Range
from labkit.models.classifier import Classifier


def transfer(
    model: Classifier,
    x: Tensor,
    y: Tensor,
    eps: float,
    norm: Literal["linf", "l2"],
    background: Tensor,
    batch_size: int,
    *,
    noisy: Annotated[int, Range(0, 100), "how often the background is asked about again, under noise"] = 2,
    updates: Annotated[int, Range(1, 10_000, log=True), "steps of learning, each on 32 points"] = 600,
    most: Annotated[int, Range(1, 100_000, log=True), "rows of the background to learn from, evenly spaced"] = 512,
    steps: Annotated[int, Range(1, 1000, log=True), "gradient steps on the copy"] = 20,
    looks: Annotated[int, Range(1, 100), "how often on the way the model itself is asked"] = 5,
) -> Annotated[Tensor, "queries"]:
    """Climbs the cross-entropy of a copy, with momentum; of the points on the way the model's answers choose the best.

    The copy learns the model's probabilities on the background, as it is and under noise of size ``eps``. It never sees
    the rows attacked, nor a gradient of the model, so a model that hides its gradients does not stop it. For images it
    is two convolutions (3 by 3, 16 and 32 maps), each with ReLU and pooling by 2, and one dense layer; for other rows
    two hidden layers of 128 units. It uses no draws of the caller's: another seed gives the same copy.

    Source: Papernot et al., 2017, arXiv 1602.02697, with noise in the place of their Jacobian steps, which did no
    better here; momentum: Dong et al., 2018, arXiv 1710.06081.
    """
    assert model.bounds
    known = some(background, most)

    def learn() -> nn.Module:
        return _copied(model, known, eps, norm, noisy, updates, batch_size)

    copy = once(model, known, ("transfer", eps, norm, noisy, updates), learn)
    best, points, memory = Best(x, y), x, torch.zeros_like(x)
    for step in range(1, steps + 1):
        rows = best.rows
        if not len(rows):
            break
        gradient = _uphill(copy, points, y[rows])
        memory = memory + gradient / column(gradient.flatten(1).abs().sum(1).clamp_min(1e-30), gradient)
        points = project(points + 2.5 * eps / steps * steady(memory, norm), x[rows], eps, norm, model.bounds)
        if step * looks // steps > (step - 1) * looks // steps:
            with torch.no_grad():
                keep = best.offer(points, model(points))
            points, memory = points[keep], memory[keep]
    return best.points


def _uphill(copy: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    z = x.detach().requires_grad_()
    return climb(F.cross_entropy(copy(z), y, reduction="sum"), z)


def _copied(model: Classifier, x: Tensor, eps: float, norm: str, noisy: int, updates: int, batch_size: int) -> _Copy:
    """A net that answers as the model does. Points that the model answers with NaN teach it nothing."""
    assert model.bounds
    points = [x]
    for k in range(noisy):
        way = direction(drawn(Draws(k, len(x)).normal(*x.shape[1:]), x).to(x.dtype), norm)
        points.append(project(x + eps * way, x, eps, norm, model.bounds))
    x = torch.cat(points)
    answers = asked(model, x, batch_size)
    fine = answers.isfinite().all(1)
    x, answers = x[fine], answers[fine].softmax(1)
    with torch.random.fork_rng(devices=[x.device] if x.is_cuda else []):
        torch.manual_seed(0)
        copy = _Copy(x, answers.shape[1], model.bounds).to(x.device)
    optimizer = torch.optim.Adam(copy.parameters(), 3e-3)
    for step in range(updates if len(x) else 0):
        at = drawn(Draws(step, TOGETHER).integers(len(x)), x)
        optimizer.zero_grad()
        F.cross_entropy(copy(x[at]), answers[at]).backward()
        optimizer.step()
    return copy.requires_grad_(False)


class _Copy(nn.Module):
    """The net that learns; the bounds become 0 and 1."""

    def __init__(self, x: Tensor, classes: int, bounds: tuple[float, float]) -> None:
        super().__init__()
        self.low, self.span = bounds[0], bounds[1] - bounds[0]
        if x.ndim == 4:
            wide = 32 * math.prod(-(-side // 4) for side in x.shape[2:])
            body: list[nn.Module] = [*_pooled(x.shape[1], 16), *_pooled(16, 32), nn.Flatten(), nn.Linear(wide, classes)]
        else:
            dense = (nn.Linear(math.prod(x.shape[1:]), 128), nn.ReLU(), nn.Linear(128, 128), nn.ReLU())
            body = [nn.Flatten(), *dense, nn.Linear(128, classes)]
        self.layers = nn.Sequential(*body)

    def forward(self, x: Tensor) -> Tensor:
        answers: Tensor = self.layers((x.float() - self.low) / self.span)
        return answers


def _pooled(channels: int, maps: int) -> tuple[nn.Module, ...]:
    return nn.Conv2d(channels, maps, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2, ceil_mode=True)
