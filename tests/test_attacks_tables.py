"""Attacks on tables against enumeration by hand; prices, rules and budgets against rows that break them."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import labkit as lk
from labkit.core import method, registry
from labkit.core.draws import Draws
from labkit.data import Feature, Schema
from labkit.data.alternatives import Rows, every
from labkit.data.constraints import Constraints, constraints, violations
from labkit.data.price import Prices

ATTACKS = ("exhaustive", "random_changes", "tabular_search")
SEARCHES = ("random_changes", "tabular_search")
FEATURES = (
    Feature("years", "numeric", 0, 4),
    Feature("debt", "numeric", 0, 3),
    Feature("job", "categorical", categories=("(other)", "none", "part", "full")),
    Feature("rent", "numeric", 0, 1),
    Feature("own", "numeric", 0, 1),
    Feature("free", "numeric", 0, 1),
    Feature("born", "numeric", 0, 2, immutable=True),
)
SCHEMA = Schema("tabular", "a loan", (7,), features=FEATURES)
RULES: dict[str, Any] = {"rising": ["years"], "together": [["rent", "own", "free"]]}


def people(n: int, seed: int) -> np.ndarray:
    draw = np.random.default_rng(seed)
    home = np.eye(3)[draw.integers(0, 3, n)]
    parts = [draw.integers(0, 5, n), draw.integers(0, 4, n), draw.integers(1, 4, n), home, draw.integers(0, 3, n)]
    return np.column_stack(parts).astype(np.float32)


BACKGROUND = people(120, 1)
PRICES = Prices(SCHEMA, constraints(RULES, SCHEMA, BACKGROUND), BACKGROUND)


class Net(nn.Module):
    """A rugged function of the small table: no single change says what two of them do."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.net = nn.Sequential(nn.Linear(7, 12), nn.Tanh(), nn.Linear(12, 3))
        with torch.no_grad():
            self.net[0].weight *= 2

    def forward(self, x: Tensor) -> Tensor:
        return 4 * self.net(x - torch.tensor([2.0, 1.5, 2, 0.3, 0.3, 0.3, 1]))


def small(seed: int, n: int = 40) -> tuple[Any, Tensor, Tensor]:
    model = lk.wrap(Net(seed).eval(), classes=["a", "b", "c"], name="rugged")
    x = torch.from_numpy(people(n, seed + 10))
    return model, x, model(x).argmax(1)


def run(name: str, model: Any, x: Tensor, y: Tensor, eps: float, prices: Prices = PRICES, **options: Any) -> Tensor:
    """The bare leaf, without the analysis around it."""
    function = registry.find("attacks", name)
    offered = {"model": model, "x": x, "y": y, "eps": eps, "norm": "cost", "schema": prices.schema, "batch_size": 64}
    offered |= {"generator": Draws(options.pop("seed", 0), len(x)), "constraints": prices.agreed}
    offered |= {"background": torch.tensor(prices.background), **options.pop("offered", {})}
    return method.call(function, method.bind("attacks", name, function, options), offered)


def radii(model: Any, x: Tensor, y: Tensor, prices: Prices = PRICES, **options: Any) -> np.ndarray:
    function = registry.find("certificates", "exhaustive")
    offered = {"model": model, "x": x, "y": y, "norm": "cost", "schema": prices.schema, "batch_size": 64}
    offered |= {"constraints": prices.agreed, "background": torch.tensor(prices.background)}
    return method.call(function, method.bind("certificates", "exhaustive", function, options), offered).numpy()


def lead(model: Any, x: Any, y: Tensor) -> np.ndarray:
    """The best wrong logit minus the true one."""
    z = model(torch.as_tensor(x)).double()
    true = z.gather(1, y[:, None])[:, 0]
    return (z.scatter(1, y[:, None], -torch.inf).amax(1) - true).numpy()


def by_hand(model: Any, row: np.ndarray, y: int) -> tuple[np.ndarray, np.ndarray]:
    """Price and lead of every row that the rules allow, from their wording alone."""

    def place(v: float, c: int) -> float:
        return float(((BACKGROUND[:, c] < v).mean() + (BACKGROUND[:, c] <= v).mean()) / 2)

    made, price = [], []
    for years, debt, job, home in product(range(5), range(4), (1, 2, 3), np.eye(3)):
        if years >= row[0]:
            made.append(np.array([years, debt, job, *home, row[6]], np.float32))
            numbers = abs(place(years, 0) - place(row[0], 0)) + abs(place(debt, 1) - place(row[1], 1))
            price.append(numbers + (job != row[2]) + bool((home != row[3:6]).any()))
    return np.array(price), lead(model, np.array(made), torch.full((len(made),), y))


