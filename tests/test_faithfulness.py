"""Faithfulness measures against closed forms, libraries and slow derivations, and the checks that read them."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import labkit as lk
from labkit.analyses._explain.faithful import _edge, _sobel
from labkit.checks import applies_to
from labkit.checks._examples import Share
from labkit.core import registry
from labkit.core.draws import Draws
from labkit.faithfulness import _fills, infidelity, sensitivity_n
from labkit.faithfulness._curves import _towards
from labkit.faithfulness._redrawn import layers_from_the_top, redrawn
from labkit.faithfulness._worth import worth
from labkit.records.explain import Explanation, Score
from labkit.views._static import svg

ROWS = 10


@pytest.fixture(scope="module")
def linear():
    """Ten numbers, two classes, a baseline that is not zero."""
    torch.manual_seed(0)
    return lk.wrap(nn.Linear(10, 2), classes=["no", "yes"], baseline=np.full(10, 0.5, np.float32))


@pytest.fixture(scope="module")
def numbers() -> np.ndarray:
    return np.random.default_rng(0).normal(size=(ROWS, 10)).astype(np.float32)


@pytest.fixture(scope="module")
def everything(mlp, digits) -> Explanation:
    """Occlusion with every measure."""
    given = {"evidence": lk.names("faithfulness"), "background": digits.train[:100]}
    return lk.explain(mlp, digits.test[:ROWS], "occlusion", **given)


def random_map(x: Tensor, generator: Draws) -> Tensor:
    return torch.from_numpy(generator.normal(*x.shape[1:]))


def findings(record, check, **thresholds):
    return {f.subject: f for f in lk.check(record, only=[check], thresholds={check: thresholds})}


# What is left of the target.


def test_worth_is_a_probability_or_the_share_of_the_change(mlp, digits):
    x, target = torch.tensor(digits.test.x[:3]), torch.tensor([1, 2, 3])
    empty = torch.zeros_like(x)
    proba = worth(mlp, x, target, empty)(mlp(torch.cat([x, empty])))
    np.testing.assert_allclose(proba[:3], mlp(x).softmax(1)[range(3), target], rtol=1e-5)
    values = worth(replace(mlp, outputs="values"), x, target, empty)
    np.testing.assert_allclose(values(mlp(torch.cat([x, empty]))), [1, 1, 1, 0, 0, 0], atol=1e-6)
    halfway = (mlp(x) + mlp(empty)) / 2
    np.testing.assert_allclose(values(halfway), 0.5, atol=1e-6)
    assert worth(replace(mlp, outputs="values"), empty, target, empty)(mlp(x)).isnan().all()


def test_a_regression_is_deleted_by_the_share_of_its_change(numbers):
    net = nn.Sequential(nn.Linear(10, 1), nn.Flatten())
    model = lk.wrap(net, classes=["price"], outputs="values")
    score = lk.explain(model, numbers, "occlusion", evidence="deletion").scores["deletion"]
    np.testing.assert_allclose(score.more["curve"][:, [0, -1]], [[1, 0]] * ROWS, atol=1e-5)
    assert (score.values < score.controls["random"].values).all()  # no order is steeper, also where the price falls
    change, values = torch.tensor([-1.0, -1, 1]), torch.tensor([[1.0, -2], [1, 2], [1, -2]])
    assert _towards(values, change).tolist() == [[-1, 2], [1, 2], [1, -2]]


# Deletion and insertion.


def test_insertion_is_drawn_by_hand_with_both_fills(everything, mlp):
    score = everything.scores["insertion"]
    order = np.argsort(-everything.attribution[2].ravel(), kind="stable")
    order = order[everything.x[2].ravel()[order] != 0]
    heights = []
    for step in range(21):
        x = np.zeros(64, np.float32)
        first = order[: int(np.ceil(len(order) * step / 20))]
        x[first] = everything.x[2].ravel()[first]
        heights.append(mlp(torch.tensor(x).reshape(1, 1, 8, 8)).softmax(1)[0, everything.target[2]].item())
    np.testing.assert_allclose(score.more["curve"][2], heights, atol=1e-5)
    assert score.values[2] == pytest.approx(np.trapezoid(heights, dx=1 / 20), abs=1e-5)
    np.testing.assert_allclose(score.more["difference"], score.more["noise"] - score.values)
    assert (score.values > everything.scores["deletion"].values).all()


def test_the_second_fill_fits_the_kind_of_input(mlp, linear, numbers):
    name, noise = _fills.second_fill(mlp, torch.zeros(5, 1, 8, 8), None, Draws(0, 5))
    assert name == "noise" and 0 <= noise.min() < 0.1 and 0.9 < noise.max() <= 1
    background = torch.arange(40.0).reshape(4, 10)
    name, rows = _fills.second_fill(linear, torch.tensor(numbers), background, Draws(0, ROWS))
    assert name == "background" and {tuple(r.tolist()) for r in rows} <= {tuple(r.tolist()) for r in background}
    assert _fills.second_fill(linear, torch.tensor(numbers), None, Draws(0, ROWS)) == ()
    words = torch.tensor([[5, 6, 7, 8, 9, 0, 0, 0]] * 40)
    name, texts = _fills.second_fill(replace(linear, padding=0), words, None, Draws(0, 40))
    assert name == "shuffled" and (texts[:, 5:] == 0).all() and set(texts[:, :5].flatten().tolist()) == {5, 6, 7, 8, 9}


# Sums over what is taken away.


def test_a_linear_model_has_sensitivity_one_and_infidelity_zero(linear, numbers):
    record = lk.explain(linear, numbers, "integrated_gradients", evidence=["sensitivity_n", "infidelity"])
    n, infidel = record.scores["sensitivity_n"], record.scores["infidelity"]
    np.testing.assert_allclose(n.values, 1, atol=1e-5)
    np.testing.assert_allclose(infidel.values, 0, atol=1e-5)
    assert abs(n.controls["random"].values.mean()) < 0.3 and (n.controls["constant"].values == 0).all()
    assert (infidel.controls["random"].values > 0.3).all()


def test_infidelity_is_captums_as_a_share_and_minds_no_scale(mlp, digits):
    from captum.metrics import infidelity as captums

    x, target = torch.tensor(digits.test.x[:4]), torch.tensor([1, 2, 3, 4])
    baseline = torch.zeros_like(x)
    attribution = torch.tensor(lk.explain(mlp, digits.test.x[:4], "saliency", target.numpy(), evidence=()).attribution)
    given = (mlp, x, target, baseline, attribution, Draws(3, 4), 256, {})
    own = infidelity.infidelity(*given, removals=32)
    scaled = infidelity.infidelity(*given[:4], 1e4 * attribution, *given[5:7], {}, removals=32)
    np.testing.assert_allclose(own, scaled, rtol=1e-6)

    where = x.flatten(1) != 0
    masks = [where & infidelity._part(x, where, Draws(3, 4).spawn(i)) for i in range(32)]
    gone = torch.stack(masks).reshape(32, 4, 1, 8, 8)
    falls = torch.stack([(mlp(x) - mlp(torch.where(m, baseline, x)))[range(4), target] for m in gone])

    def perturb(inputs):  # captum asks for all draws of a row in turn
        mask = gone.transpose(0, 1).flatten(0, 1).float()
        return mask, torch.where(mask.bool(), 0, inputs)

    theirs = captums(mlp, perturb, x, attribution, target=target, n_perturb_samples=32, normalize=True)
    sums = (gone * attribution).sum((2, 3, 4))
    share = torch.where((sums * falls).sum(0) > 0, theirs / falls.square().mean(0), 1)  # captum also turns maps round
    np.testing.assert_allclose(own, share, rtol=1e-3)
    assert (own < 1).any()


def test_sensitivity_n_is_pearsons_correlation(mlp, digits):
    x, target = torch.tensor(digits.test.x[:2]), torch.tensor([1, 2])
    attribution = torch.rand(2, 1, 8, 8)
    given = (mlp, x, target, torch.zeros_like(x), attribution, Draws(0, 2), 7)
    own = sensitivity_n.sensitivity_n(*given, {}, subsets=8)
    for row in range(2):
        lit = x[row].flatten().nonzero()[:, 0]
        each = []
        for i, share in enumerate(sensitivity_n.SHARES):
            sums, falls = [], []
            for j in range(8):
                where = (x != 0).flatten(1)
                ranks = sensitivity_n.random_ranks(where, Draws(0, 2).spawn(8 * i + j))[row]
                gone = lit[ranks[lit] < round(share * len(lit))]
                without = x[row].flatten().clone()
                without[gone] = 0
                falls.append((mlp(x[[row]]) - mlp(without.reshape(1, 1, 8, 8)))[0, target[row]].item())
                sums.append(attribution[row].flatten()[gone].sum().item())
            each.append(np.corrcoef(sums, falls)[0, 1])
        assert own[row] == pytest.approx(np.mean(each), abs=1e-4)


def test_the_model_is_asked_once_for_all_maps(mlp, digits, monkeypatch):
    asked = []
    monkeypatch.setattr(sensitivity_n, "falls", lambda *given: asked.append(1) or torch.rand(72, 3))
    lk.explain(mlp, digits.test[:3], "saliency", evidence="sensitivity_n")
    assert len(asked) == 1  # and not five times


# Steadiness.


def test_max_sensitivity_of_a_gradient_that_is_the_input(numbers):
    class Half(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return torch.stack([x.square().sum(1) / 2, x.sum(1)], 1)

    model = lk.wrap(Half(), classes=["a", "b"])
    record = lk.explain(model, numbers, "saliency", 0, signed=True, evidence="max_sensitivity")
    draws = Draws(0, ROWS).spawn(1)
    moves = [0.02 * (2 * draws.spawn(i).uniform(10) - 1) * np.abs(numbers) for i in range(4)]
    sizes = np.array([np.linalg.norm(move, axis=1) for move in moves]).max(0) / np.linalg.norm(numbers, axis=1)
    np.testing.assert_allclose(record.scores["max_sensitivity"].values, sizes, rtol=1e-4)
    (found,) = findings(record, "beats_controls").values()
    assert found.status == "not_measured" and "prefers a constant map" in found.says


def test_a_seed_matters_to_what_is_noise_and_not_to_what_draws_nothing(mlp, digits):
    def noisy(x: Tensor, generator: Draws) -> Tensor:
        return x + 0.5 * torch.from_numpy(generator.normal(*x.shape[1:]))

    noise, steady = (
        lk.explain(mlp, digits.test[:ROWS], method, evidence="seed_stability") for method in (noisy, "kernel_shap")
    )
    assert noise.scores["seed_stability"].values.max() < 0.8 < steady.scores["seed_stability"].values.min()
    assert findings(noise, "stability")["seed"].status == "does_not_meet"
    assert findings(steady, "stability")["seed"].status == "meets"
    none = lk.explain(mlp, digits.test[:3], "saliency", evidence=["seed_stability", "baseline_stability"])
    assert {f.status for f in findings(none, "stability").values()} == {"not_applicable"}


def test_other_baselines_are_named_and_pass_no_verdict(everything, mlp, digits):
    score = everything.scores["baseline_stability"]
    assert set(score.more) == {"mean", "blurred"}
    np.testing.assert_allclose(score.values, np.mean(list(score.more.values()), 0))
    mean = np.broadcast_to(digits.test.x[:ROWS].mean((1, 2, 3), keepdims=True), digits.test.x[:ROWS].shape)
    other = lk.explain(mlp, digits.test.x[:ROWS], "occlusion", baseline=mean, evidence=()).attribution
    from scipy.stats import spearmanr

    lit = digits.test.x[4].ravel() != 0
    expected = spearmanr(everything.attribution[4].ravel()[lit], other[4].ravel()[lit]).statistic
    assert score.more["mean"][4] == pytest.approx(expected, abs=1e-6)
    assert findings(everything, "stability")["baseline"].status == "info"


# Models that forget.


def test_the_cascade_begins_at_the_top_and_ends_where_all_is_random(everything, mlp):
    score = everything.scores["cascading_weights"]
    curve, share = score.more["curve"], score.more["redrawn"]
    np.testing.assert_allclose(curve[:, 0], 1)
    np.testing.assert_allclose(curve[:, -1], everything.scores["randomized_weights"].values)
    np.testing.assert_allclose(score.values, curve[:, 1:].mean(1))
    np.testing.assert_allclose(share[0], [0, 0.5, 1])
    top = redrawn(mlp.module, 0, layers_from_the_top(mlp.module)[:1])
    kept = [torch.equal(a, b) for a, b in zip(mlp.module.parameters(), top.parameters())]
    assert kept == [True, True, False, False]
    assert findings(everything, "cascading_weights")[""].status == "meets"


def test_a_map_that_follows_the_first_layer_alone_is_caught_by_the_cascade(mlp, digits):
    def first_layer(model, x: Tensor) -> Tensor:
        weights = next(iter(model.module.parameters()), torch.ones(1, 64)).abs().sum(0)
        return x * weights.reshape(x.shape[1:]) if weights.numel() == 64 else x

    evidence = ["cascading_weights", "planted_truth"]
    record = lk.explain(mlp, digits.test[:ROWS], first_layer, evidence=evidence)
    assert (record.scores["cascading_weights"].more["curve"][:, 1] == 1).all()
    assert findings(record, "cascading_weights")[""].status == "does_not_meet"


def test_permuted_labels_are_learned_by_a_copy_and_the_map_changes(everything, mlp, digits):
    score = everything.scores["randomized_labels"]
    assert score.more["learned"][0] >= 0.9 and score.more["kept"][0] < 0.4
    assert len(set(score.more["learned"])) == 1 and score.values.mean() < 0.7
    np.testing.assert_allclose(score.controls["input"].values, 1)
    assert findings(everything, "randomized_labels")[""].status == "meets"
    assert not any(p.requires_grad for p in mlp.module.parameters())
    bare = lk.explain(mlp, digits.test[:3], "saliency", evidence="randomized_labels")
    found = findings(bare, "randomized_labels")[""]
    assert found.status == "not_measured" and "no background" in found.says
    copied = lk.explain(
        mlp, digits.test[:ROWS], lambda x: x, background=digits.train[:100], evidence="randomized_labels"
    )
    assert findings(copied, "randomized_labels")[""].status == "does_not_meet"


def test_batch_size_changes_no_measure(everything, mlp, digits):
    few = lk.explain(
        mlp,
        digits.test[:ROWS],
        "occlusion",
        evidence=lk.names("faithfulness"),
        background=digits.train[:100],
        batch_size=3,
    )
    for name, score in everything.scores.items():
        if name != "randomized_labels":  # training amplifies rounding
            np.testing.assert_allclose(few.scores[name].values, score.values, atol=1e-4, err_msg=name)


# Controls and checks.


def test_edges_are_sobels_and_elsewhere_differences(linear, mlp, numbers):
    from scipy.ndimage import sobel

    x = torch.rand(2, 3, 6, 5, dtype=torch.float64)
    for image, found in zip(x.reshape(6, 6, 5).numpy(), _sobel(x).reshape(6, 6, 5).numpy()):
        across, down = (sobel(image, axis, mode="nearest") for axis in (0, 1))
        np.testing.assert_allclose(found, np.hypot(across, down))
    steps = np.abs(np.diff(numbers, axis=1, prepend=numbers[:, :1]))
    np.testing.assert_allclose(_edge(linear, torch.tensor(numbers)), steps, rtol=1e-6)


def scored(record, **wins) -> Explanation:
    """A deletion score, lower is better, in which the method and the controls have these values."""
    rows = {name: np.broadcast_to(np.asarray(v, float), (len(record),)) for name, v in wins.items()}
    controls = {name: Score(values=values) for name, values in rows.items() if name != "own"}
    return replace(record, scores={"deletion": Score(values=rows["own"], better="lower", controls=controls)})


@pytest.mark.parametrize(
    ("values", "status", "word"),
    [
        ({"own": 0.1, "random": 0.5, "constant": 0.5, "input": 0.4, "edge": 0.5}, "meets", "Better"),
        ({"own": 0.6, "random": 0.5, "constant": 0.5, "input": 0.7, "edge": 0.7}, "does_not_meet", "explains nothing"),
        ({"own": 0.1, "random": 0.5, "constant": 0.0, "input": 0.4, "edge": 0.5}, "not_measured", "a constant map"),
        ({"own": 0.2, "random": 0.5, "constant": 0.5, "input": 0.1, "edge": 0.5}, "not_measured", "copy of the input"),
        ({"own": 0.2, "random": 0.5, "constant": 0.5, "input": 0.4, "edge": 0.1}, "not_measured", "edges"),
        ({"own": 0.2, "random": 0.5, "constant": 0.5, "input": 0.2, "edge": 0.4}, "meets", "about as well"),
        ({"own": 0.6, "random": 0.5, "constant": 0.5, "input": 0.1, "edge": 0.7}, "does_not_meet", "explains nothing"),
    ],
)
def test_a_score_that_ranks_a_control_first_is_struck_out(everything, values, status, word):
    (found,) = findings(scored(everything, **values), "beats_controls").values()
    assert found.status == status and word in found.says


def test_an_accusation_is_sure_at_one_percent_over_all_that_is_compared():
    assert Share(0, 8).surely_few() and not Share(0, 8).surely_few(8) and Share(0, 10).surely_few(8)
    assert Share(0, 8).side() == "few" and Share(8, 8).surely_most() and not Share(1, 8).surely_few()
    rng = np.random.default_rng(0)
    hits = rng.binomial(12, 0.5, (4000, 8))  # eight comparisons of maps that are as good as chance
    accused = np.mean([any(Share(h, 12).surely_few(8) for h in row) for row in hits])
    assert accused <= 0.015


def test_a_second_fill_does_not_accuse(everything):
    score = everything.scores["deletion"]
    lost = {"noise": score.controls["random"].more["noise"] + 0.1, "curve": score.more["curve"]}
    record = replace(everything, scores={"deletion": replace(score, more=lost)})
    found = findings(record, "beats_controls")
    assert found["deletion"].status == "meets" and found["deletion, noise"].status == "inconclusive"
    assert "its own baseline" in found["deletion, noise"].says


def test_a_map_that_asks_no_model_misses_the_planted_truth(everything, mlp, digits):
    assert findings(everything, "planted_truth")[""].status == "meets"
    random = lk.explain(mlp, digits.test[:24], random_map, evidence="planted_truth")
    assert findings(random, "planted_truth")[""].status == "does_not_meet"
    copied = lk.explain(mlp, digits.test[:24], lambda x: x, evidence="planted_truth")
    assert findings(copied, "planted_truth")[""].status == "does_not_meet"


def test_one_empty_map_of_ten_may_be_chance(everything):
    maps = everything.attribution.copy()
    maps[0] = 0
    assert findings(replace(everything, attribution=maps), "zero_map")[""].status == "inconclusive"
    maps[:5] = 0
    assert findings(replace(everything, attribution=maps), "zero_map")[""].status == "does_not_meet"


def test_what_is_costly_is_taken_when_asked(mlp, digits):
    assert "max_sensitivity" not in lk.explain(mlp, digits.test[:2], "saliency").scores
    costly = lk.explain(mlp, digits.test[:2], "saliency", evidence=["max_sensitivity"])
    assert list(costly.scores) == ["max_sensitivity"]


# Agreement.


@pytest.fixture(scope="module")
def agreed(mlp, digits):
    return lk.agreement(mlp, digits.test[:6], ["occlusion", "integrated_gradients", "terms", lambda x: -x], share=0.2)


def test_agreement_is_derived_by_hand(agreed, mlp, digits):
    from scipy.stats import spearmanr

    assert agreed.methods == ("occlusion", "integrated_gradients", "<lambda>", "random")
    assert agreed.excluded == ("terms",) and "no sum of terms" in agreed.reasons[0]
    maps = [lk.explain(mlp, digits.test[:6], m, evidence=()).attribution for m in agreed.methods[:2]]
    for i in range(6):
        lit = digits.test.x[i].ravel() != 0
        a, b = (m[i].ravel()[lit] for m in maps)
        first, other = (set(np.argsort(-np.abs(v))[: round(0.2 * lit.sum())]) for v in (a, b))
        shared = first & other
        assert agreed.top[i, 0, 1] == pytest.approx(len(shared) / len(first))
        same = [p for p in shared if np.sign(a[p]) == np.sign(b[p])]
        assert agreed.sign[i, 0, 1] == pytest.approx(len(same) / len(first))
        assert agreed.rank[i, 0, 1] == pytest.approx(spearmanr(a, b).statistic)
    for values in (agreed.top, agreed.sign, agreed.rank):
        np.testing.assert_allclose(values, values.transpose(0, 2, 1), atol=1e-12)
        np.testing.assert_allclose(np.diagonal(values, axis1=1, axis2=2), 1)
    assert abs(agreed.rank[:, :-1, -1].mean()) < 0.25 < agreed.rank[:, 0, 1].mean()


def test_agreement_is_told_drawn_and_kept(agreed, mlp, digits, tmp_path):
    assert lk.load(lk.save(agreed, tmp_path / "a.lk")).digest == agreed.digest
    again = lk.agreement(mlp, digits.test[:6], ["occlusion", "integrated_gradients", "terms", lambda x: -x], share=0.2)
    assert again.digest == agreed.digest
    sentence = lk.says(agreed)
    assert "3 pairs and 6 examples" in sentence and "random map" in sentence and "(" in sentence
    rows = lk.rows(agreed)
    assert len(rows) == 6 and rows["rank"][0] == pytest.approx(agreed.rank[:, 0, 1].mean())
    figure = lk.figure(agreed)
    assert len(figure.data) == 3 and "integrated gradients" in svg(figure, name="f")
    with pytest.raises(lk.Refused, match="at least two methods"):
        lk.agreement(mlp, digits.test[:2], ["occlusion", "terms"])
    with pytest.raises(lk.Refused, match="share"):
        lk.agreement(mlp, digits.test[:2], share=0)


# The page of false alarms.


def test_the_page_of_false_alarms_is_about_the_checks_there_are():
    page = (Path(__file__).parent.parent / "docs" / "false_alarms.md").read_text()
    table = page.split("## Sound explanations")[1].split("##")[0]
    rows = {cells[0]: cells[1:] for cells in re.findall(r"^\| (\w+) \| (\d+) \| (\d+) \| ([\d.%–]+)", table, re.M)}
    there = {n for n in lk.names("checks") if applies_to(registry.find("checks", n)) is Explanation}
    assert set(rows) == there
    for name, (judged, alarms, _) in rows.items():
        assert int(alarms) <= 0.01 * int(judged), name
