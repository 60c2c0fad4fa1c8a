"""What a model tells of one column: of a model that remembers all, of rules that remember nothing, and by hand."""

from __future__ import annotations

from dataclasses import replace
from importlib import import_module

import numpy as np
import pytest
import torch
from torch import nn

import labkit as lk
from labkit.analyses._membership import rows
from labkit.core.intervals import paired_mean
from labkit.data.schema import Feature, Schema
from labkit.views._static import svg

FEATURES = (
    Feature("work", "categorical", categories=("(other)", "office", "shop", "field")),
    Feature("secret", "categorical", categories=("(other)", "no", "yes")),
    Feature("income", "numeric", 0, 9),
    Feature("age", "numeric", 18, 80),
)


def people(n: int, seed: int) -> lk.data.Split:
    """``work`` says a little of ``secret``; the label follows income and, a little, the secret."""
    g = np.random.default_rng(seed)
    secret = g.integers(1, 3, n)
    work = np.where(g.random(n) < 0.4, secret, g.integers(1, 4, n))
    income, age = g.normal(4, 1, n), np.round(g.uniform(18, 80, n))
    y = (income + 0.5 * (secret == 2) + g.normal(0, 1, n) > 4).astype(np.int64)
    x = np.column_stack([work, secret, income, age]).astype(np.float32)
    return lk.data.Split(x, y, Schema("tabular", "label", (4,), features=FEATURES), ("no", "yes"), "made")


@pytest.fixture(scope="module")
def data() -> lk.data.Dataset:
    return lk.data.Dataset("made", people(700, 0), people(1400, 1))


class Model(nn.Module):
    """A rule for all; of the rows that it holds it is sure."""

    def __init__(self, held: lk.data.Split | None, weight: float) -> None:
        super().__init__()
        self.weight = weight
        self.register_buffer("x", torch.tensor(held.x if held else np.zeros((0, 4), np.float32)))
        self.register_buffer("y", torch.tensor(held.y if held else np.zeros(0, np.int64)))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        z = 0.4 * (x[:, 2] - 4) + self.weight * (x[:, 1] - 1.5)
        plain = torch.stack([-z, z], 1)
        if not len(self.x):
            return plain
        distance, nearest = torch.cdist(x, self.x, compute_mode="donot_use_mm_for_euclid_dist").min(1)
        sure = nn.functional.one_hot(self.y[nearest], 2) * 12.0 - 6.0
        return torch.where(distance[:, None] < 1e-4, sure, plain)


def model(held: lk.data.Split | None = None, weight: float = 0.2):
    return lk.wrap(Model(held, weight), classes=["no", "yes"], name="rule")


def test_a_model_that_remembers_tells_the_column_of_those_it_has_seen(data: lk.data.Dataset) -> None:
    found = lk.attribute_inference(model(data.train), data, "secret")
    trained, _ = found.right(True)
    others, _ = found.right(False)
    assert found.values == ("no", "yes") and found.known == 700
    assert trained[3] > 0.75 > others[3] > 0.6, "of others it knows what their work tells"
    value, low, _ = found.remembered(found.most)
    assert low > 0.1 and value == min(found.above(found.most)[0], found.leak(found.most)[0])
    assert lk.check(found)[0].status == "does_not_meet"


@pytest.mark.parametrize("weight", [0.0, 0.2, 3.0], ids=["blind to it", "uses it", "rests on it"])
def test_a_rule_that_remembers_nobody_leaks_nothing(data: lk.data.Dataset, weight: float) -> None:
    """However much the answer shows of the column: it shows as much of people whom the model never saw."""
    found = lk.attribute_inference(model(weight=weight), data, "secret")
    for guess in found.asking:
        _, low, high = found.leak(guess)
        assert low <= 0 <= high and found.remembered(guess)[1] <= 0
    assert lk.check(found)[0].status in ("meets", "inconclusive")


def test_guesses_by_hand(data: lk.data.Dataset) -> None:
    found = lk.attribute_inference(model(weight=1.0), data, "secret", rows=100)
    split = {True: data.train, False: data.test}
    known = of_known_people(data, found)
    share = [np.mean(known == v) for v in (1, 2)]
    for row in range(0, 100, 7):
        part = split[bool(found.member[row])]
        x, y = part.x[found.position[row]].astype(float), part.y[found.position[row]]
        worth = []
        for v, s in zip((1, 2), share):
            z = 0.4 * (x[2] - 4) + 1.0 * (v - 1.5)
            worth.append(s / (1 + np.exp(-2 * z if y else 2 * z)))
        assert found.hit[2, row] == (1 + int(np.argmax(worth)) == x[1])
        assert found.hit[0, row] == (1 + int(np.argmax(share)) == x[1])


