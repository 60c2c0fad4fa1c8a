"""Moving a recording in time."""

from __future__ import annotations

from typing import Annotated, Literal

import torch
from torch import Tensor

from labkit.attacks._moves import fits, require, shifted, within, worst
from labkit.attacks._search import Best
from labkit.core.method import Range
from labkit.data.schema import Schema
from labkit.models.classifier import Classifier


def time_shift(
    model: Classifier,
    x: Tensor,
    y: Tensor,
    eps: float,
    schema: Schema,
    batch_size: int,
    *,
    edge: Annotated[
        Literal["circular", "silence", "edge"], "what enters: the other end, 0, or the end value"
    ] = "circular",
    tries: Annotated[int, Range(1, 100_000, log=True), "most shifts tried for each row; all of them if they fit"] = 400,
) -> Annotated[Tensor, "queries"]:
    """The most adversarial shift of each row (n, samples) or (n, channels, steps), by whole samples.

    eps is the share of the length that a row may move by, earlier or later: 0 leaves it where it is, 1 allows every
    shift. Where more shifts than ``tries`` are allowed, evenly spaced ones are tried, otherwise every one, the smallest
    first: the result is then exact. Images, tables and text are refused.

    Source: translations as a threat model: Engstrom et al., 2019, arXiv 1712.02779, along the one axis of time.
    """
    require(schema, "time_shift", "audio", "series")
    most = min(fits(eps, x.shape[-1]), x.shape[-1] - 1)
    every = torch.arange(-most, most + 1)
    if len(every) > tries:
        every = torch.linspace(-most, most, tries).round().long()
    every = every[every.abs().argsort(stable=True)].to(x.device)

    def propose(rows: Tensor, k: int) -> Tensor:
        return within(shifted(x[rows], every[k].expand(len(rows)), edge), model.bounds)

    best = Best(x, y)
    worst(model, best, propose, len(every), batch_size)
    return best.points
