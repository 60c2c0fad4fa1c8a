"""Faults that make a robustness figure wrong, each beside a sound twin that must not be flagged.

The judge is an attack of its own, written apart from labkit's: many steps on both losses, from random points, with
every wrong answer on the way counted.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import labkit as lk

QUICK = {"square": {"queries": 200}, "uniform_noise": {"draws": 10}}
EPS = 0.1


class Seen(nn.Module):
    """A network seen through ``f(network, x)``: how each defect is planted."""

    def __init__(self, net: nn.Module, f) -> None:
        super().__init__()
        self.net, self.f = net, f

    def forward(self, x: Tensor) -> Tensor:
        return self.f(self.net, x)


def strong(forward, x: Tensor, y: Tensor, eps: float = EPS, steps: int = 60) -> float:
    """Robust accuracy against the judge; ``forward`` should be the model without what hides its gradients."""
    torch.manual_seed(0)
    broken = forward(x).argmax(1) != y
    for kind in ("cross-entropy", "margin"):
        v = (x + torch.empty_like(x).uniform_(-eps, eps)).clamp(0, 1)
        for i in range(steps):
            v.requires_grad_()
            z = forward(v)
            broken |= z.argmax(1) != y
            lead = z.scatter(1, y[:, None], -1e9).amax(1) - z.gather(1, y[:, None])[:, 0]
            loss = lead.sum() if kind == "margin" else F.cross_entropy(z, y, reduction="sum")
            (g,) = torch.autograd.grad(loss, v)
            v = (v.detach() + eps * 0.2 * (1 - i / steps) * g.sign()).clamp(x - eps, x + eps).clamp(0, 1)
    return 1 - broken.float().mean().item()


@pytest.fixture(scope="module")
def seen(mlp_module, digits):
    def make(f=lambda n, x: n(x), **options):
        return lk.wrap(Seen(mlp_module, f), classes=digits.classes, **{"bounds": (0, 1), **options})

    return make


@pytest.fixture(scope="module")
def rows(digits):
    return digits.test[:80]


@pytest.fixture(scope="module")
def judged(mlp_module, rows) -> float:
    return strong(mlp_module, torch.tensor(rows.x), torch.tensor(rows.y))


@pytest.fixture(scope="module")
def twin(seen, rows):
    """The sound model's curve."""
    return lk.robustness_curve(seen(), rows, ["pgd"], eps=[EPS], options=QUICK)


def curve(model, rows, **options):
    return lk.robustness_curve(model, rows, ["pgd"], eps=[EPS], options=QUICK, **options)


def found(record, check: str, subject: str = ""):
    return next(f for f in lk.check(record, only=[check]) if f.subject == subject)


def refused(words: str):
    return pytest.raises(lk.Refused, match=words)


def test_the_twin_is_as_weak_as_the_judge_says_and_is_not_flagged(twin, judged) -> None:
    assert twin.robust_accuracy()[0] <= judged + 0.02
    assert twin.status == "measured"
    assert {f.status for f in lk.check(twin, only=["gradient_masking"])} == {"meets", "not_applicable"}  # one budget
    assert {f.status for f in lk.check(twin, only=["input_scale", "best_iterate_kept", "random_answers"])} == {"meets"}


