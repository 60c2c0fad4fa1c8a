"""Gradient attacks under every Lp threat model: projections derived the slow way, closed forms, Foolbox, planted faults."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations

import foolbox
import numpy as np
import pytest
import torch
from scipy.optimize import brentq, linprog
from torch import Tensor, nn

import labkit as lk
from labkit.attacks import _losses, _squares
from labkit.attacks._ascent import checkpoints
from labkit.attacks._plane import onto_plane
from labkit.attacks._search import NORMS, direction, distance, inside, margin, project
from labkit.core import method, registry
from labkit.core.draws import Draws

OURS = ("pgd", "momentum", "fgsm", "apgd", "apgd_targeted", "fab", "square", "uniform_noise")
EPS = {"linf": 0.1, "l2": 0.6, "l1": 1.5, "l0": 3, "noise_to_signal": 0.15}
QUICK = {"square": {"queries": 10}, "uniform_noise": {"draws": 6}, "apgd": {"steps": 15}, "pgd": {"steps": 8}}
QUICK |= {"apgd_targeted": {"steps": 10, "targets": 2}, "fab": {"steps": 6, "targets": 2}}
CASES = [(n, norm) for n in OURS for norm in method.choices(registry.find("attacks", n), "norm")]


def run(name: str, model, x: Tensor, y: Tensor, norm: str, eps: float | None = None, rows=None, **options) -> Tensor:
    """The bare leaf; ``rows`` are the rows' own numbers."""
    function = registry.find("attacks", name)
    draws = Draws(0, len(x) if rows is None else rows)
    offered = {"model": model, "x": x, "y": y, "eps": EPS[norm] if eps is None else eps, "norm": norm}
    return method.call(
        function,
        method.bind("attacks", name, function, options),
        offered | {"generator": draws, "bounds": model.bounds},
    )


@pytest.fixture(scope="module")
def right(mlp, digits) -> tuple[Tensor, Tensor]:
    """Rows that the net gets right."""
    x, y = torch.tensor(digits.test.x[:110]), torch.tensor(digits.test.y[:110])
    keep = margin(mlp(x), y) < 0
    return x[keep][:100], y[keep][:100]


def line(classes: int = 2, values: int = 20, rows: int = 80, seed: int = 0):
    """A linear model, rows that it gets right, and the matrix of lead gradients (rows, classes, values) with the leads."""
    g = torch.Generator().manual_seed(seed)
    layer = nn.Linear(values, classes)
    with torch.no_grad():
        layer.weight[:] = torch.randn(classes, values, generator=g)
        layer.bias[:] = -layer.weight.sum(1) / 2
    x = 0.35 + 0.3 * torch.rand(rows, values, generator=g)
    model = lk.wrap(layer, classes=[str(k) for k in range(classes)], bounds=(0, 1))
    with torch.no_grad():
        z = layer(x)
        y = z.argmax(1)
        w = layer.weight[y][:, None] - layer.weight[None]
        lead = z.gather(1, y[:, None]) - z
    return model, x, y, w, lead


def closed_form(w: Tensor, lead: Tensor, y: Tensor, norm: str) -> Tensor:
    """(n,) distance to the nearest class boundary of a linear model, where no bound is met: lead over dual norm."""
    size = torch.linalg.vector_norm(w, {"linf": 1, "l2": 2, "l1": torch.inf}[norm], dim=2)
    return (lead / size).scatter(1, y[:, None], torch.inf).amin(1)


def measured(v: Tensor, x: Tensor, norm: str) -> np.ndarray:
    """The distance in double precision, by NumPy."""
    x = x.double().numpy().reshape(len(x), -1)
    delta = np.abs(v.double().numpy().reshape(len(x), -1) - x)
    length = {"linf": delta.max(1), "l1": delta.sum(1), "l0": (delta > 0).sum(1)}
    if norm in length:
        return length[norm]
    return np.linalg.norm(delta, axis=1) / (np.linalg.norm(x, axis=1) if norm == "noise_to_signal" else 1)


