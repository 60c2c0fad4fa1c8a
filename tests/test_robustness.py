"""Robustness curves: counted again by hand, with exact intervals, honest about what they bound and how they were got."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.stats import binomtest
from torch import Tensor, nn

import labkit as lk
from labkit.checks._allowance import allowed
from labkit.core.method import needs
from labkit.views.robustness_curve import examples

EPS = [0.0, 0.05, 0.1]
QUICK = {"square": {"queries": 100}, "uniform_noise": {"draws": 10}}


@pytest.fixture(scope="module")
def split(digits):
    """80 rows, of which the first four have a wrong label."""
    y = digits.test.y[:80].copy()
    y[:4] = (y[:4] + 1) % 10
    return replace(digits.test[:80], y=y)


@pytest.fixture(scope="module")
def curve(mlp, split):
    return lk.robustness_curve(mlp, split, ["pgd", "square"], eps=EPS, options=QUICK)


def test_the_curve_is_the_minimum_over_single_attacks(curve, mlp, split) -> None:
    standing = {0.0: curve.correct.copy()}
    for eps in EPS[1:]:
        standing[eps] = np.min([standing[e] for e in standing], axis=0)
        for name in curve.attacks:
            single = lk.attack(mlp, split, name, eps=eps, **QUICK.get(name, {}))
            standing[eps] &= ~single.success
    assert curve.robust_accuracy().tolist() == [standing[e].mean() for e in EPS]


def test_controls_always_run(curve, mlp, split) -> None:
    assert curve.attacks == ("pgd", "fgsm", "square", "uniform_noise") and curve.controls == ("fgsm", "uniform_noise")
    alone = lk.robustness_curve(mlp, split[:40], "fgsm", eps=[0.05], options=QUICK)
    assert set(alone.controls) == {"pgd", "square", "uniform_noise"}
    assert curve.is_gradient.tolist() == [True, True, False, False]
    assert (curve.gradients.sum(1) > 0).tolist() == curve.is_gradient.tolist()


def test_later_attacks_see_only_rows_that_stand(curve) -> None:
    """One pass serves the whole curve: PGD goes by halves, the others try the next smaller budget first."""
    right, steps = curve.correct, len(EPS) - 1
    first = curve.attacks.index("pgd")
    assert (curve.tried[:, ~right] == 0).all() and (curve.queries[:, ~right] == 0).all()
    assert (curve.tried[first, right] >= 1).all() and (curve.tried[first] <= steps).all()
    known = np.full(len(curve), np.inf)
    for at, broken_at in zip(curve.tried, curve.broken_at):
        # A row broken at the smallest budget has nothing left to lose, one that stands is tried at the largest alone.
        assert (at[right & (known == EPS[1])] == 0).all()
        assert (at[right & np.isinf(known) & np.isinf(broken_at)] >= 1).all()
        known = np.minimum(known, broken_at)
    assert curve.after("uniform_noise").tolist() == curve.robust_accuracy().tolist()
    after = np.stack([curve.after(a) for a in curve.attacks])
    assert (np.diff(after, axis=0) <= 0).all()
    np.testing.assert_array_equal(curve.after("pgd"), curve.robust_accuracy("pgd"))


def test_clean_errors_count_as_not_robust_and_not_as_success(curve, split) -> None:
    wrong = ~curve.correct
    assert wrong[:4].all() and (curve.broken_at[:, wrong] == 0).all()
    assert curve.robust_accuracy()[0] == curve.accuracy == (~wrong).mean()
    assert curve.success_rate()[0] == 0
    broken = (curve.breaking_eps[~wrong] <= 0.1).mean()
    assert curve.success_rate()[-1] == pytest.approx(broken)
    assert curve.robust_accuracy()[-1] == pytest.approx((1 - broken) * (~wrong).mean())


def test_a_curve_falls_and_each_attack_lies_above_all_together(curve) -> None:
    together = curve.robust_accuracy()
    assert (np.diff(together) <= 0).all() and together[-1] < 0.5
    for attack in curve.attacks:
        assert (np.diff(curve.robust_accuracy(attack)) <= 0).all()
        assert (curve.robust_accuracy(attack) >= together).all()


def test_intervals_are_exact(curve) -> None:
    for value, low, high in zip(curve.robust_accuracy(), *curve.interval()):
        exact = binomtest(round(value * 80), 80).proportion_ci(method="exact")
        assert (low, high) == (pytest.approx(exact.low), pytest.approx(exact.high))


def test_each_row_says_what_broke_it(curve) -> None:
    table = examples(curve)
    assert len(table) == 80
    for i, row in table.iterrows():
        if row["attack"]:
            at = curve.attacks.index(row["attack"])
            assert curve.broken_at[at, i] == row["breaking eps"] == curve.broken_at[:, i].min() > 0
        else:
            assert row["breaking eps"] in (0, np.inf)


def test_seed_and_batch_size(curve, mlp, split) -> None:
    options = {"eps": EPS, "options": QUICK}
    assert lk.robustness_curve(mlp, split, ["pgd", "square"], **options).digest == curve.digest
    small = lk.robustness_curve(mlp, split[:20], ["pgd", "square"], batch_size=7, **options)
    np.testing.assert_array_equal(small.broken_at, curve.broken_at[:, :20])
    np.testing.assert_array_equal(small.tried, curve.tried[:, :20])
    np.testing.assert_allclose(small.cosine, curve.cosine[:20], atol=1e-4)
    other = lk.robustness_curve(mlp, split[:20], ["pgd", "square"], seed=5, **options)
    assert other.digest != small.digest


def test_a_smallest_perturbation_attack_runs_once_for_all_budgets(mlp, split) -> None:
    calls = []

    def towards_grey(model, x: Tensor, y: Tensor) -> Tensor:
        calls.append(len(x))
        best = x.clone()
        for t in np.linspace(0, 0.4, 41)[::-1]:
            candidate = x + float(t) * (0.5 - x).sign()
            wrong = model(candidate).argmax(1) != y
            best[wrong] = candidate[wrong]
        return best

    found = lk.robustness_curve(mlp, split, [towards_grey], eps=[0.02, 0.05, 0.1], options=QUICK)
    assert (
        calls == [int(found.correct.sum())] and found.attacks[0] == "towards_grey" and "eps" not in needs(towards_grey)
    )
    one = lk.attack(mlp, split, towards_grey)
    expected = [1 - (one.correct & ~(one.success & (one.linf <= e + 1e-6))).mean() for e in found.eps]
    broken = found.broken(np.array(found.attacks) == "towards_grey").mean(1)
    np.testing.assert_allclose(broken, expected, atol=0.026)  # cut to a smaller budget a row may break by luck
    assert (broken >= np.array(expected) - 1e-9).all()


def test_a_budget_is_halved_and_a_row_that_an_attack_broke_is_not_attacked_again(mlp, split) -> None:
    seen = []

    def to_grey(x: Tensor, eps: float) -> Tensor:
        seen.append((eps, len(x)))
        return x + eps * (0.5 - x).sign()

    found = lk.robustness_curve(mlp, split, [to_grey], eps=[0.05, 0.15, 0.3], options=QUICK)
    at, right = found.broken_at[found.attacks.index("to_grey")], found.correct
    # The middle, then below for those it broke, and above for the others.
    middle, below, above = seen[:3]
    assert middle == (0.15, right.sum()) and below == (0.05, (right & (at <= 0.15)).sum())
    assert above == (0.3, (right & (at > 0.15)).sum())
    each = [lk.attack(mlp, split, to_grey, eps=e).success for e in (0.05, 0.15, 0.3)]
    expected = np.select([each[1] & each[0], each[1], each[2]], [0.05, 0.15, 0.3], np.inf)
    np.testing.assert_array_equal(at[right], expected[right])
    np.testing.assert_array_equal(found.tried[0][right], 2)


def test_an_adversarial_counts_at_the_budget_that_its_distance_allows(mlp, split) -> None:
    def barely(model, x: Tensor, y: Tensor, eps: float) -> Tensor:
        """Uses no more than a third of what it may."""
        return lk.core.registry.find("attacks", "fgsm")(model, x, y, eps / 3, "linf")

    found = lk.robustness_curve(mlp, split, [barely], eps=[0.05, 0.15, 0.16], options=QUICK)
    at = found.broken_at[0]
    single = lk.attack(mlp, split, "fgsm", eps=0.05).success
    assert (at[single] == 0.05).all() and single.sum() > 5


def test_gradients_count_and_queries_too(mlp, split) -> None:
    found = lk.robustness_curve(mlp, split[:30], ["fgsm"], eps=[0.05], options=QUICK)
    n, at = int(found.correct.sum()), found.attacks.index("fgsm")
    tried = found.tried[at].sum()
    assert (
        found.queries[at].sum()
        == found.gradients[at].sum()
        == tried
        == (found.broken_at[0][found.correct] > 0.05).sum()
    )
    noise = found.attacks.index("uniform_noise")
    assert found.gradients[noise].sum() == 0 and found.queries[noise].sum() <= 10 * n
    np.testing.assert_allclose(examples(found)["queries"], found.queries.sum(0), atol=0.05)


def test_a_sound_model_meets_every_check(mlp, digits) -> None:
    found = lk.robustness_curve(mlp, digits.test[:100], ["pgd"], eps=[0.05, 0.1], options={"square": {"queries": 200}})
    assert found.status == "measured" and not found.escalated and not found.warnings
    status = {(f.check, f.subject): f.status for f in lk.check(found)}
    assert {s for (c, _), s in status.items() if c in ("gradient_masking", "finite_under_attack")} == {"meets"}
    assert status["attack_converged", ""] == "meets"
    assert status["survives_rounding", ""] in ("meets", "inconclusive")
    assert status["robust_accuracy", ""] == "info"


def test_one_gradient_step_alone_is_not_held_against_a_sound_model(mlp, digits) -> None:
    """Square beats one step here by far; PGD runs beside it and shows that the step is weak, not the model."""
    rows, budget, many = digits.test[:200], 0.12, {"queries": 1000}
    one, square = (lk.attack(mlp, rows, name, eps=budget, **o).success for name, o in (("fgsm", {}), ("square", many)))
    assert (square & ~one).sum() > allowed(200, 0.02)
    found = lk.robustness_curve(mlp, rows, ["fgsm"], eps=[budget], options={"square": many})
    assert found.status == "measured" and not found.escalated and "pgd" in found.controls
    assert {f.status for f in lk.check(found, only=["gradient_masking"])} == {"meets", "not_applicable"}  # one budget


def test_one_gradient_step_alone_still_uncovers_a_masked_model(mlp_module, digits) -> None:
    class Rounded(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = mlp_module

        def forward(self, x: Tensor) -> Tensor:
            return self.net(torch.round(x * 16) / 16)

    model = lk.wrap(Rounded(), classes=digits.classes, bounds=(0, 1))
    found = lk.robustness_curve(model, digits.test[:80], ["fgsm"], eps=[0.1])
    status = {f.subject: f.status for f in lk.check(found, only=["gradient_masking"])}
    assert found.status == "measured" and "vanishes" in found.escalated
    assert status["vanishing gradients"] == "info" and "pgd, straight through" in found.broken_by


def test_steps_that_were_too_few_are_raised_before_anything_is_said_of_the_model(mlp, digits) -> None:
    once = {"steps": 1, "restarts": 1, "random_start": False, "loss": "cross_entropy"}
    options = {"pgd": once, "square": {"queries": 1000}}
    found = lk.robustness_curve(mlp, digits.test[:200], ["fgsm"], eps=[0.12], options=options)
    named = next(f for f in lk.check(found) if f.subject == "black box against gradients")
    assert found.status == "measured" and "40 steps broke" in found.escalated
    assert named.status == "meets" and "pgd with 40 steps" in found.broken_by
    settled = lk.check(found, only=["attack_converged"])[0]
    assert settled.status == "info" and "ran in their place" in settled.says


def test_where_no_step_was_repeated_nothing_is_said_of_the_model(curve) -> None:
    once = replace(curve, gradients=np.minimum(curve.gradients, curve.tried))
    named = next(f for f in lk.check(once) if f.subject == "black box against gradients")
    assert named.status == "not_applicable" and "more than one gradient step" in named.says


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_other_sound_models_are_not_flagged(seed: int, norm: str, digits) -> None:
    from tests.conftest import train

    torch.manual_seed(100 + seed)
    module = train(nn.Sequential(nn.Flatten(), nn.Linear(64, 32), nn.Tanh(), nn.Linear(32, 10)), digits.train, 100)
    model = lk.wrap(module, classes=digits.classes, bounds=(0, 1))
    eps = {"linf": [0.05, 0.1], "l2": [0.3, 0.6]}[norm]
    found = lk.robustness_curve(model, digits.test[:80], ["pgd"], eps=eps, norm=norm, seed=seed, options=QUICK)
    # Whether small changes survive rounding to 17 grey levels is a question of the data, not of the model.
    checks = ("gradient_masking", "attack_converged", "finite_under_attack")
    flagged = [str(f) for f in lk.check(found, only=checks) if f.status == "does_not_meet"]
    assert found.status == "measured" and not flagged


def test_each_sign_of_masking_is_seen_on_a_record_that_shows_it(curve) -> None:
    def status(subject: str, **changed) -> str:
        findings = lk.check(replace(curve, **changed), only=["gradient_masking"])
        return next(f.status for f in findings if f.subject == subject)

    assert status("whole input range", whole_standing=12) == "does_not_meet"
    assert status("whole input range", whole_standing=1) == "meets"
    assert status("larger budget", larger_rows=20, larger_standing=9) == "does_not_meet"
    assert status("optimizes while predicting", optimizes=3) == "does_not_meet"
    weak = curve.broken_at.copy()
    weak[[0, 1]] = weak[[1, 0]]  # one step broke what PGD had broken
    assert status("one step against many", broken_at=weak) == "does_not_meet"
    assert status("black box against gradients", broken_at=weak) == "meets"
    weak = curve.broken_at.copy()
    weak[[0, 2]] = weak[[2, 0]]  # Square did
    assert status("black box against gradients", broken_at=weak) == "does_not_meet"
    assert status("one step against many", broken_at=weak) == "meets"
    gone = np.where(curve.correct, 0.0, np.nan)
    assert status("vanishing gradients", loss_gradient=gone) == "info"
    assert status("vanishing gradients", loss_gradient=gone, margin_gradient=gone) == "does_not_meet"
    assert status("gradient direction", cosine=curve.cosine * 0.1) == "does_not_meet"
    assert status("gradient direction", cosine=curve.cosine * np.nan) == "not_applicable"


def test_an_attack_cannot_prove_robustness(curve) -> None:
    def asked(**thresholds) -> str:
        return lk.check(curve, only=["robust_accuracy"], thresholds={"robust_accuracy": thresholds})[0].status

    assert asked() == "info"
    assert asked(at_least=0.9) == "does_not_meet"
    assert asked(at_least=0.2) == "inconclusive"
    assert asked(at_least=0.9, eps=0.05) == "does_not_meet"
    assert asked(at_least=0.5, eps=0.07) == "not_measured"


def test_allowance_is_the_binomials() -> None:
    from scipy.stats import binom

    for n, rate in ((10, 0.02), (64, 0.02), (200, 0.02), (200, 0.1)):
        limit = allowed(n, rate)
        assert binom.sf(limit, n, rate) <= 0.01 < binom.sf(limit - 1, n, rate)
    assert allowed(0, 0.02) == 0


def test_a_curve_is_saved_shown_and_said(curve, tmp_path) -> None:
    assert lk.load(lk.save(curve, tmp_path / "c.lk")).digest == curve.digest
    table = lk.rows(curve)
    assert len(table) == (1 + len(curve.attacks)) * len(EPS)
    np.testing.assert_array_equal(table[table.attack == "all"]["robust accuracy at most"], curve.robust_accuracy())
    says, value = lk.says(curve), curve.robust_accuracy()[-1]
    low, high = (end[-1] for end in curve.interval())
    assert says.startswith(
        f"Robust accuracy at most {value:.2f} ({low:.2f} to {high:.2f}, n = 80) at Linf eps 0.1 against pgd, fgsm, square, "
    )
    figure = lk.figure(curve)
    assert {t.type for t in figure.data} == {"scatter"}
    drawn = {t.name: t for t in figure.data}
    np.testing.assert_array_equal(drawn["all attacks together"].y, curve.robust_accuracy())
    assert "after pgd" in drawn
    assert any(shape.y0 == curve.chance for shape in figure.layout.shapes)


def test_where_nothing_stands_the_figure_says_so(mlp, split) -> None:
    found = lk.robustness_curve(mlp, split[:30], ["pgd"], eps=[0.05, 0.3], options=QUICK)
    assert found.robust_accuracy()[-1] == 0
    assert "0 from eps 0.3" in [a.text for a in lk.figure(found).layout.annotations]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"attacks": [], "eps": [0.1]}, "no attacks"),
        ({"attacks": ["pgd"], "eps": []}, "at least one budget"),
        ({"attacks": ["pgd"], "eps": ["large"]}, "budgets that are numbers"),
        ({"attacks": ["pgd"], "eps": [0.1, 0.1]}, "each of them once"),
        ({"attacks": ["pgd", "pgd"], "eps": [0.1]}, "each attack once"),
        ({"attacks": ["pgd"], "eps": [0.1], "options": {"fab": {}}}, "options for one of"),
        ({"attacks": ["boundary"], "eps": [0.1]}, "norm='l2'"),
        ({"attacks": ["pgd"], "eps": [float("inf")]}, "a number from 0 on"),
    ],
)
def test_what_makes_no_sense_is_refused(options, words, mlp, split) -> None:
    with pytest.raises(lk.Refused, match=words):
        lk.robustness_curve(mlp, split, **options)


def test_the_whole_input_range_is_allowed_as_a_budget(mlp, split) -> None:
    found = lk.robustness_curve(mlp, split[:30], ["fgsm"], eps=[0.1, 1.0], options=QUICK)
    assert found.robust_accuracy()[-1] <= found.chance


def test_a_model_without_gradients_is_still_attacked(mlp_module, digits) -> None:
    """A forward pass that cuts gradients off: their absence is named, and differences of answers lead on."""

    class Cut(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = mlp_module

        def forward(self, x: Tensor) -> Tensor:
            with torch.no_grad():
                return self.net(x)

    model = lk.wrap(Cut(), classes=digits.classes, bounds=(0, 1))
    found = lk.robustness_curve(model, digits.test[:40], ["pgd"], eps=[0.1], options=QUICK)
    assert found.status == "measured" and "vanishes" in found.escalated
    assert "pgd, gradients from differences" in found.broken_by
    assert found.robust_accuracy()[0] < 0.6 < found.robust_accuracy("pgd")[0]
