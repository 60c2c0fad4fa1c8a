"""Score-CAM: a layer's maps, weighted by what the output gains when only the places that they mark are shown."""

from __future__ import annotations

from typing import Annotated

import torch
from torch import Tensor

from labkit.attributions._layers import chosen, enlarged, laid, output
from labkit.attributions._passes import score
from labkit.core.method import Listed
from labkit.models.classifier import Classifier
from labkit.models.layers import Layer


def score_cam(
    model: Classifier,
    x: Tensor,
    target: Tensor,
    baseline: Tensor,
    batch_size: int,
    *,
    layer: Annotated[str, Listed("layers"), "name of the layer; empty takes the last convolution"] = "",
    positive: Annotated[bool, "show support only, as in the paper; otherwise keep the sign"] = True,
) -> Tensor:
    """Each channel's map is enlarged, scaled from 0 to 1 and laid over the input as a mask, with the baseline where it is
    0; the softmax over channels of the scores' rise from the baseline weighs the maps (Wang et al., 2020, arXiv
    1910.01279). Asks for outputs only.

    Returns:
        Like x, the same for every channel, so that the channels add up to the map. As coarse as the layer, in its unit.

    Raises:
        Refused: what ``grad_cam`` refuses.
    """
    found = chosen("score_cam", model, x, layer)
    with torch.no_grad():
        maps, _ = output(model, x, target, found)
        start = score(model(baseline), target)
        each = max(1, batch_size // len(x))
        rises = [_shown(model, x, target, baseline, part, found) - start for part in maps.split(each, 1)]
    weights = torch.cat(rises).T.softmax(1)
    summed = torch.einsum("nc,nc...->n...", weights, maps)
    return laid(summed.relu() if positive else summed, x, found)


def _shown(model: Classifier, x: Tensor, target: Tensor, baseline: Tensor, maps: Tensor, layer: Layer) -> Tensor:
    """(channels, n) scores of the inputs where each of these channels' maps marks them."""
    marks = enlarged(maps.transpose(0, 1).flatten(0, 1), layer).flatten(1)
    low, high = marks.amin(1, keepdim=True), marks.amax(1, keepdim=True)
    marks = (marks - low) / torch.where(high > low, high - low, 1)
    shape = (maps.shape[1], len(x), *([1] if x.ndim > 2 else []), *(x.shape[2:] or x.shape[1:]))
    mixed = baseline + marks.reshape(shape) * (x - baseline)
    return score(model(mixed.flatten(0, 1)), target).reshape(maps.shape[1], len(x))
