"""The training loop: what comes out follows from recipe, data and seed alone, also after a kill."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from sklearn.metrics import roc_auc_score
from torch import nn

import labkit as lk
from labkit.core import progress, registry
from labkit.core.intervals import delong
from labkit.training import Goal, Recipe, fit, fit_together, rewrite_card, train
from labkit.training.augment import augment, shift
from labkit.training.loop import hold_out
from labkit.training.measures import Score, accuracy, auc, share
from labkit.training.members import Members
from labkit.training.objectives import Objective
from labkit.training.optimizing import clip_gradients, make_optimizer, move_average, rate_at


def tiny() -> Recipe:
    """A small CNN on the digits: every part of the loop is in use, and an epoch takes a blink."""
    return Recipe(
        name="tiny",
        data="digits",
        architecture="cnn",
        config={"classes": 10, "size": 8, "widths": (8, 12), "pooled": (1, 2)},
        from_data=lambda part: {"mean": float(part.x.mean()), "std": float(part.x.std())},
        epochs=3,
        batch_size=64,
        optimizer="sgd",
        rate=0.1,
        weight_decay=1e-3,
        label_smoothing=0.05,
        clip=5.0,
        average=0.9,
        shift=1,
        validation=0.1,
        goals=(Goal(accuracy, floor=0.8),),
        card={"licence": "Apache-2.0", "intended_use": "tests", "known_failures": ("all but digits",)},
    )


def weights(run) -> dict[str, torch.Tensor]:
    return run.module.state_dict()


def same(a, b) -> bool:
    a, b = weights(a), weights(b)
    return set(a) == set(b) and all(torch.equal(a[k], b[k]) for k in a)


class Killed(Exception):
    pass


def killed_after(steps: int):
    def listen(what: str, done: int, total: int) -> None:
        if done == steps:
            raise Killed

    return progress.listening(listen)


@pytest.fixture(scope="module")
def whole(digits):
    return fit(tiny(), digits.train)


def test_it_learns(whole, digits):
    x, y = torch.tensor(digits.test.x), torch.tensor(digits.test.y)
    with torch.no_grad():
        assert float((whole.module(x).argmax(1) == y).float().mean()) > 0.85
    assert whole.curves["train_loss"][-1] < whole.curves["train_loss"][0]
    assert whole.steps == 3 * (1167 // 64)


def test_same_seed_same_weights_and_another_seed_others(whole, digits):
    torch.manual_seed(99)  # what the caller's generator holds does not matter
    again = fit(tiny(), digits.train)
    assert same(whole, again) and again.curves["train_loss"] == whole.curves["train_loss"]
    assert not same(whole, fit(tiny(), digits.train, seed=1))


def test_the_callers_generator_is_left_alone(digits):
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    fit(replace(tiny(), epochs=1), digits.train[:200])
    assert torch.equal(torch.rand(1), expected)


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
@pytest.mark.parametrize("step", [5, 18, 40])
def test_a_killed_run_goes_on_to_the_same_weights(digits, tmp_path, optimizer, step):
    """Killed in the first epoch, at its very end, and in the last one."""
    recipe = replace(tiny(), optimizer=optimizer, rate=0.1 if optimizer == "sgd" else 0.01)
    straight = fit(recipe, digits.train)
    path = tmp_path / "run.safetensors"
    with killed_after(step), pytest.raises(Killed):
        fit(recipe, digits.train, checkpoint=path)
    assert path.exists() is (step > 18)
    seen = []
    with progress.listening(lambda what, done, total: seen.append(done)):
        resumed = fit(recipe, digits.train, checkpoint=path)
    assert seen[0] == 18 * ((step - 1) // 18) + 1  # at most one epoch is done again
    assert same(straight, resumed)
    assert resumed.curves["valid_loss"] == straight.curves["valid_loss"] and resumed.best == straight.best


def test_a_finished_run_is_not_run_again(digits, tmp_path):
    path = tmp_path / "run.safetensors"
    first = fit(tiny(), digits.train, checkpoint=path)
    with killed_after(1):
        assert same(fit(tiny(), digits.train, checkpoint=path), first)


def test_a_checkpoint_of_another_run_is_refused(digits, tmp_path):
    path = tmp_path / "run.safetensors"
    fit(replace(tiny(), epochs=1), digits.train[:200], checkpoint=path)
    with pytest.raises(lk.Refused, match="another recipe"):
        fit(tiny(), digits.train[:200], checkpoint=path)
    with pytest.raises(lk.Refused, match="another data"):
        fit(replace(tiny(), epochs=1), digits.train[:201], checkpoint=path)
    with pytest.raises(lk.Refused, match="another seed"):
        fit(replace(tiny(), epochs=1), digits.train[:200], seed=3, checkpoint=path)
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(lk.Refused, match="not a readable checkpoint"):
        fit(replace(tiny(), epochs=1), digits.train[:200], checkpoint=path)


def test_stops_early_and_keeps_the_best_epoch(digits):
    """With labels that say nothing, validation loss soon rises: the kept weights are those of its least value."""
    shuffled = replace(digits.train[:300], y=np.random.default_rng(0).permutation(digits.train.y[:300]))
    recipe = replace(tiny(), epochs=40, patience=2, watch="loss", average=0.0, label_smoothing=0.0, validation=0.3)
    run = fit(recipe, shuffled)
    losses = run.curves["valid_loss"]
    assert len(losses) < 40 and run.best == int(np.argmin(losses)) and len(losses) == run.best + 1 + 2
    held = hold_out(shuffled, 0.3)[1]
    with torch.no_grad():
        loss = nn.functional.cross_entropy(run.module(torch.tensor(held.x)), torch.tensor(held.y))
    assert float(loss) == pytest.approx(losses[run.best], rel=1e-5)


def test_a_loss_that_is_not_finite_is_refused(digits):
    with pytest.raises(lk.Refused, match="not finite"):
        fit(replace(tiny(), rate=1e30, clip=0.0), digits.train[:200])


def test_a_model_without_classes_is_not_chosen_by_accuracy(digits):
    class Silent(Objective):
        classifies = False

    with pytest.raises(lk.Refused, match="names no classes"):
        fit(replace(tiny(), objective=Silent()), digits.train[:200])


def test_held_out_examples_are_never_trained_on(digits):
    training, held = hold_out(digits.train, 0.1)
    rows = [p.x.reshape(len(p), -1) for p in (training, held)]
    assert len(held) == 130 and len(training) + len(held) == len(digits.train)
    both = np.concatenate(rows)
    order = np.lexsort(both.T)
    given = digits.train.x.reshape(len(both), -1)
    assert np.array_equal(both[order], given[np.lexsort(given.T)])


class TestParts:
    def test_rate_rises_then_falls_to_zero(self):
        rates = [rate_at(s, tiny()) for s in np.linspace(0, 1, 101)]
        assert np.argmax(rates) == 25 and rates[25] == pytest.approx(0.1) and rates[-1] == pytest.approx(0, abs=1e-12)
        assert all(np.diff(rates[:26]) > 0) and all(np.diff(rates[25:]) < 0)

    def test_average_is_the_weighted_sum(self):
        a, b = nn.BatchNorm1d(2), nn.BatchNorm1d(2)
        for k, (x, y) in enumerate(zip(a.state_dict().values(), b.state_dict().values())):
            x.fill_(1), y.fill_(3 + k)
        move_average(a, b, 0.75)
        assert a.weight[0] == 0.75 * 1 + 0.25 * 3 and a.running_mean[0] == 0.75 * 1 + 0.25 * 5
        assert a.num_batches_tracked == b.num_batches_tracked

    def test_only_matrices_are_decayed(self):
        module = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Linear(3, 2))
        decayed, plain = make_optimizer(Members([module]), tiny()).param_groups
        assert decayed["weight_decay"] == 1e-3 and all(p.ndim > 1 for p in decayed["params"])
        assert plain["weight_decay"] == 0 and len(plain["params"]) == 4

    def test_shift_moves_each_image_whole(self):
        x = torch.arange(1.0, 17).reshape(1, 1, 4, 4).repeat(200, 1, 1, 1)
        torch.manual_seed(0)
        moved = shift(x, 1)
        padded = nn.functional.pad(x[0, 0], [1] * 4)
        windows = [padded[i : i + 4, j : j + 4] for i in range(3) for j in range(3)]
        which = [next(k for k, w in enumerate(windows) if torch.equal(w, image[0])) for image in moved]
        assert set(which) == set(range(9))  # every shift, each image its own

    def test_flip_mirrors_half(self):
        x = torch.arange(4.0).reshape(1, 1, 1, 4).repeat(400, 1, 1, 1)
        torch.manual_seed(0)
        flipped = augment(x, replace(tiny(), shift=0, flip=True))[:, 0, 0, 0] == 3
        assert 150 < int(flipped.sum()) < 250

    def test_dropped_words_become_unknown_and_padding_stays(self):
        x = torch.tensor([[7, 8, 9, 0, 0]]).repeat(500, 1)
        torch.manual_seed(0)
        dropped = augment(x, replace(tiny(), shift=0, word_dropout=0.2))
        assert (dropped[:, 3:] == 0).all()
        assert 0.15 < float((dropped[:, :3] == 1).float().mean()) < 0.25
        assert ((dropped == x) | (dropped == 1)).all()


class TestScores:
    def test_auc_and_its_interval(self):
        """Area as scikit-learn's; the interval covers the true area about as often as it says."""
        rng = np.random.default_rng(0)
        truth = 0.7602499389065233  # P(N(1, 1) > N(0, 1))
        covered = 0
        for _ in range(250):
            y = np.repeat([0, 1], [120, 60])
            score = rng.normal(size=180) + y
            area, low, high = delong(y, score)
            assert area == pytest.approx(roc_auc_score(y, score))
            covered += low <= truth <= high
        assert 0.91 < covered / 250 < 0.98

    def test_auc_counts_ties_as_half(self):
        assert delong(np.array([0, 0, 1, 1]), np.array([0.0, 1.0, 1.0, 2.0]))[0] == 0.875

    def test_auc_without_any_overlap_has_no_spread(self):
        assert delong(np.array([0, 0, 1, 1]), np.array([0.0, 1.0, 2.0, 3.0])) == pytest.approx(
            (1.0, 0.342380, 1.0), abs=1e-6
        )

    def test_accuracy(self, mlp, digits):
        p = lk.predict(mlp, digits.test)
        found = accuracy(mlp, digits, tiny())
        assert found.value == np.mean(p.label == p.y) and found.low < found.value < found.high and found.n == 500

    def test_auc_of_a_table(self, adult_like):
        model, data = adult_like
        p = lk.predict(model, data.test)
        found = auc(model, data, tiny())
        assert found.value == pytest.approx(roc_auc_score(p.y, p.proba[:, 1])) and found.n == len(p)

    def test_a_share_of_nothing_is_no_number(self):
        assert math.isnan(share("share", np.zeros(0, bool)).value) and share("share", np.ones(3, bool)).value == 1
        assert not Goal(accuracy, floor=0.1).met(float("nan")) and Goal(accuracy, floor=0.1).met(0.1)
        assert not Goal(accuracy, ceiling=0.1).met(0.2) and Goal(accuracy, 0.1, 0.3).met(0.2)


