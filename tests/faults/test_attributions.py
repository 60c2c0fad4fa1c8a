"""Planted faults of attributions, each beside a sound twin that must not be flagged."""

from __future__ import annotations

from collections import namedtuple
from typing import Annotated

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import labkit as lk

GRADIENTS = ["saliency", "input_x_gradient", "smoothgrad", "integrated_gradients"]


class Seen(nn.Module):
    """A network seen through ``f(network, x)``: how each defect is planted."""

    def __init__(self, net: nn.Module, f) -> None:
        super().__init__()
        self.net, self.f = net, f

    def forward(self, x: Tensor) -> Tensor:
        return self.f(self.net, x)


@pytest.fixture
def seen(mlp_module, digits):
    def make(f, **options):
        return lk.wrap(Seen(mlp_module, f), classes=digits.classes, bounds=(0, 1), **options)

    return make


def status(record, check, subject=""):
    return next(f.status for f in lk.check(record, only=[check]) if f.subject == subject)


def test_a03_a_rule_that_does_not_add_up_is_withheld_with_both_numbers(mlp, digits):
    from captum.attr import DeepLift

    class Functional(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b, self.c = nn.Linear(64, 32), nn.Linear(32, 32), nn.Linear(32, 10)
            self.r1, self.r2 = nn.ReLU(), nn.ReLU()
            with torch.no_grad():
                for p in self.parameters():
                    p.mul_(2)

        def forward(self, x):
            return self.c(torch.relu(self.b(torch.relu(self.a(x.flatten(1))))))

    class Modules(Functional):
        def forward(self, x):
            return self.c(self.r2(self.b(self.r1(self.a(x.flatten(1))))))

    def deep_lift(model, x: Tensor, target: Tensor, baseline: Tensor) -> Annotated[Tensor, "complete"]:
        return DeepLift(model.module).attribute(x, baseline, target=target)

    found = {}
    for made in (Functional, Modules):
        torch.manual_seed(0)
        model = lk.wrap(made(), classes=digits.classes, bounds=(0, 1))
        found[made] = lk.explain(model, digits.test.x[:8], deep_lift, evidence=())
    fault, twin = found[Functional], found[Modules]
    assert fault.status == "not_measured" and "adds up to" in fault.reason and "score changes by" in fault.reason
    assert "integrated_gradients" in fault.reason and np.isnan(fault.attribution).all()
    assert status(fault, "completeness") == "not_measured"
    assert "misses" in lk.says(fault)
    assert twin.status == "measured" and status(twin, "completeness") == "meets"


def test_a06_a_map_that_ignores_the_weights(mlp, digits):
    def edges(x: Tensor) -> Tensor:
        return (x - x.roll(1, 3)).abs() * x

    fault = lk.explain(mlp, digits.test.x[:8], edges)
    twin = lk.explain(mlp, digits.test.x[:8], "integrated_gradients")
    assert status(fault, "randomized_weights") == "does_not_meet"
    assert status(fault, "beats_controls", "planted_truth") != "meets"
    assert status(twin, "randomized_weights") != "does_not_meet"
    assert status(twin, "beats_controls", "planted_truth") == "meets"


def test_a08_batch_normalisation_in_training_mode_is_neither_used_nor_changed(digits):
    torch.manual_seed(0)
    net = nn.Sequential(nn.Flatten(), nn.Linear(64, 32), nn.BatchNorm1d(32), nn.ReLU(), nn.Linear(32, 10)).train()
    before = {k: v.clone() for k, v in net.state_dict().items()}
    fault = lk.explain(lk.wrap(net, classes=digits.classes, bounds=(0, 1)), digits.test.x[:6], evidence=())
    assert net.training and all(torch.equal(v, before[k]) for k, v in net.state_dict().items())
    twin = lk.explain(lk.wrap(net.eval(), classes=digits.classes, bounds=(0, 1)), digits.test.x[:6], evidence=())
    assert np.array_equal(fault.attribution, twin.attribution)


@pytest.mark.parametrize("target", [-1, [0, 1, -1], 10])
def test_a10_a_target_that_is_no_class(target, mlp, digits):
    with pytest.raises(lk.Refused, match="labels from 0 to 9"):
        lk.explain(mlp, digits.test.x[:3], target=target)
    assert lk.explain(mlp, digits.test.x[:3], target=9, evidence=()).status == "measured"


@pytest.mark.parametrize("name", ["integrated_gradients", "kernel_shap"])
def test_a11_nan_in_one_feature(name, mlp, digits):
    x = digits.test.x[:3].copy()
    assert lk.explain(mlp, x[1:], name, evidence=()).status == "measured"
    x[0, 0, 2, 3] = np.nan
    with pytest.raises(lk.Refused, match=r"1 of 3 rows hold NaN .*first: 0"):
        lk.explain(mlp, x, name)


@pytest.mark.parametrize("name", ["saliency", "input_x_gradient"])
def test_a13_saturated_probabilities(name, seen, digits):
    model = seen(lambda net, x: (net(x) * 100).softmax(1), outputs="probabilities")
    fault = lk.explain(model, digits.test.x[:20], name)
    assert fault.status == "not_measured" and "vanishes on" in fault.reason and "occlusion" in fault.reason
    assert {f.status for f in lk.check(fault)} == {"not_measured"}
    assert lk.says(fault).startswith("Not measured because")
    assert lk.explain(seen(lambda net, x: net(x) * 100), digits.test.x[:20], name, evidence=()).status == "measured"
    mild = seen(lambda net, x: net(x).softmax(1), outputs="probabilities")
    assert lk.explain(mild, digits.test.x[:20], name, evidence=()).status == "measured"


def test_a15_half_precision_that_overflows():
    class Net(nn.Module):
        """Finite at both ends; in between, float16 runs over."""

        def __init__(self) -> None:
            super().__init__()
            self.head = nn.Linear(6, 3)

        def forward(self, x):
            hump = (x * (1 - x)).sum(1, keepdim=True) * 6e4
            return self.head(x) + 1e-9 * hump**2

    torch.manual_seed(0)
    net, x = Net(), np.ones((4, 6), np.float32)
    twin = lk.explain(lk.wrap(net, classes=["a", "b", "c"]), x, target=0, evidence=())
    assert twin.status == "measured"
    with pytest.raises(lk.Refused, match="NaN or infinite on 4 of 4 rows") as refusal:
        lk.explain(lk.wrap(net.half(), classes=["a", "b", "c"]), x.astype(np.float16), target=0)
    assert "float32" in refusal.value.instead


Out = namedtuple("Out", "logits hidden")


@pytest.mark.parametrize("name", ["integrated_gradients", "occlusion", "kernel_shap"])
def test_a16_outputs_that_are_not_a_tensor(name, mlp, seen, digits):
    x = digits.test.x[:2]
    options = {"max_samples": 100} if name == "kernel_shap" else {}
    plain = lk.explain(mlp, x, name, evidence=(), **options).attribution
    for f in (lambda n, x: {"logits": n(x)}, lambda n, x: (n(x), x), lambda n, x: Out(n(x), x)):
        assert np.array_equal(lk.explain(seen(f), x, name, evidence=(), **options).attribution, plain)
    with pytest.raises(lk.Refused, match="keys scores, hidden"):
        lk.explain(seen(lambda n, x: {"scores": n(x), "hidden": x}), x, name)


@pytest.mark.parametrize("name", GRADIENTS)
def test_a18_token_numbers(name):
    torch.manual_seed(0)
    net = nn.Sequential(nn.Embedding(10, 4), nn.Flatten(), nn.Linear(24, 3))
    ids = np.random.default_rng(0).integers(1, 10, (4, 6))
    with pytest.raises(lk.Refused, match="embedding="):
        lk.explain(lk.wrap(net, classes=["a", "b", "c"]), ids, name)
    twin = lk.explain(lk.wrap(net, classes=["a", "b", "c"], embedding="0"), ids, name, evidence=())
    assert twin.status == "measured" and twin.attribution.shape == ids.shape


@pytest.mark.parametrize("name", GRADIENTS)
def test_a20_rounding_before_the_network(name, mlp, seen, digits):
    fault = lk.explain(seen(lambda net, x: net(torch.round(x * 4) / 4)), digits.test.x[:8], name)
    assert fault.status == "not_measured" and "8 of 8" in fault.reason and "rounding" in fault.reason
    assert "kernel_shap" in fault.reason
    assert lk.explain(mlp, digits.test.x[:8], name, evidence=()).status == "measured"


def test_a20_what_is_offered_instead_does_work(seen, digits):
    model = seen(lambda net, x: net(torch.round(x * 4) / 4))
    record = lk.explain(model, digits.test.x[:8], "occlusion")
    assert record.status == "measured" and status(record, "beats_controls", "deletion") == "meets"


def test_a21_a_score_that_prefers_a_constant_map_is_struck_out(mlp, digits):
    def sensitivity_max(
        model, x: Tensor, target: Tensor, baseline: Tensor, attribution: Tensor, attribute, generator
    ) -> Annotated[Tensor, "lower"]:
        noise = torch.from_numpy(generator.normal(*x.shape[1:])) * 0.3
        moved = attribute(model, x + noise, target, baseline, generator.spawn(7)) - attribution
        return moved.flatten(1).norm(dim=1) / attribution.flatten(1).norm(dim=1)

    record = lk.explain(mlp, digits.test.x[:8], "saliency", evidence=[sensitivity_max, "planted_truth"])
    (fault,) = [f for f in lk.check(record, only=["beats_controls"]) if f.subject == "sensitivity_max"]
    assert fault.status == "not_measured" and "struck out" in fault.says
    assert status(record, "beats_controls", "planted_truth") == "meets"


def test_a23_grad_cam_on_a_layer_without_extent(digits):
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 10)
    )
    model = lk.wrap(net, classes=digits.classes, bounds=(0, 1))
    for layer in ("2", "3"):
        with pytest.raises(lk.Refused, match="without spatial extent") as refusal:
            lk.explain(model, digits.test.x[:4], "grad_cam", layer=layer)
        assert "'0'" in refusal.value.instead
    with pytest.raises(lk.Refused, match="conv"):
        lk.explain(model, digits.test.x[:4], "grad_cam", layer="conv")
    twin = lk.explain(model, digits.test.x[:4], "grad_cam", positive=False, evidence=())
    assert twin.status == "measured" and status(twin, "zero_map") == "meets"


