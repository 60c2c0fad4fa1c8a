"""Gradient methods: quadrature against dense sums, sampling against closed forms, ReLU rules against Captum."""

from __future__ import annotations

import copy
from dataclasses import replace
from math import erf

import numpy as np
import pytest
import torch
from captum.attr import IntegratedGradients
from scipy.ndimage import gaussian_filter
from scipy.stats import spearmanr
from torch import nn

import labkit as lk
from labkit.attributions import _quadrature, _sampling
from labkit.core import registry
from labkit.core.draws import Draws

SAMPLED = ["expected_gradients", "smoothgrad", "vargrad"]
RULED = ["guided_backprop", "deconvolution"]
METHODS = ["integrated_gradients", "blur_ig", "guided_ig", "saliency", "input_x_gradient", *SAMPLED, *RULED]


class Scalar(nn.Module):
    """Two logits from a function of each row: (0, f(x)). Remembers how many rows each pass took."""

    def __init__(self, f) -> None:
        super().__init__()
        self.f, self.rows = f, []

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.rows.append(len(x))
        value = self.f(x)
        return torch.stack([torch.zeros_like(value), value], 1)


def explained(model, x, name, **options):
    if name == "expected_gradients":
        options.setdefault("background", x[::-1].copy())
    return lk.explain(model, x, name, evidence=(), **options)


def of_function(f, x, name, **options):
    model = lk.wrap(Scalar(f), classes=["no", "yes"])
    return explained(model, np.asarray(x, np.float32), name, target=1, **options)


def test_integrated_gradients_are_the_dense_sum_from_far_fewer_points(cnn, digits):
    x = digits.test.x[:8]
    record = explained(cnn, x, "integrated_gradients")
    z, target = torch.tensor(x), torch.tensor(record.target)
    dense = IntegratedGradients(cnn).attribute(z, target=target, n_steps=1000, internal_batch_size=400).detach().numpy()
    largest = np.abs(dense).max((1, 2, 3))
    assert (np.abs(record.attribution - dense).max((1, 2, 3)) < 0.06 * largest).all()
    gap = np.abs(record.attribution.sum((1, 2, 3)) - record.change) / np.abs(record.change)
    assert gap.max() <= 0.01 + 1e-5
    assert gap.max() > 1e-5, "values that add up exactly were made to"
    assert record.facts["steps"].max() < 64
    closer = explained(cnn, x, "integrated_gradients", tolerance=1e-4)
    assert (np.abs(closer.attribution - dense).max((1, 2, 3)) < 5e-3 * largest).all()
    assert (closer.facts["steps"] >= record.facts["steps"]).all()


def test_misses_that_cancel_end_nothing():
    """Two bumps stand on points of the first round, up on one feature and down on the other: the sum is right."""
    height, width = 4.0, 0.005

    def bump(t, at):
        return height * width * np.pi**0.5 / 2 * torch.erf((t - at) / width)

    record = of_function(
        lambda v: v[:, 0] + bump(v[:, 0], 0.25) + v[:, 1] - bump(v[:, 1], 0.75), [[1, 1]], "integrated_gradients"
    )
    extra = height * width * np.pi**0.5 * erf(0.25 / width)
    np.testing.assert_allclose(record.attribution, [[1 + extra, 1 - extra]], atol=0.03)


def test_a_jump_ends_at_the_most_steps_and_is_withheld():
    record = of_function(
        lambda v: (v[:, 0] > 0.3).float() + 0.1 * v[:, 1], [[1, 1]], "integrated_gradients", max_steps=99
    )
    assert record.status == "not_measured"


def test_gradients_that_are_not_kept_are_computed_again(cnn, digits, monkeypatch):
    options = {"tolerance": 1e-3}
    kept = explained(cnn, digits.test.x[:4], "integrated_gradients", **options)
    monkeypatch.setattr(_quadrature, "KEPT", 20)
    again = explained(cnn, digits.test.x[:4], "integrated_gradients", **options)
    assert (kept.facts["steps"] > 20).any() and np.array_equal(kept.facts["steps"], again.facts["steps"])
    np.testing.assert_allclose(kept.attribution, again.attribution, atol=1e-6)


