"""Kin of the faults that make a robustness figure wrong: the rest of what goes wrong around attacks, labels, bounds and
outputs, and attacks of one's own that do not keep to the rules. Each beside its sound twin."""

from __future__ import annotations

import copy
import re
from dataclasses import replace
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import labkit as lk
from labkit.checks import applies_to
from labkit.core import registry
from labkit.records.robustness_curve import RobustnessCurve

from .test_robustness import EPS, QUICK, Seen, curve, found, judged, refused, rows, seen, strong, twin  # noqa: F401


class Reversed(torch.autograd.Function):
    """Passes values on as they are, and gradients with the other sign."""

    @staticmethod
    def forward(ctx, x):
        return x.clone()

    @staticmethod
    def backward(ctx, g):
        return -g


def step(model, x: Tensor, y: Tensor, eps: float) -> Tensor:
    """A sound attack of one's own."""
    return registry.find("attacks", "fgsm")(model, x, y, eps, "linf")


def test_r02_noise_in_the_model_is_averaged_and_said(seen, rows) -> None:  # noqa: F811
    """Random resizing, noise or dropping while predicting: one look at an answer is luck."""
    noisy = seen(lambda n, x: n(x + 0.1 * torch.randn_like(x)))
    one, quiet = (lk.attack(m, rows[:20], "pgd", eps=EPS) for m in (noisy, seen()))
    assert "answers at random" in one.warnings[0] and not quiet.warnings
    assert abs(one.robust_accuracy - quiet.robust_accuracy) < 0.2  # of the noise nothing is left that protects
    fault = lk.robustness_curve(noisy, rows[:12], ["fgsm"], eps=[EPS], options=QUICK)
    assert fault.asks == 20 and found(fault, "random_answers").status == "info"


def test_r02_no_pass_of_a_random_model_is_larger_than_the_batch(seen, rows) -> None:  # noqa: F811
    largest = []

    def noisy(n, x):
        largest.append(len(x))
        return n(x + 0.1 * torch.randn_like(x))

    lk.attack(seen(noisy), rows[:24], "fgsm", eps=EPS, batch_size=8)
    assert max(largest) == 8


def test_r04_probabilities_are_refused_as_logits_and_right_when_declared(seen, rows, twin) -> None:  # noqa: F811
    with refused("outputs that are probabilities"):
        curve(seen(lambda n, x: n(x).softmax(1)), rows)
    declared = curve(seen(lambda n, x: n(x).softmax(1), outputs="probabilities"), rows)
    assert abs(declared.robust_accuracy()[0] - twin.robust_accuracy()[0]) <= 0.02


def test_r07_bounds_of_which_half_is_never_used_are_said(seen, rows, twin) -> None:  # noqa: F811
    fault = lk.attack(seen(bounds=(-1, 1)), rows, "pgd", eps=EPS)
    assert "bounds -1 to 1" in fault.warnings[0] and fault.adversarial.min() < 0
    assert not twin.warnings


@pytest.mark.parametrize("bad", ["fractions", "one column a class"])
def test_r14_labels_that_are_no_class_numbers_are_refused(bad: str, seen, rows) -> None:  # noqa: F811
    y = rows.y + 0.0 if bad == "fractions" else np.eye(10)[rows.y]
    with refused("labels of "):
        lk.attack(seen(), replace(rows, y=y), "fgsm", eps=EPS)


def test_r17_a_sound_model_is_not_overstated(seen, rows, twin, judged) -> None:  # noqa: F811
    import foolbox

    x, y = torch.tensor(rows.x), torch.tensor(rows.y)
    theirs = foolbox.PyTorchModel(seen().module, bounds=(0, 1), device="cpu")
    _, _, broken = foolbox.attacks.LinfPGD()(theirs, x, y, epsilons=EPS)
    ours = lk.attack(seen(), rows, "pgd", eps=EPS).robust_accuracy
    assert ours <= min(judged + 0.02, 1 - broken.float().mean().item())


def test_r19_labels_in_another_order_are_refused(seen, digits) -> None:  # noqa: F811
    with refused("far below chance"):
        lk.attack(seen(), replace(digits.test, y=9 - digits.test.y), "fgsm", eps=EPS)


