"""Calibration against models whose calibration is known."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.isotonic import IsotonicRegression
from sklearn.metrics import brier_score_loss, log_loss

import labkit as lk
from labkit.metrics.expected_calibration_error import expected_calibration_error


def scored(n: int, seed: int, sharpen: float = 1.0) -> lk.Predictions:
    """Outcomes drawn with known probabilities; stated log-odds are multiplied by ``sharpen``."""
    generator = np.random.default_rng(seed)
    z = 1.5 * generator.normal(size=n)
    y = (generator.random(n) < 1 / (1 + np.exp(-z))).astype(int)
    frame = pd.DataFrame({"y": y, "s": 1 / (1 + np.exp(-z * sharpen))})
    return lk.Predictions.from_frame(frame, y="y", score="s", threshold=0.5)


@pytest.fixture(scope="module")
def sound():
    return lk.calibration(scored(3000, 0), replicates=300)


@pytest.fixture(scope="module")
def overconfident():
    return lk.calibration(scored(3000, 0, 2.0), replicates=300)


def test_its_numbers_equal_scikit_learns(sound) -> None:
    p = scored(3000, 0)
    s, y = p.proba[:, 1], p.y
    assert sound.brier == pytest.approx(brier_score_loss(y, s))
    assert sound.log_loss == pytest.approx(log_loss(y, s))
    fitted = IsotonicRegression().fit(s, y)
    assert sound.frequency == pytest.approx(fitted.predict(sound.score))
    assert sound.miscalibration == pytest.approx(sound.brier - brier_score_loss(y, fitted.predict(s)))


def test_the_brier_score_is_the_sum_of_its_parts(sound, overconfident) -> None:
    for c in (sound, overconfident):
        assert c.brier == pytest.approx(c.miscalibration - c.discrimination + c.uncertainty)
        assert c.miscalibration >= 0 and c.discrimination >= 0
        assert c.brier_low < c.brier < c.brier_high
    assert overconfident.discrimination == pytest.approx(sound.discrimination), "order alone decides it"
    assert overconfident.miscalibration > 3 * overconfident.miscalibration95


def test_a_calibrated_model_is_within_its_band_and_an_overconfident_one_is_not(sound, overconfident) -> None:
    def outside(c) -> float:
        return float(np.mean((c.frequency < c.band_low - 1e-9) | (c.frequency > c.band_high + 1e-9)))

    assert outside(sound) < 0.15 < 0.4 < outside(overconfident)
    statuses = [lk.check(c, only=["calibrated"])[0].status for c in (sound, overconfident)]
    assert statuses == ["meets", "does_not_meet"]


@pytest.mark.parametrize("n", [100, 1000])
def test_a_calibrated_model_is_seldom_called_miscalibrated(n: int) -> None:
    found = [lk.calibration(scored(n, seed), replicates=150, seed=seed) for seed in range(60)]
    assert sum(c.p < 0.05 for c in found) <= 7
    assert sum(c.miscalibration > c.miscalibration95 for c in found) <= 8
    assert sum(c.p > 0.5 for c in found) >= 15, "a test that never doubts"


def test_the_null_is_that_of_outcomes_drawn_with_the_stated_probabilities() -> None:
    p, generator = scored(400, 1), np.random.default_rng(5)
    s, errors, gains = p.proba[:, 1], [], []
    for _ in range(500):
        y = generator.random(400) < s
        errors.append(expected_calibration_error(y, s))
        gains.append(brier_score_loss(y, s) - brier_score_loss(y, IsotonicRegression().fit(s, y).predict(s)))
    found = lk.calibration(p, replicates=1500)
    assert found.ece95 == pytest.approx(np.quantile(errors, 0.95), rel=0.08)
    assert found.miscalibration95 == pytest.approx(np.quantile(gains, 0.95), rel=0.12)


def test_few_rows_are_inconclusive_and_say_so() -> None:
    told = lk.check(lk.calibration(scored(60, 0), replicates=200), only=["calibrated"])[0]
    assert told.status == "inconclusive" and "Too few rows" in told.says
    told = lk.check(lk.calibration(scored(20, 0), replicates=200), only=["calibrated"])[0]
    assert told.status == "inconclusive" and "settle nothing" in told.says
    told = lk.check(lk.calibration(scored(3000, 0), replicates=150), only=["calibrated"])[0]
    assert told.status == "inconclusive" and "150 draws cannot tell" in told.says


def test_of_several_classes_it_is_the_answers_confidence(digits, mlp, tmp_path) -> None:
    p = lk.predict(mlp, digits.test)
    found = lk.calibration(p, replicates=200)
    assert found.event == "the answer is right"
    assert found.base_rate == pytest.approx((p.y == p.label).mean())
    assert found.log_loss == pytest.approx(log_loss(p.y, p.proba, labels=range(10)), rel=1e-6)
    three = lk.calibration(p, positive="3", replicates=200)
    assert three.event == "3" and three.base_rate == pytest.approx((p.y == 3).mean())
    again = lk.load(lk.save(found, tmp_path / "calibration.lk"))
    assert again.digest == found.digest and again.count.sum() == len(p)
    assert len(lk.rows(found)) == len(found.score) and f"{len(p)} rows" in lk.says(found)
    assert len(lk.figure(found).data) == 4


def test_it_does_not_depend_on_row_order_and_repeats_with_its_seed() -> None:
    p = scored(500, 3)
    order = np.random.default_rng(0).permutation(500)
    frame = pd.DataFrame({"y": p.y, "s": p.proba[:, 1]})
    mixed = lk.Predictions.from_frame(frame.iloc[order], y="y", score="s", threshold=0.5)
    first, second = (lk.calibration(q, replicates=100) for q in (p, mixed))
    for name in ("ece", "ece95", "p", "miscalibration", "brier"):
        assert getattr(first, name) == pytest.approx(getattr(second, name), abs=1e-12)
    assert lk.calibration(p, replicates=100).digest == first.digest


def test_labels_alone_are_refused_with_what_would_do() -> None:
    p = lk.Predictions.from_frame(pd.DataFrame({"y": [0, 1], "label": [0, 1]}), y="y", label="label")
    with pytest.raises(lk.Refused, match="score= or proba="):
        lk.calibration(p)