@pytest.fixture(scope="module")
def adult_like():
    data = lk.data.load("adult")
    few = replace(data, test=data.test[:600])
    return lk.zoo.load("adult_mlp"), few


class TestTogether:
    """Several seeds as one stack give what each gives alone."""

    RECIPE = replace(tiny(), shift=0, patience=1, epochs=7, rate=0.1, average=0.0)

    @pytest.fixture(scope="class")
    def alone(self, digits):
        return [fit(self.RECIPE, digits.train, seed=s) for s in range(3)]

    @pytest.fixture(scope="class")
    def stacked(self, digits):
        return fit_together(self.RECIPE, digits.train, seeds=range(3))

    def test_weights_and_curves_are_those_of_each_seed_alone(self, alone, stacked):
        for one, other in zip(alone, stacked):
            assert one.seed == other.seed and one.best == other.best
            for name in ("train_loss", "valid_loss", "valid_accuracy"):
                assert other.curves[name] == pytest.approx(one.curves[name], abs=2e-3)
            for key, value in weights(one).items():
                assert torch.allclose(value.float(), weights(other)[key].float(), atol=2e-3), key

    def test_each_stops_by_itself(self, alone, stacked):
        ended = [len(run.curves["valid_loss"]) for run in stacked]
        assert ended == [len(run.curves["valid_loss"]) for run in alone] and len(set(ended)) > 1

    def test_passes_are_counted_over_the_stack(self, stacked):
        epochs = max(len(run.curves["rate"]) for run in stacked)
        assert stacked[0].costs.backwards == 3 * epochs * 18 * 64

    def test_dropout_differs_between_the_models(self):
        members = Members([nn.Dropout(0.5)] * 2)
        seen = members(torch.ones(2, 64, 10))
        assert not torch.equal(seen[0], seen[1])

    def test_buffers_that_are_not_kept_are_left_out(self):
        class Scaled(nn.Linear):
            def __init__(self):
                super().__init__(3, 2)
                self.register_buffer("scale", torch.tensor(2.0), persistent=False)

            def forward(self, x):
                return super().forward(x) * self.scale

        one, other = Scaled(), Scaled()
        stack, x = Members([one, other]), torch.randn(2, 5, 3)
        assert torch.allclose(stack(x), torch.stack([one(x[0]), other(x[1])]), atol=1e-6)
        assert set(stack.state(0)) == {"weight", "bias"}
        other.load_state_dict(stack.state(0))
        assert torch.equal(other.weight, one.weight)

    def test_gradients_are_clipped_for_each_model(self):
        torch.manual_seed(0)
        modules = [nn.Linear(3, 2) for _ in range(2)]
        x = torch.randn(2, 8, 3) * torch.tensor([1.0, 100.0]).view(2, 1, 1)
        stack = Members(modules)
        (stack(x) ** 2).sum().backward()
        clip_gradients(stack, 1.0)
        for i, module in enumerate(modules):
            (module(x[i]) ** 2).sum().backward()
            nn.utils.clip_grad_norm_(module.parameters(), 1.0)
            for mine, theirs in zip(stack.weights, module.parameters()):
                assert torch.allclose(mine.grad[i], theirs.grad, atol=1e-5)

    def test_a_killed_stack_goes_on_to_the_same_weights(self, digits, tmp_path, stacked):
        path = tmp_path / "run.safetensors"
        with killed_after(40), pytest.raises(Killed):
            fit_together(self.RECIPE, digits.train, seeds=range(3), checkpoint=path)
        resumed = fit_together(self.RECIPE, digits.train, seeds=range(3), checkpoint=path)
        assert all(same(a, b) for a, b in zip(stacked, resumed))
        assert resumed[0].costs.told()["backwards"] == stacked[0].costs.told()["backwards"]