def test_r01_dropout_left_on_is_averaged_and_asked_again(mlp_module, digits, rows, twin) -> None:
    always = nn.Sequential(*list(mlp_module)[:3], Seen(nn.Identity(), lambda _, x: F.dropout(x, 0.5, training=True)))
    always.append(mlp_module[3])
    noisy = lk.wrap(always, classes=digits.classes, bounds=(0, 1))
    fault = lk.robustness_curve(noisy, rows[:40], ["pgd"], eps=[EPS], options=QUICK)
    named = found(fault, "random_answers")
    assert (
        fault.asks == 20 and "at random" in fault.warnings[0] and named.status == "info" and "at random" in named.says
    )
    # As low as what breaks the network without its dropout, asked as often.
    layers = nn.Sequential(*list(mlp_module)[:3], mlp_module[3])
    quiet = lk.attack(lk.wrap(layers, classes=digits.classes, bounds=(0, 1)), rows[:40], "pgd", eps=EPS)
    torch.manual_seed(0)
    mean = torch.stack([always(torch.tensor(quiet.adversarial)).softmax(1) for _ in range(20)]).mean(0)
    left = ((mean.argmax(1).numpy() == quiet.y) & (fault.label == quiet.y)).mean()
    assert fault.asked_again > 0 and fault.robust_accuracy()[0] <= left + 0.1 < fault.accuracy
    again = lk.robustness_curve(noisy, rows[:40], ["pgd"], eps=[EPS], options=QUICK)
    assert again.digest == fault.digest  # by chance, yet the same when run again
    with refused("answers differently when asked again"):
        lk.explain(noisy, rows[:4], "saliency")
    # Dropout in train mode is put right: the lab works on a copy in evaluation mode.
    layers = nn.Sequential(*list(mlp_module)[:3], nn.Dropout(0.5), mlp_module[3]).train()
    model = lk.wrap(layers, classes=digits.classes, bounds=(0, 1))
    assert lk.attack(model, rows, "fgsm", eps=EPS).robust_accuracy < 0.6
    assert layers.training


def test_r03_saturated_logits_are_named_and_broken_all_the_same(seen, rows, twin, judged) -> None:
    fault = curve(seen(lambda n, x: 1000 * n(x)), rows)
    assert fault.robust_accuracy()[0] <= judged + 0.02
    assert "vanishes on" in fault.escalated and fault.status == "measured"
    named = found(fault, "gradient_masking", "vanishing gradients")
    assert named.status == "info" and "saturate" in named.says
    # Foolbox's default on the same model, for the record: almost nothing breaks.
    import foolbox

    x, y = torch.tensor(rows.x), torch.tensor(rows.y)
    theirs = foolbox.PyTorchModel(Seen(seen().module, lambda n, x: 1000 * n(x)).eval(), bounds=(0, 1), device="cpu")
    _, _, broken = foolbox.attacks.LinfPGD()(theirs, x, y, epsilons=EPS)
    assert 1 - broken.float().mean().item() > fault.robust_accuracy()[0] + 0.3
    assert found(twin, "gradient_masking", "vanishing gradients").status == "meets" and not twin.escalated


def test_r05_rounded_inputs_are_broken_straight_through(seen, mlp_module, rows, twin) -> None:
    fault = curve(seen(lambda n, x: n(torch.round(x * 16) / 16)), rows)
    assert fault.status == "measured" and "vanishes" in fault.escalated
    named = found(fault, "gradient_masking", "vanishing gradients")
    assert named.status == "info" and "straight through found a way" in named.says
    through = lambda v: mlp_module(v + (torch.round(v * 16) / 16 - v).detach())  # noqa: E731
    judged = strong(through, torch.tensor(rows.x), torch.tensor(rows.y))
    assert fault.robust_accuracy("pgd")[0] > 0.8
    assert fault.robust_accuracy()[0] <= judged + 0.02
    assert found(twin, "gradient_masking", "black box against gradients").status == "meets"


def test_r05_what_nothing_leads_through_is_contradicted(seen, rows, monkeypatch) -> None:
    """With the cures taken away the two ways of measuring disagree, and both numbers are said."""
    from labkit.analyses._attack import escalation

    monkeypatch.setattr(escalation, "_ways", lambda *_: {})
    fault = curve(seen(lambda n, x: n(torch.round(x * 16) / 16)), rows)
    assert fault.status == "contradicted" and "with gradients leave 0." in fault.reason
    assert "Contradicted:" in lk.says(fault)
    for subject in ("vanishing gradients", "black box against gradients"):
        assert found(fault, "gradient_masking", subject).status == "does_not_meet"
    assert (fault.breaking_eps <= EPS).mean() == pytest.approx(1 - fault.robust_accuracy()[0])
    assert "square" in set(fault.broken_by)