class TestTheSmallTable:
    @pytest.mark.parametrize(("seed", "eps"), [(0, 0.5), (1, 0.4), (3, 0.4)])
    def test_enumeration_is_the_worst_case_and_the_search_is_close_to_it(self, seed: int, eps: float) -> None:
        model, x, y = small(seed)
        worst = np.empty(len(x))
        for i, row in enumerate(x.numpy()):
            price, leads = by_hand(model, row, int(y[i]))
            worst[i] = leads[price <= eps + 1e-9].max()
        found = {name: lead(model, run(name, model, x, y, eps), y) for name in ATTACKS}
        np.testing.assert_allclose(found["exhaustive"], worst, atol=0.01)
        np.testing.assert_array_equal(found["exhaustive"] > 0, worst > 0)
        assert 0 < (worst > 0).sum() < len(x), "a budget at which nothing is decided"
        for name in SEARCHES:
            assert (found[name] <= worst + 1e-5).all(), "better than the best"
        assert ((found["tabular_search"] > 0) == (worst > 0)).mean() >= 0.95
        stands = worst <= 0  # broken rows leave the search before it has found the worst
        assert np.isclose(found["tabular_search"], worst, atol=0.01)[stands].mean() >= 0.9
        assert (found["tabular_search"] > 0)[found["random_changes"] > 0].all()

    @pytest.mark.parametrize("seed", [0, 3])
    def test_a_radius_is_the_exact_price_of_the_nearest_other_answer(self, seed: int) -> None:
        model, x, y = small(seed)
        exact = np.empty(len(x))
        for i, row in enumerate(x.numpy()):
            price, leads = by_hand(model, row, int(y[i]))
            exact[i] = price[leads >= 0].min(initial=np.inf)
        found = radii(model, x, y)
        np.testing.assert_allclose(found, exact, atol=1e-9)
        few = radii(model, x, y, most=10)
        assert (few <= found + 1e-9).all() and (few >= 0).all() and (few < found - 1e-9).any() and (few == found).any()
        for i in np.flatnonzero(np.isfinite(exact))[:6]:
            row, true = x[i : i + 1], y[i : i + 1]
            assert lead(model, run("exhaustive", model, row, true, exact[i]), true) > 0
            assert lead(model, run("exhaustive", model, row, true, exact[i] - 1e-6), true) <= 0

    def test_a_radius_of_a_wrong_row_is_nothing_and_of_a_constant_answer_infinite(self) -> None:
        model, x, y = small(0, 8)
        assert (radii(model, x, (y + 1) % 3) == 0).all()
        constant = lk.wrap(Constant(), classes=["a", "b", "c"], name="constant")
        assert np.isinf(radii(constant, x, torch.zeros(8, dtype=torch.int64))).all()
        below = x[x[:, 0] < 4]
        for value in (torch.nan, torch.inf):
            broken = lk.wrap(Constant(3.5, [value, 0.0, 0.0]), classes=["a", "b", "c"], name="broken")
            found = radii(broken, below, torch.zeros(len(below), dtype=torch.int64))
            assert np.isfinite(found).all(), "an answer that is not finite proves nothing"

    def test_more_rows_than_may_be_looked_at_are_refused_with_their_number(self) -> None:
        model, x, y = small(0, 4)
        with pytest.raises(lk.Refused, match=r"at least \d+ for one row, where most=20"):
            run("exhaustive", model, x, y, 3.0, most=20)
        known = BACKGROUND + np.array([0.25, 0, 0, 0, 0, 0, 0], np.float32)
        fraction = Prices(SCHEMA, constraints({"together": []}, SCHEMA, known), known)
        with pytest.raises(lk.Refused, match=r"not whole.*years"):
            run("exhaustive", model, x, y, 1.0, fraction)
        held = replace(fraction, agreed=replace(fraction.agreed, immutable=("born", "years")))
        assert run("exhaustive", model, x, y, 0.5, held).shape == x.shape

    @pytest.mark.parametrize("seed", range(3))
    def test_every_row_within_a_price_is_there_once(self, seed: int) -> None:
        draw = np.random.default_rng(seed)
        choices = [(np.arange(k), np.sort([0, *draw.uniform(0, 1, k - 1)])) for k in (3, 1, 5, 4)]
        made, price = every(choices, 1.1, 1000)
        wanted = {p for p in product(*(range(3), range(1), range(5), range(4)))}
        wanted = {p for p in wanted if sum(c[i] for i, (_, c) in zip(p, choices)) <= 1.1}
        assert set(map(tuple, made.astype(int).tolist())) == wanted and len(made) == len(wanted)
        np.testing.assert_allclose(price, [sum(c[int(i)] for i, (_, c) in zip(p, choices)) for p in made])
        least = every(choices, 1.1, 10)
        assert isinstance(least, int) and 10 < least <= len(wanted)