class TestShipping:
    @pytest.fixture(scope="class")
    def made(self, tmp_path_factory):
        out = tmp_path_factory.mktemp("zoo")
        return out, train(lambda: replace(tiny(), watch="loss"), seeds=2, out=out, device="cpu")

    def test_what_is_written_loads_and_scores_as_the_card_says(self, made, digits):
        out, record = made
        card = lk.zoo.card("tiny", out)
        model = lk.zoo.load("tiny", folder=out)
        assert model.digest == record.provenance.model["sha256"]
        p = lk.predict(model, digits.test)
        (test,) = card["test"]
        assert test["measure"] == "accuracy" and test["score"] == round(float(np.mean(p.label == p.y)), 4)
        assert test["n"] == 500 and test["low"] < test["score"] < test["high"]
        assert test["met"] is (test["score"] >= 0.8) and test["floor"] == 0.8
        assert card["data"]["train"]["sha256"] == digits.train.digest
        assert card["training"]["seeds"] == [0, 1] and len(test["by_seed"]) == 2
        made = card["training"]
        assert made["backward_passes"] == made["steps"] * 64 == 2 * 3 * 18 * 64
        assert made["forward_passes"] == made["backward_passes"] + 2 * 3 * 130  # and the examples held out
        assert (
            made["peak_memory_bytes"] > 50 * 2**20 and made["energy_joules"] > 0 and "estimate" in made["energy_method"]
        )
        assert card["training"]["gpu"] is False and card["training"]["hardware"].startswith("CPU")
        assert not list((out / "checkpoints").iterdir())

    def test_the_seed_is_chosen_on_validation(self, made):
        _, record = made
        valid = [record.valid_loss[i, b] for i, b in enumerate(record.best)]
        assert record.chosen == int(np.argmin(valid)) and valid[0] != valid[1]

    def test_record_goes_to_disk_and_back_and_is_drawn(self, made):
        out, record = made
        again = lk.zoo.curves("tiny", out)
        assert again.digest == record.digest
        figure = lk.figure(again)
        assert len(figure.data) == 2 * 4
        table = lk.rows(again)
        assert len(table) == 2 * 3 * 3 + 2 and set(table["seed"]) == {0, 1}
        sentence = lk.says(again)
        assert f"{record.score[record.chosen, 0]:.4f}" in sentence and "n = 500" in sentence and "CPU" in sentence

    def test_bad_requests(self, tmp_path):
        for options in ({"seeds": 0}, {"budget": 0}, {"budget": 1.5}, {"device": "abacus"}):
            with pytest.raises(lk.Refused):
                train(tiny, out=tmp_path, **options)
        with pytest.raises(lk.Refused, match="fashion_cnn"):
            train("fashion_cn", out=tmp_path)
        assert not list(tmp_path.iterdir())

    def test_a_budget_runs_fewer_epochs_and_the_card_says_so(self, tmp_path):
        train(tiny, out=tmp_path, budget=0.34, device="cpu")
        card = lk.zoo.card("tiny", tmp_path)
        assert card["training"]["budget"] == 0.34 and card["training"]["epochs"] == [1]

    def test_words_are_rewritten_without_training(self, tmp_path):
        train(tiny, out=tmp_path, budget=0.34, device="cpu")
        before = lk.zoo.card("tiny", tmp_path)
        words = {"licence": "MIT", "intended_use": "tests", "known_failures": ("1 of 500",)}
        record = rewrite_card(lambda: replace(tiny(), card=words, goals=(Goal(accuracy, floor=0.99),)), tmp_path)
        after = lk.zoo.card("tiny", tmp_path)
        assert after["known_failures"] == ["1 of 500"] and after["licence"] == "MIT" and record.licence == "MIT"
        assert after["test"][0]["floor"] == 0.99 and not after["test"][0]["met"] and before["test"][0]["floor"] == 0.8
        assert after["weights"] == before["weights"] and after["training"] == before["training"]
        with pytest.raises(lk.Refused, match="no longer those of its weights"):
            rewrite_card(lambda: replace(tiny(), rate=0.2), tmp_path)
        for goals in ((Goal(auc, floor=0.8),), (Goal(accuracy, floor=0.8), Goal(auc))):
            with pytest.raises(lk.Refused, match="measures are no longer those of its record"):
                rewrite_card(lambda goals=goals: replace(tiny(), goals=goals), tmp_path)

    def test_several_seeds_at_once_ship_like_one_after_another(self, tmp_path):
        record = train(lambda: replace(tiny(), together=True, epochs=1), seeds=3, out=tmp_path, device="cpu")
        card = lk.zoo.card("tiny", tmp_path)
        assert record.seeds == (0, 1, 2) and card["training"]["recipe"]["together"] is True
        over = card["test"][0]["over_seeds"]
        assert over["low"] < over["mean"] < over["high"] <= 1
        assert over["mean"] == pytest.approx(record.score[:, 0].mean(), abs=1e-4)
        assert not list((tmp_path / "checkpoints").iterdir())

    def test_a_measure_that_takes_long_is_made_for_the_shipped_seed_alone(self, tmp_path):
        asked = []

        def slow(model, data, recipe):
            asked.append(model)
            return Score("slow", 0.5, math.nan, math.nan, 7, "none")

        goals = (Goal(accuracy, floor=0.0), Goal(slow, ceiling=0.4, once=True))
        record = train(lambda: replace(tiny(), epochs=1, goals=goals), seeds=2, out=tmp_path, device="cpu")
        assert len(asked) == 1 and np.isnan(record.score[1 - record.chosen, 1]) and record.met == (True, False)
        assert "not reached" in lk.says(record)
        assert "low" not in lk.zoo.card("tiny", tmp_path)["test"][1]

    def test_a_full_disk_is_said_and_leaves_no_half_file(self, tmp_path, monkeypatch):
        def full(*_):
            raise OSError(28, "No space left on device")

        monkeypatch.setattr("labkit.core.store.os.fsync", full)
        with pytest.raises(lk.Refused, match="No space left"):
            train(tiny, out=tmp_path, device="cpu")
        assert not [p for p in tmp_path.rglob("*") if p.is_file()]


@pytest.mark.parametrize("name", lk.names("recipes"))
def test_every_recipe_is_whole(name):
    recipe = registry.find("recipes", name)()
    assert recipe.name == name and recipe.goals
    assert recipe.architecture in lk.names("architectures") and recipe.data in lk.names("datasets")
    assert {"licence", "intended_use", "known_failures"} <= set(recipe.card) <= {
        "licence", "intended_use", "known_failures", "needs", "kept", "twin"
    }  # fmt: skip


def test_checkpoints_hold_no_pickle(digits, tmp_path):
    path = tmp_path / "run.safetensors"
    fit(replace(tiny(), epochs=1), digits.train[:200], checkpoint=path)
    parts = {name.partition("/")[0] for name in load_file(path)}
    assert parts == {"members", "judged", "best0", "optimizer"}
    assert not math.isnan(sum(float(v.float().sum()) for v in load_file(path).values()))
