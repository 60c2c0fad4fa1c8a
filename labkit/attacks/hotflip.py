"""HotFlip: the words that the gradient points to."""

from __future__ import annotations

from typing import Annotated, Literal

import torch
from torch import Tensor

from labkit.attacks._search import Best, climb, margin
from labkit.attacks._words import CELLS, MARK, ask, changed, first_best, kinds, vectors
from labkit.core.method import Range
from labkit.data.schema import Schema
from labkit.models.classifier import Classifier


def hotflip(
    model: Classifier,
    x: Tensor,
    y: Tensor,
    eps: float,
    norm: Literal["edits"],
    batch_size: int,
    schema: Schema,
    *,
    tries: Annotated[int, Range(1, 1000, log=True), "changes that the model is asked about at each step"] = 24,
    words: Annotated[int, Range(1, 100, log=True), "of these, at one place at most"] = 4,
    beam: Annotated[int, Range(1, 50, log=True), "texts that are kept at each step"] = 1,
    again: Annotated[int, Range(0, 100), "steps that change words again, once the budget is spent"] = 4,
) -> Tensor:
    """At most ``eps`` words, replaced by any words of the vocabulary: those by which the margin (best wrong logit minus
    true logit) rises most to first order, by its gradient in the embedding.

    A word is far from another, so the first order only proposes: the model is asked about the ``tries`` best changes, the
    ``beam`` best texts are kept, and gradients are taken anew for each of them. The margin is climbed, not the
    cross-entropy, because it does not vanish where a confident model saturates. Nothing asks whether the text still makes
    sense: this bounds what any exchange of words can do.

    Source: Ebrahimi et al., 2018, arXiv 1712.06751.
    """
    kind = kinds(schema, x)
    table = vectors(model, x, len(kind), batch_size)
    best = Best(x, y)
    logits = ask(model, x, batch_size).float()
    scale = logits.abs().amax(1)
    best.offer(x, logits)
    best.rows = best.rows[(kind[x[best.rows]] != MARK).any(1)]
    kept = x[best.rows][:, None]
    for _ in range(int(eps) + again if eps >= 1 else 0):
        rows = best.rows
        if not len(rows):
            break
        texts, truth = kept.flatten(0, 1), y[rows].repeat_interleave(kept.shape[1])
        edited = texts != x[rows].repeat_interleave(kept.shape[1], 0)
        free = (kind[texts] != MARK) & (edited | (edited.sum(1) < int(eps))[:, None])
        place, word = _flips(model, texts, truth, free, kind, table, words, tries, batch_size)
        made, logits = changed(model, texts, place, word, batch_size)
        value = margin(logits.flatten(0, 1), truth.repeat_interleave(place.shape[1]))
        made, logits = (v.reshape(len(rows), -1, v.shape[2]) for v in (made, logits))
        picks = _distinct(made, value.view(len(rows), -1), scale[rows], beam)
        each = torch.arange(len(rows), device=x.device)[:, None]
        kept = made[each, picks]
        kept = kept[best.offer(kept[:, 0], logits[each, picks][:, 0])]
    return best.points


def _flips(
    model: Classifier,
    points: Tensor,
    y: Tensor,
    free: Tensor,
    kind: Tensor,
    table: Tensor,
    words: int,
    tries: int,
    batch_size: int,
) -> tuple[Tensor, Tensor]:
    """(n, tries) places and words of the changes that raise the margin most to first order; a word of -1 is none."""
    words, found = min(words, len(table)), []
    for part, truth, may in zip(points.split(batch_size), y.split(batch_size), free.split(batch_size)):
        z, forward = model.relax(part)
        z = z.detach().requires_grad_()
        slope = climb(margin(forward(z).float(), truth).nan_to_num(0.0, neginf=0.0).sum(), z).float()
        row, place = may.nonzero(as_tuple=True)
        steps = slope[row, place]
        level = (steps * z.detach()[row, place]).sum(1)
        gains = torch.full((*part.shape, words), -torch.inf, device=part.device)
        names = torch.full_like(gains, -1, dtype=torch.int64)
        for some in torch.arange(len(row), device=part.device).split(max(1, CELLS // len(table))):
            at = row[some], place[some]
            gain = steps[some] @ table.T - level[some, None]
            gain[kind[part[at]][:, None] != kind] = -torch.inf
            gain.scatter_(1, part[at][:, None], -torch.inf)
            gains[at], names[at] = gain.topk(words)
        gain, index = gains.flatten(1).topk(min(tries, gains[0].numel()))
        found.append((index // words, names.flatten(1).gather(1, index).masked_fill(gain == -torch.inf, -1)))
    place, word = zip(*found)
    return torch.cat(place), torch.cat(word)


def _distinct(made: Tensor, values: Tensor, scale: Tensor, count: int) -> Tensor:
    """(n, count) the best of each row's texts, no text twice unless there are fewer."""
    picks: list[Tensor] = []
    each = torch.arange(len(made), device=made.device)
    for _ in range(count):
        pick = first_best(values, scale)
        pick = torch.where(values.amax(1) == -torch.inf, picks[0], pick) if picks else pick
        picks.append(pick)
        values = values.masked_fill((made == made[each, pick][:, None]).all(2), -torch.inf)
    return torch.stack(picks, 1)
