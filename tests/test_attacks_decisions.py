"""Attacks that see answers alone: closed forms, labels alone, Foolbox, and rows that nothing breaks."""

from __future__ import annotations

import warnings

import foolbox
import numpy as np
import pytest
import torch
from torch import Tensor, nn

import labkit as lk
from labkit.attacks._decisions import Answers
from labkit.attacks._search import distance, margin
from labkit.core import method, registry
from labkit.core.draws import Draws

ASKING = [("boundary", "l2"), ("hop_skip_jump", "l2"), ("hop_skip_jump", "linf"), ("sign_flip", "linf")]
QUICK = {"boundary": {"steps": 150}, "hop_skip_jump": {"steps": 3, "probes": 60}, "sign_flip": {"steps": 100}}


def raw(name: str, model, x: Tensor, y: Tensor, norm: str, rows: slice = slice(None), **options) -> Tensor:
    """The bare leaf on some of the rows."""
    function = registry.find("attacks", name)
    given = {"model": model, "x": x[rows], "y": y[rows], "norm": norm, "generator": Draws(0, len(x))[rows]}
    given |= {"eps": options.pop("eps", None), "batch_size": options.pop("batch_size", 64)}
    return method.call(function, method.bind("attacks", name, function, options), given)


class Recorded(nn.Module):
    """A module that keeps what it was asked, and may give labels alone."""

    def __init__(self, inner: nn.Module, labels: bool = False) -> None:
        super().__init__()
        self.inner, self.labels = inner, labels
        self.sizes: list[int] = []

    def forward(self, x: Tensor) -> Tensor:
        assert not torch.is_grad_enabled(), "a gradient was asked for"
        self.sizes.append(len(x))
        z = self.inner(x)
        return nn.functional.one_hot(z.argmax(1), z.shape[1]).float() if self.labels else z


@pytest.fixture(scope="module")
def some(mlp, digits) -> tuple[Tensor, Tensor]:
    x, y = torch.tensor(digits.test.x[:30]), torch.tensor(digits.test.y[:30])
    rows = torch.where(mlp(x).argmax(1) == y)[0][:9]
    return x[rows], y[rows]


@pytest.fixture(scope="module")
def linear():
    """Two classes divided by a plane: the distance to it is the lead over the dual norm of the lead's gradient."""
    w = np.random.default_rng(0).normal(size=16)
    x = np.random.default_rng(1).uniform(0.4, 0.6, (12, 16)).astype(np.float32)
    middle = float(w.sum() / 2)
    layer = nn.Linear(16, 2)
    with torch.no_grad():
        layer.weight[:] = torch.tensor(np.stack([-w / 2, w / 2]))
        layer.bias[:] = torch.tensor([middle / 2, -middle / 2])
    lead = x @ w - middle
    model = lk.wrap(layer, classes=("left", "right"), bounds=(0, 1))
    exact = {"l2": np.abs(lead) / np.linalg.norm(w), "linf": np.abs(lead) / np.abs(w).sum()}
    return model, torch.tensor(x), torch.tensor((lead > 0).astype(np.int64)), exact


@pytest.mark.parametrize(("name", "norm"), ASKING)
def test_the_distance_to_a_plane_is_found_and_never_undercut(name: str, norm: str, linear) -> None:
    model, x, y, exact = linear
    steps = {"boundary": 1200, "hop_skip_jump": 8, "sign_flip": 600}[name]
    found = raw(name, model, x, y, norm, steps=steps)
    ratio = distance(found, x, norm).numpy() / exact[norm]
    assert (margin(model(found), y) > 0).all() and ratio.min() > 1 - 1e-4
    assert np.median(ratio) < {"boundary": 1.05, "hop_skip_jump": 1.15, "sign_flip": 1.35}[name], np.median(ratio)


@pytest.mark.parametrize(("name", "norm"), ASKING)
def test_labels_are_enough(name: str, norm: str, mlp, mlp_module, some) -> None:
    """A model that gives nothing but its label is broken by the same points, but for a hair at the boundary."""
    labels = lk.wrap(Recorded(mlp_module, labels=True).eval(), classes=mlp.classes, bounds=(0, 1))
    x, y = some
    far, open_ = (distance(raw(name, m, x, y, norm, **QUICK[name]), x, norm) for m in (labels, mlp))
    assert (far > 0).all() and float(far.median()) == pytest.approx(float(open_.median()), rel=0.2)


@pytest.mark.parametrize(("name", "norm"), [*ASKING, ("spsa", "linf"), ("spsa", "l2")])
def test_a_row_is_attacked_the_same_in_any_company(name: str, norm: str, mlp, some) -> None:
    x, y = some
    options = {"eps": 0.05, "steps": 6, "draws": 8} if name == "spsa" else QUICK[name]
    whole = raw(name, mlp, x, y, norm, **options)
    alone = torch.cat([raw(name, mlp, x, y, norm, slice(i, i + 1), batch_size=3, **options) for i in range(4)])
    torch.testing.assert_close(alone, whole[:4], atol=1e-4, rtol=0)


