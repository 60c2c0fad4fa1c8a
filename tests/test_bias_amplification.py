"""Directional bias amplification: enumerated tables, perfect and group-blind models, planted amplification over runs."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import labkit as lk
from labkit.core.record import Provenance


def answers(group, y, label, classes=("no", "yes"), name="g") -> lk.Predictions:
    return lk.Predictions(
        provenance=Provenance(analysis="predict", version=""),
        y=np.asarray(y),
        label=np.asarray(label),
        classes=tuple(classes),
        groups={name: np.asarray(group)},
    )


def slowly(given, told, guess, groups, classes, tie=None) -> float:
    """The paper's formula, term by term; the tie's direction from other pairs where they are given."""
    a, t = (given, told) if tie is None else tie
    terms = []
    for g in groups:
        for c in classes:
            joint = sum(x == g and z == c for x, z in zip(a, t)) / len(a)
            alone = sum(x == g for x in a) / len(a) * sum(z == c for z in t) / len(a)
            inside = [i for i in range(len(given)) if given[i] == g]
            delta = (sum(guess[i] == c for i in inside) - sum(told[i] == c for i in inside)) / len(inside)
            terms.append(delta if joint > alone else -delta)
    return sum(terms) / len(terms)


def draw(seed: int, n: int = 240):
    generator = np.random.default_rng(seed)
    group = generator.integers(0, 3, n)
    y = (group + (generator.random(n) < 0.5) * generator.integers(0, 4, n)) % 4
    label = np.where(generator.random(n) < 0.7, y, generator.integers(0, 4, n))
    return group, y, label, np.where(generator.random(n) < 0.8, group, generator.integers(0, 3, n))


@pytest.mark.parametrize("seed", range(3))
def test_both_directions_are_the_papers_formula_on_any_number_of_groups_and_classes(seed) -> None:
    group, y, label, guess = draw(seed)
    p = answers(group.astype(str), y, label, "wxyz")
    attribute = answers(group.astype(str), group, guess, "012")
    tg, ty, *_ = draw(seed + 10)
    train = answers(tg.astype(str), ty, ty, "wxyz")
    found = lk.bias_amplification(p, "g", train, attribute=attribute, replicates=100, least=1)
    assert list(zip(found.direction, found.reference)) == [
        ("A->T", "test"), ("A->T", "train"), ("T->A", "test"), ("T->A", "train")
    ]  # fmt: skip
    assert found.value[0] == pytest.approx(slowly(group, y, label, range(3), range(4), (tg, ty)))
    assert found.value[2] == pytest.approx(slowly(y, group, guess, range(4), range(3), (ty, tg)))
    plain = lk.bias_amplification(p, "g", attribute=attribute, replicates=100, least=1)
    assert plain.value[0] == pytest.approx(slowly(group, y, label, range(3), range(4)))
    assert plain.value[1] == pytest.approx(slowly(y, group, guess, range(4), range(3)))
    shares = np.array([[np.mean(ty[tg == g] == c) for c in range(4)] for g in range(3)])
    told = np.array([[np.mean(label[group == g] == c) for c in range(4)] for g in range(3)])
    assert found.term[1] == pytest.approx(found.sign[1] * (told - shares))
    assert (found.low <= found.value).all() and (found.value <= found.high).all()


def test_a_table_by_hand() -> None:
    # 10 women of whom 7 cook, 10 men of whom 3 do; the model says 8 and 2
    group = np.repeat(["woman", "man"], 10)
    y = np.r_[np.arange(10) < 7, np.arange(10) < 3].astype(int)
    label = np.r_[np.arange(10) < 8, np.arange(10) < 2].astype(int)
    found = lk.bias_amplification(answers(group, y, label), "g", replicates=200)
    assert found.value[0] == pytest.approx(0.1) and found.term[0] == pytest.approx(0.1)
    assert found.sign[0].tolist() == [[1, -1], [-1, 1]] and found.groups == ("man", "woman")
    assert any("fewer than two" in w for w in found.warnings)


def test_a_perfect_model_gives_0_and_no_certainty() -> None:
    group, y, *_ = draw(5)
    found = lk.bias_amplification(answers(group.astype(str), y, y, "wxyz"), "g", replicates=100)
    assert found.value[0] == 0 and found.term[0] == pytest.approx(0) and found.p[0] == 1
    assert -0.05 < found.low[0] < 0 < found.high[0] < 0.05


def test_group_blind_errors_stand_in_their_null_and_cover() -> None:
    """Errors that ignore the group: p is uniform, and the interval covers the value of infinitely many people."""
    shares = np.array([[0.7, 0.3], [0.3, 0.7]])  # P(y | group)
    truth = 0.8 * shares[0, 0] + 0.2 * shares[0, 1] - shares[0, 0]
    p, covered = [], 0
    for seed in range(80):
        generator = np.random.default_rng(seed)
        group = generator.integers(0, 2, 400)
        y = (generator.random(400) < shares[group, 1]).astype(int)
        label = np.where(generator.random(400) < 0.8, y, 1 - y)
        found = lk.bias_amplification(answers(group.astype(str), y, label), "g", replicates=200)
        p.append(found.p[0])
        covered += found.low[0] <= truth <= found.high[0]
    assert np.mean(np.array(p) < 0.05) < 0.12 and 0.35 < np.mean(p) < 0.65
    assert covered >= 71
    assert found.null_mean[0] == pytest.approx(truth, abs=0.03)


def planted(seed: int, delta: float, runs: int) -> list[lk.Predictions]:
    """A hard class and an easy group that is tied to it: what is learned leans on the group (Hall and others, 2022)."""
    from sklearn.linear_model import LogisticRegression

    generator = np.random.default_rng(seed)

    def people(n: int):
        y = generator.integers(0, 2, n)
        group = (generator.random(n) < np.where(y == 1, 0.5 + delta, 0.5 - delta)).astype(int)
        x = np.column_stack([generator.normal(size=(n, 5)) + 0.25 * y[:, None], group])
        return x, y, group

    x, y, group = people(1500)
    found = []
    for _ in range(runs):
        tx, ty, _ = people(600)
        found.append(answers(group.astype(str), y, LogisticRegression().fit(tx, ty).predict(x)))
    return found


def test_planted_amplification_is_found_over_runs_and_not_without_a_tie() -> None:
    tied, loose = planted(0, 0.2, 10), planted(1, 0.0, 10)
    found, sound = (lk.bias_amplification(runs, "g", replicates=200) for runs in (tied, loose))
    assert found.low[0] > 0.05 and found.p[0] < 0.01 and found.runs == 10
    assert [f.status for f in lk.check(found, only=["amplified_bias"])] == ["does_not_meet"]
    assert abs(sound.value[0]) < 0.03 and sound.low[0] < 0.01
    single = lk.bias_amplification(tied[0], "g", replicates=200)
    assert any("one training run" in w for w in single.warnings) and np.isnan(single.runs_sd[0])
    assert single.by_run[0, 0] == pytest.approx(found.by_run[0, 0])
    assert found.value[0] == pytest.approx(found.by_run[0].mean())
    assert found.runs_sd[0] == pytest.approx(found.by_run[0].std(ddof=1))
    few = lk.check(lk.bias_amplification(loose[:2], "g", replicates=200), only=["amplified_bias"])[0]
    assert few.status != "meets" and "5 or more tell" in few.says


def test_the_interval_over_runs_covers_where_runs_differ() -> None:
    """Each run moves its answers among one group by its own chance; the mean over all such runs is known."""
    covered = 0
    for seed in range(60):
        generator = np.random.default_rng(seed)
        group = np.repeat([0, 1], 300)
        y = (np.arange(600) % 300 < np.where(group == 1, 180, 120)).astype(int)
        runs = []
        for _ in range(3):
            label = y.copy()
            flip = np.flatnonzero((group == 1) & (y == 0))[: np.clip(round(60 + 25 * generator.normal()), 0, 120)]
            label[flip] = 1
            runs.append(answers(group.astype(str), y, label))
        found = lk.bias_amplification(runs, "g", replicates=100)
        covered += found.low[0] <= 60 / 300 / 2 <= found.high[0]
    assert covered >= 54


def test_what_is_refused() -> None:
    group, y, label, guess = draw(0)
    p = answers(group.astype(str), y, label, "wxyz")
    with pytest.raises(lk.Refused, match="two groups"):
        lk.bias_amplification(answers(np.full(240, "a"), y, label, "wxyz"), "g")
    with pytest.raises(lk.Refused, match="other people"):
        lk.bias_amplification([p, answers(group.astype(str)[::-1], y, label, "wxyz")], "g")
    with pytest.raises(lk.Refused, match="one of 0, 1, 2"):
        lk.bias_amplification(p, "g", attribute=answers(group.astype(str), group, guess, "abc"))
    with pytest.raises(lk.Refused, match="truth is not the group"):
        lk.bias_amplification(p, "g", attribute=answers(group.astype(str), guess, guess, "012"))
    with pytest.raises(lk.Refused, match="in this order"):
        lk.bias_amplification(p, "g", replace(p, classes=("z", "y", "x", "w")))
    with pytest.raises(lk.Refused, match="replicates=100"):
        lk.bias_amplification(p, "g", replicates=10)
    with pytest.raises(lk.Refused):
        lk.bias_amplification(p, "g", np.zeros(3))


def test_unknown_groups_and_small_ones_are_told() -> None:
    group, y, label, _ = draw(2)
    names = group.astype(str)
    names[:10], names[10:20] = "", "rare"
    found = lk.bias_amplification(answers(names, y, label, "wxyz"), "g", replicates=100)
    assert found.n == 230 and any("10 of 240 people have no known g" in w for w in found.warnings)
    at = found.groups.index("rare")
    assert not found.counted[0][at].any() and found.counted[0].sum() == 12
    assert np.isfinite(found.term[0][at]).all()
    assert found.value[0] == pytest.approx(found.term[0][found.counted[0]].mean())


def test_it_is_drawn_told_and_kept(tmp_path) -> None:
    found = lk.bias_amplification(planted(0, 0.2, 3), "g", replicates=100)
    told = lk.says(found)
    assert "follow the group more than the truth does" in told and "3 training runs" in told
    table = lk.rows(found)
    assert len(table) == 5 and table.value[0] == found.value[0]
    assert len(lk.figure(found).data) == 2
    lk.save(found, tmp_path / "a.lk")
    assert lk.load(tmp_path / "a.lk").digest == found.digest
