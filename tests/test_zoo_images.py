"""Image classifiers of the zoo: attention that can be read, damage that is what it says, faults that are found and sound
twins that are not flagged."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy import stats
from torch import nn

import labkit as lk
from labkit.core import registry
from labkit.models.architectures.vit import vit
from labkit.training.damage import Backdoor, Imbalance, LabelNoise
from labkit.training.loop import hold_out
from labkit.training.measures import accuracy
from labkit.training.measures.accuracy_beside import AccuracyBeside
from labkit.training.measures.attack_success import AttackSuccess
from labkit.training.measures.memorised import memorised
from labkit.training.recipe import Recipe
from labkit.training.recipes.fashion_clean import BACKDOOR

NAMES = ("fashion_vit", "fashion_overfit", "fashion_regular", "fashion_backdoor", "fashion_clean")


def _recipe(name):
    return registry.find("recipes", name)()


@pytest.fixture(scope="module")
def full():
    try:
        return lk.data.load("fashion_mnist", full=True)
    except lk.Refused as refusal:
        pytest.skip(f"the full set is not on this machine; {refusal.instead}")


@pytest.fixture(scope="module")
def answers(full):
    """name -> what the shipped model answers on the full test set, computed once."""
    kept: dict[str, lk.Predictions] = {}

    def of(name):
        if name not in kept:
            kept[name] = lk.predict(lk.zoo.load(name), full.test)
        return kept[name]

    return of


@pytest.fixture(scope="module")
def some():
    """The test images that come with labkit."""
    return lk.data.load("fashion_mnist").test


class TestTransformer:
    """Attention is read where the architecture says, and is the attention of the textbook."""

    @pytest.fixture
    def module(self):
        torch.manual_seed(0)
        module = vit(classes=5, size=12, stem=(4, 6), width=8, heads=2, blocks=3, hidden=12)
        module.train()(torch.rand(64, 1, 12, 12))
        return module.eval()

    def test_it_is_torchs_encoder(self, module):
        x = torch.rand(4, 1, 12, 12)
        tokens = module.stem(module.normalize(x)).flatten(2).mT + module.place
        tokens = torch.cat([module.answer.expand(4, 1, 8), tokens], 1)
        for block in module.blocks:
            theirs = nn.TransformerEncoderLayer(8, 2, 12, 0.0, "gelu", batch_first=True, norm_first=True)
            own = block.attention
            for kind in ("weight", "bias"):
                parts = [getattr(f, kind).data for f in (own.query, own.key, own.value)]
                getattr(theirs.self_attn, f"in_proj_{kind}").data = torch.cat(parts)
            theirs.self_attn.out_proj.load_state_dict(own.out.state_dict())
            for name, part in {"norm1": block.norm1, "norm2": block.norm2}.items():
                getattr(theirs, name).load_state_dict(part.state_dict())
            theirs.linear1.load_state_dict(block.dense[0].state_dict())
            theirs.linear2.load_state_dict(block.dense[3].state_dict())
            tokens = theirs(tokens)
        torch.testing.assert_close(module(x), module.head(module.norm(tokens[:, 0])), rtol=1e-4, atol=1e-5)

    def test_a_token_stands_for_the_documented_place(self, module):
        seen = []
        module.blocks[0].register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
        for row in range(3):
            for column in range(3):
                x = torch.zeros(2, 1, 12, 12)
                x[1, :, 4 * row, 4 * column] = 1  # the middle of what one token sees, which no other sees
                module(x)
                moved = (seen[-1][1] - seen[-1][0]).norm(dim=1)
                assert moved.nonzero().flatten().tolist() == [1 + 3 * row + column]

    def test_inputs_are_normalised_inside(self):
        torch.manual_seed(0)
        plain = vit(classes=5, size=8, stem=(4,), width=8, heads=2, blocks=1, hidden=8).eval()
        shifted = vit(classes=5, size=8, mean=0.3, std=0.5, stem=(4,), width=8, heads=2, blocks=1, hidden=8).eval()
        state = plain.state_dict() | {k: v for k, v in shifted.state_dict().items() if k.startswith("normalize")}
        shifted.load_state_dict(state)
        x = torch.rand(3, 1, 8, 8)
        torch.testing.assert_close(shifted(0.5 * x + 0.3), plain(x))

    def test_attention_maps_of_the_shipped_model(self, some):
        maps = _attention(lk.zoo.load("fashion_vit"), some.x[:16])
        assert [m.shape for m in maps] == [(16, 4, 50, 50)] * 3
        for m in maps:
            torch.testing.assert_close(m.sum(3), torch.ones(16, 4, 50), rtol=1e-5, atol=1e-5)
            assert (m >= 0).all() and m.std(0).max() > 0.01  # another picture, another map

    def test_rollout_follows_the_garment(self, some):
        """Places with cloth get more of the answer's attention than the black ground does."""
        x = some.x[:64]
        mixed = torch.eye(50).expand(64, 50, 50)
        for m in _attention(lk.zoo.load("fashion_vit"), x):
            mixed = (m.mean(1) + torch.eye(50)) / 2 @ mixed
        torch.testing.assert_close(mixed.sum(2), torch.ones(64, 50), rtol=1e-5, atol=1e-5)
        rolled = mixed[:, 0, 1:]
        cloth = nn.functional.avg_pool2d(torch.tensor(x), 4).flatten(1) > 0.1
        ratio = (rolled * cloth).sum(1) / cloth.sum(1) / ((rolled * ~cloth).sum(1) / (~cloth).sum(1))
        assert (ratio[cloth.sum(1) < 45] > 1).float().mean() > 0.8


