"""Certificates against closed forms, exact radii by enumeration, random points, attacks, and a planted false one."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import numpy as np
import pytest
import torch
from scipy.optimize import linprog
from torch import Tensor, nn
from torch.nn import functional

import labkit as lk
from labkit.certificates._bounds import Ball, Bounds
from labkit.certificates._graph import graph
from labkit.certificates._relaxations import Bent, Greatest, Smooth
from labkit.certificates.crown import crown
from labkit.certificates.interval_bounds import interval_bounds
from labkit.certificates.randomized_smoothing import randomized_smoothing
from labkit.core.draws import Draws
from labkit.models.smoothing import smoothed
from tests.conftest import train

NORMS = ("linf", "l2", "l1")
DUAL = {"linf": 1, "l2": 2, "l1": float("inf")}


def lead_of(model, x: Tensor, y: Tensor) -> Tensor:
    z = model(x)
    return z.gather(1, y[:, None])[:, 0] - z.scatter(1, y[:, None], -torch.inf).amax(1)


class Everything(nn.Module):
    """What the tracer must follow: arithmetic, batch normalisation, residual sums, in-place and shared functions, overlapping
    pooling with padding, parts put together, two kinds of smooth functions, a clamp."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.norm = nn.Conv2d(1, 4, 3, padding=1, stride=2), nn.BatchNorm2d(4)
        self.second, self.head = nn.Conv2d(4, 4, 3, padding=1), nn.Linear(16, 3)
        self.norm.running_mean.normal_()
        self.norm.running_var.uniform_(0.5, 2)

    def forward(self, x: Tensor) -> Tensor:
        h = torch.relu(self.norm(self.first((x - 0.3) / 0.5)))
        g = functional.leaky_relu(self.second(h), 0.1) + h
        g.relu_()
        g = functional.max_pool2d(g, 3, stride=2, padding=1)
        g = torch.cat([g[:, :2], torch.tanh(g[:, 2:3]), 1 - torch.sigmoid(-2 * g[:, 3:])], 1)
        return self.head(functional.dropout(g, 0.5, self.training).flatten(1)).clamp(-5, 5)


@pytest.fixture(scope="module")
def everything():
    torch.manual_seed(0)
    return lk.wrap(Everything(), classes=list("abc"), bounds=(0, 1))


@pytest.fixture(scope="module")
def tiny():
    """Three inputs, six ReLUs, three classes: every activation pattern can be looked at."""
    torch.manual_seed(1)
    module = nn.Sequential(nn.Linear(3, 6), nn.ReLU(), nn.Linear(6, 3))
    return lk.wrap(module, classes=list("abc"), bounds=(-1, 1))


def inside(x: Tensor, eps: float, norm: str, seed: int) -> Tensor:
    """One point a row of the ball's surface and of the bounds: corners, single entries, directions."""
    generator = torch.Generator().manual_seed(seed)
    v = torch.randn(x.shape, generator=generator)
    if seed % 2:
        v = v * (torch.rand(x.shape, generator=generator) < 0.05)
    if norm == "linf":
        step = v.sign() * eps
    else:
        size = v.flatten(1).norm(2 if norm == "l2" else 1, dim=1).clamp_min(1e-9)
        step = v * (eps / size).reshape(-1, *[1] * (x.ndim - 1))
    return (x + step).clamp(0, 1)


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("leaf", [interval_bounds, crown])
def test_linear_models_have_their_exact_margin(leaf, norm: str) -> None:
    torch.manual_seed(0)
    module = nn.Linear(7, 4)
    model = lk.wrap(module, classes=list("abcd"))
    x, eps = torch.randn(9, 7), torch.rand(9)
    y = model(x).argmax(1)
    apart = module.weight[y][:, None] - module.weight[None]
    least = (module(x).gather(1, y[:, None]) - module(x)) - eps[:, None] * apart.norm(DUAL[norm], dim=2)
    exact = least.scatter(1, y[:, None], torch.inf).amin(1)
    assert torch.allclose(leaf(model, x, y, eps, norm, 5), exact.detach(), atol=1e-5)


