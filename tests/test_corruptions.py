"""Natural shifts one by one: a contract over the whole folder, and what each of them does, worked out another way."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

import labkit as lk
from labkit.core import method
from labkit.core.draws import Draws
from labkit.corruptions._applying import Ground, corrupt, corruption, fitting
from labkit.data.schema import Feature, Schema

LEAVES = [n for n in lk.names("corruptions") if "text" not in corruption(n).fits]
IMAGES = fitting("image")
COLORED = ("saturate",)


def photographs(n: int, channels: int, height: int, width: int) -> np.ndarray:
    """Smooth shapes with edges and full range, of any size."""
    rng = np.random.default_rng(0)
    rough = ndimage.gaussian_filter(rng.normal(size=(n, channels, height, width)), (0, 0, height / 12, width / 12))
    edges = rough > np.quantile(rough, 0.6, axis=(2, 3), keepdims=True)
    low, high = rough.min((2, 3), keepdims=True), rough.max((2, 3), keepdims=True)
    return np.clip(0.6 * (rough - low) / (high - low) + 0.4 * edges, 0, 1).astype(np.float32)


def table() -> tuple[Schema, np.ndarray]:
    rng = np.random.default_rng(1)
    features = (
        *(Feature(name, "numeric", 0.0, 100.0) for name in ("a", "b", "c")),
        Feature("whole", "numeric", 0, 20),
        Feature("job", "categorical", categories=("(other)", "(unknown)", "x", "y")),
        Feature("home", "categorical", categories=("(other)", "p", "q")),
        Feature("sex", "categorical", categories=("(other)", "f", "m")),
    )
    numbers = [rng.uniform(5, 60, 200) for _ in range(3)]
    columns = [*numbers, rng.integers(1, 20, 200), rng.integers(2, 4, 200), rng.integers(1, 3, 200)]
    x = np.column_stack([*columns, rng.integers(1, 3, 200)]).astype(np.float32)
    return Schema("tabular", "y", (7,), features=features, groups=("sex",)), x


def ground_of(name: str, size: tuple[int, int] = (28, 28), bounds: tuple[float, float] = (0.0, 1.0)) -> tuple[Any, ...]:
    """Rows that a corruption fits, and what it may ask for."""
    modality = corruption(name).fits[0]
    if modality == "image":
        x = photographs(24, 3 if name in COLORED else 1, *size) * (bounds[1] - bounds[0]) + bounds[0]
        return x.astype(np.float32), Ground(Schema("image", "y", x.shape[1:], bounds), bounds, x)
    if modality == "tabular":
        schema, x = table()
        return x, Ground(schema, None, x)
    time = np.linspace(0, 1, 240)
    rng = np.random.default_rng(2)
    x = np.sin(2 * np.pi * (rng.uniform(3, 20, (24, 2, 1)) * time + rng.uniform(size=(24, 2, 1))))
    x = (0.5 * x + 0.05 * rng.normal(size=x.shape)).astype(np.float32)
    return x, Ground(Schema("series", "y", x.shape[1:]), None, x)


def run(name: str, x: np.ndarray, severity: int, ground: Ground, seed: int = 0, **options: Any) -> np.ndarray:
    return corrupt(corruption(name, options), x, severity, Draws(seed, len(x)), ground)


def picture(name: str, x: np.ndarray, severity: int, seed: int = 0, **options: Any) -> np.ndarray:
    return run(name, x, severity, Ground(Schema("image", "y", x.shape[1:], (0.0, 1.0)), (0.0, 1.0), x), seed, **options)


def change(before: np.ndarray, after: np.ndarray, ground: Ground) -> float:
    """Mean squared change, in a table in units of each column's range, where categories differ or do not."""
    away = after.astype(float) - before
    if ground.schema.features:
        away = np.where([f.kind == "numeric" for f in ground.schema.features], away / 100, away != 0)
    return float((away**2).mean())


