"""Decision reasons: known contributions, bases that may not be named, sufficiency and stability that can fail."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations
from math import comb

import numpy as np
import pytest
import torch
from torch import nn

import labkit as lk
from labkit.analyses._explain.reference import contributions, overlap
from labkit.core.intervals import clopper_pearson
from labkit.core.words import counted

GENERATOR = np.random.default_rng(0)
X = GENERATOR.normal(size=(400, 5)).astype(np.float32)
NAMES = ("income", "debt", "sex", "tenure", "noise")


class Scores(nn.Module):
    """Logits (0, f(x)): above 0 the credit is denied."""

    def __init__(self, f) -> None:
        super().__init__()
        self.f = f

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        value = self.f(x)
        return torch.stack([torch.zeros_like(value), value], 1)


def split(x: np.ndarray = X, sex: np.ndarray | None = None) -> lk.data.Split:
    features = tuple(
        lk.data.Feature(n, "categorical", categories=("m", "f")) if n == "sex" and sex is not None
        else lk.data.Feature(n, "numeric")
        for n in NAMES
    )  # fmt: skip
    x = x.copy()
    groups = {}
    if sex is not None:
        x[:, 2] = sex
        groups = {"sex": np.where(sex == 1, "f", "m")}
    schema = lk.data.Schema("tabular", "credit", (5,), features=features, groups=tuple(groups))
    return lk.data.Split(x, np.zeros(len(x), np.int64), schema, ("granted", "denied"), "credit", groups)


def asked(f, data=None, **options):
    data = split() if data is None else data
    model = lk.wrap(Scores(f), classes=["granted", "denied"], name="credit")
    return lk.reasons(model, data[:60], "denied", data, **options)


def linear(x: torch.Tensor) -> torch.Tensor:
    return -2 * x[:, 0] + x[:, 1] + 0.5 * x[:, 2]


def test_contributions_of_a_linear_score_are_its_terms_against_the_population():
    record = asked(linear, population="all", pairs=128)
    truth = (X[record.row] - X.mean(0)) * np.array([-2, 1, 0.5, 0, 0])
    off = np.abs(record.contribution - truth) / np.maximum(record.standard_error, 1e-6)
    assert off[:, :3].max() < 5 and np.mean(off[:, :3] < 2) > 0.85
    assert not record.contribution[:, 3:].any()
    assert len(record) == (linear(torch.tensor(X[:60])) > 0).sum() and record.of == 60


def test_contributions_are_shapley_values_of_the_mean_over_the_population():
    def f(x: np.ndarray) -> np.ndarray:
        return x[:, 0] * x[:, 1] + np.maximum(x[:, 2] - x[:, 3], 0)

    people, row = X[:3, :4].astype(float), X[10:11, :4].astype(float)

    def worth(players: tuple[int, ...]) -> float:
        mixed = people.copy()
        mixed[:, list(players)] = row[0, list(players)]
        return float(f(mixed).mean())

    truth = [
        sum(
            (worth((*s, i)) - worth(s)) / (4 * comb(3, k))
            for k in range(4)
            for s in combinations([j for j in range(4) if j != i], k)
        )
        for i in range(4)
    ]
    drawn = contributions(f, row, people, 4000, np.random.default_rng(1))[:, 0]
    error = drawn.std(0) / np.sqrt(len(drawn))
    assert (np.abs(drawn.mean(0) - truth) < 4 * error).all() and error.max() < 0.02
    np.testing.assert_allclose(drawn.sum(1).mean(), f(row)[0] - f(people).mean(), atol=0.05)


def test_a_prohibited_basis_is_never_a_reason_and_its_part_is_not_hidden():
    sex = (np.arange(400) % 2).astype(np.float32)
    data = split(sex=sex)
    biased = asked(lambda x: 3 * x[:, 2] - 2 + 0.3 * x[:, 1], data)
    assert biased.prohibited == ("sex",)
    assert not (biased.given == 2).any() and biased.hidden.all()
    assert "prohibited basis (sex)" in lk.says(biased)
    fair = asked(lambda x: x[:, 1] - 1 + 0 * x[:, 2], data)
    assert not fair.hidden.any() and "prohibited" not in lk.says(fair)
    free = asked(lambda x: 3 * x[:, 2] - 2 + 0.3 * x[:, 1], data, prohibited=())
    assert (free.given[:, 0] == 2).all()


def test_where_only_a_prohibited_basis_decides_there_is_no_reason():
    sex = (np.arange(400) % 2).astype(np.float32)
    record = asked(lambda x: 3 * x[:, 2] - 2, split(sex=sex))
    assert (record.given == -1).all() and np.isnan(record.sufficiency).all()
    assert f"for {len(record)} no column is surely a reason" in lk.says(record)


def test_a_reason_that_stands_for_a_prohibited_basis_is_named():
    sex = (np.arange(400) % 2).astype(np.float32)
    x = X.copy()
    x[:, 3] = sex + 0.05 * X[:, 3]
    record = asked(lambda x: 3 * x[:, 3] - 2 + 0 * x[:, 0], split(x, sex))
    assert record.proxy == ("tenure",) and record.basis == ("sex",) and record.association[0] > 0.8
    assert asked(linear, split(X, sex)).proxy == ()


def test_sufficiency_and_its_control():
    record = asked(lambda x: 4 * x[:, 1] - 2 + 0.01 * x[:, 4], most=1)
    assert (record.given[:, 0] == 1).all()
    assert (record.sufficiency > 0.95).all(), "the one reason turns every answer"
    assert (record.random < 0.2).all(), "another column does not"


def test_reasons_of_noise_are_not_stable_and_those_of_a_clear_score_are():
    clear = asked(linear, most=2)
    assert clear.stability.mean() > 0.85
    wild = asked(lambda x: torch.sin(25 * x[:, [0, 1, 3, 4]]).prod(1) * 9 + 0.1, most=2, pairs=8)
    assert wild.stability.mean() < 0.7


def test_at_most_so_many_and_in_the_readers_words():
    record = asked(lambda x: -(x.sum(1)), most=3)
    assert record.given.shape[1] == 3 and all(len(w) == 3 for w in record.words)
    first = record.words[0][0]
    assert "lower than for" in first and first.split()[0] in NAMES
    table = lk.rows(record)
    assert table.groupby("row").size().max() <= 3 and (table.contribution > 0).all()


def test_the_answer_depends_neither_on_batches_nor_on_company():
    data = split()
    model = lk.wrap(Scores(linear), classes=["granted", "denied"])
    one = lk.reasons(model, data[:30], "denied", data, seed=3)
    two = lk.reasons(model, data[:30], "denied", data, seed=3, batch_size=17)
    np.testing.assert_allclose(one.contribution, two.contribution, atol=1e-5)
    alone = lk.reasons(model, data[[int(one.row[0])]], "denied", data, seed=3)
    np.testing.assert_allclose(alone.contribution[0], one.contribution[0], atol=1e-5)


def test_overlap():
    a, b = np.array([[1, 2, -1], [-1, -1, -1], [0, 1, 2]]), np.array([[2, 3, -1], [-1, -1, -1], [2, 1, 0]])
    np.testing.assert_allclose(overlap(a, b), [1 / 3, 1, 1])


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"population": "some"}, "just passed"),
        ({"most": 0}, "at least 1"),
        ({"pairs": 1}, "at least 4"),
        ({"prohibited": ["height"]}, "income"),
    ],
)
def test_what_cannot_be_asked_is_refused(options, says):
    with pytest.raises(lk.Refused, match=says):
        asked(linear, **options)


def test_nobody_to_compare_with_and_nobody_to_explain(tmp_path):
    with pytest.raises(lk.Refused, match="population='all'"):
        asked(lambda x: 0 * x[:, 0] + 2)
    everybody = asked(lambda x: 0.1 * x[:, 0] + 9, population="all")
    assert np.isnan(everybody.elsewhere).all() and "has no one to compare with" in lk.says(everybody)
    record = asked(lambda x: 0 * x[:, 0] - 1)
    assert record.status == "not_measured" and "none of 60 rows" in lk.says(record)
    lk.save(asked(linear), tmp_path / "r.lk")
    again = lk.load(tmp_path / "r.lk")
    assert "credit" in lk.says(again) and lk.figure(again).data
    with pytest.raises(lk.Refused, match="denied, granted"):
        lk.reasons(lk.wrap(Scores(linear), classes=["granted", "denied"]), split(), "refused", split())


def held(record, **thresholds: float) -> dict:
    found = lk.check(record, only=["reasons_hold"], thresholds={"reasons_hold": thresholds})
    return {finding.subject: finding for finding in found}


def test_reasons_that_hold_and_a_model_that_looks_at_no_prohibited_basis():
    sex = (np.arange(400) % 2).astype(np.float32)
    found = held(asked(lambda x: 2 * x[:, 1] - x[:, 0] + 0 * x[:, 2], split(sex=sex), most=2))
    assert {f.status for f in found.values()} == {"meets"}, found
    assert "moves no score" in found["prohibited basis"].says and "0 of" in found["prohibited basis"].says
    assert found["prohibited basis"].high > 0.05, "of other people as many may have one"


@pytest.mark.parametrize("seed", range(6))
def test_a_column_that_a_net_does_not_read_adds_nothing_whatever_the_rounding(seed):
    """Rounding depends on a row's place in a batch: it would add something, always the same, and so seem sure."""
    torch.manual_seed(seed)
    net = nn.Sequential(nn.Linear(4, 64), nn.Tanh(), nn.Linear(64, 1))
    record = asked(
        lambda x: 9 * net(x[:, [0, 1, 3, 4]])[:, 0], split(sex=(np.arange(400) % 2).astype(np.float32)), pairs=16
    )
    assert not record.contribution[:, 2].any() and held(record)["prohibited basis"].status == "meets"