def test_r06_bounds_that_are_too_wide_are_refused(seen, rows) -> None:
    with refused("bounds 0 to 255, but values only from 0 to 1"):
        curve(seen(bounds=(0, 255)), rows)


def test_r06_data_outside_the_bounds_are_refused(seen, rows) -> None:
    with refused("outside the bounds"):
        curve(seen(), replace(rows, x=rows.x * 255))
    wide = lk.attack(seen(bounds=(-1, 2)), rows, "fgsm", eps=EPS)  # wider, yet of the data's unit
    assert wide.status == "measured"


@pytest.mark.parametrize("eps", [8.0, 2.0, 0.6])
def test_r08_a_budget_in_another_unit_is_refused(eps: float, seen, rows) -> None:
    with refused("eps=") as error:
        lk.robustness_curve(seen(), rows, ["pgd"], eps=[0.02, eps], options=QUICK)
    assert ("8/255, which is 0.03137" in str(error.value)) == (eps == 8)
    with refused("eps="):
        lk.attack(seen(), rows, "pgd", eps=eps)


def test_r08_budgets_below_half_the_span_are_not(seen, rows) -> None:
    assert lk.attack(seen(), rows, "pgd", eps=0.4).robust_accuracy == 0
    assert lk.attack(seen(), rows, "pgd", eps=1.5, norm="l2").robust_accuracy == 0


def test_r10_shifted_labels_are_refused(seen, digits) -> None:
    rows = digits.test[:200]
    with refused("labels look shifted"):
        lk.attack(seen(), replace(rows, y=(rows.y + 1) % 10), "fgsm", eps=EPS)


def test_r10_wrong_labels_are_refused(seen, rows) -> None:
    with refused("labels from 1 to 10"):
        lk.attack(seen(), replace(rows, y=rows.y + 1), "fgsm", eps=EPS)


def test_r11_clean_errors_are_no_successes(seen, digits) -> None:
    rows = digits.test[:200]
    y = rows.y.copy()
    y[:80] = (y[:80] + 1) % 10
    fault = lk.attack(seen(), replace(rows, y=y), "pgd", eps=0.01)
    sound = lk.attack(seen(), rows[80:], "pgd", eps=0.01)
    counted_in = np.mean(fault.label != y)
    assert fault.success_rate == sound.success_rate < 0.05 < 0.4 <= counted_in
    assert fault.robust_accuracy == pytest.approx(sound.robust_accuracy * 120 / 200)
    says = lk.says(fault)
    assert f"of the {fault.correct.sum()} rows that were right" in says and "robust accuracy at most 0.5" in says


def test_r13_a_constant_predictor_is_refused(seen, rows) -> None:
    own = rows[rows.y == 3]
    with refused("one class"):
        curve(seen(lambda n, x: F.one_hot(torch.full((len(x),), 3), 10) * 5.0 + 0 * n(x)), own)


def test_r13_a_sound_model_on_rows_of_one_class_is_not(seen, rows) -> None:
    assert lk.attack(seen(), rows[rows.y == 3], "pgd", eps=EPS).status == "measured"


def test_r15_nan_on_clean_rows_is_refused(seen, digits) -> None:
    fault = seen(lambda n, x: torch.where(n(x).argmax(1, keepdim=True) == 3, torch.nan, n(x)))
    with refused("NaN or infinite"):
        lk.attack(fault, digits.test[:80], "pgd", eps=0.001)
    later = digits.test[np.argsort(digits.test.y == 3, kind="stable")][350:]  # none among the rows looked at first
    with refused("NaN or infinite on"):
        curve(fault, later)


