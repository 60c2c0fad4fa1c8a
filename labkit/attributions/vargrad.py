"""VarGrad: how much the gradient varies over noisy copies of the input."""

from __future__ import annotations

from typing import Annotated

from torch import Tensor

from labkit.attributions._passes import WITHOUT_GRADIENTS
from labkit.attributions._sampling import noisy_gradients, sample_until, variance
from labkit.core.draws import Draws
from labkit.core.method import Range
from labkit.models.classifier import Classifier


def vargrad(
    model: Classifier,
    x: Tensor,
    target: Tensor,
    generator: Draws,
    batch_size: int,
    *,
    noise: Annotated[float, Range(0.001, 1, log=True), "standard deviation, as a share of the input's range"] = 0.15,
    tolerance: Annotated[float, Range(1e-3, 1, log=True), "standard error, as a share of the largest value"] = 0.2,
    samples: Annotated[int, Range(4, 10_000, log=True), "noisy copies before the error is first asked"] = 32,
    max_samples: Annotated[int, Range(4, 100_000, log=True), "copies after which a row is left as it is"] = 512,
) -> Annotated[tuple[Tensor, dict[str, Tensor]], "squared"]:
    """The variance of the target logit's gradient over copies of the input with Gaussian noise (Adebayo et al., 2018,
    arXiv 1810.03307): where the model bends, not which way. It is 0 for a linear model.

    Returns:
        Like x, never negative: squared logits per squared unit of the input; over an embedding, per squared unit of the
        embedding and summed over its width. Beside it the ``standard_error`` of each entry, over an embedding a bound
        from above, how many ``samples`` each row took, and whether it ``reached`` the tolerance.
    """
    model.require("gradients", by="vargrad", instead=WITHOUT_GRADIENTS)
    return sample_until(
        noisy_gradients(model, x, target, generator, noise),
        x,
        tolerance=tolerance,
        samples=samples,
        max_samples=max_samples,
        batch_size=batch_size,
        estimate=variance,
        orders=4,
    )
