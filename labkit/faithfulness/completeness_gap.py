"""Does the attribution add up to the change of the output?"""

from __future__ import annotations

from typing import Annotated

from torch import Tensor

from labkit.core.refused import Refused


def completeness_gap(attribution: Tensor, change: Tensor, promises: tuple[str, ...]) -> Annotated[Tensor, "lower"]:
    """|sum of the attribution - change| / |change|, where ``change`` is the target's logit at the input minus that at
    the baseline (Sundararajan, Taly and Yan, 2017, arXiv 1703.01365, axiom of completeness).

    Returns:
        (n,): 0 is complete; 0.05 misses a twentieth of the change.

    Raises:
        Refused: a method that does not promise completeness.
    """
    if "complete" not in promises:
        raise Refused("completeness_gap", "a method that does not promise to add up", "integrated_gradients")
    total = attribution.double().flatten(1).sum(1)
    return (total - change).abs() / change.abs().clamp_min(1e-12)
