"""Random words: the control that any attack on texts must beat."""

from __future__ import annotations

from typing import Annotated, Literal

import torch
from torch import Tensor

from labkit.attacks._search import Best, drawn
from labkit.attacks._words import MARK, kinds
from labkit.core.draws import Draws
from labkit.core.method import Range
from labkit.data.schema import Schema
from labkit.models.classifier import Classifier


def random_words(
    model: Classifier,
    x: Tensor,
    y: Tensor,
    eps: float,
    norm: Literal["edits"],
    generator: Draws,
    schema: Schema,
    *,
    draws: Annotated[int, Range(1, 10_000, log=True), "random texts tried for each row"] = 50,
) -> Annotated[Tensor, "queries"]:
    """The most adversarial of ``draws`` texts in which ``eps`` words, at random places, are random words of the vocabulary.

    Every word is as likely, and so is every place; rows leave when broken. Asks for answers alone. A text of fewer words
    changes them all; marks, such as padding and (unknown), neither change nor come in.
    """
    kind = kinds(schema, x)
    words, count = kind.argsort(stable=True), kind.bincount(minlength=3)
    before = count.cumsum(0) - count
    best = Best(x, y)
    for draw in range(draws):
        rows = best.rows
        if not len(rows):
            break
        stream, here = generator[rows.cpu().numpy()].spawn(draw), x[rows]
        turn = drawn(stream.uniform(*x.shape[1:]), x).masked_fill(kind[here] == MARK, 2.0)
        hit = (turn.argsort(1).argsort(1) < int(eps)) & (turn < 1)
        share = drawn(stream.spawn(1).uniform(*x.shape[1:]), x).double()
        fresh = words[before[kind[here]] + (share * count[kind[here]]).long()]
        points = torch.where(hit, fresh, here)
        with torch.no_grad():
            best.offer(points, model(points))
    return best.points
