"""What surrounds an attack: threat models kept to, other ways to gradients, and models that answer at random."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import labkit as lk
from labkit.analyses._attack import ways
from labkit.analyses._attack.chosen import choose, own_threat, supported_norms, threat_of
from labkit.analyses._attack.controls import CONTROLS, ENSEMBLES, controls_for, lined_up
from labkit.core.intervals import clopper_pearson
from labkit.core.method import promises
from labkit.core.power import rows_for_width
from labkit.core.registry import find
from labkit.records.attack import THREATS


@pytest.fixture(scope="module")
def rows(digits):
    return digits.test[:40]


@pytest.fixture(scope="module")
def sentences():
    return lk.zoo.load("movies_gru"), lk.data.load("movies").test[:12]


@pytest.fixture(scope="module")
def people():
    return lk.zoo.load("german_mlp"), lk.data.load("german")


class TestKeeping:
    def test_whatever_an_attack_gives_stays_within_budget_and_bounds(self, mlp, rows) -> None:
        def far_out(x: Tensor, generator) -> Tensor:
            return x + 3 * torch.from_numpy(generator.normal(*x.shape[1:]))

        far = {
            "linf": lambda d: np.abs(d).max(1),
            "l2": lambda d: np.linalg.norm(d, axis=1),
            "l1": lambda d: np.abs(d).sum(1),
            "l0": lambda d: (d != 0).sum(1),
        }
        for norm, eps in (("linf", 0.1), ("l2", 0.8), ("l1", 3.0), ("l0", 5)):
            found = lk.attack(mlp, rows, far_out, eps=eps, norm=norm)
            apart = (found.adversarial - found.x).reshape(len(rows), -1).astype(np.float64)
            assert (far[norm](apart) <= eps * (1 + 1e-6)).all() and far[norm](apart).max() > 0.9 * eps
            np.testing.assert_allclose(found.distance, far[norm](apart), rtol=1e-4, atol=1e-6)
            assert found.adversarial.min() >= 0 and found.adversarial.max() <= 1

    def test_noise_to_signal_is_a_share_of_the_row_and_says_decibels(self, mlp, rows) -> None:
        found = lk.attack(mlp, rows, "pgd", eps=0.1, norm="noise_to_signal", restarts=1)
        apart, length = (
            np.linalg.norm(v.reshape(len(rows), -1), axis=1) for v in (found.adversarial - found.x, found.x)
        )
        assert (apart <= 0.1 * length * (1 + 1e-5)).all() and apart.max() > 0.05 * length.max()
        assert "dB" in lk.says(found)

    def test_too_many_words_are_given_up(self, sentences) -> None:
        model, split = sentences

        def everything(x: Tensor) -> Tensor:
            return torch.where(x > 0, torch.full_like(x, 2), x)

        def one(x: Tensor) -> Tensor:
            return torch.cat([torch.full_like(x[:, :1], 2), x[:, 1:]], 1)

        def padded(x: Tensor) -> Tensor:
            return torch.cat([torch.zeros_like(x[:, :1]), x[:, 1:]], 1)

        loose = lk.attack(model, split, everything)
        assert loose.norm == "edits" and loose.distance.max() > 4
        for method, kept in ((everything, False), (padded, False), (one, True)):
            found = lk.robustness_curve(model, split, [method], eps=[1], options={"hotflip": {}})
            alone = lk.attack(model, split, method, norm="edits")
            changed = alone.distance > 0
            assert changed.any() == (method is not padded)
            assert (found.broken_at[found.attacks.index(method.__name__)][found.correct] == 1).any() <= kept

    def test_words_changed_are_told_and_counted(self, sentences) -> None:
        model, split = sentences
        found = lk.attack(model, split, "hotflip", eps=2)
        assert found.success.sum() >= 3 and set(found.distance[found.success]) <= {1.0, 2.0}
        for i in np.flatnonzero(found.success):
            assert found.changes[i].count(" to ") == found.distance[i] == (found.adversarial[i] != found.x[i]).sum()
        assert "changes" in lk.rows(found) and lk.figure(found).data[0].y[-1] == found.success.sum()
        assert not found.levels and "survive storage" not in lk.says(found)

    def test_a_table_keeps_to_its_constraints(self, people) -> None:
        model, data = people
        split = data.test[:30]

        def all_else(x: Tensor, background: Tensor) -> Tensor:
            return background[:1].expand_as(x).clone()

        broken = lk.attack(model, split, all_else, norm="cost", background=data.train)
        assert not broken.success.any() and (broken.adversarial == broken.x).all()
        assert "beyond the budget" in broken.warnings[0]
        fixed = {"immutable": [f.name for f in data.schema.features if f.name != "duration_months"]}
        names = [f.name for f in data.schema.features]
        free = lk.attack(model, split, "tabular_search", eps=1.0, background=data.train)
        bound = lk.attack(model, split, "tabular_search", eps=1.0, background=data.train, constraints=fixed)
        moved = (bound.adversarial != bound.x).any(0)
        assert set(np.array(names)[moved]) <= {"duration_months"} and free.success.sum() > bound.success.sum()
        assert all("duration_months" in c for c, s in zip(bound.changes, bound.success) if s)

    def test_a_table_needs_training_rows(self, people) -> None:
        model, data = people
        with pytest.raises(lk.Refused, match=r"background=data\.train"):
            lk.attack(model, data.test[:8], "tabular_search", eps=0.5)

    def test_what_learns_needs_a_background(self, mlp, rows) -> None:
        with pytest.raises(lk.Refused, match=r"background=data\.train"):
            lk.attack(mlp, rows, "universal", eps=0.1)


class TestNaming:
    def test_each_kind_of_data_has_a_usual_threat_model(self, mlp, rows, sentences, people) -> None:
        assert threat_of(["pgd"], None, mlp, rows) == "linf"
        assert threat_of([], None, sentences[0], sentences[1]) == "edits"
        assert threat_of([], None, people[0], people[1].test) == "cost"
        assert threat_of(["rotation_translation_scale"], None, mlp, rows) == "rotation_translation_scale"

    def test_an_attack_that_names_no_norm_is_its_own(self, mlp, rows) -> None:
        assert own_threat("time_warp") == "time_warp" and own_threat("pgd") is None and own_threat("fmn") is None
        found = lk.attack(mlp, rows, "rotation_translation_scale", eps=0.5)
        assert found.norm == "rotation_translation_scale" and np.isnan(found.distance).all()
        with pytest.raises(lk.Refused, match="rotation_translation_scale"):
            lk.attack(mlp, rows, "rotation_translation_scale", eps=0.5, norm="l2")
        with pytest.raises(lk.Refused, match="and it alone"):
            lk.robustness_curve(mlp, rows, ["pgd", "time_shift"], eps=[0.1], norm="linf")

    def test_every_ensemble_and_control_works_under_its_threat_model(self) -> None:
        assert set(ENSEMBLES) == set(THREATS)
        for norm, attacks in ENSEMBLES.items():
            assert all(norm in supported_norms(a) for a in attacks) and attacks
            chosen, controls = lined_up(None, {}, norm)
            alone = [c.asks_only for c in chosen]
            assert alone == sorted(alone) and any(alone), f"no attack without gradients under {norm}"
            assert set(controls) | set(attacks) >= set(controls_for(norm)) and controls_for(norm)
        assert all("queries" in promises(find("attacks", c)) for c in CONTROLS if c not in ("fgsm", "pgd", "hotflip"))

    def test_an_unknown_threat_model_is_refused_with_those_there_are(self, mlp, rows) -> None:
        with pytest.raises(lk.Refused, match="'linf', 'l2', 'l1'"):
            lk.attack(mlp, rows, "pgd", eps=0.1, norm="l3")
        with pytest.raises(lk.Refused, match="no words"):
            lk.attack(mlp, rows, "hotflip", eps=1)
        assert choose("pgd", {}, "l1").steps == 20


class TestWays:
    """The logits stay what they are; the gradient is another."""

    def test_straight_through_passes_steps_and_casts(self) -> None:
        def steps(x: Tensor) -> Tensor:
            a = torch.round(x * 3) / 3 + x.floor() + torch.sign(x - 0.5)
            b = (x * 255).to(torch.uint8).float() / 255
            c = x.clone()
            c = c.mul(4).round_().div(4)
            return (a + b + c).sum(1, keepdim=True)

        x = torch.rand(5, 4, requires_grad=True)
        bare = steps(x)
        led = ways.straight_through(steps, x, 1)
        torch.testing.assert_close(led, bare)
        (gradient,) = torch.autograd.grad(led.sum(), x)
        torch.testing.assert_close(gradient, torch.full_like(x, 5.0))  # each part as if it were x itself

    def test_differences_give_the_slope_of_what_they_cannot_differentiate(self) -> None:
        w = torch.randn(6, 3)

        def cut(x: Tensor) -> Tensor:
            with torch.no_grad():
                return x.flatten(1) @ w

        x = torch.rand(4, 2, 3, requires_grad=True)
        led = ways.differences(0.02, 64, 8, 0)(cut, x, 1)
        torch.testing.assert_close(led, cut(x))
        (gradient,) = torch.autograd.grad(led[:, 1].sum(), x)
        torch.testing.assert_close(gradient.flatten(1), w[:, 1].expand(4, 6), atol=1e-3, rtol=1e-3)
        few = ways.differences(0.02, 2, 8, 0)(cut, x, 1)
        (part,) = torch.autograd.grad(few[:, 1].sum(), x)
        assert 0 < part.norm() < gradient.norm()  # the slope's part along two directions
        torch.testing.assert_close(part[0], part[1])

    def test_differences_ask_no_more_rows_at_once_than_they_may(self) -> None:
        seen = []

        def ask(x: Tensor) -> Tensor:
            seen.append(len(x))
            return x.flatten(1).sum(1, keepdim=True)

        ways.differences(0.1, 30, 16, 0)(ask, torch.rand(4, 40, requires_grad=True), 3)
        assert max(seen) <= 16 and sum(seen) == 4 + 2 * 30 * 4

    def test_a_random_model_is_asked_several_times_and_the_global_generator_is_left_alone(
        self, mlp_module, digits
    ) -> None:
        class Noisy(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.net = mlp_module

            def forward(self, x: Tensor) -> Tensor:
                return self.net(x + 0.2 * torch.randn_like(x))

        model = lk.wrap(Noisy(), classes=digits.classes, bounds=(0, 1))
        x = torch.tensor(digits.test.x[:6])
        torch.manual_seed(3)
        before = torch.random.get_rng_state()
        first, again = (ways.Averaged(model, 20, 1)(x) for _ in range(2))
        assert torch.equal(before, torch.random.get_rng_state()) and torch.equal(first, again)
        module = ways.Averaged(model, 20, 1)
        assert not torch.equal(module(x), module(x))  # every call draws afresh
        torch.testing.assert_close(first.exp().sum(1), torch.ones(6))
        asked = torch.stack([model(x).softmax(1) for _ in range(400)]).mean(0)
        torch.testing.assert_close(first.exp(), asked, atol=0.25, rtol=0)


def test_rows_for_a_width_are_the_fewest() -> None:
    for share in (0.0, 0.3, 0.77, 1.0):
        n = rows_for_width(share, 0.1)
        wide = [float(np.subtract(*clopper_pearson(share * m, m)[::-1])) for m in (n - 1, n)]
        assert wide[0] > 0.1 >= wide[1]
    with pytest.raises(lk.Refused, match="from 0 to 1"):
        rows_for_width(0.5, 0)


def test_a_curve_on_every_kind_of_data(sentences, people) -> None:
    words = lk.robustness_curve(*sentences, eps=[1, 2], options={"word_substitution": {"places": 2}})
    assert words.norm == "edits" and words.robust_accuracy()[-1] < words.accuracy and words.levels == 0
    assert {"hotflip", "random_words"} <= set(words.attacks)
    model, data = people
    table = lk.robustness_curve(model, data.test[:20], eps=[0.2, 0.6], background=data.train)
    assert table.norm == "cost" and (np.diff(table.robust_accuracy()) <= 0).all() and "random_changes" in table.controls
    assert set(table.groups) == set(data.test.groups)
    for record in (words, table):
        assert record.status == "measured" and lk.figure(record).data and "at most" in lk.says(record)
        assert not [f for f in lk.check(record) if f.status == "does_not_meet"]


def test_rows_of_a_random_model_that_luck_broke_stand(mlp, rows) -> None:
    """A model whose noise alone turns answers now and then: what it lost is asked about again."""

    class Coin(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = mlp.module

        def forward(self, x: Tensor) -> Tensor:
            return self.net(x) + 12 * torch.randn(len(x), 10)

    model = replace(mlp, module=Coin().eval())
    found = lk.robustness_curve(
        model, rows, ["uniform_noise"], eps=[1e-4], options={"pgd": {"restarts": 1, "steps": 3}}
    )
    assert found.asks == 20 and found.came_back <= found.asked_again
    assert found.robust_accuracy()[0] > 0.75 * found.accuracy  # nothing but luck at such a budget


def test_the_precision_of_the_rows_changes_no_distance(mlp, rows) -> None:
    single, double, half = (
        replace(rows[:8], x=rows.x[:8].astype(t) * t(0.999)) for t in (np.float32, float, np.float16)
    )
    for norm, name, some in (("l0", "jsma", double), ("linf", "deepfool", double), ("l0", "jsma", half)):
        one, other = (lk.attack(mlp, r, name, norm=norm) for r in (single, some))
        np.testing.assert_allclose(one.distance, other.distance, rtol=0.02, err_msg=f"{norm} {some.x.dtype}")
        assert np.array_equal(one.success, other.success) and one.success.any()