def test_a26_an_in_place_activation_first_changes_neither_data_nor_answer(digits):
    def net(inplace):
        torch.manual_seed(0)
        first = nn.Sequential(nn.ReLU(inplace), nn.Flatten(), nn.Linear(64, 10))
        return lk.wrap(first, classes=digits.classes, bounds=(-1, 1))

    x = digits.test.x[:4] - 0.3
    for name in [*GRADIENTS, "occlusion"]:
        fault, twin = (
            lk.explain(net(inplace), x, name, target=1, baseline=-1, evidence=()) for inplace in (True, False)
        )
        assert np.array_equal(fault.attribution, twin.attribution), name
        assert np.array_equal(fault.x, x)


@pytest.mark.parametrize("name", ["guided_backprop", "deconvolution"])
def test_a05_every_way_to_call_a_relu_is_the_same_rule(name):
    from captum.attr import Deconvolution, GuidedBackprop

    class Net(nn.Module):
        """Two hidden layers, and an activation that is planted."""

        def __init__(self, first, second) -> None:
            super().__init__()
            torch.manual_seed(0)
            self.a, self.b, self.c = nn.Linear(6, 32), nn.Linear(32, 32), nn.Linear(32, 3)
            self.first, self.second = first, second

        def forward(self, x):
            return self.c(self.second(self.b(self.first(self.a(x)))))

    shared = nn.ReLU()
    ways = {
        "functional": (nn.functional.relu, lambda x: nn.functional.relu(x, inplace=True)),
        "torch": (torch.relu, torch.relu_),
        "method": (lambda x: x.relu(), lambda x: x.relu_()),
        "shared": (shared, shared),
        "in place": (nn.ReLU(inplace=True), nn.ReLU(inplace=True)),
        "clamp": (lambda x: x.clamp(min=0), lambda x: torch.clamp_min(x, 0)),
    }
    x = np.random.default_rng(0).normal(size=(16, 6)).astype(np.float32)
    twin = Net(nn.ReLU(), nn.ReLU())
    made = {"guided_backprop": GuidedBackprop, "deconvolution": Deconvolution}[name](twin.eval())
    truth = made.attribute(torch.tensor(x), target=0).numpy()
    plain = lk.explain(lk.wrap(twin, classes=["a", "b", "c"]), x, "saliency", 0, evidence=(), signed=True).attribution
    assert not np.allclose(truth, plain, atol=1e-3)
    for way, (first, second) in ways.items():
        model = lk.wrap(Net(first, second), classes=["a", "b", "c"])
        values = lk.explain(model, x, name, target=0, evidence=()).attribution
        np.testing.assert_allclose(values, truth, atol=1e-6, err_msg=way)
        again = lk.explain(model, x, "saliency", target=0, evidence=(), signed=True).attribution
        np.testing.assert_allclose(again, plain, atol=1e-6, err_msg=f"{way}: the rule outlived the call")