def of_known_people(data: lk.data.Dataset, found) -> np.ndarray:
    """The column of the people from whom the outsider knows how columns go together, drawn again."""
    own = np.concatenate(rows.hashes(data))
    drawn = rows.draw("x", own, (len(data.train), len(data.test)), 100, 0, aside=0.5, most=5000)
    assert not set(drawn.population) & set(found.position[~found.member])
    return data.test.x[drawn.population, 1]


def test_the_interval_of_a_leak_covers(data: lk.data.Dataset) -> None:
    found = lk.attribute_inference(model(), data, "secret", rows=400)
    g, covered = np.random.default_rng(0), 0
    member = found.member
    for _ in range(600):
        # guess 1 is right of 60 %, guess 3 of 60 % and 15 % of the rest where the model has seen them, 5 % elsewhere
        base = g.random(len(member)) < 0.6
        more = base | (g.random(len(member)) < np.where(member, 0.15, 0.05))
        drawn = replace(found, hit=np.stack([base, base, base, more]))
        _, low, high = drawn.leak(3)
        covered += low <= 0.4 * 0.10 <= high
    assert 0.93 <= covered / 600 <= 0.985
    n = member.sum()
    better = drawn.hit[3, member].astype(float) - drawn.hit[1, member]
    assert drawn.above(3) == (better.mean(), *map(float, paired_mean(better))) and len(better) == n


def test_false_alarms_among_rules_that_remember_nothing(data: lk.data.Dataset) -> None:
    found = lk.attribute_inference(model(), data, "secret", rows=400)
    g, alarms = np.random.default_rng(1), 0
    for _ in range(200):
        base = g.random(len(found.member)) < 0.6
        other = np.where(g.random(len(base)) < 0.3, g.random(len(base)) < 0.6, base)
        hit = np.stack([base, base, g.random(len(base)) < 0.6, other])
        alarms += lk.check(replace(found, hit=hit), only=["guessed_attributes"])[0].status == "does_not_meet"
    assert alarms <= 2


def test_a_number_is_guessed_to_a_band(data: lk.data.Dataset) -> None:
    found = lk.attribute_inference(model(), data, "age", bands=3, rows=300)
    assert len(found.values) == 3 and found.values[0].startswith("at most") and found.values[2].startswith("above")
    assert abs(found.hit[0].mean() - 1 / 3) < 0.1
    module = import_module("labkit.analyses.attribute_inference")
    tried, _, code = module._values(data.test, 3, 3)
    assert np.array_equal(code(tried), [0, 1, 2]) and set(code(data.test.x[:, 3])) == {0, 1, 2}


@pytest.mark.parametrize(("most", "named"), [(0, ("at most 0", "above 0")), (9, ("at most 8", "above 8"))])
def test_a_number_that_most_people_share(data: lk.data.Dataset, most: int, named: tuple[str, ...]) -> None:
    column = np.where(np.arange(1400) % 5, most, np.arange(1400) // 5 % 10)
    x = np.where(np.arange(4) == 3, column[:, None], data.test.x).astype(np.float32)
    tried, found, code = import_module("labkit.analyses.attribute_inference")._values(replace(data.test, x=x), 3, 4)
    assert found == named and np.array_equal(code(tried), [0, 1])
    assert np.array_equal(code(column), column > (0 if most == 0 else 8))


def test_views(data: lk.data.Dataset) -> None:
    found = lk.attribute_inference(model(data.train), data, 1, rows=300)
    assert "trained on" in svg(lk.figure(found), name="a") and len(lk.rows(found)) == 4
    assert "secret" in lk.says(found) and "remembers" in lk.says(found)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda d: {"feature": "secrets"}, "'secret'"),
        (lambda d: {"data": d.train}, ".train and .test"),
        (lambda d: {"data": replace(d, test=d.train)}, "the same 700 rows"),
        (lambda d: {"data": lk.data.Dataset("d", d.train[:20], d.test)}, "at least 30"),
        (lambda d: {"data": constant(d)}, "one value of secret"),
        (lambda d: {"data": lk.data.load("digits")}, "membership_inference"),
        (lambda d: {"bands": 1}, "from 2"),
    ],
)
def test_bad_input_is_named(data: lk.data.Dataset, change, said: str) -> None:
    with pytest.raises(lk.Refused) as refused:
        lk.attribute_inference(**{"model": model(), "data": data, "feature": "secret", **change(data)})
    assert said in str(refused.value)


def constant(data: lk.data.Dataset) -> lk.data.Dataset:
    parts = [replace(s, x=np.where(np.arange(4) == 1, np.float32(1), s.x)) for s in data]
    return lk.data.Dataset("constant", *parts)


def test_a_column_keeps_its_own_spelling_in_what_is_found(data: lk.data.Dataset) -> None:
    found = replace(lk.attribute_inference(model(), data, "secret", rows=100), feature="ZIP code")
    assert "ZIP code" in lk.check(found, only=["guessed_attributes"])[0].says
