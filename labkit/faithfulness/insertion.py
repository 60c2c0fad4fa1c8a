"""Does the output come back when what the attribution ranks first is put in its place?"""

from __future__ import annotations

from typing import Annotated

from torch import Tensor

from labkit.core.draws import Draws
from labkit.core.method import Range
from labkit.faithfulness._curves import areas
from labkit.models.classifier import Classifier


def insertion(
    model: Classifier,
    x: Tensor,
    target: Tensor,
    baseline: Tensor,
    attribution: Tensor,
    change: Tensor,
    background: Tensor | None,
    generator: Draws,
    batch_size: int,
    *,
    steps: Annotated[int, Range(2, 200), "points of the curve after the first"] = 20,
) -> Annotated[tuple[Tensor, dict[str, Tensor]], "higher"]:
    """The area under the insertion curve (Petsiuk, Das and Saenko, 2018, arXiv 1806.07421): what there is of the target
    while the baseline's positions are replaced by the input's, highest attribution first. The counterpart of
    ``deletion``, with the same fills.

    Returns:
        (n,) areas in [0, 1], higher is better; the ``curve`` (n, steps + 1), the areas with the second fill under its
        name, and their ``difference`` from the first.
    """
    given = (model, x, target, baseline, attribution, change, background, generator, batch_size)
    return areas(*given, steps=steps, inserted=True)