def test_a_prohibited_basis_left_out_is_accused_by_default_and_allowed_for_by_a_threshold():
    sex = (np.arange(400) % 2).astype(np.float32)
    biased = asked(lambda x: 3 * x[:, 2] - 2 + 0.3 * x[:, 1], split(sex=sex))
    finding = held(biased)["prohibited basis"]
    n = int(biased.hidden.sum())
    assert (
        finding.status == "does_not_meet" and finding.estimate == n / len(biased) and f"of {n} surely" in finding.says
    )
    np.testing.assert_allclose([finding.low, finding.high], clopper_pearson(n, len(biased)))
    few = replace(biased, hidden=np.arange(len(biased)) < 1)
    assert held(few)["prohibited basis"].status == "does_not_meet"
    assert held(few, prohibited=0.3)["prohibited basis"].status == "meets"
    assert held(few, prohibited=few.hidden.mean())["prohibited basis"].status == "inconclusive"


def test_a_prohibited_basis_that_is_large_by_chance_alone_accuses_nobody():
    """One that adds nothing on average is above 0 by two standard errors for somebody, now and then."""
    sex = (np.arange(400) % 2).astype(np.float32)
    record = asked(lambda x: x[:, 1] - 1 + 0.01 * x[:, 2], split(sex=sex))
    chance = replace(
        record,
        contribution=np.where(np.arange(5) == 2, 2.2, record.contribution),
        standard_error=np.where(np.arange(5) == 2, 1.0, record.standard_error),
        hidden=np.arange(len(record)) < 2,
    )
    finding = held(chance)["prohibited basis"]
    assert finding.status == "inconclusive" and "of 0 surely" in finding.says
    assert held(asked(linear))["prohibited basis"].status == "not_applicable"


