"""Attacks on texts: a contract, a bag of words whose best change is known in closed form, and models that cannot be broken."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import labkit as lk
from labkit.attacks._search import CLEAR, margin
from labkit.attacks._words import kinds, nearest, vectors
from labkit.core import method, registry
from labkit.core.draws import Draws
from labkit.data import spelling
from labkit.data.text import encode_texts

WORDS = ("random_words", "word_substitution", "hotflip")
ALL = (*WORDS, "character_edits")
LENGTH = 9
PLAIN = tuple(
    [
        "film",
        "great",
        "awful",
        "boring",
        "lovely",
        "story",
        "actor",
        "plot",
        "weak",
        "strong",
        "dull",
        "bright",
        "rather",
        "never",
        "quite",
        "moving",
        "clever",
        "stupid",
        "a",
        "of",
        "it",
        "the",
        "band",
        "bnad",
    ]
)
SCHEMA = lk.data.Schema("text", "tone", (LENGTH,), vocabulary=("(padding)", "(unknown)", *PLAIN))
PIECES = lk.data.Schema(
    "text",
    "tone",
    (LENGTH,),
    vocabulary=("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[unused1]", *PLAIN, "##ing", "##s", "##ly", "!"),
)


class Bag(nn.Module):
    """Adds up a vector a word: a change of one word does the same whatever the others are."""

    def __init__(self, words: int, width: int = 2, seed: int = 0, step: float = 0.0) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.words, self.step = nn.Embedding(words, width, padding_idx=0), step

    def forward(self, x: Tensor) -> Tensor:
        total = self.words(x).sum(1)
        return (total / self.step).round() * self.step if self.step else total


def bag(schema: lk.data.Schema = SCHEMA, seed: int = 0, **options: Any):
    classes = [str(k) for k in range(options.get("width", 2))]
    module = Bag(len(schema.vocabulary), seed=seed, **options).eval()
    return lk.wrap(module, classes=classes, embedding="words", padding=0, name="bag")


def texts_of(x: Tensor) -> tuple[str, ...]:
    return tuple(" ".join(SCHEMA.vocabulary[v].strip("()") for v in row if v) for row in x.tolist())


def rows(n: int = 40, schema: lk.data.Schema = SCHEMA, seed: int = 0) -> Tensor:
    """Texts of one word up to all places; the second is all unknown, and some words are elsewhere too."""
    draw = np.random.default_rng(seed)
    x = draw.integers(1, len(schema.vocabulary), (n, LENGTH))
    x[np.arange(LENGTH) >= 1 + np.arange(n)[:, None] % LENGTH] = 0
    x[1, :2] = 1
    return torch.from_numpy(x)


def run(
    name: str,
    model: Any,
    x: Tensor,
    y: Tensor,
    eps: float,
    schema=SCHEMA,
    streams=None,
    texts=None,
    size=64,
    **options: Any,
) -> Tensor:
    """The bare leaf, without the analysis around it."""
    function = registry.find("attacks", name)
    offered = {"model": model, "x": x, "y": y, "eps": eps, "norm": "edits", "schema": schema, "batch_size": size}
    offered["generator"] = Draws(0, len(x)) if streams is None else streams
    if "texts" in method.needs(function):
        offered["texts"] = texts_of(x) if texts is None else texts
    return method.call(function, method.bind("attacks", name, function, options), offered)


def by_hand(model: Any, x: Tensor, y: Tensor, may: np.ndarray) -> np.ndarray:
    """(n, places + 1) the best margin with so many words changed; ``may`` (words, words): which may stand for which."""
    lead = model.module.words.weight.detach().double().numpy()
    worth = np.where(y.numpy()[:, None] == 0, lead[:, 1] - lead[:, 0], lead[:, 0] - lead[:, 1])
    best = np.zeros((len(x), LENGTH + 1))
    for i, row in enumerate(x.numpy()):
        gains = [max([worth[i, w] - worth[i, v] for w in np.flatnonzero(may[v])], default=0) for v in row]
        best[i] = worth[i, row].sum() + np.concatenate([[0], np.sort(np.maximum(gains, 0))[::-1].cumsum()])
    return best


def same_kind(schema: lk.data.Schema) -> np.ndarray:
    kind = kinds(schema, torch.zeros(1, 1, dtype=torch.int64)).numpy()
    return (kind[:, None] == kind) & (kind > 0) & ~np.eye(len(kind), dtype=bool)


def as_known(model: Any, found: Tensor, y: Tensor, known: np.ndarray, eps: int) -> None:
    """The margin is the best there is, but where a row left because fewer changes broke it clearly."""
    z = model(found)
    lead, clear = margin(z, y).detach().numpy(), CLEAR * z.abs().amax(1).detach().numpy()
    assert (lead <= known[:, eps] + 1e-4).all()
    stands = lead <= clear
    np.testing.assert_allclose(lead[stands], known[stands, eps], atol=1e-3)
    assert ((known[:, eps] > 1e-3) <= (lead > 0)).all() and stands.any() and not stands.all()


CASES = [*((name, SCHEMA) for name in ALL), *((name, PIECES) for name in WORDS)]


@pytest.mark.parametrize(("name", "schema"), CASES, ids=lambda v: v if isinstance(v, str) else v.vocabulary[0])
def test_an_attack_on_texts_keeps_its_contract(name: str, schema: lk.data.Schema) -> None:
    model, x = bag(schema), rows(schema=schema)
    y, kept, kind = model(x).argmax(1), x.clone(), kinds(schema, x)
    found = run(name, model, x, y, 2, schema)
    assert torch.equal(x, kept) and found.dtype == x.dtype and found.shape == x.shape
    changed = found != x
    assert changed.any() and changed.sum(1).max() <= 2 and torch.equal(found == 0, x == 0)
    if name != "character_edits":
        assert torch.equal(kind[found], kind[x]) and not (changed & (kind[x] == 0)).any()
        assert torch.equal(found[1], x[1]), "nothing but unknown words"
    assert torch.equal(found, run(name, model, x, y, 2, schema))
    for eps in (0, 0.9):
        assert torch.equal(run(name, model, x, y, eps, schema), x)


@pytest.mark.parametrize("name", ALL)
def test_company_order_and_batch_change_no_answer(name: str) -> None:
    model, x = bag(), rows(30)
    y = model(x).argmax(1)
    whole, streams = run(name, model, x, y, 2), Draws(0, 30)
    for some in (np.array([7]), np.arange(30)[::-1].copy(), np.array([3, 28, 11, 4, 9])):
        for size in (64, 2) if len(some) < 6 else (64,):
            part = run(name, model, x[some], y[some], 2, streams=streams[some], size=size)
            assert torch.equal(part, whole[some])


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("eps", [1, 2, 4])
def test_hotflip_is_the_best_change_of_a_bag_of_words(seed: int, eps: int) -> None:
    for schema in (SCHEMA, PIECES):
        model, x = bag(schema, seed), rows(60, schema, seed)
        y = model(x).argmax(1)
        known = by_hand(model, x, y, same_kind(schema))
        for beam in (1, 3):
            as_known(model, run("hotflip", model, x, y, eps, schema, beam=beam), y, known, eps)


def test_hotflip_beats_greedy_first_order_where_words_interact() -> None:
    """The words' effect bends: what the gradient says of a far word is wrong, and being asked again puts it right."""

    class Bent(Bag):
        def forward(self, x: Tensor) -> Tensor:
            total = (torch.sin(1.5 * self.words(x)) * (x != 0)[..., None]).sum(1)
            return total[:, :2] * (1 + total[:, 2:] ** 2)

    torch.manual_seed(0)
    model = lk.wrap(Bent(len(SCHEMA.vocabulary), 3).eval(), classes=["a", "b"], embedding="words")
    x = rows(60)
    y = model(x).argmax(1)
    strong, first = (run("hotflip", model, x, y, 2, **o) for o in ({}, {"tries": 1, "again": 0}))
    strong, first = ((model(found).argmax(1) != y).sum() for found in (strong, first))
    pairs = [[model(x[i : i + 1].clone().index_fill_(1, torch.tensor([at]), w)).argmax(1) != y[i] for at in range(LENGTH)
              if x[i, at] > 1 for w in range(2, len(SCHEMA.vocabulary))] for i in range(60)]  # fmt: skip
    one = (model(run("hotflip", model, x, y, 1)).argmax(1) != y).numpy()
    best = np.array([any(map(bool, p)) for p in pairs])
    assert strong > 1.2 * first and (one <= best).all() and one.sum() >= 0.9 * best.sum() > 10