def test_r22_gradients_that_lose_to_noise_are_named_or_replaced(seen, rows, monkeypatch) -> None:  # noqa: F811
    """Gradients that point the wrong way: smooth and large, so that only another kind of attack shows it."""
    model = seen(lambda n, x: n(Reversed.apply(x)))
    few = rows[:40]
    bound = strong(seen(), torch.tensor(few.x), torch.tensor(few.y))
    fault = curve(model, few)
    assert "attacks without gradients broke more rows" in fault.escalated
    assert fault.robust_accuracy("pgd")[0] > bound + 0.2
    assert fault.robust_accuracy()[0] <= bound + 0.03
    from labkit.analyses._attack import escalation

    monkeypatch.setattr(escalation, "_ways", lambda *_: {})
    left = curve(model, few)
    named = found(left, "gradient_masking", "black box against gradients")
    assert left.status == "contradicted" and named.status == "does_not_meet" and "masked" in named.says


def test_u01_an_attack_that_fails_with_the_whole_range_is_named(seen, rows, twin) -> None:  # noqa: F811
    def idle(model, x: Tensor, y: Tensor, eps: float) -> Tensor:
        return x.clone()

    fault = lk.robustness_curve(seen(), rows[:40], [idle], eps=[EPS], options=QUICK)
    named = found(fault, "gradient_masking", "whole input range")
    assert named.status == "does_not_meet" and "The attack is broken" in named.says
    assert "gave every row back as it was" in " ".join(fault.warnings)
    alone = lk.attack(seen(), rows[:40], idle, eps=EPS)
    assert alone.robust_accuracy == alone.correct.mean() and "changed no row" in " ".join(alone.warnings)
    assert found(twin, "gradient_masking", "whole input range").status == "meets"


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("name", ["pgd", "apgd", "apgd_targeted"])
def test_u03_with_few_classes_the_ratio_of_logits_gives_way_to_the_margin(name: str, classes: int, digits) -> None:
    """Two classes of a linear model, by closed form: a row falls where its lead is within eps times the L1 norm."""
    some = digits.test[digits.test.y < classes]
    some = replace(some, classes=digits.classes[:classes])
    torch.manual_seed(0)
    layer = nn.Linear(64, classes)
    x, y = torch.tensor(some.x).flatten(1), torch.tensor(some.y)
    optimizer = torch.optim.Adam(layer.parameters(), 0.01)
    for _ in range(100):
        optimizer.zero_grad()
        F.cross_entropy(layer(x), y).backward()
        optimizer.step()
    model = lk.wrap(nn.Sequential(nn.Flatten(), layer), classes=some.classes, bounds=(-9, 9))
    with torch.no_grad():
        lead = layer(x).gather(1, y[:, None]) - layer(x)
        width = (layer.weight[y][:, None] - layer.weight[None]).abs().sum(2)
        reach = (lead / width).masked_fill(F.one_hot(y, classes).bool(), torch.inf).amin(1)
    eps = float(reach.median())
    stands = reach > eps
    options = {} if name == "apgd_targeted" else {"loss": "dlr"}
    attacked = lk.attack(model, some, name, eps=eps, **options)
    assert attacked.robust_accuracy == pytest.approx(stands.float().mean().item(), abs=1.5 / len(some))


# Attacks of one's own.


def test_rows_beyond_the_budget_are_cut_back_and_counted(seen, rows) -> None:  # noqa: F811
    def far(model, x: Tensor, y: Tensor, eps: float) -> Tensor:
        return step(model, x, y, 5 * eps)

    fault, sound = (lk.attack(seen(), rows, a, eps=EPS) for a in (far, step))
    assert np.abs(fault.adversarial - fault.x).max() <= EPS + 1e-6
    assert "went beyond the budget on" in fault.warnings[0] and not sound.warnings
    assert np.array_equal(fault.success, sound.success)  # cut back, a step is a step


def test_shuffled_rows_are_no_successes_and_are_said(seen, rows) -> None:  # noqa: F811
    def shuffled(model, x: Tensor, y: Tensor, eps: float) -> Tensor:
        return step(model, x, y, eps).roll(1, 0)

    fault = lk.attack(seen(), rows, shuffled, eps=EPS)
    assert "went beyond the budget on" in fault.warnings[0]
    again = seen()(torch.tensor(fault.adversarial)).argmax(1).numpy()
    assert np.array_equal(fault.success, (again != rows.y) & fault.correct)


