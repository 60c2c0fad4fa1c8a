"""Association of words: effects known in closed form, all partitions counted another way, null and planted vectors."""

from __future__ import annotations

from itertools import combinations
from math import comb

import numpy as np
import pytest
import torch

import labkit as lk
from labkit.analyses._words.associating import dealt, effect, items, resampled
from labkit.core.resampling import bias_corrected
from labkit.data.word_sets import names, word_sets


def named(prefix: str, vectors: np.ndarray) -> dict[str, np.ndarray]:
    return {f"{prefix}{i}": v for i, v in enumerate(vectors)}


def drawn(seed: int, n: int, shift: float, others: int = 0, width: int = 20) -> tuple[dict, dict, dict]:
    """Vectors of words: attributes about two ends of an axis, targets moved along it by ``shift``."""
    generator = np.random.default_rng(seed)
    axis = np.eye(width)[0]
    moves = {"x": shift, "y": -shift, "a": 3.0, "b": -3.0}
    vectors = {}
    for k, m in moves.items():
        vectors |= named(k, generator.normal(size=(n, width)) + m * axis)
    vectors |= named("other", generator.normal(size=(others, width)))
    sets = {k: [w for w in vectors if w.startswith(k)] for k in "xyab"}
    return vectors, {k: sets[k] for k in "xy"}, {k: sets[k] for k in "ab"}


def test_the_effect_and_p_of_opposite_words_are_known_in_closed_form() -> None:
    n = 8
    plane = {"x": (0.8, 0.6), "y": (-0.8, 0.6), "a": (1, 0), "b": (-1, 0)}
    vectors = {f"{k}{i}": np.array(v) * (1 + i) for k, v in plane.items() for i in range(n)}
    sets = {k: [f"{k}{i}" for i in range(n)] for k in plane}
    found = lk.embedding_association(vectors, [sets["x"], sets["y"]], [sets["a"], sets["b"]], replicates=100)
    assert found.score == pytest.approx([1.6] * n + [-1.6] * n)
    assert found.effect == pytest.approx(2 / np.sqrt(2 * n / (2 * n - 1)))
    assert found.exact and found.partitions == comb(2 * n, n)
    assert found.p == pytest.approx(2 / comb(2 * n, n)) and found.p_one_sided == pytest.approx(1 / comb(2 * n, n))
    swapped = lk.embedding_association(vectors, [sets["y"], sets["x"]], [sets["a"], sets["b"]], replicates=100)
    assert swapped.effect == pytest.approx(-found.effect) and swapped.p_one_sided == 1
    assert np.isnan(found.control95) and any("no random sets" in w for w in found.warnings)


def test_p_counts_every_partition_and_draws_agree_with_it() -> None:
    vectors, targets, attributes = drawn(1, 5, 0.3)
    found = lk.embedding_association(vectors, targets, attributes, replicates=100)

    def cosine(v: str, w: str) -> float:
        return vectors[v] @ vectors[w] / np.linalg.norm(vectors[v]) / np.linalg.norm(vectors[w])

    score = {w: np.mean([cosine(w, a) for a in attributes["a"]]) - np.mean([cosine(w, b) for b in attributes["b"]])
             for w in (*targets["x"], *targets["y"])}  # fmt: skip
    assert dict(zip(found.word, found.score)) == pytest.approx(score)

    def apart(first: tuple[str, ...]) -> float:
        return sum(score[w] if w in first else -score[w] for w in score)

    seen = apart(tuple(targets["x"]))
    every = np.array([apart(part) for part in combinations(score, 5)])
    assert found.p == pytest.approx(np.mean(np.abs(every) >= abs(seen) - 1e-9))
    assert found.p_one_sided == pytest.approx(np.mean(every >= seen - 1e-9))
    assert found.effect == pytest.approx(seen / 5 / np.std(list(score.values()), ddof=1))
    values = np.array([*found.score, *np.random.default_rng(0).normal(size=20)])[None]
    many = dealt(values, 5, 20_000, np.random.default_rng(0))
    assert not many.exact and many.partitions == 20_000 and 0 < many.p[0] <= 1
    word = found.word.tolist().index("x0")
    cosines = np.array([cosine("x0", w) for w in found.attribute])
    deals = [cosines[list(c)].mean() - np.delete(cosines, c).mean() for c in combinations(range(10), 5)]
    own = cosines[:5].mean() - cosines[5:].mean()
    assert found.word_p[word] == pytest.approx(np.mean(np.abs(deals) >= abs(own) - 1e-9))
    assert found.word_effect[word] == pytest.approx(own / cosines.std(ddof=1))


def test_without_an_association_p_is_uniform_and_with_one_it_is_told() -> None:
    p, one_sided = [], []
    for seed in range(100):
        vectors, targets, attributes = drawn(seed, 4, 0.0)
        found = lk.embedding_association(vectors, targets, attributes, replicates=100)
        p.append(found.p)
        one_sided.append(found.p_one_sided)
    assert np.mean(np.array(p) <= 0.2) == pytest.approx(0.2, abs=0.1)
    assert np.mean(one_sided) == pytest.approx(0.5, abs=0.08) and np.mean(np.array(p) < 0.05) <= 0.1
    vectors, targets, attributes = drawn(0, 10, 2.0, others=300)
    planted = lk.embedding_association(vectors, targets, attributes, replicates=500, permutations=1000)
    assert planted.effect > 1.3 and planted.p < 0.01 and planted.p_control < 0.05 and not planted.exact
    assert lk.check(planted)[0].status == "does_not_meet" and "beyond chance" in lk.says(planted)
    vectors, targets, attributes = drawn(0, 10, 0.0, others=300)
    sound = lk.embedding_association(vectors, targets, attributes, replicates=500, permutations=1000)
    assert lk.check(sound)[0].status == "inconclusive" and 0.6 < sound.control95 < 1.1


