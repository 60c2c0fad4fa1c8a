"""The robust reference model: its adversary against closed forms, its measure, and what was shipped beside its twin."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.stats import beta
from torch import nn
from torch.nn import functional

import labkit as lk
from labkit.core.intervals import wilson
from labkit.data.schema import Schema
from labkit.data.split import Dataset, Split
from labkit.training.measures.robust import Robust
from labkit.training.members import Members
from labkit.training.objectives.adversarial import Adversarial
from labkit.training.recipes.fashion_robust import fashion_robust

EPS = 0.05
OBJECTIVE = Adversarial(eps=EPS, steps=4, step=0.03)
ATTACK = {"pgd": {"steps": 10, "restarts": 2}, "square": {"queries": 50}}


def _linear(seed: int) -> nn.Sequential:
    """Two classes that a plane divides. Its worst point within a box is the corner against the weights' signs."""
    torch.manual_seed(seed)
    return nn.Sequential(nn.Flatten(), nn.Linear(9, 2))


def _inputs(models: int, n: int = 40) -> tuple[torch.Tensor, torch.Tensor]:
    torch.manual_seed(9)
    x = 0.2 + 0.6 * torch.rand(models, n, 1, 3, 3)
    return x, torch.randint(0, 2, (models, n))


def _margins(module: nn.Sequential, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """(n,) lead of the true logit at the worst point, by hand: eps times the sum of absolute weights is lost."""
    weight, bias = (p.detach() for p in module[1].parameters())
    lead = x.flatten(1) @ (weight[1] - weight[0]) + bias[1] - bias[0]
    return lead * (2 * y - 1) - EPS * (weight[1] - weight[0]).abs().sum()


@pytest.mark.parametrize("models", [1, 2])
def test_the_loss_of_a_linear_model_is_that_of_the_worst_corner(models):
    modules = [_linear(seed) for seed in range(models)]
    x, y = _inputs(models)
    found = OBJECTIVE.loss(Members(modules), x, y)
    worst = [functional.softplus(-_margins(m, a, b)).mean() for m, a, b in zip(modules, x, y)]
    torch.testing.assert_close(found.detach(), torch.stack(worst))


def test_an_epoch_is_judged_by_who_stands():
    modules = [_linear(seed) for seed in range(2)]
    x, y = _inputs(2)
    answer = Members(modules).eval()
    loss, right = OBJECTIVE.judge(answer, x, y)
    leads = torch.stack([_margins(m, a, b) for m, a, b in zip(modules, x, y)])
    torch.testing.assert_close(loss, functional.softplus(-leads))
    assert torch.equal(right, (leads > 0).float())
    clean = (answer(x).argmax(-1) == y).float()
    assert (right <= clean).all() and right.sum() < clean.sum()


def test_the_adversary_keeps_to_ball_and_bounds_and_touches_nothing():
    torch.manual_seed(0)
    module = nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Dropout(), nn.Linear(4, 2)
    )
    modes = []
    module[1].register_forward_hook(lambda layer, *_: modes.append(layer.training))
    answer = Members([module]).train()
    before = {k: v.clone() for k, v in module.state_dict().items()}
    x, y = _inputs(1)
    x = x.clone()
    x[:, ::2], x[:, 1::2] = x[:, ::2].round(), x[:, 1::2]  # half of the images lie on the bounds
    z = OBJECTIVE.attacked(answer, x, y, steps=5, step=0.02)
    assert (z - x).abs().max() <= EPS + 1e-6 and z.min() >= 0 and z.max() <= 1
    assert (z - x).abs().max() > 0.9 * EPS and not z.requires_grad
    assert modes == [False] * 5 and answer.training and module[4].training
    assert all(torch.equal(v, before[k]) for k, v in module.state_dict().items())
    assert all(p.grad is None for p in module.parameters())
    assert (answer.forwards, answer.backwards) == (200, 200)
    answer.eval()
    assert (OBJECTIVE.judge(answer, x, y)[0] > functional.cross_entropy(answer(x)[0], y[0], reduction="none")).all()


def test_robust_accuracy_of_a_linear_model_is_the_closed_form():
    module, (x, y) = _linear(0), _inputs(1, 300)
    leads = _margins(module, x[0], y[0])
    keep = leads.abs() > 1e-4
    split = _split(x[0][keep].numpy(), y[0][keep].numpy())
    model = lk.wrap(module, classes=("a", "b"), bounds=(0, 1), name="line")
    score = Robust(EPS, ATTACK)(model, Dataset("line", split, split), fashion_robust())
    stands, n = int((leads[keep] > 0).sum()), int(keep.sum())
    assert 0 < stands < n and score.value == pytest.approx(stands / n) and score.n == n
    assert score.low == pytest.approx(beta.ppf(0.025, stands, n - stands + 1))
    assert score.high == pytest.approx(beta.ppf(0.975, stands + 1, n - stands))
    assert score.name == f"robust accuracy at eps {EPS}, at most (pgd, square, fgsm, uniform_noise)"


def _split(x: np.ndarray, y: np.ndarray) -> Split:
    return Split(
        x, y, Schema(modality="image", target="side", shape=x.shape[1:], bounds=(0.0, 1.0)), ("a", "b"), "line"
    )


def test_the_recipe_asks_for_robustness_first():
    robust, clean = fashion_robust().goals
    assert isinstance(robust.measure, Robust) and robust.once and (robust.measure.eps, robust.floor) == (0.1, 0.70)
    assert clean.floor == 0.85
    assert set(robust.measure.attacks) == {"pgd", "square"}


@pytest.fixture(scope="module")
def shipped():
    return lk.zoo.load("fashion_robust"), lk.zoo.data("fashion_robust").test


def test_what_was_shipped_stands_and_its_undefended_twin_falls(shipped):
    """The first 256 of the embedded test images, under the card's attacks with fewer steps, at the card's budget."""
    model, test = shipped
    record = lk.robustness_curve(model, test[:256], attacks=tuple(ATTACK), eps=[0.1], options=ATTACK)
    card = {m["measure"].split(",")[0]: m for m in lk.zoo.card("fashion_robust")["test"]}
    low, high = wilson(int(record.robust_accuracy()[0] * len(record)), len(record), 0.999)
    assert low <= card["robust accuracy at eps 0.1"]["score"] <= high
    found = {f.subject or f.check: f for f in lk.check(record) if f.check == "gradient_masking"}
    assert found.pop("larger budget").status == "not_applicable"  # there is one budget
    assert len(found) == 6 and {f.status for f in found.values()} == {"meets"}
    twin = lk.zoo.load("fashion_cnn")
    fallen = lk.robustness_curve(twin, test[:64], attacks=("pgd",), eps=[0.1], options={"pgd": ATTACK["pgd"]})
    assert fallen.accuracy > 0.85 and fallen.robust_accuracy()[0] <= 0.02


def test_clean_accuracy_on_the_whole_test_set(shipped):
    try:
        data = lk.zoo.data("fashion_robust", full=True)
    except lk.Refused as refusal:
        pytest.skip(f"the full set is not on this machine; {refusal.instead}")
    measured = {m["measure"]: m for m in lk.zoo.card("fashion_robust")["test"]}["accuracy"]
    p = lk.predict(shipped[0], data.test)
    score = float(np.mean(p.label == p.y))
    assert score >= 0.85 and score == pytest.approx(measured["score"], abs=5e-4) and len(p) == 10_000
