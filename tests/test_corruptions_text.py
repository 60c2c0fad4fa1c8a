"""Natural shifts of texts: a contract, what each of them does counted by hand, and models that must not notice."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
import torch
from torch import nn

import labkit as lk
from labkit.core.draws import Draws
from labkit.corruptions._applying import Ground, corrupt, corruption, fitting
from labkit.corruptions._text import SHARES
from labkit.corruptions.misread_letters import _misread
from labkit.data import spelling
from labkit.data.text import encode_texts

LEAVES = fitting("text")
SLIPS = {"typos": spelling.replaced, "swapped_letters": spelling.swapped, "dropped_letters": spelling.dropped}
LENGTH = 24
PLAIN = [
    "wonderful",
    "modern",
    "film",
    "about",
    "clever",
    "people",
    "the",
    "is",
    "a",
    "of",
    "it",
    "and",
    "no",
    "but",
    "never",
    "really",
    "moving",
    "story",
]
SCHEMA = lk.data.Schema("text", "tone", (LENGTH,), vocabulary=("(padding)", "(unknown)", *PLAIN))


def sentences(n: int = 60, most: int = 14) -> tuple[str, ...]:
    """Texts of known words, from one word up."""
    draw = np.random.default_rng(0)
    return tuple(" ".join(draw.choice(PLAIN, 1 + i % most)) for i in range(n))


TEXTS = sentences()
X = encode_texts(TEXTS, SCHEMA)
GROUND = Ground(SCHEMA, None, X)


def run(name: str, severity: int, seed: int = 0, rows: np.ndarray | slice = slice(None)) -> np.ndarray:
    texts = tuple(np.array(TEXTS, dtype=object)[rows])
    return corrupt(corruption(name), X[rows], severity, Draws(seed, len(X))[rows], GROUND, texts)


def hits(severity: int, of: np.ndarray) -> np.ndarray:
    """How many of so many words a severity changes."""
    return np.ceil(SHARES[severity - 1] * of).astype(int)


def words_of(row: np.ndarray) -> list[str]:
    return [SCHEMA.vocabulary[v] for v in row if v]


@pytest.mark.parametrize("name", LEAVES)
def test_a_corruption_of_texts_keeps_its_contract(name: str) -> None:
    before = X.copy()
    damage = []
    for severity in (1, 2, 3, 4, 5):
        found = run(name, severity)
        assert found.dtype == X.dtype and found.shape == X.shape and (found != 0).any(1).all()
        damage.append((np.sort(found) != np.sort(X)).sum())
        assert ((found == 0).astype(int)[:, 1:] >= (found == 0)[:, :-1]).all(), "padding stands at the end"
    np.testing.assert_array_equal(X, before)
    assert damage[0] > 0 and (np.diff(damage) > 0).all(), damage
    some = np.array([40, 3, 17])
    np.testing.assert_array_equal(run(name, 3, rows=some), run(name, 3)[some])
    assert not np.array_equal(run(name, 3, seed=1), run(name, 3)), "the seed is not used"


@pytest.mark.parametrize("name", LEAVES)
def test_what_makes_no_sense_is_refused(name: str) -> None:
    for severity in (0, 6):
        with pytest.raises(lk.Refused, match="from 1 to 5"):
            run(name, severity)
    with pytest.raises(lk.Refused, match=r"(?s)0 texts for 60 rows.*raw texts"):
        corrupt(corruption(name), X, 1, Draws(0, len(X)), GROUND)


def test_there_are_some_of_words_and_some_of_spelling() -> None:
    assert len(LEAVES) >= 6 and {corruption(n).family for n in LEAVES} == {"words", "spelling"}


@pytest.mark.parametrize("name", SLIPS)
@pytest.mark.parametrize("severity", [1, 4])
def test_one_slip_in_the_share_of_long_words_that_it_says(name: str, severity: int) -> None:
    found = run(name, severity)
    long = np.array([[len(w) > 3 for w in SCHEMA.vocabulary]])[0][X] & (X > 1)
    gone = found != X
    assert (found[gone] == 1).all() and not (gone & ~long).any(), "a slip makes a word unknown, short words stay"
    np.testing.assert_array_equal(gone.sum(1), hits(severity, long.sum(1)))
    assert not (run(name, 1) != X)[~(run(name, 4) != X)].any(), "a severity does what the one below it does"


@pytest.mark.parametrize("name", SLIPS)
def test_a_slip_is_one_of_those_there_are(name: str) -> None:
    """Read with a vocabulary of every slip: no other comes out, and nearly all of them do."""
    there = dict.fromkeys(other for word in ("clever", "moving") for other in SLIPS[name](word))
    schema = lk.data.Schema("text", "tone", (2,), vocabulary=("(padding)", "(unknown)", "clever", "moving", *there))
    texts = ("Clever moving",) * 400
    x = encode_texts(texts, schema)
    found = corrupt(corruption(name), x, 5, Draws(0, 400), Ground(schema, None, x), texts)
    assert (found > 3).all() and len(np.unique(found)) > 0.9 * len(there)
    assert all(schema.vocabulary[a][0] == "c" and schema.vocabulary[b][0] == "m" for a, b in found)


@pytest.mark.parametrize("severity", [1, 5])
def test_words_are_dropped_repeated_and_joined_as_often_as_said(severity: int) -> None:
    count = (X != 0).sum(1)
    dropped, repeated, joined = (run(name, severity) for name in ("dropped_words", "repeated_words", "joined_words"))
    np.testing.assert_array_equal((dropped != 0).sum(1), count - np.minimum(hits(severity, count), count - 1))
    np.testing.assert_array_equal((repeated != 0).sum(1), np.minimum(count + hits(severity, count), LENGTH))
    np.testing.assert_array_equal((joined != 0).sum(1), count - hits(severity, count - 1))
    np.testing.assert_array_equal(dropped[count == 1], X[count == 1])
    np.testing.assert_array_equal(joined[count == 1], X[count == 1])
    for row, less, more in zip(X, dropped, repeated):
        left = iter(words_of(row))
        assert all(word in left for word in words_of(less)), "in the order they had"
        twice = Counter(words_of(more)) - Counter(words_of(row))
        assert set(twice) <= set(words_of(row)) and (not set(words_of(row)) - set(words_of(more)))


def test_letters_are_misread_for_those_that_look_alike() -> None:
    made = set(_misread("modern"))
    assert {"rnodern", "modem", "m0dern", "modcrn", "moclern"} <= made and "modern" not in made
    assert set(_misread("Bill")) == {"8ill", "Blll", "Bi1l", "Bil1"} and _misread("Rakyk") == []
    found = run("misread_letters", 3)
    assert ((found != X).sum(1) <= hits(3, (X != 0).sum(1))).all() and (found[found != X] == 1).all()


def test_a_model_of_short_words_does_not_notice_slips_and_one_of_all_words_does() -> None:
    """The sound twin reads words of up to three letters, which no slip touches."""

    class Counted(nn.Module):
        def __init__(self, longest: int) -> None:
            super().__init__()
            draw = torch.Generator().manual_seed(0)
            read = torch.tensor([i > 1 and len(w) <= longest for i, w in enumerate(SCHEMA.vocabulary)])
            self.words = nn.Embedding(len(read), 2)
            self.words.weight.data = torch.randn(len(read), 2, generator=draw) * read[:, None]

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.words(x).sum(1)

    short, every = (lk.wrap(Counted(n).eval(), classes=["a", "b"], embedding="words", padding=0) for n in (3, 99))
    for name in SLIPS:
        found = torch.from_numpy(run(name, 5))
        assert torch.equal(short(found), short(torch.from_numpy(X)))
        moved = every(found).argmax(1) != every(torch.from_numpy(X)).argmax(1)
        assert moved.float().mean() > 0.05


def test_a_reference_model_loses_by_slips_and_not_by_repetition() -> None:
    model, data = lk.zoo.load("movies_gru", device="cpu"), lk.zoo.data("movies_gru").test[:400]
    ground = Ground(data.schema, None, data.x)

    def accuracy(x: np.ndarray) -> float:
        with torch.no_grad():
            return float((model(model.tensor(x)).argmax(1).numpy() == data.y).mean())

    clean = accuracy(data.x)
    lost = {n: clean - accuracy(corrupt(corruption(n), data.x, 5, Draws(0, 400), ground, data.texts)) for n in LEAVES}
    assert min(lost[n] for n in LEAVES if n != "repeated_words") > 0.05 and abs(lost["repeated_words"]) < 0.05
    first = corrupt(corruption("typos"), data.x, 1, Draws(0, 400), ground, data.texts)
    assert abs(clean - accuracy(first)) < 0.04


def test_pieces_are_read_anew() -> None:
    pytest.importorskip("tokenizers")
    letters = tuple("abcdefghijklmnopqrstuvwxyz")
    vocabulary = ("[PAD]", "[UNK]", *PLAIN, *letters, *(f"##{c}" for c in letters))
    schema = lk.data.Schema("text", "tone", (LENGTH,), vocabulary=vocabulary)
    x = encode_texts(TEXTS, schema)
    found = corrupt(corruption("typos"), x, 2, Draws(0, len(x)), Ground(schema, None, x), TEXTS)
    longer = (found != 0).sum(1) - (x != 0).sum(1)
    assert longer.max() > 3 and (found != 1).all() and set(np.unique(found[found > 1])) - set(np.unique(x))
