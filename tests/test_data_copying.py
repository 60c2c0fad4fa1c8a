"""Copies of training rows are found, all of them, a few, or those of one region; samplers that copy nothing are not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats
from scipy.spatial.distance import cdist

import labkit as lk
from labkit.analyses._copying.chance import among_smallest, nearest_is_trained, rank_z, smaller
from labkit.analyses._copying.nearest import nearest
from labkit.core.refused import Refused
from labkit.data.schema import Feature, Schema
from labkit.data.split import Dataset, Split
from labkit.views import data_copying as view
from labkit.views._static import svg

WIDTH = 5
MIDDLES = np.random.default_rng(9).normal(size=(4, WIDTH)) * 3
SPREADS = np.array([0.3, 1, 1, 2.0])


def drawn(rng: np.random.Generator, n: int, share: list[float] | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Rows of a mixture of four normal distributions, and which each is of."""
    part = rng.choice(4, n, p=share)
    return (MIDDLES[part] + SPREADS[part, None] * rng.normal(size=(n, WIDTH))).astype(np.float32), part


def split(x: np.ndarray, name: str) -> Split:
    schema = Schema(
        "tabular", "y", (x.shape[1],), features=tuple(Feature(f"f{i}", "numeric") for i in range(x.shape[1]))
    )
    return Split(x, np.arange(len(x)) % 2, schema, ("a", "b"), name)


def dataset(seed: int = 0, train: int = 800, test: int = 400) -> tuple[Dataset, np.ndarray, np.random.Generator]:
    rng = np.random.default_rng(seed)
    (x, part), (held, _) = drawn(rng, train), drawn(rng, test)
    return Dataset("made", split(x, "train"), split(held, "test")), part, rng


