"""Ways to change a text: words left out, or replaced by their nearest in the model's embedding."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from torch import nn

from labkit.analyses._counterfactual.search import Moves, Question
from labkit.core.draws import Draws
from labkit.data.text import kind as kind_of
from labkit.models.classifier import Classifier

NEAREST = 8  # words that may stand in a word's place
MOST = 0.5  # share of a text's words that may change


@dataclass(eq=False)
class Words:
    """Texts that are to be changed.

    Attributes:
        x: (n, length) word numbers. padding: the number that is none.
        embedding: (words, width), or None: then words can only be left out.
    """

    x: np.ndarray
    vocabulary: tuple[str, ...]
    padding: int
    embedding: np.ndarray | None
    noun: str = "words"
    names: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        used = np.unique(self.x)
        self.near = np.full((len(self.vocabulary), NEAREST), -1)
        self.near_cosine = np.zeros((len(self.vocabulary), NEAREST))
        self._look_up(used)
        self._look_up(np.setdiff1d(np.unique(self.near[used]), [-1]))  # for noise on what was replaced

    @property
    def noise_of(self) -> str:
        return "one word replaced by its nearest" if self.embedding is not None else ""

    @property
    def cost_of(self) -> str:
        return "1 for a word left out, 1 minus the embeddings' cosine for one replaced"

    def _look_up(self, words: np.ndarray) -> None:
        """The nearest words of the same kind: pieces that go on a word for such pieces, and no marks."""
        if self.embedding is None:
            return
        kind = np.array([kind_of(word) for word in self.vocabulary])
        unit = self.embedding / np.maximum(np.linalg.norm(self.embedding, axis=1, keepdims=True), 1e-12)
        words = words[kind[words] > 0]
        for start in range(0, len(words), 256):
            some = words[start : start + 256]
            cosine = unit[some] @ unit.T
            cosine[kind[some][:, None] != kind] = -2.0
            cosine[np.arange(len(some)), some] = -2.0
            best = np.sort(np.argpartition(-cosine, min(NEAREST, cosine.shape[1]) - 1, axis=1)[:, :NEAREST], axis=1)
            value = np.take_along_axis(cosine, best, 1)
            order = np.argsort(-value, axis=1, kind="stable")
            best, value = (np.take_along_axis(part, order, 1) for part in (best, value))
            self.near[some, : best.shape[1]] = np.where(value > 0, best, -1)
            self.near_cosine[some, : best.shape[1]] = value

    def moves(self) -> Moves:
        n, length = self.x.shape
        there = self.x != self.padding
        cost = np.ones((n, length, 1 + NEAREST))
        cost[:, :, 1:] = 1 - self.near_cosine[self.x].clip(0, 1)
        allowed = np.concatenate([there[:, :, None], there[:, :, None] & (self.near[self.x] >= 0)], 2)
        most = np.floor(MOST * there.sum(1)).astype(np.int64)
        return Moves(cost, allowed, self.realise, most, np.zeros(n, bool))

    def realise(self, rows: np.ndarray, state: np.ndarray) -> np.ndarray:
        """Texts with words replaced or left out; what follows moves up."""
        made = self.x[rows]
        other = np.take_along_axis(self.near[made], np.maximum(state - 2, 0)[..., None].astype(np.int64), 2)[..., 0]
        made = np.where(state > 1, other, made)
        order = np.argsort(state == 1, axis=1, kind="stable")
        made = np.where(state == 1, self.padding, made)
        return np.take_along_axis(made, order, 1)

    def finish(
        self, ask: Question, rows: np.ndarray, state: np.ndarray, lead: float
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The changed texts, which words changed, and the cost."""
        cosine = np.take_along_axis(
            self.near_cosine[self.x[rows]], np.maximum(state - 2, 0)[..., None].astype(np.int64), 2
        )
        cost = np.where(state == 1, 1.0, np.where(state > 1, 1 - cosine[..., 0].clip(0, 1), 0.0)).sum(1)
        return self.realise(rows, state), state > 0, cost

    def breaches(self, before: np.ndarray, after: np.ndarray) -> list[str]:
        """What a changed text breaks: numbers that are no words, none left, or padding between words."""
        there = after != self.padding
        if after.min() < 0 or after.max() >= len(self.vocabulary) or not there.any():
            return ["a number is no word, or none is left"]
        left = before != self.padding
        gaps = np.diff(np.flatnonzero(there)).max(initial=1) > np.diff(np.flatnonzero(left)).max(initial=1)
        return ["padding stands between words"] if gaps else []

    def jitter(self, made: np.ndarray, draws: Draws) -> np.ndarray:
        """The same texts with one word replaced by its nearest."""
        can = (made != self.padding) & (self.near[made, 0] >= 0)
        pick = np.where(can, draws.uniform(made.shape[1]), -1.0).argmax(1)
        noisy, at = made.copy(), np.flatnonzero(can.any(1))
        noisy[at, pick[at]] = self.near[made[at, pick[at]], 0]
        return noisy

    def shown(self, row: np.ndarray) -> tuple[str, ...]:
        """The words, "" for padding."""
        return tuple("" if v == self.padding else self.vocabulary[v] for v in row.tolist())

    def edits(self, row: int, state: np.ndarray) -> tuple[str, ...]:
        """What stands in each word's place: "" for one left out."""
        found = list(self.shown(self.x[row]))
        for at in np.flatnonzero(state):
            found[at] = "" if state[at] == 1 else self.vocabulary[self.near[self.x[row, at], state[at] - 2]]
        return tuple(found)


def word_table(model: Classifier, words: int) -> np.ndarray | None:
    """(words, width) the vectors of the model's words, None where its embedding is no table of so many."""
    layer: nn.Module = model.module.get_submodule(model.embedding or "")
    tables = [p for p in layer.parameters() if p.ndim == 2 and len(p) == words]
    return tables[0].detach().float().cpu().numpy() if model.embedding and tables else None
