"""Attacks for the smallest perturbation and the sparse ones: closed forms, Foolbox, enumeration, and bad company."""

from __future__ import annotations

import foolbox
import numpy as np
import pytest
import torch
from torch import Tensor, nn

import labkit as lk
from labkit.attacks._nearest import Nearest
from labkit.attacks._search import distance
from labkit.core import method, registry
from labkit.core.draws import Draws

SMALLEST = ("carlini_wagner", "ddn", "deepfool", "ead", "fmn", "jsma")
QUICK = {"carlini_wagner": {"searches": 3, "steps": 40}, "ead": {"searches": 4, "steps": 60}, "fmn": {"steps": 60}}
FEW = {"sparse_search": {"queries": 150}, "one_pixel": {"population": 20, "generations": 15}}


def each() -> list[tuple[str, str]]:
    return [(name, norm) for name in SMALLEST for norm in method.choices(registry.find("attacks", name), "norm")]


def raw(name: str, model, x: Tensor, y: Tensor, norm: str, generator: Draws | None = None, **options) -> Tensor:
    """The bare leaf."""
    function = registry.find("attacks", name)
    given = {"model": model, "x": x, "y": y, "norm": norm, "generator": generator or Draws(0, len(x))}
    given |= {"eps": options.pop("eps", None), "batch_size": options.pop("batch_size", 64)}
    return method.call(function, method.bind("attacks", name, function, options), given)


def right(model, split: lk.data.Split, n: int) -> tuple[Tensor, Tensor]:
    """The first rows that the model gets right."""
    x, y = torch.tensor(split.x[: 2 * n]), torch.tensor(split.y[: 2 * n])
    rows = torch.where(model(x).argmax(1) == y)[0][:n]
    return x[rows], y[rows]


def smallest(model, x: Tensor, y: Tensor, found: Tensor, norm: str) -> Tensor:
    """(n,) distances, infinite where the answer is right."""
    return torch.where(model(found).argmax(1) == y, torch.inf, distance(found, x, norm))


@pytest.fixture(scope="module")
def linear():
    """A linear model of two classes, rows, and each row's exact distance to the boundary, by norm."""
    w = np.random.default_rng(0).normal(size=20)
    x = np.random.default_rng(1).uniform(0.35, 0.65, (40, 20)).astype(np.float32)
    lead = x @ w
    lead = lead - np.median(lead)
    layer = nn.Linear(20, 2)
    with torch.no_grad():
        layer.weight[:] = torch.tensor(np.stack([-w / 2, w / 2]))
        layer.bias[:] = torch.tensor([1, -1]) * float(np.median(x @ w)) / 2
    room = np.where((lead[:, None] < 0) == (w > 0), 1 - x, x)
    exact = {"l2": np.abs(lead) / np.linalg.norm(w), "linf": np.abs(lead) / np.abs(w).sum()}
    exact["noise_to_signal"] = exact["l2"] / np.linalg.norm(x, axis=1)
    exact["l0"] = 1 + (np.cumsum(-np.sort(-np.abs(w) * room), 1) < np.abs(lead)[:, None]).sum(1)
    # sizes go to the largest weights first, each as far as its bound
    order = np.argsort(-np.abs(w))
    gain = np.cumsum((np.abs(w) * room)[:, order], 1)
    before = np.pad(gain, ((0, 0), (1, 0)))[:, :-1]
    spent = np.clip((np.abs(lead)[:, None] - before) / np.abs(w)[order], 0, room[:, order])
    exact["l1"] = spent.sum(1)
    model = lk.wrap(layer, classes=["left", "right"], bounds=(0, 1))
    return model, torch.tensor(x), torch.tensor((lead > 0).astype(np.int64)), exact


@pytest.mark.parametrize(("name", "norm"), each())
def test_a_linear_models_exact_distance_is_found(name: str, norm: str, linear) -> None:
    model, x, y, exact = linear
    found = smallest(model, x, y, raw(name, model, x, y, norm), norm).double().numpy()
    ratio = found / exact[norm]
    assert ratio.min() > 1 - 1e-4, "nearer than the boundary"
    if norm == "l0":
        assert (found <= exact["l0"] + (name == "fmn")).all() and (found == exact["l0"]).mean() > (
            0.7 if name == "fmn" else 0.99
        )
    else:
        # Adam's first steps have one length, so that it passes over the nearest points of rows a hair from the boundary
        assert ratio.max() < 1.01 if name != "carlini_wagner" else (np.median(ratio) < 1.03 and ratio.max() < 1.4)