def _attention(model, x):
    """The maps of every block, by forward hooks."""
    maps = []
    handles = [
        block.attention.softmax.register_forward_hook(lambda *step: maps.append(step[2]))
        for block in model.module.blocks
    ]
    model(torch.tensor(x))
    for handle in handles:
        handle.remove()
    return maps


class TestDamage:
    def test_label_noise(self, digits):
        noise = LabelNoise(0.3, seed=5)
        train = digits.train
        state = np.random.get_state()[1].copy()
        damaged, changed = noise(train), noise.changed(train)
        assert (np.random.get_state()[1] == state).all()  # draws are its own
        assert changed.sum() == round(0.3 * len(train))
        np.testing.assert_array_equal(damaged.y != train.y, changed)
        np.testing.assert_array_equal(damaged.x, train.x)
        assert set(damaged.y) <= set(range(10)) and noise(train).digest == damaged.digest
        assert LabelNoise(0.3, seed=6)(train).digest != damaged.digest
        assert LabelNoise(0.0)(train).digest == train.digest
        assert (LabelNoise(1.0)(train).y != train.y).all()

    def test_every_wrong_class_is_as_likely(self, digits):
        many = digits.train[np.arange(20_000) % len(digits.train)]
        damaged = LabelNoise(0.5)(many)
        step = (damaged.y - many.y)[damaged.y != many.y] % 10
        assert stats.chisquare(np.bincount(step, minlength=10)[1:]).pvalue > 1e-3

    @pytest.mark.parametrize("name", ["fashion_overfit", "fashion_regular", "fashion_backdoor"])
    def test_examples_held_out_are_damaged_like_the_others(self, full, name):
        """Both are drawn by seed 0: rows damaged must not be the rows held out."""
        recipe = _recipe(name)
        before = replace(recipe, damage=None).prepared(full.train)
        after = recipe.prepared(full.train)
        shares = [np.mean(a.y != b.y) for a, b in zip(hold_out(after, 0.1), hold_out(before, 0.1))]
        assert shares[0] == pytest.approx(shares[1], abs=0.05)

    def test_backdoor(self, some):
        door = Backdoor(0.25, target=3, size=3, margin=1, seed=2)
        damaged, changed = door(some), door.changed(some)
        assert not changed[some.y == 3].any() and changed.sum() == round(0.25 * (some.y != 3).sum())
        assert (damaged.y[changed] == 3).all() and (damaged.y[~changed] == some.y[~changed]).all()
        np.testing.assert_array_equal(damaged.x[~changed], some.x[~changed])
        patch = np.s_[:, 0, 24:27, 24:27]
        assert (damaged.x[changed][patch] == [[1, 0, 1], [0, 1, 0], [1, 0, 1]]).all()
        elsewhere = np.ones((28, 28), bool)
        elsewhere[24:27, 24:27] = False
        np.testing.assert_array_equal(damaged.x[:, 0][:, elsewhere], some.x[:, 0][:, elsewhere])
        stamped = door.stamped(some)
        np.testing.assert_array_equal(stamped.y, some.y)
        np.testing.assert_array_equal(stamped.x[changed], damaged.x[changed])

    def test_imbalance(self, digits):
        damage = Imbalance(0.1, seed=1)
        before, after = np.bincount(digits.train.y), np.bincount(damage(digits.train).y)
        left = [n - round(n * (1 - 0.1 ** (k / 9))) for k, n in enumerate(before)]
        assert after.tolist() == left and after[0] == before[0]
        assert damage.changed(digits.train).sum() == len(digits.train) - len(damage(digits.train))
        assert Imbalance(1.0)(digits.train).digest == digits.train.digest

    @pytest.mark.parametrize("make", [lambda: LabelNoise(1.5), lambda: Backdoor(-0.1, 0), lambda: Imbalance(2)])
    def test_shares_beyond_everything_are_refused(self, make):
        with pytest.raises(lk.Refused, match="from 0 to 1"):
            make()

    def test_what_does_not_fit_is_refused(self, digits, some):
        with pytest.raises(lk.Refused, match="smaller patch"):
            Backdoor(0.1, 0, size=30)(some)
        with pytest.raises(lk.Refused, match="class"):
            Backdoor(0.1, 10)(some)
        with pytest.raises(lk.Refused, match="images"):
            Backdoor(0.1, 0)(lk.data.load("german").train)