@pytest.mark.parametrize("eps", [1, 3])
def test_word_substitution_is_the_best_change_among_near_words(eps: int) -> None:
    model, x = bag(width=4), rows(60)
    model.module.words.weight.data[:, 2:] *= 2  # what makes words near is mostly not what they do
    y = (model(x)[:, :2]).argmax(1)
    two = lk.wrap(_First(model.module).eval(), classes=["a", "b"], embedding="bag.words")
    table = model.module.words.weight.detach().double().numpy()
    unit = table / np.maximum(np.linalg.norm(table, axis=1, keepdims=True), 1e-12)
    cosine = np.where(same_kind(SCHEMA), unit @ unit.T, -2)
    may = (cosine > 0) & (cosine >= np.sort(cosine, 1)[:, [-4]])
    found = run("word_substitution", two, x, y, eps, neighbours=4, places=LENGTH)
    known = by_hand(model, x, y, may)
    as_known(two, found, y, known, eps)
    moved = found != x
    assert may[x[moved], found[moved]].all()
    few = run("word_substitution", two, x, y, eps, neighbours=4, places=1)
    assert (margin(two(few), y) <= torch.from_numpy(known[:, eps]) + 1e-4).all()
    assert (two(few).argmax(1) != y).sum() >= 0.7 * (two(found).argmax(1) != y).sum()