@pytest.mark.parametrize("name", ["deepfool", "ddn", "fmn"])
def test_signals_need_no_bounds(name: str, linear) -> None:
    model, x, y, exact = linear
    free = lk.wrap(model.module, classes=model.classes)
    silent = torch.cat([x, torch.zeros(1, 20)])
    label = torch.cat([y, free(torch.zeros(1, 20)).argmax(1)])
    found = raw(name, free, silent, label, "noise_to_signal")
    assert torch.equal(found[-1], silent[-1]) and found.isfinite().all()
    away = smallest(model, x, y, found[:-1], "noise_to_signal").double().numpy()
    np.testing.assert_allclose(away, exact["noise_to_signal"], rtol=0.02, atol=1e-3)


_FOOLBOX = foolbox.attacks
PAIRS = {
    ("carlini_wagner", "l2"): (_FOOLBOX.L2CarliniWagnerAttack(steps=40, binary_search_steps=4, stepsize=0.03), 1.0),
    ("deepfool", "l2"): (_FOOLBOX.L2DeepFoolAttack(), 1.01),
    ("deepfool", "linf"): (_FOOLBOX.LinfDeepFoolAttack(), 1.01),
    ("ddn", "l2"): (_FOOLBOX.DDNAttack(steps=60), 1.01),
    ("fmn", "l2"): (_FOOLBOX.L2FMNAttack(steps=60), 1.0),
    ("fmn", "linf"): (_FOOLBOX.LInfFMNAttack(steps=60), 1.02),
    ("fmn", "l1"): (_FOOLBOX.L1FMNAttack(steps=60), 1.02),
    ("fmn", "l0"): (_FOOLBOX.L0FMNAttack(steps=60), 1.0),
    ("ead", "l1"): (_FOOLBOX.EADAttack(steps=60, binary_search_steps=5, initial_const=1.0, decision_rule="L1"), 1.02),
}
SAME = {"carlini_wagner": {"steps": 40, "searches": 4}, "ddn": {"steps": 60}, "fmn": {"steps": 60}}
SAME["ead"] = {"steps": 60, "searches": 5}


@pytest.mark.parametrize("net", ["mlp", "cnn"])
@pytest.mark.parametrize(("name", "norm"), PAIRS)
def test_distances_are_foolboxs_or_smaller_at_the_same_steps(name: str, norm: str, net: str, request, digits) -> None:
    model = request.getfixturevalue(net)
    x, y = right(model, digits.test, 20)
    theirs, most = PAIRS[name, norm]
    ours = smallest(model, x, y, raw(name, model, x, y, norm, **SAME.get(name, {})), norm)
    with np.errstate(all="ignore"):
        other = theirs(foolbox.PyTorchModel(model.module, bounds=(0, 1), device="cpu"), x, y, epsilons=None)[1]
    other = smallest(model, x, y, other, norm)
    assert ours.isfinite().all()
    both = other.isfinite()
    assert (ours[both] / other[both]).mean() <= most


def test_the_attacks_agree_on_what_is_near(mlp, digits) -> None:
    """Four ways to the Euclidean boundary: none of them lags far behind the nearest point of all."""
    x, y = right(mlp, digits.test, 30)
    away = torch.stack(
        [smallest(mlp, x, y, raw(name, mlp, x, y, "l2"), "l2") for name in ("carlini_wagner", "ddn", "deepfool", "fmn")]
    )
    assert ((away / away.amin(0)).mean(1) < 1.06).all()


@pytest.mark.parametrize(("name", "norm"), each())
def test_a_row_does_not_depend_on_its_company(name: str, norm: str, mlp, digits) -> None:
    x, y = right(mlp, digits.test, 10)
    options, part = QUICK.get(name, {}), [7, 2]
    whole, few = raw(name, mlp, x, y, norm, **options), raw(name, mlp, x[part], y[part], norm, **options)
    # rounding differs between batches, and where the way turns on it another point is found, as near as the first
    torch.testing.assert_close(whole[part], few, atol=1e-2, rtol=0)
    torch.testing.assert_close(distance(whole, x, norm)[part], distance(few, x[part], norm), rtol=1e-3, atol=1e-4)
    assert whole.min() >= 0 and whole.max() <= 1 and not whole.requires_grad


