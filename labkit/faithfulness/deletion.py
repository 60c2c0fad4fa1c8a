"""Does the output fall when what the attribution ranks first is taken away?"""

from __future__ import annotations

from typing import Annotated

from torch import Tensor

from labkit.core.draws import Draws
from labkit.core.method import Range
from labkit.faithfulness._curves import areas
from labkit.models.classifier import Classifier


def deletion(
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
) -> Annotated[tuple[Tensor, dict[str, Tensor]], "lower"]:
    """The area under the deletion curve (Petsiuk, Das and Saenko, 2018, arXiv 1806.07421): what is left of the target
    while the positions that differ from the baseline are replaced by it, highest attribution first. What is left is the
    target's probability, or where outputs are no classes the share of its change; then what goes first is what
    supports that change, which may be a fall.

    Ties are ordered by chance, so a constant map is a random one. A second fill is tried where there is one (uniform
    noise within the bounds, a text's or series' own entries shuffled, rows of the background of a table): where the two
    areas tell different stories, the fill does the talking (Sturmfels, Lundberg and Lee, 2020, doi
    10.23915/distill.00022).

    Returns:
        (n,) areas in [0, 1], lower is better; the ``curve`` (n, steps + 1), the areas with the second fill under its
        name, and their ``difference`` from the first.
    """
    given = (model, x, target, baseline, attribution, change, background, generator, batch_size)
    return areas(*given, steps=steps, inserted=False)
