"""Does the attribution repeat itself with other draws?"""

from __future__ import annotations

from typing import Annotated

from torch import Tensor

from labkit.core.draws import Draws
from labkit.core.method import needs
from labkit.core.refused import Refused
from labkit.faithfulness._positions import support
from labkit.faithfulness._ranks import alike
from labkit.models.classifier import Classifier


def seed_stability(
    model: Classifier,
    x: Tensor,
    target: Tensor,
    baseline: Tensor,
    attribution: Tensor,
    attribute: object,
    generator: Draws,
) -> Annotated[Tensor, "costly"]:
    """Spearman's correlation, with signs and on the input's support, between an attribution and the same method's with
    another seed.

    Returns:
        (n,) from -1 to 1: 1 where the ranking does not depend on the draws; nan where a map is constant.

    Raises:
        Refused: a method that draws nothing.
    """
    if "generator" not in needs(attribute.function):  # type: ignore[attr-defined]
        raise Refused("seed_stability", "a method that draws nothing by chance", "baseline_stability")
    other = attribute(model, x, target, baseline, generator.spawn(1))  # type: ignore[operator]
    return alike(attribution, other, support(x, baseline), signed=True)