def copies(x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return (x + 0.01 * rng.normal(size=x.shape)).astype(np.float32)


def status(samples: np.ndarray, data: Dataset, **options) -> str:
    (finding,) = lk.check(lk.data_copying(samples, data, **options))
    return finding.status


def test_copies_are_found_all_a_tenth_or_those_of_one_region() -> None:
    data, part, rng = dataset()
    train, (own, of) = data.train.x, drawn(rng, 400)
    assert status(copies(train[:400], rng), data) == "does_not_meet"
    few = np.concatenate([own[:360], copies(train[:40], rng)])
    assert status(few, data) == "does_not_meet"
    region = own.copy()
    rows = np.flatnonzero(of == 1)
    region[rows] = copies(train[part == 1][: len(rows)], rng)
    record = lk.data_copying(region, data)
    worst = int(np.nanargmin(record.p[0]))
    assert status(region, data) == "does_not_meet" and record.tests[worst].startswith("cell")
    assert status(own, data) != "does_not_meet", "the sound twin"


def test_samplers_that_copy_nothing_are_not_flagged() -> None:
    """Rows that nobody has seen, of the same distribution, of a part of it, blurred towards its middle, or noisy."""
    flagged = 0
    for seed in range(15):
        data, _, rng = dataset(seed, 300, 200)
        own = drawn(rng, 200)[0]
        sound = own, drawn(rng, 200, [0.7, 0.1, 0.1, 0.1])[0], 0.8 * own, own + 0.5 * rng.normal(size=own.shape)
        flagged += sum(status(x.astype(np.float32), data, seed=seed) == "does_not_meet" for x in sound)
    assert flagged <= 1, "of 60, at one in a hundred"


def test_typical_samples_are_nearer_and_no_copies() -> None:
    """Samples near the middle of the data lie nearer to training rows than held-out rows do: the rank statistic says
    copying, and the comparison with held-out rows does not."""
    rng = np.random.default_rng(0)
    train, held, own = (rng.normal(size=(n, 8)).astype(np.float32) for n in (600, 400, 400))
    data = Dataset("made", split(train, "train"), split(held, "test"))
    record = lk.data_copying(0.6 * own, data, cells=1)
    assert record.z[0] < -8 and lk.check(record)[0].status != "does_not_meet"


def test_the_numbers_are_those_of_all_pairs_of_rows() -> None:
    data, _, rng = dataset(1, 200, 100)
    samples = drawn(rng, 80)[0]
    record = lk.data_copying(samples, data, cells=1, pairs=5)
    scale = data.train.x.std(0)  # a table is compared by its standardised columns
    between = [cdist(a / scale, b / scale) / np.sqrt(WIDTH) for a, b in (
        (samples, data.train.x), (samples, data.test.x), (data.test.x, data.train.x))]  # fmt: skip
    for values, pairs in zip((record.distance, record.other, record.usual), between):
        assert values[0] == pytest.approx(pairs.min(1), rel=1e-4)
    own, usual = between[0].min(1), between[2].min(1)
    assert record.z[0] == pytest.approx(stats.ranksums(own, usual).statistic)
    assert record.c_t[0] == pytest.approx(record.z[0]) == record.cell_z[0, 0]
    greater = stats.mannwhitneyu(usual, own).statistic / (len(own) * len(usual))
    assert record.area[0, 0] == pytest.approx(greater)
    assert record.near[0, 0] == np.mean(own < np.quantile(usual, 0.05))
    assert record.chance == 200 / 300 and record.share[0, 0] == np.mean(own < between[1].min(1))
    assert record.pair.tolist() == np.argsort(own)[:5].tolist()
    assert record.pair_train.tolist() == between[0].argmin(1)[record.pair].tolist()


def test_a_mean_of_cells_weighs_them_by_held_out_rows() -> None:
    data, _, rng = dataset(2)
    record = lk.data_copying(drawn(rng, 300)[0], data, cells=4)
    assert record.c_t[0] == pytest.approx(np.average(record.cell_z[0], weights=_held_by_cell(data, 4)), rel=1e-6)


def _held_by_cell(data: Dataset, cells: int) -> np.ndarray:
    from labkit.analyses._copying.nearest import regions
    from labkit.core.resampling import stream

    scaled = [((part.x - data.train.x.mean(0)) / data.train.x.std(0)).astype(np.float32) for part in data]
    centres = regions(np.concatenate(scaled), cells, stream(0, "data_copying", "cells"))
    return np.bincount(cdist(scaled[1], centres).argmin(1), minlength=cells)


def test_chance_is_what_dealing_the_rows_anew_gives() -> None:
    rng = np.random.default_rng(0)
    near = rng.choice(60, 100, p=np.arange(1, 61) / 1830)
    trained = np.arange(60) < 40
    share, _, _, p = nearest_is_trained(near, trained)
    dealt = np.array([rng.permutation(trained)[near].mean() for _ in range(20_000)])
    assert share == trained[near].mean()
    assert np.mean(dealt >= share - 1e-12) <= p + 0.01, "no smaller than it should be"
    free = rng.random((20_000, 60)) < 40 / 60
    assert p == pytest.approx(np.mean(free[:, near].mean(1) >= share - 1e-12), abs=0.012)


def test_the_interval_of_the_share_covers_where_samples_share_their_nearest() -> None:
    rng = np.random.default_rng(0)
    covered = 0
    for _ in range(800):
        near = rng.choice(2000, 60)[rng.choice(60, 200)]  # clusters
        _, low, high, _ = nearest_is_trained(near, rng.random(2000) < 0.7)
        covered += low <= 0.7 <= high
    assert 0.93 <= covered / 800 <= 0.975


def test_rank_comparisons_agree_with_scipy() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=40), rng.normal(0.4, 1, 60)
    assert rank_z(a, b) == pytest.approx(stats.ranksums(a, b).statistic)
    area, low, high, p = smaller((a, np.arange(40)), (b, np.arange(60)))
    peer = stats.mannwhitneyu(a, b, alternative="less", use_continuity=False)
    assert p == pytest.approx(peer.pvalue, rel=1e-6) and area == pytest.approx(1 - peer.statistic / 2400)
    assert low < area < high
    twice = smaller((np.repeat(a, 2), np.repeat(np.arange(40), 2)), (np.repeat(b, 2), np.repeat(np.arange(60), 2)))
    assert twice[0] == area and twice[1:3] == pytest.approx((low, high), abs=0.01), "the same row twice tells once"
    assert twice[3] == pytest.approx(p, rel=0.1)
    value, low, high, p = among_smallest(a, b, 0.1)
    hits = int((np.argsort(np.concatenate([a, b]))[:10] < 40).sum())
    assert p == pytest.approx(stats.fisher_exact([[hits, 40 - hits], [10 - hits, 50 + hits]], "greater").pvalue)
    assert value == pytest.approx(hits / 40 / (hits / 40 + (10 - hits) / 60)) and low < value < high
    assert np.isnan(rank_z(a[:0], b))
    one = (
        among_smallest(np.array([1.0, 2, 2]), np.array([2.0, 4, 5]), 0.15),
        among_smallest(np.ones(3), np.ones(2), 0.2),
    )
    assert one[0][0] == 1 and one[0][3] == pytest.approx(0.5), "the smallest of all is a sample, as one in two times"
    assert one[1][0] == pytest.approx(0.5) and one[1][3] == 1, "where all are equal nothing is told"