def test_r15_nan_under_attack_is_never_a_success(seen, rows) -> None:
    """The model answers NaN off the grid of the data: every perturbed row, and none of the clean ones."""

    def brittle(n, x):
        off = ((x * 16) - (x * 16).round()).abs().flatten(1).amax(1, keepdim=True) > 1e-3
        return torch.where(off, torch.nan, n(x))

    single = lk.attack(seen(brittle), rows, "fgsm", eps=0.05)
    assert not single.success.any() and (single.label == -1).sum() == single.correct.sum()
    assert "not counted as successes" in single.warnings[0]
    assert "no finite answer" in " ".join(a.text for a in lk.figure(single).layout.annotations)
    fault = lk.robustness_curve(seen(brittle), rows[:40], ["fgsm"], eps=[0.05], options=QUICK)
    named = found(fault, "finite_under_attack")
    assert named.status == "does_not_meet" and "NaN" in named.says and fault.warnings


def test_r15_finite_answers_meet_the_check(twin) -> None:
    assert found(twin, "finite_under_attack").status == "meets" and not twin.warnings


@pytest.mark.parametrize("steps", [1, 3])
def test_r16_too_few_steps_are_named(steps: int, seen, digits) -> None:
    options = {**QUICK, "pgd": {"steps": steps, "restarts": 1}}
    fault = lk.robustness_curve(seen(), digits.test[:130], ["pgd"], eps=[0.6], norm="l2", options=options)
    named, strong = found(fault, "attack_converged"), max(40, 2 * steps)
    assert named.status == "info" and "had not converged" in named.says and f"{strong} steps broke" in fault.escalated
    weak = lk.attack(seen(), digits.test[:130], "pgd", eps=0.6, norm="l2", **options["pgd"]).robust_accuracy
    assert fault.robust_accuracy()[0] < weak - 0.02


def test_r16_enough_steps_are_not(seen, digits) -> None:
    sound = lk.robustness_curve(seen(), digits.test[:130], ["pgd"], eps=[0.6], norm="l2", options=QUICK)
    assert found(sound, "attack_converged").status == "meets"


def test_r18_a_success_on_the_way_is_kept(seen, rows) -> None:
    """On a loss full of bumps Foolbox gives the last point of the path back; broken on the way is broken here."""
    import foolbox

    def bumpy(n, x):
        z = n(x)
        return z + 3 * torch.sin(30 * z)

    model = seen(bumpy)
    x, y = torch.tensor(rows.x), torch.tensor(rows.y)
    theirs = foolbox.PyTorchModel(model.module, bounds=(0, 1), device="cpu")
    _, _, broken = foolbox.attacks.LinfPGD()(theirs, x, y, epsilons=0.03)
    ours = lk.attack(model, rows, "pgd", eps=0.03)
    assert ours.robust_accuracy <= strong(model, x, y, 0.03) + 0.01
    assert ours.robust_accuracy < 1 - broken.float().mean().item() - 0.02


def test_r18_what_a_users_attack_throws_away_is_kept(seen, rows) -> None:
    """The plain recipe, which gives its last point back, on a loss full of bumps."""

    def last_point(model, x: Tensor, y: Tensor, eps: float) -> Tensor:
        v = x.clone()
        for _ in range(10):
            v.requires_grad_()
            (g,) = torch.autograd.grad(F.cross_entropy(model(v), y, reduction="sum"), v)
            v = (x + (v.detach() + eps / 3 * g.sign() - x).clamp(-eps, eps)).clamp(0, 1)
        return v

    bumpy = seen(lambda n, x: n(x) + 3 * torch.sin(30 * n(x)))
    fault = lk.robustness_curve(bumpy, rows, [last_point], eps=[0.03], options=QUICK)
    named = found(fault, "best_iterate_kept")
    assert fault.thrown_away[0] > 5 and named.status == "info" and "gave other points back" in named.says
    one = lk.attack(bumpy, rows, last_point, eps=0.03)
    bare = last_point(bumpy, torch.tensor(rows.x), torch.tensor(rows.y), 0.03)
    unaided = (bumpy(bare).argmax(1).numpy() != rows.y)[one.correct].sum()
    assert one.thrown_away == fault.thrown_away[0] and one.success.sum() >= unaided + one.thrown_away > unaided