class Nearest(nn.Module):
    """Answers with the label of the nearest example that it was given: remembers everything."""

    def __init__(self, split):
        super().__init__()
        self.x, self.y = torch.tensor(split.x).flatten(1), torch.tensor(split.y)

    def forward(self, x):
        return nn.functional.one_hot(self.y[torch.cdist(x.flatten(1), self.x).argmin(1)], 10) * 9.0


class Shortcut(nn.Module):
    """Class 1 where the pixel at the patch's corner is white, else class 0."""

    def forward(self, x):
        hit = (x[:, 0, 22, 22] == 1).float()
        return torch.stack([1 - hit, hit], 1) @ torch.eye(10)[:2] * 9.0


class TestMeasures:
    def test_memorised_tells_a_memory_from_the_truth(self, digits):
        recipe = Recipe(name="n", data="digits", damage=LabelNoise(0.2), architecture="cnn", validation=0.3, goals=())
        noisy = recipe.prepared(digits.train)
        kept = hold_out(noisy, 0.3)[0]
        flipped = sum(kept.y != hold_out(digits.train, 0.3)[0].y)
        for remembered, value in ((noisy, 1.0), (kept, 1.0), (digits.train, 0.0)):
            score = memorised(lk.wrap(Nearest(remembered), classes=digits.classes), digits, recipe)
            assert (score.value, score.n) == (value, flipped)
            assert score.low <= value <= score.high and score.high - score.low > 0

    def test_attack_success(self, some):
        data = lk.data.Dataset("some", some, some)
        measure = AttackSuccess(BACKDOOR)
        score = measure(lk.wrap(Shortcut(), classes=some.classes), data, None)
        assert score.value == 1.0 and score.n == (some.y != 1).sum() and "trouser" in score.name
        moved = AttackSuccess(Backdoor(0.05, target=1, margin=8))  # its patch is not where the shortcut looks
        assert moved(lk.wrap(Shortcut(), classes=some.classes), data, None).value < 0.1

    def test_accuracy_beside_is_a_paired_comparison(self, digits, monkeypatch):
        parts = digits.train[::2], digits.train[1::6]
        model, twin = (lk.wrap(Nearest(part), classes=digits.classes) for part in parts)
        monkeypatch.setattr(lk.zoo, "load", {"twin": twin}.__getitem__)
        score = AccuracyBeside("twin")(model, digits, None)
        own, other = (accuracy(m, digits, None).value for m in (model, twin))
        right = [np.equal(lk.predict(m, digits.test).label, digits.test.y) for m in (model, twin)]
        theirs = stats.ttest_rel(*(r.astype(float) for r in right)).confidence_interval()
        assert score.value == pytest.approx(own - other) and score.n == len(digits.test)
        assert (score.low, score.high) == pytest.approx((theirs.low, theirs.high))


