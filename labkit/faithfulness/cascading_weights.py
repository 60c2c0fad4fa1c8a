"""How fast does the attribution change while the model forgets, layer by layer from the top?"""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

import torch
from torch import Tensor

from labkit.core.draws import Draws
from labkit.core.method import Range
from labkit.faithfulness._positions import support
from labkit.faithfulness._ranks import alike
from labkit.faithfulness._redrawn import layers_from_the_top, redrawn, roughly
from labkit.models.classifier import Classifier


def cascading_weights(
    model: Classifier,
    x: Tensor,
    target: Tensor,
    baseline: Tensor,
    attribution: Tensor,
    attribute: object,
    generator: Draws,
    *,
    network: Annotated[int, Range(0, 1_000_000), "which random network"] = 0,
    steps: Annotated[int, Range(1, 100), "points of the curve after the first, at most one a layer"] = 6,
) -> Annotated[tuple[Tensor, dict[str, Tensor]], "costly"]:
    """Spearman's correlation, on the input's support, between the sizes of an attribution and of the same method's while
    more and more layers have random weights, beginning with the last (Adebayo et al., 2018, arXiv 1810.03292, cascading
    randomisation). A method that only follows the first layers, such as guided backpropagation, keeps its map until
    these are reached.

    Returns:
        (n,) the mean correlation over the cascade, without its first point where nothing is random: near 0 for a map
        that depends on the whole model; nan where a map is constant on the support. Also the ``curve``
        (n, points + 1), and ``redrawn``, the share of layers that are random at each point.
    """
    where, layers = support(x, baseline), layers_from_the_top(model.module)
    count = min(steps, len(layers))
    taken = [round(len(layers) * point / max(1, count)) for point in range(count + 1)]
    points = []
    for many in taken:
        random = replace(model, module=redrawn(model.module, network, layers[:many]))
        other = roughly(attribute)(random, x, target, baseline, generator) if many else attribution
        points.append(alike(attribution, other, where))
    curve = torch.stack(points, 1)
    share = torch.tensor(taken, dtype=torch.float64) / max(1, len(layers))
    return curve[:, 1:].nanmean(1), {"curve": curve, "redrawn": share.expand(len(x), -1)}
