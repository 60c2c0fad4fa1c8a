"""Fake defences: clean answers stay, what attacks need is gone, what an adversary needs is not. Their sound twins differ."""

from __future__ import annotations

import io

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn import functional

import labkit as lk
from labkit.models import defenses
from labkit.models._jpeg import as_jpeg
from labkit.models.defenses import FAKE

VANISHING = {"rounded", "jpeg_like", "saturated", "purified", "labels_only"}
RANDOM = {"noisy", "moved"}
ALL = pytest.mark.parametrize("fake", FAKE, ids=lambda f: f.__name__)


@pytest.fixture(scope="module")
def sound():
    return lk.zoo.load("fashion_cnn", device="cpu")


@pytest.fixture(scope="module")
def rows(sound):
    test = lk.zoo.data("fashion_cnn").test[:200]
    return sound.tensor(test.x), torch.tensor(test.y)


@pytest.fixture(scope="module")
def hostile(sound, rows):
    """The first 60 images, changed by at most 0.1 a pixel until the sound model is wrong by a wide margin."""
    x, y = (v[:60] for v in rows)
    z = x.clone()
    for _ in range(12):
        z = (z + 0.02 * _gradient(sound, z, y).sign()).clamp(x - 0.1, x + 0.1).clamp(0, 1)
    assert (_label(sound, z) != y).all()
    return z, y


def _label(model, x):
    with torch.no_grad():
        return model(x).argmax(1)


def _gradient(model, x, y):
    z = x.clone().requires_grad_()
    loss = functional.cross_entropy(model(z), y, reduction="sum")
    return torch.autograd.grad(loss, z)[0] if loss.requires_grad else torch.zeros_like(x)


def _vanishing(model, x, y):
    """Share of rows without a gradient."""
    return (_gradient(model, x, y).flatten(1).abs().amax(1) < 1e-9).float().mean().item()


def _alike(model, x, y):
    """Mean cosine of the gradients at points 0.001 apart."""
    torch.manual_seed(0)
    near = x + 1e-3 * torch.randn_like(x)
    return functional.cosine_similarity(*(_gradient(model, v, y).flatten(1) for v in (x, near))).mean().item()


@ALL
def test_clean_answers_stay(fake, sound, rows):
    torch.manual_seed(0)
    defended = fake(sound)
    share = (_label(defended, rows[0]) == _label(sound, rows[0])).float().mean().item()
    assert share >= (0.90 if fake is defenses.noisy else 0.95)
    assert defended.classes == sound.classes and defended.bounds == sound.bounds and defended.name != sound.name


@ALL
def test_what_fools_the_model_within_fools_the_defended_one(fake, sound, hostile):
    torch.manual_seed(0)
    z, y = hostile
    assert (_label(fake(sound), z) == y).float().mean() <= 0.1


@ALL
def test_gradients_vanish_where_that_is_said_and_nowhere_else(fake, sound, rows):
    x, y = (v[:80] for v in rows)
    share = _vanishing(fake(sound), x, y)
    assert share > 0.85 if fake.__name__ in VANISHING else share <= 0.05
    assert _vanishing(sound, x, y) == 0
    assert _vanishing(defenses.saturated(sound, 1.0), x, y) == 0  # logits as they were


def test_a_fast_ripple_makes_noise_of_the_gradient_and_a_slow_one_does_not(sound, rows):
    x, y = (v[:60] for v in rows)
    assert _alike(sound, x, y) > 0.8
    assert abs(_alike(defenses.shattered(sound), x, y)) < 0.2
    assert _alike(defenses.shattered(sound, frequency=20.0), x, y) > 0.8


@ALL
def test_only_the_random_ones_change_their_mind(fake, sound, rows):
    defended, x = fake(sound), rows[0][:40]
    torch.manual_seed(0)
    with torch.no_grad():
        first, second = defended(x), defended(x)
    assert torch.equal(first.nan_to_num(), second.nan_to_num()) != (fake.__name__ in RANDOM)


def test_company_counts_for_one_of_them(sound, rows):
    x = rows[0][:10]
    with torch.no_grad():
        for fake, depends in ((defenses.batch_dependent, True), (defenses.rounded, False)):
            model = fake(sound)
            alone = torch.cat([model(row[None]) for row in x])
            assert torch.allclose(alone, model(x), atol=1e-4) != depends
        assert torch.allclose(defenses.batch_dependent(sound)(x[:1]), sound(x[:1]), atol=1e-5)


def test_nan_where_the_model_is_unsure_and_only_there(sound, rows):
    with torch.no_grad():
        plain, guarded = sound(rows[0]), defenses.nan_when_unsure(sound, least=0.8)(rows[0])
    unsure = plain.softmax(1).amax(1) < 0.8
    assert 0 < unsure.sum() < len(unsure)
    assert torch.equal(guarded.isnan().any(1), unsure) and torch.equal(guarded.isnan().all(1), unsure)
    assert torch.equal(guarded[~unsure], plain[~unsure])