def test_nearest_rows_do_not_depend_on_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    rows, among = rng.normal(size=(50, 4)), rng.normal(size=(30, 4))
    found, far = nearest(rows, among, "rows")
    assert found.tolist() == cdist(rows, among).argmin(1).tolist()
    assert far == pytest.approx(cdist(rows, among).min(1) / 2)
    monkeypatch.setattr("labkit.analyses._copying.nearest.PART", 70)
    assert nearest(rows, among, "rows")[0].tolist() == found.tolist()


def test_equally_near_rows_raise_no_alarm() -> None:
    """A table of few categories, where many a sample and held-out row equals a training row by chance."""
    rng = np.random.default_rng(0)
    train, held, samples = (rng.integers(0, 3, (n, 7)).astype(np.float32) for n in (300, 300, 300))
    data = Dataset("made", split(train, "train"), split(held, "test"))
    record = lk.data_copying(samples, data)
    assert lk.check(record)[0].status != "does_not_meet" and "stand in the training data" in record.warnings[0]


def test_a_shipped_model_is_measured_against_the_part_of_its_data_that_is_here() -> None:
    whole, model = lk.data.load("fashion_mnist"), lk.zoo.load("fashion_vae", device="cpu")
    data = Dataset(whole.name, whole.train[:1000], whole.test[:300])
    record = lk.data_copying(
        model, data, samples=150, trained=60_000, features=lk.zoo.load("fashion_cnn", device="cpu")
    )
    (finding,) = lk.check(record)
    assert record.spaces == ("pixels", "features of fashion_cnn") and record.z.shape == (2,)
    assert finding.status == "inconclusive" and "60,000" in finding.says and "60,000" in lk.says(record)
    assert record.pictures.shape == record.held_pictures.shape == (8, 1, 28, 28)
    own = replace(data, name="own pictures")
    assert lk.data_copying(whole.test.x[300:400], own).pictures is None, "a user's rows are not kept unasked"
    called = replace(data, train=replace(data.train, x=1 - data.train.x))  # somebody's own, under the same name
    assert lk.data_copying(whole.test.x[300:400], called).pictures is None, "a name alone shows nobody's rows"
    assert lk.data_copying(whole.test.x[300:400], own, pairs=2).train_pictures.shape == (2, 1, 28, 28)
    assert "training" in svg(view.pairs(record), name="p") and "pixels" in svg(lk.figure(record), name="f")
    assert len(lk.rows(record)) == 2 * (6 + len(record.tests))
    assert (
        record.digest
        == lk.data_copying(
            model, data, samples=150, trained=60_000, features=lk.zoo.load("fashion_cnn", device="cpu")
        ).digest
    )


def test_what_cannot_be_told_is_refused() -> None:
    data, _, rng = dataset(0, 100, 60)
    samples = drawn(rng, 50)[0]
    for given, word in ((samples[:20], "20 samples"), (samples[:, :3], "shape"), (samples * np.nan, "finite")):
        with pytest.raises(Refused, match=word):
            lk.data_copying(given, data)
    with pytest.raises(Refused, match="held-out rows that are not among them"):
        lk.data_copying(samples, Dataset("same", data.train, data.train))
    with pytest.raises(Refused, match="0 held-out rows"):
        lk.data_copying(samples, Dataset("empty", data.train, data.test[:0]))
    with pytest.raises(Refused, match="as the data"):
        lk.data_copying(samples, data.train)
    with pytest.raises(Refused, match="no generative model"):
        lk.data_copying(lk.zoo.load("german_mlp", device="cpu"), data)
    with pytest.raises(Refused, match="trained"):
        lk.data_copying(samples, data, trained=50)
    with pytest.raises(Refused, match="no images"):
        view.pairs(lk.data_copying(samples, data))


def test_few_rows_are_told_without_cells() -> None:
    data, _, rng = dataset(0, 40, 30)
    said = lk.says(lk.data_copying(drawn(rng, 30)[0], data))
    assert " nan" not in said and "rank statistic of the distances is" in said
