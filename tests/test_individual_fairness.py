"""Individual fairness: consistency by a slow loop, entropy indices by their formula, and both where truth is known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import labkit as lk
from labkit.core import inequality
from labkit.core.record import Provenance
from labkit.data.schema import Feature, Schema
from labkit.data.split import Split

AIF360 = {
    "index": [0.26694411414982183, 0.36852432849772393],
    "between": [2.654153218854353e-06, 2.654427998219652e-06],
}


def people(seed: int, n: int = 300, told: float = 0.0):
    """A table with a sensitive column and one that determines it; answers follow the first number but for a share, and
    with ``told`` are given to group a by that chance whatever else is true."""
    generator = np.random.default_rng(seed)
    code = generator.integers(0, 2, n)
    x = np.column_stack(
        [generator.normal(size=n), generator.integers(0, 3, n), code, code * 5 + generator.integers(0, 5, n)]
    )
    features = (
        Feature("pay", "numeric"),
        Feature("town", "categorical", categories=("p", "q", "r")),
        Feature("sex", "categorical", categories=("a", "b")),
        Feature("status", "numeric"),
    )
    y = (x[:, 0] > 0).astype(int)
    label = np.where(generator.random(n) < 0.15, 1 - y, y)
    label = np.where((code == 0) & (generator.random(n) < told), 1, label)
    groups = {"sex": np.array(["a", "b"])[code]}
    schema = Schema("tabular", "y", (4,), features=features, groups=("sex",))
    split = Split(x.astype(np.float32), y, schema, ("0", "1"), "data", groups)
    p = lk.Predictions(
        provenance=Provenance(analysis="predict", version=""), y=y, label=label, classes=("0", "1"), groups=groups
    )
    return p, split


def slow_consistency(split: Split, label: np.ndarray, k: int, with_self: bool) -> float:
    """Every person against every other, on the first two columns as they are compared: standardised, one-hot."""
    pay = (split.x[:, 0] - split.x[:, 0].mean()) / split.x[:, 0].std()
    vectors = np.column_stack([pay, np.eye(3)[split.x[:, 1].astype(int)] / np.sqrt(2)])
    total = 0.0
    for i in range(len(vectors)):
        apart = np.sqrt(((vectors - vectors[i]) ** 2).sum(1))
        if not with_self:
            apart[i] = np.inf
        near = np.argsort(apart, kind="stable")[:k]
        total += abs(label[i] - label[near].mean())
    return 1 - total / len(vectors)


@pytest.mark.parametrize("with_self", [False, True])
def test_consistency_is_zemels_formula_without_the_sensitive_columns(with_self) -> None:
    p, split = people(0)
    found = lk.individual_fairness(p, split, k=4, with_self=with_self, replicates=200)
    assert found.consistency == pytest.approx(slow_consistency(split, p.label, 4, with_self), abs=1e-6)
    assert found.left_out == ("sex", "status") and found.asked == 300
    assert found.low < found.consistency < found.high and found.p < 0.01
    of_all = np.average(found.group_consistency, weights=found.group_asked)
    assert of_all == pytest.approx(found.consistency)


def test_answers_that_ignore_the_inputs_are_as_consistent_as_chance() -> None:
    p, values = [], []
    for seed in range(40):
        answers, split = people(seed, 150)
        generator = np.random.default_rng(seed + 1000)
        label = (generator.random(150) < 0.3).astype(int)
        found = lk.individual_fairness(replace(answers, label=label), split, replicates=100)
        p.append(found.p)
        values.append(found.consistency)
        share = label.mean()
        assert found.null_mean == pytest.approx(1 - 2 * share * (1 - share) * 150 / 149, abs=0.01)
    assert np.mean(np.array(p) <= 0.05) < 0.2 and np.mean(values) == pytest.approx(0.58, abs=0.02)
    alike = lk.individual_fairness(replace(people(0)[0], label=np.ones(300, int)), people(0)[1], replicates=100)
    assert alike.consistency == alike.null_mean == 1 and alike.p == 1 and 0.98 < alike.low < 0.99


def test_the_interval_of_consistency_covers_its_mean_over_such_people() -> None:
    found = [lk.individual_fairness(*people(seed + 1, 300), replicates=150) for seed in range(50)]
    truth = np.mean([f.consistency for f in found])
    assert sum(f.low <= truth <= f.high for f in found) >= 45
    width = np.mean([f.high - f.low for f in found]) / 3.92
    assert width == pytest.approx(np.std([f.consistency for f in found]), rel=0.35)


def formula(benefit: np.ndarray, alpha: int) -> float:
    """Speicher and others' definition, person by person."""
    mean = benefit.mean()
    if alpha == 1:
        return float(np.mean([b / mean * np.log(b / mean) if b else 0.0 for b in benefit]))
    return float(np.mean([(b / mean) ** alpha - 1 for b in benefit]) / (alpha * (alpha - 1)))


@pytest.mark.parametrize("seed", range(3))
def test_the_indices_are_their_formula_and_fall_apart_into_between_and_within(seed) -> None:
    p, _ = people(seed, told=0.3)
    found = lk.individual_fairness(p, replicates=200)
    benefit = p.label - p.y + 1.0
    group = p.groups["sex"]
    means = np.array([benefit[group == g].mean() for g in group])
    for i, alpha in enumerate((2, 1)):
        assert found.index[i] == pytest.approx(formula(benefit, alpha))
        assert found.between[i, 0] == pytest.approx(formula(means, alpha))
        inside = [benefit[group == g] for g in ("a", "b")]
        weight = [len(b) / len(benefit) * (b.mean() / benefit.mean()) ** alpha for b in inside]
        within = sum(w * formula(b, alpha) for w, b in zip(weight, inside))
        assert found.within[i, 0] == pytest.approx(within)
        assert found.index_low[i] < found.index[i] < found.index_high[i]
    assert found.benefits.tolist() == [[int((benefit[group == g] == b).sum()) for b in range(3)] for g in ("a", "b")]