@pytest.mark.parametrize(("name", "norm"), [*ASKING, ("spsa", "linf")])
def test_no_pass_holds_more_rows_than_allowed(name: str, norm: str, mlp, mlp_module, some) -> None:
    x, y = some
    model = lk.wrap(Recorded(mlp_module).eval(), classes=mlp.classes, bounds=(0, 1))
    model.module.sizes.clear()
    raw(name, model, x, y, norm, batch_size=10, **({"eps": 0.05, "steps": 3} if name == "spsa" else QUICK[name]))
    assert max(model.module.sizes) <= 10


@pytest.mark.parametrize(("name", "norm"), ASKING)
def test_a_row_that_nothing_breaks_stays_and_the_others_go_on(name: str, norm: str) -> None:
    """Dark rows are "dark" and so is whatever lies around: noise does not meet the one value that makes them bright."""

    class Guarded(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            lead = torch.where((x[:, 0, 0, 0] - 0.9).abs() < 1e-4, 4.0, -4.0)
            lead = torch.where(x[:, 0, 0, 1] > 0.5, torch.nan, lead)  # answers that are not finite break nothing
            return torch.stack([-lead, lead], 1)

    model = lk.wrap(Guarded(), classes=("dark", "bright"), bounds=(0, 1))
    x = torch.full((4, 1, 4, 4), 0.2)
    x[1::2, 0, 0, 0] = 0.9
    y = torch.tensor([0, 1, 0, 1])
    found = raw(name, model, x, y, norm, starts=30, **QUICK[name])
    torch.testing.assert_close(found[::2], x[::2], atol=0, rtol=0)
    assert (margin(model(found), y)[1::2] > 0).all() and found.isfinite().all()


def test_a_start_is_at_the_boundary_and_the_nearest_of_several(mlp, some, monkeypatch) -> None:
    x, y = some
    several = Answers(mlp, x, y, "l2", 64)
    rows = several.begin(Draws(0, len(x)), 50)
    assert len(rows) == len(x)
    on = several.nearest.points
    inwards = x + (on - x) * (1 - 2 / 64**1.5)
    assert (mlp(on).argmax(1) != y).all() and (mlp(inwards).argmax(1) == y).float().mean() > 0.8
    monkeypatch.setattr("labkit.attacks._decisions.FURTHER", 1)
    first = Answers(mlp, x, y, "l2", 64)
    first.begin(Draws(0, len(x)), 50)
    assert several.nearest.distance.mean() < 0.9 * first.nearest.distance.mean()


@pytest.mark.parametrize(
    ("name", "norm", "options"), [("boundary", "l2", {"steps": 500}), ("hop_skip_jump", "l2", {"steps": 3})]
)
def test_as_near_as_foolboxs_for_the_same_steps(name: str, norm: str, options, mlp, some) -> None:
    x, y = some
    theirs = {"boundary": foolbox.attacks.BoundaryAttack, "hop_skip_jump": foolbox.attacks.HopSkipJumpAttack}[name]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.manual_seed(0)
        target = foolbox.PyTorchModel(mlp.module, bounds=(0, 1), device="cpu")
        reached = theirs(**options).run(target, x, foolbox.criteria.Misclassification(y))
    ours = distance(raw(name, mlp, x, y, norm, **options), x, norm)
    assert ours.median() < distance(reached, x, norm).median()


@pytest.mark.parametrize("way", ["spsa", "nes"])
@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_spsa_reaches_a_linear_models_distance(norm: str, way: str, linear) -> None:
    """It breaks no row that stands nearer than its distance, and those that lie clearly beyond."""
    model, x, y, exact = linear
    eps = float(np.median(exact[norm]))
    found = raw("spsa", model, x, y, norm, eps=eps, way=way)
    broken = (margin(model(found), y) > 0).numpy()
    assert distance(found, x, norm).max() <= eps * (1 + 1e-5)
    assert not broken[exact[norm] > eps * (1 + 1e-4)].any() and broken[exact[norm] < 0.8 * eps].all()


def test_spsa_needs_no_gradient(mlp, mlp_module, digits) -> None:
    """Behind rounded inputs gradients are zero: PGD breaks next to nothing, differences of answers most rows."""

    class Rounded(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return mlp_module((8 * x).round() / 8)

    model = lk.wrap(Rounded().eval(), classes=digits.classes, bounds=(0, 1))
    rate = {}
    for name, options in (("pgd", {}), ("spsa", {"width": 0.15})):
        rate[name] = lk.attack(model, digits.test[:30], name, eps=0.12, norm="linf", **options).success_rate
    assert rate["spsa"] > rate["pgd"] + 0.3