@pytest.mark.parametrize("shift", [0.0, 0.6])
def test_the_interval_holds_the_effect_of_the_whole_population(shift: float) -> None:
    def cosines(seed: int, n: int) -> np.ndarray:
        vectors, *_ = drawn(seed, n, shift)
        v = np.array([*vectors.values()])
        v /= np.linalg.norm(v, axis=1, keepdims=True)
        return v[: 2 * n] @ v[2 * n :].T

    every, generator = cosines(0, 1500), np.random.default_rng(0)
    truth = effect(*items(every, (1500, 1500), (1500, 1500)))
    held = 0
    for seed in range(1, 101):
        few = cosines(seed, 10)
        draws = resampled(few, (10, 10), (10, 10), 300, generator)
        low, high = bias_corrected(draws, float(effect(*items(few, (10, 10), (10, 10)))))
        held += low <= truth <= high
    assert held >= 90


def test_a_single_set_is_tested_by_dealing_the_attributes() -> None:
    vectors, targets, attributes = drawn(2, 6, 1.5)
    found = lk.embedding_association(vectors, {"x": targets["x"]}, attributes, replicates=200)
    assert found.targets == ("x",) and found.effect > 1 and found.p == pytest.approx(2 / comb(12, 6))
    assert found.sizes() == (6, 6, 6) and "x (6 words)" in lk.says(found)


def test_missing_and_few_words_are_told_and_what_cannot_be_tested_is_refused(tmp_path) -> None:
    vectors, targets, attributes = drawn(3, 6, 0.0)
    found = lk.embedding_association(vectors, {"x": [*targets["x"], "nowhere"], "y": targets["y"]}, attributes)
    assert found.missing == ("nowhere",) and len(found.word) == 12
    assert any("fewer than 8 words" in w for w in found.warnings)
    assert lk.load(lk.save(found, tmp_path / "e.lk")).digest == found.digest
    few = lk.embedding_association(vectors, {"x": targets["x"][:3], "y": targets["y"]}, attributes)
    assert few.status == "not_measured" and lk.says(few).startswith("Not measured because")
    assert lk.check(few)[0].status == "not_measured" and lk.figure(few) is not None
    with pytest.raises(lk.Refused, match="both in"):
        lk.embedding_association(vectors, {"x": targets["x"], "y": targets["x"]}, attributes)
    with pytest.raises(lk.Refused, match="zero or not finite"):
        lk.embedding_association(vectors | {"x0": np.zeros(20)}, targets, attributes)
    with pytest.raises(lk.Refused, match="flowers_insects"):
        lk.embedding_association(vectors, "flowers")
    with pytest.raises(lk.Refused, match="one or two target sets"):
        lk.embedding_association(vectors, targets, [attributes["a"]])
    with pytest.raises(lk.Refused, match="no data"):
        lk.embedding_association(lk.zoo.load("movies_gru"), "names_career")


def test_a_published_test_of_a_models_own_word_vectors() -> None:
    from labkit.views._static import svg

    model, data = lk.zoo.load("movies_gru"), lk.data.load("movies")
    found = lk.embedding_association(model, "names_career", data=data, replicates=200, controls=200)
    table = model.module.get_submodule("embed").weight.detach().numpy()
    at = {w: table[data.schema.vocabulary.index(w)] for w in (*found.word, *found.attribute)}
    mine = lk.embedding_association(
        at,
        {n: found.word[found.target_of == i] for i, n in enumerate(found.targets)},
        {n: found.attribute[found.attribute_of == i] for i, n in enumerate(found.attributes)},
    )
    assert found.effect == pytest.approx(mine.effect, abs=1e-5) and found.p == mine.p
    assert "kate" not in found.word and "Kate" in found.missing and not np.isnan(found.control95)
    assert svg(lk.figure(found), name="f") and len(lk.rows(found)) == len(found.word)
    again = lk.embedding_association(model, "names_career", data=data, replicates=200, controls=200)
    assert again.digest == found.digest


def test_in_sentences_a_word_has_one_vector() -> None:
    model, data = lk.zoo.load("movies_gru"), lk.data.load("movies")
    templates = ("this is {}", "they saw {} here")
    sets = [["man", "boy", "son", "father"], ["woman", "girl", "daughter", "mother"]], [
        ["good", "great", "fine", "best"], ["bad", "awful", "worst", "boring"]]  # fmt: skip
    found = lk.embedding_association(model, *sets, data=data, templates=templates, controls=100, replicates=100)
    from labkit.data.text import encode_texts
    from labkit.models.features import layer

    def vector(word: str) -> np.ndarray:
        x = model.tensor(encode_texts([t.format(word) for t in templates], data.schema))
        with torch.no_grad():
            each = layer(model, x)(x)[0].numpy().astype(float)
        total = (each / np.linalg.norm(each, axis=1, keepdims=True)).mean(0)
        return total / np.linalg.norm(total)

    good, bad = (np.mean([vector(w) for w in part], 0) for part in sets[1])
    assert found.score[0] == pytest.approx(vector("man") @ (good - bad), abs=1e-4)
    assert found.layer == "head" and found.templates == templates
    with pytest.raises(lk.Refused, match="templates with one"):
        lk.embedding_association(model, *sets, data=data, templates=("nothing here",))


def test_published_sets_are_of_equal_size_and_share_no_word() -> None:
    assert len(names()) == 4
    for name in names():
        targets, attributes = word_sets(name)
        (first, second), (good, bad) = targets.values(), attributes.values()
        assert len(first) == len(second) >= 8 and len(good) == len(bad) >= 8
        assert not set(first) & set(second) and not set(good) & set(bad)
