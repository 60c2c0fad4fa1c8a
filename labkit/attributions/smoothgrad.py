"""SmoothGrad: the gradient averaged over noisy copies of the input."""

from __future__ import annotations

from typing import Annotated

from torch import Tensor

from labkit.attributions._passes import WITHOUT_GRADIENTS
from labkit.attributions._sampling import mean, noisy_gradients, sample_until, size_of_mean
from labkit.core.draws import Draws
from labkit.core.method import Range
from labkit.models.classifier import Classifier


def smoothgrad(
    model: Classifier,
    x: Tensor,
    target: Tensor,
    generator: Draws,
    batch_size: int,
    *,
    noise: Annotated[float, Range(0.001, 1, log=True), "standard deviation, as a share of the input's range"] = 0.15,
    tolerance: Annotated[float, Range(1e-3, 1, log=True), "standard error, as a share of the largest value"] = 0.1,
    samples: Annotated[int, Range(2, 10_000, log=True), "noisy copies before the error is first asked"] = 32,
    max_samples: Annotated[int, Range(2, 100_000, log=True), "copies after which a row is left as it is"] = 512,
) -> tuple[Tensor, dict[str, Tensor]]:
    """The mean gradient of the target's logit over copies of the input with Gaussian noise (Smilkov et al., 2017,
    arXiv 1706.03825). The noise is scaled by each row's own range, and the gradient keeps its sign when averaged.

    Returns:
        Like x: logits per unit of the input; over an embedding, per unit of the embedding and without a sign: the
        1-norm over its width of the mean gradient, since behind a layer normalisation its entries add up to nothing.
        Beside it the ``standard_error`` of each entry, over an embedding a bound from above, how many ``samples``
        each row took, and whether it ``reached`` the tolerance.
    """
    model.require("gradients", by="smoothgrad", instead=WITHOUT_GRADIENTS)
    return sample_until(
        noisy_gradients(model, x, target, generator, noise),
        x,
        tolerance=tolerance,
        samples=samples,
        max_samples=max_samples,
        batch_size=batch_size,
        estimate=mean if model.embedding is None else size_of_mean,
    )
