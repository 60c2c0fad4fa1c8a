"""Attention rollout: attention followed through all layers, with the way around each."""

from __future__ import annotations

import torch
from torch import Tensor

from labkit.attributions._attention import attended, explained, product
from labkit.core.draws import Draws
from labkit.models.classifier import Classifier


def attention_rollout(
    model: Classifier, x: Tensor, target: Tensor, baseline: Tensor, generator: Draws, batch_size: int
) -> tuple[Tensor, dict[str, Tensor]]:
    """The product over layers of (map + identity) / 2, with the heads averaged (Abnar and Zuidema, 2020, arXiv
    2005.00928): as if a layer did nothing but mix its tokens, half by attention and half by the way around it. It does
    not depend on the target.

    Returns:
        Like x, from 0 to 1, and the facts of ``attention``.

    Raises:
        Refused: what ``attention`` refuses.
    """
    found = attended("attention_rollout", model, x, target)
    same = torch.eye(found.reads.shape[1]).to(found.reads)
    mixing = product([(m.mean(1) + same) / 2 for m in found.maps])
    return explained(found, mixing, baseline, generator, batch_size)
