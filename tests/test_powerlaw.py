"""Power laws and the noise of curves: against known laws, against scipy, and intervals by simulation."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy.optimize import curve_fit

from labkit.analyses._curve.noise import by_seeds_and_rows, deviations, humps, valley
from labkit.core import powerlaw, resampling

N = np.array([32, 64, 128, 256, 512, 1024, 2048, 4096])


class TestLaw:
    @pytest.mark.parametrize("truth", [(1.5, 0.4, 0.0), (1.5, 0.4, 0.03), (2.5, 0.7, 0.05), (0.4, 0.07, 0.0)])
    def test_finds_the_law_that_made_the_errors(self, truth):
        a, b, c = truth
        found = powerlaw.fit(N, a * N**-b + c)
        assert np.allclose((found.a, found.b, found.c), truth, rtol=2e-3, atol=2e-3)

    def test_agrees_with_a_general_solver_on_noisy_errors(self):
        rng = np.random.default_rng(0)
        error = (1.5 * N**-0.4 + 0.03) * np.exp(0.05 * rng.normal(size=len(N)))
        mine = powerlaw.fit(N, error)
        spread = np.sqrt(error * (1 - error))
        theirs, _ = curve_fit(lambda n, a, b, c: a * n**-b + c, N, error, (1, 0.5, 0.01), spread, bounds=(0, [9, 3, 1]))
        assert np.allclose(mine([8, 3000, 20000]), powerlaw.PowerLaw(*theirs)([8, 3000, 20000]), rtol=1e-3)

    def test_many_curves_are_fitted_as_each_alone(self):
        rng = np.random.default_rng(0)
        error = (1.5 * N**-0.4) * np.exp(0.001 * rng.normal(size=(4, len(N))))
        together = powerlaw.fit(N, error)
        alone = [powerlaw.fit(N, e) for e in error]
        assert np.allclose(together.b, [float(v.b) for v in alone], atol=1e-3)

    def test_no_number_goes_below_nothing(self):
        rising = powerlaw.fit(N, np.linspace(0.1, 0.3, len(N)))
        assert rising.a == 0 and rising.c > 0
        steeper = powerlaw.fit(N, np.maximum(2 * N**-0.5 - 0.03, 1e-4))
        assert steeper.c == 0 and steeper.a > 0

    def test_is_read_backwards(self):
        law = powerlaw.PowerLaw(1.5, 0.4, 0.03)
        assert np.allclose(law(law.size(0.08)[None]), 0.08)
        assert law.size(0.03) == law.size(0.01) == np.inf


def judged(rng: np.random.Generator, error: np.ndarray, seeds: int, rows: int) -> np.ndarray:
    """(points, seeds, rows) wrong answers: seeds differ at each point, and two rows in five are harder for all."""
    by_seed = error[:, None] * np.exp(0.1 * rng.standard_normal((len(error), seeds)) - 0.005)
    hard = rng.random(rows) < 0.4
    chance = np.where(hard, 1.8 * by_seed[..., None], by_seed[..., None] * (1 - 0.4 * 1.8) / 0.6)
    return rng.random(chance.shape) < chance


def test_exponent_and_extrapolated_error_are_covered() -> None:
    """At 95 % over 40 curves, and the ratio of foretold to measured errors covers 1; 200 were looked at for each of three
    laws when this was written: exponents in 94 to 99 of 100, errors at four times the rows in 95 to 99."""
    covered = {"exponent": 0, "further": 0, "held out": 0}
    for world in range(40):
        rng = np.random.default_rng(world)
        wrong = judged(rng, 1.5 * N**-0.4 + 0.03, 5, 400)
        values, of_a_row = wrong.mean(2), wrong.mean(1)
        mean = values.mean(1)
        drawn = mean + deviations(values, of_a_row, 200, rng, together=False)
        law, laws = powerlaw.fit(N, mean), powerlaw.fit(N, drawn)
        low, high = resampling.bias_corrected(laws.b, float(law.b))
        covered["exponent"] += low <= 0.4 <= high
        low, high = resampling.bias_corrected(laws([4 * N[-1]])[:, 0], float(law([4 * N[-1]])[0]))
        covered["further"] += low <= 1.5 * (4 * N[-1]) ** -0.4 + 0.03 <= high
        first, firsts = powerlaw.fit(N[:6], mean[:6]), powerlaw.fit(N[:6], drawn[:, :6])
        ratio = np.log(np.maximum(firsts(N[6:]), 1e-3) / np.maximum(drawn[:, 6:], 1e-3)).mean(1)
        low, high = resampling.bias_corrected(ratio, float(np.log(first(N[6:]) / mean[6:]).mean()))
        covered["held out"] += low <= 0 <= high
    assert all(34 <= count <= 40 for count in covered.values()), covered


class TestNoise:
    def test_seeds_and_rows_are_both_covered(self):
        rng = np.random.default_rng(0)
        for error in (0.03, 0.3):
            worlds = [judged(rng, np.full(1, error), 5, 200) for _ in range(600)]
            ends = [by_seeds_and_rows(w.mean(2), 200, w.mean(1)) for w in worlds]
            covered = np.mean([a[0] <= error <= b[0] for a, b in ends])
            assert 0.93 <= covered <= 0.985, (error, covered)

    def test_one_seed_says_nothing_of_seeds(self):
        assert np.isnan(by_seeds_and_rows(np.array([[0.2], [0.1]]), 100)).all()

    def test_deviations_vary_as_seeds_and_rows_do(self):
        rng = np.random.default_rng(0)
        wrong = judged(rng, np.array([0.3, 0.1]), 30, 500)
        values, of_a_row = wrong.mean(2), wrong.mean(1)
        drawn = deviations(values, of_a_row, 8_000, rng, together=False)
        rows = np.cov(of_a_row, ddof=0) / 500
        seeds = np.diag(values.var(1, ddof=1) / 30) * 29 / 27  # Student's variance
        assert np.allclose(np.cov(drawn.T), rows + seeds, rtol=0.1, atol=4e-6)
        together = deviations(values, None, 8_000, rng, together=True)
        assert np.allclose(np.cov(together.T), np.cov(values) / 30 * 29 / 27, rtol=0.1, atol=4e-6)

    def test_a_hump_stands_above_both_sides(self):
        assert np.allclose(humps(np.array([3.0, 1, 2, 5, 4, 2, 6])), [0, 0, 0, 3, 2, 0, 0])
        assert not humps(np.array([5.0, 3, 1, 1, 2, 4])).any()

    def test_a_valley_is_the_nearest_curve_without_a_hump(self):
        rng = np.random.default_rng(0)
        levels = np.arange(0, 1.01, 0.25)
        grid = np.array([v for v in itertools.product(levels, repeat=5) if not humps(np.array(v)).any()])
        for _ in range(20):
            values = rng.random(5)
            found = valley(values)
            assert not (humps(found) > 1e-12).any()
            assert ((values - found) ** 2).sum() <= ((values - grid) ** 2).sum(1).min() + 1e-12

    @pytest.mark.parametrize(
        "shape", [np.linspace(0.5, 0.1, 9), 0.2 + 0.05 * np.linspace(-2, 1.5, 9) ** 2, np.full(9, 0.2)]
    )
    def test_noise_alone_is_seldom_called_a_peak(self, shape):
        alarms = 0
        for world in range(150):
            rng = np.random.default_rng(world)
            values = shape[:, None] + 0.03 * rng.standard_normal((9, 5))
            mean = values.mean(1)
            null = humps(valley(mean) + deviations(values, None, 300, rng, together=False)).max(1)
            alarms += resampling.share_as_large(null, float(humps(mean).max())) < 0.01
        assert alarms <= 4