class Constant(nn.Module):
    """Always the first class; another answer, such as NaN, where the first column is above a limit."""

    def __init__(self, above: float = np.inf, answer: Any = (np.nan, np.nan, np.nan)) -> None:
        super().__init__()
        self.above, self.answer, self.one = above, torch.tensor(answer), nn.Parameter(torch.tensor([1.0, 0, 0]))

    def forward(self, x: Tensor) -> Tensor:
        return torch.where(x[:, :1] > self.above, self.answer, self.one.expand(len(x), 3))


class Stump(nn.Module):
    """Two answers that jump: no gradient leads from one to the other."""

    differentiable = False

    def __init__(self) -> None:
        super().__init__()
        self.one = nn.Parameter(torch.ones(1))

    def forward(self, x: Tensor) -> Tensor:
        yes = ((x[:, 1] > 1.5) & (x[:, 2] == 3)).float() * 2 - 1
        return torch.stack([-yes, yes], 1) * self.one


class TestTheContract:
    @pytest.fixture(scope="class", params=["adult", "compas", "german"])
    def table(self, request: pytest.FixtureRequest) -> tuple[Any, Tensor, Tensor, Prices]:
        data, model = lk.data.load(request.param), lk.zoo.load(f"{request.param}_mlp")
        given = {"falling": ["hours-per-week"], "immutable": ["occupation"]} if request.param == "adult" else None
        known = data.train.x[:2000]
        prices = Prices(data.train.schema, constraints(given, data.train.schema, known), known)
        x, y = torch.tensor(data.test.x[:48]), torch.tensor(data.test.y[:48])
        right = model(x).argmax(1) == y
        return model, x[right][:24], y[right][:24], prices

    @pytest.mark.parametrize("name", SEARCHES)
    def test_what_is_found_keeps_to_rules_and_budget(self, name: str, table: Any) -> None:
        model, x, y, prices = table
        before = x.clone()
        for eps in (0.2, 1.5):
            found = run(name, model, x, y, eps, prices)
            assert torch.equal(x, before), "the input was changed"
            assert found.shape == x.shape and found.dtype == x.dtype
            rows = list(zip(x.numpy(), found.numpy()))
            assert any((a != b).any() for a, b in rows)
            assert not any(violations(a, b, prices.schema, prices.agreed) for a, b in rows)
            assert max(priced(prices, a, b) for a, b in rows) <= eps + 1e-6
            assert prices.kept(x.numpy(), found.numpy(), eps).all()
            assert torch.equal(found, run(name, model, x, y, eps, prices)), "the same seed gives another result"
        assert torch.equal(run(name, model, x, y, 0.0, prices), x), "a change for nothing"

    @pytest.mark.parametrize("name", SEARCHES)
    def test_company_and_batch_size_change_no_answer(self, name: str, table: Any) -> None:
        model, x, y, prices = table
        whole = run(name, model, x, y, 0.6, prices, offered={"batch_size": 1000})
        draws = Draws(0, len(x))
        some = np.array([11, 2, 5, 7])
        part = run(name, model, x[some], y[some], 0.6, prices, offered={"batch_size": 5, "generator": draws[some]})
        torch.testing.assert_close(whole[some], part)

    def test_the_search_beats_random_changes(self, table: Any) -> None:
        model, x, y, prices = table
        for eps in (0.5, 1.2):
            ours, control = (lead(model, run(name, model, x, y, eps, prices), y) > 0 for name in reversed(SEARCHES))
            assert ours.sum() >= control.sum() and not (control & ~ours).any()

    def test_the_seed_is_used(self) -> None:
        model, x, y = small(2)
        assert not torch.equal(*(run("random_changes", model, x, y, 1.0, seed=seed, draws=16) for seed in (0, 1)))

    @pytest.mark.parametrize("name", ATTACKS)
    def test_answers_alone_are_needed_and_nan_is_no_success(self, name: str) -> None:
        x = torch.from_numpy(people(30, 4))
        stump = lk.wrap(Stump().eval(), classes=["no", "yes"], name="stump")
        y = stump(x).argmax(1)
        found = lead(stump, run(name, stump, x, y, 2.5), y) > 0
        assert (found | (y == 0).numpy()).all(), "one change of a category breaks a yes"
        if name != "random_changes":
            assert found.all()
        broken = lk.wrap(Constant(3.5), classes=["a", "b", "c"], name="broken")
        kept = x[x[:, 0] < 4]
        again = run(name, broken, kept, torch.zeros(len(kept), dtype=torch.int64), 3.0)
        assert torch.isfinite(broken(again)).all() and (again[:, 0] < 4).all()

    @pytest.mark.parametrize("name", ATTACKS)
    def test_a_row_that_is_hardly_wrong_is_not_taken_for_the_same_as_one_hardly_right(self, name: str) -> None:
        near = lk.wrap(Constant(3.5, [1.0, 1.00001, 0.0]), classes=["a", "b", "c"], name="near")
        with torch.no_grad():
            near.module.one[1] = 0.99999
        x = torch.from_numpy(people(20, 8))
        x = x[x[:, 0] < 4]
        y = torch.zeros(len(x), dtype=torch.int64)
        assert (near(x).argmax(1) == 0).all() and (near(run(name, near, x, y, 2.0)).argmax(1) == 1).all()

    @pytest.mark.parametrize("name", ATTACKS)
    def test_rows_that_are_wrong_or_have_no_answer_come_back(self, name: str) -> None:
        model, x, y = small(0, 6)
        assert PRICES.kept(x.numpy(), run(name, model, x, (y + 1) % 3, 1.0).numpy(), 1.0).all()
        none = lk.wrap(Constant(-1.0), classes=["a", "b", "c"], name="none")
        assert torch.equal(run(name, none, x, y, 1.0), x)

    @pytest.mark.parametrize("name", ATTACKS)
    def test_one_impossible_row_stops_no_other(self, name: str) -> None:
        """A row without a move (the only number at its end), and one that is not one-hot, among others."""
        model, x, y = small(1, 6)
        held = ("debt", "job", "rent", "own", "free", "born")
        stuck = replace(PRICES, agreed=replace(PRICES.agreed, immutable=held))
        x[0, 0], x[1, 0] = 4, 0
        found = run(name, model, x, y, 2.0, stuck)
        assert torch.equal(found[0], x[0]) and (found[:, 1:] == x[:, 1:]).all()
        x[2, 3:6] = 1
        after = run(name, model, x, model(x).argmax(1), 1.5)
        assert PRICES.kept(x.numpy(), after.numpy(), 1.5).all()


