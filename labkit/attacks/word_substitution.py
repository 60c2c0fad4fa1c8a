"""Words replaced by words near them in the model's own embedding."""

from __future__ import annotations

from typing import Annotated, Literal

import torch
from torch import Tensor

from labkit.attacks._search import Best, margin
from labkit.attacks._words import EQUAL, MARK, ask, changed, first_best, kinds, nearest, vectors, without_each
from labkit.core.method import Range
from labkit.data.schema import Schema
from labkit.models.classifier import Classifier


def word_substitution(
    model: Classifier,
    x: Tensor,
    y: Tensor,
    eps: float,
    norm: Literal["edits"],
    batch_size: int,
    schema: Schema,
    *,
    neighbours: Annotated[int, Range(1, 200, log=True), "words that may stand in a word's place"] = 8,
    places: Annotated[int, Range(1, 100, log=True), "words of the text tried before one is changed"] = 8,
) -> Annotated[Tensor, "queries"]:
    """At most ``eps`` words, each replaced by one of its nearest in the model's embedding (by cosine, above 0).

    Words are ranked by what leaving them out does to the margin (best wrong logit minus true logit). Of the ``places``
    that rank highest, the change that raises the margin most is made, until the row is broken or the budget is spent;
    places where nothing raises it make room for the next. Asks for answers, and for the embedding's vectors.

    Words that are near in an embedding are used alike, which antonyms are too: a success says that the model depends on
    that word, not that a reader would still agree with the label.

    Source: greedy and ranked as in Jin et al., 2020, arXiv 1907.11932; neighbours after Alzantot et al., 2018, arXiv
    1804.07998. Neither the counter-fitted vectors of these nor their language models are used.
    """
    kind = kinds(schema, x)
    near = nearest(vectors(model, x, len(kind), batch_size), kind, x, neighbours)
    points, best = x.clone(), Best(x, y)
    logits = ask(model, x, batch_size).float()
    now, scale = margin(logits, y), logits.abs().amax(1)
    best.offer(x, logits)
    left = torch.full((len(x),), int(eps), device=x.device)
    unseen = (kind[x] != MARK) & (near[x, 0] >= 0)
    rank = without_each(model, x, y, unseen & (left > 0)[:, None], batch_size)
    while True:
        best.rows = rows = best.rows[(left[best.rows] > 0) & unseen[best.rows].any(1)]
        if not len(rows):
            return best.points
        place = rank[rows].masked_fill(~unseen[rows], -torch.inf).topk(min(places, x.shape[1])).indices
        word = near[points[rows].gather(1, place)].masked_fill((~unseen[rows].gather(1, place))[..., None], -1)
        tried = place.repeat_interleave(neighbours, 1)
        made, logits = changed(model, points[rows], tried, word.flatten(1), batch_size)
        values = margin(logits.flatten(0, 1), y[rows].repeat_interleave(tried.shape[1])).view(tried.shape)
        pick, each = first_best(values, scale[rows]), torch.arange(len(rows), device=x.device)
        better = values[each, pick] > now[rows] + EQUAL * scale[rows]
        gone = torch.where(better[:, None], tried[each, pick][:, None], place)
        unseen[rows[:, None], gone] = False
        points[rows[better]], now[rows[better]] = made[each, pick][better], values[each, pick][better]
        left[rows[better]] -= 1
        best.offer(made[each, pick], logits[each, pick])
