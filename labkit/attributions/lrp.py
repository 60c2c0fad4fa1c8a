"""Layer-wise relevance propagation: the target's output handed back, layer by layer, to the input."""

from __future__ import annotations

from typing import Annotated, Literal

import torch
from torch import Tensor

from labkit.attributions._passes import WITHOUT_GRADIENTS, score
from labkit.attributions._propagation import Attention, Propagation
from labkit.attributions._rules.layers import First, Kind, Layers
from labkit.attributions._rules.signal import kept, label, set_carrier, signals
from labkit.core.method import Range
from labkit.models.classifier import Classifier

Composite = Literal[
    "epsilon",
    "gamma",
    "z_plus",
    "flat",
    "w2",
    "epsilon_plus",
    "epsilon_plus_flat",
    "epsilon_plus_w2",
    "gamma_epsilon",
    "gamma_epsilon_flat",
]
# For convolutions, for dense layers, and for the layer that sees the input first ("": as the others).
COMPOSITES: dict[str, tuple[Kind, Kind, First]] = {
    "epsilon": ("epsilon", "epsilon", ""),
    "gamma": ("gamma", "gamma", ""),
    "z_plus": ("z_plus", "z_plus", ""),
    "flat": ("epsilon", "epsilon", "flat"),
    "w2": ("epsilon", "epsilon", "w2"),
    "epsilon_plus": ("z_plus", "epsilon", ""),
    "epsilon_plus_flat": ("z_plus", "epsilon", "flat"),
    "epsilon_plus_w2": ("z_plus", "epsilon", "w2"),
    "gamma_epsilon": ("gamma", "epsilon", ""),
    "gamma_epsilon_flat": ("gamma", "epsilon", "flat"),
}


def lrp(
    model: Classifier,
    x: Tensor,
    target: Tensor,
    *,
    composite: Annotated[Composite, "rules of convolutions, dense layers and the first layer"] = "epsilon_plus",
    epsilon: Annotated[float, Range(0, 1), "what a layer absorbs, as a share of its outputs' root mean square"] = 0.01,
    gamma: Annotated[float, Range(0, 10), "how much more parts of the output's sign count"] = 0.25,
    attention: Annotated[Attention, "relevance also to what decides the attention, or to values only"] = "shared",
) -> tuple[Tensor, dict[str, Tensor]]:
    """Layer-wise relevance propagation (Bach et al., 2015, doi 10.1371/journal.pone.0130140), as input times the gradient of
    a backward pass with rules of its own.

    Layers with weights follow the ``composite`` (Kohlbrenner et al., 2020, arXiv 1910.09840): convolutions by epsilon,
    gamma (Montavon et al., 2019, doi 10.1007/978-3-030-28954-6_10) or z-plus, dense layers by epsilon or the same, and,
    where the input meets a layer after nothing but moving and scaling, that one by flat (even shares; Lapuschkin et al.,
    2019, arXiv 1902.10178) or w2 (squared weights; Montavon et al., 2017, arXiv 1512.02479). Everything else has one rule:
    the largest takes all in pooling, activations hand on what they get, normalisation divides by constants, gates are
    constants (Arras et al., 2017, arXiv 1706.07206), attention is that of AttnLRP (Achtibat et al., 2024, arXiv
    2402.05602). With ``composite="epsilon", epsilon=0`` a net of ReLU layers gets input times gradient.

    Returns:
        Like x, in logits (over an embedding summed over its width), positive where the entry supports the target; the
        target's ``logit``; and what the ``bias`` and all constants absorb, normalisation and position vectors among them:
        computed forwards, so that the values of a row and its bias add up to the logit.

    Raises:
        Refused: no gradients; a function without a rule, by its name; a stand-in gradient, as spiking neurons have; a part
            of the model that torch's functions do not show.
    """
    model.require("gradients", by="lrp", instead=WITHOUT_GRADIENTS)
    convolution, dense, first = COMPOSITES[composite]
    mode = Propagation(Layers(convolution, dense, first, epsilon, gamma), attention, f"lrp on {model.name}")
    z, forward = model.relax(x)
    with torch.enable_grad():
        z = label(z.detach().clone().requires_grad_(), None)
        ones = torch.ones_like(z).requires_grad_()
        if model.embedding is None:
            set_carrier(z, ones)
        with mode:
            out = forward(z)
        mode.check(signals(out))
        logit = score(out, target)
    bias = score(kept(out) if out.requires_grad else out, target)
    relevance = torch.zeros_like(z)
    if logit.requires_grad:
        slope, shared = mode.backward(logit, z, ones)
        for part in (None if slope is None else z.detach() * slope, shared):
            relevance = relevance if part is None else relevance + part
    logit = logit.detach()
    mode.check_sum(relevance, bias, logit)
    return relevance, {"logit": logit, "bias": bias}