class Shaded(nn.Module):
    """Another model, but NaN for bright rows."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x: Tensor) -> Tensor:
        return torch.where(x.flatten(1).mean(1, keepdim=True) > 0.8, torch.nan, self.inner(x))


@pytest.mark.parametrize(("name", "norm"), [*each(), ("sparse_search", "l0"), ("one_pixel", "l0")])
def test_rows_that_cannot_be_broken_come_back_and_stop_nobody(name: str, norm: str, mlp, digits) -> None:
    x, y = right(mlp, digits.test, 4)
    mixed, label = x.clone(), y.clone()
    mixed[1] = 0.95
    options = QUICK.get(name, {}) | FEW.get(name, {})
    options |= {"eps": 3} if name in FEW else {}
    found = raw(name, lk.wrap(Shaded(mlp.module), classes=mlp.classes, bounds=(0, 1)), mixed, label, norm, **options)
    alone = raw(name, mlp, x, y, norm, **options)
    assert torch.equal(found[1], mixed[1])
    torch.testing.assert_close(found[[0, 2, 3]], alone[[0, 2, 3]], atol=1e-4, rtol=0)

    constant = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
    constant[1].weight.data[:], constant[1].bias.data[:] = 0, torch.eye(10)[3]
    sure = lk.wrap(constant, classes=mlp.classes, bounds=(0, 1))
    label = torch.full_like(y, 3)
    assert name in FEW or torch.equal(raw(name, sure, x, label, norm, **options), x)


@pytest.mark.parametrize(("name", "norm"), each())
def test_units_and_the_scale_of_the_logits_change_no_distance(name: str, norm: str, mlp, digits) -> None:
    """Pixels from 0 to 255 in place of 0 to 1, and logits times 1000, which make a model look robust."""

    class Other(nn.Module):
        def __init__(self, unit: float, sure: float) -> None:
            super().__init__()
            self.inner, self.unit, self.sure = mlp.module, unit, sure

        def forward(self, x: Tensor) -> Tensor:
            return self.sure * self.inner(x / self.unit)

    x, y = right(mlp, digits.test, 12)
    options = QUICK.get(name, {})
    plain = smallest(mlp, x, y, raw(name, mlp, x, y, norm, **options), norm)
    wide = lk.wrap(Other(255.0, 1.0), classes=mlp.classes, bounds=(0, 255))
    bytes_ = smallest(wide, 255 * x, y, raw(name, wide, 255 * x, y, norm, **options), norm)
    scale = 255 if norm in ("linf", "l2", "l1") else 1
    np.testing.assert_allclose((bytes_ / scale).mean(), plain.mean(), rtol=0.02)
    sure = lk.wrap(Other(1.0, 1000.0), classes=mlp.classes, bounds=(0, 1))
    loud = smallest(sure, x, y, raw(name, sure, x, y, norm, **options), norm)
    # the cross-entropy of such logits has no gradient: DDN goes along that of the margin, which is another way
    np.testing.assert_allclose(loud.mean(), plain.mean(), rtol=0.1 if name == "ddn" else 0.03)


def test_the_nearest_wrong_point_is_kept_and_nothing_unsure() -> None:
    x, y = torch.zeros(3, 2), torch.tensor([0, 0, 0])
    nearest = Nearest(x, y, "l2")
    wrong, right_, barely = [0.0, 1.0], [1.0, 0.0], [1.0, 1.0 + 1e-6]
    nearest.offer(torch.full((3, 2), 0.5), torch.tensor([wrong, wrong, right_]))
    nearest.offer(torch.full((3, 2), 0.7), torch.tensor([wrong, right_, [torch.nan, 1.0]]))
    nearest.offer(torch.full((2, 2), 0.2), torch.tensor([wrong, barely]), torch.tensor([0, 1]))
    assert nearest.points[:, 0].tolist() == pytest.approx([0.2, 0.5, 0.0])
    assert nearest.distance.tolist() == pytest.approx([0.2 * 2**0.5, 0.5 * 2**0.5, np.inf])


def test_broken_rows_ask_no_more_and_batches_stay_small(mlp_module, digits) -> None:
    class Counting(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner, self.seen = mlp_module, []

        def forward(self, x: Tensor) -> Tensor:
            self.seen.append(len(x))
            return self.inner(x)

    model = lk.wrap(Counting().eval(), classes=digits.classes, bounds=(0, 1))
    x, y = right(model, digits.test, 20)
    for name, options in (("deepfool", {}), ("sparse_search", {"eps": 3}), ("one_pixel", {"eps": 3, "batch_size": 24})):
        model.module.seen.clear()
        raw(name, model, x, y, "linf" if name == "deepfool" else "l0", **options)
        seen = model.module.seen
        assert max(seen) <= (24 if name == "one_pixel" else 20) and min(seen) < 10


def pairs_of_bounds(x: Tensor) -> Tensor:
    """(128, 64) every single value of a row at either bound."""
    points = x.flatten().repeat(128, 1)
    points[torch.arange(64), torch.arange(64)], points[torch.arange(64) + 64, torch.arange(64)] = 0.0, 1.0
    return points.view(128, *x.shape)


@pytest.mark.parametrize("name", ["sparse_search", "one_pixel"])
def test_one_value_breaks_what_enumeration_breaks(name: str, mlp, digits) -> None:
    """With one value to change the whole problem can be looked through: 64 places, both ends of the range."""
    x, y = right(mlp, digits.test, 40)
    function = registry.find("attacks", name)
    assert method.promises(function) == ("queries",)
    truth = torch.stack([(mlp(pairs_of_bounds(row)).argmax(1) != label).any() for row, label in zip(x, y)])
    found = raw(name, mlp, x, y, "l0", eps=1)
    broken = mlp(found).argmax(1) != y
    assert 10 < truth.sum() < 40
    assert not (broken & ~truth).any() and (broken & truth).sum() >= 0.9 * truth.sum()
    assert distance(found, x, "l0").max() <= 1


@pytest.mark.parametrize("name", ["sparse_search", "one_pixel"])
@pytest.mark.parametrize("eps", [0.0, 0.9, 2.0, 1000.0])
def test_sparse_attacks_keep_the_budget_and_their_own_draws(name: str, eps: float, mlp, digits) -> None:
    x, y = right(mlp, digits.test, 8)
    found = raw(name, mlp, x, y, "l0", eps=eps, **FEW[name])
    assert distance(found, x, "l0").max() <= eps and found.min() >= 0 and found.max() <= 1
    assert eps >= 1 or torch.equal(found, x)
    part = raw(name, mlp, x[2:5], y[2:5], "l0", Draws(0, 8)[2:5], eps=eps, batch_size=7, **FEW[name])
    assert torch.equal(part, found[2:5])
    assert eps < 1 or not torch.equal(raw(name, mlp, x, y, "l0", Draws(1, 8), eps=eps, **FEW[name]), found)


def test_colours_are_values_of_their_own(digits) -> None:
    """Three colours a pixel: a budget of two changes two values, not two pixels."""
    torch.manual_seed(0)
    model = lk.wrap(nn.Sequential(nn.Flatten(), nn.Linear(48, 3)).eval(), classes=("a", "b", "c"), bounds=(0, 1))
    x = torch.rand(10, 3, 4, 4)
    y = model(x).argmax(1)
    for name in ("sparse_search", "one_pixel"):
        found = raw(name, model, x, y, "l0", eps=2)
        assert distance(found, x, "l0").max() == 2 and (model(found).argmax(1) != y).float().mean() > 0.2


def test_jsma_counts_the_room_that_a_value_has() -> None:
    """The largest weight is nearly at its bound: the one change that is allowed must be that of the other value."""
    layer = nn.Linear(4, 2)
    layer.weight.data[:] = torch.tensor([[-2.0, -1, 0, 0], [2, 1, 0, 0]])
    layer.bias.data[:] = torch.tensor([4.5, 0.0])
    model = lk.wrap(layer, classes=("low", "high"), bounds=(0, 1))
    x = torch.tensor([[0.95, 0.1, 0.5, 0.5]])
    found = raw("jsma", model, x, torch.tensor([0]), "l0", share=0.25)
    assert found.tolist() == [pytest.approx([0.95, 1.0, 0.5, 0.5])]
