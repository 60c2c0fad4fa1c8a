"""Expected gradients: integrated gradients averaged over baselines that are rows of the data."""

from __future__ import annotations

from typing import Annotated

import torch
from torch import Tensor

from labkit.attributions._passes import WITHOUT_GRADIENTS, entries, gradient, score
from labkit.attributions._sampling import sample_until
from labkit.core.draws import Draws
from labkit.core.method import Range
from labkit.models.classifier import Classifier


def expected_gradients(
    model: Classifier,
    x: Tensor,
    target: Tensor,
    background: Tensor,
    generator: Draws,
    batch_size: int,
    *,
    tolerance: Annotated[float, Range(1e-3, 1, log=True), "standard error, as a share of the logit's change"] = 0.02,
    samples: Annotated[int, Range(2, 10_000, log=True), "draws before the error is first asked"] = 64,
    max_samples: Annotated[int, Range(2, 1_000_000, log=True), "draws after which a row is left as it is"] = 1024,
) -> tuple[Tensor, dict[str, Tensor]]:
    """The mean, over background rows and over points between them and the input, of the target logit's gradient times
    the difference of input and background row (Erion et al., 2019, arXiv 1906.10670).

    It adds up, within its standard error, to the logit at the input minus the mean logit of the background, not to
    the change from the baseline. Each draw is one background row and one point.

    Over an embedding the lines run between vectors, while whatever else the model reads of an input stays the input's.

    Returns:
        Like x, in logits. Beside it ``background_change``, what the values add up to in expectation; the
        ``standard_error`` of each entry; how many ``samples`` each row took, and whether it ``reached`` the tolerance.
    """
    model.require("gradients", by="expected_gradients", instead=WITHOUT_GRADIENTS)
    z, _ = model.relax(x)

    def draw(rows: Tensor, numbers: range) -> Tensor:
        streams = generator[rows.cpu().numpy()]
        chosen = torch.stack([torch.from_numpy(streams.spawn(2 * i).integers(len(background))) for i in numbers])
        share = torch.stack([torch.from_numpy(streams.spawn(2 * i + 1).uniform()) for i in numbers])
        start = model.relax(background[chosen.flatten().to(z.device)])[0].reshape(*chosen.shape, *z.shape[1:])
        path = z[rows] - start
        at = start + share.to(z).reshape(*share.shape, *[1] * (z.ndim - 1)) * path
        _, forward = model.relax(x[rows])
        slope = gradient(forward, at.flatten(0, 1), target[rows]).reshape(at.shape)
        return entries(slope * path, x[None])

    change = _change(model, x, target, background, batch_size)
    values, facts = sample_until(
        draw,
        x,
        tolerance=tolerance,
        samples=samples,
        max_samples=max_samples,
        batch_size=batch_size,
        scale=change,
    )
    return values, {"background_change": change, **facts}


def _change(model: Classifier, x: Tensor, target: Tensor, background: Tensor, batch_size: int) -> Tensor:
    """(n,) the target's logit at the input minus its mean over the background in the input's place."""
    with torch.no_grad():
        if model.embedding is None:
            parts = [model(part).double().sum(0) for part in background.split(batch_size)]
            usual = torch.stack(parts).sum(0) / len(background)
            return score(model(x), target).double() - score(usual.expand(len(x), -1), target)
        _, forward = model.relax(x)
        total = torch.zeros(len(x), dtype=torch.float64, device=x.device)
        for part in background.split(max(1, batch_size // len(x))):
            stacked = model.relax(part)[0].repeat_interleave(len(x), 0)
            total += score(forward(stacked), target).double().reshape(len(part), len(x)).sum(0)
        return score(model(x), target).double() - total / len(background)