class _First(nn.Module):
    """The first two outputs of a bag."""

    def __init__(self, inner: Bag) -> None:
        super().__init__()
        self.bag = inner

    def forward(self, x: Tensor) -> Tensor:
        return self.bag(x)[:, :2]


def test_random_words_find_the_best_of_few_and_never_more() -> None:
    model, x = bag(), rows(60)
    y = model(x).argmax(1)
    known = by_hand(model, x, y, same_kind(SCHEMA))
    found = run("random_words", model, x, y, 1, draws=600)
    lead = margin(model(found), y).detach().numpy()
    assert (lead <= known[:, 1] + 1e-4).all()
    stands = (lead <= 0) & ((x != 0).sum(1) <= 3).numpy()  # few enough changes for all of them to be drawn
    np.testing.assert_allclose(lead[stands], known[stands, 1], atol=1e-3)
    many = torch.stack([run("random_words", model, x, y, 3, streams=Draws(s, 60), draws=1) for s in range(300)])
    full = (x > 1).sum(1) == LENGTH
    times = (many != x)[:, full].float().mean((0, 1)) * len(PLAIN) / (len(PLAIN) - 1)
    np.testing.assert_allclose(times, 3 / LENGTH, atol=0.05)  # every place as often
    came = many[(many != x)].bincount(minlength=len(SCHEMA.vocabulary))[2:]
    assert came.min() > 0.7 * came.max() and came.sum() > 3000


def test_gradients_that_are_hidden_are_outdone_by_answers_alone() -> None:
    """Rounded sums have no slope; their twin without rounding has."""
    x = rows(60)
    broken = {}
    for step in (0.0, 0.2):
        model = bag(step=step)
        y = model(x).argmax(1)
        for name in WORDS:
            options = {"tries": 5} if name == "hotflip" else {}
            broken[name, step] = int((model(run(name, model, x, y, 2, **options)).argmax(1) != y).sum())
    assert broken["hotflip", 0.0] >= max(broken[name, 0.0] for name in WORDS)
    assert broken["hotflip", 0.2] < 0.8 * broken["random_words", 0.2]


@pytest.mark.parametrize("name", ALL)
def test_what_no_word_can_change_stands(name: str) -> None:
    class Length(Bag):
        def forward(self, x: Tensor) -> Tensor:
            long = (x != 0).sum(1) > 4
            return torch.stack([~long, long], 1).float() + 0 * self.words(x).sum((1, 2))[:, None]

    class Broken(Bag):
        """NaN for every text that is not as it was."""

        def forward(self, x: Tensor) -> Tensor:
            known = (x[:, None] == self.x).all(2).any(1)
            return torch.where(known[:, None], super().forward(x), torch.nan)

    x = rows()
    x = x[(x != 0).sum(1) > 3]
    for kind in (Length, Broken):
        module = kind(len(SCHEMA.vocabulary)).eval()
        module.x = x
        model = lk.wrap(module, classes=["a", "b"], embedding="words")
        y = model(x).argmax(1)
        found = run(name, model, x, y, 3)
        answers = model(found)
        assert (answers.argmax(1) == y).all() and answers.isfinite().all()