def test_lists_that_matter_less_than_other_columns_or_do_not_come_out_again_are_accused():
    record = asked(linear, most=2)
    assert held(record)["sufficiency"].status == "meets" and held(record)["stability"].status == "meets"
    swapped = replace(record, sufficiency=record.random, random=record.sufficiency)
    assert held(swapped)["sufficiency"].status == "does_not_meet" and "behind" in held(swapped)["sufficiency"].says
    same = replace(record, random=record.sufficiency)
    assert held(same)["sufficiency"].status == "inconclusive"
    wild = asked(lambda x: torch.sin(25 * x[:, [0, 1, 3, 4]]).prod(1) * 9 + 0.1, most=1, pairs=8)
    finding = held(wild, overlap=0.9)["stability"]
    assert finding.status == "does_not_meet" and "more pairs" in finding.says
    people = {k: v[:1] for k, v in vars(record).items() if isinstance(v, np.ndarray) and len(v) == len(record)}
    one = replace(record, **people, words=record.words[:1])
    assert {held(one)[s].status for s in ("sufficiency", "stability")} == {"not_measured"}


def test_counts_are_counts():
    assert (
        counted(18, 20, 0.7, 0.97, "rows") == "18 of 20 rows (share 0.70 to 0.97)" and counted(3, 1200) == "3 of 1,200"
    )
    record = asked(linear)
    assert f"of {len(record)} people (share " in lk.says(record)
