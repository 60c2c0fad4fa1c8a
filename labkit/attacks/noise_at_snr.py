"""White noise at a stated signal-to-noise ratio: the control for sound and series."""

from __future__ import annotations

from typing import Annotated, Literal

from torch import Tensor

from labkit.attacks._moves import worst
from labkit.attacks._search import Best, column, direction, drawn, project, radii
from labkit.core.draws import Draws
from labkit.core.method import Range
from labkit.models.classifier import Classifier


def noise_at_snr(
    model: Classifier,
    x: Tensor,
    y: Tensor,
    eps: float,
    norm: Literal["noise_to_signal"],
    generator: Draws,
    batch_size: int,
    *,
    draws: Annotated[int, Range(1, 10_000, log=True), "noises tried for each row"] = 50,
) -> Annotated[Tensor, "queries"]:
    """The most adversarial of ``draws`` white noises, each exactly ``eps`` times as long as its row.

    The signal-to-noise ratio is then -20 log10(eps) decibels: 20 at eps 0.1, 0 at eps 1. Where the bounds cut a noise it
    is shorter; a row of silence stays silent. Any attack under this threat model must beat it, as one under the Lp
    norms must beat ``uniform_noise`` (Carlini et al., 2019, arXiv 1902.06705).
    """
    length, best = radii(x, eps, norm), Best(x, y)

    def propose(rows: Tensor, k: int) -> Tensor:
        here = x[rows]
        noise = drawn(generator[rows.cpu().numpy()].spawn(k).normal(*x.shape[1:]), x).to(x.dtype)
        return project(here + column(length[rows], here) * direction(noise, "l2"), here, eps, norm, model.bounds)

    worst(model, best, propose, draws, batch_size)
    return best.points