def test_an_attack_that_writes_into_what_it_is_given_reaches_nothing_else(seen, rows) -> None:  # noqa: F811
    before = rows.x.copy(), rows.y.copy()

    def greedy(model, x: Tensor, y: Tensor, eps: float) -> Tensor:
        moved = step(model, x, y, eps)
        x += 0.5
        y += 1
        return moved

    fault, sound = (lk.attack(seen(), rows, a, eps=EPS) for a in (greedy, step))
    assert np.array_equal(rows.x, before[0]) and np.array_equal(rows.y, before[1])
    assert np.array_equal(fault.success, sound.success) and np.array_equal(fault.adversarial, sound.adversarial)


def test_draws_of_the_global_generators_are_repeated_and_left_alone(seen, rows) -> None:  # noqa: F811
    def lucky(model, x: Tensor, y: Tensor, eps: float) -> Tensor:
        other = torch.tensor(np.random.choice([-1.0, 1.0], x.shape), dtype=x.dtype)
        return x + eps * torch.where(torch.rand_like(x) < 0.5, other, -other)

    torch.manual_seed(1)
    np.random.seed(1)
    first = lk.attack(seen(), rows, lucky, eps=EPS)
    after = torch.rand(1).item(), np.random.rand()
    second = lk.attack(seen(), rows, lucky, eps=EPS)
    assert np.array_equal(first.adversarial, second.adversarial)
    torch.manual_seed(1)
    np.random.seed(1)
    assert after == (torch.rand(1).item(), np.random.rand())
    assert not np.array_equal(first.adversarial, lk.attack(seen(), rows, lucky, eps=EPS, seed=1).adversarial)


@pytest.mark.parametrize(
    ("back", "words"),
    [
        (lambda x: x.flatten(1), "a result of shape"),
        (lambda x: x[:-1], "a result of shape"),
        (lambda x: x.movedim(1, -1), "a result of shape"),
        (lambda x: (255 * x).to(torch.uint8), "a result of type torch.uint8"),
        (lambda x: (x, x), "a result of type tuple"),
        (lambda x: x.numpy(), "a result of type numpy.ndarray"),
        (lambda x: x / 0 * torch.nan, "values that are not finite"),
        (lambda x: x[10_000], "an error on the way, IndexError"),
    ],
)
def test_what_is_no_perturbed_row_is_refused(back, words: str, seen, rows) -> None:  # noqa: F811
    with refused(words):
        lk.attack(seen(), rows, lambda model, x, y, eps: back(step(model, x, y, eps)), eps=EPS)


def test_other_precision_and_open_graphs_are_taken(seen, rows) -> None:  # noqa: F811
    sound = lk.attack(seen(), rows, step, eps=EPS)
    for back in (Tensor.double, lambda x: x.requires_grad_(), lambda x: x.mT.contiguous().mT):
        taken = lk.attack(seen(), rows, lambda model, x, y, eps, b=back: b(step(model, x, y, eps)), eps=EPS)
        assert np.array_equal(taken.success, sound.success)


# Budgets, rows and outputs of other kinds.


def test_budgets_in_any_order_give_one_curve(seen, rows) -> None:  # noqa: F811
    mixed, sorted_ = (
        lk.robustness_curve(seen(), rows[:30], ["pgd"], eps=eps, options=QUICK)
        for eps in ([0.1, 0.0, 0.04], [0.0, 0.04, 0.1])
    )
    assert mixed.eps.tolist() == [0.0, 0.04, 0.1] and np.array_equal(mixed.broken_at, sorted_.broken_at)
    assert mixed.robust_accuracy()[0] == mixed.accuracy


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16, torch.float64])
def test_models_of_another_precision_are_attacked_alike(kind: torch.dtype, mlp_module, digits, rows, twin) -> None:  # noqa: F811
    model = lk.wrap(copy.deepcopy(mlp_module).to(kind), classes=digits.classes, bounds=(0, 1))
    other = curve(model, rows[:30])
    alike = (other.breaking_eps == twin.breaking_eps[:30]).mean()
    assert other.status == "measured" and alike >= 0.95
    for name, norm in (("ddn", "l2"), ("square", "l2"), ("apgd", "l1"), ("ead", "l1")):
        assert lk.attack(model, rows[:6], name, norm=norm, eps=0.5).adversarial.dtype == np.float32


