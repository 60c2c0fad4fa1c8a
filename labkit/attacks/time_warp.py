"""Speeding a recording up and slowing it down."""

from __future__ import annotations

import math
from typing import Annotated

import torch
from torch import Tensor

from labkit.attacks._moves import read_at, refined, require, uniform, within
from labkit.core.draws import Draws
from labkit.core.method import Range
from labkit.data.schema import Schema
from labkit.models.classifier import Classifier

# The steepest part of a warp: time never stands still nor runs backwards.
_STEEPEST = 0.9


def time_warp(
    model: Classifier,
    x: Tensor,
    y: Tensor,
    eps: float,
    generator: Draws,
    schema: Schema,
    batch_size: int,
    *,
    waves: Annotated[int, Range(1, 20), "half waves that a warp is made of: more of them make it less smooth"] = 4,
    tries: Annotated[int, Range(1, 10_000, log=True), "random warps tried first, and in each round"] = 30,
    rounds: Annotated[int, Range(0, 20), "rounds of random warps around the best so far"] = 4,
) -> Annotated[Tensor, "queries"]:
    """The most adversarial smooth warp of the time of each row (n, samples) or (n, channels, steps).

    No moment is displaced by more than eps of the length; both ends stay, order in time stays, and values between
    samples lie on straight lines. eps 0 leaves the row as it is. Random warps come first, then ever smaller changes of
    the best. Images, tables and text are refused.

    Source: time warping as an augmentation: Um et al., 2017, arXiv 1706.00527; here as a search for the worst one.
    """
    require(schema, "time_warp", "audio", "series")
    length = x.shape[-1]
    time = torch.arange(length, device=x.device, dtype=torch.float64)
    rank = torch.arange(1, waves + 1, device=x.device)[:, None]
    sines = (math.pi * rank * time / max(length - 1, 1)).sin()
    sines[:, -1] = 0.0

    def move(rows: Tensor, parameters: Tensor) -> Tensor:
        return within(read_at(rows, time + _displaced(parameters.double() @ sines, eps * length)), model.bounds)

    single = torch.eye(waves, device=x.device, dtype=x.dtype)
    starts = torch.cat([torch.zeros_like(single[:1]), single, -single])[:, None].expand(-1, len(x), -1)
    starts = torch.cat([starts, uniform(generator.spawn(99), x, tries, waves)])
    return refined(model, x, y, move, starts, generator, rounds, batch_size)


def _displaced(curve: Tensor, most: float) -> Tensor:
    """(n, time) displacements in samples: at most ``most``, and as gentle as the order of time asks for."""
    curve = most * curve / curve.abs().amax(1, keepdim=True).clamp_min(1.0)
    if curve.shape[1] < 2:
        return curve * 0
    return curve * (_STEEPEST / curve.diff(dim=1).abs().amax(1, keepdim=True).clamp_min(_STEEPEST))
