"""The one-pixel attack: differential evolution over places and values."""

from __future__ import annotations

from typing import Annotated, Literal

import torch
from torch import Tensor

from labkit.attacks._search import Best, drawn, margin
from labkit.core.draws import Draws
from labkit.core.method import Range
from labkit.models.classifier import Classifier


def one_pixel(
    model: Classifier,
    x: Tensor,
    y: Tensor,
    eps: float,
    norm: Literal["l0"],
    generator: Draws,
    batch_size: int,
    *,
    population: Annotated[int, Range(4, 1000, log=True), "candidates for each row"] = 50,
    generations: Annotated[int, Range(0, 1000), "how often every candidate gets a rival"] = 20,
    scale: Annotated[
        float, Range(0, 2), "what a difference of two candidates counts when it is added to a third"
    ] = 0.5,
) -> Annotated[Tensor, "queries"]:
    """Evolves candidates, each of them ``eps`` places with their new values; a rival replaces the one that it beats.

    Places are coordinates along every axis of a row, so that near candidates change near values; under "l0" every value
    counts, a pixel of three colours as three. A rival is a candidate plus the scaled difference of two others. Needs the
    logits alone. Rows leave when broken; every row evolves by its own draws.

    Source: Su, Vargas and Sakurai, 2019, arXiv 1710.08864; Storn and Price, 1997, doi 10.1023/A:1008202821328.
    """
    assert model.bounds
    best, count = Best(x, y), min(int(eps), x[0].numel())
    if not count:
        return best.points
    genes = drawn(generator.uniform(population, count, x.ndim), x)
    fitness = torch.full(genes.shape[:2], -torch.inf, device=x.device)
    for generation in range(generations + 1):
        rows = best.rows
        if not len(rows):
            break
        rivals = genes[rows]
        if generation:
            rivals = _rivals(generator[rows.cpu().numpy()].spawn(generation), rivals, scale)
        lead = _leads(model, x[rows], y[rows], rivals, batch_size)
        better = lead > fitness[rows]
        genes[rows] = torch.where(better[..., None, None], rivals, genes[rows])
        fitness[rows] = torch.where(better, lead, fitness[rows])
        first = fitness[rows].argmax(1)
        points = _painted(x[rows], genes[rows, first], model.bounds)
        with torch.no_grad():
            best.offer(points, model(points))
    return best.points


def _rivals(stream: Draws, genes: Tensor, scale: float) -> Tensor:
    """One rival for each candidate: another one plus the scaled difference of two that are not the same."""
    population = genes.shape[1]
    away = drawn(stream.integers(population - 1, population, 3), genes) + 1
    at = (torch.arange(population, device=genes.device)[:, None] + away.cumsum(2)) % population
    a, b, c = (torch.take_along_dim(genes, i[..., None, None], 1) for i in at.unbind(2))
    return (a + scale * (b - c)).clamp(0, 1)


def _leads(model: Classifier, x: Tensor, y: Tensor, genes: Tensor, batch_size: int) -> Tensor:
    """(n, population) margins, at most ``batch_size`` candidates at a time."""
    n, population = genes.shape[:2]
    row = torch.arange(n, device=x.device).repeat_interleave(population)
    leads = []
    for part in torch.arange(len(row), device=x.device).split(batch_size):
        points = _painted(x[row[part]], genes.flatten(0, 1)[part], model.bounds or (0.0, 1.0))
        with torch.no_grad():
            leads.append(margin(model(points).float(), y[row[part]]))
    return torch.cat(leads).view(n, population)


def _painted(x: Tensor, genes: Tensor, bounds: tuple[float, float]) -> Tensor:
    """The rows with the changes of one candidate each: (n, count, axes + 1) coordinates and values from 0 to 1."""
    flat, place = x.flatten(1).clone(), torch.zeros(genes.shape[:2], dtype=torch.long, device=x.device)
    for axis, size in enumerate(x.shape[1:]):
        place = place * size + (genes[..., axis] * size).long().clamp(max=size - 1)
    value = (bounds[0] + (bounds[1] - bounds[0]) * genes[..., -1]).to(x.dtype)
    for k in range(place.shape[1]):  # one by one, so that of two changes in one place the later one stands everywhere
        flat.scatter_(1, place[:, k, None], value[:, k, None])
    return flat.view_as(x)
