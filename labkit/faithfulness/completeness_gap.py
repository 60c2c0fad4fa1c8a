"""Does the attribution add up to the change of the output?"""

from __future__ import annotations

from typing import Annotated

import torch
from torch import Tensor

from labkit.core.refused import Refused
from labkit.models.classifier import Classifier


def completeness_gap(
    model: Classifier, x: Tensor, target: Tensor, baseline: Tensor, attribution: Tensor, promises: tuple[str, ...]
) -> Annotated[Tensor, "lower"]:
    """|sum of the attribution - (F(x) - F(baseline))| / |F(x) - F(baseline)|, with F the target's logit
    (Sundararajan, Taly and Yan, 2017, arXiv 1703.01365, axiom of completeness).

    Returns:
        (n,): 0 is complete; 0.05 misses a twentieth of the change.

    Raises:
        Refused: a method that does not promise completeness.
    """
    if "complete" not in promises:
        raise Refused("completeness_gap", "a method that does not promise to add up", "integrated_gradients")
    with torch.no_grad():
        ends = [model(v.clone()).gather(1, target[:, None])[:, 0].double() for v in (x, baseline)]
    change = ends[0] - ends[1]
    return (attribution.double().flatten(1).sum(1) - change).abs() / change.abs().clamp_min(1e-12)
