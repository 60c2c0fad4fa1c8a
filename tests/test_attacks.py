"""Attacks: a contract over the whole folder, agreement with Foolbox, and models whose exact answer is known."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

import attack_cases
import foolbox
import numpy as np
import pytest
import torch
from attack_cases import CASES, Ground, Watched, far, names, raw
from torch import Tensor, nn

import labkit as lk
from labkit.attacks import _squares
from labkit.attacks._search import Best, inside, margin, project
from labkit.core import method, registry
from labkit.core.draws import Draws
from labkit.records.attack import THREATS

BOTH = ("linf", "l2")
EPS = {"linf": 0.1, "l2": 0.6, "l1": 2.0, "l0": 4.0, "adversarial_patch": 0.1, "rotation_translation_scale": 0.5}
ELSEWHERE = {
    "noise_to_signal": ("power_cnn", 0.1),
    "time_shift": ("power_cnn", 0.2),
    "time_warp": ("power_cnn", 0.02),
    "edits": ("movies_gru", 2),
    "character_edits": ("movies_gru", 2),
    "cost": ("german_mlp", 1.0, "checking_account", "duration", "purpose", "savings", "installment_rate"),
}


@lru_cache
def from_zoo(name: str, eps: float, *free: str) -> Ground:
    data = lk.zoo.data(name)
    return Ground(lk.zoo.load(name), data.test[:24], data.train[:100], eps, free)


@pytest.fixture(scope="module")
def on(mlp, digits):
    """norm -> the smallest model for it, with six rows that it gets right."""

    @lru_cache
    def ground(norm: str) -> Ground:
        found = (
            from_zoo(*ELSEWHERE[norm])
            if norm in ELSEWHERE
            else Ground(mlp, digits.test[:24], digits.train[:100], EPS[norm])
        )
        return found.right().first(6)

    return ground


@pytest.fixture(scope="module")
def found_by(on):
    """(attack, norm) -> what the bare leaf gives for the six rows, at most six in one pass."""
    return lru_cache(lambda name, norm: raw(name, norm, on(norm), batch_size=6))


@pytest.fixture(scope="module")
def linear():
    """Two classes, one weight vector: the distance to the boundary is |w x + b| over the dual norm of w."""
    w = torch.tensor(np.random.default_rng(0).normal(size=20), dtype=torch.float32)
    layer = nn.Linear(20, 2)
    with torch.no_grad():
        layer.weight[:], layer.bias[:] = torch.stack([-w / 2, w / 2]), torch.tensor([-0.875, 0.875])
    x = np.random.default_rng(1).uniform(0.3, 0.7, (200, 20)).astype(np.float32)
    lead = x.astype(np.float64) @ w.double().numpy() + 1.75
    y = (lead > 0).astype(np.int64)
    y[:20] = 1 - y[:20]  # clean errors
    schema = lk.data.Schema("tabular", "side", (20,), bounds=(0.0, 1.0))
    split = lk.data.Split(x, y, schema, ("left", "right"), "linear")
    model = lk.wrap(layer, classes=split.classes, bounds=(0, 1))
    return model, split, exact_distances(np.abs(lead), w.double().numpy() * np.where(lead > 0, -1, 1)[:, None], x)


def exact_distances(lead: np.ndarray, up: np.ndarray, x: np.ndarray) -> dict[str, np.ndarray]:
    """(n,) by norm: the least change within 0..1 that takes ``lead`` away, where ``up`` (n, values) is the slope.

    Under linf every value goes equally far, under l2 in proportion to its slope, and none beyond its bound: bisected.
    """
    room, size = np.where(up > 0, 1 - x, x).astype(np.float64), np.abs(up)
    found = {}
    for norm, way in (("linf", np.ones_like(size)), ("l2", size)):
        low, high = np.zeros((len(x), 1)), np.full((len(x), 1), 1e3)
        for _ in range(80):
            middle = (low + high) / 2
            enough = (size * np.minimum(middle * way, room)).sum(1, keepdims=True) >= lead[:, None]
            low, high = np.where(enough, low, middle), np.where(enough, middle, high)
        moved = np.minimum(high * way, room)
        found[norm] = moved.max(1) if norm == "linf" else np.sqrt((moved**2).sum(1))
    # l1 goes to the largest slopes first, each as far as its bound; l0 to those that bring most.
    order = np.argsort(-size, 1)
    size, there = np.take_along_axis(size, order, 1), np.take_along_axis(room, order, 1)
    before = np.cumsum(size * there, 1) - size * there
    found["l1"] = np.clip((lead[:, None] - before) / size, 0, there).sum(1)
    brings = -np.sort(-size * there, 1)
    found["l0"] = 1.0 + (np.cumsum(brings, 1) < lead[:, None]).sum(1)
    return found | {"noise_to_signal": found["l2"] / np.sqrt((x.astype(np.float64) ** 2).sum(1))}


def lead(ground: Ground, points: Tensor, model=None) -> Tensor:
    """(n,) lead of the best wrong class."""
    with torch.no_grad():
        return margin((model or ground.model)(points), torch.tensor(ground.data.y[: len(points)]))


# They draw only where their plain search has failed, and letters that the model does not know.
DRAW_LATE = {"tabular_search", "character_edits"}


@pytest.mark.parametrize(("name", "norm"), CASES)
def test_an_attack_keeps_its_contract(name: str, norm: str, on, found_by) -> None:
    ground = on(norm)
    x, watched = torch.tensor(ground.data.x), Watched(ground.model)
    kept = x.clone()
    found = raw(name, norm, ground, model=watched.classifier(), x=x, batch_size=len(x))
    assert torch.equal(x, kept), "the input was changed"
    assert found.shape == x.shape and found.dtype == x.dtype and found.isfinite().all() and not found.requires_grad
    assert not torch.equal(found, x), "nothing was tried"
    if ground.model.bounds:
        assert found.min() >= ground.model.bounds[0] and found.max() <= ground.model.bounds[1]
    if norm in THREATS and names(name, "eps"):
        assert (far(norm, ground, found) <= ground.eps * (1 + 1e-5)).all()
    if norm == "cost":
        assert ground.prices.kept(ground.data.x, found.numpy(), ground.eps).all(), "against the constraints"
    assert watched.most <= len(x), "more rows in one pass than allowed"
    asks_only = "queries" in method.promises(registry.find("attacks", name))
    assert (watched.gradients == 0) == asks_only, "takes gradients, and promises not to, or the other way round"
    assert torch.equal(found, found_by(name, norm)), "the same seed gives another result"
    if names(name, "generator") and name not in DRAW_LATE:
        assert not torch.equal(found, raw(name, norm, ground, seed=1)), "the seed is not used"
    if names(name, "eps"):
        assert torch.equal(raw(name, norm, ground, eps=0.0), x), "eps 0 changes something"


@pytest.mark.parametrize(("name", "norm"), CASES)
def test_a_row_has_its_answer_alone_and_in_company(name: str, norm: str, on, found_by) -> None:
    ground, whole = on(norm), found_by(name, norm)
    for rows in (np.array([3]), np.array([5, 0, 3])):
        torch.testing.assert_close(raw(name, norm, ground, rows=rows), whole[rows], atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(("name", "norm"), CASES)
def test_the_batch_size_changes_no_answer_and_clean_errors_stay(name: str, norm: str, on) -> None:
    ground = on(norm)
    y = ground.data.y.copy()
    y[1] = (y[1] + 1) % len(ground.model.classes)
    split = replace(ground.data, y=y)
    given = attack_cases.options(name) | {
        "norm": norm,
        "background": ground.background,
        "constraints": ground.constraints,
    }
    given |= {"eps": ground.eps} if names(name, "eps") else {}
    whole, parts = (lk.attack(ground.model, split, name, batch_size=size, **given) for size in (256, 4))
    np.testing.assert_array_equal(whole.success, parts.success)
    np.testing.assert_allclose(whole.adversarial, parts.adversarial, atol=1e-4, rtol=1e-4)
    np.testing.assert_array_equal(whole.x, split.x)
    np.testing.assert_array_equal(whole.adversarial[1], split.x[1])
    assert whole.correct.tolist() == [True, False, True, True, True, True] and not whole.success[1]
    assert not whole.warnings, "rows came back beyond the budget, or without values"


@pytest.mark.parametrize(("name", "norm"), CASES)
def test_nan_is_no_success_and_stops_no_attack(name: str, norm: str, on) -> None:
    """A model that answers its clean rows alone."""
    ground = on(norm)
    clean = torch.tensor(ground.data.x)

    def holes(x: Tensor, logits: Tensor) -> Tensor:
        known = (x[:, None] == clean[None]).flatten(2).all(2).any(1)
        return torch.where(known[:, None], logits, torch.nan)

    found = raw(name, norm, ground, model=Watched(ground.model, holes).classifier())
    assert found.isfinite().all() and (found.shape, found.dtype) == (clean.shape, clean.dtype)
    assert not (lead(ground, found, Watched(ground.model, holes).classifier()) > 0).any()


@pytest.mark.parametrize(("name", "norm"), CASES)
def test_what_cannot_be_broken_comes_back(name: str, norm: str, on) -> None:
    """A model with one answer, and no gradient, for every input; all rows are of that class."""
    ground = on(norm)
    ground = replace(ground, data=replace(ground.data, y=np.full(6, 1)))

    def sure(x: Tensor, logits: Tensor) -> Tensor:
        return 5.0 * (torch.arange(logits.shape[1]) == 1).float().expand(len(x), -1)

    found = raw(name, norm, ground, model=Watched(ground.model, sure).classifier())
    assert found.isfinite().all()
    if not names(name, "eps"):
        assert torch.equal(found, torch.tensor(ground.data.x)), "a smallest perturbation where there is none"
    elif norm in THREATS:
        assert (far(norm, ground, found) <= ground.eps * (1 + 1e-5)).all()


@pytest.mark.parametrize(("name", "norm"), CASES)
def test_one_impossible_row_stops_no_other(name: str, norm: str, on, found_by) -> None:
    """The model is sure of whatever is nearer to row 2 than half the way to its nearest neighbour."""
    ground = on(norm)
    x = torch.tensor(ground.data.x)
    row, sure = x[2].double(), 9.0 * (torch.arange(len(ground.model.classes)) == int(ground.data.y[2])).float()

    def away(points: Tensor) -> Tensor:
        change = (points - row).flatten(1).abs()
        return ((change > 0).double() if norm in ("edits", "cost", "character_edits") else change).mean(1)

    others = [0, 1, 3, 4, 5]
    near = away(torch.cat([x[others], torch.tensor(ground.background.x)])).min() / 2

    def locked(points: Tensor, logits: Tensor) -> Tensor:
        return torch.where((away(points) < near)[:, None], sure, logits)

    model = Watched(ground.model, locked).classifier()
    found = raw(name, norm, ground, model=model, batch_size=6)
    torch.testing.assert_close(found[others], found_by(name, norm)[others], atol=1e-4, rtol=1e-4)
    assert not lead(ground, found, model)[2] > 0 or away(found[2:3]) >= near


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_fgsm_is_foolboxs_for_every_example(norm: str, mlp, digits) -> None:
    x, y = torch.tensor(digits.test.x[:64]), torch.tensor(digits.test.y[:64])
    theirs = foolbox.attacks.LinfFastGradientAttack() if norm == "linf" else foolbox.attacks.L2FastGradientAttack()
    model = foolbox.PyTorchModel(mlp.module, bounds=(0, 1), device="cpu")
    _, expected, _ = theirs(model, x, y, epsilons=EPS[norm])
    ours = registry.find("attacks", "fgsm")(mlp, x, y, EPS[norm], norm)
    torch.testing.assert_close(ours, expected, atol=1e-6, rtol=0)


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_pgd_is_at_least_as_strong_as_fgsm_and_foolboxs(norm: str, mlp, digits) -> None:
    split = digits.test[:150]
    x, y = torch.tensor(split.x), torch.tensor(split.y)
    theirs = foolbox.attacks.LinfPGD() if norm == "linf" else foolbox.attacks.L2PGD()
    _, _, broken = theirs(foolbox.PyTorchModel(mlp.module, bounds=(0, 1), device="cpu"), x, y, epsilons=EPS[norm])
    ours, one = (lk.attack(mlp, split, name, eps=EPS[norm], norm=norm) for name in ("pgd", "fgsm"))
    assert ours.robust_accuracy <= min(1 - broken.float().mean().item(), one.robust_accuracy)
    assert (one.success & ~ours.success).sum() <= 1


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_pgd_reaches_a_linear_models_exact_robust_accuracy(norm: str, linear) -> None:
    model, split, distance = linear
    for eps in np.quantile(distance[norm], [0.2, 0.5, 0.8]):
        found = lk.attack(model, split, "pgd", eps=float(eps), norm=norm)
        np.testing.assert_array_equal(found.success, found.correct & (distance[norm] < eps * (1 - 1e-4)))
        assert found.robust_accuracy == pytest.approx((found.correct & (distance[norm] > eps)).mean(), abs=0.011)


LINEAR = [(name, norm) for name, norm in CASES if norm in ("linf", "l2", "l1", "l0", "noise_to_signal")]
LONGER = {"draws": 100, "generations": 30, "population": 40, "probes": 50, "queries": 300, "searches": 5, "steps": 60}
LONGER |= {"updates": 200}
STEPS = {"hop_skip_jump": 8, "boundary": 300, "sign_flip": 300}
# A row must be broken where the budget is 1.05 times a linear model's exact distance; where it is so many times, for these.
WITHIN = {
    "uniform_noise": 2.0,
    "noise_at_snr": 2.0,
    "square": 1.6,
    "hop_skip_jump": 1.2,
    "sign_flip": 1.1,
    "transfer": 1.1,
}


@pytest.mark.parametrize(("name", "norm"), LINEAR)
def test_an_attack_breaks_a_linear_model_from_its_exact_distance_on(name: str, norm: str, linear) -> None:
    model, split, distance = linear
    split, exact = split[15:60], distance[norm][15:60]
    eps = float(np.quantile(exact, 0.7))
    known = {p.name for p in method.params(registry.find("attacks", name))}
    given = attack_cases.options(name) | {k: v for k, v in LONGER.items() if k in known}
    given |= {"steps": STEPS[name]} if name in STEPS else {}
    found = lk.attack(model, split, name, eps=eps, norm=norm, background=split, **given)
    assert not (found.success & (exact > eps * (1 + 1e-5))).any(), "nearer than the boundary"
    assert (found.distance <= eps * (1 + 1e-5)).all()
    near = found.correct & (exact <= eps / (1 if norm == "l0" else WITHIN.get(name, 1.05)))
    if name == "universal":  # one perturbation for all rows can but break one side
        near &= found.y == np.bincount(found.y[found.success]).argmax()
    assert near.sum() > 3 and found.success[near].all()


def test_every_attack_beats_noise_where_gradients_are_sound(mlp, digits) -> None:
    for norm in ("linf", "l2"):
        noise = lk.attack(mlp, digits.test[:80], "uniform_noise", eps=EPS[norm], norm=norm).success_rate
        for name in ("fgsm", "pgd", "square"):
            assert lk.attack(mlp, digits.test[:80], name, eps=EPS[norm], norm=norm).success_rate > 2 * noise


def test_the_best_iterate_is_kept_and_a_broken_row_leaves(digits) -> None:
    """On a loss full of bumps: whatever was ever answered wrongly on the way is a success, and no row is asked again."""

    class Bumpy(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            torch.manual_seed(0)
            self.layer, self.seen = nn.Linear(64, 10), []

        def forward(self, x: Tensor) -> Tensor:
            z = self.layer(x.flatten(1))
            z = z + torch.sin(60 * z)
            self.seen.append((x.detach().clone(), z.detach().argmax(1)))
            return z

    module = Bumpy().eval()
    model = lk.wrap(module, classes=digits.classes, bounds=(0, 1))
    x = torch.tensor(digits.test.x[:40])
    y = model(x).argmax(1)
    model.module.seen.clear()
    found = registry.find("attacks", "pgd")(model, x, y, 0.005, "linf", Draws(0, 40), steps=20, restarts=1)
    broken = margin(model(found), y) > 0
    counts = [len(z) for _, z in model.module.seen[:-1]]
    assert 0 < broken.sum() < 40 and counts == sorted(counts, reverse=True) and counts[-1] < 40
    ever = torch.zeros(40, dtype=torch.bool)
    for points, label in model.module.seen[:-1]:
        row = (points[:, None] - x[None]).abs().flatten(2).amax(2).argmin(1)
        ever[row[label != y[row]]] = True
    assert (ever == broken).all()


def test_nan_is_no_success_of_a_search() -> None:
    logits = torch.tensor([[1.0, float("nan")], [1.0, 2.0], [float("inf"), 0.0]])
    assert margin(logits, torch.tensor([0, 0, 1])).tolist() == [-torch.inf, 1.0, -torch.inf]
    best = Best(torch.zeros(3, 2), torch.tensor([0, 0, 1]))
    best.offer(torch.ones(3, 2), logits)
    assert best.rows.tolist() == [0, 2] and best.points.tolist() == [[0, 0], [1, 1], [0, 0]]


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_starts_fill_the_ball(norm: str) -> None:
    x = torch.full((4000, 2), 0.5)
    delta = (inside(Draws(0, 4000), x, 0.2, norm) - x) / 0.2
    size = delta.abs().amax(1) if norm == "linf" else delta.norm(dim=1)
    # In two dimensions the share within radius r is r squared, for the square as for the disc.
    for r in (0.25, 0.5, 0.75):
        assert (size <= r).float().mean().item() == pytest.approx(r**2, abs=0.03)
    assert size.max() <= 1 + 1e-6 and delta.mean(0).abs().max() < 0.03


def test_projection_is_the_nearest_point() -> None:
    x = torch.full((1, 2), 0.9)
    assert project(torch.tensor([[1.5, 0.0]]), x, 0.2, "linf", (0, 1))[0].tolist() == pytest.approx([1.0, 0.7])
    far = project(torch.tensor([[0.5, 0.6]]), x, 0.25, "l2", (0, 1))
    assert far[0].tolist() == pytest.approx([0.7, 0.75])


def test_squares_shrink_and_change_one_window_a_row() -> None:
    shares = [_squares.shrunk(0.8, t) for t in (0, 0.003, 0.01, 0.05, 0.15, 0.3, 0.5, 0.7, 0.9)]
    assert shares == [0.8 / 2**k for k in range(9)]
    delta = torch.full((5, 3, 12, 10), 0.05)
    changed = _squares.linf(Draws(3, 5), delta, 0.2, 0.1) - delta != 0
    tall, wide = _squares.window(0.1, 12, 10)
    assert (tall, wide) == (3, 4)
    assert (changed.any(1).sum((1, 2)) == tall * wide).all()
    assert (changed.any(1).any(2).sum(1) == tall).all() and (changed.any(1).any(1).sum(1) == wide).all()


def test_the_l2_squares_keep_the_budget() -> None:
    image = torch.full((6, 3, 9, 9), 0.5)
    delta = _squares.bumps(Draws(0, 6), image, 0.7)
    torch.testing.assert_close(delta.flatten(1).norm(dim=1), torch.full((6,), 0.7))
    for k in range(20):
        moved = _squares.moved(Draws(k, 6), delta, 0.7, 0.2)
        torch.testing.assert_close(moved.flatten(1).norm(dim=1), torch.full((6,), 0.7), atol=2e-3, rtol=0)
        delta = moved


def test_your_own_function_is_an_attack(mlp, digits) -> None:
    def darken(model, x, eps):
        return x - eps

    found = lk.attack(mlp, digits.test[:30], darken, eps=0.05)
    right = found.correct
    assert found.attack == "darken" and found.spec == "darken()"
    np.testing.assert_allclose(found.adversarial[right], np.maximum(found.x[right] - 0.05, 0), atol=1e-6)
    np.testing.assert_array_equal(found.adversarial[~right], found.x[~right])
    with pytest.raises(lk.Refused, match="same shape"):
        lk.attack(mlp, digits.test[:30], lambda x: x[:, :, :4], eps=0.05)
    with pytest.raises(lk.Refused, match=r"(?s)a result of type numpy\.ndarray.*torch\.Tensor"):
        lk.attack(mlp, digits.test[:30], lambda x: x.numpy(), eps=0.05)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_an_attack_without_a_finite_value_is_refused(bad: float, mlp, digits) -> None:
    def lost(x):
        return x * 0 + bad

    with pytest.raises(lk.Refused, match=r"(?s)lost.*not finite.*on all.*finite numbers"):
        lk.attack(mlp, digits.test[:20], lost, eps=0.05)
    with pytest.raises(lk.Refused, match=r"(?s)lost.*not finite.*on all.*finite numbers"):
        lk.robustness_curve(mlp, digits.test[:20], [lost], eps=[0.05, 0.1])


def test_rows_without_finite_values_are_counted_and_stand(mlp, digits) -> None:
    """One value of a row is enough to lose it: a row that is partly made up proves nothing."""

    def spotted(model, x, y, eps):
        found = registry.find("attacks", "fgsm")(model, x, y, eps, "linf")
        found[y % 2 == 1, ..., 0] = torch.nan
        return found

    split = digits.test[:60]
    found, sound = lk.attack(mlp, split, spotted, eps=0.2), lk.attack(mlp, split, "fgsm", eps=0.2)
    odd = found.correct & (found.y % 2 == 1)
    assert sound.success[odd].any() and not found.success[odd].any() and found.success.any()
    np.testing.assert_array_equal(found.adversarial[odd], found.x[odd])
    says = f"gave values that are not finite on {odd.sum()} of {found.correct.sum()} rows; they count as not broken"
    assert len(found.warnings) == 1 and says in found.warnings[0] and "the attack spotted" in found.warnings[0]
    curve = lk.robustness_curve(mlp, split, [spotted], eps=[0.2], options={"square": {"queries": 20}})
    assert any(says in w for w in curve.warnings)
    assert np.isinf(curve.broken_at[0, odd]).all()
    assert not sound.warnings


def test_an_attack_that_cheats_is_cut_to_the_budget_and_asked_again(mlp, digits) -> None:
    def cheat(x, eps):
        return x + 100 * eps

    found = lk.attack(mlp, digits.test[:50], cheat, eps=0.02)
    assert found.linf.max() <= 0.02 * (1 + 1e-5) and found.adversarial.max() <= 1
    answers = mlp(torch.tensor(found.adversarial)).argmax(1).numpy()
    np.testing.assert_array_equal(found.label, answers)
    np.testing.assert_array_equal(found.success, (answers != found.y) & found.correct)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"method": "pgdd", "eps": 0.1}, "pgd"),
        ({"method": "pgd", "eps": 0.1, "step": 3}, "steps"),
        ({"method": "pgd", "eps": 0.1, "steps": 0}, "from 1 to 1000"),
        ({"method": "pgd"}, "no budget"),
        ({"method": "pgd", "eps": -0.1}, "from 0 on"),
        ({"method": "pgd", "eps": float("nan")}, "from 0 on"),
        ({"method": "pgd", "eps": [0.1, 0.2]}, "labkit.robustness_curve"),
        ({"method": "pgd", "eps": "large"}, "budgets that are numbers"),
        ({"method": "momentum", "eps": 0.1, "norm": "l1"}, "an attack for linf, l2"),
        ({"method": "boundary", "eps": 0.1, "norm": "linf"}, "norm='l2', or one of: .*fgsm, .*pgd"),
    ],
)
def test_what_makes_no_sense_is_refused(options, words, mlp, digits) -> None:
    with pytest.raises(lk.Refused, match=words):
        lk.attack(mlp, digits.test[:20], **options)


def test_a_model_that_these_attacks_do_not_fit_is_refused(mlp_module, digits) -> None:
    unbounded = lk.wrap(mlp_module, classes=digits.classes)
    with pytest.raises(lk.Refused, match="a model without input bounds"):
        lk.attack(unbounded, digits.test[:20], "pgd", eps=0.1)
    words = lk.wrap(
        nn.Sequential(nn.Embedding(10, 4), nn.Flatten(), nn.Linear(20, 2)), classes=["a", "b"], embedding="0"
    )
    schema = lk.data.Schema("text", "side", (5,))
    split = lk.data.Split(np.ones((4, 5), np.int64), np.array([0, 1, 0, 1]), schema, ("a", "b"), "words")
    with pytest.raises(lk.Refused, match=r"(?s)inputs are not continuous numbers.*edits' for text"):
        lk.attack(words, split, "pgd", eps=0.1)
    with pytest.raises(lk.Refused, match="a Split"):
        lk.attack(unbounded, digits.test.x[:20], "pgd", eps=0.1)


def test_an_adversarial_record_is_saved_shown_and_said(mlp, digits, tmp_path) -> None:
    found = lk.attack(mlp, digits.test[:40], "pgd", eps=0.1)
    again = lk.load(lk.save(found, tmp_path / "a.lk"))
    assert again.digest == found.digest == lk.attack(mlp, digits.test[:40], "pgd", eps=0.1).digest
    table = lk.rows(found)
    assert len(table) == 40 and table.success.sum() == found.success.sum()
    figure = lk.figure(found)
    assert len(figure.data) == 12 and {t.type for t in figure.data} == {"heatmap"}
    says = lk.says(found)
    assert f"{found.success.sum()} of the {found.correct.sum()} rows that were right" in says
    assert "robust accuracy at most" in says and "n = 40" in says
    assert found.queries > 0 and found.gradients > 0
    assert lk.attack(mlp, digits.test[:40], "square", eps=0.1, queries=20).gradients == 0
