"""Attacks that move, redraw or drown a row: the moves re-derived, one-place models broken, invariant ones not."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.ndimage
import torch
from torch import Tensor, nn

import labkit as lk
from labkit.attacks._learned import _KEPT, _standing, once
from labkit.attacks._moves import read_at, shifted, turned
from labkit.attacks._search import distance, margin
from labkit.core import method, registry
from labkit.core.draws import Draws

IMAGES = {
    "rotation_translation_scale": {"tries": 5, "rounds": 2},
    "adversarial_patch": {"steps": 10, "places": 8, "most": 40},
    "universal": {"steps": 15, "most": 60},
    "transfer": {"updates": 40, "most": 60, "steps": 8},
}
SOUND = {
    "time_shift": {"tries": 9},
    "time_warp": {"tries": 4, "rounds": 2},
    "noise_at_snr": {"draws": 7},
}
EPS = {"rotation_translation_scale": 0.3, "adversarial_patch": 0.1, "universal": 0.15, "transfer": 0.15}
EPS |= {"time_shift": 0.2, "time_warp": 0.03, "noise_at_snr": 0.2}
NORMS = {"universal": "linf", "transfer": "linf", "noise_at_snr": "noise_to_signal"}


def schema(x: Tensor) -> lk.data.Schema:
    kind = {2: "audio", 3: "series", 4: "image"}[x.ndim]
    return lk.data.Schema(kind, "class", tuple(x.shape[1:]))


def attacked(
    name: str, model, x: Tensor, y: Tensor, eps: float, *, seed=0, background=None, norm=None, size=64, **options
):
    """The bare leaf in batches of ``size``, with the streams that an analysis would give it."""
    leaf, found = registry.find("attacks", name), []
    draws = Draws(seed, len(x))
    for part in np.split(np.arange(len(x)), range(size, len(x), size)):
        offered = {"model": model, "x": x[part], "y": y[part], "eps": eps, "norm": norm or NORMS.get(name)}
        offered |= {"generator": draws[part], "schema": schema(x), "background": background, "batch_size": size}
        found.append(method.call(leaf, method.bind("attacks", name, leaf, options), offered))
    return torch.cat(found)


def two(score, bounds=(0.0, 1.0)):
    """A model of two classes whose margin for class 1 is ``score(x)``, (n,)."""

    class Scored(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            s = score(x)
            return torch.stack([-s / 2, s / 2], 1)

    return lk.wrap(Scored(), classes=("no", "yes"), bounds=bounds)


def broken(model, found: Tensor, y: Tensor) -> list[bool]:
    with torch.no_grad():
        return (margin(model(found), y) > 0).tolist()


@pytest.fixture(scope="module")
def case(digits, cnn):
    """name -> a model, rows, classes, budget, background and options: images on digits, sound on ten short waves."""
    time, rank = torch.arange(60) / 60, torch.arange(10)[:, None]
    waves = 0.8 * torch.sin(6.28 * (1 + rank % 3) * time + rank)
    torch.manual_seed(0)
    ear = lk.wrap(nn.Linear(60, 3).requires_grad_(False), classes=("a", "b", "c"), bounds=(-1, 1))
    x, y = torch.tensor(digits.test.x[:10]), torch.tensor(digits.test.y[:10])

    def of(name: str):
        if name in SOUND:
            return ear, waves, ear(waves).argmax(1), EPS[name], None, SOUND[name]
        return cnn, x, y, EPS[name], torch.tensor(digits.train.x[:200]), IMAGES[name]

    return of


@pytest.mark.parametrize("name", [*IMAGES, *SOUND])
def test_the_contract(name: str, case) -> None:
    model, x, y, eps, background, options = case(name)
    before = x.clone()
    found = attacked(name, model, x, y, eps, background=background, **options)
    assert torch.equal(x, before) and found.shape == x.shape and found.dtype == x.dtype and not found.requires_grad
    assert found.min() >= model.bounds[0] and found.max() <= model.bounds[1] and not torch.equal(found, x)
    if name in NORMS:
        assert distance(found, x, NORMS[name]).max() <= eps * (1 + 1e-6)
    torch.testing.assert_close(
        found, attacked(name, model, x, y, eps, background=background, **options), atol=0, rtol=0
    )
    for size in (1, 3):
        _KEPT.clear()  # learn again, in other batches
        other = attacked(name, model, x, y, eps, background=background, size=size, **options)
        torch.testing.assert_close(other, found, atol=1e-4, rtol=0)
    nothing = attacked(name, model, x, y, 0.0, background=background, **options)
    assert torch.equal(nothing, x), "eps 0 changes nothing"
    if name not in ("universal", "transfer", "time_shift"):
        assert not torch.equal(found, attacked(name, model, x, y, eps, seed=1, background=background, **options))


@pytest.mark.parametrize("name", [*IMAGES, *SOUND])
def test_no_pass_holds_more_rows_than_allowed_and_nan_is_no_success(name: str, case) -> None:
    model, x, y, eps, background, options = case(name)
    seen = []

    class Watched(nn.Module):
        def forward(self, rows: Tensor) -> Tensor:
            seen.append(len(rows))
            logits = model(rows)
            return torch.where((rows.flatten(1) != 0).any(1, keepdim=True), logits * torch.nan, logits)

    lost = lk.wrap(Watched(), classes=model.classes, bounds=model.bounds)
    found = attacked(name, lost, x, y, eps, size=4, background=background, **options)
    assert max(seen) <= 4 and torch.equal(found, x)


@pytest.mark.parametrize(
    ("name", "wrong"),
    [("rotation_translation_scale", 2), ("adversarial_patch", 3), ("time_shift", 4), ("time_warp", 4)],
)
def test_rows_that_the_attack_means_nothing_to_are_refused(name: str, wrong: int) -> None:
    x = torch.rand(2, *[8] * (wrong - 1))
    with pytest.raises(lk.Refused, match=rf"(?s){name}.*rows that are"):
        attacked(name, None, x, torch.zeros(2, dtype=torch.int64), 0.5, background=x)


@pytest.mark.parametrize(("outside", "mode"), [(None, "nearest"), (-0.5, "grid-constant")])
def test_turns_are_scipys(outside: float | None, mode: str) -> None:
    rng = np.random.default_rng(0)
    x = rng.uniform(-0.5, 1, (4, 2, 9, 12))
    angle, down, across, zoom = (rng.uniform(a, b, 4) for a, b in ((-2, 2), (-3, 3), (-3, 3), (0.6, 1.6)))
    found = turned(torch.tensor(x), *map(torch.tensor, (angle, down, across, zoom)), outside).numpy()
    middle = np.array([4.0, 5.5])
    for i in range(4):
        cos, sin = np.cos(angle[i]), np.sin(angle[i])
        back = np.array([[cos, -sin], [sin, cos]]) / zoom[i]
        offset = middle - back @ (middle + np.array([down[i], across[i]]))
        for c in range(2):
            expected = scipy.ndimage.affine_transform(
                x[i, c], back, offset, order=1, mode=mode, cval=0 if outside is None else outside
            )
            np.testing.assert_allclose(found[i, c], expected, atol=1e-6)
    quarter = turned(torch.tensor(x[:1, :, :, :9]), *torch.tensor([[np.pi / 2], [0], [0], [1]], dtype=torch.float64))
    np.testing.assert_allclose(quarter.numpy(), np.rot90(x[:1, :, :, :9], -1, (2, 3)), atol=1e-9)  # clockwise


def test_shifts_and_warps_are_numpys() -> None:
    rng = np.random.default_rng(0)
    x, places = rng.normal(size=(3, 2, 20)), rng.uniform(0, 19, (3, 20))
    read = read_at(torch.tensor(x), torch.tensor(places)).numpy()
    moves = (0, 4, -7)
    for i in range(3):
        for c in range(2):
            np.testing.assert_allclose(read[i, c], np.interp(places[i], np.arange(20), x[i, c]), atol=1e-12)
    for edge, expected in {
        "circular": np.roll,
        "silence": lambda row, s: scipy.ndimage.shift(row, s, order=0, mode="constant"),
        "edge": lambda row, s: scipy.ndimage.shift(row, s, order=0, mode="nearest"),
    }.items():
        found = shifted(torch.tensor(x), torch.tensor(moves), edge).numpy()
        for i, s in enumerate(moves):
            np.testing.assert_allclose(found[i, 1], expected(x[i, 1], s), atol=1e-12)
            one = shifted(torch.tensor(x[i : i + 1, 1]), torch.tensor([s]), edge).numpy()
            np.testing.assert_array_equal(one[0], found[i, 1])


def test_a_shift_breaks_what_reads_one_place_and_not_what_adds_up() -> None:
    """A bright square in the middle of a dark image: any small shift or turn keeps its mass, not its pixels."""
    x = torch.zeros(3, 1, 20, 20)
    x[:, :, 9:11, 9:11] = 1.0
    y = torch.ones(3, dtype=torch.int64)
    place, mass = two(lambda v: v[:, 0, 9, 9] - 0.5), two(lambda v: v.sum((1, 2, 3)) - 3.0)
    only = {"scale": 0.0, "degrees": 0.0}
    assert all(broken(place, attacked("rotation_translation_scale", place, x, y, 1.0, **only), y))
    assert not any(broken(mass, attacked("rotation_translation_scale", mass, x, y, 1.0, scale=0.0), y))
    # a tenth of the side is two pixels: a quarter of a pixel is not enough
    assert not any(broken(place, attacked("rotation_translation_scale", place, x, y, 0.125, **only), y))


def test_a_turn_breaks_what_knows_one_orientation() -> None:
    x = torch.zeros(2, 1, 21, 21)
    x[:, :, 10, 3:18] = 1.0
    y = torch.ones(2, dtype=torch.int64)
    lying = two(lambda v: v[:, 0, 10].sum(1) - v[:, 0, :, 10].sum(1))
    mass = two(lambda v: v.sum((1, 2, 3)) - 10.0)
    only = {"scale": 0.0, "shift": 0.0, "degrees": 80.0, "rim": "black"}
    assert all(broken(lying, attacked("rotation_translation_scale", lying, x, y, 1.0, **only), y))
    assert not any(broken(lying, attacked("rotation_translation_scale", lying, x, y, 0.2, **only), y))
    assert not any(broken(mass, attacked("rotation_translation_scale", mass, x, y, 1.0, **only), y))


def test_the_refinement_finds_what_random_tries_miss() -> None:
    """The margin is a distance to one turn, move and zoom: as many tries get closer when they close in on the best."""
    x = torch.zeros(16, 1, 21, 21)
    x[:, :, 10, 3:18] = 1.0
    y, hidden = torch.ones(16, dtype=torch.int64), torch.tensor([[0.18], [1.1], [-0.7], [1.03]])
    goal = turned(x[:1], *hidden)
    model = two(lambda v: ((v - goal) ** 2).sum((1, 2, 3)))
    # 185 tries each: the grid (27) and 158 at once, or 27 + 10 and then four rounds of as many
    plain, closing = (
        model(attacked("rotation_translation_scale", model, x, y, 1.0, tries=tries, rounds=rounds))[:, 1].mean()
        for tries, rounds in ((158, 0), (10, 4))
    )
    assert closing < plain / 2


def test_a_patch_breaks_what_reads_one_place_and_not_a_median() -> None:
    """The patch covers 9 of 64 pixels: it reaches the pixel from some place, and never moves the median."""
    x = torch.full((4, 1, 8, 8), 0.7)
    y, background = (
        torch.ones(4, dtype=torch.int64),
        torch.rand(64, 1, 8, 8, generator=torch.Generator().manual_seed(0)),
    )
    pixel = two(lambda v: 4 * (v[:, 0, 3, 3] - 0.3))
    middle = two(lambda v: v.flatten(1).quantile(0.5, dim=1) - 0.5)
    eps = 9 / 64
    found = attacked("adversarial_patch", pixel, x, y, eps, background=background, steps=60, places=60)
    assert all(broken(pixel, found, y))
    changed = found != x
    assert changed.sum((1, 2, 3)).max() <= 9 and changed.any(1).any(1).sum(1).max() <= 3
    safe = attacked("adversarial_patch", middle, x, y, eps, background=background, steps=20, places=60)
    assert not any(broken(middle, safe, y))


def test_a_patch_beats_a_random_one(cnn, digits) -> None:
    x, y = torch.tensor(digits.test.x[:80]), torch.tensor(digits.test.y[:80])
    background = torch.tensor(digits.train.x)
    rates = []
    for steps in (1, 60):  # one step leaves the patch near grey
        found = attacked("adversarial_patch", cnn, x, y, 0.0625, background=background, steps=steps, places=5, size=80)
        rates.append(np.mean(broken(cnn, found, y)))
    assert rates[1] > rates[0] + 0.2


def test_a_universal_perturbation_fools_held_out_rows_more_than_noise(mlp, digits) -> None:
    x, y = torch.tensor(digits.test.x[:200]), torch.tensor(digits.test.y[:200])
    background = torch.tensor(digits.train.x)
    for norm, eps in (("linf", 0.2), ("l2", 1.2)):
        found = attacked("universal", mlp, x, y, eps, norm=norm, background=background, size=200)
        noise = torch.from_numpy(Draws(3, 20).normal(*x.shape[1:]))
        noise = eps * (noise.sign() if norm == "linf" else noise / noise.flatten(1).norm(dim=1)[:, None, None, None])
        beaten = np.mean(broken(mlp, found, y))
        assert beaten > 2 * max(np.mean(broken(mlp, (x + n).clamp(0, 1), y)) for n in noise)
        # one perturbation: rows differ only where the bounds cut
        delta = found - x
        inner = (found > 0) & (found < 1)
        spread = torch.where(inner, delta, -torch.inf).amax(0) - torch.where(inner, delta, torch.inf).amin(0)
        assert spread.nan_to_num(0, 0, 0).max() < 1e-5


def test_only_rows_that_stand_and_answer_with_numbers_are_learned_from() -> None:
    """Margins -1 of largest logit 2 and -3 of 4 count; a broken row, one of NaN and one of nothing but 0 do not."""
    logits = torch.tensor([[2.0, 1.0], [1.0, 4.0], [0.0, 3.0], [torch.nan, 1.0], [0.0, 0.0]], requires_grad=True)
    found = _standing(logits, torch.tensor([0, 1, 0, 0, 1]))
    assert found.item() == pytest.approx(-1 / 2 - 3 / 4)
    (gradient,) = torch.autograd.grad(found, logits)
    assert gradient.tolist()[:3] == [[-0.5, 0.5], [0.25, -0.25], [0.0, 0.0]] and (gradient[4] == 0).all()


def test_what_is_learned_does_not_depend_on_the_rows_and_is_learned_once(mlp, digits) -> None:
    x, y, background = (
        torch.tensor(digits.test.x[:6]),
        torch.tensor(digits.test.y[:6]),
        torch.tensor(digits.train.x[:80]),
    )
    together = attacked("universal", mlp, x, y, 0.1, background=background, steps=10)
    assert torch.equal(together[3:4], attacked("universal", mlp, x[3:4], y[3:4], 0.1, background=background, steps=10))
    asked = []
    count = lambda: asked.append(1) or len(asked)  # noqa: E731
    assert [once(mlp, background, ("a",), count) for _ in range(3)] == [1, 1, 1]
    assert once(mlp, background, ("b",), count) == 2 and once(mlp, background[1:], ("a",), count) == 3


def test_transfer_breaks_a_model_without_gradients_and_leaves_the_global_generator(mlp, digits) -> None:
    class Hidden(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = mlp.module

        def forward(self, x: Tensor) -> Tensor:
            assert not x.requires_grad, "asked for a gradient"
            return 1000 * self.inner((x * 15).round() / 15)

    model = lk.wrap(Hidden(), classes=mlp.classes, bounds=(0, 1))
    x, y = torch.tensor(digits.test.x[:100]), torch.tensor(digits.test.y[:100])
    state = torch.random.get_rng_state()
    found = attacked("transfer", model, x, y, 0.15, background=torch.tensor(digits.train.x), size=100, updates=300)
    assert torch.equal(state, torch.random.get_rng_state())
    noise = attacked("uniform_noise", model, x, y, 0.15, norm="linf", size=100, draws=5)
    assert (
        np.mean(broken(model, found, y)) > 3 * np.mean(broken(model, noise, y))
        and np.mean(broken(model, found, y)) > 0.3
    )


def test_a_shift_in_time_is_the_worst_of_all() -> None:
    torch.manual_seed(0)
    weights, x = torch.randn(2, 15), torch.randn(5, 2, 15)
    model = two(lambda v: (v * weights).sum((1, 2)) + 20.0, None)
    y = torch.ones(5, dtype=torch.int64)
    found = attacked("time_shift", model, x, y, 0.2)
    for row, kept in zip(x.numpy(), found.numpy()):
        every = [np.roll(row, s, -1) for s in range(-3, 4)]
        lowest = min(every, key=lambda v: (v * weights.numpy()).sum())
        np.testing.assert_array_equal(kept, lowest)


def test_time_moves_break_what_reads_one_moment_and_not_what_hears_the_whole() -> None:
    x = torch.zeros(3, 100)
    x[:, 48:53] = 0.8
    y = torch.ones(3, dtype=torch.int64)
    moment, whole = two(lambda v: v[:, 50] - 0.4, (-1, 1)), two(lambda v: v.mean(1) - 0.03, (-1, 1))
    ends = two(lambda v: 0.1 - v[:, 0].abs() - v[:, -1].abs(), (-1, 1))
    for edge in ("circular", "silence", "edge"):
        assert all(broken(moment, attacked("time_shift", moment, x, y, 0.05, edge=edge), y))
        assert not any(broken(whole, attacked("time_shift", whole, x, y, 0.3, edge=edge), y))
    assert not any(broken(moment, attacked("time_shift", moment, x, y, 0.02), y))
    assert all(broken(moment, attacked("time_warp", moment, x, y, 0.08), y))
    assert not any(broken(moment, attacked("time_warp", moment, x, y, 0.02), y))
    assert not any(broken(ends, attacked("time_warp", ends, x, y, 0.3), y))


@pytest.mark.parametrize("eps", [0.02, 0.1, 0.5])
def test_a_warp_stays_within_its_budget_keeps_the_ends_and_the_order(eps: float) -> None:
    """A ramp shows the warp itself: its values are the times that were read."""
    torch.manual_seed(0)
    time = torch.arange(80.0).expand(6, 80)
    weights, y = torch.randn(80), torch.ones(6, dtype=torch.int64)
    model = two(lambda v: v @ weights + 1e6, None)
    read = attacked("time_warp", model, time, y, eps, waves=6)
    moved = (read - time).abs()
    assert moved.max() <= eps * 80 + 1e-4 and moved.max() > min(eps, 0.1) * 40
    assert (moved[:, [0, -1]] == 0).all() and (read.diff(dim=1) > 0).all()


def test_noise_has_exactly_the_stated_ratio_and_silence_stays_silent() -> None:
    torch.manual_seed(0)
    x = torch.randn(5, 3, 40) * torch.tensor([1.0, 10.0, 0.1, 1.0, 0.0])[:, None, None]
    y = torch.ones(5, dtype=torch.int64)
    weights = torch.randn(3, 40)
    model = two(lambda v: 0.0 * v.sum((1, 2)) + (v * weights).sum((1, 2)) + 1e6, None)
    found = attacked("noise_at_snr", model, x, y, 10 ** (-12 / 20))
    power = [(v**2).flatten(1).sum(1).double() for v in (x, found - x)]
    torch.testing.assert_close(
        10 * (power[0] / power[1])[:4].log10(), torch.full((4,), 12.0).double(), atol=1e-4, rtol=0
    )
    assert (found[4] == 0).all()
    # of more draws the best is at least as bad for the model, and never beyond the closed form of a linear one
    more = [(attacked("noise_at_snr", model, x, y, 0.3, draws=k) * weights).sum((1, 2)) for k in (1, 20, 200)]
    assert (more[0] >= more[1]).all() and (more[1] >= more[2]).all() and (more[0] > more[2])[:4].all()
    assert ((x * weights).sum((1, 2)) - more[2] <= 0.3 * x.flatten(1).norm(dim=1) * weights.norm() + 1e-4).all()