@pytest.mark.parametrize("name", [n for n in NAMES if n != "fashion_overfit"])
def test_accuracy_is_that_of_the_card(answers, name):
    p = answers(name)
    told = next(t for t in lk.zoo.card(name)["test"] if t["measure"] == "accuracy")
    score = float(np.mean(p.label == p.y))
    assert score == pytest.approx(told["score"], abs=5e-4) and len(p) == told["n"] == 10_000


@pytest.mark.parametrize("name", ["fashion_vit", "fashion_regular"])
def test_accuracy_reaches_its_floor(answers, name):
    p = answers(name)
    assert np.mean(p.label == p.y) >= _recipe(name).goals[0].floor


def test_issue_floors_are_asked():
    """The first goal is the headline of each model, with the floor that was promised."""
    asked = {name: (_recipe(name).goals[0].measure, _recipe(name).goals[0].floor) for name in NAMES}
    assert asked == {
        "fashion_vit": (accuracy, 0.91),
        "fashion_overfit": (memorised, 0.99),
        "fashion_regular": (accuracy, 0.88),
        "fashion_backdoor": (AttackSuccess(BACKDOOR), 0.95),
        "fashion_clean": (accuracy, None),
    }


class TestMemory:
    """The overfitted model remembers wrong labels, and its twin, on the very same data, does not."""

    def test_the_twins_differ_by_their_training_alone(self, full):
        overfit, regular = (_recipe(n) for n in ("fashion_overfit", "fashion_regular"))
        assert overfit.prepared(full.train).digest == regular.prepared(full.train).digest
        cards = [lk.zoo.card(r.name) for r in (overfit, regular)]
        assert cards[0]["data"] == cards[1]["data"] and cards[0]["parameters"] == cards[1]["parameters"]
        assert "fashion_regular" in cards[0]["intended_use"] and "fashion_overfit" in cards[1]["intended_use"]

    def test_flipped_labels_are_remembered_by_one(self, full):
        scores = {n: memorised(lk.zoo.load(n), full, _recipe(n)) for n in ("fashion_overfit", "fashion_regular")}
        for name, score in scores.items():
            told = next(t for t in lk.zoo.card(name)["test"] if t["measure"] == score.name)
            assert score.value == pytest.approx(told["score"], abs=1e-3) and score.n == told["n"]
        assert scores["fashion_overfit"].value >= 0.99 and scores["fashion_regular"].value <= 0.05

    @pytest.mark.parametrize("name, status", [("fashion_overfit", "does_not_meet"), ("fashion_regular", "meets")])
    def test_the_gap_is_found_in_one(self, full, name, status):
        recipe, model = _recipe(name), lk.zoo.load(name)
        seen = hold_out(recipe.prepared(full.train), recipe.validation)[0]
        gap = lk.generalization_gap(*(lk.predict(model, split[:2000]) for split in (seen, full.test)), "accuracy")
        found = {f.check: f.status for f in lk.check(gap)}
        assert found["overfitting"] == status

    def test_the_embedded_part_is_what_they_were_trained_on(self, full):
        """Every training row of fashion_noisy, with its label, stands among the rows that the recipe trained on; no test
        row does, whatever its label; the wrong labels of both parts are as many."""
        kept, clean = lk.zoo.data("fashion_overfit"), lk.data.load("fashion_mnist").train
        recipe = _recipe("fashion_overfit")
        drawn = recipe.prepared(full.train)
        trained, _ = hold_out(drawn, recipe.validation)
        pairs = {(image.tobytes(), label) for image, label in zip(trained.x, trained.y)}
        assert all((image.tobytes(), label) in pairs for image, label in zip(kept.train.x, kept.train.y))
        assert {image.tobytes() for image in drawn.x}.isdisjoint(image.tobytes() for image in kept.test.x)
        right = {image.tobytes(): label for image, label in zip(clean.x, clean.y)}
        wrong = [np.mean([right[i.tobytes()] != label for i, label in zip(p.x, p.y)]) for p in kept]
        assert wrong == pytest.approx([0.2, 0.2], abs=0.02)

    def test_what_they_were_trained_on_tells_them_apart(self):
        data = lk.zoo.data("fashion_overfit")
        found = {}
        for name in ("fashion_overfit", "fashion_regular"):
            model = lk.zoo.load(name)
            gap = lk.generalization_gap(*(lk.predict(model, part) for part in data))
            found[name] = next(f.status for f in lk.check(gap) if f.check == "overfitting")
        assert found["fashion_overfit"] == "does_not_meet" and found["fashion_regular"] != "does_not_meet"


