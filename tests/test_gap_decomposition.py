"""A gap shared out over columns: closed forms, enumeration, chance, and models whose reasons are known."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
import torch
from torch import nn

import labkit as lk
from labkit.analyses.gap_decomposition import paired
from labkit.data import Feature, Schema, Split
from labkit.views._static import svg

CLASSES = ("no", "yes")


def table(x: np.ndarray, group: np.ndarray, names: str = "abcdefgh", **groups: np.ndarray) -> Split:
    schema = Schema(
        "tabular",
        "y",
        (x.shape[1],),
        features=tuple(Feature(names[i], "numeric") for i in range(x.shape[1])),
        groups=("g",),
    )
    y = np.arange(len(x)) % 2
    return Split(x.astype(np.float32), y, schema, CLASSES, "made", {"g": group, **groups})


def linear(weights: list[float]) -> lk.models.Classifier:
    layer = nn.Linear(len(weights), 2)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([[0.0] * len(weights), weights]))
        layer.bias.copy_(torch.tensor([0.0, -0.3]))
    return lk.wrap(layer, classes=CLASSES, name="linear")


def people(n: int = 600, shift=(1.0, 0.0, -0.5), seed: int = 0, share: float = 0.7) -> Split:
    generator = np.random.default_rng(seed)
    group = np.where(generator.random(n) < share, "men", "women")
    return table(generator.normal(size=(n, 3)) + (group == "men")[:, None] * np.array(shift), group)


class Together(nn.Module):
    """Columns that count only together, and one that is not read."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        z = x[:, 0] * x[:, 1] + (x[:, 2] > 0) * x[:, 0]
        return torch.stack([torch.zeros_like(z), z], 1)


def gap(model, data, **options):
    return lk.gap_decomposition(model, data, "g", positive="yes", between=("men", "women"), **options)


def test_of_a_linear_model_each_share_is_what_its_term_differs_by() -> None:
    """Oaxaca and Blinder: weight times the difference of the means; the parts add up to the gap in log-odds."""
    data, weights = people(), [0.8, 1.5, -2.0]
    record = gap(linear(weights), data, of="log_odds")
    men = data.groups["g"] == "men"
    closed = np.array(weights) * (data.x[men].mean(0) - data.x[~men].mean(0))
    assert np.allclose(record.contribution, closed, atol=1e-4)
    assert abs(record.left) < 1e-4 and record.gap == pytest.approx(closed.sum(), abs=1e-4)
    # the standard error of a difference of means, from the columns themselves
    error = np.abs(weights) * np.sqrt(data.x[men].var(0) / men.sum() + data.x[~men].var(0) / (~men).sum())
    assert np.allclose((record.high - record.low) / 2, 1.96 * error, rtol=0.25)


@pytest.mark.parametrize("of", ["score", "selection_rate"])
def test_the_shares_are_shapley_values_over_all_pairs_and_orders(of: str) -> None:
    data = people(90, seed=1)
    model = lk.wrap(Together(), classes=CLASSES)
    means = []
    for seed in range(20):
        record = gap(model, data, of=of, seed=seed, replicates=100)
        assert abs(record.left) < 1e-6
        means.append(record.contribution)
    men, women = (data.x[data.groups["g"] == g] for g in ("men", "women"))

    def worth(taken: set[int]) -> float:
        x = np.repeat(women[None], len(men), 0).copy()
        for c in taken:
            x[:, :, c] = men[:, None, c]
        z = Together()(torch.tensor(x.reshape(-1, 3)))
        p = torch.softmax(z, 1)[:, 1] if of == "score" else (z[:, 1] > z[:, 0]).float()
        return float(p.double().mean())

    truth = np.zeros(3)
    for order in permutations(range(3)):
        for k, c in enumerate(order):
            truth[c] += (worth(set(order[: k + 1])) - worth(set(order[:k]))) / 6
    error = np.std(means, 0, ddof=1) / np.sqrt(len(means))
    assert (np.abs(np.mean(means, 0) - truth) < 4 * error + 1e-6).all()


@pytest.mark.parametrize(("m", "n"), [(5, 3), (4, 4), (1, 6), (12, 8)])
def test_everybody_stands_in_the_line_as_long_as_everybody_else(m: int, n: int) -> None:
    one, other, weight = paired(np.arange(m), np.arange(n) + 100)
    assert np.allclose(np.bincount(one, weight, m), 1 / m)
    assert np.allclose(np.bincount(other - 100, weight, n), 1 / n)


