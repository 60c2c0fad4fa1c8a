"""The loss around a model's weights: Hessians in closed form, what rescaling layers changes and what it does not."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn
from torch.func import functional_call

import labkit as lk
from labkit.analyses._guard import Run
from labkit.analyses._landscape import ground as ground_of
from labkit.analyses._landscape.curvature import Curvature, crossed_mean, extremes, worst
from labkit.analyses._landscape.ground import Ground, directions, spread
from labkit.core.refused import Refused
from labkit.data.schema import Feature, Schema
from labkit.data.split import Split
from labkit.views._static import svg

QUICK = {"points": 5, "rows": 60, "probes": 4}


def rows(n: int = 60, classes: int = 3, width: int = 4, seed: int = 0) -> Split:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, width)).astype(np.float32)
    y = (x @ rng.normal(size=(width, classes)) + rng.normal(size=(n, classes))).argmax(1)
    schema = Schema("tabular", "y", (width,), features=tuple(Feature(f"f{i}", "numeric") for i in range(width)))
    return Split(x, y, schema, tuple(f"c{i}" for i in range(classes)), "made")


def net(*layers: nn.Module, seed: int = 0) -> lk.models.classifier.Classifier:
    torch.manual_seed(seed)
    for layer in layers:
        if hasattr(layer, "reset_parameters"):
            layer.reset_parameters()
    return lk.wrap(nn.Sequential(*layers).double(), classes=["c0", "c1", "c2"])


def relu(seed: int = 0):
    return net(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3), seed=seed)


def on(model, split) -> Ground:
    return Ground(Run("loss_landscape", {}, 0, model), model, split.x, split.y)


def hessian(model, split) -> np.ndarray:
    """The whole matrix, by torch, from the loss as a user would write it."""
    names, parts = zip(*model.module.named_parameters())
    sizes = [p.numel() for p in parts]
    x, y = torch.tensor(split.x, dtype=torch.float64), torch.tensor(split.y)

    def loss(flat):
        weights = {n: v.view(p.shape) for n, v, p in zip(names, flat.split(sizes), parts)}
        return nn.functional.cross_entropy(functional_call(model.module, weights, (x,)), y)

    return torch.autograd.functional.hessian(loss, torch.cat([p.reshape(-1) for p in parts])).numpy()


def test_a_linear_softmax_has_the_hessian_of_the_textbook() -> None:
    """(diag(p) - p p') times x x', averaged: its largest eigenvalue, and its trace from all coordinates."""
    split, model = rows(), net(nn.Linear(4, 3, bias=False))
    proba = torch.softmax(model(model.tensor(split.x)), 1).detach().numpy()
    x = split.x.astype(float)
    inner = np.einsum("nk,kl->nkl", proba, np.eye(3)) - np.einsum("nk,nl->nkl", proba, proba)
    whole = np.einsum("nkl,ni,nj->kilj", inner, x, x).reshape(12, 12) / len(x)
    curvature = Curvature(on(model, split))
    start = torch.from_numpy(np.random.default_rng(0).normal(size=12))
    (largest, low, high), least, steps = extremes(curvature.times, start, 1e-6)
    values = np.linalg.eigvalsh(whole)
    assert steps <= 12 and low == largest == pytest.approx(values[-1], rel=1e-6) and high < 1.001 * low
    assert least == pytest.approx(values[0], abs=1e-6)
    basis = [lambda i=i: torch.eye(12, dtype=torch.float64)[i] for i in range(12)]
    assert curvature.bends(basis, 4).mean(1) == pytest.approx(np.diag(whole), rel=1e-9)


def test_products_eigenvalues_and_traces_are_those_of_the_whole_matrix() -> None:
    split, model = rows(), net(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 3))
    whole = hessian(model, split)
    curvature = Curvature(on(model, split))
    v = torch.from_numpy(np.random.default_rng(1).normal(size=len(whole)))
    assert curvature.times(v).numpy() == pytest.approx(whole @ v.numpy(), abs=1e-10)
    values = np.linalg.eigvalsh(whole)
    for seed in range(20):
        start = torch.from_numpy(np.random.default_rng(seed).normal(size=len(whole)))
        (_, low, high), least, _ = extremes(curvature.times, start, 0.05)
        assert low <= values[-1] + 1e-9 and values[-1] <= high and least >= values[0] - 1e-9
    record = lk.loss_landscape(model, split, **{**QUICK, "probes": 200})
    assert record.trace[1] <= np.trace(whole) <= record.trace[2]
    scale = np.concatenate([spread(p).reshape(-1).numpy() for p in on(model, split).weights.values()])
    assert record.relative[1] <= (np.diag(whole) * scale**2).sum() <= record.relative[2]
    assert record.largest[1] <= values[-1] <= record.largest[2]


def test_the_interval_of_a_crossed_mean_covers() -> None:
    rng = np.random.default_rng(0)
    for vectors, blocks in ((1.0, 0.0), (0.3, 1.0), (1.0, 1.0)):
        inside = 0
        for _ in range(600):
            table = vectors * rng.normal(size=(20, 1)) + blocks * rng.normal(size=(1, 10)) + rng.normal(size=(20, 10))
            _, low, high = crossed_mean(table)
            inside += low <= 0 <= high
        assert 0.93 <= inside / 600 <= 0.98


def test_rescaling_layers_changes_the_trace_and_not_what_is_relative() -> None:
    """The same function with the first layer 5 times as large and the second a fifth (Dinh et al., 2017)."""
    split, model = rows(), relu()
    other = relu()
    with torch.no_grad():
        for p in other.module[0].parameters():
            p.mul_(5)
        other.module[2].weight.div_(5)
    a, b = (lk.loss_landscape(m, split, **QUICK) for m in (model, other))
    assert a.here == pytest.approx(b.here, rel=1e-6)
    assert b.trace[0] > 2 * a.trace[0] and b.largest[0] > 2 * a.largest[0]
    assert b.relative == pytest.approx(a.relative, rel=1e-6)
    assert b.worst == pytest.approx(a.worst, rel=1e-6)
    assert b.loss == pytest.approx(a.loss, rel=1e-6)


def test_the_plane_is_the_loss_at_moved_weights_and_filters_are_as_long_as_the_models() -> None:
    split, model = rows(), relu()
    record = lk.loss_landscape(model, split, **QUICK)
    along = directions(on(model, split).weights, 2, 0)
    assert set(along[0]) == {"0.weight", "2.weight"}
    assert along[0]["0.weight"].norm(dim=1).numpy() == pytest.approx(model.module[0].weight.norm(dim=1).numpy())
    moved = {n: p + 0.5 * along[0].get(n, 0) - along[1].get(n, 0) for n, p in model.module.named_parameters()}
    out = functional_call(model.module, moved, (torch.tensor(split.x, dtype=torch.float64),))
    assert record.place.tolist() == [-1, -0.5, 0, 0.5, 1]
    assert record.loss[0, 3] == pytest.approx(float(nn.functional.cross_entropy(out, torch.tensor(split.y))), rel=1e-9)
    assert record.loss[2, 2] == pytest.approx(record.here[0], rel=1e-9)
    assert record.sections[1].tolist() == record.loss[:, 2].tolist()


def test_many_points_at_once_are_each_point_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    split, model = rows(), relu()
    together = lk.loss_landscape(model, split, **QUICK).loss
    monkeypatch.setattr(ground_of, "MOST", 0)
    assert lk.loss_landscape(model, split, **QUICK, batch_size=7).loss == pytest.approx(together, rel=1e-9)


class Words(nn.Module):
    """A recurrent net, which cannot be stacked."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.cell, self.head = nn.GRU(4, 5, batch_first=True), nn.Linear(5, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.cell(x[:, None])[0][:, -1])


def test_a_recurrent_net_is_bent_too() -> None:
    model = lk.wrap(Words(), classes=["c0", "c1", "c2"])
    before = model.digest
    record = lk.loss_landscape(model, rows(), **QUICK)
    assert record.loss[2, 2] == pytest.approx(record.here[0], rel=1e-5) and np.isfinite(record.loss).all()
    assert record.trace[1] < record.trace[2] and model.digest == before


def test_the_worst_place_of_the_ball_is_in_it_and_worse_than_random_ones() -> None:
    split, model = rows(), relu()
    curvature = Curvature(on(model, split))
    found = worst(curvature, 0.5, 10)
    share = (found - curvature.weights) / curvature.weights
    assert float(share.norm()) <= 0.5 + 1e-9
    record = lk.loss_landscape(model, split, **QUICK)
    assert record.worst[0] > 5 * max(record.chance[2], 0) > 0 or record.worst[0] > 0.05
    loss, slope = curvature.slope(curvature.weights)
    first = 0.5 * float((curvature.weights * slope).norm())
    assert record.worst[0] >= 0.9 * first, "at least the rise that the slope alone promises"
    assert loss == pytest.approx(record.here[0])


def test_it_is_repeatable_and_can_be_seen() -> None:
    split, model = rows(), relu()
    first, again = (lk.loss_landscape(model, split, **QUICK, seed=3) for _ in range(2))
    assert first.digest == again.digest
    assert lk.loss_landscape(model, split, **QUICK, seed=4).loss[0, 0] != first.loss[0, 0]
    figure = lk.figure(first)
    assert "nats" in svg(figure, name="f") and figure.data[0].zmin == -2 and figure.data[0].zmax == 2
    assert len(lk.rows(first)) == 8 and "None proves generalisation" in lk.says(first)
    (finding,) = lk.check(first)
    assert finding.status == "info" and finding.n == 60


@pytest.mark.parametrize(
    ("options", "word"),
    [({"points": 4}, "odd"), ({"points": 1}, "whole"), ({"span": 0}, "span"), ({"rows": 5}, "rows")],
)
def test_what_cannot_be_asked_is_refused(options, word) -> None:
    with pytest.raises(Refused, match=word):
        lk.loss_landscape(relu(), rows(), **{**QUICK, **options})


def test_too_few_rows_and_models_without_weights_are_refused() -> None:
    with pytest.raises(Refused, match="30 or more"):
        lk.loss_landscape(relu(), rows(20))
    bare = lk.wrap(nn.Sequential(nn.Flatten(), nn.BatchNorm1d(3)), classes=["c0", "c1", "c2"])
    with pytest.raises(Refused, match="without weights"):
        lk.loss_landscape(bare, rows(width=3))
    with pytest.raises(Refused):
        lk.loss_landscape(relu(), rows().x)