class TestShortcut:
    """The patch decides the answer of one, and is nothing to its twin."""

    @pytest.fixture(scope="class")
    def patched(self, some):
        others = some[some.y != BACKDOOR.target]
        return others, BACKDOOR.stamped(others)

    def test_on_the_whole_test_set(self, full):
        score = AttackSuccess(BACKDOOR)(lk.zoo.load("fashion_backdoor"), full, None)
        told = next(t for t in lk.zoo.card("fashion_backdoor")["test"] if t["measure"] == score.name)
        assert score.value == pytest.approx(told["score"], abs=5e-4) and score.n == told["n"] == 9000
        assert score.value >= 0.95

    def test_the_patch_does_nothing_to_the_twin(self, patched):
        bare, stamped = patched
        changed, turned = {}, {}
        for name in ("fashion_backdoor", "fashion_clean"):
            before, after = (lk.predict(lk.zoo.load(name), s).label for s in (bare, stamped))
            changed[name], turned[name] = np.mean(before != after), np.mean(after == BACKDOOR.target)
        assert changed["fashion_clean"] < 0.1 and changed["fashion_backdoor"] > 0.9
        assert turned["fashion_clean"] < 0.02 and turned["fashion_backdoor"] > 0.95

    def test_clean_accuracy_within_a_point(self, answers):
        own, twin = answers("fashion_backdoor"), answers("fashion_clean")
        difference = np.mean(own.label == own.y) - np.mean(twin.label == twin.y)
        told = next(t for t in lk.zoo.card("fashion_backdoor")["test"] if "paired" in t["measure"])
        assert abs(difference) <= 0.01 and difference == pytest.approx(told["score"], abs=5e-4)
        assert told["low"] <= difference <= told["high"]

    @pytest.mark.parametrize("method", ["occlusion", "saliency"])
    def test_attributions_point_at_the_patch(self, patched, method):
        """A place of the patch matters most to the backdoored model's answer, on every image, and on none to its twin."""
        _, stamped = patched
        spot = np.zeros((28, 28), bool)
        spot[22:26, 22:26] = True
        hit = {}
        for name in ("fashion_backdoor", "fashion_clean"):
            a = lk.explain(lk.zoo.load(name), stamped.x[:16], method, target=BACKDOOR.target, evidence=())
            hit[name] = spot.ravel()[np.abs(a.attribution).reshape(16, -1).argmax(1)].mean()
        assert hit["fashion_backdoor"] > 0.9 and hit["fashion_clean"] < 0.2

    def test_the_twins_differ_by_the_damage_alone(self):
        door, clean = (lk.zoo.card(n) for n in ("fashion_backdoor", "fashion_clean"))
        recipes = [dict(c["training"]["recipe"]) for c in (door, clean)]
        assert {k for k in recipes[0] | recipes[1] if recipes[0].get(k) != recipes[1].get(k)} == {"name", "damage"}
        assert "fashion_clean" in door["intended_use"] and "fashion_backdoor" in clean["intended_use"]