def test_random_groups_seldom_have_a_share_beyond_chance_and_intervals_hold() -> None:
    model, truth, inside, named, runs = lk.wrap(Together(), classes=CLASSES), [], [], 0, 40
    for seed in range(runs):
        record = gap(model, people(160, shift=(0, 0, 0), seed=seed), replicates=400, seed=seed)
        named += bool(record.sure.any())
        inside.append((record.low <= 0) & (record.high >= 0))
        truth.append(record.gap_p)
    assert named <= 6  # 5 % of 40 is 2; more than 6 has a chance of 0.3 %
    assert 0.87 < np.mean(inside) <= 1
    assert np.mean(np.array(truth) < 0.5) == pytest.approx(0.5, abs=0.25)


def test_a_column_that_is_not_read_has_no_share_and_what_it_is_merged_with_has_all() -> None:
    data = people(300)
    record = gap(linear([1.0, 0.0, 1.0]), data, features={"both": ["a", "b"]})
    alone = gap(linear([1.0, 0.0, 1.0]), data)
    assert record.features == ("both", "c") and record.columns.tolist() == [2, 1]
    assert alone.contribution[1] == alone.low[1] == alone.high[1] == 0 and alone.p[1] == 1
    assert record.contribution[0] == pytest.approx(alone.contribution[0], abs=0.01)
    whole = gap(linear([1.0, 0.0, 1.0]), data, features={"all": ["a", "b", "c"]})
    assert whole.contribution[0] == pytest.approx(whole.gap)


def test_the_attributes_own_column_is_told_from_what_stands_in_for_it() -> None:
    generator = np.random.default_rng(3)
    group = np.where(generator.random(800) < 0.5, "men", "women")
    man = (group == "men").astype(float)
    x = np.column_stack([man, man + generator.normal(size=800), generator.normal(size=800)])
    data = table(x, group, names="gbc")
    reads, fair = gap(linear([1.0, 0.5, 1.0]), data), gap(linear([0.0, 0.0, 1.0]), data)
    assert reads.own.tolist() == [1, 0, 0]
    assert {reads.features[f] for f in np.flatnonzero(reads.sure)} == {"g", "b"}
    (found,) = lk.check(reads, only=["gap_sources"])
    assert found.status == "does_not_meet" and "also b" in found.says
    (found,) = lk.check(fair, only=["gap_sources"])
    assert found.status == "meets"
    assert all(f.status == "meets" for f in lk.check(reads, fair, only=["gap_adds_up"]))
    proxy = table(x[:, 1:], group, names="bc")
    (found,) = lk.check(gap(linear([0.5, 1.0]), proxy), only=["gap_sources"])
    assert found.status == "info" and "beyond chance b" in found.says


def test_who_is_compared_is_chosen_by_size_and_strangers_are_counted() -> None:
    generator = np.random.default_rng(0)
    group = np.repeat(["few", "most", "more", ""], [20, 120, 80, 5])
    data = table(generator.normal(size=(225, 2)), group)
    record = lk.gap_decomposition(linear([1.0, 1.0]), data, "g", positive="yes", replicates=100)
    assert record.groups == ("most", "more") and record.n.tolist() == [120, 80]
    assert any("5 people have no known g" in w for w in record.warnings)
    assert any("20 people of other groups" in w for w in record.warnings)
    small = lk.gap_decomposition(linear([1.0, 1.0]), data, "g", positive="yes", between=("most", "few"), replicates=100)
    assert any("few has 20 people" in w for w in small.warnings)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"between": ("men", "boys")}, "women"),
        ({"between": ("men", "men")}, "two groups"),
        ({"between": ("men",)}, "two groups"),
        ({"of": "rate"}, "selection_rate"),
        ({"replicates": 3}, "95 %"),
        ({"positive": None}, "positive="),
        ({"features": {"x": ["zz"]}}, "one of"),
    ],
)
def test_what_cannot_be_asked_is_refused(options: dict, said: str) -> None:
    with pytest.raises(lk.Refused, match=said):
        lk.gap_decomposition(linear([1.0, 1.0, 1.0]), people(60), "g", **{"positive": "yes", **options})


def test_the_same_again_and_its_view(tmp_path) -> None:
    data = people(200)
    record, again = (gap(linear([1.0, -1.0, 1.0]), data, seed=7) for _ in range(2))
    assert record.digest == again.digest
    lk.save(record, tmp_path / "gap.lk")
    assert lk.load(tmp_path / "gap.lk").digest == record.digest
    said, frame = lk.says(record), lk.rows(record)
    assert "higher for men" in said and "narrow" not in said.split(";")[0]
    assert frame["share of the gap"].sum() == pytest.approx(record.gap, abs=1e-6)
    assert "the gap" in svg(lk.figure(record), name="gap")
    none = gap(linear([0.0, 0.0, 0.0]), data)
    assert "no column makes more" in lk.says(none)
