"""Attention times gradient: the attention that supports the target, followed through all layers."""

from __future__ import annotations

import torch
from torch import Tensor

from labkit.attributions._attention import attended, explained
from labkit.core.draws import Draws
from labkit.models.classifier import Classifier


def attention_x_gradient(
    model: Classifier, x: Tensor, target: Tensor, baseline: Tensor, generator: Draws, batch_size: int
) -> tuple[Tensor, dict[str, Tensor]]:
    """Each layer's maps times the gradient of the target's score, the positive part averaged over heads, added up along
    the layers: R becomes R + A R, beginning with the identity (Chefer, Gur and Wolf, 2021, arXiv 2103.15679, the rule for
    self-attention alone). The identity is taken off at the end: it says the same of every token.

    Returns:
        Like x, never negative, in logits; and the facts of ``attention``.

    Raises:
        Refused: what ``attention`` refuses.
    """
    found = attended("attention_x_gradient", model, x, target)
    same = torch.eye(found.reads.shape[1]).to(found.reads)
    mixing = same.expand(len(x), -1, -1)
    for maps, slope in zip(found.maps, found.slopes):
        mixing = mixing + (maps * slope).relu().mean(1) @ mixing
    return explained(found, mixing - same, baseline, generator, batch_size)