def test_the_values_that_aif360_gives() -> None:
    """Computed once with AIF360 0.6.1's ``generalized_entropy_error`` and ``between_group_generalized_entropy_error``."""
    generator = np.random.default_rng(0)
    y, label = generator.integers(0, 2, 60), generator.integers(0, 2, 60)
    group = generator.integers(0, 2, 60).astype(str)
    p = lk.Predictions(
        provenance=Provenance(analysis="predict", version=""), y=y, label=label, classes=("0", "1"), groups={"g": group}
    )
    found = lk.individual_fairness(p, replicates=100)
    assert found.index == pytest.approx(AIF360["index"], abs=1e-12)
    assert found.between[:, 0] == pytest.approx(AIF360["between"], abs=1e-12)


def test_a_model_without_error_is_equal_and_planted_favour_is_between_groups() -> None:
    p, _ = people(0)
    perfect = lk.individual_fairness(replace(p, label=p.y), replicates=200)
    assert perfect.index == pytest.approx(0) and perfect.between_p[0, 0] == 1
    favoured = lk.individual_fairness(people(0, told=0.5)[0], replicates=400)
    assert (favoured.between_p < 0.01).all() and (favoured.between_low > 0).all()
    wrong = sum(lk.individual_fairness(people(s)[0], replicates=100).between_p[0, 0] < 0.05 for s in range(40))
    assert wrong <= 6


def test_the_interval_of_the_index_covers() -> None:
    share = np.array([0.1, 0.7, 0.2])
    truth = inequality.entropy(share)
    covered = np.zeros(2)
    for seed in range(60):
        generator = np.random.default_rng(seed)
        benefit = generator.choice(3, 200, p=share)
        y = np.where(benefit == 0, 1, np.where(benefit == 2, 0, generator.integers(0, 2, 200)))
        p = replace(people(0, 200)[0], y=y, label=benefit + y - 1)
        found = lk.individual_fairness(p, by=[], replicates=200)
        covered += (found.index_low <= truth) & (truth <= found.index_high)
    assert (covered >= 52).all()


def test_counts_say_what_people_say_and_one_answer_for_all_is_beside() -> None:
    p, _ = people(1)
    key = p.y * 4 + p.label * 2 + (p.groups["sex"] == "b")
    _, first, times = np.unique(key, return_index=True, return_counts=True)
    part = replace(p, y=p.y[first], label=p.label[first], groups={"sex": p.groups["sex"][first]}, count=times)
    one, many = lk.individual_fairness(part, replicates=100), lk.individual_fairness(p, replicates=100)
    assert one.n == many.n == 300 and (one.index == many.index).all() and (one.benefits == many.benefits).all()
    assert many.constant[0] == pytest.approx(min(formula(2.0 - p.y, 2), formula(1.0 - p.y, 2)))


def test_what_cannot_be_told_is_not_measured_and_what_is_wrong_is_refused() -> None:
    p, split = people(0)
    blind = lk.individual_fairness(replace(p, y=np.full(300, -1)), split, replicates=100)
    assert np.isnan(blind.index).all() and not np.isnan(blind.consistency)
    assert any("no truth" in w for w in blind.warnings)
    assert {f.status for f in lk.check(blind, only=["alike_treated_alike"])} == {"info", "not_measured"}
    several = replace(p, classes=("x", "y", "z"), label=p.label + 1)
    found = lk.individual_fairness(several, split, replicates=100)
    assert np.isnan(found.index).all() and any("positive=" in w for w in found.warnings)
    with pytest.raises(lk.Refused, match="none named as positive"):
        lk.individual_fairness(several)
    with pytest.raises(lk.Refused, match="predictions with truth"):
        lk.individual_fairness(replace(p, y=np.full(300, -1)))
    with pytest.raises(lk.Refused, match="same people"):
        lk.individual_fairness(p, split[:200])
    with pytest.raises(lk.Refused, match="fewer than people"):
        lk.individual_fairness(p, split, k=300)
    with pytest.raises(lk.Refused, match="counted rows"):
        lk.individual_fairness(replace(p, count=np.ones(300, int)), split)
    with pytest.raises(lk.Refused):
        lk.individual_fairness(split, split)
    only = replace(
        split, x=split.x[:, 2:], schema=replace(split.schema, features=split.schema.features[2:], shape=(2,))
    )
    with pytest.raises(lk.Refused, match="sensitive columns alone"):
        lk.individual_fairness(p, only)


def test_it_is_drawn_told_and_kept(tmp_path) -> None:
    p, split = people(0, told=0.5)
    found = lk.individual_fairness(p, split, replicates=200)
    assert "get the same answer" in lk.says(found) and "between the groups by sex" in lk.says(found)
    assert len(lk.figure(found).data) == 3 and len(lk.rows(found)) == 3 + 2 * 4
    assert lk.figure(lk.individual_fairness(p, replicates=100)).data
    lk.save(found, tmp_path / "a.lk")
    assert lk.load(tmp_path / "a.lk").digest == found.digest
    assert lk.individual_fairness(p, split, replicates=200).digest == found.digest
