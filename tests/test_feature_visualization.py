"""Images that excite a unit: the parametrisation against closed forms, the ascent where the best image is known."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

import labkit as lk
from labkit.core import store
from labkit.models.fourier import Fourier, moved
from labkit.views._static import svg


@pytest.fixture(scope="module")
def linear(digits):
    """One weight a pixel: the image that excites a class most is at the bounds, by the weights' signs."""
    torch.manual_seed(0)
    module = nn.Sequential(nn.Flatten(), nn.Linear(64, 10, bias=False))
    return lk.wrap(module, classes=digits.classes, bounds=(0, 1), name="linear")


# the parametrisation -------------------------------------------------------------------------------------------------


def test_random_coefficients_have_the_datas_spectrum(digits) -> None:
    x = digits.train.x
    fourier = Fourier.of(x, (0.0, 1.0))
    torch.manual_seed(0)
    images = torch.logit(fourier(torch.randn(4000, *fourier.free)).double(), eps=1e-9).numpy()
    assert images.shape[1:] == x.shape[1:]
    mine, theirs = (np.square(np.abs(np.fft.rfft2(v - v.mean(0), norm="ortho"))).mean((0, 1)) for v in (images, x))
    # between the edges of the half spectrum every coefficient is complex, and stands alone
    mine, centred = mine[:, 1:4], np.square(np.abs(np.fft.rfft2(x - x.mean(), norm="ortho"))).mean((0, 1))[:, 1:4]
    np.testing.assert_allclose(mine / mine.sum(), centred / centred.sum(), rtol=0.15, atol=2e-3)
    assert theirs.shape == (8, 5)


def test_channels_go_together_as_the_datas_do() -> None:
    g = np.random.default_rng(0)
    grey, noise = g.uniform(size=(50, 1, 6, 7)), g.uniform(size=(50, 3, 6, 7))
    x = (0.8 * grey + 0.2 * noise).astype(np.float32)
    fourier = Fourier.of(x, (0.0, 1.0))
    torch.manual_seed(0)
    plain = torch.logit(fourier(torch.randn(300, *fourier.free))).numpy()
    wanted, found = (np.corrcoef(v.swapaxes(0, 1).reshape(3, -1)) for v in (x, plain))
    np.testing.assert_allclose(found, wanted, atol=0.03)


def test_images_stay_within_their_bounds(digits) -> None:
    fourier = Fourier.of(digits.train.x, (-2.0, 3.0))
    images = fourier(1e4 * torch.randn(5, *fourier.free))
    assert images.min() >= -2 and images.max() <= 3 and images.max() - images.min() > 4.9


def test_a_whole_shift_moves_pixels_and_no_move_changes_nothing() -> None:
    torch.manual_seed(0)
    images = torch.rand(2, 3, 6, 9)
    still = moved(images, torch.zeros(2, 2), torch.ones(2))
    torch.testing.assert_close(still, images, atol=1e-5, rtol=0)
    shifted = moved(images, torch.tensor([[1.0, 0.0], [0.0, -2.0]]), torch.ones(2))
    torch.testing.assert_close(shifted[0, :, :, :-1], images[0, :, :, 1:], atol=1e-5, rtol=0)
    torch.testing.assert_close(shifted[1, :, 2:], images[1, :, :-2], atol=1e-5, rtol=0)
    larger = moved(images, torch.zeros(2, 2), torch.full((2,), 2.0))
    assert larger.var() < images.var(), "between pixels values are interpolated"


# the ascent ----------------------------------------------------------------------------------------------------------


def test_the_best_image_of_a_linear_model_is_found(linear, digits) -> None:
    record = lk.visualize_features(linear, digits.train[:300], [2, 5], starts=2, steps=150, rate=0.3, jitter=0, zoom=0)
    weights = linear.module[1].weight[[2, 5]].double().numpy()
    most = np.maximum(weights, 0).sum(1)
    assert (record.reached > 0.95 * most[:, None]).all() and (record.reached <= most[:, None] + 1e-4).all()
    wanted = weights.reshape(2, 1, 1, 8, 8) > 0
    large = np.abs(weights).reshape(wanted.shape) > 0.03
    assert ((record.images > 0.5) == wanted)[np.broadcast_to(large, record.images.shape)].mean() > 0.97
    assert (record.similarity > 0.9).all() and (record.noise < record.reached).all()


