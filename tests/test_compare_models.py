"""Two models on the same people, several runs a side, and the best of many chosen on the rows that say so."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binomtest, rankdata, ttest_ind

import labkit as lk
from labkit.analyses._measure import Measure
from labkit.analyses._pairs.draws import Pair
from labkit.core import intervals, pairs
from labkit.core.winners import noise, steadied, winner
from labkit.views._static import svg


def people(n: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    y = generator.integers(0, 2, n)
    return y, y * 1.5 + generator.normal(size=n), np.where(generator.random(n) < 0.4, "a", "b")


def scored(y: np.ndarray, z: np.ndarray, group: np.ndarray, noise: float, seed: int) -> lk.Predictions:
    """A model that sees what the others see, and some noise of its own."""
    seen = z + noise * np.random.default_rng(seed).normal(size=len(y))
    frame = pd.DataFrame({"y": y, "s": 1 / (1 + np.exp(-1.5 * (seen - 0.75))), "g": group})
    return lk.Predictions.from_frame(frame, y="y", score="s", threshold=0.5, groups=["g"], name=f"m{seed}")


def labelled(y: np.ndarray, right: np.ndarray) -> lk.Predictions:
    return replace(EMPTY, y=y, label=np.where(right, y, 1 - y))


EMPTY = lk.Predictions.from_frame(pd.DataFrame({"y": [0, 1], "l": [0, 1]}), y="y", label="l")


def cell(record: object, metric: str, group: int = 0) -> dict[str, float]:
    m = record.metrics.index(metric)
    return {k: float(getattr(record, k)[m, group]) for k in ("difference", "low", "high", "p", "p_worse", "p_better")}


def test_accuracy_is_mcnemars_and_bonett_and_prices() -> None:
    made = people(300, 0)
    a, b = scored(*made, 0.2, 1), scored(*made, 1.5, 2)
    found = lk.compare_models(a, b, "accuracy", by="g")
    for g, rows in enumerate([np.arange(300), *(np.flatnonzero(made[2] == v) for v in "ab")]):
        gained = int(((a.label != a.y) & (b.label == b.y))[rows].sum())
        lost = int(((a.label == a.y) & (b.label != b.y))[rows].sum())
        assert cell(found, "accuracy", g)["difference"] == pytest.approx((gained - lost) / len(rows))
        assert cell(found, "accuracy", g)["p"] == pytest.approx(binomtest(gained, gained + lost).pvalue)
        ends = intervals.paired(gained, lost, len(rows))
        assert (found.low[0, g], found.high[0, g]) == pytest.approx(ends)
    assert found.only_a + found.only_b + found.both_right + found.both_wrong == 300
    assert found.p_holm.max() <= 1 and (found.p_holm >= found.p).all()
    assert "two files" in " ".join(found.warnings)


def test_paired_areas_are_delongs_by_pairs_of_rows() -> None:
    y, z, group = people(90, 1)
    first, other = (np.round(scored(y, z, group, noise, 3).proba[:, 1], 1) for noise in (0.5, 2.0))
    over, under = [], []
    for score in (first, other):
        apart = score[y == 1][:, None] - score[y == 0][None]
        won = (apart > 0) + (apart == 0) / 2
        over.append(won.mean(1))
        under.append(won.mean(0))
    variance = sum(np.var(v[0] - v[1], ddof=1) / len(v[0]) for v in (over, under))
    size, low, high, p = pairs.delong(y, first, other)
    assert size == pytest.approx(over[0].mean() - over[1].mean())
    assert (high - low) / 2 == pytest.approx(1.959964 * variance**0.5)
    assert 0 < p < 1 and pairs.delong(y, first, first)[3] == 1
    ranked = rankdata(first)
    assert pairs.delong(y, ranked, first)[0] == 0 and np.isnan(pairs.delong(np.ones(5), first[:5], first[:5])[0])


def test_exchanging_answers_and_drawing_rows_are_what_they_say() -> None:
    made = people(200, 2)
    a, b = scored(*made, 0.3, 1), scored(*made, 0.9, 2)
    coins = np.random.default_rng(0).random((5, 200)) < 0.5
    for metric in ("auc", "accuracy", "f1"):
        first, other = (Measure("t", metric, p, 1) for p in (a, b))
        got = Pair(first, other, np.arange(200)).exchanged(coins)
        for row, value in zip(coins, got):
            mixed = [
                replace(p, label=np.where(row, q.label, p.label), proba=np.where(row[:, None], q.proba, p.proba))
                for p, q in ((a, b), (b, a))
            ]
            values = [float(Measure("t", metric, p, 1).value()) for p in mixed]
            assert value == pytest.approx(values[1] - values[0])
    drawn = Pair(*(Measure("t", "auc", p, 1) for p in (a, b)), np.arange(200)).bootstrap(800, np.random.default_rng(0))
    low, high = (pairs.delong(made[0], b.proba[:, 1], a.proba[:, 1])[i] for i in (1, 2))
    assert drawn.std() == pytest.approx((high - low) / 3.92, rel=0.12)


def test_of_like_models_few_are_called_worse_and_worse_ones_are() -> None:
    called, alarms, tried = 0, 0, 0
    for seed in range(30):
        made = people(150, seed)
        a, b = scored(*made, 0.6, 2 * seed + 1), scored(*made, 0.6, 2 * seed + 2)
        found = lk.compare_models(a, b, ["accuracy", "auc"], by="g", alarm=0.05, replicates=100, seed=seed)
        verdicts = {found.verdict(m, g) for m, g in np.ndindex(found.difference.shape)}
        called, alarms, tried = called + ("worse" in verdicts), alarms + found.alarms, tried + found.pairs
    assert called <= 5 and 0.03 < alarms / tried < 0.07
    made = people(600, 0)
    bad = lk.compare_models(scored(*made, 0.2, 1), scored(*made, 2.5, 2), by="g")
    assert all(bad.verdict(m, 0) == "worse" for m in range(len(bad.metrics))) and "is worse in" in lk.says(bad)
    assert {f.status for f in lk.check(bad)} <= {"does_not_meet", "inconclusive"}
    turned = lk.compare_models(scored(*made, 2.5, 2), scored(*made, 0.2, 1), by="g")
    assert np.allclose(turned.difference, -bad.difference) and turned.verdict(0, 0) == "better"


def test_margin_equivalence_and_who_is_too_few() -> None:
    made = people(1200, 3)
    a, b = scored(*made, 0.3, 1), scored(*made, 0.3, 2)
    wide, narrow = (lk.compare_models(a, b, "auc", margin=m, replicates=500) for m in (0.1, 0.0001))
    assert wide.verdict(0, 0) == "within the margin" and narrow.verdict(0, 0) == "no difference shown"
    assert lk.check(wide)[0].status == "meets"
    worse = lk.compare_models(a, scored(*made, 0.9, 3), "auc", margin=0.1, replicates=500)
    assert worse.p_worse[0, 0] > 0.5 and lk.compare_models(a, scored(*made, 0.9, 3), "auc").verdict(0, 0) == "worse"
    few = (made[0][:100], made[1][:100], np.where(np.arange(100) < 8, "few", "many"))
    found = lk.compare_models(scored(*few, 0.2, 1), scored(*few, 2.5, 2), "accuracy", by="g")
    assert found.verdict(0, found.group.index("few")) == "not measured" and np.isnan(found.p_holm[0, 1])
    same = lk.compare_models(a, replace(a), "accuracy", by="g")
    assert (same.p == 1).all() and (same.p_worse == 1).all() and same.verdict(0, 0) == "no difference shown"


def runs_of(count: int, accuracy: float, spread: float, seed: int, y: np.ndarray, hard: np.ndarray) -> list:
    """Runs with an accuracy of their own, on rows of which some are harder than others."""
    generator = np.random.default_rng(seed)
    own = generator.normal(accuracy, spread, count)
    return [labelled(y, hard * 0.3 + generator.random(len(y)) * 0.7 < _quantile(q)) for q in own]


GRID = np.sort(np.add.outer(0.3 * np.linspace(0, 1, 300), 0.7 * np.linspace(0, 1, 300)).ravel())


def _quantile(share: float) -> float:
    return float(GRID[int(np.clip(share, 0, 1) * (len(GRID) - 1))])


def test_g10_several_runs_a_side_count_the_noise_of_training() -> None:
    worse = covered = fooled = 0
    for seed in range(30):
        generator = np.random.default_rng(1000 + seed)
        y, hard = generator.integers(0, 2, 300), generator.random(300)
        a, b = (runs_of(4, 0.8, 0.04, 2 * seed + i, y, hard) for i in (0, 1))
        found = lk.compare_models(a, b, "accuracy", alarm=0.05)
        covered += found.low[0, 0] <= 0 <= found.high[0, 0]
        worse += found.verdict(0, 0) == "worse"
        fooled += lk.compare_models(a[0], b[0], "accuracy", replicates=500).p[0, 0] < 0.05
    assert covered >= 26 and worse <= 4
    assert fooled > 4, "one file a side is told apart too often: the files do differ, the procedures do not"
    assert found.error_runs[0] > found.error_rows[0] > 0 and found.pairs == 0 and found.runs_a.shape == (1, 4)
    shifted = lk.compare_models(a, runs_of(6, 0.6, 0.02, 7, y, hard), "accuracy")
    assert shifted.verdict(0, 0) == "worse" and "6 and 4 training runs" in lk.says(shifted)
    alone = lk.compare_models(a, b[0], "accuracy")
    assert any("single training run" in w for w in alone.warnings)


def test_welch_is_students_where_rows_add_nothing() -> None:
    one, other = np.array([0.8, 0.82, 0.79, 0.85]), np.array([0.7, 0.76, 0.72])
    variances = [v.var(ddof=1) / len(v) for v in (one, other)]
    low, high, above = pairs.welch(one.mean() - other.mean(), variances, [3, 2])
    known = ttest_ind(one, other, equal_var=False)
    ends = known.confidence_interval()
    assert (low, high) == pytest.approx((ends.low, ends.high)) and 2 * above == pytest.approx(known.pvalue)


def test_other_people_and_bad_input_are_refused() -> None:
    made = people(100, 0)
    a, b = scored(*made, 0.2, 1), scored(*made, 0.5, 2)
    rows = np.arange(100, dtype=np.uint64)
    inputs = replace(a, row=rows)
    for first, other, options, match in (
        (a, scored(*people(100, 1), 0.2, 1), {}, "truth differs"),
        (a, scored(*people(90, 0), 0.2, 1), {}, "100 and 90 rows"),
        (inputs, replace(b, row=rows[::-1].copy()), {}, "another order"),
        (inputs, replace(b, row=rows + 5), {}, "other inputs in 100 of 100"),
        (a, b, {"alarm": 0.001}, "too few"),
        (a, b, {"alarm": 2}, "alarm"),
        (a, b, {"margin": -1}, "margin"),
        (a, b, {"by": "height"}, "height"),
        (a, [b, "b"], {}, "a str as b"),
        ([], b, {}, "no predictions as a"),
        (replace(a, proba=None), b, {"metrics": "auc"}, "probabilities"),
    ):
        with pytest.raises(lk.Refused, match=match):
            lk.compare_models(first, other, **options)


def test_it_is_drawn_told_and_stored(tmp_path) -> None:
    made = people(150, 0)
    sides = [[scored(*made, noise, 10 * i + j) for j in range(3)] for i, noise in enumerate((0.2, 0.9))]
    for a, b in ((sides[0][0], sides[1][0]), sides):
        found = lk.compare_models(a, b, by="g", margin=0.02, replicates=500)
        assert lk.load(lk.save(found, tmp_path / "c.lk")).digest == found.digest
        assert len(lk.rows(found)) == found.difference.size
        assert "everybody" in svg(lk.figure(found), name="c") and "same 150 people" in lk.says(found)


@pytest.mark.parametrize(
    ("k", "truth", "together"),
    [
        (2, np.array([0.8, 0.8]), 0.0),
        (10, np.full(10, 0.7), 0.9),
        (10, np.linspace(0.6, 0.8, 10), 0.0),
    ],
    ids=["two alike", "ten alike, correlated", "ten unlike"],
)
def test_the_corrected_interval_covers(k: int, truth: np.ndarray, together: float) -> None:
    covered = 0
    for seed in range(60):
        generator = np.random.default_rng(seed)
        shared = generator.random((100, k)) < together
        chance = np.where(shared, generator.random((100, 1)), generator.random((100, k)))
        found = lk.winners_curse([labelled(np.arange(100) % 2, right) for right in (chance < truth).T], seed=seed)
        covered += found.corrected_low <= truth[found.chosen] <= found.corrected_high
    assert covered >= 53


@pytest.mark.parametrize("truth", [np.zeros(200), np.linspace(-2, 2, 200), np.r_[3.0, np.zeros(199)]])
def test_of_two_hundred_the_winners_interval_covers_and_the_naive_one_does_not(truth: np.ndarray) -> None:
    generator = np.random.default_rng(0)
    covariance = np.full((200, 200), 0.3) + 0.7 * np.eye(200)
    deviations = noise(covariance, 2000, generator)
    covered = naive = above = 0
    for drawn in noise(covariance, 400, generator):
        values = truth + drawn
        mine = truth[values.argmax()]
        estimate, low, high = winner(values, covariance, deviations)
        covered, above = covered + (low <= mine <= high), above + (estimate > mine)
        naive += abs(values.max() - mine) <= 1.96
    assert 0.93 <= covered / 400 <= 0.98 and 0.42 < above / 400 < 0.58
    assert naive < covered and (truth.any() or naive < 200)


def test_g11_the_best_of_two_hundred_random_guesses_is_a_guess() -> None:
    generator = np.random.default_rng(0)
    y = generator.integers(0, 2, 100)
    found = lk.winners_curse([labelled(y, generator.random(100) < 0.5) for _ in range(200)])
    assert found.naive > 0.6 and found.corrected_low < 0.5 < found.corrected_high and found.p > 0.05
    (told,) = lk.check(found)
    assert told.status in ("inconclusive", "does_not_meet") and "no further than" in lk.says(found)
    sound = [labelled(y, generator.random(100) < share) for share in (0.95, 0.6, 0.55, 0.5)]
    kept = lk.winners_curse(sound)
    assert lk.check(kept)[0].status == "meets" and kept.chosen == 0 and kept.curse < 0.02


def test_like_candidates_are_seldom_told_ahead() -> None:
    ahead = 0
    for seed in range(60):
        generator = np.random.default_rng(seed)
        y = np.arange(120) % 2
        ahead += lk.winners_curse([labelled(y, generator.random(120) < 0.7) for _ in range(6)], seed=seed).p < 0.05
    assert ahead <= 8


def test_the_winner_alone_has_the_usual_interval_and_a_clear_one_keeps_its_value() -> None:
    generator = np.random.default_rng(0)

    def told(values: list[float], covariance: np.ndarray) -> tuple[float, float, float]:
        return winner(np.array(values), covariance, noise(covariance, 4000, generator))

    estimate, low, high = told([0.3], np.array([[0.01]]))
    assert estimate == pytest.approx(0.3, abs=1e-6) and (low, high) == pytest.approx((0.104, 0.496), abs=0.004)
    clear = told([5.0, 0.0, 0.1], np.eye(3) * 0.01)
    assert clear == pytest.approx((5.0, 4.804, 5.196), abs=0.006)
    close = told([0.01, 0.0], np.eye(2))
    assert close[0] < -0.3 and close[1] < -2, "a winner by a hair is worth less than it shows"
    noisy = np.corrcoef(generator.normal(size=(40, 60)))
    assert np.abs(steadied(noisy, 60) - np.eye(40)).max() < np.abs(noisy - np.eye(40)).max() / 3
    blocks = np.kron(np.eye(2), np.full((4, 4), 0.9)) + 0.1 * np.eye(8)
    assert np.allclose(steadied(blocks, 5000), blocks, atol=0.01)


@pytest.mark.parametrize("metric", ["auc", "log_loss", "f1"])
def test_other_metrics_are_corrected_by_a_bootstrap(metric: str, tmp_path) -> None:
    made = people(150, 5)
    found = lk.winners_curse([scored(*made, 0.6, s) for s in range(8)], metric, replicates=300)
    assert found.method == "hybrid, bootstrap" and found.better == (-1 if metric == "log_loss" else 1)
    ordered = found.values * found.better
    assert found.chosen == ordered.argmax() and found.corrected_low < found.corrected_high
    assert lk.load(lk.save(found, tmp_path / "w.lk")).digest == found.digest
    assert "8 candidates" in svg(lk.figure(found), name="w") and len(lk.rows(found)) == 9


def test_what_is_no_choice_is_refused() -> None:
    made = people(60, 0)
    a = scored(*made, 0.2, 1)
    for candidates, metric, match in (
        ([a], "accuracy", "one candidate"),
        ([a, scored(*people(60, 9), 0.2, 1)], "accuracy", "truth differs"),
        ([a, a], "selection_rate", "neither more nor less"),
        (["a", "b"], "accuracy", "a str as candidates"),
    ):
        with pytest.raises(lk.Refused, match=match):
            lk.winners_curse(candidates, metric)


def test_areas_without_spread_are_apart_all_the_same() -> None:
    y = np.repeat([0, 1], 50)
    perfect, constant = y.astype(float), np.zeros(100)
    for other, size in ((constant, 0.5), (-perfect, 1.0)):
        apart, low, high, p = pairs.delong(y, perfect, other)
        assert apart == size and low <= apart <= high and low > 0 and p < 1e-9
    drawn = np.random.default_rng(0).normal(size=(2, 100))
    alone = np.arange(100) == 7
    apart, low, high, p = pairs.delong(alone.astype(int), *drawn)
    assert p == 1 and low < 0 < high and low <= apart <= high  # one row of a class says nothing of others


def test_runs_that_never_differ_are_not_said_to() -> None:
    y = np.random.default_rng(0).integers(0, 2, 60)
    side = [labelled(y, np.ones(60, bool)) for _ in range(2)]
    found = cell(lk.compare_models(side, side, "accuracy"), "accuracy")
    assert found["difference"] == 0 and found["p"] == 1 and found["low"] < 0 < found["high"]