@pytest.mark.parametrize("norm", NORMS)
def test_a_linear_model_within_bounds_is_exact_too(norm: str) -> None:
    torch.manual_seed(0)
    module = nn.Linear(6, 2)
    model, x, eps = lk.wrap(module, classes=["a", "b"], bounds=(0, 1)), torch.rand(8, 6), 0.4
    y = torch.zeros(8, dtype=torch.long)
    found = crown(model, x, y, torch.full((8,), eps), norm, 64)
    w = (module.weight[0] - module.weight[1]).detach().double().numpy()
    for row, bound, margin in zip(x.double().numpy(), found, (model(x)[:, 0] - model(x)[:, 1]).tolist()):
        low, high = np.maximum(-row, -eps), np.minimum(1 - row, eps)
        if norm == "linf":
            least = linprog(w, bounds=list(zip(low, high))).fun
        elif norm == "l1":  # up and down apart, of which the sum is at most eps
            least = linprog(np.r_[w, -w], A_ub=np.ones((1, 12)), b_ub=[eps], bounds=[*((0, h) for h in high), *((0, -v) for v in low)]).fun  # fmt: skip
        else:  # the multiplier at which the step is as long as it may be, by bisection
            a, b = 1e-9, 1e9
            for _ in range(200):
                m = (a * b) ** 0.5
                step = np.clip(-w / (2 * m), low, high)
                a, b = (m, b) if np.linalg.norm(step) > eps else (a, m)
            least = float(w @ step)
        assert margin + least - 2e-3 * (norm == "l2") - 1e-5 <= bound <= margin + least + 1e-6


def exact_linf_radius(model, row: np.ndarray, label: int) -> float:
    """The least change of any input that makes another class as high: one linear programme an activation pattern."""
    first, _, last = model.module
    (w, b), (v, c) = ((layer.weight.double().numpy(), layer.bias.double().numpy()) for layer in (first, last))
    best = np.inf
    for pattern in product((0.0, 1.0), repeat=len(b)):
        on = np.array(pattern)
        side = (1 - 2 * on)[:, None]
        whole, shift = v @ (on[:, None] * w), v @ (on * b) + c
        for other in {0, 1, 2} - {label}:
            far = np.ones((3, 1))
            a = np.block([[side * w, np.zeros((6, 1))], [(whole[label] - whole[other])[None], np.zeros((1, 1))],
                          [np.eye(3), -far], [-np.eye(3), -far]])  # fmt: skip
            limit = np.r_[-side[:, 0] * b, shift[other] - shift[label], row, -row]
            found = linprog([0, 0, 0, 1], A_ub=a, b_ub=limit, bounds=[(-1, 1)] * 3 + [(0, None)])
            best = min(best, found.fun) if found.success else best
    return best


def test_certified_exact_attacked_in_this_order_on_a_tiny_net(tiny) -> None:
    x = torch.tensor([[0.3, -0.2, 0.5], [-0.6, 0.4, 0.1], [0.7, 0.7, -0.3], [0.0, 0.1, -0.9]])
    y = tiny(x).argmax(1)
    exact = np.array([exact_linf_radius(tiny, row, int(label)) for row, label in zip(x.double().numpy(), y)])
    rows = lk.data.Split(x.numpy(), y.numpy(), lk.data.Schema("tabular", "class", (3,)), tiny.classes, "points")
    radius = {inner: lk.certify(tiny, rows, "crown", inner=inner, resolution=0.01).radius for inner in ("interval", "crown")}  # fmt: skip
    loose = lk.certify(tiny, rows, "interval_bounds", resolution=0.01).radius
    for found in (loose, *radius.values()):
        assert (found <= exact + 1e-6).all()
    assert (radius["crown"] > 0.5 * exact).all() and (radius["crown"] >= loose / 1.01).all()
    broken = np.full(len(x), np.inf)
    for eps in np.linspace(0.02, 1, 50):
        hit = torch.stack([lead_of(tiny, (x + eps * torch.tensor(s)).clamp(-1, 1), y) < 0 for s in product((-1.0, 1.0), repeat=3)])  # fmt: skip
        broken = np.minimum(broken, np.where(hit.any(0), eps, np.inf))
    assert (exact <= broken + 1e-6).all()