def test_r07_a_normaliser_that_is_missing_or_applied_twice_is_named(mlp_module, seen, rows, twin) -> None:
    mean, spread = float(rows.x.mean()), float(rows.x.std())
    missing = seen(lambda n, x: n(x * spread + mean))  # made for standardized inputs, and given them as they are
    named = found(curve(missing, rows), "input_scale")
    assert named.status == "does_not_meet" and "standardized" in named.says and "normalisation is missing" in named.says
    low, high = (0 - mean) / spread, (1 - mean) / spread
    already = replace(rows, x=((rows.x - mean) / spread).astype(np.float32))
    twice = seen(lambda n, x: n(x), bounds=(low, high))  # made for 0 to 1, and given standardized inputs
    named = found(lk.robustness_curve(twice, already, ["fgsm"], eps=[0.05], options=QUICK), "input_scale")
    assert named.status == "does_not_meet" and "stretched" in named.says
    assert found(twin, "input_scale").status == "meets"


def test_a_model_that_optimizes_while_predicting_is_named(mlp_module, seen, rows) -> None:
    def purified(n, x):
        with torch.enable_grad():
            v = x.detach().requires_grad_()
            (g,) = torch.autograd.grad(n(v).logsumexp(1).sum(), v)
        return n(x + 0.01 * g.sign())

    fault = lk.robustness_curve(seen(purified), rows[:40], ["fgsm"], eps=[0.05], options=QUICK)
    named = found(fault, "gradient_masking", "optimizes while predicting")
    assert fault.optimizes == 1 and named.status == "does_not_meet" and "gradients of its own" in fault.escalated


def test_a_curve_that_is_not_monotone_is_named(mlp_module, seen, rows) -> None:
    """An attack that breaks rows with a small budget and fails with a large one."""

    def timid(model, x: Tensor, y: Tensor, eps: float) -> Tensor:
        return lk.core.registry.find("attacks", "fgsm")(model, x, y, eps if eps < 0.1 else 0.0, "linf")

    fault = lk.robustness_curve(seen(), rows, [timid], eps=[0.02, 0.08, 0.2], options=QUICK)
    named = found(fault, "gradient_masking", "larger budget")
    assert named.status == "does_not_meet" and "the attack is broken" in named.says
    sound = lk.robustness_curve(seen(), rows, ["pgd"], eps=[0.02, 0.08, 0.2], options=QUICK)
    assert found(sound, "gradient_masking", "larger budget").status == "meets"


def test_r20_shattered_gradients_are_broken_by_differences(seen, rows, twin, judged) -> None:
    fault = curve(seen(lambda n, x: n(x + 2e-3 * torch.sin(2e4 * x))), rows)
    assert fault.status == "measured" and "cosine" in fault.escalated
    named = found(fault, "gradient_masking", "gradient direction")
    assert named.status == "info" and "noise" in named.says and "from differences found a way" in named.says
    assert fault.robust_accuracy("pgd")[0] > judged + 0.2
    assert fault.robust_accuracy()[0] <= judged + 0.02
    assert found(twin, "gradient_masking", "gradient direction").status == "meets"


def test_r21_adversarials_that_rounding_undoes_are_counted(seen, digits) -> None:
    fault = lk.attack(seen(), digits.test[:150], "pgd", eps=0.03)  # half a grey level is 0.031
    assert fault.levels == 16 and fault.success.sum() >= 5
    named = found(fault, "survives_rounding")
    assert named.status == "does_not_meet" and "17 values" in named.says
    assert not fault.stored.any()  # each pixel goes back to what it was


def test_r21_whole_grey_levels_survive(seen, digits) -> None:
    sound = lk.attack(seen(), digits.test, "fgsm", eps=2 / 16)  # two grey levels up or down
    assert found(sound, "survives_rounding").status == "meets" and sound.stored.sum() == sound.success.sum()