# --- geometry


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("bounds", [(0, 1), None])
def test_a_projection_lies_in_ball_and_bounds_also_in_single_precision(norm: str, bounds) -> None:
    g = torch.Generator().manual_seed(0)
    for values in (3, 64, 1500):
        x = torch.rand(40, values, generator=g)
        v = x + 2 * torch.rand(40, 1, generator=g) * torch.randn(40, values, generator=g)
        for eps in (0.0, 0.011, 3.0, 3 * torch.rand(40, generator=g)):
            found = project(v, x, eps, norm, bounds)
            limit = np.broadcast_to(np.asarray(eps, float), 40)
            assert (measured(found, x, norm) <= limit * (1 + 1e-6)).all()
            assert bounds is None or (found.min() >= 0 and found.max() <= 1)
            np.testing.assert_allclose(distance(found, x, norm).numpy(), measured(found, x, norm), rtol=1e-5, atol=1e-7)
            torch.testing.assert_close(project(found, x, eps, norm, bounds), found, rtol=0, atol=1e-6)
        one = torch.cat([project(v[i : i + 1], x[i : i + 1], float(eps[i]), norm, bounds) for i in range(40)])
        torch.testing.assert_close(found, one)


def test_projections_are_the_nearest_points() -> None:
    g = torch.Generator().manual_seed(1)
    x, v = torch.rand(30, 8, generator=g), torch.rand(30, 8, generator=g) * 3 - 1
    delta, room = (v - x).double().numpy(), torch.where(v > x, 1 - x, x).double().numpy()
    cut = np.minimum(np.abs(delta), room)
    l1, l0 = (project(v, x, eps, norm, (0, 1)) for eps, norm in ((0.9, "l1"), (3.5, "l0")))
    for i in range(30):
        left = lambda amount, i=i: np.minimum(np.maximum(np.abs(delta[i]) - amount, 0), room[i])  # noqa: E731
        amount = brentq(lambda a, left=left: left(a).sum() - 0.9, 0, 5, xtol=1e-13) if cut[i].sum() > 0.9 else 0.0
        expected = x[i].double().numpy() + np.sign(delta[i]) * left(amount)
        np.testing.assert_allclose(l1[i].numpy(), expected, atol=1e-6)
        points = []
        for places in combinations(range(8), 3):
            point = x[i].clone()
            point[list(places)] = v[i][list(places)].clamp(0, 1)
            points.append(point)
        best = min((v[i] - p).norm().item() for p in points)
        assert (v[i] - l0[i]).norm().item() == pytest.approx(best, abs=1e-6)
    linf = project(v, x, 0.2, "linf", (0, 1))
    torch.testing.assert_close(linf, v.clamp(min=(x - 0.2).clamp_min(0), max=(x + 0.2).clamp_max(1)))
    same = project(v, x, 0.3 / x.norm(dim=1), "noise_to_signal", None)
    torch.testing.assert_close(same, project(v, x, 0.3, "l2", None))


def test_noise_to_signal_of_silence() -> None:
    x, v = torch.zeros(2, 5), torch.tensor([[0.0] * 5, [1.0, 0, 0, 0, 0]])
    assert distance(v, x, "noise_to_signal").tolist() == [0, torch.inf]
    assert torch.equal(project(v, x, 0.5, "noise_to_signal", None), x)


def test_a_step_under_l1_goes_where_values_may_still_move() -> None:
    gradient = torch.tensor([[9.0, -5, 3, 1], [0, 0, 0, 0]])
    points = torch.tensor([[1.0, 0.5, 0.5, 0.5], [0.5] * 4])
    assert direction(gradient, "l1", share=0.5)[0].tolist() == [0.5, -0.5, 0, 0]
    assert direction(gradient, "l1", points, (0, 1), 0.5)[0].tolist() == [0, -0.5, 0.5, 0]
    assert direction(gradient, "l1", points, (0, 1), torch.tensor([0.25, 0.5])).tolist() == [[0, -1, 0, 0], [0] * 4]