@pytest.mark.parametrize("name", METHODS)
def test_no_pass_takes_more_rows_than_the_batch_size(name):
    model = lk.wrap(Scalar(lambda v: torch.relu(v).pow(1.5).flatten(1).sum(1).sin()), classes=["no", "yes"])
    x = np.random.default_rng(0).uniform(0.1, 1, (5, 1, 4, 4)).astype(np.float32)
    options = (
        {"samples": 40} if name in SAMPLED else {"tolerance": 1e-3} if name.endswith(("ig", "ed_gradients")) else {}
    )
    explained(model, x, name, target=1, batch_size=6, **options)
    assert max(model.module.rows) <= 6


@pytest.mark.parametrize("name", METHODS)
def test_the_batch_size_changes_nothing(name, cnn, digits):
    x = digits.test.x[:5]
    options = {"bends": 3, "anchors": 1} if name == "guided_ig" else {"max_samples": 200} if name in SAMPLED else {}
    whole = explained(cnn, x, name, batch_size=256, **options)
    largest = np.abs(whole.attribution).max((1, 2, 3), keepdims=True)
    for size in (1, 4):
        parts = explained(cnn, x, name, batch_size=size, **options)
        assert (np.abs(parts.attribution - whole.attribution) <= 1e-6 * largest).all()
        for fact in ("steps", "samples"):
            assert fact not in whole.facts or np.array_equal(parts.facts[fact], whole.facts[fact])


def test_expected_gradients_are_the_mean_of_integrated_gradients_over_the_background(mlp, digits):
    x, background = digits.test.x[:4], digits.train.x[:10]
    record = explained(mlp, x, "expected_gradients", background=background, samples=1500, max_samples=1500)
    z, target = torch.tensor(x), torch.tensor(record.target)
    reached = IntegratedGradients(mlp)
    each = [reached.attribute(z, torch.tensor(b)[None], target=target, n_steps=200).detach() for b in background]
    truth, error = torch.stack(each).mean(0).numpy(), record.facts["standard_error"]
    assert (np.abs(record.attribution - truth) < 5 * error + 1e-4).all()
    assert 0.7 < ((record.attribution - truth) / error)[error > 1e-3].std() < 1.3
    change = mlp(z).gather(1, target[:, None])[:, 0] - mlp(torch.tensor(background)).mean(0)[target]
    np.testing.assert_allclose(record.facts["background_change"], change.detach().numpy(), atol=1e-5)
    np.testing.assert_allclose(truth.sum((1, 2, 3)), record.facts["background_change"], atol=2e-2)
    assert not record.complete


def test_no_more_of_the_background_is_embedded_at_once_than_fits_a_pass():
    net = nn.Sequential(nn.Embedding(12, 4), nn.Flatten(), nn.Tanh(), nn.Linear(24, 3))
    model = lk.wrap(net, classes=["a", "b", "c"], embedding="0")
    seen = []
    layer = model.module.get_submodule("0")
    layer.register_forward_pre_hook(lambda _, inputs: seen.append(len(inputs[0])))
    tokens = np.random.default_rng(0).integers(0, 12, (90, 6))
    explained(model, tokens[:3], "expected_gradients", background=tokens, batch_size=16)
    assert max(seen) <= 16


def test_expected_gradients_over_an_embedding_know_what_they_add_up_to():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Embedding(12, 4), nn.Flatten(), nn.Tanh(), nn.Linear(24, 3))
    model = lk.wrap(net, classes=["a", "b", "c"], embedding="0")
    tokens = np.random.default_rng(0).integers(0, 12, (9, 6))
    options = {"background": tokens[4:], "samples": 2000, "max_samples": 2000}
    record = explained(model, tokens[:4], "expected_gradients", **options)
    usual = net(torch.tensor(tokens[4:])).mean(0)[record.target]
    change = (net(torch.tensor(tokens[:4])).detach().numpy()[range(4), record.target]) - usual.detach().numpy()
    np.testing.assert_allclose(record.facts["background_change"], change, atol=1e-5)
    error = np.sqrt((record.facts["standard_error"] ** 2).sum(1))
    assert (np.abs(record.attribution.sum(1) - change) < 6 * error).all()


