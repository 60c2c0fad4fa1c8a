"""One perturbation for all inputs."""

from __future__ import annotations

from typing import Annotated, Literal

import torch
from torch import Tensor

from labkit.attacks._learned import common, once, some
from labkit.attacks._search import project
from labkit.core.draws import Draws
from labkit.core.method import Range
from labkit.models.classifier import Classifier


def universal(
    model: Classifier,
    x: Tensor,
    y: Tensor,
    eps: float,
    norm: Literal["linf", "l2"],
    background: Tensor,
    batch_size: int,
    *,
    steps: Annotated[int, Range(1, 10_000, log=True), "gradient steps, each on 32 rows of the background"] = 100,
    most: Annotated[int, Range(1, 100_000, log=True), "rows of the background to learn from, evenly spaced"] = 512,
) -> Tensor:
    """Adds one and the same perturbation of size ``eps`` to every row, then cuts to the bounds.

    It is learned from the background and the model's own answers there, never from the rows attacked: it shows what
    someone can do who prepares once and has no time to compute. Far weaker than an attack made for each row. It uses no
    draws of the caller's: another seed gives the same perturbation.

    Source: Moosavi-Dezfooli, Fawzi, Fawzi and Frossard, 2017, arXiv 1610.08401; learned by gradient steps on batches as
    in Shafahi et al., 2020, arXiv 1811.11304, with a margin in the place of their clipped cross-entropy.
    """
    rows = some(background, most)
    origin = torch.zeros_like(rows[:1])

    def put(clean: Tensor, delta: Tensor, draws: Draws) -> Tensor:
        return clean + delta

    def keep(delta: Tensor) -> Tensor:
        return project(delta[None], origin, eps, norm, None)[0]

    def learn() -> Tensor:
        return common(model, rows, origin[0], put, keep, eps, norm, steps, batch_size)

    delta = once(model, rows, ("universal", eps, norm, steps), learn)
    return project(x + delta, x, eps, norm, model.bounds)