def test_starts_fill_the_ball_under_l1_and_change_few_values_under_l0() -> None:
    x = torch.full((4000, 2), 0.5)
    delta = (inside(Draws(0, 4000), x, 0.2, "l1") - x) / 0.2
    for r in (0.25, 0.5, 0.75):
        assert (delta.abs().sum(1) <= r).float().mean().item() == pytest.approx(r**2, abs=0.03)
    # Uniform in the diamond: the share of the first value's size in the whole is uniform too.
    assert (delta[:, 0].abs() / delta.abs().sum(1)).quantile(0.25).item() == pytest.approx(0.25, abs=0.03)
    assert delta.mean(0).abs().max() < 0.03
    x = torch.full((500, 30), 0.5)
    points = inside(Draws(0, 500), x, 4, "l0", (0, 1))
    assert ((points != x).sum(1) == 4).all() and points.min() >= 0 and points.max() <= 1
    assert ((points != x).float().mean(0) - 4 / 30).abs().max() < 0.06


@pytest.mark.parametrize("norm", ["linf", "l2", "l1"])
def test_the_way_to_a_plane_is_the_shortest_within_the_bounds(norm: str) -> None:
    g = torch.Generator().manual_seed(2)
    w, x = torch.randn(12, 6, generator=g), torch.rand(12, 6, generator=g)
    most = torch.where(w > 0, w * (1 - x), -w * x).sum(1)
    rise = most * torch.linspace(0.1, 1.2, 12)
    delta = onto_plane(w, rise, x, norm, (0, 1)).double().numpy()
    assert (x + torch.tensor(delta) > -1e-6).all() and (x + torch.tensor(delta) < 1 + 1e-6).all()
    for i in range(12):
        gradient, low, high = w[i].double().numpy(), -x[i].double().numpy(), 1 - x[i].double().numpy()
        goal = min(rise[i].item(), most[i].item())
        assert gradient @ delta[i] == pytest.approx(goal, abs=1e-5)
        if rise[i] > most[i]:
            continue
        if norm == "l2":
            at = lambda k, g=gradient, a=low, b=high: np.clip(k * g, a, b)  # noqa: E731
            best = at(brentq(lambda k, at=at, g=gradient, goal=goal: g @ at(k) - goal, 0, 1e4))
            np.testing.assert_allclose(delta[i], best, atol=1e-5)
            continue
        # Linear programs: delta = up - down; under "linf" one more variable bounds them all.
        cost = np.ones(12) if norm == "l1" else np.r_[np.zeros(12), 1]
        rows, limits, box = [np.r_[-gradient, gradient]], [-goal], [*zip(0 * high, high), *zip(0 * low, -low)]
        if norm == "linf":
            rows = [np.r_[rows[0], 0], *(np.r_[np.eye(12)[k], -1] for k in range(12))]
            limits, box = limits + [0] * 12, [*box, (0, None)]
        best = linprog(cost, rows, limits, bounds=box).fun
        assert (np.abs(delta[i]).sum() if norm == "l1" else np.abs(delta[i]).max()) == pytest.approx(best, abs=1e-5)


# --- losses


def test_losses_by_hand() -> None:
    z, y = torch.tensor([[5.0, 3, 2, 0], [1, 4, 0, 2]]), torch.tensor([0, 2])
    torch.testing.assert_close(_losses.cross_entropy(z, y), z.logsumexp(1) - z[[0, 1], y])
    assert _losses.margin(z, y).tolist() == [-2, 4]
    assert _losses.dlr(z, y).tolist() == pytest.approx([-2 / 3, 4 / 3])
    target = torch.tensor([2, 0])
    assert _losses.targeted_dlr(z, y, target).tolist() == pytest.approx([-3 / 4, 1 / 3.5])
    for loss in (_losses.dlr(1000 * z, y) - _losses.dlr(z, y), _losses.dlr(z, y) - _losses.dlr(z - 7, y)):
        assert loss.abs().max() < 1e-5
    few = torch.tensor([[1.0, 3, 2]])
    assert _losses.dlr(few, y[:1]).item() == 2 and _losses.targeted_dlr(few, y[:1], target[:1]).item() == 1
    z[0, 3] = torch.nan
    for loss in (_losses.margin(z, y), _losses.dlr(z, y), _losses.targeted_dlr(z, y, target)):
        assert loss[0] == 0 and loss.isfinite().all()