@pytest.mark.parametrize("name", LEAVES)
def test_damage_grows_with_severity(name: str) -> None:
    x, ground = ground_of(name)
    damage = [change(x, run(name, x, s, ground), ground) for s in (1, 2, 3, 4, 5)]
    assert damage[0] > 0 and (np.diff(damage) > 0).all(), damage


@pytest.mark.parametrize("name", LEAVES)
def test_a_corruption_keeps_shape_type_input_and_rows_apart(name: str) -> None:
    x, ground = ground_of(name)
    before = x.copy()
    function, spec = corruption(name).function, corruption(name).spec
    offered = {"x": x, "severity": 3, "generator": Draws(0, len(x)), "schema": ground.schema, "background": x}
    raw = method.call(function, spec, {**offered, "bounds": ground.bounds})
    assert raw.dtype == np.float32 and raw.shape == x.shape and np.isfinite(raw).all()
    assert ground.bounds is None or (ground.bounds[0] <= raw.min() and raw.max() <= ground.bounds[1])
    np.testing.assert_array_equal(x, before)
    whole = run(name, x, 3, ground)
    some = np.array([5, 1, 17])
    alone = corrupt(corruption(name), x[some], 3, Draws(0, len(x))[some], ground)
    np.testing.assert_array_equal(alone, whole[some])
    np.testing.assert_array_equal(run(name, x, 3, ground), whole)
    if "generator" in method.needs(function):
        assert not np.array_equal(run(name, x, 3, ground, seed=1), whole), "the seed is not used"


@pytest.mark.parametrize("name", IMAGES)
@pytest.mark.parametrize("size", [(16, 16), (32, 20), (65, 48)])
def test_images_of_any_size_and_bounds(name: str, size: tuple[int, int]) -> None:
    """In other units the result is the same image in those units: bounds are neither left nor ignored."""
    x, ground = ground_of(name, size)
    wide, scaled = ground_of(name, size, (-2.0, 5.0))
    for severity in (1, 5):
        found, other = run(name, x, severity, ground), run(name, wide, severity, scaled)
        assert found.min() >= 0 and found.max() <= 1 and other.min() >= -2 and other.max() <= 5
        away = np.abs((other + 2) / 7 - found)
        assert (away > 1e-4).mean() < 0.02, "rounding alone may turn a value over"
        assert change(x, found, ground) > 0


@pytest.mark.parametrize("name", [n for n in IMAGES if n not in COLORED])
def test_images_of_other_channels(name: str) -> None:
    for channels in (3, 5):
        x = photographs(2, channels, 24, 24)
        assert picture(name, x, 5).shape == x.shape


@pytest.mark.parametrize("name", LEAVES)
@pytest.mark.parametrize("severity", [0, 6, 2.5, True])
def test_other_severities_are_refused(name: str, severity: Any) -> None:
    x, ground = ground_of(name)
    with pytest.raises(lk.Refused, match="severity from 1 to 5"):
        run(name, x, severity, ground)


def test_there_are_enough_of_them() -> None:
    families = {corruption(n).family for n in IMAGES}
    assert len(IMAGES) >= 16 and families == {"noise", "blur", "weather", "digital", "geometry", "occlusion"}
    assert len(fitting("audio")) >= 6 and fitting("audio") == fitting("series") and len(fitting("tabular")) >= 5


def test_noises_have_the_size_that_they_say() -> None:
    grey = np.full((8, 1, 64, 64), 0.5, np.float32)
    assert (picture("gaussian_noise", grey, 2) - grey).std() == pytest.approx(0.08, rel=0.02)
    assert (picture("speckle_noise", grey, 1) - grey).std() == pytest.approx(0.075, rel=0.02)
    shot = picture("shot_noise", grey, 1)
    assert shot.mean() == pytest.approx(0.5, abs=0.005) and shot.var() == pytest.approx(0.5 / 60, rel=0.05)
    impulse = picture("impulse_noise", grey, 5)
    assert (impulse != 0.5).mean() == pytest.approx(0.27, abs=0.01)
    assert (impulse == 1).sum() == pytest.approx((impulse == 0).sum(), rel=0.1)