def test_what_stands_beside_is_measured_on_real_images(cnn, digits) -> None:
    record = lk.visualize_features(cnn, digits.train[:200], [0, 3], layer="2", starts=2, steps=20)
    x = cnn.tensor(digits.train.x[:200])
    real = cnn.module[:3](x).mean((2, 3)).double().numpy()[:, [0, 3]]
    np.testing.assert_allclose(record.best, real.max(0), rtol=1e-5)
    np.testing.assert_allclose(record.usual, real.mean(0), rtol=1e-4, atol=1e-6)
    np.testing.assert_array_equal(record.best_image, digits.train.x[real.argmax(0)])
    made = cnn.module[:3](cnn.tensor(record.images[:, 0])).mean((2, 3)).numpy()
    np.testing.assert_allclose(record.reached[:, 0], made[[0, 1], [0, 3]], rtol=1e-4)
    assert (record.reached.mean(1) > record.noise.mean(1)).all()
    assert record.names == ("channel 0", "channel 3") and np.isfinite(record.random_reached).all()
    assert not np.allclose(record.random_images, record.images[:, 0])


def test_images_follow_from_the_seed_and_not_from_the_batch(cnn, digits) -> None:
    options = {"units": [1, 4], "starts": 2, "steps": 8}
    one, two, other = (
        lk.visualize_features(cnn, digits.train[:40], **options, seed=seed, batch_size=size)
        for seed, size in ((0, 256), (0, 3), (1, 256))
    )
    np.testing.assert_allclose(one.images, two.images, atol=1e-4)
    alone = lk.visualize_features(cnn, digits.train[:40], units=[4], starts=2, steps=8)
    np.testing.assert_allclose(alone.images[0], one.images[1], atol=1e-4)
    assert np.abs(one.images - other.images).max() > 0.1
    assert np.abs(one.images[:, 0] - one.images[:, 1]).max() > 0.1, "each start is its own"


def test_a_robust_model_is_excited_by_what_it_knows() -> None:
    """Trained against an adversary, its images of a class look like the class to another model."""
    data = lk.data.load("fashion_mnist")
    robust, judge = (lk.zoo.load(n, device="cpu") for n in ("fashion_robust", "fashion_cnn"))
    record = lk.visualize_features(robust, data.train[:200], [1, 5, 8, 9], starts=1, steps=60)
    with torch.no_grad():
        seen = judge(judge.tensor(record.images[:, 0])).argmax(1)
    assert (seen.numpy() == record.units).sum() >= 3
    with torch.no_grad():
        twin = judge(judge.tensor(record.random_images)).argmax(1)
    assert (twin.numpy() == record.units).sum() <= 2


def test_the_record_is_drawn_stored_and_tabled(cnn, digits, tmp_path) -> None:
    digest = cnn.digest
    record = lk.visualize_features(cnn, digits.train[:50], [1], starts=2, steps=3)
    assert cnn.digest == digest and len(lk.rows(record)) == 2
    assert "random net" in svg(lk.figure(record), name="v")
    assert "no evidence of having learned" in lk.says(record) and "50 real images" in lk.says(record)
    assert store.load(lk.save(record, tmp_path / "v.lk")).digest == record.digest


@pytest.mark.parametrize(
    "name", ["adult_mlp", "movies_gru", "emoji_fusion", "power_cnn", "vowels_rnn", "adult_glassbox"]
)
def test_inputs_that_are_no_images_are_refused_by_name(name) -> None:
    model, data = lk.zoo.load(name, device="cpu"), lk.zoo.data(name)
    with pytest.raises(lk.Refused, match=f"{data.schema.modality.replace('+', '.')} inputs") as refused:
        lk.visualize_features(model, data.test[:8])
    assert "labkit.neighbors" in refused.value.instead


@pytest.mark.parametrize(
    "change",
    [{"units": [10]}, {"units": [-1]}, {"units": []}, {"steps": 0}, {"rate": 0}, {"zoom": 2}, {"layer": "nowhere"}],
    ids=str,
)
def test_what_cannot_be_done_is_refused(mlp, digits, change) -> None:
    with pytest.raises(lk.Refused):
        lk.visualize_features(mlp, digits.train[:20], **change)