@pytest.mark.parametrize("name", ["guided_backprop", "deconvolution"])
def test_a05_a_relu_out_of_reach_and_no_relu_are_refused(name):
    class Compiled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = nn.Linear(6, 8), nn.Linear(8, 3)
            self.body = torch.jit.script(nn.ReLU())

        def forward(self, x):
            return self.b(self.body(self.a(x)).relu())

    x = np.random.default_rng(0).normal(size=(4, 6)).astype(np.float32)
    smooth = nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 3))
    for module, why in ((Compiled(), "out of reach"), (smooth, "without ReLU")):
        model = lk.wrap(module, classes=["a", "b", "c"])
        with pytest.raises(lk.Refused, match=why) as refusal:
            lk.explain(model, x, name)
        assert "saliency" in refusal.value.instead
        assert lk.explain(model, x, "saliency", evidence=()).status == "measured"


def _doubled(module: nn.Module) -> nn.Module:
    with torch.no_grad():
        for p in module.parameters():
            p.mul_(2)
    return module


@pytest.mark.parametrize("name", ["deeplift", "lrp"])
def test_a01_an_activation_in_place_is_handed_back_like_one_that_is_not(name, digits):
    def net(inplace):
        torch.manual_seed(0)
        layers = (
            nn.Flatten(),
            nn.Linear(64, 32),
            nn.ReLU(inplace),
            nn.Linear(32, 32),
            nn.ReLU(inplace),
            nn.Linear(32, 10),
        )
        return lk.wrap(_doubled(nn.Sequential(*layers)), classes=digits.classes, bounds=(0, 1))

    fault, twin = (lk.explain(net(inplace), digits.test.x[:8], name, evidence=()) for inplace in (True, False))
    assert fault.status == twin.status == "measured"
    np.testing.assert_allclose(fault.attribution, twin.attribution, atol=1e-6)


