"""The attribute exchanged and nothing else: models that read it and sound twins, in tables, sentences and templates."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
import torch
from scipy.stats import binomtest
from torch import nn

import labkit as lk
from labkit.analyses._flip.answers import mcnemar
from labkit.analyses._flip.neutral import Known
from labkit.analyses._flip.texts import exchanged, filled
from labkit.data import Feature, Schema, Split, encode_texts, identity_terms
from labkit.views._static import svg

CLASSES = ("no", "yes")
SEX, KIN, TOWN = ("(other)", "female", "male"), ("(other)", "wife", "husband", "single"), ("(other)", "north", "south")


def people(n: int = 400, seed: int = 0) -> Split:
    """Sex, kin (no husband is a woman), town, and a number."""
    g = np.random.default_rng(seed)
    sex = g.integers(1, 3, n)
    kin = np.where(g.random(n) < 0.5, 3, sex)
    x = np.column_stack([sex, kin, g.integers(1, 3, n), g.normal(size=n)]).astype(np.float32)
    features = (
        Feature("sex", "categorical", categories=SEX),
        Feature("kin", "categorical", categories=KIN),
        Feature("town", "categorical", categories=TOWN),
        Feature("score", "numeric"),
    )
    schema = Schema("tabular", "y", (4,), features=features, groups=("sex", "faith"))
    groups = {"sex": np.array(SEX)[sex], "faith": np.where(g.random(n) < 0.5, "one", "other")}
    return Split(x, g.integers(0, 2, n), schema, CLASSES, "people", groups)


def linear(weights: list[float]) -> lk.models.Classifier:
    layer = nn.Linear(len(weights), 2)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([[0.0] * len(weights), weights]))
        layer.bias.zero_()
    return lk.wrap(layer, classes=CLASSES, name="linear")


def findings(record) -> list[str]:
    return [f.status for f in lk.check(record, only=["unmoved_by_group"])]


def test_a_table_model_that_reads_sex_is_caught_and_its_numbers_are_the_closed_form() -> None:
    data = people()
    record = lk.flip_test(linear([1.0, 0.0, 0.0, 1.0]), data, "sex", positive="yes")
    sex, score = data.x[:, 0], data.x[:, 3]
    up = (sex == 1) & (sex + score <= 0) & (2 + score > 0)
    down = (sex == 2) & (sex + score > 0) & (1 + score <= 0)
    to = {s: d for d, s in enumerate(record.source)}
    assert record.promoted[to["female"]] == up.sum() and record.demoted[to["male"]] == down.sum()
    assert record.demoted[to["female"]] == record.promoted[to["male"]] == 0
    sigmoid = 1 / (1 + np.exp(-np.stack([1 + score, 2 + score])))
    assert record.shift[to["female"]] == pytest.approx((sigmoid[1] - sigmoid[0])[sex == 1].mean(), abs=1e-5)
    assert record.moved == pytest.approx((up.sum() + down.sum()) / len(data))
    exact = binomtest(int(up.sum() + down.sum()), len(data)).proportion_ci(method="exact")
    assert (record.moved_low, record.moved_high) == pytest.approx((exact.low, exact.high))
    assert findings(record) == ["does_not_meet", "does_not_meet"]
    assert record.control == ("kin", "town", "score") and record.control_share[:2].tolist() == [0, 0]


def test_a_table_model_that_does_not_read_sex_is_not_accused() -> None:
    record = lk.flip_test(linear([0.0, 1.0, -1.0, 1.0]), people(), "sex", positive="yes")
    assert not record.read and record.changed.sum() == 0 and record.excess < 0
    assert findings(record) == ["meets", "meets"]
    assert "does not read it" in lk.says(record)
    few = lk.flip_test(linear([0.0, 1.0, -1.0, 1.0]), people(40), "sex", positive="yes")
    assert findings(few)[0] == "inconclusive", "40 people cannot show that at most 1 of 100 changes"


def test_an_attribute_that_is_no_input_is_not_measured_but_what_holds_it_can_be_exchanged() -> None:
    record = lk.flip_test(linear([1.0, 0.0, 0.0, 1.0]), people(), "faith", positive="yes")
    assert record.status == "not_measured" and "proxies" in record.reason
    assert findings(record) == ["not_measured"]
    along = {"town": {"north": "south", "south": "north"}}
    held = lk.flip_test(linear([0.0, 0.0, 2.0, 1.0]), people(), "faith", positive="yes", along=along)
    assert held.source == ("one", "other") and held.changed.sum() > 0


def test_rows_that_hardly_occur_are_counted_and_what_goes_along_mends_them() -> None:
    data = people()
    plain = lk.flip_test(linear([1.0, 0.5, 0.0, 1.0]), data, "sex", positive="yes")
    married = np.isin(data.x[:, 1], [1, 2])
    assert plain.odd.sum() == married.sum() and "hardly occurs" in plain.warnings[0]
    along = {"kin": {"wife": "husband", "husband": "wife"}}
    mended = lk.flip_test(linear([1.0, 0.5, 0.0, 1.0]), data, "sex", positive="yes", along=along)
    assert mended.odd.sum() == 0 and not mended.warnings
    assert mended.control == ("town", "score")


def test_mcnemar_is_scipys_binomial_test() -> None:
    for one, other in ((0, 1), (3, 9), (20, 4), (7, 7)):
        assert mcnemar(one, other) == pytest.approx(binomtest(one, one + other).pvalue)
    assert mcnemar(0, 0) == 1


# --- texts ---------------------------------------------------------------------------------------------------------

NAMED = {w for terms in identity_terms.ATTRIBUTES.values() for words in terms.values() for w in words}
NEUTRAL = [w for w in (a + b + c for a in "bdfgklmnprst" for b in "aeiou" for c in "nst") if w not in NAMED]
PAIRS = [
    ("she", "he"),
    ("woman", "man"),
    ("girl", "boy"),
    ("mother", "father"),
    ("sister", "brother"),
    ("wife", "husband"),
]
WORDS = ("(padding)", "(unknown)", *NEUTRAL, *(w for pair in PAIRS for w in pair))
TERMS = {"female": tuple(f for f, _ in PAIRS), "male": tuple(m for _, m in PAIRS)}
SCHEMA = Schema("text", "y", (8,), vocabulary=WORDS)


def sentences(n: int = 400, seed: int = 0) -> Split:
    g = np.random.default_rng(seed)
    texts = []
    for _ in range(n):
        words = list(g.choice(NEUTRAL, 6))
        words[g.integers(6)] = PAIRS[g.integers(len(PAIRS))][g.integers(2)]
        texts.append(" ".join(words).capitalize() + ".")
    return Split(encode_texts(texts, SCHEMA), g.integers(0, 2, n), SCHEMA, CLASSES, "sentences", texts=tuple(texts))


class Bag(nn.Module):
    """The sum of a number for each word."""

    def __init__(self, worth: np.ndarray) -> None:
        super().__init__()
        self.worth = nn.Embedding.from_pretrained(torch.tensor(worth, dtype=torch.float32)[:, None])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        z = self.worth(x)[..., 0].sum(1)
        return torch.stack([-z, z], 1)


def bag(seed: int = 0, bias: float = 0.0) -> lk.models.Classifier:
    """Every word has a worth of its own, drawn alike; ``bias`` is taken from words of women."""
    worth = np.random.default_rng(seed + 100).normal(0, 0.3, len(WORDS))
    worth[:2] = 0
    for f, _ in PAIRS:
        worth[WORDS.index(f)] -= bias
    return lk.wrap(Bag(worth), classes=CLASSES, embedding="worth", padding=0, name="bag")


def test_a_text_model_against_women_is_caught_and_twins_that_read_every_word_are_not() -> None:
    biased = lk.flip_test(bag(bias=1.2), sentences(), "sex", positive="yes", terms=TERMS)
    to = {s: d for d, s in enumerate(biased.source)}
    assert biased.shift[to["female"]] > 0 > biased.shift[to["male"]] and biased.shift_holm.max() < 0.05
    assert findings(biased) == ["does_not_meet", "does_not_meet"] and biased.excess_low > 0
    assert "more than pairs of neutral words would" in lk.says(biased)
    accused = Counter(s for seed in range(12) for s in findings(_twin(seed)))
    assert accused["does_not_meet"] <= 2 < accused["inconclusive"] + accused["meets"]


def _twin(seed: int):
    return lk.flip_test(bag(seed), sentences(150, seed), "sex", positive="yes", terms=TERMS, seed=seed)


def test_each_sentence_is_exchanged_as_it_should_be() -> None:
    data, model = sentences(60), bag(bias=1.0)
    record = lk.flip_test(model, data, "sex", positive="yes", terms=TERMS)
    worth = model.module.worth.weight[:, 0].numpy().astype(float)
    other = {**dict(PAIRS), **{m: f for f, m in PAIRS}}
    moved = []
    for text in data.texts:
        words = lk.data.words(text)
        z = [sum(worth[WORDS.index(w)] for w in some) for some in (words, [other.get(w, w) for w in words])]
        moved.append(np.diff(1 / (1 + np.exp(-2 * np.array(z))))[0])
    female = np.array([any(w in TERMS["female"] for w in lk.data.words(t)) for t in data.texts])
    for source, rows in (("female", female), ("male", ~female)):
        d = record.source.index(source)
        assert record.rows[d] == rows.sum() and record.shift[d] == pytest.approx(np.array(moved)[rows].mean(), abs=1e-5)
    assert record.furthest[0].row == int(np.abs(moved).argmax()) and "→" in record.furthest[0].words
    assert len(lk.views.flip_test.changes(record)) == len(record.furthest)


ENGLISH = lk.data.words(
    "she her he him his woman man an actress actor a the saw gave book to it herself himself is good"
)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("She gave him the book.", "He gave her the book."),
        ("The man saw her.", "The woman saw him."),
        ("He saw her book.", "She saw his book."),
        ("HIS book to an actress", "HER book to an actor"),
        ("The woman's book", "The man's book"),
        ("It is good.", "It is good."),
    ],
)
def test_pronouns_keep_grammar_and_case(before: str, after: str) -> None:
    known = Known(Schema("text", "y", (8,), vocabulary=("(padding)", "(unknown)", *dict.fromkeys(ENGLISH))))
    made, done = exchanged(before, identity_terms.GENDER, "female", "male", known, Counter())
    # the vocabulary takes "woman's" for a word of its own, which is known by its stem
    assert made == after and bool(done) == (before != after)


def test_articles_follow_and_words_that_the_model_lacks_stay_and_are_counted() -> None:
    terms = {"one": ("american", "french"), "other": ("german", "martian")}
    known = Known(
        Schema("text", "y", (8,), vocabulary=("(padding)", "(unknown)", "american", "german", "french", "a", "an"))
    )
    missed: Counter[str] = Counter()
    assert exchanged("An american", terms, "one", "other", known, missed)[0] == "A german"
    assert exchanged("a german", terms, "one", "other", known, missed)[0] == "an american"
    assert exchanged("a french", terms, "one", "other", known, missed)[0] == "a french" and missed == {"martian": 1}
    assert filled("{} people", "urban") == "Urban people" and filled("I met a {} man", "urban") == "I met an urban man"


def test_templates_catch_a_biased_model_and_spare_its_twin() -> None:
    templates = [f"{{}} {a} {b}." for a, b in zip(NEUTRAL[:40:2], NEUTRAL[1:40:2])]
    options = {"templates": templates, "terms": TERMS, "neutral": NEUTRAL[50:80], "positive": "yes"}
    biased, twin = (lk.flip_test(bag(bias=b), sentences(10), "sex", **options) for b in (1.2, 0.0))
    assert biased.inputs == "template sentences" and biased.units == len(templates)
    assert biased.rows.tolist() == [len(templates) * len(PAIRS)] * 2
    assert findings(biased)[1] == "does_not_meet" and findings(twin) == ["inconclusive"] * 2
    assert twin.shift_holm.min() > 0.05


def test_the_lists_are_aligned_and_no_word_stands_for_two_groups() -> None:
    for name, terms in (*identity_terms.ATTRIBUTES.items(), *identity_terms.IN_TEMPLATES.items()):
        assert len({len(words) for words in terms.values()}) == 1, name
        groups = [set(words) for words in terms.values()]
        assert sum(map(len, groups)) == len(set().union(*groups)), name


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"by": "score"}, "feature_effect"),
        ({"by": "hair"}, "one of"),
        ({"positive": None}, "positive="),
        ({"along": {"kin": {"wife": "widow"}}}, "one of"),
        ({"terms": TERMS}, "along="),
        ({"rows": 1}, "at least 2"),
    ],
)
def test_what_cannot_be_asked_of_a_table_is_refused(options: dict, said: str) -> None:
    with pytest.raises(lk.Refused, match=said):
        lk.flip_test(linear([1.0, 0.0, 0.0, 1.0]), people(40), **{"by": "sex", "positive": "yes", **options})


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"by": "hair"}, "religion"),
        ({"terms": {"a": ("he",), "b": ("she", "her")}}, "as many words"),
        ({"terms": {"a": ("he",)}}, "two groups"),
        ({"templates": ["no gap"], "terms": TERMS}, "one {} each"),
        ({"templates": ["{} is"], "by": "gender"}, "religion"),
        ({"along": {"kin": {}}}, "terms="),
    ],
)
def test_what_cannot_be_asked_of_texts_is_refused(options: dict, said: str) -> None:
    with pytest.raises(lk.Refused, match=said):
        lk.flip_test(bag(), sentences(20), **{"by": "gender", "positive": "yes", **options})


def test_nothing_to_exchange_is_not_measured() -> None:
    record = lk.flip_test(bag(), sentences(20), "religion", positive="yes")
    assert record.status == "not_measured" and "holds a word" in record.reason


def test_the_same_again_stored_and_drawn(tmp_path) -> None:
    record, again = (lk.flip_test(bag(), sentences(60), "sex", positive="yes", terms=TERMS, seed=3) for _ in range(2))
    assert record.digest == again.digest
    lk.save(record, tmp_path / "flip.lk")
    assert lk.load(tmp_path / "flip.lk").digest == record.digest
    assert "exchanged" in svg(lk.figure(record), name="flip")
    assert len(lk.rows(record)) == len(record.source) + len(record.control)
