"""Smaller models: weights cut to zero, or rounded to few levels. What that does to groups, labkit.changes_by_group says.

``prune(model, 0.5)`` and ``quantize(model, 8)`` take a Classifier and return one; the one given stays as it is. Both are
simulated: the weights stay numbers of the model's own precision, so that answers change as they would on hardware that
stores fewer of them, or fewer bits of each, and neither size nor speed does.
"""

from __future__ import annotations

import copy
from dataclasses import replace

import torch
from torch import Tensor, nn

from labkit.core.refused import Refused
from labkit.models.classifier import Classifier

EMBEDDINGS = (nn.Embedding, nn.EmbeddingBag)


def prune(model: Classifier, share: float, *, per_layer: bool = False) -> Classifier:
    """A copy whose smallest weights, by size, are zero. It is not trained again, which would win back a part of the loss.

    Args:
        share: of the weights that go, from 0 to 1: this many of all of them, the nearest whole number.
        per_layer: whether each weight matrix loses that share, instead of all of them together.

    Counted are weight matrices and kernels: no biases, scales or embedding tables, and nothing that the model does not
    store itself, such as a pretrained part that comes from a package.

    Source: S. Han et al., 2015, arXiv 1506.02626; on whom it costs S. Hooker et al., 2019, arXiv 1911.05248.

    Raises:
        Refused: a share outside 0 to 1, a model without such weights.
    """
    if not 0 <= share <= 1:
        raise Refused(f"pruning of {model.name}", f"share={share:g}", "the share of weights that go, from 0 to 1")
    pruned, weights = _copied(model, "pruning")
    with torch.no_grad():
        for part in [[w] for w in weights] if per_layer else [weights]:
            _zero_smallest(part, share)
    return replace(model, module=pruned, name=f"{model.name}, {100 * share:g} % of weights cut")


def quantize(model: Classifier, bits: int = 8) -> Classifier:
    """A copy whose weights are rounded to ``2 ** bits - 1`` equally spaced levels about 0, those of each output channel
    (row) to the scale of its largest: none moves by more than half a step. Activations are not rounded.

    Args:
        bits: from 2 to 16. 8 is what is usually deployed.

    Rounded are weight matrices and kernels as in ``prune``.

    Source: B. Jacob et al., 2018, arXiv 1712.05877; per channel R. Krishnamoorthi, 2018, arXiv 1806.08342.

    Raises:
        Refused: bits outside 2 to 16, a model without such weights.
    """
    if not isinstance(bits, int) or not 2 <= bits <= 16:
        raise Refused(f"quantization of {model.name}", f"bits={bits!r}", "a whole number of bits from 2 to 16")
    rounded, weights = _copied(model, "quantization")
    most = 2 ** (bits - 1) - 1
    with torch.no_grad():
        for weight in weights:
            size = weight.abs().flatten(1).amax(1).clamp_min(torch.finfo(weight.dtype).tiny)
            step = (size.double() / most).reshape(-1, *[1] * (weight.ndim - 1))
            weight.copy_((weight.double() / step).round() * step)
    return replace(model, module=rounded, name=f"{model.name}, weights in {bits} bits")


def _copied(model: Classifier, asked: str) -> tuple[nn.Module, list[Tensor]]:
    """A copy of the module, and its weights of two axes or more that it stores itself, embedding tables apart."""
    if not isinstance(model, Classifier):
        raise Refused(asked, f"a {type(model).__name__}", "a Classifier, such as labkit.wrap gives")
    module = copy.deepcopy(model.module)
    stored = set(module.state_dict())
    tables = {id(p) for m in module.modules() if isinstance(m, EMBEDDINGS) for p in m.parameters(recurse=False)}
    weights: list[Tensor] = [
        p
        for name, p in module.named_parameters()
        if name in stored and p.ndim > 1 and p.is_floating_point() and id(p) not in tables
    ]
    if not weights:
        raise Refused(
            f"{asked} of {model.name}", "a model without weight matrices", "a network of dense or other layers"
        )
    return module, weights


def _zero_smallest(weights: list[Tensor], share: float) -> None:
    sizes = torch.cat([w.abs().flatten() for w in weights])
    gone = torch.zeros_like(sizes, dtype=torch.bool)
    gone[torch.argsort(sizes, stable=True)[: round(share * len(sizes))]] = True
    for weight, mask in zip(weights, gone.split([w.numel() for w in weights])):
        weight.masked_fill_(mask.reshape(weight.shape), 0)
