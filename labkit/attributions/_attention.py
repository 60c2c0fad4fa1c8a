"""What attention methods share: a model's maps, the tokens that its answer is read from, and the evidence beside them.

Attention alone is not an explanation (Jain and Wallace, 2019, arXiv 1902.10186; Wiegreffe and Pinter, 2019, arXiv
1908.04626): every map comes with a gradient method's, with how far the two agree, and with what permuting the maps
does to the answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import Tensor

from labkit.attributions._passes import score
from labkit.attributions.input_x_gradient import input_x_gradient
from labkit.core.draws import Draws
from labkit.core.refused import Refused
from labkit.models.attention import attending, standing
from labkit.models.classifier import Classifier

INSTEAD = "input_x_gradient, integrated_gradients, occlusion or kernel_shap"
PERMUTATIONS = 8
Result = tuple[Tensor, dict[str, Tensor]]


@dataclass(frozen=True, eq=False)
class Attended:
    """One forward and backward pass.

    Attributes:
        maps: one a layer, (n, heads, to, from); slopes: the gradient of the target's score with respect to each.
        reads: (n, tokens) equal shares of the tokens that the answer is read from behind the last attention.
        score: (n,) of the target.
    """

    model: Classifier
    x: Tensor
    target: Tensor
    maps: tuple[Tensor, ...]
    slopes: tuple[Tensor, ...]
    reads: Tensor
    score: Tensor


def attended(by: str, model: Classifier, x: Tensor, target: Tensor) -> Attended:
    """The maps of these rows.

    Raises:
        Refused: a model without maps or gradients, or whose layers attend over different tokens.
    """
    model.require("attention", by=by, instead=INSTEAD)
    model.require("gradients", by=by, instead="occlusion or kernel_shap, which ask for outputs only; or terms")
    z, forward = model.relax(x)
    with torch.enable_grad(), attending(model.module) as seen:
        out = score(forward(z.detach().requires_grad_()), target)
    sizes = sorted({(len(m), m.shape[2]) for m in seen.maps})
    if len(sizes) != 1 or sizes[0][0] != len(x):
        given = f"maps of (rows, tokens) {', '.join(map(str, sizes)) or 'no layer'} for {len(x)} rows"
        raise Refused(
            f"{by} on {model.name}", given, f"a model whose layers all attend over the same tokens, or {INSTEAD}"
        )
    wanted = [*seen.maps, seen.leaving[-1]]
    found = torch.autograd.grad(out.sum(), wanted, allow_unused=True) if out.requires_grad else [None] * len(wanted)
    *slopes, last = (torch.zeros_like(w) if slope is None else slope for w, slope in zip(wanted, found))
    read = last.abs().sum(2) > 0
    reads = read / read.sum(1, keepdim=True).clamp_min(1)
    maps = tuple(m.detach() for m in seen.maps)
    return Attended(model, x, target, maps, tuple(slopes), reads.to(maps[0]), out.detach())


def product(layers: Sequence[Tensor]) -> Tensor:
    """(n, to, from) of what flows through all layers, the first of which stands first."""
    total = layers[0]
    for layer in layers[1:]:
        total = layer @ total
    return total


def explained(found: Attended, mixing: Tensor, baseline: Tensor, generator: Draws, batch_size: int) -> Result:
    """The (n, to, from) weights of the tokens that the answer is read from, laid over the input, and the evidence.

    Returns:
        Values like x. Facts: "gradient", input_x_gradient like x; "agreement" (n,), Spearman's correlation of the two
        over tokens; "permuted" (n,), by how much the target's score moves, in the mean over 8 draws, when each map's
        weights are given to other tokens.
    """
    weights = torch.einsum("nt,nts->ns", found.reads, mixing.to(found.reads))
    shares = standing(found.model, found.x).to(weights).expand(len(weights), -1, -1)
    values = torch.einsum("ns,nse->ne", weights, shares).reshape(found.x.shape)
    slope = input_x_gradient(found.model, found.x, found.target, baseline)
    slope = slope if slope.shape == found.x.shape else slope.sum(-1)
    facts = {
        "gradient": slope,
        "agreement": _agreement(weights, slope, shares * _attended_to(found)[:, :, None]),
        "permuted": _permuted(found, generator, batch_size),
    }
    return values, facts


def _agreement(weights: Tensor, slope: Tensor, shares: Tensor) -> Tensor:
    """(n,) over the tokens that stand for something, each with the size of the gradient's values there; nan where either
    is the same everywhere."""
    from scipy.stats import rankdata

    sizes = ((shares > 0).to(slope) @ slope.abs().flatten(1)[:, :, None])[:, :, 0]
    found = []
    for row in zip(*(v.detach().double().cpu().numpy() for v in (weights, sizes, shares.sum(2)))):
        # rounded, or the noise of a batch's sums would order equal tokens
        a, b = (rankdata(np.round(v[row[2] > 0] / max(v.max(), 1e-300), 6)) for v in row[:2])
        known = len(a) > 2 and np.ptp(a) > 0 and np.ptp(b) > 0
        found.append(np.corrcoef(a, b)[0, 1] if known else np.nan)
    return torch.tensor(found, dtype=torch.float64)


def _permuted(found: Attended, generator: Draws, batch_size: int) -> Tensor:
    """(n,) mean distance of the score under permuted maps. Tokens that get no attention, such as padding, stay."""
    n, tokens = found.reads.shape
    attended_to = _attended_to(found)
    place = torch.arange(tokens, device=found.x.device).expand(n, -1)
    own = torch.where(attended_to, place, place + tokens).argsort(1)
    moved = torch.zeros(n, dtype=torch.float64, device=found.x.device)
    each = max(1, batch_size // n)
    for first in range(0, PERMUTATIONS, each):
        orders = []
        for draw in range(first, min(first + each, PERMUTATIONS)):
            keys = torch.from_numpy(generator.spawn(draw).uniform(tokens)).to(found.x.device)
            other = torch.where(attended_to, keys, 1.0 + place).argsort(1)
            orders.append(torch.zeros_like(own).scatter(1, own, other))
        with torch.no_grad(), attending(found.model.module, maps=partial(_in_order, torch.cat(orders))):
            out = score(found.model(found.x.repeat(len(orders), *[1] * (found.x.ndim - 1))), found.target)
        moved += (out.double().reshape(-1, n) - found.score.double()).abs().sum(0)
    return moved / PERMUTATIONS


def _attended_to(found: Attended) -> Tensor:
    """(n, tokens) whether any token looks at it; none looks at padding."""
    return torch.stack([maps.sum((1, 2)) for maps in found.maps]).sum(0) > 0


def _in_order(order: Tensor, _run: int, maps: Tensor) -> Tensor:
    """The maps with the weights of other tokens: (n, tokens) says whose each gets."""
    return maps.gather(3, order[:, None, None].expand_as(maps))