class Pair(nn.Module):
    """One activation as a function, as modules, or as one module twice."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.a, self.b, self.c = nn.Linear(64, 32), nn.Linear(32, 32), nn.Linear(32, 10)
        self.first = nn.ReLU()
        self.second = self.first if kind == "shared" else nn.ReLU()
        self.kind = kind

    def forward(self, x):
        first, second = (torch.relu, torch.relu) if self.kind == "functional" else (self.first, self.second)
        return self.c(second(self.b(first(self.a(x.flatten(1))))))


def _pair(kind: str, digits):
    torch.manual_seed(0)
    return lk.wrap(_doubled(Pair(kind)), classes=digits.classes, bounds=(0, 1))


def test_a03_deeplift_is_withheld_on_activations_that_are_no_modules(digits):
    x = digits.test.x[:8]
    fault, twin = (lk.explain(_pair(kind, digits), x, "deeplift", evidence=()) for kind in ("functional", "modules"))
    assert fault.status == "not_measured" and "misses" in fault.reason and "integrated_gradients" in fault.reason
    assert twin.status == "measured" and status(twin, "completeness") == "meets"


def test_a02_deeplift_is_refused_on_an_activation_that_runs_twice(digits):
    with pytest.raises(lk.Refused, match="cannot follow") as refusal:
        lk.explain(_pair("shared", digits), digits.test.x[:8], "deeplift", evidence=())
    assert "lrp" in refusal.value.instead


@pytest.mark.parametrize("kind", ["functional", "shared"])
def test_a03_lrp_does_not_ask_how_an_activation_is_written(kind, digits):
    x = digits.test.x[:8]
    fault, twin = (lk.explain(_pair(k, digits), x, "lrp", evidence=()) for k in (kind, "modules"))
    assert np.array_equal(fault.attribution, twin.attribution)
    assert status(fault, "conservation") == "meets"


@pytest.mark.parametrize("pooling", [nn.MaxPool2d, nn.AvgPool2d])
def test_a25_deeplift_through_pooling_behind_an_activation(pooling, digits):
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(1, 8, 3, padding=1), nn.ReLU(), pooling(2), nn.Conv2d(8, 8, 3, padding=1), nn.ReLU(), pooling(2),
                        nn.Flatten(), nn.Linear(32, 10))  # fmt: skip
    model = lk.wrap(net, classes=digits.classes, bounds=(0, 1))
    x = digits.test.x[:8]
    start = np.random.default_rng(0).uniform(size=x.shape).astype(np.float32)
    record = lk.explain(model, x, "deeplift", baseline=start, evidence=())
    if pooling is nn.AvgPool2d:
        assert record.status == "measured" and status(record, "completeness") == "meets"
        return
    assert record.status == "not_measured" and {f.status for f in lk.check(record)} == {"not_measured"}
    offered = [name for name in ("integrated_gradients", "kernel_shap") if name in record.reason]
    assert offered
    assert lk.explain(model, x, offered[0], baseline=start, evidence=()).status == "measured"


@pytest.mark.parametrize("kind", ["attention", "gates"])
def test_a25_deeplift_through_attention_and_gates_is_withheld_and_lrp_conserves(kind, digits):
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.part = (
                nn.MultiheadAttention(8, 2, batch_first=True)
                if kind == "attention"
                else nn.LSTM(8, 8, batch_first=True)
            )
            self.head = nn.Linear(8, 10)

        def forward(self, x):
            rows = x.flatten(1, 2)
            return self.head(self.part(*[rows] * 3)[0].amax(1) if kind == "attention" else self.part(rows)[0][:, -1])

    torch.manual_seed(0)
    model = lk.wrap(_doubled(Net()), classes=digits.classes, bounds=(0, 1))
    fault = lk.explain(model, digits.test.x[:8], "deeplift", evidence=())
    assert fault.status == "not_measured" and "misses" in fault.reason
    twin = lk.explain(model, digits.test.x[:8], "lrp", evidence=())
    assert twin.status == "measured" and status(twin, "conservation") == "meets"
