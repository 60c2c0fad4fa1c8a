"""Objectives of robust training: TRADES, noise and interval bounds, against closed forms and by brute force."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import product
from typing import ClassVar

import numpy as np
import pytest
import torch
from scipy.special import rel_entr
from torch import nn
from torch.nn import functional

import labkit as lk
from labkit.models.normalize import Normalize
from labkit.training.loop import fit
from labkit.training.measures.proven import Proven
from labkit.training.measures.under_noise import UnderNoise
from labkit.training.members import Members
from labkit.training.objectives import Objective, cross_entropy
from labkit.training.objectives.adversarial import Adversarial
from labkit.training.objectives.gaussian_noise import GaussianNoise
from labkit.training.objectives.interval_bounds import IntervalBounds, through
from labkit.training.objectives.trades import Trades, divergence
from labkit.training.recipes.fashion_smoothed import fashion_smoothed

EPS = 0.05
TRADES = Trades(eps=EPS, steps=4, step=0.03, beta=3.0)


def _linear(seed: int = 0) -> nn.Sequential:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Flatten(), nn.Linear(9, 2))


def _net(seed: int = 0) -> nn.Sequential:
    torch.manual_seed(seed)
    convolution = nn.Conv2d(1, 3, 2, stride=2, padding=1)
    return nn.Sequential(Normalize(0.3, 0.4, axes=2), convolution, nn.ReLU(), nn.Flatten(), nn.Linear(12, 5), nn.ReLU(),
                         nn.Linear(5, 3))  # fmt: skip


def _inputs(models: int = 1, n: int = 40, classes: int = 2) -> tuple[torch.Tensor, torch.Tensor]:
    torch.manual_seed(9)
    return 0.2 + 0.6 * torch.rand(models, n, 1, 3, 3), torch.randint(0, classes, (models, n))


def _relative_entropy(logits: torch.Tensor, others: torch.Tensor) -> np.ndarray:
    p, q = (v.detach().double().softmax(-1).numpy() for v in (logits, others))
    return rel_entr(p, q).sum(-1)


@pytest.mark.parametrize("models", [1, 2])
def test_trades_is_the_plain_loss_and_the_divergence_at_a_worst_corner(models):
    """The divergence of a linear model grows away from the input on both sides: its peaks are two corners of the box."""
    modules = [_linear(seed) for seed in range(models)]
    for module in modules:
        module[1].weight.data *= 20  # steep: the two directions of the divergence differ
    answer, (x, y) = Members(modules), _inputs(models)
    torch.manual_seed(1)
    found = TRADES.loss(answer, x, y)
    torch.manual_seed(1)
    there = answer(x).detach()
    z = TRADES.climbed(answer, x, lambda logits: divergence(there, logits), TRADES.steps, TRADES.step)
    for m, module in enumerate(modules):
        weight = module[1].weight.detach()
        corner = EPS * (weight[1] - weight[0]).sign().view(1, 3, 3)
        away = torch.stack([(z[m] - x[m] - side * corner).abs().flatten(1).amax(1) for side in (-1, 1)])
        assert (away.amin(0) < 1e-6).all() and (away.amin(1) < 1e-6).all()  # each row at a corner; both are met
        by_hand = functional.cross_entropy(module(x[m]), y[m]) + 3 * np.mean(
            _relative_entropy(module(x[m]), module(z[m]))
        )
        assert found[m].item() == pytest.approx(by_hand.item(), rel=1e-4)


def test_trades_without_its_second_part_is_cross_entropy_and_is_judged_as_adversarial_training_is():
    answer, (x, y) = Members([_linear()]), _inputs()
    torch.testing.assert_close(replace(TRADES, beta=0.0).loss(answer, x, y), cross_entropy(answer(x), y).mean(1))
    judged = []
    for objective in (TRADES, Adversarial(eps=EPS, steps=4, step=0.03)):
        torch.manual_seed(0)
        judged.append(objective.judge(answer, x, y)[1])
    assert torch.equal(*judged)


def test_trades_leaves_modes_and_running_statistics_of_its_search_alone():
    torch.manual_seed(0)
    module = nn.Sequential(nn.Flatten(), nn.Linear(9, 4), nn.BatchNorm1d(4), nn.Dropout(), nn.Linear(4, 2))
    modes = []
    module[2].register_forward_hook(lambda layer, *_: modes.append(layer.training))
    answer, (x, y) = Members([module]).train(), _inputs()
    TRADES.loss(answer, x, y).sum().backward()
    assert modes == [False] * 5 + [True] and answer.training
    assert module[2].num_batches_tracked == 1 and all(p.grad is not None for p in module.parameters())


def test_the_loss_under_noise_of_a_linear_model_is_an_integral_over_one_normal():
    module, (x, y) = _linear(), _inputs(n=4)
    objective, many = GaussianNoise(sigma=2.0), 20_000
    torch.manual_seed(0)
    found = objective.loss(Members([module]), x.repeat(1, many, 1, 1, 1), y.repeat(1, many))
    weight, bias = (p.detach().double() for p in module[1].parameters())
    lead = (x[0].flatten(1).double() @ (weight[1] - weight[0]) + bias[1] - bias[0]) * (2 * y[0] - 1)
    nodes, weights = np.polynomial.hermite_e.hermegauss(60)
    at = lead[:, None].numpy() + 2.0 * (weight[1] - weight[0]).norm().item() * nodes
    expected = (np.logaddexp(0, -at) @ weights / weights.sum()).mean()
    assert found.item() == pytest.approx(expected, rel=0.01)
    calm = functional.cross_entropy(module(x[0]), y[0]).item()
    assert abs(calm - expected) > 0.02 * expected  # noise matters here
    assert GaussianNoise(sigma=0.0).loss(Members([module]), x, y).item() == pytest.approx(calm)


def test_a_vote_under_noise_has_the_right_winner(digits, mlp):
    calm = UnderNoise(0.0, draws=1)(mlp, digits, fashion_smoothed())
    p = lk.predict(mlp, digits.test)
    assert calm.value == pytest.approx(np.mean(p.label == p.y)) and calm.n == len(digits.test)
    loud = UnderNoise(5.0, draws=3)(mlp, digits, fashion_smoothed())
    assert loud.value < 0.5 and "vote of 3 draws" in loud.name


@pytest.mark.parametrize("eps", [EPS, 0.5])
def test_interval_bounds_of_a_linear_model_are_its_worst_corner_within_the_bounds(eps):
    module, (x, y) = _linear(), _inputs()
    objective = IntervalBounds(eps=eps)
    worst = objective.worst(Members([module]), x, y)[0]
    weight, bias = (p.detach() for p in module[1].parameters())
    side, entries = 2 * y[0][:, None] - 1, x[0].flatten(1)
    ends = [(entries + way * eps).clamp(0, 1) * (weight[1] - weight[0]) * side for way in (-1, 1)]
    lead = torch.minimum(*ends).sum(1) + (bias[1] - bias[0]) * side[:, 0]
    torch.testing.assert_close(worst.gather(1, 1 - y[0][:, None])[:, 0], -lead)
    assert (worst.gather(1, y[0][:, None]) == 0).all()
    loss, right = objective.judge(Members([module]), x, y)
    torch.testing.assert_close(loss[0], functional.softplus(-lead))
    assert torch.equal(right[0], (lead > 0).float()) and right.sum() < right.numel()


@pytest.mark.parametrize("seed", range(3))
def test_no_point_within_the_budget_exceeds_the_bounds(seed):
    module, (x, y) = _net(seed), _inputs(n=6, classes=3)
    eps = 0.3  # beyond the bounds 0 and 1 for many entries
    with torch.no_grad():
        worst = IntervalBounds(eps=eps).worst(Members([module]), x, y)[0]
        signs = torch.tensor(list(product((-1.0, 1.0), repeat=9))).view(-1, 1, 3, 3)
        inner = 2 * torch.rand(500, 1, 3, 3) - 1
        for row, label, bound in zip(x[0], y[0], worst):
            logits = module((row + eps * torch.cat([signs, inner])).clamp(0, 1))
            leads = logits - logits[:, label : label + 1]
            assert (leads <= bound + 1e-5).all() and (leads.amax(0) > bound - 1.5).all()
        exact = IntervalBounds(eps=0.0).worst(Members([module]), x, y)[0]
        logits = module(x[0])
        torch.testing.assert_close(exact, logits - logits.gather(1, y[0][:, None]))


def test_an_interval_through_a_convolution_is_that_through_its_matrix():
    torch.manual_seed(0)
    layer = nn.Conv2d(2, 4, 3, stride=2, padding=1, groups=2)
    with torch.no_grad():
        bias = layer(torch.zeros(1, 2, 5, 5)).flatten()
        matrix = (layer(torch.eye(50).view(50, 2, 5, 5)).flatten(1) - bias).T  # (outputs, inputs)
        low = torch.randn(3, 2, 5, 5)
        high = low + torch.rand_like(low)
        ends = through(layer, low, high)
        up, down = matrix.clamp_min(0), matrix.clamp_max(0)
        expected = [(b.flatten(1) @ up.T + a.flatten(1) @ down.T + bias) for a, b in ((high, low), (low, high))]
    for found, by_hand in zip(ends, expected):
        torch.testing.assert_close(found.flatten(1), by_hand, atol=1e-5, rtol=1e-4)


def test_the_budget_grows_with_the_steps():
    objective = IntervalBounds(eps=0.2, weight=0.5, ramp=0.4)
    assert objective.at(0.0) == replace(objective, eps=0.0, weight=0.0)
    assert objective.at(0.1) == replace(objective, eps=pytest.approx(0.05), weight=pytest.approx(0.125))
    assert objective.at(0.4) == objective.at(0.9) == objective
    module, (x, y) = _net(), _inputs(classes=3)
    plain = functional.cross_entropy(module(x[0]), y[0])
    torch.testing.assert_close(objective.at(0.0).loss(Members([module]), x, y)[0], plain)
    assert TRADES.at(0.3) is TRADES


@pytest.mark.parametrize(
    ("modules", "words"),
    [
        ([_net(0), _net(1)], "2 x"),
        ([nn.Sequential(nn.Flatten(), nn.Linear(9, 3), nn.ReLU())], "1 x"),
        ([nn.Sequential(nn.Flatten(), nn.BatchNorm1d(9), nn.Linear(9, 3))], "BatchNorm1d"),
    ],
)
def test_networks_that_intervals_do_not_pass_are_refused(modules, words):
    with pytest.raises(lk.Refused) as refusal:
        IntervalBounds(eps=EPS).loss(Members(modules), *_inputs(len(modules), classes=3))
    assert words in refusal.value.given


def test_the_certificate_and_the_objective_prove_the_same_rows(digits, mlp_module):
    """Two ways to the same bounds: the objective's in float32, the certificate's in float64 with its error taken off."""
    model = lk.wrap(mlp_module, classes=digits.classes, bounds=(0, 1), device="cpu")
    few = replace(digits, test=digits.test[:80])
    x, y = model.tensor(few.test.x)[None], torch.tensor(few.test.y)[None]
    values = []
    for eps in (0.005, 0.01, 0.02):
        score = Proven(eps)(model, few, fashion_smoothed())
        by_training = IntervalBounds(eps=eps).judge(Members([model.module]), x, y)[1].mean().item()
        assert score.value == pytest.approx(by_training, abs=1.5 / 80) and score.n == 80
        values.append(score.value)
    assert 1 > values[0] > values[1] > values[2] > 0


@dataclass(frozen=True)
class Scheduled(Objective):
    """Cross-entropy that writes down when it was asked."""

    asked: ClassVar[list[float]] = []

    def at(self, share: float) -> Objective:
        self.asked.append(share)
        return self

    def loss(self, answer, x, y):
        return cross_entropy(answer(x), y).mean(1)


def test_the_loop_tells_an_objective_how_far_it_is(digits):
    recipe = replace(fashion_smoothed(), epochs=2, batch_size=50, from_data=None, objective=Scheduled())
    fit(replace(recipe, config={**recipe.config, "size": 8, "widths": (2,)}), digits.train[:103], device="cpu")
    assert Scheduled.asked == [0.0, 0.25, 0.5, 0.75]
