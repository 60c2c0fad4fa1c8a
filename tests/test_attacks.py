"""Attacks: a contract over the whole folder, agreement with Foolbox, and models whose exact answer is known."""

from __future__ import annotations

import foolbox
import numpy as np
import pytest
import torch
from torch import Tensor, nn

import labkit as lk
from labkit.attacks import _squares
from labkit.attacks._search import Best, inside, margin, project
from labkit.core import method, registry
from labkit.core.draws import Draws

QUICK = {"boundary": {"steps": 20}, "square": {"queries": 60}, "uniform_noise": {"draws": 10}, "pgd": {"steps": 10}}
EPS = {"linf": 0.1, "l2": 0.6}


def supported() -> list[tuple[str, str]]:
    found = []
    for name in lk.names("attacks"):
        function = registry.find("attacks", name)
        found += [(name, norm) for norm in method.choices(function, "norm") or ("linf", "l2")]
    return found


def raw(name: str, model, x: Tensor, y: Tensor, norm: str, seed: int = 0) -> Tensor:
    """The bare leaf, without the analysis around it."""
    function = registry.find("attacks", name)
    offered = {"model": model, "x": x, "y": y, "eps": EPS[norm], "norm": norm, "generator": Draws(seed, len(x))}
    return method.call(function, method.bind("attacks", name, function, QUICK.get(name, {})), offered)


@pytest.fixture(scope="module")
def some(digits) -> tuple[Tensor, Tensor]:
    return torch.tensor(digits.test.x[:12]), torch.tensor(digits.test.y[:12])


@pytest.fixture(scope="module")
def linear():
    """Two classes, one weight vector: the distance to the boundary is |w x + b| over the dual norm of w."""
    w = torch.tensor(np.random.default_rng(0).normal(size=20), dtype=torch.float32)
    layer = nn.Linear(20, 2)
    with torch.no_grad():
        layer.weight[:], layer.bias[:] = torch.stack([-w / 2, w / 2]), torch.tensor([0.2, -0.2])
    x = np.random.default_rng(1).uniform(0.3, 0.7, (200, 20)).astype(np.float32)
    lead = x.astype(np.float64) @ w.double().numpy() - 0.4
    y = (lead > 0).astype(np.int64)
    y[:20] = 1 - y[:20]  # clean errors
    schema = lk.data.Schema("tabular", "side", (20,), bounds=(0.0, 1.0))
    split = lk.data.Split(x, y, schema, ("left", "right"), "linear")
    model = lk.wrap(layer, classes=split.classes, bounds=(0, 1))
    dual = {"linf": w.abs().sum().item(), "l2": w.norm().item()}
    return model, split, {norm: np.abs(lead) / d for norm, d in dual.items()}


@pytest.mark.parametrize(("name", "norm"), supported())
def test_an_attack_keeps_its_contract(name: str, norm: str, mlp, some) -> None:
    x, y = some
    kept = x.clone()
    found = raw(name, mlp, x, y, norm)
    assert torch.equal(x, kept), "the input was changed"
    assert found.shape == x.shape and found.dtype == x.dtype and found.isfinite().all()
    assert found.min() >= 0 and found.max() <= 1
    if "eps" in method.needs(registry.find("attacks", name)):
        delta = (found - x).flatten(1)
        size = delta.abs().amax(1) if norm == "linf" else delta.norm(dim=1)
        assert size.max() <= EPS[norm] * (1 + 1e-5)
    assert torch.equal(found, raw(name, mlp, x, y, norm)), "the same seed gives another result"
    assert not found.requires_grad


@pytest.mark.parametrize(("name", "norm"), supported())
def test_the_batch_size_changes_no_answer(name: str, norm: str, mlp, digits) -> None:
    split = digits.test[:9]
    options = {"eps": EPS[norm], "norm": norm, **QUICK.get(name, {})}
    whole, parts = (lk.attack(mlp, split, name, batch_size=size, **options) for size in (64, 2))
    np.testing.assert_array_equal(whole.success, parts.success)
    np.testing.assert_allclose(whole.adversarial, parts.adversarial, atol=1e-4)
    other = lk.attack(mlp, split, name, seed=1, **options)
    assert name == "fgsm" or not np.array_equal(other.adversarial, whole.adversarial), "the seed is not used"


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_fgsm_is_foolboxs_for_every_example(norm: str, mlp, digits) -> None:
    x, y = torch.tensor(digits.test.x[:64]), torch.tensor(digits.test.y[:64])
    theirs = foolbox.attacks.LinfFastGradientAttack() if norm == "linf" else foolbox.attacks.L2FastGradientAttack()
    model = foolbox.PyTorchModel(mlp.module, bounds=(0, 1), device="cpu")
    _, expected, _ = theirs(model, x, y, epsilons=EPS[norm])
    torch.testing.assert_close(raw("fgsm", mlp, x, y, norm), expected, atol=1e-6, rtol=0)


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


@pytest.mark.parametrize(("name", "norm"), supported())
def test_no_attack_beats_a_linear_models_exact_robust_accuracy(name: str, norm: str, linear) -> None:
    model, split, distance = linear
    eps = float(np.median(distance[norm]))
    found = lk.attack(model, split[:60], name, eps=eps, norm=norm, **QUICK.get(name, {}))
    assert not (found.success & (distance[norm][:60] > eps * (1 + 1e-5))).any()
    assert (found.distance <= eps * (1 + 1e-5)).all()


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


def test_boundary_goes_on_when_a_row_has_no_starting_point(digits) -> None:
    """Dark rows are "dark" and so is all noise, so that no start is found for them; bright rows have one at once."""

    class Bright(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            lead = 20 * (x.flatten(1).mean(1) - 0.7)
            return torch.stack([-lead, lead], 1)

    dark, bright = np.full((2, 1, 8, 8), 0.2, np.float32), np.full((2, 1, 8, 8), 0.9, np.float32)
    x = np.concatenate([dark, bright])[[0, 2, 1, 3]]
    split = lk.data.Split(x, np.array([0, 1, 0, 1]), digits.schema, ("dark", "bright"), "shades")
    model = lk.wrap(Bright(), classes=split.classes, bounds=(0, 1))
    found = lk.attack(model, split, "boundary", norm="l2", steps=50)
    assert found.success.tolist() == [False, True, False, True] and found.eps is None
    # The nearest wrong point darkens every pixel by 0.2: a distance of 1.6.
    assert (found.l2[[1, 3]] >= 1.6).all() and (found.l2[[1, 3]] < 4.0).all()
    np.testing.assert_array_equal(found.adversarial[[0, 2]], x[[0, 2]])


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
        ({"method": "pgd", "eps": 0.1, "norm": "l1"}, "'linf', 'l2'"),
        ({"method": "boundary", "eps": 0.1, "norm": "linf"}, "norm='l2', or one of: fgsm, pgd"),
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
    with pytest.raises(lk.Refused, match=r"(?s)inputs are not continuous numbers.*tables and text"):
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