def test_nearest_words_are_those_of_the_greatest_cosine() -> None:
    model, x = bag(PIECES, width=6), rows(schema=PIECES)
    table, kind = vectors(model, x, len(PIECES.vocabulary), 3), kinds(PIECES, x)
    torch.testing.assert_close(table, model.module.words.weight)
    near = nearest(table, kind, x, 5)
    for word in x.unique().tolist():
        cosine = nn.functional.cosine_similarity(table[word][None], table)
        allowed = [w for w in cosine.argsort(descending=True).tolist() if kind[w] == kind[word] > 0 and w != word]
        expected = [w for w in allowed if cosine[w] > 0][:5]
        assert near[word].tolist() == expected + [-1] * (5 - len(expected))


def test_character_edits_are_the_best_misspellings_of_a_bag_of_words() -> None:
    """Every way to misspell each word, read by hand: most are unknown, but "band" and "bnad" are words."""
    model = bag(seed=3)
    x = rows(45, seed=2)
    y = model(x).argmax(1)
    number = {w: i for i, w in enumerate(SCHEMA.vocabulary)}
    may = np.zeros((len(number),) * 2, bool)
    for word in ("unknown", *PLAIN):
        if len(word) >= 4:
            code = number.get(word, 1)
            may[code, [number.get(other, 1) for other in spelling.edited(word)]] = True
    assert may[number["band"], number["bnad"]] and may[number["bnad"], number["band"]] and may.sum() < 40
    np.fill_diagonal(may, False)
    known = by_hand(model, x, y, may)
    for eps in (1, 2):
        as_known(model, run("character_edits", model, x, y, eps, places=LENGTH, tries=99), y, known, eps)
    far = run("character_edits", model, x, y, 9)
    assert not ((far != x) & (torch.tensor([len(w) for w in SCHEMA.vocabulary])[x] < 4)).any(), "short words stay"


def test_character_edits_read_pieces_anew_and_leave_what_is_cut_off() -> None:
    pytest.importorskip("tokenizers")
    letters = tuple(dict.fromkeys("".join(PLAIN)))
    schema = lk.data.Schema(
        "text", "tone", (LENGTH,), vocabulary=(*PIECES.vocabulary, *letters, *(f"##{c}" for c in letters))
    )
    model = bag(schema, seed=1)
    texts = ("Great story, lovely acting!", "a film", "the plot " * 6 + "awful", "moving")
    x = torch.from_numpy(encode_texts(texts, schema))
    y = model(x).argmax(1)
    found = run("character_edits", model, x, y, 2, schema, texts=texts)
    assert torch.equal(found[:, 0] > 0, x[:, 0] > 0) and (found != x).any()
    alone = run("character_edits", model, x[:1], y[:1], 2, schema, texts=texts[:1], streams=Draws(0, 4)[:1])
    assert torch.equal(alone, found[:1])
    with pytest.raises(lk.Refused, match="not those of the rows"):
        run("character_edits", model, x, y, 2, schema, texts=texts[::-1])
    with pytest.raises(lk.Refused, match=r"(?s)0 texts for 4 rows.*raw texts"):
        run("character_edits", model, x, y, 2, schema, texts=())


def test_a_word_is_misspelt_once_each_reading_asked_once_and_the_next_word_has_its_turn() -> None:
    leads = {"(padding)": 0, "(unknown)": -3, "clever": -3, "clver": -2, "clvr": 30, "film": -2, "flim": 9, "story": -1}
    schema = lk.data.Schema("text", "tone", (LENGTH,), vocabulary=tuple(leads))
    model, asked = bag(schema), []
    model.module.words.weight.data = torch.tensor([[0.0, lead] for lead in leads.values()])
    model.module.register_forward_hook(lambda module, given, answer: asked.append(len(answer)))

    def spelt(text: str, **options: Any) -> list[str]:
        x = torch.from_numpy(encode_texts([text], schema))
        found = run("character_edits", model, x, torch.tensor([0]), 3, schema, texts=(text,), **options)
        return schema.show(found[0].tolist())

    assert spelt("clever") == ["clver"], "two letters out of one word would have broken it"
    assert sum(asked) == 3, "as it is, as (unknown), as clver"
    assert spelt("clever film story clever", places=1) == ["clver", "flim", "story", "clver"]
    assert spelt("clvr film clvr", places=1) == ["clvr", "film", "clvr"], "wrong already"
    model.module.words.weight.data[3, 1] = -4
    assert spelt("clever story film", places=1) == ["clever", "story", "flim"], "no spelling of the first helps"


