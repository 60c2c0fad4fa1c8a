"""Attention: the weights with which a transformer's answer looks at its tokens, as they stand."""

from __future__ import annotations

from typing import Annotated, Literal

import torch
from torch import Tensor

from labkit.attributions._attention import attended, explained
from labkit.core.draws import Draws
from labkit.core.method import Range
from labkit.core.refused import Refused
from labkit.models.classifier import Classifier


def attention(
    model: Classifier,
    x: Tensor,
    target: Tensor,
    baseline: Tensor,
    generator: Draws,
    batch_size: int,
    *,
    layers: Annotated[Literal["last", "mean"], "the last layer's maps, or the mean of all layers'"] = "last",
    head: Annotated[int, Range(-1, 255), "number of the attention head; -1 takes the mean of all"] = -1,
) -> tuple[Tensor, dict[str, Tensor]]:
    """The attention weights of the tokens from which the answer is read (Bahdanau, Cho and Bengio, 2014, arXiv
    1409.0473), laid over the entries that each token stands for. They do not depend on the target, say nothing of what is
    done with a token once it is looked at, and beyond the first layer are over tokens that are mixed already.

    Returns:
        Like x, from 0 to 1, with what goes to tokens that stand for no entry left out; and as facts the ``gradient``
        (input_x_gradient, like x), the rank ``agreement`` with it, and by how much the target's score moves with the
        maps ``permuted``.

    Raises:
        Refused: a model without attention maps, a head that is not there, tokens that stand for nothing in the input.
    """
    found = attended("attention", model, x, target)
    maps = found.maps[-1:] if layers == "last" else found.maps
    if head >= min(m.shape[1] for m in maps):
        raise Refused(f"attention of head {head}", f"heads 0 to {maps[0].shape[1] - 1}", "one of them, or head=-1")
    mixing = torch.stack([m.mean(1) if head < 0 else m[:, head] for m in maps]).mean(0)
    return explained(found, mixing, baseline, generator, batch_size)