@pytest.mark.parametrize("name", SAMPLED)
def test_rows_leave_when_their_standard_error_is_small_enough(name):
    """The first row's gradient hardly varies under the noise, the second row's does much."""
    x = np.array([[0.1, 0.2, 0.3], [3, -2, 4]], np.float32)
    options = {"background": np.zeros((1, 3), np.float32)} if name == "expected_gradients" else {}
    steep = {"vargrad": lambda v: (v**4).sum(1)}.get(name, lambda v: v.sum(1) + 0.02 * (v**3).sum(1))
    record = of_function(steep, x, name, tolerance=0.05, samples=8, max_samples=4000, **options)
    size = np.abs(record.facts.get("background_change", np.abs(record.attribution).max(1)))
    few, many = record.facts["samples"]
    assert many < 4000 and (few < many or name == "vargrad")
    assert (record.facts["standard_error"].max(1) <= 0.05 * size * (1 + 1e-6)).all()
    alone = of_function(steep, x[:1], name, tolerance=0.05, samples=8, max_samples=4000, **options)
    np.testing.assert_allclose(alone.attribution[0], record.attribution[0], rtol=1e-6)
    stopped = of_function(steep, x, name, tolerance=1e-3, samples=8, max_samples=20, **options)
    assert (stopped.facts["samples"] == 20).any()
    assert record.facts["reached"].all() and (stopped.facts["reached"] == (stopped.facts["samples"] < 20)).all()


def test_vargrad_of_a_square_is_known_and_so_is_its_standard_error():
    x, weights = np.array([[0, 1, 2, 1]] * 60), torch.tensor([1.0, 0.5, -2.0, 0.0])
    record = of_function(lambda v: (weights * v**2).sum(1) / 2, x, "vargrad", noise=0.1, samples=100, max_samples=100)
    truth = (weights.numpy() * 0.1 * 2) ** 2
    found, error = record.attribution[:, :3], record.facts["standard_error"][:, :3]
    assert (record.attribution[:, 3] == 0).all() and (record.attribution >= 0).all()
    z = (found - truth[:3]) / error
    assert np.abs(z.mean()) < 0.5 and 0.7 < z.std() < 1.5
    np.testing.assert_allclose(found.mean(0), truth[:3], rtol=0.1)


def test_moments_are_numpys():
    draws = np.random.default_rng(0).gamma(2, 1, (50, 2, 3))
    x = torch.zeros(2, 3)
    for estimate, orders, oracle in [
        (_sampling.mean, 2, (draws.mean(0), draws.std(0, ddof=1) / 50**0.5)),
        (_sampling.variance, 4, (draws.var(0, ddof=1), None)),
    ]:
        values, facts = _sampling.sample_until(
            lambda rows, numbers: torch.tensor(draws[numbers.start : numbers.stop, rows]),
            x,
            tolerance=0.0,
            samples=7,
            max_samples=50,
            batch_size=10,
            estimate=estimate,
            orders=orders,
        )
        np.testing.assert_allclose(values, oracle[0], rtol=1e-9)
        if oracle[1] is not None:
            np.testing.assert_allclose(facts["standard_error"], oracle[1], rtol=1e-9)


def test_blur_ig_of_a_linear_model_is_the_weights_times_what_the_blur_takes():
    generator = np.random.default_rng(1)
    x, weights = generator.uniform(size=(3, 1, 16, 12)), generator.normal(size=(1, 16, 12))
    record = of_function(lambda v: (v * torch.tensor(weights, dtype=v.dtype)).sum((1, 2, 3)), x, "blur_ig", blur=2.0)
    taken = x - np.stack([gaussian_filter(image, (0, 2, 2), mode="reflect") for image in x])
    np.testing.assert_allclose(record.attribution, weights * taken, atol=0.03)
    np.testing.assert_allclose(record.attribution.sum((1, 2, 3)), record.facts["blur_change"], rtol=0.011)


