"""Methods that take parts away: closed forms, orders counted one by one, libraries, and errors that are what they say."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache, partial
from itertools import permutations
from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor, nn

import labkit as lk
from labkit.attributions import lime as lime_module
from labkit.attributions import rise as rise_module
from labkit.attributions._coalitions import games
from labkit.attributions._designs import BLOCK, Design
from labkit.attributions._permutations import widened
from labkit.attributions._regions import hierarchy, regions
from labkit.core import registry
from labkit.core.draws import Draws
from labkit.core.method import needs, params

SHAPLEY = ("kernel_shap", "permutation_shapley", "owen_shapley", "exact_shapley")
GAMES = (*SHAPLEY, "feature_ablation", "lime")
SAMPLED = ("kernel_shap", "permutation_shapley", "owen_shapley", "lime", "rise")
ALL = (*GAMES, "rise", "occlusion")


class Scalar(nn.Module):
    """One column of output: a function of each row, as a regressor gives it. Counts the rows of each pass."""

    def __init__(self, f: Callable[[Tensor], Tensor], **about: Any) -> None:
        super().__init__()
        self.f, self.passes = f, []
        vars(self).update(about)

    def forward(self, x: Tensor) -> Tensor:
        self.passes.append(len(x))
        return self.f(x)[:, None]


def scalar(f: Callable[[Tensor], Tensor], padding: int | None = None, **about: Any) -> lk.models.Classifier:
    return lk.models.Classifier(Scalar(f, **about).eval(), ("value",), padding=padding)


def asked(name: str, model: lk.models.Classifier, x: Any, seed: int = 0, rows: Any = None, **given: Any) -> tuple:
    """Values and facts of a method, with a baseline of zeros and nothing else unless it is given."""
    method = registry.find("attributions", name)
    x = torch.as_tensor(x if isinstance(x, Tensor) else np.asarray(x))
    x = x.float() if x.dtype == torch.float64 else x
    offered = {
        "model": model,
        "x": x,
        "target": torch.zeros(len(x), dtype=torch.int64),
        "baseline": torch.zeros_like(x),
        "features": None,
        "generator": Draws(seed, len(x) if rows is None else rows),
        "batch_size": 256,
    }
    offered |= {k: given.pop(k) for k in list(given) if k in offered}
    found = method(**{k: offered[k] for k in needs(method)}, **given)
    return found if isinstance(found, tuple) else (found, {})


def by_every_order(f: Callable[[Tensor], Tensor], x: np.ndarray, allowed: Callable[[tuple], bool] = lambda _: True):
    """What each entry adds to those before it, averaged over all orders that are allowed; absent entries are 0."""

    @cache
    def worth(present: frozenset) -> float:
        row = torch.zeros(1, len(x))
        row[0, list(present)] = torch.tensor(x[list(present)])
        return float(f(row))

    orders = [o for o in permutations(range(len(x))) if allowed(o)]
    total = np.zeros(len(x))
    for order in orders:
        for place, entry in enumerate(order):
            total[entry] += worth(frozenset(order[: place + 1])) - worth(frozenset(order[:place]))
    return total / len(orders)


def listed(coalitions: Tensor) -> Design:
    return Design(coalitions.shape[1], lambda first, last: coalitions[first:last])


def tangled(v: Tensor) -> Tensor:
    return v[:, 0] * v[:, 1] * v[:, 2] + torch.relu(v[:, 3] - v[:, 4]) + v[:, 1] * v[:, 5] + v[:, 5]


WIDE = torch.randn(11, 30, generator=torch.Generator().manual_seed(0)) / 3
OUT = torch.randn(30, generator=torch.Generator().manual_seed(1))


def wide(v: Tensor) -> Tensor:
    """Eleven entries that interact in every way."""
    return torch.tanh(v @ WIDE) @ OUT + v[:, 0] * v[:, 1] * v[:, 2]


@pytest.fixture(scope="module")
def eleven() -> np.ndarray:
    return np.random.default_rng(4).normal(1, 1, (4, 11)).astype(np.float32)


def test_exact_shapley_is_the_mean_over_every_order():
    x = np.random.default_rng(0).normal(1, 1, (2, 6)).astype(np.float32)
    x[1, 2] = 0  # a player less
    values, facts = asked("exact_shapley", scalar(tangled), x)
    np.testing.assert_allclose(values, [by_every_order(tangled, row) for row in x], atol=1e-5)
    assert facts["samples"].tolist() == [2**6 - 2, 2**5 - 2] and values[1, 2] == 0


def test_exact_shapley_is_captums_by_groups_of_pixels(cnn, digits):
    from captum.attr import ShapleyValues

    x = torch.tensor(digits.test.x[:1])
    features = (torch.arange(8) // 3).expand(1, 8, 8).contiguous()
    target = cnn(x).argmax(1)
    oracle = ShapleyValues(cnn).attribute(x, target=target, feature_mask=features[None])
    values, _ = asked("exact_shapley", cnn, x, target=target, features=features)
    for k in range(3):
        where = features[None] == k
        assert values[where].sum() == pytest.approx(oracle[where][0].item(), abs=1e-5)
        lit = values[where & (x != 0)]
        assert lit.max() == lit.min() and not values[where & (x == 0)].any()


def test_exact_shapley_is_shaps_where_that_is_installed(eleven):
    shap = pytest.importorskip("shap")

    def worth(rows: np.ndarray) -> np.ndarray:
        return wide(torch.tensor(rows, dtype=torch.float32)).numpy()

    oracle = shap.KernelExplainer(worth, np.zeros((1, 11), np.float32))
    oracle = oracle.shap_values(eleven[:1], nsamples=2**11, l1_reg=False, silent=True)  # all coalitions
    np.testing.assert_allclose(asked("exact_shapley", scalar(wide), eleven[:1])[0], oracle, atol=1e-4)


def test_exact_shapley_takes_twelve_features_and_names_another_method_for_more():
    model = scalar(lambda v: v.prod(1))
    values, _ = asked("exact_shapley", model, np.ones((1, 12)))
    np.testing.assert_allclose(values, 1 / 12)
    with pytest.raises(lk.Refused, match="permutation_shapley") as refusal:
        asked("exact_shapley", model, np.ones((1, 13)))
    assert "13 features" in refusal.value.given
    groups = torch.arange(13) // 7
    np.testing.assert_allclose(asked("exact_shapley", model, np.ones((1, 13)), features=groups)[0].sum(), 1)


@pytest.mark.parametrize("name", GAMES)
def test_a_linear_score_gives_each_entry_its_own_part_at_once(name):
    x, start = torch.randn(3, 15), torch.randn(3, 15)
    w = torch.randn(15)
    given = {"strength": 0} if name == "lime" else {}
    if name == "exact_shapley":
        x, start, w = x[:, :9], start[:, :9], w[:9]
    values, facts = asked(name, scalar(lambda v: v @ w), x, baseline=start, **given)
    np.testing.assert_allclose(values, w * (x - start), atol=1e-4)
    assert facts["standard_error"].abs().max() < 1e-4
    assert name == "exact_shapley" or facts["samples"].max() < 300


@pytest.mark.parametrize("name", ["kernel_shap", "permutation_shapley", "owen_shapley"])
def test_interactions_of_two_are_shared_in_halves_without_error(name):
    """Pairs of complements and of opposite orders leave no noise of second order."""
    x = torch.randn(2, 16)
    a = torch.randn(16, 16).triu(1)
    values, facts = asked(name, scalar(lambda v: ((v @ a) * v).sum(1)), x)
    np.testing.assert_allclose(values, x * (x @ (a + a.T)) / 2, atol=1e-4)
    assert facts["standard_error"].max() < 1e-4 and facts["samples"].max() <= 2 * (16 + 32) * 3


@pytest.mark.parametrize("name", SHAPLEY)
def test_what_k_entries_do_only_together_is_shared_equally_and_null_players_get_nothing(name):
    x = torch.ones(1, 11)
    x[0, 7] = 0
    given = {} if name == "exact_shapley" else {"tolerance": 1e-4}
    values, _ = asked(name, scalar(lambda v: 3 * v[:, :4].prod(1) + 0 * v[:, 9]), x, **given)
    near = 1e-6 if name in ("kernel_shap", "exact_shapley") else 0.25
    np.testing.assert_allclose(values[0, :4], 0.75, atol=near)
    np.testing.assert_allclose(values[0, 4:], 0, atol=1e-6)


@pytest.mark.parametrize("name", ["kernel_shap", "permutation_shapley", "owen_shapley"])
def test_a_stated_standard_error_is_the_error(name, eleven):
    truth = asked("exact_shapley", scalar(wide), eleven)[0]
    most = 160 if name == "kernel_shap" else 400
    runs = [asked(name, scalar(wide), eleven, seed=s, max_samples=most, tolerance=1e-4) for s in range(25)]
    off = torch.stack([values - truth for values, _ in runs])
    error = torch.stack([facts["standard_error"] for _, facts in runs])
    assert 0.8 < (off / error).square().mean().sqrt() < 1.35
    assert ((off / error).abs() > 4).double().mean() < 0.01
    assert (off.mean(0).abs() < 4.5 * error.square().mean(0).sqrt() / 5).all()  # no bias to be seen
    for values, facts in runs:
        np.testing.assert_allclose(values.sum(1), truth.sum(1), atol=1e-4)
        assert (facts["samples"] <= most).all()


@pytest.mark.parametrize("penalty", ["ridge", "lasso"])
def test_a_fit_is_the_same_in_many_blocks_and_in_one(penalty, monkeypatch):
    """What is spelt out of a design at once is bounded, and no answer depends on by what."""
    from labkit.attributions import _designs
    from labkit.attributions.kernel_shap import _regression

    generator = torch.Generator().manual_seed(0)
    design = torch.rand(300, 6, generator=generator) < 0.5
    worth = torch.randn(3, 300, generator=generator).double()

    def fits() -> list[Tensor]:
        return [
            *lime_module._fitted(listed(design), worth, 0.25, penalty, 0.1),
            *_regression(listed(design), worth, worth[:, 0]),
        ]

    want = fits()
    monkeypatch.setattr(_designs, "BLOCK", 7)
    for got, one in zip(fits(), want, strict=True):
        torch.testing.assert_close(got, one, atol=1e-12, rtol=1e-9)
    held = [len(inside) for _, inside in listed(design).blocks(0, 300, torch.device("cpu"))]
    assert max(held) == 7 and sum(held) == 300 and BLOCK * 600 * 8 < 2**24


@pytest.mark.parametrize("name", SAMPLED)
def test_rows_run_to_the_tolerance_and_leave(name, eleven):
    model, shape = scalar(lambda v: wide(v.flatten(1)[:, :11])), (4, 11)
    x = torch.tensor(eleven)
    x[2, 1:] *= 0.01  # a row that is almost linear
    given = {"max_samples": 800, "tolerance": 0.01}
    if name == "rise":
        x, shape = nn.functional.pad(x, (0, 5)).reshape(4, 1, 4, 4), (4, 1, 4, 4)
        given["tolerance"] = 0.08
    values, facts = asked(name, model, x, **given)
    change = (model(x) - model(torch.zeros_like(x)))[:, 0].abs()
    share = facts["standard_error"].flatten(1).amax(1) / change
    assert values.shape == shape == facts["standard_error"].shape and facts["samples"].shape == (4,)
    left = facts["samples"] < 780
    assert left.any() and (share[left] <= given["tolerance"]).all()
    assert torch.equal(facts["reached"], share <= given["tolerance"]) or name == "rise"
    assert facts["reached"][left].all() and not asked(name, model, x, tolerance=1e-4, max_samples=200)[1]["reached"][0]
    assert len(set(facts["samples"].tolist())) > 1
    tighter = asked(name, model, x, tolerance=given["tolerance"] / 4, max_samples=1600)[1]["samples"]
    assert (tighter >= facts["samples"]).all() and tighter.sum() > facts["samples"].sum()


def test_kernel_shap_is_exact_where_all_coalitions_are_few_enough(eleven):
    truth = asked("exact_shapley", scalar(wide), eleven)[0]
    values, facts = asked("kernel_shap", scalar(wide), eleven, max_samples=2046, tolerance=1e-4)
    np.testing.assert_allclose(values, truth, atol=1e-9)
    assert not facts["standard_error"].any() and (facts["samples"] == 2046).all()
    assert (asked("kernel_shap", scalar(wide), eleven, max_samples=2045, tolerance=1e-4)[1]["samples"] <= 2045).all()


def test_kernel_shap_on_all_pairs_is_the_weighted_least_squares_problem():
    """The constrained regression, solved by another road: the constraint as two rows of huge weight."""
    from labkit.attributions.kernel_shap import _coalitions, _regression

    game = torch.randn(2**7, generator=torch.Generator().manual_seed(3)).double()
    design = _coalitions(7, 0, 67)
    number = (design.long() * 2 ** torch.arange(7)).sum(1)
    pairs = (game[number] - game[127 - number])[None]
    credit, _ = _regression(listed(design), pairs, (game[127] - game[0])[None])
    size = np.arange(2, 6)
    rest = (6 / (size * (7 - size))).sum() / 2 / 60
    weight = np.r_[np.full(7, 1 / 7), np.full(60, rest), np.full(7, 1 / 7), np.full(60, rest), 1e9]
    rows = np.r_[design.numpy(), ~design.numpy(), np.ones((1, 7), bool)].astype(float)
    goal = torch.cat([game[number], game[127 - number], game[[127]]]).numpy() - float(game[0])
    root = np.sqrt(weight)
    oracle = np.linalg.lstsq(rows * root[:, None], goal * root, rcond=None)[0]
    np.testing.assert_allclose(credit[0], oracle, atol=1e-5)


def test_the_first_coalitions_are_the_same_however_many_are_asked_for_and_sizes_follow_the_kernel():
    from labkit.attributions.kernel_shap import _coalitions

    whole = _coalitions(9, 0, 649)
    assert torch.equal(torch.cat([_coalitions(9, 0, 5), _coalitions(9, 5, 90)]), whole[:90])
    design, cpu = Design(9, partial(_coalitions, 9)), torch.device("cpu")
    few = [inside for _, inside in design.blocks(0, 70, cpu)]  # and then more, and then across what is known
    later = [inside for _, inside in design.blocks(30, 649, cpu)]
    assert torch.equal(torch.cat(few), whole[:70]) and torch.equal(torch.cat(later), whole[30:])
    sizes = whole[9:].sum(1).bincount(minlength=9).double() / 640
    share = np.array([0, 0, *(1 / (s * (9 - s)) for s in range(2, 8)), 0])
    np.testing.assert_allclose(sizes, share / share.sum(), atol=0.01)


def test_owen_values_are_the_mean_over_the_orders_in_which_groups_come_in_together():
    x = np.random.default_rng(1).normal(1, 1, (2, 6)).astype(np.float32)
    groups = torch.tensor([0, 1, 0, 2, 1, 2])

    def together(order: tuple) -> bool:
        named = [int(groups[i]) for i in order]
        return named[0] == named[1] and named[2] == named[3]

    values, facts = asked("owen_shapley", scalar(tangled), x, features=groups, max_samples=4000, tolerance=1e-4)
    truth = np.array([by_every_order(tangled, row, together) for row in x])
    np.testing.assert_allclose(values, truth, atol=1e-5)
    assert np.abs(truth - [by_every_order(tangled, row) for row in x]).max() > 0.05, "groups would change nothing"
    assert not facts["standard_error"].any() and (facts["samples"] == 2**6 - 2).all()


def test_owen_values_of_drawn_orders_are_those_of_all_coalitions(eleven):
    """Groups within groups, of which one is left without a player in one row."""
    eleven = eleven.copy()
    eleven[1, [0, 3, 6, 9]] = 0
    groups = torch.arange(11) % 3
    given = {"features": groups, "tolerance": 1e-4}
    exact, all_of_them = asked("owen_shapley", scalar(wide), eleven, max_samples=2046, **given)
    assert not all_of_them["standard_error"].any() and all_of_them["samples"].tolist() == [2046, 126, 2046, 2046]
    runs = [asked("owen_shapley", scalar(wide), eleven, seed=s, max_samples=400, **given) for s in range(15)]
    off = torch.stack([values - exact for values, _ in runs])[:, [0, 2, 3]]
    error = torch.stack([facts["standard_error"] for _, facts in runs])[:, [0, 2, 3]]
    assert 0.8 < (off / error).square().mean().sqrt() < 1.35
    assert (off.mean(0).abs() < 4.5 * error.square().mean(0).sqrt() / 15**0.5).all()
    plain, _ = asked("exact_shapley", scalar(wide), eleven)
    assert (plain - exact).abs().max() > 0.05, "groups would change nothing"


@pytest.mark.parametrize("name", ["kernel_shap", "permutation_shapley", "owen_shapley"])
def test_a_standard_error_of_the_fewest_samples_is_the_error_too(name):
    """As many misses beyond twice the error as a normal variable has, however few samples were asked for."""
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(10, 16), nn.Tanh(), nn.Linear(16, 16), nn.Tanh(), nn.Linear(16, 1))
    model = scalar(lambda v: net(v)[:, 0])
    x = 3 * torch.randn(60, 10)
    truth = asked("exact_shapley", model, x)[0]
    values, facts = asked(name, model, x, max_samples=16, tolerance=1e-4)
    assert (facts["samples"] == (52 if name == "kernel_shap" else 8 * 18)).all() and not facts["reached"].any()
    z = (values - truth) / facts["standard_error"]
    assert 0.75 < z.square().mean().sqrt() < 1.4 and (z.abs() > 2).double().mean() < 0.08


def test_half_of_students_quantile():
    freedom = (7, 15, 31, 127)
    np.testing.assert_allclose([widened(n) for n in freedom], stats.t.ppf(stats.norm.cdf(2), freedom) / 2, rtol=5e-3)


def test_owen_values_of_quadrants_add_up_to_the_quadrants_own_shapley_values(cnn, digits):
    x = torch.tensor(digits.test.x[:2])
    fine, facts = asked("owen_shapley", cnn, x, cells=4, tolerance=0.01, max_samples=3000)
    coarse, _ = asked("exact_shapley", cnn, x, cells=2)
    for rows in (slice(0, 4), slice(4, 8)):
        for columns in (slice(0, 4), slice(4, 8)):
            got, want = (v[:, 0, rows, columns].sum((1, 2)) for v in (fine, coarse))
            assert (got - want).abs().max() < 16 * 4 * facts["standard_error"].max() + 1e-5


def test_a_tree_has_quadrants_halves_words_apart_from_pictures_and_columns_alone():
    model = scalar(lambda v: v.flatten(1)[:, 0])
    leaf, tree = hierarchy(model, torch.zeros(1, 3, 8, 8), None, 4)
    assert leaf.unique().tolist() == list(range(16)) and len(tree) == 3
    quadrant = tree[1][leaf].reshape(3, 8, 8)
    assert all(len(quadrant[:, r : r + 4, c : c + 4].unique()) == 1 for r in (0, 4) for c in (0, 4))
    leaf, tree = hierarchy(model, torch.ones(1, 8, dtype=torch.int64), None, 7)
    assert [level[leaf].unique(return_counts=True)[1].tolist() for level in tree] == [[8], [4, 4], [2] * 4, [1] * 8]
    assert len(hierarchy(model, torch.zeros(1, 12), None, 7)[1]) == 2  # everything, and each column
    both = scalar(lambda v: v[:, 0], picture=(1, 4, 4))
    leaf, tree = hierarchy(both, torch.zeros(1, 20), None, 2)
    assert tree[0][leaf].tolist() == [0] * 16 + [1] * 4 and int(leaf.max()) == 7
    for level in range(1, len(tree)):  # a node stands under one branch
        assert all(len(tree[level - 1][tree[level] == node].unique()) == 1 for node in tree[level])


def test_features_are_columns_words_cells_steps_and_stretches():
    model = scalar(lambda v: v.flatten(1)[:, 0])
    counts = {
        (1, 12): 12,  # a table
        (1, 8000): 49,  # a sound
        (1, 3, 28, 28): 49,
        (1, 12, 29): 29,  # a series, over its channels
        (1, 1, 100): 49,
    }
    for shape, count in counts.items():
        assert len(regions(model, torch.zeros(shape), None, 7).unique()) == count
    assert len(regions(model, torch.zeros(1, 600, dtype=torch.int64), None, 7).unique()) == 600  # words
    assert torch.equal(regions(model, torch.zeros(1, 2, 3), None, 7), torch.tensor([0, 1, 2, 0, 1, 2]))


@pytest.mark.parametrize("penalty", ["ridge", "lasso"])
def test_lime_is_sklearns_weighted_regression(penalty):
    from sklearn.linear_model import Lasso, Ridge
    from sklearn.metrics import r2_score

    generator = torch.Generator().manual_seed(0)
    design = torch.rand(200, 6, generator=generator) < 0.5
    worth = torch.randn(3, 200, generator=generator).double() + design.double() @ torch.randn(6, 3).double()[:, 0] * 2
    credit, _, fit = lime_module._fitted(listed(design), worth, 0.25, penalty, 0.1)
    distance = 1 - np.sqrt(design.double().mean(1).numpy())
    weight = np.exp(-(distance**2) / (2 * 0.25**2))
    weight /= weight.sum()
    here = design.double().numpy() - weight @ design.double().numpy()
    for i in range(3):
        there = worth[i].numpy() - weight @ worth[i].numpy()
        if penalty == "ridge":
            oracle = Ridge(0.1 * (weight @ here**2).mean())
        else:
            oracle = Lasso(0.1 * np.abs((weight * there) @ here).max(), tol=1e-12, max_iter=100_000)
        oracle.fit(design.numpy(), worth[i].numpy(), sample_weight=weight)
        np.testing.assert_allclose(credit[i], oracle.coef_, atol=1e-6)
        score = r2_score(worth[i].numpy(), oracle.predict(design.numpy()), sample_weight=weight)
        assert float(fit[i]) == pytest.approx(score, abs=1e-6)


def test_lime_says_when_a_linear_model_does_not_fit():
    x = np.ones((2, 8))
    flips = scalar(lambda v: (1 - 2 * v).prod(1))  # changes sign with every entry: nothing linear in it
    _, facts = asked("lime", flips, x)
    assert facts["poor_fit"].all() and (facts["fit"] < 0.2).all()
    _, facts = asked("lime", scalar(lambda v: v @ torch.arange(8.0)), x)
    assert not facts["poor_fit"].any() and (facts["fit"] > 0.999).all()


def test_limes_standard_error_is_the_spread_between_seeds(eleven):
    runs = [asked("lime", scalar(wide), eleven, seed=s, max_samples=256, tolerance=1e-4, strength=0) for s in range(30)]
    spread = torch.stack([values for values, _ in runs]).std(0)
    stated = torch.stack([facts["standard_error"] for _, facts in runs]).square().mean(0).sqrt()
    assert 0.8 < (stated / spread).mean() < 1.25


def test_rise_is_the_papers_mean_over_masks_less_the_mean_score(cnn, digits):
    x = torch.tensor(digits.test.x[:2])
    target = cnn(x).argmax(1)
    values, facts = asked("rise", cnn, x, target=target, cells=3, max_samples=128, tolerance=1e-4)
    masks = torch.stack([rise_module._mask(Draws(0, 2).spawn(j), 8, 8, 3, 0.5) for j in range(128)])
    for i in range(2):
        score = cnn(masks[:, i, None].float() * x[i])[:, target[i]].double()
        paper = (score[:, None, None] * masks[:, i]).sum(0) / masks[:, i].sum(0)
        np.testing.assert_allclose(values[i, 0], paper - score.mean(), atol=1e-5)
    assert (facts["samples"] == 128).all()


def test_rise_masks_are_smooth_shifted_and_shown_as_often_as_asked():
    masks = torch.stack([rise_module._mask(Draws(0, 1).spawn(j), 28, 28, 7, 0.3)[0] for j in range(600)])
    assert masks.shape == (600, 28, 28) and masks.min() >= 0 and masks.max() <= 1
    np.testing.assert_allclose(masks.mean(0), 0.3, atol=0.08)
    assert masks.diff(dim=1).abs().max() < 0.5
    still = (masks.diff(dim=1).abs().amax((0, 2)) == 0).any()
    assert not still, "cells that never shift leave lines"


def test_rises_standard_error_is_the_spread_between_seeds(cnn, digits):
    x = torch.tensor(digits.test.x[:1])
    runs = [asked("rise", cnn, x, seed=s, max_samples=64, tolerance=1e-4) for s in range(30)]
    spread = torch.stack([values for values, _ in runs]).std(0)
    stated = torch.stack([facts["standard_error"] for _, facts in runs]).mean(0)
    assert 0.8 < (stated / spread).mean() < 1.25
    with pytest.raises(lk.Refused, match="feature_ablation"):
        asked("rise", scalar(lambda v: v[:, 0]), np.ones((1, 4)))


def test_feature_ablation_is_captums_with_a_mask(cnn, digits):
    from captum.attr import FeatureAblation

    x = torch.tensor(digits.test.x[:3])
    target = cnn(x).argmax(1)
    features = (torch.arange(64) % 5).reshape(1, 8, 8)
    oracle = FeatureAblation(cnn).attribute(x, target=target, feature_mask=features[None])
    values, facts = asked("feature_ablation", cnn, x, target=target, features=features)
    for k in range(5):
        where = (features == k)[None].expand_as(x)
        total = (values * where).sum((1, 2, 3))
        np.testing.assert_allclose(total, oracle[:, features == k][:, 0], atol=1e-5)
    assert (facts["samples"] == 5).all()


def test_padding_is_never_a_player():
    model = scalar(lambda v: v.double().sum(1) + 100 * (v == 0).sum(1), padding=0)
    x, start = torch.tensor([[3, 5, 0, 0]]), torch.ones(1, 4, dtype=torch.int64)
    for name in GAMES:
        values, _ = asked(name, model, x, baseline=start, **({"strength": 0} if name == "lime" else {}))
        np.testing.assert_allclose(values, [[2, 4, 0, 0]], atol=1e-6)


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("kind", ["cnn", "mlp"])
def test_passes_are_bounded_and_answers_the_same_at_any_batch_size_and_in_any_company(name, kind, request, digits):
    model = request.getfixturevalue(kind)
    x = torch.tensor(digits.test.x[:5])
    target = model(x).argmax(1)
    seen: list[int] = []
    hook = model.module.register_forward_pre_hook(lambda _, inputs: seen.append(len(inputs[0])))
    few = {"max_samples": 300} if "max_samples" in {p.name for p in params(registry.find("attributions", name))} else {}
    try:
        want, facts = asked(name, model, x, target=target, batch_size=1000, **few)
        for size in (5, 7, 64):
            seen.clear()
            got, other = asked(name, model, x, target=target, batch_size=size, **few)
            assert max(seen) <= size and len(seen) > 3
            assert (got - want).abs().max() <= 1e-6 * want.abs().max()
            assert all(torch.allclose(other[k].double(), facts[k].double(), atol=1e-4, rtol=1e-3) for k in facts)
    finally:
        hook.remove()
    some = np.array([3, 1])
    alone, _ = asked(name, model, x[some], target=target[some], rows=some, **few)
    assert (alone - want[some]).abs().max() <= 1e-6 * want.abs().max()


def test_rows_of_equally_many_players_share_coalitions_but_not_their_meaning():
    """Two equal rows take the same coalitions with their features in another order: an error is no common one."""
    x = np.tile(np.random.default_rng(0).normal(1, 1, 11), (2, 1))
    values, facts = asked("kernel_shap", scalar(wide), x, max_samples=100, tolerance=1e-4)
    assert (values[0] - values[1]).abs().max() > 0.3 * facts["standard_error"].max()
    same, _ = asked("kernel_shap", scalar(wide), x, max_samples=100, tolerance=1e-4, rows=np.array([0, 0]))
    np.testing.assert_allclose(same[0], same[1], atol=1e-5)


def test_rows_are_gathered_by_their_number_of_players_and_empty_games_are_left_out():
    x = torch.tensor([[1.0, 2, 0], [0, 0, 0], [1, 0, 3], [0, 5, 0]])
    found = list(
        games(scalar(lambda v: v.sum(1)), x, torch.zeros(4).long(), torch.zeros(4, 3), torch.arange(3), None, 8)
    )
    assert [(g.players, g.row.tolist()) for g in found] == [(1, [3]), (2, [0, 2])]
    assert found[1].member.tolist() == [[0, 1, 2], [0, 2, 1]] and found[1].feature.tolist() == [[0, 1], [0, 2]]
    values, facts = asked("kernel_shap", scalar(lambda v: v.sum(1)), x)
    assert torch.equal(values, x.double()) and facts["samples"].tolist() == [2, 0, 2, 0]


def test_occlusion_asks_only_where_a_part_changes_something_and_skips_nothing_else(cnn, digits):
    from captum.attr import Occlusion

    x = torch.tensor(digits.test.x[:4])
    target = cnn(x).argmax(1)
    seen: list[int] = []
    hook = cnn.module.register_forward_pre_hook(lambda _, inputs: seen.append(len(inputs[0])))
    try:
        values, _ = asked("occlusion", cnn, x, target=target, window=2, stride=1)
    finally:
        hook.remove()
    lit = nn.functional.max_pool2d((x != 0).float(), 2, 1)
    assert sum(seen) == 4 + int(lit.sum()) < 4 + 4 * 49
    oracle = Occlusion(cnn).attribute(x, (1, 2, 2), (1, 1, 1), target=target, baselines=0)
    np.testing.assert_allclose(values, oracle, atol=1e-5)


def test_occlusion_of_a_sound_is_by_stretches():
    model = scalar(lambda v: v[:, :40].sum(1))
    values, _ = asked("occlusion", model, np.ones((1, 980)))
    assert model.module.passes[1:] == [97]  # stretches of a 49th, every half of that
    np.testing.assert_allclose(values[0, 50:], 0, atol=1e-5)
    assert (values[0, :35] > 5).all()


class TestDuplicatedFeatures:
    """Two copies of a column share its credit in any way: the check names them, and leaves sound tables alone."""

    @staticmethod
    def explained(x: np.ndarray, *weights: float, method: str = "kernel_shap") -> Any:
        layer = nn.Linear(x.shape[1], 2)
        with torch.no_grad():
            layer.weight.zero_()
            layer.bias.zero_()
            layer.weight[1, : len(weights)] = torch.tensor(weights)
        model = lk.wrap(layer, classes=["no", "yes"])
        return lk.explain(model, x.astype(np.float32), method, target=1, evidence=())

    @staticmethod
    def status(record: Any) -> str:
        (found,) = lk.check(record, only=["duplicated_features"])
        return found.status

    def test_copies_are_named_with_what_they_get_together(self):
        x = np.random.default_rng(0).normal(size=(20, 5))
        x[:, 3] = -2 * x[:, 1] + 0.01 * x[:, 4]
        record = self.explained(x, 1.0, 3.0, 0.5, 1.5, 0.2)
        (found,) = lk.check(record, only=["duplicated_features"])
        assert found.status == "inconclusive" and "feature 1 and feature 3 are near-copies" in found.says
        together = np.abs(record.attribution[:, [1, 3]].sum(1)).mean()
        assert f"{together:.2g} in size" in found.says and found.estimate > 0.99 and "feature 0" not in found.says
        sound = x.copy()
        sound[:, 3] += np.random.default_rng(1).normal(size=20)
        assert self.status(self.explained(sound, 1.0, 3.0, 0.5, 1.5, 0.2)) == "meets"

    def test_three_copies_are_one_group(self):
        x = np.random.default_rng(0).normal(size=(12, 4))
        x[:, 2] = x[:, 0]
        x[:, 3] = x[:, 0] + 1
        (found,) = lk.check(self.explained(x, 1.0, 1.0, 1.0, 1.0), only=["duplicated_features"])
        assert "feature 0 and feature 2 and feature 3" in found.says

    def test_spikes_in_one_row_and_too_few_rows_are_no_copies(self):
        x = np.random.default_rng(0).normal(size=(20, 4))
        x[:, 2:] = 0
        x[7, 2:] = 3, 5  # correlate by 1, as would any two rare events that meet once
        assert self.status(self.explained(x, 1.0, 1.0)) == "meets"
        x[7, :2] = 900, 1000  # and so do two columns whose greatest values are in one row
        assert self.status(self.explained(x, 1.0, 1.0)) == "meets"
        assert self.status(self.explained(np.tile(x[:, :1], (1, 4))[:4] + 1, 1.0)) == "not_measured"

    def test_pictures_are_another_matter(self, cnn, digits):
        record = lk.explain(cnn, digits.test[:3], "saliency", evidence=())
        assert self.status(record) == "not_applicable"

    def test_false_alarms_over_sound_tables_are_rare(self):
        """Tables of independent columns of every kind: counts, categories, rare events, heavy tails."""
        sound = {n: self.explained(np.random.default_rng(n).normal(size=(n, 12)), 1.0) for n in (12, 20, 60)}
        alarms = 0
        for seed in range(200):
            draw, n = np.random.default_rng(seed), (12, 20, 60)[seed % 3]
            columns = [
                draw.normal(size=(n, 2)),
                draw.poisson(1.5, (n, 3)),
                draw.random((n, 3)) < draw.choice([0.05, 0.2, 0.5], 3),
                draw.lognormal(0, 3, (n, 2)),
                draw.lognormal(0, 3, (n, 2)) * (draw.random((n, 2)) < 0.1),
            ]
            x = np.concatenate(columns, 1)
            x[:, 0] += 0.5 * x[:, 1]
            alarms += self.status(replace(sound[n], x=x)) != "meets"
        assert alarms <= 2
