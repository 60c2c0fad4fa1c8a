"""Is robustness equal? Counts row by row, exact tests, planted differences with sound twins, and false alarms counted."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from scipy.stats import fisher_exact
from torch import nn

import labkit as lk
from labkit.checks._gaps import gaps
from labkit.checks.equal_robustness import equal_robustness
from labkit.core.record import Provenance
from labkit.records.robustness_curve import RobustnessCurve
from labkit.views import robustness_curve as view
from labkit.views._static import svg

EPS = np.array([0.0, 0.1, 0.2, 0.4])


def curve(breaking: np.ndarray, **groups: Any) -> RobustnessCurve:
    """A record in which one attack breaks each row at that budget; 0 is an error without an attack."""
    n, nothing = len(breaking), np.zeros(len(breaking))
    one = {name: np.ones((1, n), int) for name in ("tried", "queries", "gradients")}
    scalars = dict.fromkeys(("asked_again", "came_back", "levels", "optimizes", "longer_steps", "longer_rows"), 0)
    scalars |= dict.fromkeys(("longer_before", "longer_more", "whole_rows", "whole_standing"), 0)
    scalars |= dict.fromkeys(("larger_rows", "larger_standing", "longer_eps"), 0)
    return RobustnessCurve(
        provenance=Provenance(analysis="robustness_curve", version=lk.__version__),
        norm="linf",
        eps=EPS,
        attacks=("pgd",),
        specs=("pgd()",),
        controls=(),
        classes=("no", "yes"),
        y=np.zeros(n, int),
        label=(breaking == 0).astype(int),
        groups={name: np.asarray(values) for name, values in groups.items()},
        broken_at=breaking[None],
        is_gradient=np.array([True]),
        nonfinite=np.zeros(1, int),
        thrown_away=np.zeros(1, int),
        asks=1,
        stored=nothing,
        loss_gradient=nothing,
        margin_gradient=nothing,
        cosine=nothing,
        longer="",
        whole="",
        larger="",
        scales=(),
        scale_gained=np.zeros(0),
        scale_lost=np.zeros(0),
        **one,
        **scalars,
    )


def drawn(draw: np.random.Generator, n: int, wrong: float = 0.1, near: float = 0.25) -> np.ndarray:
    """Budgets at which rows break: a share is wrong from the start, the others break at exponential distances."""
    distance = draw.exponential(near, n)
    at = np.concatenate([EPS, [np.inf]])[np.searchsorted(EPS, distance)]
    return np.where(draw.random(n) < wrong, 0.0, at)


def test_counts_are_those_of_the_rows() -> None:
    draw = np.random.default_rng(0)
    breaking = drawn(draw, 300)
    group = draw.choice(["a", "b", "c", ""], 300, p=[0.5, 0.3, 0.15, 0.05])
    record = curve(breaking, sex=group)
    names, stands, n = record.by_group("sex")
    assert names.tolist() == ["a", "b", "c"]
    table = view.groups(record)
    for g, name in enumerate(names):
        rows = breaking[group == name]
        assert n[g] == len(rows)
        for e, eps in enumerate(EPS):
            assert stands[g, e] == sum(b > eps for b in rows)
            found = table[(table.group == name) & (table.eps == eps)].iloc[0]
            assert found["stand"] == stands[g, e] and found.low <= stands[g, e] / n[g] <= found.high
    robust, drop = gaps(record, "sex")
    np.testing.assert_array_equal(robust.hits, stands[:, 1:])
    np.testing.assert_array_equal(drop.hits, stands[:, :1] - stands[:, 1:])
    np.testing.assert_allclose(robust.difference, np.ptp(stands[:, 1:] / n[:, None], axis=0))
    with pytest.raises(lk.Refused, match="race"):
        record.by_group("race")


def test_the_permutation_agrees_with_the_exact_test() -> None:
    """With one budget at which anything happens, and two groups, p is Fisher's."""
    draw = np.random.default_rng(2)
    breaking = np.where(draw.random(160) < np.repeat([0.5, 0.6], 80), 0.1, np.inf)
    group = np.repeat(["a", "b"], 80)
    robust, drop = gaps(curve(breaking, sex=group), "sex")
    stands = [int(np.isinf(breaking[group == g]).sum()) for g in "ab"]
    exact = fisher_exact([[s, 80 - s] for s in stands]).pvalue
    assert 0.005 < exact < 0.5
    assert robust.p == pytest.approx(exact, abs=0.03) and drop.p == pytest.approx(exact, abs=0.03)


def test_equal_groups_are_seldom_flagged() -> None:
    """200 records of equal groups, judged with no tolerance at all, so that only chance stands between them and a flag."""
    flagged = 0
    for seed in range(200):
        draw = np.random.default_rng(seed)
        group, other = draw.choice(["a", "b"], 200, p=[0.7, 0.3]), draw.choice(["x", "y", "z"], 200)
        record = curve(drawn(draw, 200), sex=group, race=other)
        flagged += any(f.status == "does_not_meet" for f in equal_robustness(record, tolerance=0.0))
    assert flagged <= 2