# --- closed forms


@pytest.mark.parametrize(
    ("name", "norm"),
    [(name, norm) for name in ("pgd", "apgd", "momentum", "fgsm") for norm in ("linf", "l2")] + [("apgd", "l1")],
)
def test_an_attack_breaks_a_linear_model_exactly_where_it_can(name: str, norm: str) -> None:
    model, x, y, w, lead = line()
    exact = closed_form(w, lead, y, norm)
    eps = min(exact.median().item(), 0.3)
    found = run(name, model, x, y, norm, eps)
    broken = model(found).argmax(1) != y
    assert not broken[exact > eps * (1 + 1e-4)].any()
    assert broken[exact < eps * (0.97 if name == "apgd" else 1 - 1e-3)].all()
    assert (measured(found, x, norm) <= eps * (1 + 1e-6)).all()


def test_pgd_breaks_a_linear_model_with_the_fewest_values() -> None:
    """Each value brings its weight times its way to the bound; the fewest are those that bring most."""
    model, x, _, _, _ = line()
    with torch.no_grad():
        model.module.bias[0] += 3
        z = model(x)
    y = z.argmax(1)
    lead, way = (z[:, 0] - z[:, 1]).abs(), model.module.weight[y] - model.module.weight[1 - y]
    most = (way.abs() * torch.where(way > 0, x, 1 - x)).sort(1, descending=True).values.cumsum(1)
    fewest = (most <= lead[:, None]).sum(1) + 1
    assert fewest.min() < 3 < fewest.max()
    for eps in (1, 2, 4):
        broken = model(run("pgd", model, x, y, "l0", eps)).argmax(1) != y
        assert not broken[fewest > eps].any()
        assert (broken != (fewest <= eps)).float().mean() < 0.05


@pytest.mark.parametrize("norm", ["linf", "l2", "l1"])
def test_fab_finds_a_linear_models_exact_distance(norm: str) -> None:
    model, x, y, w, lead = line(classes=4)
    exact = closed_form(w, lead, y, norm).numpy()
    near = exact < 0.3  # under "l1" one value goes the whole way: farther off the bounds are met
    away = measured(run("fab", model, x, y, norm, steps=20, targets=3), x, norm)
    assert near.sum() > 40
    # As far beyond the boundary as a wrong answer must lie to stay one: 1e-4 of the largest logit.
    np.testing.assert_allclose(away[near], exact[near], rtol=3e-3, atol=4e-4)
    assert (away >= exact * (1 - 1e-4)).all()


def test_a_budget_in_parts_of_the_signal_needs_no_bounds() -> None:
    model, x, y, w, _ = line()
    model = replace(model, bounds=None)
    x = x * torch.linspace(0.5, 2, len(x))[:, None]
    y = model(x).argmax(1)
    z = model(x)
    exact = (z[:, 0] - z[:, 1]).abs() / w.norm(dim=2).amax(1) / x.norm(dim=1)
    eps = exact.median().item()
    for name in ("pgd", "apgd", "fgsm"):
        found = run(name, model, x, y, "noise_to_signal", eps)
        assert (measured(found, x, "noise_to_signal") <= eps * (1 + 1e-6)).all()
        broken = model(found).argmax(1) != y
        assert not broken[exact > eps * (1 + 1e-4)].any() and broken[exact < eps * 0.97].all()


