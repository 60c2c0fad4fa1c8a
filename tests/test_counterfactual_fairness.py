"""Counterfactuals under a stated graph: simulated worlds whose counterfactuals are known in closed form."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pytest
import torch
from torch import nn

import labkit as lk
from labkit.analyses._structural.equations import Table, abducted, fit, moved
from labkit.analyses._structural.graph import read
from labkit.data import Dataset, Feature, Schema, Split
from labkit.views._static import svg

CLASSES, SEX, JOB = ("no", "yes"), ("(other)", "men", "women"), ("(other)", "farm", "mill", "shop")
GRAPH = {"sex": [], "u": ["sex"], "v": ["sex", "u"]}
B, C, D = 1.2, 0.7, 0.9  # u = B sex + e; v = C sex + D u + e'


def world(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """(n, 4): sex as the model reads it, u, v, and w that nothing moves; and sex as 0 and 1."""
    g = np.random.default_rng(seed)
    a = g.integers(0, 2, n)
    u = B * a + g.normal(size=n)
    v = C * a + D * u + g.normal(size=n)
    return np.column_stack([a + 1, u, v, g.normal(size=n)]).astype(np.float32), a


def split(x: np.ndarray, a: np.ndarray, name: str, job: bool = False) -> Split:
    sex = Feature("sex", "categorical", categories=SEX)
    last = Feature("job", "categorical", categories=JOB) if job else Feature("w", "numeric")
    features = (sex, Feature("u", "numeric"), Feature("v", "numeric"), last)
    schema = Schema("tabular", "y", (4,), features=features, groups=("sex",))
    return Split(x, np.arange(len(x)) % 2, schema, CLASSES, name, {"sex": np.array(SEX)[a + 1]})


def data(n: int = 1500) -> Dataset:
    return Dataset("world", split(*world(4000, 1), "train"), split(*world(n, 2), "test"))


def linear(weights: Sequence[float], bias: float = 0.0) -> lk.models.Classifier:
    layer = nn.Linear(len(weights), 2)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([[0.0] * len(weights), list(weights)]))
        layer.bias.copy_(torch.tensor([0.0, bias]))
    return lk.wrap(layer, classes=CLASSES, name="linear")


def asked(
    weights: Sequence[float],
    bias: float = 0.0,
    graph: Mapping[str, Sequence[str]] = GRAPH,
    people: Dataset | None = None,
    **options,
):
    given = {"between": ("men", "women"), "positive": "yes", "rows": 1500, "fit_rows": 4000, **options}
    return lk.counterfactual_fairness(linear(weights, bias), people or data(), "sex", graph, **given)


def test_a_linear_world_gives_the_closed_form_for_the_whole_and_for_every_path() -> None:
    weights = np.array([0.5, 1.0, -0.8, 1.0])
    record, (x, a) = asked(weights, -0.7), world(1500, 2)
    z, sign = x @ weights - 0.7, 1 - 2 * a  # men become women: sex goes up by one
    paths = {"direct": weights[0], "through u": (weights[1] + weights[2] * D) * B, "through v": weights[2] * C}
    whole = sum(paths.values())
    rise = {name: 1 / (1 + np.exp(-(z + sign * d))) - 1 / (1 + np.exp(-z)) for name, d in {**paths, "": whole}.items()}
    for g in (0, 1):
        assert record.shift[g] == pytest.approx(rise[""][a == g].mean(), abs=0.01)
        assert record.share[g] == pytest.approx(np.mean(((z + sign * whole > 0) != (z > 0))[a == g]), abs=0.02)
        for k, name in enumerate(record.path):
            assert record.path_shift[k, g] == pytest.approx(rise[name][a == g].mean(), abs=0.015), name
    assert record.draws == 1 and record.path == ("direct", "through u", "through v")
    assert np.allclose(record.promoted + record.demoted, record.share)
    assert np.allclose(record.rest, record.shift - record.path_shift.sum(0))


def test_a_model_of_residuals_is_fair_and_one_of_raw_columns_is_not() -> None:
    """Kusner et al.: what is left of u and v when sex and u are known does not change with sex."""
    fair = asked([-B * 1.0 - C * 0.5, 1.0 - 0.5 * D, 0.5, 0.3])  # (u - B sex) + (v - C sex - D u) / 2 + 0.3 w
    raw = asked([0.0, 1.0, 0.5, 0.3])
    assert fair.share.max() < 0.03 and np.abs(fair.shift).max() < 0.02
    assert raw.share.min() > 0.1
    status = {
        name: [f.status for f in lk.check(r, only=["counterfactually_fair"])] for name, r in (("f", fair), ("r", raw))
    }
    assert status["r"] == ["does_not_meet"] * 2
    assert "does_not_meet" not in status["f"]
    without = fair.edge_share[fair.edges.index("sex → u")]
    assert without.min() > 0.05, "under another graph the same model is not fair, and the record shows it"


def test_a_random_attribute_moves_next_to_nothing_and_a_model_that_reads_nothing_of_it_nothing() -> None:
    raw = asked([0.0, 1.0, 0.5, 0.3])
    assert raw.null_share.max() < 0.05 < raw.through_share.min()
    assert raw.through_shift == pytest.approx(raw.shift), "no direct path: the model does not read sex"
    deaf = asked([0.0, 0.0, 0.0, 1.0])
    assert deaf.share.max() == 0 and [f.status for f in lk.check(deaf, only=["counterfactually_fair"])] == ["meets"] * 2


def test_an_edge_left_out_is_the_analysis_of_the_smaller_graph() -> None:
    record = asked([0.0, 1.0, 0.5, 0.0])
    smaller = asked([0.0, 1.0, 0.5, 0.0], graph={"u": ["sex"], "v": ["u"]})
    at = record.edges.index("sex → v")
    assert np.allclose(record.edge_shift[at], smaller.shift) and np.allclose(record.edge_share[at], smaller.share)
    none = asked([0.0, 1.0, 0.0, 0.0], graph={"u": ["sex"]})
    assert none.edge_shift[0] == pytest.approx(0), "without its only edge nothing descends from sex"


def test_gumbel_noise_keeps_who_stays_and_gives_the_other_worlds_chances() -> None:
    """With the observed column drawn from its chances, the counterfactual one has the chances of the other world."""
    g = np.random.default_rng(0)
    a = g.integers(0, 2, 6000)
    chances = np.array([[0.6, 0.3, 0.1], [0.2, 0.3, 0.5]])
    job = 1 + (g.random(6000)[:, None] > np.cumsum(chances[a], 1)).sum(1)
    x = np.column_stack([a + 1, g.normal(size=(6000, 2)), job]).astype(np.float32)
    made = split(x, a, "jobs", job=True)
    graph = read("a test", "sex", {"job": ["sex"]}, [f.name for f in made.schema.features])
    rows = Table(made.x, a)
    equations = fit(graph, ("job",), rows, made.schema, "linear", 0)
    noise = {"job": abducted(equations["job"], rows, g)}
    same, _ = moved(equations, noise, rows, frozenset(), made.schema)
    assert np.array_equal(same, made.x), "as the attribute is, everybody stays as observed"
    other, _ = moved(equations, noise, rows, frozenset(["job"]), made.schema)
    for group in (0, 1):
        found = np.bincount(other[a == group, 3].astype(int), minlength=4)[1:] / np.sum(a == group)
        assert np.allclose(found, chances[1 - group], atol=0.03)
    # counterfactual stability: a category whose chances rise most is not left
    rises = (a == 0) & (job == 3)
    assert (other[rises, 3] == 3).all()


def test_a_number_with_many_equal_values_keeps_its_rank_and_its_range() -> None:
    """Counts: half of one group have none, a quarter of the other; who stands above others in the one does in the other."""
    g = np.random.default_rng(0)
    a = g.integers(0, 2, 6000)
    count = np.where(g.random(6000) < np.where(a == 0, 0.5, 0.25), 0, g.poisson(3, 6000) + 1)
    x = np.column_stack([a + 1, count, g.normal(size=(6000, 2))]).astype(np.float32)
    made, rows = split(x, a, "counts"), Table(x, a)
    equations = fit(read("a test", "sex", {"u": ["sex"]}, ["u"]), ("u",), rows, made.schema, "linear", 0)
    noise = {"u": abducted(equations["u"], rows, g)}
    same, _ = moved(equations, noise, rows, frozenset(), made.schema)
    other, beyond = moved(equations, noise, rows, frozenset(["u"]), made.schema)
    assert np.array_equal(same, x) and equations["u"].levels is not None and not beyond
    for group in (0, 1):
        found, wanted = (np.bincount(v.astype(int), minlength=30) for v in (other[a == group, 1], x[a != group, 1]))
        assert np.abs(found / found.sum() - wanted / wanted.sum()).max() < 0.04
    men = a == 0
    assert (other[men, 1] >= x[men, 1]).all(), "more women have some, so that no man would have fewer"


def test_trees_find_what_no_line_does() -> None:
    def bent(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
        x, a = world(n, seed)
        x[:, 1] = 2.0 * a * (x[:, 3] > 0) + np.random.default_rng(seed + 9).normal(size=n) * 0.3
        return x, a

    both = Dataset("bent", split(*bent(3000, 1), "train"), split(*bent(600, 2), "test"))
    graph, weights = {"u": ["sex", "w"]}, [0.0, 1.0, 0.0, 0.0]
    x, a = bent(600, 2)
    away = {}
    for equations in ("linear", "trees"):
        r = asked(weights, -1.0, graph, both, equations=equations, placebos=1, rows=600)
        z = x[:, 1] - 1.0
        other = z + 2.0 * (1 - 2 * a) * (x[:, 3] > 0)
        truth = np.array([np.mean(((other > 0) != (z > 0))[a == g]) for g in (0, 1)])
        away[equations] = np.abs(r.share - truth).max(), r.explained[0]
    assert away["trees"][0] < 0.08 < away["linear"][0] and away["trees"][1] > away["linear"][1]


def test_an_attribute_that_is_no_column_moves_what_descends_from_it() -> None:
    x, a = world(1500, 3)
    features = (Feature("u", "numeric", -9, 9), Feature("v", "numeric", -9, 9))
    schema = Schema("tabular", "y", (2,), features=features, groups=("sex",))
    half = Split(x[:, 1:3], np.arange(1500) % 2, schema, CLASSES, "no sex", {"sex": np.array(SEX)[a + 1]})
    record = lk.counterfactual_fairness(
        linear([1.0, 0.5]), half, "sex", GRAPH, between=("men", "women"), positive="yes", rows=400
    )
    assert record.path == ("through u", "through v") and record.share.min() > 0.1
    assert record.n.sum() == 400 and record.fitted == 750, "a Split is halved"


@pytest.mark.parametrize(
    ("graph", "options", "said"),
    [
        ({"u": ["sex", "v"], "v": ["u"]}, {}, "cycle: u → v → u|cycle: v → u → v"),
        ({"sex": ["sex"]}, {}, "cycle"),
        ({"u": ["sex", "age"]}, {}, "one of"),
        ({"v": ["u"]}, {}, "without sex"),
        ({"u": "sex"}, {}, "parents by column"),
        (GRAPH, {"equations": "cubic"}, "trees"),
        (GRAPH, {"draws": 0}, "at least 1"),
        (GRAPH, {"between": ("men", "boys")}, "women"),
        (GRAPH, {"positive": None}, "positive="),
    ],
)
def test_what_cannot_be_asked_is_refused(graph: dict, options: dict, said: str) -> None:
    with pytest.raises(lk.Refused, match=said):
        asked([0.0, 1.0, 0.5, 0.0], 0.0, graph, data(60), **options)


def test_the_same_again_stored_drawn_and_said(tmp_path) -> None:
    record, again = (asked([0.3, 1.0, 0.5, 0.3], seed=5) for _ in range(2))
    assert record.digest == again.digest
    lk.save(record, tmp_path / "cf.lk")
    assert lk.load(tmp_path / "cf.lk").digest == record.digest
    said = lk.says(record)
    assert "stated graph" in said and "hidden common cause" in said
    assert "through u" in svg(lk.figure(record), name="cf")
    assert len(lk.rows(record)) == 2 * (1 + len(record.path) + len(record.edges) + 3)
