"""Fake defences: each makes attacks fail and defends nothing. They are here to be broken.

``rounded(model)`` and the others take a Classifier and return one, which answers clean inputs almost as before. What an
attack of gradients or scores needs is hidden, noisy or missing; what an adversary needs is not: the perturbations that
fool the model within fool the defended one too. A robustness number that one of these raises is wrong. ``FAKE`` lists
them. Of the answers of ``fashion_cnn`` on 400 clean test images at least 0.97 stay as they were, and 0.93 under ``noisy``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from labkit.core.refused import Refused
from labkit.models._jpeg import as_jpeg
from labkit.models.classifier import Classifier


def rounded(model: Classifier, levels: int = 16) -> Classifier:
    """Inputs are rounded to ``levels`` equally spaced values within the bounds: the gradient is zero everywhere.

    A straight-through pass (the rounding taken for the identity in the backward pass) or random search breaks it.

    Source: Xu, Evans and Qi, 2018, arXiv 1704.01155; broken by Athalye, Carlini and Wagner, 2018, arXiv 1802.00420.
    """
    low, high = _bounds(model, "rounded inputs")
    if levels < 2:
        raise Refused("rounded inputs", f"levels={levels}", "at least 2 levels")
    step = (high - low) / (levels - 1)
    return _guarded(model, f"rounded to {levels} levels", before=partial(_to_grid, low=low, step=step))


def jpeg_like(model: Classifier, quality: int = 75) -> Classifier:
    """Images pass through the lossy part of JPEG, 8 x 8 cosine coefficients rounded by ``quality``: gradients are zero.

    Every channel is treated as brightness is. A straight-through pass breaks it.

    Source: Guo, Rana, Cisse and van der Maaten, 2018, arXiv 1711.00117; broken by Athalye et al., 2018, arXiv 1802.00420.
    """
    bounds = _bounds(model, "JPEG-like inputs")
    if not 1 <= quality <= 100:
        raise Refused("JPEG-like inputs", f"quality={quality}", "a quality from 1 to 100")
    return _guarded(model, f"JPEG-like at quality {quality}", before=partial(as_jpeg, quality=quality, bounds=bounds))


def saturated(model: Classifier, scale: float = 1000.0) -> Classifier:
    """Logits times ``scale``: every decision is as before, and the gradient of the cross-entropy vanishes.

    What defensive distillation comes to. A loss of logit differences, or logits brought to one scale, breaks it.

    Source: Papernot et al., 2016, arXiv 1511.04508; broken by Carlini and Wagner, 2017, arXiv 1608.04644.
    """
    return _guarded(model, f"logits times {scale:g}", after=partial(torch.mul, other=scale))


def shattered(model: Classifier, size: float = 2e-3, frequency: float = 2e4) -> Classifier:
    """A ripple of ``size``, too small to matter, is added to each input: the gradient is large and its direction noise.

    The derivative of the ripple is ``size * frequency`` times a cosine; below 1 the gradient stays what it was. Random
    search, or a pass that takes the ripple for the identity, breaks it.

    Source: the failure that Athalye et al., 2018, arXiv 1802.00420, name shattered gradients.
    """
    return _guarded(model, "under a ripple", before=partial(_rippled, size=size, frequency=frequency))


def noisy(model: Classifier, sigma: float = 0.03) -> Classifier:
    """Normal noise of ``sigma`` on every input, drawn anew at every call from torch's own generator.

    A point that fooled one draw is not sure to fool the next, and one gradient is noisy: the expectation over draws
    breaks it. Not randomised smoothing, which asks for a vote of many draws, after training under noise, and certifies.

    Source: Athalye et al., 2018, arXiv 1802.00420 (stochastic gradients).
    """
    _bounds(model, "noisy inputs")
    return _guarded(model, f"noise of {sigma:g}", before=partial(_with_noise, sigma=sigma))


def purified(model: Classifier, steps: int = 3, size: float = 0.02) -> Classifier:
    """Each input climbs ``steps`` gradient steps (signs times ``size``) towards its own most likely class; then it answers.

    It optimises while it predicts, and no gradient passes back through it. The first choice mostly stays, a wrong one too,
    and what fools the model within fools it: take the search for the identity.

    Source: the kind of defence broken by Croce et al., 2022, arXiv 2202.13711.
    """
    bounds = _bounds(model, "purified inputs")
    climb = partial(_climbed, model=model, steps=steps, size=size, bounds=bounds)
    return _guarded(model, f"purified in {steps} steps", before=climb)


def moved(model: Classifier, most: int = 2) -> Classifier:
    """Images are moved by up to ``most`` pixels along both axes, anew at every call, all rows alike; what leaves on one
    side enters on the other.

    No two gradients are of the same function. The expectation over draws breaks it.

    Source: Xie et al., 2018, arXiv 1711.01991; broken by Athalye et al., 2018, arXiv 1802.00420.
    """
    _bounds(model, "moved inputs")
    return _guarded(model, f"moved by up to {most}", before=partial(_rolled, most=most))


def labels_only(model: Classifier) -> Classifier:
    """The answer is 1 for the first choice and 0 for the rest: neither gradients nor scores are left.

    An attack that needs decisions alone, or one carried over from a model of one's own, breaks it.

    Source: Papernot et al., 2017, arXiv 1602.02697, who name it gradient masking and break it by transfer.
    """
    return _guarded(model, "labels only", after=_one_hot)


def nan_when_unsure(model: Classifier, least: float = 0.4) -> Classifier:
    """Logits are not numbers where the largest probability is below ``least``.

    NaN differs from every label: whoever counts that as success sees a break where nothing was found, and whoever follows
    its gradient is stopped at the boundary. Points that fool the model with confidence remain.
    """
    return _guarded(model, f"NaN below {least:g}", after=partial(_unsure, least=least))


def batch_dependent(model: Classifier, strength: float = 0.05) -> Classifier:
    """Each input moves by ``strength`` towards the mean of its batch: the answer depends on the company.

    An input by itself is answered by the model within. What was found in one batch need not hold in another.

    Source: answers of this kind were attacked by Croce et al., 2022, arXiv 2202.13711.
    """
    _bounds(model, "inputs moved to the batch's mean")
    return _guarded(model, "dependent on its batch", before=partial(_towards_mean, strength=strength))


FAKE: tuple[Callable[[Classifier], Classifier], ...] = (
    rounded,
    jpeg_like,
    saturated,
    shattered,
    noisy,
    purified,
    moved,
    labels_only,
    nan_when_unsure,
    batch_dependent,
)


class _Function(nn.Module):
    """A function as a module, so that it can be seen and hooked."""

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x)


class _Guarded(nn.Module):
    """``after`` the logits of a model, on what ``before`` makes of the inputs."""

    def __init__(self, model: Classifier, before: nn.Module, after: nn.Module) -> None:
        super().__init__()
        # the model's own module is a submodule, so that its weights count; a copy of both keeps the two one
        self.before, self.within, self.after, self._model = before, model.module, after, model

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.after(self._model(self.before(x)))
        return logits


def _guarded(model: Classifier, kind: str, before: Any = None, after: Any = None) -> Classifier:
    modules = [_Function(function) if function else nn.Identity() for function in (before, after)]
    return replace(
        model,
        module=_Guarded(model, *modules).eval(),
        embedding=model.embedding and f"within.{model.embedding}",
        outputs="values" if model.outputs == "values" else "logits",
        read=None,
        name=f"{model.name}, {kind}",
    )


def _bounds(model: Classifier, by: str) -> tuple[float, float]:
    """The bounds of a model whose inputs are continuous numbers."""
    for capability in ("continuous", "bounds"):
        model.require(capability, by, "saturated, labels_only or nan_when_unsure, which leave inputs alone")
    assert model.bounds
    return model.bounds


def _to_grid(x: Tensor, low: float, step: float) -> Tensor:
    return low + ((x - low) / step).round() * step


def _rippled(x: Tensor, size: float, frequency: float) -> Tensor:
    return x + size * (frequency * x).sin()


def _with_noise(x: Tensor, sigma: float) -> Tensor:
    return x + sigma * torch.randn_like(x)


def _climbed(x: Tensor, model: Classifier, steps: int, size: float, bounds: tuple[float, float]) -> Tensor:
    with torch.enable_grad():
        z = x.detach()
        for _ in range(steps):
            z.requires_grad_()
            surest = functional.log_softmax(model(z), 1).amax(1).sum()
            (gradient,) = torch.autograd.grad(surest, z)
            z = (z.detach() + size * gradient.sign()).clamp(*bounds)
    return z.detach()


def _rolled(x: Tensor, most: int) -> Tensor:
    if x.ndim != 4:
        raise Refused("moved inputs", f"inputs of shape {tuple(x.shape)}", "images: (n, channels, height, width)")
    down, across = torch.randint(-most, most + 1, (2,)).tolist()
    return x.roll((down, across), (2, 3))


def _one_hot(logits: Tensor) -> Tensor:
    return functional.one_hot(logits.detach().argmax(1), logits.shape[1]).to(logits.dtype)


def _unsure(logits: Tensor, least: float) -> Tensor:
    return logits.masked_fill(logits.softmax(1).amax(1, keepdim=True) < least, torch.nan)


def _towards_mean(x: Tensor, strength: float) -> Tensor:
    return x + strength * (x.mean(0, keepdim=True) - x)
