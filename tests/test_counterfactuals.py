"""Counterfactuals against enumeration and closed forms; constraints, groups, controls and worth against planted faults."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations, product
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import labkit as lk
from labkit.analyses._counterfactual import evidence
from labkit.analyses._counterfactual import found as found_module
from labkit.analyses._counterfactual import table as table_module
from labkit.analyses._counterfactual.search import Found
from labkit.analyses._counterfactual.words import Words, word_table
from labkit.data import Feature, Schema, Split
from labkit.data.constraints import Constraints, constraints, violations
from labkit.views._static import svg

CLASSES = ("no", "yes")
FEATURES = (
    Feature("years", "numeric", 0, 4),
    Feature("debt", "numeric", 0, 3),
    Feature("job", "categorical", categories=("(other)", "none", "part", "full")),
    Feature("rent", "numeric", 0, 1),
    Feature("own", "numeric", 0, 1),
    Feature("free", "numeric", 0, 1),
    Feature("born", "numeric", 0, 2, immutable=True),
)
HOME = ("rent", "own", "free")
SCHEMA = Schema("tabular", "a loan", (7,), features=FEATURES, groups=("side",))


class Scores(nn.Module):
    """Any function of a table as two logits. ``differentiable`` is not needed: the search asks for answers only."""

    def __init__(self, score: Any) -> None:
        super().__init__()
        self.score, self.one = score, nn.Parameter(torch.ones(1))

    def forward(self, x: Tensor) -> Tensor:
        s = self.score(x) * self.one
        return torch.stack([-s / 2, s / 2], 1)


def model(score: Any, **options: Any) -> Any:
    return lk.wrap(Scores(score), classes=list(CLASSES), embedding=None, name="toy", **options)


def people(n: int, seed: int = 0, sides: int = 2) -> Split:
    draw = np.random.default_rng(seed)
    home = np.eye(3)[draw.integers(0, 3, n)]
    parts = [draw.integers(0, 5, n), draw.integers(0, 4, n), draw.integers(1, 4, n), home, draw.integers(0, 3, n)]
    x = np.column_stack(parts).astype(np.float32)
    side = np.array(["left", "right", "top"])[draw.integers(0, sides, n)]
    return Split(x, draw.integers(0, 2, n), SCHEMA, CLASSES, "people", {"side": side})


def rough(seed: int) -> Any:
    """A random net of the columns: rugged enough for a search to lose its way."""
    torch.manual_seed(seed)
    net = nn.Sequential(nn.Linear(7, 12), nn.Tanh(), nn.Linear(12, 1))
    middle = torch.tensor([2.0, 1.5, 2, 0.3, 0.3, 0.3, 1])
    with torch.no_grad():
        net[0].weight *= 2
        least = net(torch.tensor(people(200).x) - middle).quantile(0.9)
    return lambda x: 4 * (net(x - middle)[:, 0] - least)


def look_up(score: Any, row: np.ndarray, known: np.ndarray, lead: float = 0.05) -> float:
    """The least price by trying everything: a change counts 1 and the share of training rows passed, or 1."""

    def place(v: float, c: int) -> float:
        return float(((known[:, c] < v).mean() + (known[:, c] <= v).mean()) / 2)

    options = product(range(5), range(4), (1, 2, 3), np.eye(3))
    made, price = [], []
    for years, debt, job, home in options:
        new = np.array([years, debt, job, *home, row[6]], np.float32)
        moved = [abs(place(new[c], c) - place(row[c], c)) for c in (0, 1)]
        changes = [new[0] != row[0], new[1] != row[1], new[2] != row[2], bool((new[3:6] != row[3:6]).any())]
        made.append(new)
        price.append(sum(changes) + sum(moved) + changes[2] + changes[3])
    with torch.no_grad():
        good = score(torch.tensor(np.array(made))).numpy() >= lead
    return min((p for p, g in zip(price, good) if g), default=np.inf)


TOGETHER: dict[str, Any] = {"together": [HOME]}


class TestTheCheapestWay:
    @pytest.mark.parametrize("seed", [0, 1, 2])
    def test_looking_at_all_is_enumeration_and_the_search_is_close_to_it(self, seed: int) -> None:
        score, data, known = rough(seed), people(40, seed + 10), people(120)
        options = {"background": known, "constraints": TOGETHER, "control": False, "target": "yes"}
        exact = lk.counterfactuals(model(score), data, enumerate_up_to=10**4, **options)
        quick = lk.counterfactuals(model(score), data, enumerate_up_to=0, **options)
        best = np.array([look_up(score, row, known.x) for row in exact.x])
        assert exact.every.all() and exact.complete.all() and not quick.every.any()
        np.testing.assert_allclose(np.where(exact.found[:, 0], exact.price[:, 0], np.inf), best, atol=1e-6)
        assert np.array_equal(exact.none_exists, np.isinf(best))
        assert (np.where(quick.found[:, 0], quick.price[:, 0], np.inf) >= best - 1e-6).all(), (
            "cheaper than the cheapest"
        )
        assert np.array_equal(quick.found[:, 0], np.isfinite(best))
        assert np.isclose(quick.price[:, 0], best, atol=1e-6)[np.isfinite(best)].mean() >= 0.9

    def test_a_number_stops_where_a_line_is_crossed(self) -> None:
        """One number, a linear model: the least change is (lead + threshold - score) / weight, in closed form."""
        draw = np.random.default_rng(0)
        known = draw.normal(0, 3, (400, 2)).astype(np.float32)
        x = np.array([[-1.0, 0.5], [-2.0, 0.0]], np.float32)
        linear = model(lambda v: 2 * v[:, 0] + 0 * v[:, 1] - 1)
        record = lk.counterfactuals(linear, x, 1, background=known, scale="mad", control=False)
        np.testing.assert_allclose(record.after[:, 0, 0], (1 + 0.05) / 2, atol=2e-3)
        assert (record.after[:, 0, 1] == x[:, 1]).all() and record.found.all()
        mad = 1.4826 * np.median(np.abs(known[:, 0] - np.median(known[:, 0])))
        np.testing.assert_allclose(record.cost[:, 0], (record.after[:, 0, 0] - x[:, 0]) / mad, rtol=1e-5)

    def test_several_ways_differ_and_are_each_asked_again(self) -> None:
        either = model(lambda v: torch.maximum(v[:, 0] - 2.5, 1.5 - v[:, 1]))
        x = people(30, 3).x.copy()
        x[:, 0], x[:, 1] = 0, 3
        record = lk.counterfactuals(either, replace(people(30, 3), x=x), background=people(80), count=3, target="yes")
        assert record.found[:, :2].all() and not record.found[:, 2].any(), "two columns alone can do it"
        assert (record.edited[:, 0] & record.edited[:, 1]).sum() == 0
        with torch.no_grad():
            again = either(torch.tensor(record.after[:, :2].reshape(-1, 7))).argmax(1)
        assert (again == 1).all()

    def test_few_changes_or_small_ones_as_the_price_says(self) -> None:
        """A long step of one number, or two short ones: the price of a change decides."""
        known = np.random.default_rng(0).uniform(0, 10, (300, 2)).astype(np.float32)
        both = model(lambda v: torch.maximum(v[:, 0] - 9, (torch.minimum(v[:, 0], v[:, 1]) - 2) * 1.0))
        x = np.array([[1.0, 1.0]], np.float32)
        few = lk.counterfactuals(both, x, 1, background=known, per_change=5, control=False)
        small = lk.counterfactuals(both, x, 1, background=known, per_change=0, control=False)
        assert few.changes[0, 0] == 1 and small.changes[0, 0] == 2 and small.cost[0, 0] < few.cost[0, 0]

    def test_what_went_too_far_comes_back(self) -> None:
        """Years up to 4 look best at first; with the job three are enough, and fewer years passed are cheaper."""
        score = lambda v: v[:, 0] + 3 * (v[:, 2] == 3) - 5.5  # noqa: E731
        x = people(20, 3).x.copy()
        x[:, 0], x[:, 2] = 0, 1
        data, options = replace(people(20, 3), x=x), {"background": people(120), "target": "yes", "control": False}
        narrow = lk.counterfactuals(model(score), data, width=1, enumerate_up_to=0, **options)
        assert (narrow.after[:, 0, [0, 2]] == [3, 3]).all() and (narrow.changes == 2).all()

    def test_answers_do_not_depend_on_batches_or_company(self) -> None:
        score, data, known = rough(4), people(24, 7), people(120)
        options = {"background": known, "constraints": TOGETHER, "target": "yes", "count": 2, "enumerate_up_to": 50}
        whole = lk.counterfactuals(model(score), data, **options)
        small = lk.counterfactuals(model(score), data, batch_size=7, **options)
        names = ("after", "found", "price", "kept", "real", "control_price", "queries", "path")
        for name in names:
            np.testing.assert_allclose(getattr(whole, name), getattr(small, name), atol=1e-6, err_msg=name)
        part = lk.counterfactuals(model(score), data[:12], **options)
        np.testing.assert_array_equal(whole.after[: len(part)], part.after)
        np.testing.assert_array_equal(whole.control_price[: len(part)], part.control_price)


class TestConstraints:
    @pytest.mark.parametrize("sign", [1, -1])
    def test_every_rule_is_kept_where_breaking_it_would_be_cheaper(self, sign: int) -> None:
        """The model likes what is forbidden; what is allowed does as well, for more. No rule is left to the checker."""
        wants = model(lambda v: 9 * v[:, 6] + sign * (3 * v[:, 0] + 2 * v[:, 1]) + v[:, 2] - (16 if sign > 0 else 6))
        data, known = people(60, 5), people(100)
        rules = {**TOGETHER, "rising": ["years"], "falling": ["debt"], "limits": {"years": (0, 3)}}
        record = lk.counterfactuals(wants, data, "yes", background=known, constraints=rules)
        assert record.found.any() and not record.warnings
        before, after = record.x[record.found[:, 0]], record.after[record.found[:, 0], 0]
        assert (after[:, 6] == before[:, 6]).all() and (after[:, 0] >= before[:, 0]).all()
        assert (after[:, 1] <= before[:, 1]).all() and (after == np.round(after)).all()
        assert (after[after[:, 0] != before[:, 0], 0] <= 3).all()
        assert (after[:, 3:6].sum(1) == 1).all() and set(np.unique(after[:, 3:6])) <= {0, 1}
        free = lk.counterfactuals(wants, data, "yes", background=known, constraints={"rising": ["born"]})
        born = free.after[:, 0, 6] - free.x[:, 6]
        assert (born >= 0).all() and (born > 0).any(), "what may rise may rise"

    @pytest.mark.parametrize(
        ("column", "value", "said"),
        [
            ("born", 2, "cannot change"),
            ("years", 5, "outside"),
            ("years", 1.5, "no whole number"),
            ("years", 0, "wrong way"),
            ("debt", 3, "wrong way"),
            ("job", 0, "no category"),
            ("job", 9, "no category"),
            ("own", 1, "not exactly one"),
        ],
    )
    def test_the_checker_names_each_breach_and_not_its_sound_twin(self, column: str, value: float, said: str) -> None:
        given = {**TOGETHER, "rising": ["years"], "falling": ["debt"]}
        agreed = constraints(given, SCHEMA, people(200).x)
        before = np.array([1, 2, 2, 1, 0, 0, 1], np.float32)
        sound = np.array([3, 1, 3, 0, 1, 0, 1], np.float32)
        assert violations(before, sound, SCHEMA, agreed) == [] and violations(before, before, SCHEMA, agreed) == []
        broken = before.copy()
        broken[[f.name for f in FEATURES].index(column)] = value
        assert any(said in text for text in violations(before, broken, SCHEMA, agreed))

    def test_what_breaks_a_rule_is_dropped_and_said(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """The search is broken on purpose: the check knows nothing of it, and catches it."""
        likes = model(lambda v: v[:, 6] - 1.5)
        data = people(20, 5)
        assert not lk.counterfactuals(likes, data, "yes", background=people(80)).found.any()
        monkeypatch.setattr(Constraints, "immutable", ())
        original = table_module.alternatives

        def without_rules(prices: Any, *rest: Any) -> Any:
            return original(replace(prices, agreed=replace(prices.agreed, immutable=())), *rest)

        monkeypatch.setattr(table_module, "alternatives", without_rules)
        record = lk.counterfactuals(likes, data, "yes", background=people(80), control=False)
        assert not record.found.any() and "born cannot change" in record.warnings[-1]

    def test_one_hot_columns_of_an_array_are_held_together_unless_told_otherwise(self) -> None:
        """Of an array nobody says what columns mean: those of which exactly one is 1 everywhere are found, and named."""
        draw = np.random.default_rng(0)

        def rows(n: int) -> np.ndarray:
            home, job, flag = (
                np.eye(3)[draw.integers(0, 3, n)],
                np.eye(2)[draw.integers(0, 2, n)],
                draw.integers(0, 2, n),
            )
            return np.column_stack([draw.normal(size=n), flag, home, job, 0 * flag]).astype(np.float32)

        x, known = rows(40), rows(200)
        likes = model(lambda v: 2 * v[:, 2] + v[:, 3] + v[:, 5] - 0.5 + 0.1 * v[:, 0])
        options = {"background": known, "target": "no", "control": False}
        record = lk.counterfactuals(likes, x, **options)
        made = record.after[record.found]
        assert len(made) > 20 and (made[:, 2:5].sum(1) == 1).all() and (made[:, 5:7].sum(1) == 1).all()
        assert "feature 2 | feature 3 | feature 4; feature 5 | feature 6 " in record.warnings[0]
        assert record.provenance.options["constraints"]["together"] == (
            ("feature 2", "feature 3", "feature 4"),
            ("feature 5", "feature 6"),
        )
        free = lk.counterfactuals(likes, x, constraints={"together": []}, **options)
        assert not free.warnings and (free.after[free.found][:, 2:5].sum(1) != 1).any()
        stated = lk.counterfactuals(likes, x, constraints={"together": [[2, 3, 4]], "immutable": [5, 6]}, **options)
        assert not stated.warnings and (stated.after[stated.found][:, 2:5].sum(1) == 1).all()
        assert (stated.after[:, 0, 5:7] == stated.x[:, 5:7]).all()

    def test_what_one_column_of_a_group_may_not_be_is_not_tried(self) -> None:
        """Only "own" gets the target, and nobody may come to own: no way, and none to drop."""
        likes = model(lambda v: 9 * v[:, 4] - 4 + 0 * v[:, 0])
        rules = {**TOGETHER, "falling": ["own"]}
        record = lk.counterfactuals(likes, people(30, 3), "yes", background=people(100), constraints=rules)
        assert record.without.all() and record.none_exists.all() and not record.warnings
        assert lk.counterfactuals(likes, people(30, 3), "yes", background=people(100), constraints=TOGETHER).found.all()

    @pytest.mark.parametrize(
        "given",
        [
            {"together": ["rent", "own"]},
            {"together": [[3, 4, 99]]},
            {"immutable": [-1]},
            {"immutable": None},
            {"limits": [("years", (0, 3))]},
            {"imutable": ["years"]},
            {"immutable": ["yers"]},
            {"immutable": "years"},
            {"rising": ["job"]},
            {"rising": ["years"], "falling": ["years"]},
            {"limits": {"years": (3, 1)}},
            {"together": [("years", "debt")]},
            {"together": [("rent",)]},
        ],
        ids=str,
    )
    def test_what_cannot_be_meant_is_refused(self, given: dict[str, Any]) -> None:
        with pytest.raises(lk.Refused):
            lk.counterfactuals(model(rough(0)), people(8), background=people(50), constraints=given)


class TestWhoIsLeft:
    def split(self, gap: bool, n: int = 160) -> tuple[Any, Split]:
        """No way for whom "born" is 0; with a gap these are the left side, without they are on both."""
        data = people(n, 2)
        draw = np.random.default_rng(1)
        stuck = draw.random(n) < 0.4
        x = data.x.copy()
        x[:, 6], x[:, 0] = np.where(stuck, 0, 2), 0
        side = np.where(stuck if gap else draw.random(n) < 0.5, "left", "right")
        return model(lambda v: v[:, 0] + 2 * v[:, 6] - 5.5), replace(data, x=x, groups={"side": side})

    def test_no_way_is_proven_and_a_gap_between_groups_is_found(self) -> None:
        toy, data = self.split(gap=True)
        record = lk.counterfactuals(toy, data, "yes", background=people(100))
        stuck = record.x[:, 6] == 0
        assert np.array_equal(record.without, stuck) and np.array_equal(record.none_exists, stuck)
        (finding,) = lk.check(record, only=["recourse"])
        assert finding.status == "does_not_meet" and finding.estimate == 1.0 and finding.subject == "side"
        assert f"{stuck.sum()} have none, for all was looked at" in lk.says(record)

    def test_what_lies_between_the_values_looked_at_is_not_denied(self) -> None:
        """A way exists in a band that no value looked at is in: nothing is found, and nobody says that there is none."""
        known = np.linspace(0, 10, 400, dtype=np.float32)[:, None]
        band = model(lambda v: 1 - 1e4 * (v[:, 0] - 5.15).abs() + 0 * v[:, 0])
        record = lk.counterfactuals(band, known[:5], "yes", background=known)
        assert record.every.all() and not record.found.any()
        assert record.without.all() and not record.none_exists.any()

    def test_the_sound_twin_is_not_flagged(self) -> None:
        toy, data = self.split(gap=False)
        record = lk.counterfactuals(toy, data, "yes", background=people(100))
        (finding,) = lk.check(record, only=["recourse"])
        assert record.without.any() and finding.status == "inconclusive"
        assert "4 times in 5" in finding.says

    def test_a_group_of_few_is_not_compared(self) -> None:
        toy, data = self.split(gap=True)
        side = np.where(np.arange(len(data)) < 4, "left", "right")
        record = lk.counterfactuals(toy, replace(data, groups={"side": side}), "yes", background=people(100))
        (finding,) = lk.check(record, only=["recourse"])
        assert finding.status == "not_measured" and "left (4)" in finding.says

    def test_all_have_the_target(self) -> None:
        record = lk.counterfactuals(model(lambda v: v[:, 0] + 1), people(12), "yes", background=people(40))
        assert record.status == "not_measured" and len(record) == 0 and "all 12 rows" in record.reason
        assert lk.check(record)[0].status == "not_measured" and lk.says(record).startswith("Not measured")
        svg(lk.figure(record), name="f")


class TestWorth:
    def test_random_search_is_beaten_and_a_broken_search_is_not_let_through(self, monkeypatch: Any) -> None:
        data, known = people(60, 3), people(120)
        options = {"background": known, "target": "yes", "enumerate_up_to": 0, "constraints": TOGETHER}
        sound = lk.counterfactuals(model(rough(1)), data, **options)
        (finding,) = lk.check(sound, only=["beats_random_search"])
        assert finding.status == "meets"
        there, chance = sound.found.copy(), sound.control_found.copy()
        there[:5], chance[:5] = False, True
        (finding,) = lk.check(replace(sound, found=there, control_found=chance), only=["beats_random_search"])
        assert finding.status == "does_not_meet" and f"for 5 of {len(sound)} rows" in finding.says

        alone = lk.counterfactuals(model(rough(1)), data, control=False, **options)
        assert lk.check(alone, only=["beats_random_search"])[0].status == "not_measured"
        assert "random search" not in lk.says(alone) and "random search" in lk.says(sound)

        def gives_up(ask: Any, moves: Any, free: Any, settings: Any) -> Found:
            n, units, _ = moves.shape
            ask.asked += 64
            return Found(np.zeros((n, units), np.int16), np.full(n, np.inf), np.zeros(n, bool))

        monkeypatch.setattr(found_module, "search", gives_up)
        broken = lk.counterfactuals(model(rough(1)), data, **options)
        (finding,) = lk.check(broken, only=["beats_random_search"])
        assert finding.status == "does_not_meet" and not broken.found.any()
        assert broken.without.sum() < len(broken), "what random search found is no row without a way"

    def test_random_search_has_as_many_questions(self, monkeypatch: Any) -> None:
        original, seen = found_module.at_random, []

        def watched(ask: Any, moves: Any, budget: np.ndarray, *more: Any) -> Found:
            found = original(ask, moves, budget, *more)
            seen.append(ask.asked - budget)
            return found

        monkeypatch.setattr(found_module, "at_random", watched)
        lk.counterfactuals(model(rough(1)), people(30, 3), "yes", background=people(80), enumerate_up_to=0)
        assert (seen[0] >= 0).all() and (seen[0] < 32).all()

    def test_of_real_rows_one_in_twenty_is_outside(self) -> None:
        draw = np.random.default_rng(0)
        shares = []
        for seed in range(30):
            known, new = draw.normal(size=(240, 3)), draw.normal(size=(100, 3))
            apart = lambda a, b: np.abs(a[:, None] - b[None]).sum(2)  # noqa: E731
            _, real, n = evidence.likeness(apart, new, np.zeros(100, int), known, np.zeros(240, int), seed)
            shares.append((real <= 0.05).mean())
        assert n == 120 and 0.04 < np.mean(shares) < 0.06

    @pytest.mark.parametrize("far", [True, False])
    def test_ways_out_of_the_data_are_said_to_be(self, far: bool) -> None:
        """Where the target begins beyond all real rows of the class in one column, and where it begins among them."""
        draw = np.random.default_rng(0)
        known = np.concatenate([draw.normal(-2, 0.5, (200, 2)), draw.normal(2, 0.5, (200, 2))]).astype(np.float32)
        linear = model(lambda v: v[:, 0] + v[:, 1] - 0.0) if far else model(lambda v: v[:, 0] + 0 * v[:, 1] - 1.5)
        if not far:
            known[:, 1] = draw.normal(0, 0.5, 400)
        background = Split(
            known,
            np.repeat([0, 1], 200),
            Schema("tabular", "y", (2,), features=tuple(Feature(n, "numeric") for n in "ab")),
            CLASSES,
            "two",
        )
        record = lk.counterfactuals(linear, background[:60], 1, background=background, control=False)
        (finding,) = lk.check(record, only=["plausible_counterfactuals"])
        assert record.found.all() and finding.status == ("does_not_meet" if far else "meets"), finding.says

    @pytest.mark.parametrize(("lead", "status"), [(0.0, "does_not_meet"), (2.0, "meets")])
    def test_what_lies_at_the_border_does_not_stand_noise(self, lead: float, status: str) -> None:
        known = np.random.default_rng(0).normal(0, 1, (300, 2)).astype(np.float32)
        linear = model(lambda v: 5 * v[:, 0] + 5 * v[:, 1])
        record = lk.counterfactuals(linear, known[:60], 1, background=known, lead=lead, noise=0.05, control=False)
        (finding,) = lk.check(record, only=["stable_counterfactuals"])
        assert finding.status == status
        # in closed form: noise of sd 0.05 on both columns moves the score by 5 * sqrt(2) * 0.05
        if lead:
            assert record.kept.min() > 0.95


class TestPictures:
    def test_the_one_region_that_decides_is_found(self) -> None:
        """The answer is in one square; training images of the other class have it dark."""
        draw = np.random.default_rng(0)
        x = draw.uniform(0.2, 0.8, (60, 1, 14, 14)).astype(np.float32)
        x[:30, :, :2, :2] = 0.9
        x[30:, :, :2, :2] = 0.1
        schema = Schema("image", "bright", (1, 14, 14), bounds=(0, 1))
        data = Split(x, np.repeat([1, 0], 30), schema, CLASSES, "squares")
        net = model(lambda v: 8 * (v[:, :, :2, :2].mean((1, 2, 3)) - 0.5), bounds=(0, 1))
        record = lk.counterfactuals(net, data[:4], background=data)
        assert record.found.all() and (record.changes == 1).all() and (record.region == record.region[0]).shape
        apart = record.after[:, 0] != record.x
        assert apart[:, :, :2, :2].all() and not apart[:, :, 2:].any() and not apart[:, :, :, 2:].any()
        assert record.after.min() >= 0 and record.after.max() <= 1
        np.testing.assert_allclose(record.path[:, [0, 1]], np.stack([record.before, record.proba[:, 0]], 1), rtol=1e-6)
        assert not len(lk.counterfactuals(net, data[:4], "yes", background=data)), "all have it already"
        whole = lk.counterfactuals(net, data[:4], background=data, features=np.zeros((1, 14, 14), int))
        assert whole.found.all() and (whole.cost > record.cost).all()
        svg(lk.figure(record), name="f")

    def test_a_picture_that_must_change_all_over_does(self) -> None:
        """Smoothing looks better square by square and leads nowhere; the dark example in every square does it."""
        draw = np.random.default_rng(0)
        x = draw.uniform(0.5, 1, (20, 1, 14, 14)).astype(np.float32)
        x[10:] = draw.uniform(0, 0.02, (10, 1, 14, 14))
        data = Split(x, np.repeat([1, 0], 10), Schema("image", "y", (1, 14, 14), bounds=(0, 1)), CLASSES, "dark")

        def score(v: Tensor) -> Tensor:
            part = v.reshape(len(v), 7, 2, 7, 2)
            smooth, dark = part.var((2, 4)) < 0.01, part.mean((2, 4)) < 0.1
            return 1 - torch.where(dark.flatten(1).all(1), 2.0, (smooth & ~dark).flatten(1).float().mean(1) * 0.5)

        record = lk.counterfactuals(model(score, bounds=(0, 1)), data[:2], background=data, control=False)
        assert record.found.all() and (record.changes == 49).all()

    def test_a_series_takes_stretches(self) -> None:
        draw = np.random.default_rng(0)
        x = draw.normal(0, 0.1, (40, 2, 32)).astype(np.float32)
        x[:20, :, 16:18] += 2
        data = Split(x, np.repeat([1, 0], 20), Schema("series", "bump", (2, 32)), CLASSES, "bumps")
        net = model(lambda v: v[:, :, 16:18].mean((1, 2)) * 3 - 3)
        record = lk.counterfactuals(net, data[:3], background=data)
        assert record.found.all() and (record.changes == 1).all()
        assert not (record.after[:, 0] != record.x)[:, :, :16].any()
        svg(lk.figure(record), name="f")


class TestTexts:
    WORDS = ("(padding)", "(unknown)", "good", "great", "bad", "poor", "film", "the", "not", "plot")
    VALUE = (0.0, 0, 2, 3, -2, -3, 0, 0, -1, 0.5)

    def made(self) -> tuple[Any, Split]:
        class Bag(nn.Module):
            def __init__(self, value: tuple[float, ...]) -> None:
                super().__init__()
                self.embed = nn.Embedding(len(value), 2)
                self.embed.weight.data = torch.tensor([[v, 1.0] for v in value])
                self.embed.weight.data[0] = 0

            def forward(self, x: Tensor) -> Tensor:
                s = self.embed(x)[..., 0].sum(1)
                return torch.stack([-s / 2, s / 2], 1)

        net = lk.wrap(Bag(self.VALUE), classes=list(CLASSES), embedding="embed", padding=0, name="bag")
        draw = np.random.default_rng(0)
        x = draw.integers(1, 10, (40, 7))
        x[np.arange(7) >= draw.integers(4, 8, 40)[:, None]] = 0
        return net, Split(x, draw.integers(0, 2, 40), Schema("text", "y", (7,), vocabulary=self.WORDS), CLASSES, "toy")

    def least(self, row: np.ndarray, sign: int, near: np.ndarray) -> float:
        """The fewest words to leave out or replace by one near, by trying every combination."""
        words = [int(w) for w in row if w]
        whole = sum(self.VALUE[w] for w in words)
        for count in range(1, len(words) // 2 + 1):
            for places in combinations(range(len(words)), count):
                gone = whole - sum(self.VALUE[words[p]] for p in places)
                for picks in product(*[[0, *near[words[p]][near[words[p]] >= 0]] for p in places]):
                    if sign * (gone + sum(self.VALUE[w] for w in picks)) >= 0.05:
                        return count
        return np.inf

    def test_the_fewest_words_against_every_combination(self) -> None:
        net, data = self.made()
        record = lk.counterfactuals(net, data[:12], per_change=10.0)
        near = Words(data.x[:12], self.WORDS, 0, word_table(net, 10)).near
        best = [self.least(row, 1 if target else -1, near) for row, target in zip(record.x, record.target)]
        np.testing.assert_array_equal(np.where(record.found[:, 0], record.changes[:, 0], np.inf), best)
        for row, words in zip(record.after[:, 0], record.becomes):
            left = [self.WORDS[w] for w in row if w]
            assert left == [w for w in words[0] if w] and not (np.diff((row != 0).astype(int)) > 0).any()
        svg(lk.figure(record), name="f")
        assert "→" in lk.rows(record)["changes"][int(np.flatnonzero(record.found[:, 0])[0])]

    def test_what_follows_a_word_left_out_moves_up(self) -> None:
        words = Words(np.array([[2, 6, 4, 7, 0, 0]]), self.WORDS, 0, None)
        made = words.realise(np.array([0]), np.array([[0, 1, 0, 1, 0, 0]], np.int16))
        assert made.tolist() == [[2, 4, 0, 0, 0, 0]]
        assert words.breaches(words.x[0], made[0]) == []
        assert words.breaches(words.x[0], np.array([2, 0, 4, 0, 0, 0])) and words.breaches(words.x[0], 0 * made[0])
        assert words.edits(0, np.array([0, 1, 0, 1, 0, 0])) == ("good", "", "bad", "", "", "")

    def test_one_word_cannot_be_left_out(self) -> None:
        net, data = self.made()
        x = np.zeros((2, 7), np.int64)
        x[:, 0] = [2, 4]
        record = lk.counterfactuals(net, Split(x, np.array([1, 0]), data.schema, CLASSES, "short"))
        assert not record.found.any() and not record.control_found.any()


class TestOnRealData:
    def test_german_loans(self, tmp_path: Any) -> None:
        data, net = lk.data.load("german"), lk.zoo.load("german_mlp")
        rules = {"falling": ["amount", "duration"], "rising": ["age"]}
        record = lk.counterfactuals(net, data, "good risk", constraints=rules, count=2)
        agreed = constraints(rules, data.schema, data.train.x)
        for before, several, there in zip(record.x, record.after, record.found):
            for after in several[there]:
                assert violations(before, after, data.schema, agreed) == []
        with torch.no_grad():
            again = net(torch.tensor(record.after[record.found])).argmax(1)
        assert (again == 0).all() and record.found[:, 0].mean() > 0.9
        assert set(record.groups) == {"sex", "age_band"} and len(lk.check(record, only=["recourse"])) == 2
        assert lk.check(record, only=["beats_random_search"])[0].status == "meets"
        loaded = lk.load(lk.save(record, tmp_path / "c.lk"))
        assert loaded.digest == record.digest and lk.says(loaded) == lk.says(record)
        assert (
            f"{record.found[:, 0].sum()} of {len(record)} rows (share 0." in lk.says(record)
            and "'good risk'" in lk.says(record)
            and "at most" in lk.says(record)
        )
        drawn = svg(lk.figure(record), name="f")
        assert "would have to be" in drawn and "without a way" in drawn
        table = lk.rows(record)
        assert table["found"].sum() == record.found.sum() and (table["probability after"].dropna() > 0.5).all()

    def test_what_cannot_be_changed_is_refused_with_what_would_do(self) -> None:
        german, net = lk.data.load("german"), lk.zoo.load("german_mlp")
        for arguments in (
            {"data": german.test[:4]},
            {"data": german, "target": "bad"},
            {"data": german, "target": 2},
            {"data": german, "count": 0},
            {"data": german, "scale": "euclid"},
            {"data": german, "features": np.zeros(20, int)},
            {"data": german, "background": german.train.x[:, :3]},
        ):
            with pytest.raises(lk.Refused):
                lk.counterfactuals(net, **arguments)
        fusion, emoji = lk.zoo.load("emoji_fusion"), lk.data.load("emoji")
        with pytest.raises(lk.Refused, match="occlusion"):
            lk.counterfactuals(fusion, emoji.test[:3], background=emoji.train)
