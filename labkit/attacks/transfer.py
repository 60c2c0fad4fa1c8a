"""Attacking a copy of the model that was learned from its answers."""

from __future__ import annotations

from typing import Annotated, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from labkit.attacks._learned import TOGETHER, asked, once, some, steady
from labkit.attacks._search import Best, climb, column, drawn, project
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
    rounds: Annotated[int, Range(1, 10), "rounds of learning; between them new points are asked about"] = 3,
    updates: Annotated[int, Range(1, 10_000, log=True), "steps of learning in each round, each on 32 points"] = 200,
    most: Annotated[int, Range(1, 100_000, log=True), "rows of the background asked about in each round"] = 512,
    steps: Annotated[int, Range(1, 1000, log=True), "gradient steps on the copy"] = 20,
    looks: Annotated[int, Range(1, 100), "how often on the way the model itself is asked"] = 5,
) -> Annotated[Tensor, "queries"]:
    """Climbs the cross-entropy of a copy, with momentum; of the points on the way the model's answers choose the best.

    The copy learns the model's probabilities on the background, and in each further round also on points that lie
    ``eps`` along the copy's own gradient. It never sees the rows attacked, nor a gradient of the model, so a model that
    hides its gradients does not stop it. Images get two convolutions of stride 2 (16 and 32 maps) and two dense layers
    (64 units); other rows two hidden layers of 128. Its seed is fixed: another seed gives the same copy.

    Source: Papernot et al., 2017, arXiv 1602.02697; momentum: Dong et al., 2018, arXiv 1710.06081.
    """
    assert model.bounds
    known = some(background, most)

    def learn() -> nn.Module:
        return _copied(model, known, eps, norm, rounds, updates, batch_size)

    copy = once(model, known, ("transfer", eps, norm, rounds, updates), learn)
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


def _copied(model: Classifier, x: Tensor, eps: float, norm: str, rounds: int, updates: int, batch_size: int) -> _Copy:
    """A net that answers as the model does. Points that the model answers with NaN teach it nothing."""
    x, answers = _answered(model, x, batch_size)
    with torch.random.fork_rng(devices=[x.device] if x.is_cuda else []):
        torch.manual_seed(0)
        copy = _Copy(x, answers.shape[1]).to(x.device)
    optimizer = torch.optim.Adam(copy.parameters(), 3e-3)
    first = x
    for turn in range(rounds if len(x) else 0):
        if turn:
            towards = torch.cat([_uphill(copy, part, copy(part).argmax(1)) for part in first.split(TOGETHER)])
            further = project(first + eps * steady(towards, norm), first, eps, norm, model.bounds)
            further, more = _answered(model, further, batch_size)
            x, answers = torch.cat([x, further]), torch.cat([answers, more])
        for step in range(updates):
            at = drawn(Draws(turn * updates + step, TOGETHER).integers(len(x)), x)
            optimizer.zero_grad()
            F.cross_entropy(copy(x[at]), answers[at]).backward()
            optimizer.step()
    return copy.requires_grad_(False)


def _answered(model: Classifier, x: Tensor, batch_size: int) -> tuple[Tensor, Tensor]:
    """The rows with a finite answer, and the model's probabilities for them."""
    answers = asked(model, x, batch_size)
    fine = answers.isfinite().all(1)
    return x[fine], answers[fine].softmax(1)


class _Copy(nn.Module):
    """The net that learns; inputs are brought to mean 0 and deviation 1 of the rows given."""

    def __init__(self, x: Tensor, classes: int) -> None:
        super().__init__()
        self.mean, self.deviation = (x.mean(), x.std().clamp_min(1e-6)) if x.numel() > 1 else (0.0, 1.0)
        if x.ndim == 4:
            maps = (nn.Conv2d(x.shape[1], 16, 3, 2, 1), nn.GELU(), nn.Conv2d(16, 32, 3, 2, 1), nn.GELU())
            self.layers = nn.Sequential(
                *maps, nn.AdaptiveAvgPool2d(4), nn.Flatten(), *_dense(512, 64), nn.Linear(64, classes)
            )
        else:
            hidden = (*_dense(x[0].numel(), 128), *_dense(128, 128))
            self.layers = nn.Sequential(nn.Flatten(), *hidden, nn.Linear(128, classes))

    def forward(self, x: Tensor) -> Tensor:
        answers: Tensor = self.layers((x.float() - self.mean) / self.deviation)
        return answers


def _dense(inputs: int, units: int) -> tuple[nn.Module, nn.Module]:
    return nn.Linear(inputs, units), nn.GELU()
