"""Gradients through depth and time: closed forms of linear nets, nets that vanish, explode and die, and their sound twins."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import labkit as lk
from labkit.core import intervals
from labkit.core.refused import Refused
from labkit.data.schema import Feature, Schema
from labkit.data.split import Split
from labkit.views._static import svg

CLASSES = ("a", "b", "c")
QUICK = {"rows": 40}


def table(n: int = 50, width: int = 6) -> Split:
    rng = np.random.default_rng(0)
    schema = Schema("tabular", "y", (width,), features=tuple(Feature(f"f{i}", "numeric") for i in range(width)))
    return Split(rng.normal(size=(n, width)).astype(np.float32), rng.integers(0, 3, n), schema, CLASSES, "made")


def deep(activation: type[nn.Module], layers: int = 15, width: int = 24, he: bool = False) -> nn.Sequential:
    torch.manual_seed(0)
    sizes = [6, *[width] * layers]
    parts = [p for a, b in pairwise(sizes) for p in (nn.Linear(a, b), activation())]
    net = nn.Sequential(*parts, nn.Linear(width, 3))
    if he:
        for p in net:
            if isinstance(p, nn.Linear):
                nn.init.kaiming_normal_(p.weight)
                nn.init.zeros_(p.bias)
    return net


def flow(net: nn.Module, split: Split | None = None, **options):
    return lk.gradient_flow(lk.wrap(net, classes=CLASSES), split or table(), **{**QUICK, **options})


def statuses(record) -> dict[str, str]:
    return {f.subject: f.status for f in lk.check(record, only=["gradients_flow"])}


def test_in_a_linear_net_the_norm_changes_by_the_same_factor_in_each_layer() -> None:
    torch.manual_seed(0)
    for factor in (0.5, 1.0, 1.2):
        turns = [nn.Linear(6, 6, bias=False) for _ in range(8)]
        for layer in turns:
            layer.weight.data = factor * torch.linalg.qr(torch.randn(6, 6))[0]
        record = flow(nn.Sequential(*turns, nn.Linear(6, 3)))
        ratio = record.activation[:-2] / record.activation[1:-1]
        assert ratio == pytest.approx(np.full_like(ratio, factor), rel=1e-4)
        assert (record.zero[:-1] == 0).all() and (record.dead == 0).all()
        assert record.reach[0] == pytest.approx(record.per_layer[0] ** 8, rel=1e-3)


def test_a_deep_sigmoid_net_vanishes_and_its_he_twin_does_not() -> None:
    vanished, sound = flow(deep(nn.Sigmoid)), flow(deep(nn.ReLU, he=True))
    assert vanished.reach[2] < 1e-8 and vanished.per_layer[0] < 0.3
    assert statuses(vanished) == {"depth": "does_not_meet", "dead units": "meets"}
    assert statuses(sound) == {"depth": "meets", "dead units": "meets"}
    assert vanished.control_reach[2] < 1e-3, "fresh weights of the same net vanish too"
    assert "vanishes" in lk.check(vanished)[0].says


def test_a_net_of_large_weights_explodes() -> None:
    net = deep(nn.ReLU, he=True)
    for p in net:
        if isinstance(p, nn.Linear):
            p.weight.data.mul_(3)
    record = flow(net)
    assert statuses(record)["depth"] == "does_not_meet" and record.reach[1] > 1e3
    assert record.control_reach[0] < 1e3, "and only with the weights that it has"


class Turning(nn.Module):
    """A linear recurrence h = r Q h + x with an orthogonal Q, read at its end."""

    def __init__(self, factor: float, width: int = 3) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.turn, self.head = nn.Linear(width, width, bias=False), nn.Linear(width, 3)
        self.turn.weight.data = factor * torch.linalg.qr(torch.randn(width, width))[0]

    def forward(self, x: Tensor) -> Tensor:
        state = torch.zeros_like(x[:, :, 0])
        for t in range(x.shape[2]):
            state = self.turn(state) + x[:, :, t]
        return self.head(state)


def series(n: int = 50, steps: int = 12) -> Split:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(n, 3, steps)).astype(np.float32)
    return Split(x, rng.integers(0, 3, n), Schema("series", "y", (3, steps)), CLASSES, "made")


@pytest.mark.parametrize("factor", [0.4, 1.0, 1.5])
def test_through_time_a_linear_recurrence_multiplies_by_its_spectral_radius(factor: float) -> None:
    record = flow(Turning(factor), series())
    assert record.lags.tolist() == list(range(12)) and (record.counted == 40 - record.settled).all()
    assert record.time == pytest.approx(record.time[:1] * factor ** record.lags[:, None], rel=1e-4)
    assert record.time_reach == pytest.approx((factor**11,) * 3, rel=1e-4)
    assert record.per_step == pytest.approx((factor,) * 3, rel=1e-4)
    assert statuses(record)["time"] == ("does_not_meet" if factor < 1 else "meets")


class Words(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.embed, self.cell, self.head = nn.Embedding(9, 4), nn.GRU(4, 5, batch_first=True), nn.Linear(5, 3)

    def forward(self, x: Tensor) -> Tensor:
        real = (x != 0)[:, :, None]
        return self.head((self.cell(self.embed(x))[0] * real).sum(1) / real.sum(1))


def texts(n: int = 50) -> Split:
    rng = np.random.default_rng(0)
    x = rng.integers(1, 9, (n, 7))
    length = rng.integers(3, 8, n)
    x = np.where(np.arange(7) < length[:, None], x, 0)
    schema = Schema("text", "y", (7,), vocabulary=tuple("01abcdefg"))
    return Split(x, rng.integers(0, 3, n), schema, CLASSES, "made")


def test_steps_of_texts_are_counted_from_the_last_word_and_are_each_gradient_alone() -> None:
    split, net = texts(), Words()
    model = lk.wrap(net, classes=CLASSES, embedding="embed", padding=0)
    record = lk.gradient_flow(model, split, rows=50)
    length = (split.x != 0).sum(1)
    assert record.counted.tolist() == [int((length > lag).sum()) for lag in record.lags]
    found = [[] for _ in range(7)]
    for x, y, k in zip(split.x, split.y, length):
        z = net.embed(torch.tensor(x[None])).detach().requires_grad_()
        real = torch.tensor(x[None] != 0)[:, :, None]
        out = net.head((net.cell(z)[0] * real).sum(1) / real.sum(1))
        nn.functional.cross_entropy(out, torch.tensor([y])).backward()
        norms = z.grad[0].norm(dim=1)
        for lag in range(k):
            found[lag].append(float(norms[k - 1 - lag]))
    for lag, values in zip(record.lags, record.time):
        assert values == pytest.approx(np.quantile(found[lag], record.quantiles), rel=1e-3)
    assert record.layers == ("embed", "cell", "head") and record.weighed < 50 and record.warnings


@pytest.mark.parametrize("inplace", [False, True])
def test_norms_are_those_of_each_example_alone_and_hooks_are_gone(inplace: bool) -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(6, 5), nn.ReLU(inplace=inplace), nn.Linear(5, 3))
    split = table(40)
    model = lk.wrap(net, classes=CLASSES)
    before = model.digest
    record = lk.gradient_flow(model, split, batch_size=7, **QUICK)
    outputs, parameters, zeros = [[], []], [[], []], 0
    for x, y in zip(split.x, split.y):
        first = nn.functional.linear(torch.tensor(x), net[0].weight, net[0].bias).detach().requires_grad_()
        last = net[2](first.relu())
        last.retain_grad()
        nn.functional.cross_entropy(last, torch.tensor(y)).backward()
        zeros += int((first.grad == 0).sum())
        for into, tensor in zip(outputs, (first, last)):
            into.append(float(tensor.grad.norm()))
        net.zero_grad()
        nn.functional.cross_entropy(net(torch.tensor(x[None])), torch.tensor([y])).backward()
        for into, layer in zip(parameters, (net[0], net[2])):
            into.append(float(sum(p.grad.square().sum() for p in layer.parameters()).sqrt()))
        net.zero_grad()
    for values, measured in ((outputs, record.activation), (parameters, record.weight)):
        assert measured == pytest.approx(np.quantile(values, record.quantiles, axis=1).T, rel=1e-4)
    assert record.zero[0] == zeros / (40 * 5)
    ratio = np.array(outputs[0]) / outputs[1]
    assert record.reach == pytest.approx((np.median(ratio), *intervals.median(ratio)), rel=1e-4)
    hooks = [m._forward_hooks or m._forward_pre_hooks or m._backward_hooks for m in model.module.modules()]
    assert not any(hooks) and model.digest == before


def test_a_layer_whose_units_are_dead_is_named() -> None:
    net = deep(nn.ReLU, layers=2, he=True)
    twin = statuses(flow(net))
    net[2].bias.data[:23] = -1e4
    record = flow(net)
    assert record.dead[1] == 23
    assert statuses(record)["dead units"] == "does_not_meet" and twin["dead units"] == "meets"


def test_answers_that_are_certain_have_no_gradient_and_that_is_said() -> None:
    net = nn.Sequential(nn.Linear(6, 5), nn.Linear(5, 3))
    with torch.no_grad():
        for p in net.parameters():
            p.zero_()
        net[1].bias[0] = 1e4
    split = table()
    sure = Split(split.x, np.zeros(50, int), split.schema, CLASSES, "made")
    record = flow(net, sure)
    assert record.status == "not_measured" and record.settled == 40
    assert lk.says(record).startswith("Not measured because no row")
    assert {f.status for f in lk.check(record)} == {"not_measured"}


def test_fresh_weights_stand_in_place_of_the_trained_and_touch_nothing() -> None:
    torch.manual_seed(5)
    net = nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 3))
    net[0].weight.data.mul_(1e-4)
    model = lk.wrap(net, classes=CLASSES)
    before, state = model.digest, torch.get_rng_state()
    trained, fresh = (lk.gradient_flow(model, table(), fresh=f, **QUICK) for f in (False, True))
    assert model.digest == before and torch.equal(state, torch.get_rng_state())
    assert trained.control == pytest.approx(fresh.activation[:, 2], rel=1e-6)
    assert trained.control_reach == pytest.approx(fresh.reach, rel=1e-6) and not len(fresh.control)
    assert fresh.fresh and "fresh weights" in lk.says(fresh) and np.isnan(fresh.control_reach[0])
    assert lk.gradient_flow(model, table(), fresh=True, **QUICK).digest == fresh.digest


def test_it_can_be_seen_with_and_without_time() -> None:
    for record in (flow(deep(nn.ReLU, 3)), flow(Turning(0.5), series()), flow(deep(nn.Sigmoid, 3), fresh=True)):
        assert "Gradient norms" in svg(lk.figure(record), name="f")
        assert len(lk.rows(record)) == 2 * len(record.layers) + len(record.lags)
        assert f"{record.n} examples" in lk.says(record)


def test_what_cannot_be_measured_is_refused() -> None:
    with pytest.raises(Refused, match="30 or more"):
        flow(deep(nn.ReLU, 2), table(20))
    with pytest.raises(Refused, match="two such layers"):
        flow(nn.Linear(6, 3))
    with pytest.raises(Refused, match="rows"):
        flow(deep(nn.ReLU, 2), rows=5)
    with pytest.raises(Refused):
        lk.gradient_flow(lk.wrap(deep(nn.ReLU, 2), classes=CLASSES), table().x)


def test_the_interval_of_a_median_covers() -> None:
    rng = np.random.default_rng(0)
    ends = np.array([intervals.median(rng.standard_cauchy(60)) for _ in range(2000)])
    assert 0.94 <= ((ends[:, 0] <= 0) & (ends[:, 1] >= 0)).mean() <= 0.98
    assert intervals.median(np.arange(5.0)) == (-np.inf, np.inf)
    assert intervals.median(np.array([-np.inf] * 4 + [0.0, 1, 2, 3, 4, np.inf])) == (-np.inf, 4.0)