def test_blurs_keep_the_mean_and_are_scipys() -> None:
    x = np.zeros((2, 1, 40, 40), np.float32)
    x[:, :, 18:22, 18:22] = 0.9
    for name in ("gaussian_blur", "defocus_blur", "motion_blur"):
        assert picture(name, x, 3).sum() == pytest.approx(x.sum(), rel=0.02), name
    expected = ndimage.gaussian_filter(x[0, 0].astype(float), 0.25 + 0.02 * 40, mode="nearest")
    np.testing.assert_allclose(picture("gaussian_blur", x, 3)[0, 0], expected, atol=1e-6)


def test_motion_blur_is_a_line_and_zoom_blur_keeps_the_centre() -> None:
    x = np.zeros((16, 1, 41, 41), np.float32)
    x[:, :, 20, 20] = 1
    places = np.argwhere(picture("motion_blur", x, 5)[0, 0] > 0.02) - 20
    spread = np.linalg.svd(places.astype(float), compute_uv=False)
    assert spread[0] > 4 * spread[1], "long and thin"
    assert 10 < np.ptp(places @ np.linalg.svd(places.astype(float))[2][0]) < 14, "0.3 of 41 pixels"
    assert picture("zoom_blur", x, 5)[0, 0].argmax() == 20 * 41 + 20


def test_geometry_is_what_scipy_does() -> None:
    x = ndimage.gaussian_filter(photographs(6, 1, 41, 41), (0, 0, 2, 2))
    inner = (slice(12, 29), slice(12, 29))
    turned, slanted = picture("rotate", x, 2), picture("shear", x, 2)
    both = set()
    for i in range(6):
        found = []
        for sign in (1, -1):
            turn = ndimage.rotate(x[i, 0], 12 * sign, reshape=False, order=1, mode="nearest")
            slant = ndimage.affine_transform(
                x[i, 0], [[1, 0], [0.2 * sign, 1]], [0, -4 * sign], order=1, mode="nearest"
            )
            found.append((np.abs(turn - turned[i, 0])[inner].max(), np.abs(slant - slanted[i, 0])[inner].max()))
        assert (np.min(found, axis=0) < 0.02).all() and (np.max(found, axis=0) > 0.02).all()
        both.add(int(np.argmin([f[0] for f in found])))
    assert both == {0, 1}, "some rows turn one way and some the other"


def test_translate_moves_by_the_length_that_it_says() -> None:
    x = np.zeros((12, 1, 50, 50), np.float32)
    x[:, :, 24:27, 24:27] = 1
    moved = picture("translate", x, 4)
    places = np.array([ndimage.center_of_mass(image[0]) for image in moved]) - 25
    np.testing.assert_allclose(np.linalg.norm(places, axis=1), 0.17 * 50, rtol=0.02)
    assert np.ptp(np.arctan2(*places.T)) > 2, "in directions of their own"


def test_digital_ones_are_their_formulas() -> None:
    x = photographs(4, 3, 32, 32)
    np.testing.assert_allclose(picture("brightness", x, 2), np.clip(x + 0.2, 0, 1), atol=1e-6)
    middle = x.mean((2, 3), keepdims=True)
    np.testing.assert_allclose(picture("contrast", x, 1), middle + 0.6 * (x - middle), atol=1e-5)
    assert set(np.unique(picture("posterize", x, 4)).round(3)) == {0, 0.5, 1}
    pale = picture("saturate", x, 5)
    grey = np.abs(pale - pale.mean(1, keepdims=True)).max((1, 2, 3)) < 1e-5
    assert grey.any() and not grey.all(), "some rows lose their color, the others have more"
    blocks = picture("pixelate", x[:, :, :30, :30], 2)
    np.testing.assert_allclose(
        blocks[:, :, ::2, ::2], x[:, :, :30, :30].reshape(4, 3, 15, 2, 15, 2).mean((3, 5)), atol=1e-6
    )