def distance(a: str, b: str) -> int:
    """Least number of insertions, deletions, replacements and swaps of neighbours (optimal string alignment)."""
    d = np.add.outer(np.arange(len(a) + 1), np.arange(len(b) + 1))
    for i in range(1, len(a) + 1):
        for j in range(1, len(b) + 1):
            d[i, j] = min(d[i - 1, j] + 1, d[i, j - 1] + 1, d[i - 1, j - 1] + (a[i - 1] != b[j - 1]))
            if min(i, j) > 1 and a[i - 2 : i] == b[j - 2 : j][::-1]:
                d[i, j] = min(d[i, j], d[i - 2, j - 2] + 1)
    return int(d[-1, -1])


def test_a_misspelling_is_one_character_away_and_keeps_first_and_last() -> None:
    for row in ("qwertyuiop", "asdfghjkl", "zxcvbnm"):
        assert all(b in spelling.keys_beside(a) for a, b in pairwise(row))
    assert set(spelling.keys_beside("S")) == set("AWEDXZ") and set(spelling.keys_beside("p")) == set("ol")
    assert all(a in spelling.keys_beside(b) for a in "qwertyuiopasdfghjklzxcvbnm" for b in spelling.keys_beside(a))
    for word in ("great", "Beautiful", "aaaa", "née-", "höchst"):
        made = spelling.edited(word)
        assert len(set(made)) == len(made) and word not in made
        assert all(distance(word, other) == 1 and other[0] == word[0] and other[-1] == word[-1] for other in made)
    every = {w for w in spelling.edited("film") if len(w) == 4}
    assert every == {"flim", *(f"f{c}lm" for c in "uokj"), *(f"fi{c}m" for c in "kop")}
    assert "".join(spelling.cut("it isn't  Great, no?", spelling.LONG)) == "it isn't  Great, no?"


@pytest.mark.parametrize("name", ALL)
def test_what_cannot_be_attacked_as_text_is_refused(name: str) -> None:
    model, x = bag(), rows(4)
    y = model(x).argmax(1)
    table = lk.data.Schema("series", "y", (LENGTH,))
    with pytest.raises(lk.Refused, match="text data"):
        run(name, model, x, y, 1, table)
    if name in ("hotflip", "word_substitution"):
        numbers = lk.wrap(model.module, classes=["a", "b"], embedding=None)
        with pytest.raises(lk.Refused, match=r"(?s)names no embedding.*random_words"):
            run(name, numbers, x, y, 1)
    if name in WORDS:
        with pytest.raises(lk.Refused, match="within the vocabulary"):
            run(name, model, x, y, 1, lk.data.Schema("text", "y", (LENGTH,), vocabulary=SCHEMA.vocabulary[:9]))


@pytest.mark.parametrize("name", ["movies_gru", "movies_lstm", "movies_transformer"])
def test_the_reference_models_are_broken_by_few_words(name: str) -> None:
    model, data = lk.zoo.load(name, device="cpu"), lk.zoo.data(name).test[:24]
    x, y = model.tensor(data.x), torch.tensor(data.y)
    right = (model(x).argmax(1) == y).detach()
    x, y, texts = x[right], y[right], tuple(t for t, r in zip(data.texts, right) if r)
    stands = {}
    for attack in ALL:
        found = run(attack, model, x, y, 2, data.schema, texts=texts)
        stands[attack] = (model(found).argmax(1) == y).float().mean().item()
    assert stands["hotflip"] < 0.15 < stands["random_words"] < 0.7
    assert stands["word_substitution"] < 0.97 and stands["character_edits"] < 0.85
