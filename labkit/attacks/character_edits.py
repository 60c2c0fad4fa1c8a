"""Spelling mistakes where they hurt most."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated

import numpy as np
import torch
from torch import Tensor

from labkit.attacks._search import Best, margin
from labkit.attacks._suited import suited
from labkit.attacks._words import EQUAL, ask, first_best
from labkit.core.draws import Draws
from labkit.core.method import Range
from labkit.core.refused import Refused
from labkit.data import spelling
from labkit.data.schema import Schema
from labkit.data.text import encode_texts
from labkit.models.classifier import Classifier

Encode = Callable[[Sequence[str]], Tensor]


def character_edits(
    model: Classifier,
    x: Tensor,
    y: Tensor,
    eps: float,
    generator: Draws,
    batch_size: int,
    schema: Schema,
    texts: Sequence[str],
    *,
    tries: Annotated[int, Range(1, 1000, log=True), "misspellings of a word that are tried, where it has more"] = 16,
    places: Annotated[int, Range(1, 100, log=True), "words of the text tried before one is changed"] = 4,
) -> Annotated[Tensor, "queries"]:
    """At most ``eps`` characters of the text changed, each in another word; then the text is read anew.

    A change is two neighbouring letters swapped, or a letter dropped, inserted, or hit on a neighbouring key: never a
    word's first or last letter, and never a word of fewer than four. Words are ranked by what leaving them out does to the
    margin (best wrong logit minus true logit). Of the ``places`` that rank highest the misspelling that raises it most is
    made, until the row is broken or the budget is spent. Misspellings that are read alike are tried once: to a model of
    whole words nearly all of them are (unknown). Asks for answers alone.

    A misspelt word can be read as several pieces, which moves what follows: the result may differ from x at more than
    ``eps`` places.

    Source: the changes of Pruthi et al., 2019, arXiv 1905.11268; ranking as in Gao et al., 2018, arXiv 1801.04354.

    Raises:
        Refused: rows that are no text, without their texts, or with those of other rows.
    """

    def encode(some: Sequence[str]) -> Tensor:
        return torch.from_numpy(encode_texts(some, schema)).to(x.device)

    if schema.modality != "text":
        raise Refused("characters to change", f"rows that are {schema.modality}", f"text data, or {suited(schema)}")
    _check(x, texts, encode)
    points, best, logits = x.clone(), Best(x, y), ask(model, x, batch_size).float()
    now, scale = margin(logits, y), logits.abs().amax(1)
    best.offer(x, logits)
    drafts = [_Draft(text) for text in texts]
    if eps >= 1:
        _rank([(drafts[row], y[row]) for row in best.rows.tolist()], model, encode, batch_size)
    for turn in range(sum(len(draft.open) for draft in drafts)):
        can = [bool(drafts[row].open) and drafts[row].made < int(eps) for row in best.rows.tolist()]
        best.rows = rows = best.rows[torch.tensor(can, dtype=torch.bool, device=x.device)]
        if not len(rows):
            break
        streams, those = generator[rows.cpu().numpy()].spawn(turn), [drafts[row] for row in rows.tolist()]
        offers = [offer for i, draft in enumerate(those) for offer in draft.offers(i, places, streams[i : i + 1])]
        codes = encode([those[i].text(at, word) for i, at, word in offers])
        offers, codes = _distinct(offers, codes, points[rows], tries)
        owner = torch.tensor([i for i, _, _ in offers], dtype=torch.int64, device=x.device)
        answers = ask(model, codes, batch_size).float()
        values = margin(answers, y[rows][owner])
        made, logits = points[rows], torch.full((len(rows), len(model.classes)), torch.nan, device=x.device)
        for i, draft in enumerate(those):
            mine = (owner == i).nonzero()[:, 0]
            pick = mine[first_best(values[None, mine], scale[rows[i : i + 1]])] if len(mine) else mine
            if not len(pick) or not values[pick] > now[rows[i]] + EQUAL * scale[rows[i]]:
                del draft.open[:places]
                continue
            draft.make(*offers[int(pick)][1:])
            made[i], logits[i], now[rows[i]] = codes[pick], answers[pick], values[pick]
        points[rows] = made
        best.offer(made, logits)
    return best.points


class _Draft:
    """A text as it stands. ``open``: which of its parts may still be changed; ``made``: how many were."""

    def __init__(self, text: str) -> None:
        self.parts = spelling.cut(text, spelling.LONG)
        self.open = list(range(1, len(self.parts), 2))
        self.made = 0

    def text(self, at: int, word: str) -> str:
        """With another word at that part."""
        return "".join([*self.parts[:at], word, *self.parts[at + 1 :]])

    def make(self, at: int, word: str) -> None:
        self.parts[at], self.made = word, self.made + 1
        self.open.remove(at)

    def offers(self, number: int, places: int, stream: Draws) -> list[tuple[int, int, str]]:
        """(number, part, misspelling) for the parts next in rank, in random order within each."""
        found = []
        for at in self.open[:places]:
            words = spelling.edited(self.parts[at])
            found += [(number, at, words[k]) for k in stream.spawn(at).bits(len(words))[0].argsort()]
        return found


def _rank(drafts: Sequence[tuple[_Draft, Tensor]], model: Classifier, encode: Encode, batch_size: int) -> None:
    """Words first whose loss raises the margin most."""
    asked = [(k, at, draft.text(at, "")) for k, (draft, _) in enumerate(drafts) for at in draft.open]
    asked = [(k, at, text) for k, at, text in asked if spelling.WORD.search(text)]
    if not asked:
        return
    y = torch.stack([drafts[k][1] for k, _, _ in asked])
    values = margin(ask(model, encode([text for _, _, text in asked]), batch_size).float(), y).tolist()
    rank = {(k, at): value for (k, at, _), value in zip(asked, values)}
    for k, (draft, _) in enumerate(drafts):
        draft.open.sort(key=lambda at: -rank.get((k, at), -np.inf))


def _distinct(
    offers: list[tuple[int, int, str]], codes: Tensor, now: Tensor, tries: int
) -> tuple[list[tuple[int, int, str]], Tensor]:
    """Without those that are read as the row is already, or as an earlier one of its offers; ``tries`` a word at most."""
    kept, count = [], dict[tuple[int, int], int]()
    rows, read = codes.cpu().numpy(), {(i, row.tobytes()) for i, row in enumerate(now.cpu().numpy())}
    for k, (i, at, _) in enumerate(offers):
        key = i, rows[k].tobytes()
        if key not in read and count.get((i, at), 0) < tries:
            read.add(key)
            count[i, at] = count.get((i, at), 0) + 1
            kept.append(k)
    return [offers[k] for k in kept], codes[kept]


def _check(x: Tensor, texts: Sequence[str], encode: Encode) -> None:
    asked, instead = "characters to change", "a Split with the raw texts of its rows, or word_substitution"
    if len(texts) != len(x):
        raise Refused(asked, f"{len(texts)} texts for {len(x)} rows", instead)
    if not torch.equal(encode(texts), x):
        raise Refused(asked, "texts that are not those of the rows: read anew they give other word numbers", instead)