def test_jpeg_is_pillows() -> None:
    x = photographs(2, 3, 24, 32)
    with io.BytesIO() as file:
        Image.fromarray(np.round(x[1].transpose(1, 2, 0) * 255).astype(np.uint8)).save(file, "JPEG", quality=16)
        expected = np.asarray(Image.open(file)).transpose(2, 0, 1) / 255
    np.testing.assert_allclose(picture("jpeg", x, 3)[1], expected, atol=1e-6)


def test_cutout_covers_the_same_place_more_and_more() -> None:
    x = photographs(6, 1, 40, 40) * 0.4
    found = picture("cutout", x, 3, shade=1.0) == 1
    assert (found.sum((1, 2, 3)) == 16 * 16).all()
    smaller = picture("cutout", x, 1, shade=1.0) == 1
    assert (smaller.sum((1, 2, 3)) == 8 * 8).all() and (found & smaller).any((1, 2, 3)).all()


def test_weather_is_brighter_and_not_everywhere_alike() -> None:
    dark = np.full((8, 1, 48, 48), 0.2, np.float32)
    for name in ("fog", "snow", "frost"):
        found = picture(name, dark, 4)
        assert found.mean() > 0.3 and (found.std((1, 2, 3)) > 0.02).all(), name
    rain = picture("rain", dark, 3)
    assert 0.05 < (rain > 0.3).mean() < 0.2 and np.median(rain) < 0.2, "streaks under a darker sky"


def test_signals_are_damaged_as_said() -> None:
    x, ground = ground_of("white_noise")
    noise = run("white_noise", x, 3, ground) - x
    decibel = 10 * np.log10(x.var(-1) / (noise.astype(float) ** 2).mean(-1))
    assert decibel.mean() == pytest.approx(12, abs=0.3)
    lost = run("lost_stretch", x, 5, ground) != x
    assert (lost.any(1).sum(-1) == 96).all() and (np.diff(lost[:, 0].astype(int)) != 0).sum(-1).max() <= 2
    ratio = np.abs(run("gain", x, 4, ground)).max((1, 2)) / np.abs(x).max((1, 2))
    assert set(np.round(20 * np.log10(ratio)).astype(int)) == {-11, 11}
    line = np.broadcast_to(np.linspace(0, 1, 60, dtype=np.float32), (2, 60))
    np.testing.assert_allclose(run("resampled", line, 5, ground), line, atol=1e-5)
    cut = run("clipping", x, 5, ground)
    assert (
        np.abs(cut - x.mean(-1, keepdims=True)).max(-1) < 0.13 * np.abs(x - x.mean(-1, keepdims=True)).max(-1)
    ).all()
    spectrum = np.abs(np.fft.rfft(run("hum", x, 5, ground, period=8.0) - x))
    assert (spectrum.argmax(-1) == 30).all(), "240 steps hold 30 waves of 8"
    silent = np.zeros((3, 100), np.float32)
    for name in fitting("audio"):
        np.testing.assert_array_equal(run(name, silent, 5, ground), silent)