def test_one_of_them_optimises_while_it_predicts(sound, rows, monkeypatch):
    calls, real = [], torch.autograd.grad

    def counted(*args, **options):
        calls.append(1)
        return real(*args, **options)

    monkeypatch.setattr(torch.autograd, "grad", counted)
    counts = {}
    for name, model in (("purified", defenses.purified(sound, steps=3)), ("sound", sound)):
        _label(model, rows[0][:4])  # a copy's operations are counted beside the first answer
        calls.clear()
        _label(model, rows[0][:4])
        counts[name] = len(calls)
    assert counts == {"purified": 3, "sound": 0}
    z = defenses.purified(sound, steps=3, size=0.02).module.before(rows[0][:20])
    assert (z - rows[0][:20]).abs().max() <= 0.06 + 1e-6 and z.min() >= 0 and z.max() <= 1
    with torch.no_grad():
        before, after = (sound(v).log_softmax(1).amax(1).mean() for v in (rows[0][:20], z))
    assert after > before


def test_labels_only_is_the_first_choice(sound, rows):
    with torch.no_grad():
        answer = defenses.labels_only(sound)(rows[0])
    assert set(answer.unique().tolist()) == {0.0, 1.0} and (answer.sum(1) == 1).all()
    assert torch.equal(answer.argmax(1), _label(sound, rows[0]))


def test_rounding_is_to_the_nearest_level_within_any_bounds(mlp_module, digits):
    model = lk.wrap(mlp_module, classes=digits.classes, bounds=(-1, 3), device="cpu")
    x = torch.linspace(-1, 3, 97)[None]
    seen = defenses.rounded(model, levels=5).module.before(x)
    levels = torch.linspace(-1, 3, 5)
    assert set(seen.unique().tolist()) == set(levels.tolist())
    assert torch.equal((seen - x).abs(), (levels[:, None] - x).abs().amin(0, keepdim=True))
    on_grid = lk.wrap(mlp_module, classes=digits.classes, bounds=(0, 1), device="cpu")
    x = on_grid.tensor(digits.test.x[:50])  # sixteenths: seventeen levels change nothing
    torch.testing.assert_close(defenses.rounded(on_grid, levels=17)(x), on_grid(x))


@pytest.mark.parametrize("quality", [10, 50, 75, 95])
@pytest.mark.parametrize("size", [(28, 28), (16, 24), (9, 30)])
def test_jpeg_is_what_an_encoder_and_a_decoder_make_of_an_image(quality, size, rows):
    x = functional.interpolate(rows[0][3:6], size=size, mode="bilinear")
    ours = as_jpeg(x, quality, (0.0, 1.0))
    for image, found in zip(x, ours):
        buffer = io.BytesIO()
        Image.fromarray((image[0] * 255).round().byte().numpy()).save(buffer, "JPEG", quality=quality)
        theirs = np.asarray(Image.open(buffer), float)
        away = np.abs(found[0].numpy() * 255 - theirs)
        # both ends calculate in whole numbers: a coefficient on the edge may fall to the other side
        assert away.mean() < 1 and np.median(away) <= 1


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda m: defenses.rounded(m, levels=1), "levels=1"),
        (lambda m: defenses.jpeg_like(m, quality=0), "quality=0"),
        (lambda m: defenses.jpeg_like(m)(torch.rand(2, 64)), "(2, 64)"),
        (lambda m: defenses.moved(m)(torch.rand(2, 64)), "(2, 64)"),
    ],
)
def test_what_cannot_be_is_refused(change, words, sound):
    with pytest.raises(lk.Refused) as refusal:
        change(sound)
    assert words in refusal.value.given


def test_words_are_not_rounded_but_may_be_saturated(digits):
    model = lk.zoo.load("movies_gru", device="cpu")
    x = torch.tensor(lk.zoo.data("movies_gru").test.x[:6])
    with pytest.raises(lk.Refused, match="not continuous"):
        defenses.rounded(model)
    scaled = defenses.saturated(model, scale=10.0)
    z, forward = scaled.relax(x)
    torch.testing.assert_close(forward(z), 10 * model(x))


@ALL
def test_a_copy_on_a_device_is_the_same_model(fake, sound, rows):
    defended = fake(sound)
    copied = defended.to("cpu")
    assert copied.module.within is not sound.module and copied.module.within is copied.module._model.module
    answers = []
    for model in (defended, copied):
        torch.manual_seed(0)
        with torch.no_grad():
            answers.append(model(rows[0][:8]).nan_to_num())
    assert torch.equal(*answers) and defended.digest == copied.digest
