"""Integrated gradients, with as many steps as each row needs, where it needs them."""

from __future__ import annotations

from typing import Annotated

from torch import Tensor

from labkit.attributions._passes import WITHOUT_GRADIENTS
from labkit.attributions._quadrature import even, integrate
from labkit.core.method import Range
from labkit.models.classifier import Classifier


def integrated_gradients(
    model: Classifier,
    x: Tensor,
    target: Tensor,
    baseline: Tensor,
    batch_size: int,
    *,
    tolerance: Annotated[float, Range(1e-4, 0.5, log=True), "completeness gap at which a row is done"] = 0.01,
    steps: Annotated[int, Range(2, 1024, log=True), "equal steps of the first round; later ones halve the worst"] = 8,
    max_steps: Annotated[int, Range(2, 65536, log=True), "steps after which a row is left as it is"] = 2048,
) -> Annotated[tuple[Tensor, dict[str, Tensor]], "complete", "relaxed"]:
    """The gradient averaged over the straight line from baseline to input, times their difference (Sundararajan, Taly
    and Yan, 2017, arXiv 1703.01365).

    Each point's logit comes with its gradient, so what the trapezoid rule misses is known for every step, and only the
    worst are halved. A row leaves the batch when its values add up to the change of its logit within ``tolerance`` of
    that change, and not by misses that cancel. The values are never rescaled: what is missed stays to be seen.

    Over an embedding the line runs between the vectors of input and baseline, while whatever else the model reads of
    the input (such as where its padding is) stays the input's.

    Returns:
        Values like x in logits, and the ``steps`` that each row took.
    """
    model.require("gradients", by="integrated_gradients", instead=WITHOUT_GRADIENTS)
    z, _ = model.relax(x)
    start, _ = model.relax(baseline)
    difference = z - start

    def line(rows: Tensor, at: Tensor) -> tuple[Tensor, Tensor]:
        moved = difference[rows]
        return start[rows] + at.to(z).reshape(-1, *[1] * (z.ndim - 1)) * moved, moved

    found = integrate(
        model, x, target, line, even(steps), tolerance=tolerance, max_steps=max_steps, batch_size=batch_size
    )
    return found.values, {"steps": found.steps}