def test_tables_are_damaged_as_said() -> None:
    x, ground = ground_of("missing_values")
    usual = np.array([*np.sort(x[:, :4], 0)[99], 1, 0, 0])
    usual[5:] = [np.bincount(x[:, k].astype(int)).argmax() for k in (5, 6)]
    found = run("missing_values", x, 5, ground)
    gone = found != x
    assert (found == np.where(gone, usual, x)).all() and not gone[:, 6].any(), "columns of groups are left alone"
    assert gone[:, :5].mean() == pytest.approx(0.5, abs=0.05)
    assert (run("missing_values", x, 5, ground, keep_groups=False) != x)[:, 6].any()
    unseen = run("unseen_categories", x, 3, ground)
    assert (unseen[:, :4] == x[:, :4]).all() and (unseen[:, 4:6] == 0).mean() == pytest.approx(0.35, abs=0.06)
    noisy = run("number_noise", x, 3, ground)
    assert (noisy[:, :3] - x[:, :3]).std() == pytest.approx(0.35 * x[:, :3].std(), rel=0.1)
    assert (noisy[:, 3] == noisy[:, 3].round()).all() and noisy[:, :3].min() >= 0 and (noisy[:, 4:] == x[:, 4:]).all()


def test_a_wrong_unit_is_one_number_and_a_swap_is_two() -> None:
    x, ground = ground_of("wrong_unit")
    wrong = run("wrong_unit", x, 3, ground, factor=1.5)
    moved = wrong != x
    assert moved.sum(1).max() == 1 and moved.any(1).mean() == pytest.approx(0.6, abs=0.1)
    ratio = (wrong / x)[:, :3][moved[:, :3]]
    assert (np.isclose(ratio, 1.5) | np.isclose(ratio, 1 / 1.5)).all() and 0.2 < (ratio > 1).mean() < 0.8
    assert run("wrong_unit", x, 5, ground, factor=1000.0)[:, :3].max() == 100, "within the range seen in training"
    swapped = run("swapped_columns", x, 5, ground)
    whole = (swapped != x)[:, :3].sum(1) == 2
    assert whole.sum() > 50 and (np.sort(swapped[whole, :3]) == np.sort(x[whole, :3])).all()
    assert ((swapped != x).sum(1) <= 2).all() and swapped[:, 3].max() <= 20


def test_what_does_not_fit_is_refused() -> None:
    x, ground = ground_of("fog")
    with pytest.raises(lk.Refused, match="image data, where it is for tabular"):
        run("missing_values", x, 1, ground)
    with pytest.raises(lk.Refused, match="images of 1 channel"):
        run("saturate", x, 1, ground)
    schema = Schema("tabular", "y", (1,), features=(Feature("a", "numeric", 0.0, 1.0),))
    rows = np.zeros((3, 1), np.float32)
    for name in ("swapped_columns", "unseen_categories"):
        with pytest.raises(lk.Refused, match="columns"):
            run(name, rows, 1, Ground(schema, None, rows))
    with pytest.raises(lk.Refused, match="'fog'"):
        corruption("foggy")
    for bad, words in ((lambda x: x[:, :, :4], "shape"), (lambda x: x * np.nan, "NaN")):
        with pytest.raises(lk.Refused, match=words):
            corrupt(corruption(bad), x, 1, Draws(0, len(x)), ground)


def test_a_users_function_is_cut_to_the_bounds_and_cannot_reach_the_data() -> None:
    x, ground = ground_of("fog")
    before = x.copy()

    def brighter(x: np.ndarray) -> np.ndarray:
        x += 10
        return x

    found = corrupt(corruption(brighter), x, 1, Draws(0, len(x)), ground)
    assert found.max() == 1 and corruption(brighter).family == "own"
    np.testing.assert_array_equal(x, before)


def test_of_a_picture_with_words_the_picture_is_damaged() -> None:
    pictures, words = photographs(3, 1, 16, 16).reshape(3, -1), np.array([[4, 0], [5, 6], [7, 0]], np.float32)
    x = np.concatenate([pictures, words], axis=1)
    schema = Schema("image+text", "y", (258,), picture=(1, 16, 16), vocabulary=tuple("abcdefgh"))
    found = corrupt(corruption("contrast"), x, 3, Draws(0, 3), Ground(schema, None, x))
    np.testing.assert_array_equal(found[:, 256:], words)
    np.testing.assert_allclose(found[:, :256], picture("contrast", pictures.reshape(3, 1, 16, 16), 3).reshape(3, -1))