def test_a_group_nearer_to_the_border_is_flagged_and_its_twin_is_not() -> None:
    draw = np.random.default_rng(5)
    group = np.repeat(["a", "b"], 150)
    nearer = curve(np.concatenate([drawn(draw, 150), drawn(draw, 150, near=0.06)]), sex=group)
    robust, drop = equal_robustness(nearer)
    assert robust.status == drop.status == "does_not_meet"
    assert robust.low > 0.1 and "in b (n = 150)" in robust.says and "against these attacks" in robust.says
    twin = curve(np.concatenate([drawn(draw, 150), drawn(draw, 150)]), sex=group)
    assert not any(f.status == "does_not_meet" for f in equal_robustness(twin))
    many = np.tile(drawn(draw, 4000), 2)
    assert [f.status for f in equal_robustness(curve(many, sex=np.repeat(["a", "b"], 4000)))] == ["meets"] * 2
    contradicted = replace(nearer, status="contradicted", reason="gradients mislead")
    assert {f.status for f in equal_robustness(contradicted)} == {"inconclusive"}


def test_errors_without_an_attack_are_told_from_what_the_attack_adds() -> None:
    """One group is wrong far more often from the start, and loses no more than the other to the attack."""
    draw = np.random.default_rng(7)
    clean = np.concatenate([np.zeros(200), np.full(200, np.inf), np.full(400, np.inf)])
    broken = draw.permutation(800)[:240]
    breaking = np.where(np.isin(np.arange(800), broken) & (clean > 0), 0.2, clean)
    robust, drop = equal_robustness(curve(breaking, sex=np.repeat(["a", "b"], 400)))
    assert robust.status == "does_not_meet"
    # b has twice as many rows that can be lost, so that its drop is larger where its robust accuracy is larger too
    assert drop.estimate == pytest.approx(np.ptp([(breaking[:400] == 0.2).mean(), (breaking[400:] == 0.2).mean()]))


def test_small_groups_are_shown_and_not_compared() -> None:
    draw = np.random.default_rng(9)
    group = np.repeat(["a", "b", "c"], [100, 100, 12])
    breaking = np.concatenate([drawn(draw, 200), np.zeros(12)])
    findings = list(equal_robustness(curve(breaking, sex=group)))
    assert all("c (n = 12)" in f.says and f.status != "does_not_meet" and f.n == 200 for f in findings)
    (alone, _) = equal_robustness(curve(breaking[:100], sex=group[:100]))
    assert alone.status == "not_measured"
    (untouched, _) = equal_robustness(curve(np.full(200, np.inf), sex=group[:200]))
    assert untouched.status == "inconclusive" and "other budgets" in untouched.says
    assert list(equal_robustness(curve(breaking))) == []


def test_pictures_and_tables() -> None:
    draw = np.random.default_rng(1)
    record = curve(drawn(draw, 200), sex=np.repeat(["a", "b", "c"], [100, 80, 20]))
    figure = view.by_group(record, "sex")
    assert [t.name for t in figure.data] == ["a (n = 100)", "b (n = 80)", "c (n = 20)"]
    assert figure.data[2].marker.symbol.endswith("-open")
    assert "n = 80" in svg(figure, name="f")
    assert len(view.differences(record)) == 2 * 3
    assert view.differences(curve(drawn(draw, 9))).empty and view.groups(curve(drawn(draw, 9))).empty


class Line(nn.Module):
    """Two classes, told by the sum of all inputs."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        z = x.flatten(1).sum(1) - 0.5 * x[0].numel()
        return torch.stack([-z, z], 1)


def test_a_real_attack_on_rows_of_which_one_group_lies_nearer() -> None:
    """Under "linf" a row breaks once eps times the number of inputs reaches its distance, so that the shares are known."""
    draw = np.random.default_rng(3)
    distance = np.concatenate([draw.uniform(0.4, 1.5, 60), draw.uniform(0.05, 0.6, 60)])
    side = np.where(draw.random(120) < 0.5, -1, 1)
    x = (0.5 + side * distance / 4).clip(0, 1)[:, None, None, None] * np.ones((1, 1, 2, 2))
    schema = lk.data.load("digits").test.schema
    split = lk.data.Split(
        x.astype(np.float32),
        (side > 0).astype(np.int64),
        replace(schema, shape=(1, 2, 2)),
        ("low", "high"),
        "planted",
        {"side": np.repeat(["far", "near"], 60)},
    )
    model = lk.wrap(Line(), classes=("low", "high"), bounds=(0, 1), name="line")
    record = lk.robustness_curve(model, split, ["pgd"], eps=[0.05, 0.1, 0.2], options={"pgd": {"steps": 5}})
    names, stands, _ = record.by_group("side")
    for g, name in enumerate(names):
        margin = distance[split.groups["side"] == name] / 4
        np.testing.assert_allclose(stands[g], [(margin > eps).sum() for eps in record.eps], atol=1)
    assert "does_not_meet" in {f.status for f in lk.check(record, only=["equal_robustness"])}