def priced(prices: Prices, before: np.ndarray, after: np.ndarray) -> float:
    """The price by its wording: shares of training rows passed, ties by half; 1 for each other unit that differs."""
    total = 0.0
    for c, feature in enumerate(prices.schema.features):
        column = prices.background[:, c]
        if feature.kind == "numeric":
            was, now = ((column < v[c]).mean() + (column == v[c]).mean() / 2 for v in (before, after))
            total += abs(now - was)
        else:
            total += before[c] != after[c]
    return float(total)


class TestPrices:
    def test_counterfactuals_state_the_very_price(self) -> None:
        data, model = lk.data.load("compas"), lk.zoo.load("compas_mlp")
        known = data.train[:500]
        for scale in ("quantile", "mad"):
            record = lk.counterfactuals(
                model, data.test[:12], background=known, scale=scale, control=False, enumerate_up_to=0
            )
            prices = Prices(data.train.schema, constraints(None, known.schema, known.x), known.x, scale)
            found = record.found[:, 0]
            after = record.after[found, 0]
            np.testing.assert_allclose(record.cost[found, 0], prices.price(record.x[found], after))
            assert prices.kept(record.x[found], after, record.cost[found, 0].max()).all()

    def test_nothing_is_free(self) -> None:
        """Between 0 and 10 lies no training row: a step there passes none, and is priced all the same."""
        schema = Schema("tabular", "t", (1,), features=(Feature("v", "numeric", 0, 10),))
        known = np.repeat([[0.0], [10.0]], 50, 0).astype(np.float32)
        prices = Prices(schema, constraints(None, schema, known), known)
        x = np.array([[4.0], [4.0], [0.0]], np.float32)
        after = np.array([[6.0], [4.0], [10.0]], np.float32)
        np.testing.assert_allclose(prices.price(x, after), [0.005, 0, 0.5])
        np.testing.assert_array_equal(prices.kept(x, after, 0.0), [False, True, False])

    def test_one_hot_columns_cost_once(self) -> None:
        x, after = people(1, 2), people(1, 2)
        after[0, 3:6] = np.roll(after[0, 3:6], 1)
        assert PRICES.price(x, after) == 1.0
        apart = replace(PRICES, agreed=replace(PRICES.agreed, together=()))
        places = sum(priced(apart, x[0], np.where(np.arange(7) == c, after[0], x[0])) for c in (3, 4, 5))
        assert apart.price(x, after) == pytest.approx(places)

    @pytest.mark.parametrize(
        ("column", "value"),
        [("born", 0), ("years", 0), ("debt", 9), ("debt", 1.5), ("job", 0), ("job", 7), ("job", np.nan), ("rent", 1)],
    )
    def test_a_row_that_breaks_a_rule_is_not_kept_and_its_twin_is(self, column: str, value: float) -> None:
        x = np.array([[2, 3, 2, 0, 1, 0, 1]], np.float32)
        after = x.copy()
        after[0, 1] = 2
        assert PRICES.kept(x, after, 10.0).all()
        after[0, [f.name for f in FEATURES].index(column)] = value
        assert not PRICES.kept(x, after, 10.0).any()

    def test_what_costs_too_much_is_not_kept(self) -> None:
        x, after = people(60, 5), people(60, 6)
        after[:, 6], after[:, 0] = x[:, 6], np.maximum(x[:, 0], after[:, 0])
        price = PRICES.price(x, after)
        np.testing.assert_allclose(price, [hand(a, b) for a, b in zip(x, after)])
        np.testing.assert_array_equal(PRICES.kept(x, after, 1.4), price <= 1.4)