@pytest.mark.parametrize("kind", ["half", "tuple", "dictionary"])
def test_outputs_of_another_kind_are_attacked_alike(kind: str, seen, rows, twin) -> None:  # noqa: F811
    outputs = {
        "half": lambda n, x: n(x).half(),
        "tuple": lambda n, x: (n(x), x),
        "dictionary": lambda n, x: {"hidden": x, "logits": n(x)},
    }
    other = curve(seen(outputs[kind]), rows[:30])
    assert (other.breaking_eps == twin.breaking_eps[:30]).mean() >= 0.95


def test_one_row_and_one_row_at_a_time(seen, rows, twin) -> None:  # noqa: F811
    few = rows[:6]
    together, alone = (
        lk.robustness_curve(seen(), few, ["pgd"], eps=[EPS], options=QUICK, batch_size=b) for b in (256, 1)
    )
    assert np.array_equal(together.broken_at, alone.broken_at)
    assert np.array_equal(together.breaking_eps, twin.breaking_eps[:6])
    single = lk.robustness_curve(seen(), rows[:1], ["pgd"], eps=[EPS], options=QUICK)
    low, high = single.interval()
    assert high[0] - low[0] > 0.9  # one row says next to nothing, and the interval says so
    assert not [f for f in lk.check(single) if f.status == "does_not_meet"]


def test_a_single_row_that_is_right_among_wrong_ones(seen, digits) -> None:  # noqa: F811
    label = seen()(torch.tensor(digits.test.x)).argmax(1).numpy()
    right, wrong = np.flatnonzero(label == digits.test.y)[:1], np.flatnonzero(label != digits.test.y)
    some = digits.test[np.concatenate([right, wrong[:8]])]
    fault = lk.robustness_curve(seen(), some, ["pgd"], eps=[0.01], options=QUICK)
    assert fault.correct.sum() == 1 and fault.robust_accuracy()[0] <= 1 / len(some)
    assert fault.success_rate()[0] in (0.0, 1.0)
    with refused("none of them classified correctly"):
        curve(seen(), digits.test[wrong[:8]])


def test_no_pass_has_more_rows_than_the_batch(seen, rows) -> None:  # noqa: F811
    """Large images: what memory must hold is set by one number, whatever the attack, and through every way to gradients."""
    largest = []

    def counted(n, x):
        largest.append(len(x))
        return n(torch.round(x * 16) / 16)

    fault = curve(seen(counted), rows[:10], batch_size=8)
    assert "gradients from differences" in " ".join(fault.attacks) or "straight through" in " ".join(fault.attacks)
    for name in ("apgd_targeted", "uniform_noise", "square", "deepfool"):
        lk.attack(seen(counted), rows[:10], name, eps=EPS, norm="linf", batch_size=8)
    assert max(largest) == 8


def test_the_judge_breaks_what_is_weak(mlp_module, rows, judged) -> None:  # noqa: F811
    assert strong(mlp_module, torch.tensor(rows.x), torch.tensor(rows.y), 0.0) > judged + 0.3


def test_the_page_of_false_alarms_tells_of_the_checks_under_attack() -> None:
    page = (
        (Path(__file__).parents[2] / "docs" / "false_alarms.md").read_text().partition("# False alarms under attack")[2]
    )
    lines = re.findall(r"^\| (\w+)(?:: [\w ]+)? \| (\d+) \| (\d+) \| [\d.]+%", page, re.M)
    kinds = {n: applies_to(registry.find("checks", n)) for n in lk.names("checks")}
    read = {n for n, kind in kinds.items() if RobustnessCurve in (kind, *get_args(kind))}
    others = {"robust_accuracy", "survives_rounding", "equal_robustness"}  # what was found, and no fault of an attack
    assert read - others <= {name for name, *_ in lines}
    last = {name: numbers for name, *numbers in lines}  # shifts were measured again when a rule of theirs had changed
    assert {"holds_under_shift", "equal_under_shift", "certificate_holds"} <= set(last)
    for name, judged_, alarms in lines:
        if name in read or [judged_, alarms] == last[name]:
            assert int(alarms) <= 0.01 * int(judged_), name