@pytest.mark.parametrize(("norm", "eps"), [("linf", 0.02), ("l2", 0.1), ("l1", 0.4)])
def test_bounds_hold_at_random_points_and_tighter_methods_are_tighter(everything, norm: str, eps: float) -> None:
    x = torch.rand(6, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    y, budget = everything(x).argmax(1), torch.full((6,), eps)
    loose, middle = (leaf(everything, x, y, budget, norm, 64) for leaf in (interval_bounds, crown))
    tight = crown(everything, x, y, budget, norm, 64, inner="crown")
    assert (loose <= middle).all() and (middle <= tight + 1e-6).all()
    points = torch.stack([inside(x, eps, norm, seed) for seed in range(1500)])
    with torch.no_grad():
        least = lead_of(everything, points.flatten(0, 1), y.repeat(1500)).reshape(1500, 6).amin(0)
    assert (tight <= least).all() and (least - tight < least - loose).all()


@pytest.mark.parametrize("inner", ["interval", "crown"])
def test_every_inner_interval_holds(everything, inner: str) -> None:
    x = torch.rand(2, 1, 8, 8, generator=torch.Generator().manual_seed(2))
    made, _ = graph(everything, x, "")
    bounds = Bounds(made, Ball.around(x.double(), torch.full((2,), 0.03).double(), "linf", (0.0, 1.0)), inner, 64)
    points = torch.cat([inside(x, 0.03 * (1 + seed % 3) / 3, "linf", seed) for seed in range(400)]).double()
    for at in range(len(made.nodes)):
        value = made.value(points, at).unflatten(0, (400, 2))
        assert (value >= bounds.low[at] - 1e-6).all() and (value <= bounds.high[at] + 1e-6).all(), made.nodes[at].name


@pytest.mark.parametrize(
    "relaxation", [Bent(0.0), Bent(0.1), Bent(-1.0), Smooth("tanh"), Smooth("sigmoid"), Greatest()]
)
def test_lines_enclose_their_function(relaxation) -> None:
    ends = (
        torch.randn(200, 2, 5, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64).mul(2).sort(1).values
    )
    low, high = ends[:, 0], ends[:, 1]
    under, shift, above, raised = relaxation.lines(low, high)
    for share in torch.rand(100, *low.shape, generator=torch.Generator().manual_seed(1)).round(decimals=1):
        x = low + share * (high - low)
        one, other, value = under * x, above * x, relaxation.value(x)
        if isinstance(relaxation, Greatest):
            one, other = one.sum(-1), other.sum(-1)
        assert (one + shift <= value + 1e-9).all() and (value <= other + raised + 1e-9).all()


def test_the_batch_size_and_the_company_change_nothing(everything) -> None:
    x = torch.rand(5, 1, 8, 8, generator=torch.Generator().manual_seed(1))
    y, eps = everything(x).argmax(1), torch.tensor([0.01, 0.02, 0.0, 0.05, 0.01])
    whole = crown(everything, x, y, eps, "linf", 256, inner="crown")
    parts = torch.cat([crown(everything, x[i : i + 1], y[i : i + 1], eps[i : i + 1], "linf", 3, inner="crown") for i in range(5)])  # fmt: skip
    assert torch.allclose(whole, parts, atol=1e-5)
    assert torch.allclose(whole[2], lead_of(everything, x, y)[2], atol=1e-4)  # at no budget the bound is the lead


def test_changed_weights_are_bounded_anew() -> None:
    model, x = lk.wrap(nn.Linear(2, 2), classes=["a", "b"]), torch.rand(1, 2)
    y, eps = model(x).argmax(1), torch.zeros(1)
    before = crown(model, x, y, eps, "linf", 8)
    model.module.weight.data.mul_(3.0)
    model.module.bias.data.mul_(3.0)
    assert torch.allclose(crown(model, x, y, eps, "linf", 8), 3 * before, rtol=1e-3)


class Refusing(nn.Module):
    def __init__(self, how) -> None:
        super().__init__()
        self.how, self.head = how, nn.Linear(8, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.how(x))


def written_through_a_view(x: Tensor) -> Tensor:
    x = x * 1.0
    x[:, :4].relu_()
    return x


@pytest.mark.parametrize(
    ("how", "named"),
    [
        (nn.LayerNorm(8), "layer_norm"),
        (nn.Softmax(1), "softmax"),
        (lambda x: x * x, "mul"),
        (lambda x: 1 / (x + 2), "div"),
        (lambda x: torch.from_numpy(np.sin(x.detach().numpy())), "numpy|detach"),
        (lambda x: x if x.sum() > 0 else -x, "bool|gt|sum"),
        (lambda x: functional.dropout(x, 0.5), "dropout"),
        (lambda x: functional.batch_norm(x, None, None, training=True), "batch"),
        (written_through_a_view, "out of sight"),
    ],
)
def test_what_is_not_known_is_refused_by_its_name(how, named: str) -> None:
    model = lk.wrap(Refusing(how), classes=["a", "b"])
    x = torch.rand(3, 8)
    with pytest.raises(lk.Refused, match=named):
        crown(model, x, torch.zeros(3, dtype=torch.long), torch.full((3,), 0.1), "linf", 16)


@pytest.mark.parametrize(
    "how",
    [
        lambda x: x * (torch.arange(8) % 2 == 0),
        lambda x: x - x.amax(1, keepdim=True),
        lambda x: x - torch.relu(x.amax(1) - 0.5)[:, None],
        lambda x: x - torch.relu(x.sum(1) - 4).unsqueeze(1),
    ],
)
@pytest.mark.parametrize("inner", ["interval", "crown"])
def test_masks_and_values_of_one_number_a_row(how, inner: str) -> None:
    torch.manual_seed(0)
    model = lk.wrap(Refusing(how), classes=["a", "b"], bounds=(0, 1))
    x, eps = torch.rand(4, 8), torch.full((4,), 0.2)
    y = model(x).argmax(1)
    found = crown(model, x, y, eps, "linf", 16, inner=inner)
    near = (x + 0.2 * (2 * torch.rand(2000, 4, 8) - 1)).clamp(0, 1)
    leads = model(near.flatten(0, 1)).view(2000, 4, 2)
    lead = (leads.gather(2, y.expand(2000, 4)[..., None]) - leads.gather(2, 1 - y.expand(2000, 4)[..., None]))[..., 0]
    assert (found <= lead.amin(0) + 1e-6).all() and (found > lead.amin(0) - 2).all()


def test_pooling_and_shapes_follow_the_model() -> None:
    for pool in (
        nn.MaxPool2d(2, ceil_mode=True),
        nn.MaxPool2d((3, 2), stride=(2, 1), dilation=(1, 2)),
        nn.AdaptiveMaxPool2d((3, None)),
        nn.AdaptiveAvgPool2d(2),
        nn.AvgPool2d(3, padding=1),
    ):
        body = nn.Sequential(nn.Conv2d(1, 2, 2), pool, nn.ReLU(inplace=True), nn.Flatten(), nn.LazyLinear(2))
        body(torch.zeros(1, 1, 7, 8))
        model = lk.wrap(body, classes=["a", "b"], bounds=(0, 1))
        x = torch.rand(2, 1, 7, 8)
        y, eps = model(x).argmax(1), torch.full((2,), 1e-3)
        tight = crown(model, x, y, eps, "linf", 64)
        assert ((tight <= lead_of(model, x, y)) & (tight > lead_of(model, x, y) - 0.1)).all()


class Residual(nn.Module):
    """Two convolutions, one of them around a sum, for the digits."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.head = nn.Conv2d(1, 6, 4, 2, 1), nn.Conv2d(6, 6, 3, padding=1), nn.Linear(96, 10)

    def forward(self, x: Tensor) -> Tensor:
        h = functional.relu(self.first(x))
        return self.head(functional.relu(h + self.second(h)).flatten(1))


@pytest.fixture(scope="module")
def net(digits):
    torch.manual_seed(0)
    return lk.wrap(train(Residual(), digits.train, 100, 0.02), classes=digits.classes, bounds=(0, 1), name="residual")


@pytest.fixture(scope="module")
def images(digits):
    return digits.test[:12]


@pytest.fixture(scope="module")
def certificate(net, images):
    return lk.certify(net, images, "crown", inner="crown", resolution=0.1)


@pytest.fixture(scope="module")
def curve(net, images, certificate):
    eps = [float(np.quantile(certificate.radius, 0.5)), 0.1]
    return lk.robustness_curve(net, images, ["fgsm", "pgd"], eps=eps)


def test_a_certificate_says_what_it_proves(net, images, certificate, tmp_path) -> None:
    assert (certificate.radius[~certificate.correct] == 0).all() and (certificate.radius[certificate.correct] > 0).all()
    at = lk.certify(
        net, images, "crown", inner="crown", eps=[0.001, float(np.median(certificate.radius)), 0.9], batch_size=7
    )
    assert (at.radius <= certificate.radius * 1.1 + 1e-9).all()
    assert set(at.radius) <= {0.0, *at.eps} and 0 < at.certified_accuracy(at.eps)[1] < 1
    assert certificate.certified_accuracy(np.array([0.0]))[0] == certificate.correct.mean()
    assert "at least" in lk.says(at) and "half of them" in lk.says(certificate)
    assert len(lk.rows(at)) == 3 and lk.figure(certificate).data
    lk.save(certificate, tmp_path / "c.lk")
    assert lk.load(tmp_path / "c.lk").digest == certificate.digest


def test_no_attack_violates_a_certificate_and_a_false_one_is_caught(net, images, certificate, curve) -> None:
    sound = lk.sandwich(curve, certificate, lk.certify(net, images, "interval_bounds"))
    assert sound.status == "measured" and not sound.violated.any()
    assert (sound.at_least <= sound.at_most).all() and (sound.best >= certificate.radius).all()
    (finding,) = lk.check(sound, only=["certificate_holds"])
    assert finding.status == "meets"
    assert "nothing is known" in lk.says(sound) and lk.figure(sound).data
    assert (lk.rows(sound)["unknown rows"] == sound.unknown).all()

    def hopeful(model, x, y, eps, norm):
        """A certificate that looks at the row and not at the ball."""
        return lead_of(model, x, y)

    false = lk.sandwich(curve, lk.certify(net, images, hopeful, norm="linf"))
    (finding,) = lk.check(false, only=["certificate_holds"])
    assert false.status == "contradicted" and finding.status == "does_not_meet"
    with pytest.raises(lk.Refused, match="norm"):
        lk.sandwich(curve, replace(certificate, norm="l2"))
    with pytest.raises(lk.Refused, match="smoothed"):
        lk.sandwich(curve, replace(certificate, of="the model smoothed by noise"))
    with pytest.raises(lk.Refused, match="other rows"):
        lk.sandwich(curve, lk.certify(net, images[:8], "interval_bounds"))


def test_a_smoothed_linear_model_has_the_distance_to_its_plane() -> None:
    torch.manual_seed(0)
    module = nn.Linear(5, 2)
    model, sigma = lk.wrap(module, classes=["a", "b"]), 0.5
    x = torch.randn(40, 5)
    y = model(x).argmax(1)
    w = (module.weight[0] - module.weight[1]).detach()
    distance = (lead_of(model, x, y) / w.norm()).detach()
    found = randomized_smoothing(model, x, y, "l2", Draws(0, 40), 500, sigma=sigma, draws=4000)
    assert (found <= distance + 1e-6).float().mean() > 0.97 and (found <= distance + 0.05).all()
    near = distance < 2 * sigma  # so far as 4000 draws can tell
    assert (found[near] > distance[near] - 0.12).all()
    few = randomized_smoothing(
        model, x[3:5], y[3:5], "l2", Draws(0, 40)[slice(3, 5)], 7, sigma=sigma, draws=300, choose=20
    )
    many = randomized_smoothing(model, x, y, "l2", Draws(0, 40), 999, sigma=sigma, draws=300, choose=20)
    assert torch.equal(few, many[3:5])
    assert (
        randomized_smoothing(model, x, 1 - y, "l2", Draws(0, 40), 500, sigma=sigma, draws=100)[distance > 0.1] == 0
    ).all()
    # averaged probabilities: the logistic function under normal noise, by quadrature
    points, weights = np.polynomial.hermite_e.hermegauss(60)
    leads = w.norm().item() * (distance.numpy()[:, None] + sigma * points)
    exact = (weights / (1 + np.exp(-leads))).sum(1) / weights.sum()
    share = smoothed(model, sigma, 4000)(x).exp().gather(1, y[:, None])[:, 0]
    assert np.abs(share.numpy() - exact).max() < 0.02


def test_a_smoothed_model_is_one_like_any_other(net, images) -> None:
    soft = smoothed(net, 0.1, 20, batch_size=16)
    x = soft.tensor(images.x[:6])
    answer = soft(x)
    assert torch.allclose(answer.exp().sum(1), torch.ones(6), atol=1e-5)
    assert torch.allclose(answer[2:3], soft(x[2:3]), atol=1e-5)
    grown, small = ([], [])
    for model, kept in ((soft, small), (smoothed(net, 0.1, 20, batch_size=1000), grown)):
        z = x.clone().requires_grad_()
        model(z)[:, 0].sum().backward()
        kept.append(z.grad)
    assert torch.allclose(small[0], grown[0], atol=1e-4) and small[0].abs().max() > 0
    assert soft.digest != smoothed(net, 0.2, 20).digest
    made = lk.certify(net, images, "randomized_smoothing", draws=100, choose=20, sigma=0.1)
    assert made.of != "the model" and made.confidence == 0.999 and "confidence" in lk.says(made)
    with pytest.raises(lk.Refused, match="sigma"):
        smoothed(net, 0.0)
