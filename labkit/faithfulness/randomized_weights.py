"""Does the attribution change when the model forgets what it learned?"""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

import torch
from torch import Tensor

from labkit.core.draws import Draws
from labkit.core.method import Range
from labkit.faithfulness._positions import support
from labkit.faithfulness._ranks import alike
from labkit.faithfulness._redrawn import redrawn, roughly
from labkit.models.classifier import Classifier


def randomized_weights(
    model: Classifier,
    x: Tensor,
    target: Tensor,
    baseline: Tensor,
    attribution: Tensor,
    attribute: object,
    generator: Draws,
    *,
    network: Annotated[int, Range(0, 1_000_000), "which random network"] = 0,
) -> tuple[Tensor, dict[str, Tensor]]:
    """Spearman's correlation between the sizes of an attribution and of the same method's on a copy of the model with
    random weights (Adebayo et al., 2018, arXiv 1810.03292).

    The correlation is taken over the input's support, the positions that differ from the baseline: most methods give
    zero elsewhere whatever the weights, so over the ``whole`` input, which is given beside it, nearly everything
    correlates.

    Returns:
        (n,) from -1 to 1: near 0 for a map that depends on what was learned, 1 for a copy of the input; nan where
        either map is constant on the support. Also ``whole`` (n,) and the random network's ``attribution``, like x.
    """
    random = replace(model, module=redrawn(model.module, network), name=f"{model.name} with random weights")
    other = roughly(attribute)(random, x, target, baseline, generator)
    where = support(x, baseline)
    whole = alike(attribution, other, torch.ones_like(where))
    return alike(attribution, other, where), {"whole": whole, "attribution": other}