def test_apgd_halves_its_steps_where_the_papers_schedule_looks() -> None:
    assert sorted(checkpoints(100, "linf")) == [22, 41, 57, 70, 80, 87, 93, 99]
    assert sorted(checkpoints(100, "l1")) == list(range(4, 100, 4))
    for steps in (1, 2, 7):
        assert all(0 < at <= steps for at in checkpoints(steps, "l2") | checkpoints(steps, "l1"))


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_apgd_converges_to_a_peak_inside_the_ball(norm: str) -> None:
    """Steps of a fixed length would circle round it. The peak is no success, so that no row leaves before the end."""

    class Peak(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return torch.stack([1 + ((x - 0.53) ** 2).sum(1), torch.zeros(len(x))], 1)

    model = lk.wrap(Peak(), classes=["a", "b"], bounds=(0, 1))
    x = torch.full((5, 6), 0.5)
    found = run("apgd", model, x, torch.zeros(5, dtype=torch.int64), norm, 0.2)
    assert (found - 0.53).abs().max() < 0.004


# --- nets


@pytest.mark.parametrize(("net", "norm"), [("mlp", "linf"), ("mlp", "l2"), ("mlp", "l1"), ("cnn", "l2")])
def test_apgd_is_at_least_as_strong_as_foolboxs_pgd(net: str, norm: str, digits, request) -> None:
    model = request.getfixturevalue(net)
    x, y = torch.tensor(digits.test.x[:20]), torch.tensor(digits.test.y[:20])
    attack = {"linf": foolbox.attacks.LinfPGD, "l2": foolbox.attacks.L2PGD, "l1": foolbox.attacks.SparseL1DescentAttack}
    theirs = attack[norm]()(foolbox.PyTorchModel(model.module, bounds=(0, 1)), x, y, epsilons=EPS[norm])[2]
    for name, options in (("apgd", {"steps": 40}), ("apgd_targeted", {"steps": 20, "targets": 3})):
        broken = model(run(name, model, x, y, norm, **options)).argmax(1) != y
        assert broken.sum() >= theirs.sum() and (theirs & ~broken).sum() <= 1


def test_apgd_targeted_is_at_least_as_strong_as_any_other_and_fab_beats_one_step(mlp, right) -> None:
    x, y = (part[:45] for part in right)
    quick = {"square": {"queries": 40}, "apgd": {"steps": 50}, "apgd_targeted": {"steps": 30}}
    for norm in ("linf", "l2", "l1"):
        stand: dict[str, int] = {}
        for name in ("pgd", "apgd", "apgd_targeted", "fab", "fgsm", "square"):
            found = project(run(name, mlp, x, y, norm, **quick.get(name, {})), x, EPS[norm], norm, (0, 1))
            stand[name] = (mlp(found).argmax(1) == y).sum().item()
        assert stand["apgd_targeted"] <= min(stand.values()) + 1
        assert stand["fab"] < stand["fgsm"]
        assert stand["apgd"] <= stand["pgd"] + 3 and stand["square"] > stand["apgd"]


def test_sure_models_stop_the_cross_entropy_and_not_the_ratio(mlp, right) -> None:
    """Logits times 1000: the same decisions. The sound twin, the net as it is, gives way to all of them alike."""
    x, y = (part[:45] for part in right)

    class Sure(nn.Module):
        def __init__(self, inner: nn.Module) -> None:
            super().__init__()
            self.inner = inner

        def forward(self, v: Tensor) -> Tensor:
            return 1000 * self.inner(v)

    sure = replace(mlp, module=Sure(mlp.module).eval())
    options = {"apgd": {"steps": 40, "loss": "dlr"}, "apgd_targeted": {"steps": 20}, "fab": {"steps": 15}}
    for name, chosen in options.items():
        left = []
        for model in (mlp, sure):
            found = project(run(name, model, x, y, "linf", **chosen), x, EPS["linf"], "linf", (0, 1))
            left.append((mlp(found).argmax(1) == y).sum().item())
        assert abs(left[0] - left[1]) <= 2
    vanished, sound = (
        (mlp(run("apgd", model, x, y, "linf", steps=40)).argmax(1) == y).sum().item() for model in (sure, mlp)
    )
    assert vanished > sound + 10


# --- the contract


@pytest.mark.parametrize(("name", "norm"), CASES)
def test_an_answer_depends_on_its_row_alone(name: str, norm: str, mlp, right) -> None:
    x, y = (part[:10] for part in right)
    options = QUICK.get(name, {})
    whole = run(name, mlp, x, y, norm, **options)
    kept = x.clone()
    for size in (1, 7):
        parts = [np.arange(a, min(a + size, 10)) for a in range(0, 10, size)]
        found = torch.cat([run(name, mlp, x[p], y[p], norm, rows=p, **options) for p in parts])
        assert torch.equal(margin(mlp(found), y) > 0, margin(mlp(whole), y) > 0)
        assert ((found - whole).flatten(1).abs().amax(1) < 1e-4).float().mean() > 0.95
    assert torch.equal(x, kept) and not whole.requires_grad and whole.dtype == x.dtype
    assert whole.min() >= 0 and whole.max() <= 1
    if "eps" in method.needs(registry.find("attacks", name)):
        assert (measured(whole, x, norm) <= EPS[norm] * (1 + 1e-6)).all()


@pytest.mark.parametrize(("name", "norm"), CASES)
def test_a_row_without_an_answer_stays_and_stops_no_other(name: str, norm: str, mlp, right) -> None:
    """The net gives NaN for the rows whose first value is 1, and wherever an attack brings that value above 0.5."""
    x, y = (part[:12].clone() for part in right)
    x[::3, 0, 0, 0] = 1.0

    class Holes(nn.Module):
        def __init__(self, inner: nn.Module) -> None:
            super().__init__()
            self.inner = inner

        def forward(self, v: Tensor) -> Tensor:
            return torch.where((v[:, 0, 0, 0] > 0.5)[:, None], torch.nan, self.inner(v))

    model = replace(mlp, module=Holes(mlp.module).eval())
    found = run(name, model, x, y, norm, **QUICK.get(name, {}))
    assert found.isfinite().all()
    lost = x[:, 0, 0, 0] == 1
    if norm == "linf":
        assert torch.equal(found[lost], x[lost]) or name == "fgsm"
    if name not in ("uniform_noise", "fgsm", "square"):
        assert (margin(model(found), y)[~lost] > 0).any()


def test_attacks_without_gradients_say_so() -> None:
    for name in OURS:
        promised = "queries" in method.promises(registry.find("attacks", name))
        assert promised == (name in ("square", "uniform_noise"))


def test_squares_under_l1_and_l0_keep_the_budget(mlp, right) -> None:
    image = torch.full((6, 3, 9, 9), 0.5)
    delta = _squares.bumps(Draws(0, 6), image, 0.7, p=1)
    for k in range(10):
        torch.testing.assert_close(delta.abs().flatten(1).sum(1), torch.full((6,), 0.7), atol=2e-3, rtol=0)
        delta = _squares.moved(Draws(k, 6), delta, 0.7, 0.2, p=1)
    image[:, :, 0] = 0.0
    delta = _squares.scattered(Draws(0, 6), image, 12, (0, 1))
    for k in range(10):
        assert ((delta != 0).flatten(1).sum(1) == 12).all()
        after = image + delta
        assert ((after == 0) | (after == 1))[delta != 0].all()
        new = _squares.swapped(Draws(k, 6), image, delta, 12, 0.25, (0, 1))
        assert (((new != 0) & (delta == 0)).flatten(1).sum(1) == 3).all()
        delta = new
    x, y = (part[:40] for part in right)
    square, noise = (
        (mlp(run(name, mlp, x, y, "l0", **{what: 30})).argmax(1) != y).sum()
        for name, what in (("square", "queries"), ("uniform_noise", "draws"))
    )
    assert square > noise


@pytest.mark.parametrize(("name", "norm"), CASES)
def test_nobody_is_asked_about_no_row(name: str, norm: str, mlp, right) -> None:
    """Whatever step it is after which no row is left."""

    class Asked(nn.Module):
        def forward(self, v: Tensor) -> Tensor:
            assert len(v), "asked about no row"
            return mlp.module(v)

    steps = (1, 2, 3) if name in ("momentum", "pgd", "apgd", "apgd_targeted", "fab") else (None,)
    for few in steps:
        options = QUICK.get(name, {}) | ({} if few is None else {"steps": few})
        run(name, replace(mlp, module=Asked()), *(v[:3] for v in right), norm, 5 * EPS[norm], **options)
