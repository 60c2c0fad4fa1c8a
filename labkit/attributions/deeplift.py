"""DeepLIFT: differences from a baseline, handed back through the layers, by Captum."""

from __future__ import annotations

import copy
import warnings
from dataclasses import replace
from typing import Annotated

import torch
from torch import Tensor, nn

from labkit.attributions._passes import WITHOUT_GRADIENTS
from labkit.core.refused import Refused
from labkit.models.classifier import Classifier, Forward


class _Seen(nn.Module):
    """What Captum hooks: the model's module, called the way that the Classifier calls it."""

    def __init__(self, module: nn.Module, forward: Forward) -> None:
        super().__init__()
        self.module = module
        self.call = forward

    def forward(self, z: Tensor) -> Tensor:
        return self.call(z)


def deeplift(
    model: Classifier, x: Tensor, target: Tensor, baseline: Tensor, batch_size: int
) -> Annotated[Tensor, "complete", "relaxed"]:
    """DeepLIFT with the rescale rule (Shrikumar, Greenside and Kundaje, 2017, arXiv 1704.02685), by Captum.

    Each activation's multiplier is the change of its output over the change of its input, from baseline to x. That adds
    up only where every non-linear function is a module of its own that Captum knows and runs once, with none of them next
    to another: Captum is silent about functional activations, attention, gates, and pooling behind an activation. The
    promise to add up is therefore checked like any other.

    Returns:
        Like x (over an embedding with its width, to be summed), in logits.

    Raises:
        Refused: no gradients, or what Captum refuses, such as an activation module that runs twice.
    """
    model.require("gradients", by="deeplift", instead=WITHOUT_GRADIENTS)
    each = max(1, batch_size // 2)  # a pass holds rows and their baselines
    parts = [slice(i, i + each) for i in range(0, len(x), each)]
    return torch.cat([_multiplied(model, x[rows], target[rows], baseline[rows]) for rows in parts])


def _multiplied(model: Classifier, x: Tensor, target: Tensor, baseline: Tensor) -> Tensor:
    from captum.attr import DeepLift

    # Captum leaves attributes on modules when it fails: it gets a copy, which shares the weights.
    weights = {id(t): t for t in (*model.module.parameters(), *model.module.buffers())}
    model = replace(model, module=copy.deepcopy(model.module, weights))
    start, _ = model.relax(baseline)
    z, forward = model.relax(x)
    try:
        with warnings.catch_warnings(), torch.enable_grad():
            warnings.simplefilter("ignore")  # that hooks are set, which they are on a copy
            return DeepLift(_Seen(model.module, forward)).attribute(z.detach(), start.detach(), target=target).detach()
    except (AssertionError, RuntimeError) as error:
        if isinstance(error, torch.OutOfMemoryError) or "allocate memory" in str(error):
            raise
        reason = " ".join(str(error).split())
        raise Refused(
            f"deeplift on {model.name}",
            f"a model that Captum's DeepLift cannot follow ({reason:.200})",
            "integrated_gradients, which adds up on any model with gradients; or lrp, occlusion or kernel_shap",
        ) from None
