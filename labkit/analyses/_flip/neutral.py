"""Words that say nothing of who a person is, exchanged in sentences for comparison."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import cache

import numpy as np

from labkit.analyses._flip.design import Control
from labkit.data import identity_terms, text, wordpiece
from labkit.data.schema import Schema
from labkit.data.spelling import WORD, cut
from labkit.data.split import Split

NEAR = 20  # neutral words of like frequency that one is drawn from
EVEN = 1.0  # standard errors that a neutral word's share of each class is at most away from that of all
OFTEN = 5  # sentences that a neutral word occurs in at least
PAIRS, EACH = 60, 30  # of neutral words, and the sentences that each is exchanged in at most


class Known:
    """Which words a model knows, and texts as it reads them."""

    def __init__(self, schema: Schema) -> None:
        self.schema = schema
        strange = (text.UNKNOWN, wordpiece.UNKNOWN)
        self.strange = [i for i, w in enumerate(schema.vocabulary) if w in strange]
        self.knows = cache(self._knows)

    def _knows(self, word: str) -> bool:
        return bool(text.words(word)) and not np.isin(self.encode([word]), self.strange).any()

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        return text.encode_texts(texts, self.schema)


def cased(word: str, like: str) -> str:
    """A word in the case of another."""
    if like.isupper() and len(like) > 1:
        return word.upper()
    return word[:1].upper() + word[1:] if like[:1].isupper() else word


def in_sentences(
    data: Split, words: Collection[str], swaps: Mapping[int, list[str]], known: Known, generator: np.random.Generator
) -> tuple[list[Control], Control | None]:
    """As many neutral words of like frequency exchanged in each sentence as words of a group were; and pairs of such words,
    each exchanged wherever the first of them stands."""
    counts = Counter(w for t in data.texts for w in text.words(t))
    named = {w.lower() for attribute in identity_terms.ATTRIBUTES.values() for ws in attribute.values() for w in ws}
    named |= {w.lower() for w in words}
    free = {w for w in _even(data) if w not in named and w.isalpha() and len(w) > 2 and known.knows(w)}
    ranked = sorted(free, key=lambda w: (-counts[w], w))
    if len(ranked) < 2 or not swaps:
        return [], None
    size = np.log([counts[w] for w in ranked])

    def partner(word: str) -> str:
        near = np.argsort(np.abs(size - np.log(counts[word])), kind="stable")[: NEAR + 1]
        others = [ranked[r] for r in near if ranked[r] != word]
        return others[generator.integers(len(others))]

    asked = []
    for i, replaced in swaps.items():
        parts = cut(data.texts[i], WORD)
        wanted = np.log([max(1, counts[w.lower().partition("'")[0]]) for w in replaced])
        places = [k for k in range(1, len(parts), 2) if parts[k].lower() in free]
        for like in wanted[: len(places)]:
            k = min(places, key=lambda k: abs(np.log(counts[parts[k].lower()]) - like))
            places.remove(k)
            parts[k] = cased(partner(parts[k].lower()), parts[k])
        made = "".join(parts)
        if made != data.texts[i]:
            asked.append((i, i, made))
    control = _read(data, "neutral words", asked, known)
    return [control] if control else [], _pairs(data, swaps, counts, ranked, partner, known)


def _pairs(
    data: Split,
    swaps: Mapping[int, list[str]],
    counts: Counter[str],
    ranked: list[str],
    partner: Callable[[str], str],
    known: Known,
) -> Control | None:
    """Neutral words about as frequent as the words that were exchanged, each with another one in its place."""
    wanted = np.log([max(1, counts[w.lower().partition("'")[0]]) for ws in swaps.values() for w in ws])
    size = np.log([counts[w] for w in ranked])
    # for the words at PAIRS quantiles of frequency the nearest that is not taken yet
    chosen: list[int] = []
    for like in np.quantile(wanted, np.linspace(0, 1, min(PAIRS, len(ranked)))):
        free = np.setdiff1d(np.arange(len(ranked)), chosen)
        chosen.append(int(free[np.abs(size[free] - like).argmin()]))
    where: dict[str, list[int]] = {ranked[r]: [] for r in chosen}
    for i, sentence in enumerate(data.texts):
        for word in where.keys() & set(text.words(sentence)):
            where[word].append(i)
    asked = []
    for k, (word, places) in enumerate(where.items()):
        other = partner(word)
        for i in places[:EACH]:
            parts = [cased(other, p) if p.lower() == word else p for p in cut(data.texts[i], WORD)]
            asked.append((i, k, "".join(parts)))
    return _read(data, "pairs of neutral words", asked, known)


def _read(data: Split, name: str, asked: list[tuple[int, int, str]], known: Known) -> Control | None:
    """Sentences and what was made of them, from (row, code, sentence), where the model reads the difference."""
    if not asked:
        return None
    rows, code, made = zip(*asked)
    x, before = known.encode(made), data.x[np.array(rows)]
    read = (x != before).any(1)
    return Control(name, np.array(code)[read], before[read], x[read]) if read.any() else None


def _even(data: Split) -> list[str]:
    """Words that occur as often in one class as in another, within a standard error."""
    classes = len(data.classes)
    table: dict[str, np.ndarray] = {}
    for sentence, y in zip(data.texts, data.y):
        for word in set(text.words(sentence)) if y >= 0 else ():
            table.setdefault(word, np.zeros(classes))[y] += 1
    share = np.bincount(data.y[data.y >= 0], minlength=classes) / max(1, (data.y >= 0).sum())
    words = [w for w, c in table.items() if c.sum() >= OFTEN]
    seen = np.array([table[w] for w in words]).reshape(len(words), classes)
    n = seen.sum(1, keepdims=True)
    even = (np.abs(seen - n * share) <= EVEN * np.sqrt(n * share * (1 - share)) + 1e-9).all(1)
    return [w for w, e in zip(words, even) if e]
