"""Does the method find the truth where the truth is known?"""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

import torch
from torch import Tensor, nn

from labkit.core.draws import Draws
from labkit.core.method import Range
from labkit.core.refused import Refused
from labkit.faithfulness._positions import positions, support
from labkit.models.classifier import Classifier


def planted_truth(
    model: Classifier,
    x: Tensor,
    target: Tensor,
    baseline: Tensor,
    attribute: object,
    generator: Draws,
    *,
    share: Annotated[float, Range(0.01, 0.5), "share of the support that is planted"] = 0.1,
    most: Annotated[int, Range(1, 256), "positions planted at most"] = 16,
) -> Annotated[Tensor, "higher"]:
    """The hit rate of the same method, with the same options and inputs, on models whose answer is known.

    For each row a model is planted whose target logit depends, non-linearly and with interactions, on k positions of
    the row's support alone: neighbouring pixels, or entries at random. It sees tokens and categories through the
    audited model's own embedding. The score is the share of the k largest values (by size, on the support; ties
    shared out) that are planted.

    Returns:
        (n,) from 0 to 1: 1 finds all; a random ranking finds k / (size of the support); nan where the support has
        fewer than two positions.

    Raises:
        Refused: a method that cannot run on such a model, such as one that needs a convolution.
    """
    hits = []
    for i in range(len(x)):
        row = slice(i, i + 1)
        planted, chosen, where = _plant(model, x[row], target[row], baseline[row], generator[row], share, most)
        try:
            found = attribute(planted, x[row], target[row], baseline[row], generator[row].spawn(1))  # type: ignore[operator]
        except Exception as error:  # a method may reach for parts that only the audited model has
            cause = error.given if isinstance(error, Refused) else str(error)
            given = f"a method that cannot run on a planted model ({cause})"
            raise Refused("planted_truth", given, "a method that asks for inputs and outputs only") from error
        hits.append(_hit_rate(positions(found)[0].abs().double(), chosen, where))
    return torch.tensor(hits, dtype=torch.float64)


class _Planted(nn.Module):
    """Rises with u, which is 0 at the baseline and 1 at the input, at a few positions; ignores all else."""

    start: Tensor
    path: Tensor

    def __init__(
        self, embed: nn.Module, start: Tensor, path: Tensor, chosen: Tensor, target: int, classes: int
    ) -> None:
        super().__init__()
        self.embed = embed
        self.register_buffer("start", start[:, chosen])
        self.register_buffer("path", path[:, chosen])
        self.chosen, self.target, self.classes = chosen, target, classes

    def forward(self, x: Tensor) -> Tensor:
        moved = _vectors(self.embed(x), x.shape)[:, self.chosen] - self.start
        u = (moved * self.path).sum(2) / (self.path * self.path).sum(2)
        rise = 2 * torch.tanh(u.mean(1)) + (u * u.roll(1, 1)).mean(1)
        return nn.functional.one_hot(torch.tensor(self.target), self.classes).to(rise) * rise[:, None]


def _vectors(z: Tensor, shape: torch.Size) -> Tensor:
    """(n, positions, width) of what a model sees: a pixel's channels, an entry's embedding, or the entry alone."""
    if z.shape != shape:
        return z.reshape(len(z), -1, z.shape[-1])
    return z.flatten(2).transpose(1, 2) if z.ndim == 4 else z.reshape(len(z), -1, 1)


def _plant(
    model: Classifier, x: Tensor, target: Tensor, baseline: Tensor, generator: Draws, share: float, most: int
) -> tuple[Classifier, Tensor, Tensor]:
    """A planted model for one row, with its positions and the row's support as booleans (positions,)."""
    embed = nn.Identity() if model.embedding is None else model.module.get_submodule(model.embedding)
    with torch.no_grad():
        start, end = (_vectors(embed(v), v.shape) for v in (baseline, x))
    where = support(x, baseline)[0] & ((end - start)[0] != 0).any(1)
    candidates = where.nonzero()[:, 0]
    k = min(most, max(1, round(share * len(candidates))))
    order = torch.from_numpy(generator.uniform(len(candidates))[0].argsort()).to(candidates)
    if x.ndim == 4 and len(candidates):
        place = torch.stack([candidates // x.shape[3], candidates % x.shape[3]], 1).double()
        order = (place - place[order[0]]).norm(dim=1).argsort(dim=0, stable=True)
    chosen = torch.zeros_like(where)
    chosen[candidates[order[:k]]] = True
    module = _Planted(embed, start, end - start, chosen.nonzero()[:, 0], int(target), len(model.classes))
    embedding = model.embedding and "embed"
    planted = replace(model, module=module, embedding=embedding, outputs="logits", read=None, name="planted")
    return planted, chosen, where


def _hit_rate(values: Tensor, chosen: Tensor, where: Tensor) -> float:
    """The expected share of the top k of ``values[where]`` that is chosen, when ties are broken by chance."""
    k = int(chosen.sum())
    if int(where.sum()) < 2:  # nothing to tell apart
        return float("nan")
    values, chosen = values[where], chosen[where]
    cut = values.sort(descending=True).values[k - 1]
    sure, tied = values > cut, values == cut
    places = k - int(sure.sum())
    return (int(chosen[sure].sum()) + places * float(chosen[tied].double().mean())) / k
