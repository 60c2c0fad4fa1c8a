"""What the attacks on texts share: which words may change and which may come in, the words near a word, and asking the
model about many changes of a row.

A word's number may change where it is a word. Marks, such as padding, (unknown), [CLS] or [SEP], neither change nor come
in; a piece that begins a word is replaced by such a piece, one that goes on by one that goes on.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from labkit.attacks._search import margin
from labkit.attacks._suited import suited
from labkit.core.refused import Refused
from labkit.data.schema import Schema
from labkit.data.text import MARK, kind
from labkit.models.classifier import Classifier
from labkit.models.texts import PADDING

EQUAL = 1e-4  # of the largest logit: margins nearer than this are one
CELLS = 2**23  # of a table of places and words, at most at once


def kinds(schema: Schema, x: Tensor) -> Tensor:
    """(words,) of each word number: 0 for a mark, 1 for a word or its first piece, 2 for a piece that goes on.

    Raises:
        Refused: data that are no texts, a schema without vocabulary, or rows with numbers beyond it.
    """
    asked = "words to change"
    if schema.modality != "text" or not schema.vocabulary:
        given = f"{schema.modality} data with a vocabulary of {len(schema.vocabulary)}"
        raise Refused(asked, given, f"text data whose schema has its vocabulary, or {suited(schema)}")
    if x.min() < 0 or x.max() >= len(schema.vocabulary):
        given = f"word numbers from {x.min()} to {x.max()} and a vocabulary of {len(schema.vocabulary)}"
        raise Refused(asked, given, "word numbers within the vocabulary")
    return torch.tensor([kind(word) for word in schema.vocabulary], device=x.device)


def vectors(model: Classifier, x: Tensor, words: int, batch_size: int) -> Tensor:
    """(words, width) what the model's embedding makes of each word number.

    Raises:
        Refused: a model that names no embedding.
    """
    if model.embedding is None:
        instead = 'labkit.wrap(..., embedding="the layer\'s name"), or random_words, which asks for answers alone'
        raise Refused(f"the words' vectors in {model.name}", "a model that names no embedding", instead)
    length = x.shape[1]
    rows = functional.pad(torch.arange(words, device=x.device), (0, -words % length), value=PADDING).view(-1, length)
    return torch.cat([model.relax(part)[0] for part in rows.split(batch_size)]).flatten(0, 1)[:words].float()


def nearest(table: Tensor, kind: Tensor, x: Tensor, count: int) -> Tensor:
    """(words, count) the words of one kind with the greatest cosine to each word of x, nearest first.

    -1 where no further word has a cosine above 0, and for words that x does not have.
    """
    near = torch.full((len(table), count), -1, device=x.device)
    unit = functional.normalize(table)
    used = x.unique()
    for some in used[kind[used] != MARK].split(max(1, CELLS // len(table))):
        cosine = unit[some] @ unit.T
        cosine[kind[some][:, None] != kind] = -2.0
        cosine.scatter_(1, some[:, None], -2.0)
        value, word = cosine.topk(min(count, len(table)))
        near[some, : word.shape[1]] = torch.where(value > 0, word, -1)
    return near


def ask(model: Classifier, points: Tensor, batch_size: int) -> Tensor:
    """(n, classes) logits of any number of points, none included."""
    if not len(points):
        return torch.zeros(0, len(model.classes), device=points.device)
    with torch.no_grad():
        return torch.cat([model(part) for part in points.split(batch_size)])


def without_each(model: Classifier, x: Tensor, y: Tensor, chosen: Tensor, batch_size: int) -> Tensor:
    """(n, places) the margin of each row once the word at a ``chosen`` place is left out and the rest moves up.

    0 where nothing is chosen, and for a text of one word, of which nothing would be left.
    """
    row, place = (chosen & ((x != PADDING).sum(1) > 1)[:, None]).nonzero(as_tuple=True)
    found = torch.zeros(x.shape, device=x.device)
    if len(row):
        at = torch.arange(x.shape[1], device=x.device)
        moved = functional.pad(x, (0, 1), value=PADDING)[row].gather(1, at + (at >= place[:, None]))
        lead = margin(ask(model, moved, batch_size).float(), y[row])
        found[row, place] = lead.clamp_min(
            torch.finfo(lead.dtype).min
        )  # a place that may change, though it helps nothing
    return found


def changed(model: Classifier, points: Tensor, place: Tensor, word: Tensor, batch_size: int) -> tuple[Tensor, Tensor]:
    """(n, tried, places) the rows with one word changed, and the (n, tried, classes) logits.

    Args:
        place, word: (n, tried); a word of -1 is no change, is not asked about and has logits that are NaN.
    """
    now = points.gather(1, place)
    made = points[:, None].expand(-1, place.shape[1], -1)
    made = made.scatter(2, place[..., None], torch.where(word < 0, now, word)[..., None])
    answers = ask(model, made[word >= 0], batch_size)
    logits = torch.full((*word.shape, answers.shape[1]), torch.nan, device=points.device)
    logits[word >= 0] = answers.float()
    return made, logits


def first_best(values: Tensor, scale: Tensor) -> Tensor:
    """(n,) where each row of (n, tried) values is greatest: the first of those that are one but for rounding, so that
    the batch does not decide between equals."""
    least = values.amax(1) - EQUAL * scale
    return (values >= least[:, None]).to(torch.uint8).argmax(1)
