"""Does the attribution stay when the input is compared with something else?"""

from __future__ import annotations

from typing import Annotated

import torch
from torch import Tensor

from labkit.core.draws import Draws
from labkit.core.method import needs
from labkit.core.refused import Refused
from labkit.faithfulness._fills import other_baselines
from labkit.faithfulness._positions import support
from labkit.faithfulness._ranks import alike
from labkit.models.classifier import Classifier


def baseline_stability(
    model: Classifier,
    x: Tensor,
    target: Tensor,
    baseline: Tensor,
    attribution: Tensor,
    attribute: object,
    background: Tensor | None,
    generator: Draws,
) -> Annotated[tuple[Tensor, dict[str, Tensor]], "costly"]:
    """Spearman's correlation, with signs, between an attribution and the same method's with other baselines, over the
    positions that differ from both (Sturmfels, Lundberg and Lee, 2020, doi 10.23915/distill.00022). The others are the
    row's mean and a blurred copy of images and series, shuffled words of a text, and of tables the background's mean
    and a row of it.

    Neither baseline is the right one: a low value says that the ranking answers the question "compared with what?".

    Returns:
        (n,) the mean over the other baselines, from -1 to 1; nan where a map is constant. Also each of them by its name.

    Raises:
        Refused: a method that compares with no baseline, or a table without a background.
    """
    if "baseline" not in needs(attribute.function):  # type: ignore[attr-defined]
        raise Refused("baseline_stability", "a method that compares with no baseline", "randomized_weights")
    others = other_baselines(model, x, background, generator.spawn(1))
    if not others:
        raise Refused("baseline_stability", "no second baseline for a table", "background=data.train[:500]")
    where, found = support(x, baseline), {}
    for name, other in others.items():
        values = attribute(model, x, target, other, generator)  # type: ignore[operator]
        found[name] = alike(attribution, values, where & support(x, other), signed=True)
    return torch.stack(list(found.values()), 1).nanmean(1), found