def test_blur_ig_adds_up_and_knows_images_only(cnn, digits):
    record = explained(cnn, digits.test.x[:5], "blur_ig")
    change = record.facts["blur_change"]
    assert (np.abs(record.attribution.sum((1, 2, 3)) - change) <= 0.0101 * np.abs(change)).all()
    with pytest.raises(lk.Refused, match="no images"):
        of_function(lambda v: v.sum(1), [[1, 2]], "blur_ig")


def test_guided_ig_moves_first_what_the_output_hardly_feels():
    f = lambda v: v[:, 0] * v[:, 1] + 3 * v[:, 1]  # noqa: E731
    guided = of_function(f, [[1, 1]], "guided_ig", anchors=0)
    np.testing.assert_allclose(guided.attribution, [[0, 4]], atol=0.05)  # along the first axis, then the second
    np.testing.assert_allclose(of_function(f, [[1, 1]], "integrated_gradients").attribution, [[0.5, 3.5]], atol=0.05)
    anchored = of_function(f, [[1, 1]], "guided_ig", anchors=64, bends=1)  # no freedom: the straight line
    np.testing.assert_allclose(anchored.attribution, [[0.5, 3.5]], atol=0.05)


def test_guided_ig_adds_up_along_a_path_within_the_box(cnn, digits):
    record = explained(cnn, digits.test.x[:5], "guided_ig")
    assert record.status == "measured"
    assert (np.abs(record.attribution.sum((1, 2, 3)) - record.change) <= 0.0201 * np.abs(record.change)).all()
    assert (record.attribution[record.x == record.baseline] == 0).all()


@pytest.mark.parametrize("name", [m for m in METHODS if m != "vargrad"])
def test_a_cut_graph_is_named(name, mlp_module, digits):
    class Cut(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = mlp_module

        def forward(self, x):
            return self.net(x.detach())

    options = {"max_steps": 64} if name.endswith(("ig", "ted_gradients")) and name not in SAMPLED else {}
    record = explained(lk.wrap(Cut(), classes=digits.classes, bounds=(0, 1)), digits.test.x[:3], name, **options)
    assert record.status == "not_measured"


def _rows_alike(one: np.ndarray, other: np.ndarray, where: np.ndarray) -> float:
    pairs = zip(np.abs(one), np.abs(other), where, strict=True)
    return float(np.median([spearmanr(a[w], b[w])[0] for a, b, w in pairs]))


def test_guided_backprop_and_deconvolution_hardly_see_the_last_layer_and_gradients_do():
    model, x = lk.zoo.load("fashion_cnn"), lk.data.load("fashion_mnist").test.x[:8]
    module = copy.deepcopy(model.module)
    with torch.no_grad():
        weight = module.head.weight
        weight.copy_(torch.from_numpy(Draws(0, 1).normal(*weight.shape)[0]) * weight.square().mean().sqrt())
    forgetful = replace(model, module=module)
    z = model.tensor(x)
    target = model(z).argmax(1)
    similar = {}
    for name in [*RULED, "saliency"]:
        method = registry.find("attributions", name)
        maps = [method(m, z, target).numpy() for m in (model, forgetful)]
        similar[name] = _rows_alike(*maps, x != 0)
    start = torch.zeros_like(z)
    ig = registry.find("attributions", "integrated_gradients")
    slopes = [
        (ig(m, z, target, start, 256, tolerance=0.05)[0] / z.where(z != 0, torch.inf)).numpy()
        for m in (model, forgetful)
    ]
    similar["integrated gradients without the factor"] = _rows_alike(*slopes, x != 0)
    assert similar["guided_backprop"] > 0.65 and similar["deconvolution"] > 0.5, similar
    assert similar["saliency"] < 0.35 and similar["integrated gradients without the factor"] < 0.4, similar
