"""Canaries: exposure and recognition re-derived the slow way, bounds that hold, a memoriser that shows and twins that do not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import binom

import labkit as lk
from labkit.analyses._canaries import (
    KINDS,
    MIXED_INPUT,
    RANDOM_INPUT,
    WRONG_LABEL,
    Planting,
    exposure,
    exposure_by_chance,
    made,
    mean_of_others,
)
from labkit.core.clusters import clustered
from labkit.core.privacy import improbable, least_epsilon
from labkit.data.split import Dataset
from labkit.membership._signals import margin
from labkit.training.many import Fit
from labkit.training.private import Private
from labkit.views._static import svg


def test_margins_exposure_and_means_are_what_loops_find() -> None:
    rng = np.random.default_rng(0)
    logits, y = rng.normal(size=(3, 5, 4)) * 3, rng.integers(0, 4, 5)
    chance = np.exp(logits) / np.exp(logits).sum(2, keepdims=True)
    own = chance[:, np.arange(5), y]
    assert margin(logits, y) == pytest.approx(np.log(own / (1 - own)))
    sure, twins = rng.integers(0, 6, (3, 5)).astype(float), rng.integers(0, 6, (3, 15)).astype(float)
    bits = exposure(sure, twins)
    for m in range(3):
        for i in range(5):
            rank = 1 + sum(t >= sure[m, i] for t in twins[m])
            assert bits[m, i] == pytest.approx(4 - np.log2(rank))
    assert exposure_by_chance(15) == pytest.approx(np.mean([4 - np.log2(r) for r in range(1, 17)]))
    among = rng.random((3, 5)) < 0.6
    found = mean_of_others(sure, among)
    for m in range(3):
        for i in range(5):
            others = [sure[o, i] for o in range(3) if o != m and among[o, i]]
            assert np.isnan(found[m, i]) if not others else found[m, i] == pytest.approx(np.mean(others))


def test_shares_of_clustered_trials_are_covered() -> None:
    rng = np.random.default_rng(1)
    for spread, share in ((0.0, 0.3), (0.0, 0.1), (0.5, 0.4), (2.0, 0.7)):
        logit = np.log(share / (1 - share)) + spread * rng.normal(size=200_000)
        truth = float((1 / (1 + np.exp(-logit))).mean())
        covered = 0
        for _ in range(400):
            p = 1 / (1 + np.exp(-rng.choice(logit, 10)))
            _, low, high = clustered(rng.binomial(16, p), np.full(10, 16))
            covered += low <= truth <= high
        assert covered >= 0.93 * 400, (spread, share)
    assert clustered(np.full(10, 16), np.full(10, 16))[1] == pytest.approx(0.025 ** (1 / 10), abs=1e-6)
    assert np.isnan(clustered(np.zeros(2), np.zeros(2))).all()


def test_guesses_bound_epsilon_from_below() -> None:
    """Closed form for guesses that are all right; a slow sum for the rest; and how often the bound is wrong."""
    assert least_epsilon(40, 40, 0.0) == pytest.approx(-np.log(0.05 ** (-1 / 40) - 1), abs=1e-6)
    assert least_epsilon(20, 40, 0.0) == 0
    q = np.exp(1.5) / (1 + np.exp(1.5))
    worst = max(sum(binom.pmf(k, 30, q) for k in range(28 - i, 28)) / i for i in range(1, 29))
    slow = sum(binom.pmf(k, 30, q) for k in range(28, 31)) + 2 * 30 * 1e-3 * worst
    assert improbable(28, 30, 1.5, 1e-3) == pytest.approx(slow)
    assert least_epsilon(38, 40, 1e-3) < least_epsilon(38, 40, 0.0)
    first = next(k for k in range(150, 301) if least_epsilon(k, 300, 0.0) > 1)
    assert 0.02 < binom.sf(first - 1, 300, np.e / (1 + np.e)) <= 0.05, (
        "how often a true epsilon of 1 is called too small"
    )


def test_planted_rows_are_copied_as_often_as_said_and_half_of_them_are_in(digits: Dataset) -> None:
    planting = Planting.drawn(digits.train, 100, KINDS, (1, 3), (8, 4, 20), False, 0)
    x, y, seen = planting.training()
    assert (len(x), len(y), seen.shape) == (100 + 3 * (4 + 12), 148, (8, 148))
    assert len(np.unique(seen.sum(1))) == 1 and (planting.saw.sum(3) == 2).all()
    assert (planting.as_if.sum(2) == 10).all() and seen[:, :100].all()
    flat = x[100:].reshape(48, -1)
    assert len(np.unique(flat, axis=0)) == 3 * 8, "three copies are one row"
    assert (
        np.array_equal(seen[:, 104], seen[:, 105])
        and np.array_equal(flat[4], flat[5])
        and not (flat[3] == flat[4]).all()
    )
    coins = Planting.drawn(digits.train, 100, KINDS, (1,), (400, 4, 20), True, 0).saw[:, 0, 0]
    assert np.abs(coins.mean(0) - 0.5).max() < 0.1 and len(np.unique(coins.sum(1))) > 2
    inside = {row.tobytes() for row in planting.host.x}
    assert not any(row.tobytes() in inside for row in planting.x.reshape(-1, *x.shape[1:]))


@pytest.mark.parametrize("name", ["german", "movies", "digits"])
def test_canaries_are_rows_that_a_learner_can_read(name: str) -> None:
    train = lk.data.load(name).train[:60]
    spare, sample = train[:20], train[20:]
    for kind in KINDS:
        x, y = made(kind, spare, sample, 20, np.random.default_rng(0))
        assert x.shape == spare.x.shape and x.dtype == train.x.dtype and np.isfinite(x).all()
        assert y.min() >= 0 and y.max() < len(train.classes)
        if kind == WRONG_LABEL:
            assert np.array_equal(x, spare.x) and (y != spare.y).all()
        for size, column in zip(train.schema.sizes, x.T):
            assert not size or set(column) <= set(range(size))
    mixed = made(MIXED_INPUT, spare, sample, 20, np.random.default_rng(0))[0].reshape(20, -1)
    known = sample.x.reshape(40, -1)
    assert all(set(column) <= set(here) for column, here in zip(mixed.T, known.T))
    if name == "german":
        noise, at = made(RANDOM_INPUT, spare, sample, 20, np.random.default_rng(0))[0], train.schema.sizes.index(0)
        assert not set(noise[:, at]) <= set(sample.x[:, at])
        assert noise[:, at].max() > sample.x[:, at].max() or noise[:, at].min() < sample.x[:, at].min()


SMALL = {"models": 12, "rows": 300, "twins": 60, "repeats": (1, 8), "count": 6, "kinds": (WRONG_LABEL, RANDOM_INPUT)}


@pytest.fixture(scope="module")
def learned(digits: Dataset):
    return lk.canaries(digits, fit=Fit(epochs=25, rate=3e-3), **SMALL)


def test_a_memoriser_shows_what_was_planted_the_more_copies_the_more(digits: Dataset, learned) -> None:
    digest = digits.train.digest
    assert (learned.exposure[:, 1] > learned.exposure[:, 0]).all()
    assert (learned.exposure_low[:, 1] > learned.exposure_absent[:, 1] + 2).all() and learned.exposure_low[
        :, 1
    ].min() > 3
    assert (learned.answered[:, 1] > 0.9).all() and (learned.answered_absent < 0.4).all()
    assert (learned.recognized_low[:, 1, 1] > learned.mistaken_high[:, 1]).all() and learned.noticed(1) == 1
    assert (learned.mistaken[:, 1] < 0.25).all() and digits.train.digest == digest
    statuses = {(f.check, f.subject): f.status for f in lk.check(learned)}
    assert statuses["canary_exposure", RANDOM_INPUT] == "does_not_meet"
    assert statuses["private_as_promised", ""] == "not_applicable"


def test_models_that_learned_nothing_show_nothing(digits: Dataset) -> None:
    record = lk.canaries(digits, fit=Fit(epochs=1, rate=1e-7), **SMALL)
    assert (record.recognized_low[..., 1] <= record.mistaken_high[:, None, 1]).all()
    assert (record.exposure_low <= record.exposure_absent).all()
    assert not any(record.noticed(k) for k in range(2))
    assert "does_not_meet" not in {f.status for f in lk.check(record)}


def test_private_models_show_nothing_of_single_canaries_and_keep_their_promise(digits: Dataset, learned) -> None:
    pytest.importorskip("opacus")
    fit = Fit(epochs=10, rate=1e-2, batch_size=100)
    record = lk.canaries(digits, fit=fit, private=Private(0.3, 1e-3), **SMALL)
    assert record.private and 0.27 < record.epsilon <= 0.3 and record.noise > 1
    assert (record.recognized_low[:, 0, 1] <= record.mistaken_high[:, 1]).all(), "chance is covered"
    assert (record.exposure[:, 0] < learned.exposure[:, 0]).all()
    assert record.guesses == 12 * 2 * 6 and record.least_epsilon <= record.epsilon
    (finding,) = lk.check(record, only=["private_as_promised"])
    assert finding.status == "meets" and "epsilon" in lk.says(record)
    # a promise that was not kept: nine tenths of the guesses are right
    broken = replace(record, right=130, least_epsilon=least_epsilon(130, 144, 1e-3, 0.99))
    (finding,) = lk.check(broken, only=["private_as_promised"])
    assert finding.status == "does_not_meet" and broken.least_epsilon > 1


def test_the_record_is_kept_and_shown(learned, tmp_path) -> None:
    assert lk.load(lk.save(learned, tmp_path / "c.lk")).digest == learned.digest
    assert len(lk.rows(learned)) == 4 and "random input" in lk.says(learned)
    assert "<svg" in svg(lk.figure(learned), name="c")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"kinds": ("wrong",)}, "wrong label"),
        ({"repeats": (0,)}, "from 1"),
        ({"repeats": 0}, "from 1"),
        ({"fpr": 1.0}, "between 0 and 1"),
        ({"kinds": "wrong"}, "'wrong'"),
        ({"repeats": ()}, "at least one"),
        ({"fpr": (0.0, 0.1)}, "between 0 and 1"),
        ({"models": 2}, "from 8"),
        ({"twins": 2000}, "smaller count= and twins="),
        ({"private": 2.0}, "Private"),
        ({"learner": "own"}, "network"),
    ],
)
def test_what_cannot_be_planted_is_refused(digits: Dataset, options, words: str) -> None:
    with pytest.raises(lk.Refused) as refused:
        lk.canaries(digits, **options)
    assert words in str(refused.value)
    with pytest.raises(lk.Refused, match="a Dataset"):
        lk.canaries(digits.train)


def test_the_fewest_copies_come_first_whatever_their_order(digits: Dataset) -> None:
    small = {"count": 2, "twins": 20, "models": 8, "rows": 60, "kinds": "wrong label", "fit": Fit(epochs=1)}
    record = lk.canaries(digits, repeats=(3, 1, 3), fpr=0.1, **small)
    assert record.repeats == (1, 3) and record.exposure.shape == (1, 2) and "planted once" in lk.says(record)
