"""Attributions: a contract over the folder, libraries and closed forms as oracles, and truths that are known."""

from __future__ import annotations

import re
from itertools import combinations
from math import comb

import numpy as np
import pytest
import torch
from captum.attr import (
    InputXGradient,
    IntegratedGradients,
    LayerAttribution,
    LayerGradCam,
    LayerIntegratedGradients,
    Occlusion,
    Saliency,
)
from torch import nn

import labkit as lk
from labkit.core import registry
from labkit.core.method import needs, params

QUICK = {"kernel_shap": {"max_samples": 64}, "smoothgrad": {"samples": 4}}


class Words(nn.Module):
    """Token numbers, an embedding, and something non-linear between neighbours."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.head = nn.Embedding(20, 5, padding_idx=0), nn.Linear(5, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        z = self.embed(x)
        return self.head(torch.tanh(z.cumsum(1)).mean(1))


class Function(nn.Module):
    """Two logits from a function of each row: (0, f(x))."""

    def __init__(self, f) -> None:
        super().__init__()
        self.f = f

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        value = self.f(x.flatten(1))
        return torch.stack([torch.zeros_like(value), value], 1)


@pytest.fixture(scope="module")
def words():
    torch.manual_seed(0)
    return lk.wrap(Words(), classes=["a", "b", "c"], embedding="embed", name="words")


@pytest.fixture(scope="module")
def tokens() -> np.ndarray:
    return np.random.default_rng(0).integers(1, 20, (5, 7))


def attribution(model, x, name, **options) -> np.ndarray:
    return lk.explain(model, x, name, evidence=(), **options).attribution


def of_function(f, x: np.ndarray, name: str, **options) -> np.ndarray:
    return attribution(lk.wrap(Function(f), classes=["no", "yes"]), x.astype(np.float32), name, target=1, **options)


def quick(name: str) -> dict[str, int]:
    """Options with which a method takes little time: few samples and steps."""
    known = {p.name: p for p in params(registry.find("attributions", name))}
    few = {"samples": 32, "max_samples": 32, "steps": 8, "max_steps": 64, "masks": 32}
    return {k: max(v, int(known[k].range.low)) for k, v in few.items() if k in known and known[k].range}


def explained(model, x, name, **options) -> np.ndarray:
    background = x[::-1].copy() if "background" in needs(registry.find("attributions", name)) else None
    return lk.explain(model, x, name, evidence=(), background=background, **quick(name), **options)


@pytest.mark.parametrize("kind", ["mlp", "cnn", "words"])
@pytest.mark.parametrize("name", lk.names("attributions"))
def test_contract(name, kind, request, digits, tokens):
    model = request.getfixturevalue(kind)
    x = tokens.copy() if kind == "words" else digits.test.x[:5].copy()
    before, weights = x.copy(), model.digest
    try:
        record = explained(model, x, name)
    except lk.Refused as refusal:
        offered = [other for other in lk.names("attributions") if re.search(rf"\b{other}\b", refusal.instead)]
        assert offered, f"names no method that fits instead: {refusal}"
        assert any(explained(model, x, other).status == "measured" for other in offered)
        return
    values = record.attribution
    assert values.shape == x.shape
    if record.status == "measured":
        assert np.isfinite(values).all()
    assert np.array_equal(x, before)
    assert model.digest == weights
    assert np.array_equal(values, explained(model, x, name).attribution, equal_nan=True)
    for size in (1, 3):
        np.testing.assert_allclose(explained(model, x, name, batch_size=size).attribution, values, atol=2e-5)


@pytest.mark.parametrize("name", ["smoothgrad", "kernel_shap"])
def test_the_seed_matters_to_methods_that_draw_and_global_state_does_not(name, mlp, digits):
    x, options = digits.test.x[:2], QUICK[name]
    first = attribution(mlp, x, name, seed=1, **options)
    torch.manual_seed(99)
    state = torch.get_rng_state()
    assert np.array_equal(first, attribution(mlp, x, name, seed=1, **options))
    assert torch.equal(state, torch.get_rng_state())
    assert not np.allclose(first, attribution(mlp, x, name, seed=2, **options))


def test_saliency_and_input_x_gradient_are_captums(mlp, digits):
    x = torch.tensor(digits.test.x[:6])
    target = mlp(x).argmax(1)
    for name, options, oracle in [
        ("saliency", {}, Saliency(mlp).attribute(x.clone(), target=target)),
        ("saliency", {"signed": True}, Saliency(mlp).attribute(x.clone(), target=target, abs=False)),
        ("input_x_gradient", {}, InputXGradient(mlp).attribute(x.clone(), target=target)),
    ]:
        np.testing.assert_allclose(attribution(mlp, x, name, **options), oracle.detach().numpy(), atol=1e-6)


@pytest.mark.parametrize("kind", ["mlp", "cnn"])
def test_integrated_gradients_are_captums(kind, request, digits):
    model = request.getfixturevalue(kind)
    x = torch.tensor(digits.test.x[:4])
    baseline = torch.full_like(x, 0.25)
    oracle = IntegratedGradients(model).attribute(
        x, baseline, target=model(x).argmax(1), n_steps=2000, method="riemann_trapezoid", internal_batch_size=500
    )
    values = attribution(model, x, "integrated_gradients", baseline=0.25, tolerance=1e-4)
    np.testing.assert_allclose(values, oracle.detach().numpy(), atol=5e-3 * oracle.abs().max().item())


def test_integrated_gradients_over_an_embedding_are_captums(words, tokens):
    x = torch.tensor(tokens)
    oracle = LayerIntegratedGradients(words, words.module.embed).attribute(
        x, torch.zeros_like(x), target=words(x).argmax(1), n_steps=500
    )
    values = attribution(words, x, "integrated_gradients", tolerance=1e-3)
    np.testing.assert_allclose(values, oracle.sum(-1).detach().numpy(), atol=1e-3)


def test_integrated_gradients_take_the_steps_that_each_row_needs():
    def steep(x):  # smooth for small inputs, a steep step on the way for large ones
        return torch.tanh(200 * (x[:, 0] - 0.7)) + x[:, 1]

    x = np.array([[0.1, 0.5], [1.0, 0.5]])
    record = lk.explain(
        lk.wrap(Function(steep), classes=["no", "yes"]), x.astype(np.float32), "integrated_gradients", 1, evidence=()
    )
    steps = record.facts["steps"]
    assert steps[0] == 8 and 8 < steps[1] < 100  # equal steps would have to be as narrow as the step: hundreds
    np.testing.assert_allclose(record.attribution[1], [2, 0.5], rtol=0.02)


@pytest.mark.parametrize("layer", ["", "0", "2"])
def test_grad_cam_is_captums(layer, cnn, digits):
    x = torch.tensor(digits.test.x[:5])
    module = cnn.module[int(layer or 2)]
    oracle = LayerGradCam(cnn, module).attribute(x, target=cnn(x).argmax(1), relu_attributions=True)
    oracle = LayerAttribution.interpolate(oracle, (8, 8), interpolate_mode="bilinear")
    np.testing.assert_allclose(attribution(cnn, x, "grad_cam", layer=layer), oracle.detach().numpy(), atol=1e-5)


def test_grad_cam_is_the_same_before_an_in_place_relu(digits):
    def net(inplace):
        torch.manual_seed(0)
        return lk.wrap(
            nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(inplace), nn.Flatten(), nn.Linear(144, 10)),
            classes=digits.classes,
            bounds=(0, 1),
        )

    first, second = (attribution(net(inplace), digits.test.x[:3], "grad_cam") for inplace in (False, True))
    assert np.array_equal(first, second)


def test_occlusion_is_a_loop_over_windows(cnn, digits):
    x = torch.tensor(digits.test.x[:3])
    target = cnn(x).argmax(1)
    rows = torch.arange(3)
    total, covered = torch.zeros_like(x), torch.zeros_like(x)
    for top in (0, 2, 4, 5):  # windows of 3 every 2, the last one at the border
        for left in (0, 2, 4, 5):
            without = x.clone()
            without[:, :, top : top + 3, left : left + 3] = 0.5
            fall = (cnn(x) - cnn(without))[rows, target]
            total[:, :, top : top + 3, left : left + 3] += fall[:, None, None, None]
            covered[:, :, top : top + 3, left : left + 3] += 1
    values = attribution(cnn, x, "occlusion", baseline=0.5, window=3, stride=2)
    np.testing.assert_allclose(values, (total / covered).numpy(), atol=1e-5)


def test_occlusion_is_captums_where_the_windows_fit(cnn, digits):
    x = torch.tensor(digits.test.x[:3])
    oracle = Occlusion(cnn).attribute(x, (1, 2, 2), (1, 2, 2), baselines=0, target=cnn(x).argmax(1))
    np.testing.assert_allclose(attribution(cnn, x, "occlusion", window=2, stride=2), oracle.numpy(), atol=1e-5)


def test_occlusion_of_tokens_puts_the_baselines_token_there(words, tokens):
    x = torch.tensor(tokens)
    target = words(x).argmax(1)
    values = attribution(words, x, "occlusion", baseline=1)
    for position in range(x.shape[1]):
        without = x.clone()
        without[:, position] = 1
        fall = (words(x) - words(without)).gather(1, target[:, None])[:, 0]
        np.testing.assert_allclose(values[:, position], fall.detach().numpy(), atol=1e-6)


@pytest.mark.parametrize("name", ["integrated_gradients", "input_x_gradient", "occlusion", "kernel_shap"])
def test_a_linear_model_has_a_closed_form(name):
    generator = np.random.default_rng(1)
    w, x, b = generator.normal(size=6), generator.normal(size=(4, 6)), generator.normal(size=6)
    weights = torch.tensor(w, dtype=torch.float32)
    values = of_function(lambda v: v @ weights, x, name, baseline=b)
    np.testing.assert_allclose(values, w * (x - b), atol=2e-3)


@pytest.mark.parametrize("name", ["integrated_gradients", "occlusion", "kernel_shap"])
def test_an_additive_model_has_a_closed_form(name):
    x = np.random.default_rng(2).uniform(0.3, 1, (4, 5))
    parts = lambda v: torch.stack([v[:, 0] ** 2, v[:, 1].sin(), v[:, 2].exp(), v[:, 3] ** 3, 0 * v[:, 4]], 1)  # noqa: E731
    truth = (parts(torch.tensor(x)) - parts(torch.zeros(4, 5))).numpy()
    np.testing.assert_allclose(of_function(lambda v: parts(v).sum(1), x, name), truth, atol=1e-2)


def test_smoothgrad_of_a_linear_model_is_its_gradient_and_of_a_square_its_slope():
    x = np.random.default_rng(3).normal(size=(3, 4))
    weights = torch.tensor([1.0, -2.0, 0.5, 0.0])
    np.testing.assert_allclose(of_function(lambda v: v @ weights, x, "smoothgrad"), np.tile(weights, (3, 1)), atol=1e-5)
    values = of_function(lambda v: (v**2).sum(1), x, "smoothgrad", samples=1000, noise=0.2)
    error = 2 * 0.2 * np.ptp(x, axis=1, keepdims=True) / np.sqrt(1000)
    assert (np.abs(values - 2 * x) < 4.5 * error).all()
    assert np.abs(values - 2 * x).max() > 1e-4, "no noise was added"


def interacting(v: torch.Tensor) -> torch.Tensor:
    return v[:, 0] * v[:, 1] + v[:, 2] * v[:, 3] * v[:, 4] + torch.relu(v[:, 5] - v[:, 6]) + v[:, 7]


def exact_shapley(x: np.ndarray) -> np.ndarray:
    """Shapley values against a baseline of zero, over all coalitions."""
    m = len(x)

    def worth(players) -> float:
        present = np.zeros(m)
        present[list(players)] = x[list(players)]
        return float(interacting(torch.tensor(present)[None]))

    return np.array(
        [
            sum(
                (worth((*others, i)) - worth(others)) / (m * comb(m - 1, size))
                for size in range(m)
                for others in combinations([j for j in range(m) if j != i], size)
            )
            for i in range(m)
        ]
    )


def test_kernel_shap_is_exact_shapley_within_its_sampling_error():
    x = np.random.default_rng(4).normal(1, 1, (2, 8))
    truth = np.stack([exact_shapley(row) for row in x])
    draws = np.stack([of_function(interacting, x, "kernel_shap", seed=s, max_samples=600) for s in range(5)])
    error = draws.std(0, ddof=1)
    assert (np.abs(draws.mean(0) - truth) < 5 * error / np.sqrt(5) + 0.01).all()
    assert error.max() < 0.3
    np.testing.assert_allclose(draws.sum(2), np.broadcast_to(truth.sum(1), (5, 2)), atol=1e-2)


def test_kernel_shap_gives_nothing_to_features_that_equal_the_baseline_and_all_to_a_single_one():
    x = np.zeros((2, 8))
    x[0, 7], x[1, :2] = 3, 2
    values = of_function(interacting, x, "kernel_shap", max_samples=200)
    np.testing.assert_allclose(values[0], [0] * 7 + [3], atol=1e-5)
    np.testing.assert_allclose(values[1], [2, 2] + [0] * 6, atol=0.3)
    assert values[1].sum() == pytest.approx(4, abs=1e-3)


def test_kernel_shap_shares_a_superpixel_out_evenly(cnn, digits):
    x = digits.test.x[:2]
    values = attribution(cnn, x, "kernel_shap", cells=4, max_samples=200)
    for i in range(2):
        for top in range(0, 8, 2):
            for left in range(0, 8, 2):
                cell = (slice(top, top + 2), slice(left, left + 2))
                lit = values[i, 0][cell][x[i, 0][cell] != 0]
                assert np.ptp(lit) < 1e-6 if len(lit) else True
    assert (values[x == 0] == 0).all()


def test_a_row_is_explained_alone(mlp, digits):
    """Captum's sampling methods can treat rows together; the first row must not change with its company."""
    alone = attribution(mlp, digits.test.x[:1], "kernel_shap", max_samples=64)
    together = attribution(mlp, digits.test.x[:4], "kernel_shap", max_samples=64)
    np.testing.assert_allclose(alone[0], together[0], atol=1e-5)
