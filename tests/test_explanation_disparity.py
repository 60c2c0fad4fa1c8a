"""Explanations by group: models that read other columns, or explain worse, in one group, and their sound twins."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
import torch
from scipy.stats import ttest_1samp
from torch import Tensor, nn

import labkit as lk
from labkit.analyses._explain.reliance import counts_alike, entries_used, shares
from labkit.analyses._groups.between import permuted_means
from labkit.data.schema import Feature, Schema

NAMES = ("first", "second", "third", "is b")


class Read(nn.Module):
    """``score`` of the columns, as the second of two logits."""

    def __init__(self, score) -> None:
        super().__init__()
        self.score = score

    def forward(self, x: Tensor) -> Tensor:
        value = self.score(x)
        return torch.stack([torch.zeros_like(value), value], 1)


def model(score):
    return lk.wrap(Read(score), classes=["no", "yes"])


def people(n: int = 240, seed: int = 0, move: float = 0.0) -> lk.data.Split:
    """Columns alike in both groups, but that ``move`` is added to the first in b; the last column is the group."""
    generator = np.random.default_rng(seed)
    x = generator.normal(size=(n, 4)).astype(np.float32)
    x[:, 3] = generator.choice([-1, 1], n)  # neither is the baseline, which would leave a map less to be right about
    x[:, 0] += move * (x[:, 3] > 0)
    features = tuple(Feature(name, "numeric") for name in NAMES)
    schema = Schema(modality="tabular", target="y", shape=(4,), features=features, groups=("group",))
    group = np.where(x[:, 3] > 0, "b", "a")
    return lk.data.Split(x, (x[:, 0] > 0).astype(np.int64), schema, ("no", "yes"), "people", {"group": group})


def disparity(score, data=None, **options):
    given = {"evidence": ("infidelity",), "replicates": 300, "target": 1} | options
    return lk.explanation_disparity(model(score), data or people(), "group", **given)


def other_columns(x: Tensor) -> Tensor:
    b = (1 + x[:, 3]) / 2
    return 2 * (1 - b) * x[:, 0] + 2 * b * x[:, 1] + 0.3 * x[:, 2]


def sound(x: Tensor) -> Tensor:
    return x[:, 0] + x[:, 1] + 0.3 * x[:, 2]


def status(found, subject: str) -> str:
    return next(f.status for f in lk.check(found, only=["equal_explanations"]) if f.subject == subject)


def test_a_model_that_reads_other_columns_in_one_group_is_told() -> None:
    found = disparity(other_columns)
    assert found.difference_low[-1, 0] > 0.1 and found.p_holm[-1, 0] < 0.05
    assert set(found.otherwise(0)) == {"first", "second"} and np.isnan(found.like_p[0, 3])
    assert (found.column_p[0, :2] < 0.05).all() and found.column_p[0, 2] > 0.05
    assert found.share[0, 0] > 1.5 * found.share[1, 0] and found.share[1, 1] > 1.5 * found.share[0, 1]
    assert status(found, "reliance by group") == "does_not_meet"
    assert "first" in lk.says(found) and "count otherwise" in lk.says(found)


def test_its_sound_twin_is_not() -> None:
    found = disparity(sound)
    assert status(found, "reliance by group") in ("meets", "inconclusive") and found.otherwise(0) == ()
    assert (found.p_holm[~np.isnan(found.p_holm)] > 0.05).all() and "no further apart" in lk.says(found)


def test_groups_with_other_values_lean_otherwise_and_are_not_treated_otherwise() -> None:
    found = disparity(sound, people(400, 1, move=2.5))
    assert found.p_holm[-1, 0] < 0.05 and found.difference_low[-1, 0] > 0.1
    assert found.otherwise(0) == () and found.told[0, 0] > 0.6
    assert status(found, "reliance by group") == "inconclusive"
    assert "in their values alone" in str(lk.check(found, only=["equal_explanations"]))


def test_sound_models_are_seldom_told() -> None:
    told = 0
    for seed in range(40):
        data = people(120, seed, move=1.0)
        code, size = (data.groups["group"] == "b").astype(int), np.abs(data.x[:, 0] - 0.3)
        p = counts_alike(size, data.x[:, :1], code, 200, np.random.default_rng(seed))
        told += p < 0.05
    assert told <= 6


def test_like_values_are_compared_with_like_and_a_small_difference_among_them_is_seen() -> None:
    generator = np.random.default_rng(0)
    code = generator.integers(0, 2, 600)
    number, kind = generator.normal(size=600) + code, generator.integers(0, 3, 600) + code
    for values, slope in ((number, 5.0), (kind, 2.0)):
        size = 10 + slope * values + 0.1 * generator.normal(size=600)
        p = counts_alike(size, values[:, None], code, 300, generator)
        assert p > 0.05, "the values differ, and what is made of a value does not"
        p = counts_alike(size + 0.05 * code, values[:, None], code, 300, generator)
        assert p < 0.05, "beside the slope the difference is small, among like values it is not"
    assert np.isnan(counts_alike(size, code[:, None], code, 100, generator))


def test_p_among_like_values_counts_the_ways_to_deal_people_within_them() -> None:
    values, code = np.repeat([0, 1], [4, 6])[:, None], np.array([0, 1, 1, 1, 0, 0, 0, 0, 1, 1])
    size = np.array([9.0, 1, 2, 1, 5, 6, 5, 5.5, 6, 7])
    left = size - np.repeat([size[:4].mean(), size[4:].mean()], [4, 6])

    def apart(of_b: tuple[int, ...]) -> float:
        b = np.isin(np.arange(10), of_b)
        return abs(left[b].mean() - left[~b].mean())

    ways = [apart((*x, *y)) for x in combinations(range(4), 3) for y in combinations(range(4, 10), 2)]
    exact = np.mean([w >= apart((1, 2, 3, 8, 9)) - 1e-9 for w in ways])
    found = counts_alike(size, values, code, 4000, np.random.default_rng(0))
    assert found == pytest.approx(exact, abs=0.03)


def test_a_group_whose_maps_are_worse_is_told_and_numbers_are_those_of_the_explanation() -> None:
    def ripple(x: Tensor) -> Tensor:
        return sound(x) + (1 + x[:, 3]) * 0.2 * torch.sin(25 * x[:, 2])

    data = people()
    found = disparity(ripple, data, method="input_x_gradient", evidence=("infidelity", "completeness_gap"))
    assert found.p_holm[0, 0] < 0.05 and found.group[found.lowest[0, 0]] == "b"
    assert found.value[0, 1] < found.value[0, 0] and status(found, "infidelity by group") == "inconclusive"
    own = lk.explain(model(ripple), data, "input_x_gradient", target=1, evidence=("infidelity",))
    score = own.scores["infidelity"]
    ahead = score.controls["random"].values - score.values
    b = data.groups["group"] == "b"
    ends = ttest_1samp(ahead[b], 0).confidence_interval(0.95)
    assert found.value[0, 1] == pytest.approx(ahead[b].mean())
    assert (found.low[0, 1], found.high[0, 1]) == pytest.approx((ends.low, ends.high))
    assert any("completeness_gap" in reason for reason in found.left_out)


def test_shares_and_spread_are_known_by_hand() -> None:
    maps = np.array([[1.0, -1, 2, 0], [0, 0, 0, 0], [3, 3, 3, 3]])
    assert shares(maps, [[0], [1], [2], [3]])[0] == pytest.approx([0.25, 0.25, 0.5, 0])
    assert shares(maps, [[0, 1], [2], [3]])[0] == pytest.approx([0, 1, 0])
    assert np.isnan(shares(maps, [[0], [1]])[1]).all()
    used = entries_used(maps)
    assert used[2] == pytest.approx(4) and used[0] == pytest.approx(2 * np.sqrt(2)) and np.isnan(used[1])


def test_permuted_means_are_those_of_people_dealt_at_random() -> None:
    generator = np.random.default_rng(0)
    values, code = generator.normal(size=(30, 2)), np.repeat([0, 1, 2], [5, 10, 15])
    drawn = permuted_means(values, code, 4000, generator)
    assert drawn.shape == (4000, 3, 2)
    assert drawn.mean(0) == pytest.approx(np.tile(values.mean(0), (3, 1)), abs=0.05)
    n, m = 30, 5
    variance = values.var(0, ddof=1) * (1 / m - 1 / n)
    assert drawn[:, 0].var(0) == pytest.approx(variance, rel=0.12)
    assert (drawn * np.array([5, 10, 15])[:, None]).sum(1) == pytest.approx(np.tile(values.sum(0), (4000, 1)))


def test_small_groups_are_shown_and_the_record_is_saved_and_drawn(tmp_path) -> None:
    from dataclasses import replace

    from labkit.views._static import svg

    data = people(90)
    group = data.groups["group"].astype("U8")
    group[:4], group[4:6] = "rare", ""
    data = replace(data, groups={"group": group})
    together = {"features": {"two": ["first", "second"]}, "replicates": 100}
    found = disparity(sound, data, **together)
    at = list(found.group).index("rare")
    assert found.n[at] == 4 and not found.ranked[at] and found.unknown[0] == 2 and at not in found.highest
    assert found.columns == ("two", "third", "is b") and not np.isnan(found.share[at]).any()
    assert lk.load(lk.save(found, tmp_path / "e.lk")).digest == found.digest
    assert disparity(sound, data, **together).digest == found.digest
    assert svg(lk.figure(found), name="f") and len(lk.rows(found)) == 3 * (2 + 3)
    few = disparity(sound, data[:20], replicates=100)
    assert {f.status for f in lk.check(few, only=["equal_explanations"])} == {"not_measured"}
    assert "could be compared" in lk.says(few) and svg(lk.figure(few), name="f")


def test_without_columns_only_quality_is_compared_and_bad_input_is_refused(digits, mlp) -> None:
    from dataclasses import replace

    part = replace(digits.test[:80], groups={"half": np.tile(["a", "b"], 40)})
    found = lk.explanation_disparity(mlp, part, "half", "saliency", evidence=("deletion",), replicates=100)
    assert found.measures == ("deletion", "entries used") and found.columns == () and "further apart" in lk.says(found)
    with pytest.raises(lk.Refused, match="columns have names"):
        lk.explanation_disparity(mlp, part, "half", features={"x": [0]})
    with pytest.raises(lk.Refused, match="Split with groups"):
        lk.explanation_disparity(mlp, part.x, "half")
    with pytest.raises(lk.Refused, match="half"):
        lk.explanation_disparity(mlp, part, "shoe size", "saliency", evidence=("deletion",))
