"""What is explained: a class's logit, its lead over others, any number of an output; over which features."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

import labkit as lk

W = torch.tensor([[1.0, -2.0, 0.5], [0.3, 1.0, -1.0], [-1.0, 0.2, 2.0], [0.0, 0.5, 0.5]])
X = np.random.default_rng(0).normal(size=(6, 4)).astype(np.float32)


class Linear(nn.Module):
    """Three logits, each a weighted sum of four columns."""

    def __init__(self) -> None:
        super().__init__()
        self.w = nn.Parameter(W.clone())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x @ self.w


@pytest.fixture(scope="module")
def linear():
    return lk.wrap(Linear(), classes=["a", "b", "c"], name="linear")


def explained(model, x, **options):
    return lk.explain(model, x, options.pop("method", "integrated_gradients"), evidence=(), **options)


@pytest.mark.parametrize("method", ["integrated_gradients", "input_x_gradient", "occlusion", "kernel_shap"])
@pytest.mark.parametrize("name", ["c", 2, [2, 2, 2, 2, 2, 2]])
def test_a_contrast_is_the_difference_of_two_logits(linear, method, name):
    record = explained(linear, X, method=method, target=name, against="a")
    np.testing.assert_allclose(record.attribution, X * (W[:, 2] - W[:, 0]).numpy(), atol=2e-3)
    assert record.of == "logit, less that of a" and record.provenance.options["of"] == record.of
    assert np.isnan(record.proba).all()


def test_a_margin_is_the_lead_over_the_best_other_class(linear):
    record = explained(linear, X, method="input_x_gradient", against="rest")
    logits = X @ W.numpy()
    order = logits.argsort(1)
    first, second = order[:, -1], order[:, -2]
    assert np.array_equal(record.target, first)
    np.testing.assert_allclose(record.attribution, X * (W[:, first] - W[:, second]).T.numpy(), atol=1e-5)
    lost = explained(linear, X, method="input_x_gradient", target=order[:, 0], against="rest")
    np.testing.assert_allclose(lost.attribution, X * (W[:, order[:, 0]] - W[:, first]).T.numpy(), atol=1e-5)


def test_any_number_of_the_output(linear):
    def spread(out):
        return out[:, 0] - 3 * out[:, 2]

    record = explained(linear, X, target=spread)
    np.testing.assert_allclose(record.attribution, X * (W[:, 0] - 3 * W[:, 2]).numpy(), atol=1e-4)
    assert record.of == "spread of linear" and record.classes == ("spread",)
    assert "spread" in lk.says(record)
    lk.figure(record)


def test_one_step_of_a_sequence():
    class Steps(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            torch.manual_seed(0)
            self.cell = nn.GRU(4, 5, batch_first=True)

        def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
            return {"states": self.cell(x)[0]}

    x = np.random.default_rng(1).normal(size=(3, 7, 4)).astype(np.float32)
    model = lk.wrap(Steps(), classes=["s", "t"])
    record = explained(model, x, target=lambda out: out["states"][:, 3, 2], tolerance=1e-3)
    assert np.abs(record.attribution[:, 4:]).max() == 0, "later steps cannot matter to an earlier one"
    assert (np.abs(record.attribution[:, :4]).max((1, 2)) > 0).all()
    np.testing.assert_allclose(record.attribution.sum((1, 2)), record.change, rtol=0.02)


def test_a_regression_is_wrapped_with_the_name_of_its_number():
    net = nn.Sequential(nn.Linear(4, 1))
    model = lk.wrap(net, classes=["price"], outputs="values")
    record = explained(model, X)
    np.testing.assert_allclose(record.attribution, X * net[0].weight.detach().numpy(), atol=1e-4)
    for ask in (lambda: lk.attack(model, X, "pgd", eps=0.1), lambda: lk.Workbench(model, None)):
        with pytest.raises(lk.Refused, match="numbers and no classes"):
            ask()
    flat = lk.wrap(nn.Sequential(net, nn.Flatten(0)), classes=["price"], outputs="values")
    np.testing.assert_allclose(explained(flat, X).attribution, record.attribution, atol=1e-6)
    two = lk.wrap(nn.Linear(4, 2), classes=["price", "rent"], outputs="values")
    with pytest.raises(lk.Refused, match="price, rent"):
        explained(two, X)
    assert explained(two, X, target="rent").status == "measured"


@pytest.mark.parametrize("method", ["integrated_gradients", "occlusion"])
def test_every_faithfulness_measure_says_something_of_a_number(linear, method):
    record = lk.explain(linear, X, method, target=lambda out: 5 * out[:, 1])
    assert record.status == "measured"
    for name, score in record.scores.items():
        assert score.not_applicable or np.isfinite(score.values).any(), name
    deletion = record.scores["deletion"]
    assert deletion.more["curve"].std() > 0, "the curve must follow the number, not a probability of one class"


def test_models_that_make_data():
    data = lk.data.load("fashion_mnist").test.x[:2]
    vae, flow = lk.zoo.load("fashion_vae"), lk.zoo.load("fashion_diffusion")
    code = explained(vae, data, method="input_x_gradient", target=lambda module, x: module.encode(x)[0][:, 3])
    by_hand = torch.tensor(data).requires_grad_()
    vae.module.encode(by_hand)[0][:, 3].sum().backward()
    np.testing.assert_allclose(code.attribution, (by_hand.grad * by_hand).detach().numpy(), atol=1e-5)

    def step(module, x):
        time = torch.full((len(x),), 0.5)
        return module.velocity(module.normalize(x), time)[:, 0, 10:14, 10:14].mean((1, 2))

    assert explained(flow, data, method="saliency", target=step).attribution.any()
    with pytest.raises(lk.Refused, match=r"function of \(module, x\)"):
        explained(vae, data)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"target": lambda out: out}, "one number for each row"),
        ({"target": lambda out: out.argmax(1)}, "one number for each row"),
        ({"target": lambda out: 1.0}, "one number for each row"),
        ({"target": lambda out: out["logits"]}, r"raises IndexError.*tensor of shape \(6, 3\)"),
        ({"target": lambda out: out.hidden}, "raises AttributeError"),
        ({"target": "d"}, "a, b, c"),
        ({"target": 1, "against": 1}, "against itself"),
        ({"target": 0, "against": 3}, "labels from 0 to 2"),
        ({"target": 0, "against": -1}, "labels from 0 to 2"),
        ({"target": lambda out: out[:, 0], "against": 1}, "one of the two"),
        ({"features": [0, 1]}, "whole numbers"),
        ({"features": {"ab": [0, 9]}}, "columns from 0 to 3"),
        ({"features": {"ab": [0, 1], "bc": [1, 2]}}, "each column in one"),
        ({"background": X[:, :2]}, "inputs' shape"),
        ({"background": X[:0]}, "inputs' shape"),
    ],
)
def test_what_cannot_be_asked_is_refused(linear, options, says):
    with pytest.raises(lk.Refused, match=says):
        explained(linear, X, **options)


def test_one_hot_columns_are_read_as_one(linear):
    x = np.eye(4, dtype=np.float32)[[0, 1, 3]] + np.float32(0.1)
    record = explained(linear, x, method="occlusion", features={"color": [0, 1, 2]})
    assert record.feature_names == ("color", "feature 3")
    table = lk.rows(record)
    assert set(table["part_of"]) == {"color", "feature 3"}
    drawn = lk.figure(record)
    labels = {label for bar in drawn.data for label in bar.y}
    assert any(label.startswith("color") for label in labels) and not any(
        label.startswith("feature 0") for label in labels
    )
    bars = [bar for bar in drawn.data if bar.name == "attribution"]
    color = {label: value for label, value in zip(bars[0].y, bars[0].x)}
    key = next(label for label in color if label.startswith("color"))
    assert color[key] == pytest.approx(record.attribution[0, :3].sum(), rel=1e-5)


def test_a_recurrent_net_is_explained_without_cudnn(monkeypatch):
    """cuDNN refuses the backward pass of a recurrent net in evaluation mode: it must be off while gradients are taken."""
    seen = []

    class Words(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embed, self.cell, self.head = nn.Embedding(9, 4), nn.LSTM(4, 3, batch_first=True), nn.Linear(3, 2)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            seen.append((torch.is_grad_enabled(), torch.backends.cudnn.enabled))
            return self.head(self.cell(self.embed(x))[0][:, -1])

    model = lk.wrap(Words(), classes=["no", "yes"], embedding="embed")
    before = torch.backends.cudnn.enabled
    explained(model, np.random.default_rng(0).integers(1, 9, (3, 5)), method="saliency")
    assert (True, False) in seen and (True, True) not in seen
    assert torch.backends.cudnn.enabled == before