def hand(before: np.ndarray, after: np.ndarray) -> float:
    held = before.copy()
    held[:2] = after[:2]
    return priced(PRICES, before, held) + (before[2] != after[2]) + bool((before[3:6] != after[3:6]).any())


def test_units_and_rows_are_two_ways_to_say_the_same() -> None:
    x = people(20, 7)
    rows = Rows(PRICES, x)
    which = np.arange(20)
    np.testing.assert_array_equal(rows.realise(which, rows.own), x)
    values = rows.own.copy()
    home = next(i for i, unit in enumerate(PRICES.units) if len(unit) == 3)
    values[:, home] = (values[:, home] + 1) % 3
    made = rows.realise(which, values)
    np.testing.assert_array_equal(made[:, 3:6].argmax(1), values[:, home])
    assert (made[:, 3:6].sum(1) == 1).all() and (made[:, [0, 1, 2, 6]] == x[:, [0, 1, 2, 6]]).all()
    assert rows.countless == [] and isinstance(PRICES.agreed, Constraints)


def test_rows_in_double_precision_are_attacked_as_those_in_single_are() -> None:
    """A number that nobody changed must not seem to have moved, nor fall short of the training rows that it passes."""
    x = np.random.default_rng(0).normal(0, 3, (200, 2))
    schema = Schema("tabular", "sum", (2,), features=tuple(Feature(n, "numeric", -20, 20) for n in "ab"))
    single = lk.data.Split(x.astype(np.float32), (x.sum(1) > 0).astype(np.int64), schema, ("less", "more"), "sums")
    double = replace(single, x=x)
    layer = nn.Linear(2, 2, bias=False)
    layer.weight.data = torch.tensor([[-1.0, -1.0], [1.0, 1.0]])
    model = lk.wrap(layer, classes=single.classes)
    one, other = (lk.attack(model, d[:20], "tabular_search", eps=0.3, background=d) for d in (single, double))
    assert one.success.sum() > 5 and np.array_equal(one.success, other.success) and not other.warnings


def test_a_row_that_no_change_breaks_is_certified_without_end() -> None:
    layer = nn.Linear(7, 2)
    layer.weight.data.zero_()
    layer.bias.data = torch.tensor([3.0, 0.0])
    model, x = lk.wrap(layer, classes=("a", "b")), people(20, 2)
    rows = lk.data.Split(x, np.arange(20) % 2, SCHEMA, ("a", "b"), "people")
    found = lk.certify(model, rows, "exhaustive", background=replace(rows, x=BACKGROUND, y=np.arange(120) % 2))
    assert np.array_equal(found.radius, np.where(rows.y == 0, np.inf, 0.0))
    assert "eps infinity, half of them to infinity" in lk.says(found)
    assert all(np.isfinite(np.asarray(trace.x, float)).all() for trace in lk.figure(found).data)
