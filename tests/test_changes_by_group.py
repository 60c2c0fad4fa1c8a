"""Changes by group against simulated truth, enumeration and other libraries; pruned and rounded models by hand."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.stats import binomtest
from torch import nn

import labkit as lk
from labkit.analyses._groups.between import apart
from labkit.core.intervals import newcombe, paired, wilson
from labkit.models.compression import prune, quantize
from tests.conftest import train

N = 2000


def answered(y: np.ndarray, label: np.ndarray, group: np.ndarray) -> lk.Predictions:
    frame = pd.DataFrame({"y": y, "label": label, "group": group})
    return lk.Predictions.from_frame(frame, y="y", label="label", groups=["group"], classes=[0, 1])


def people(seed: int, flips: dict[str, float], n: int = N) -> tuple[lk.Predictions, lk.Predictions]:
    """Answers right for 8 of 10, and then turned over for a group's share of people."""
    generator = np.random.default_rng(seed)
    group = generator.choice(list(flips), n)
    y = generator.integers(0, 2, n)
    label = np.where(generator.random(n) < 0.8, y, 1 - y)
    other = np.where(generator.random(n) < np.vectorize(flips.get)(group), 1 - label, label)
    return answered(y, label, group), answered(y, other, group)


def test_counts_rates_and_tests_equal_what_pandas_and_scipy_give() -> None:
    before, after = people(0, {"a": 0.05, "b": 0.2, "c": 0.1})
    found = lk.changes_by_group(
        before, after, "group", ["accuracy", "true_positive_rate", "selection_rate"], replicates=100
    )
    frame = pd.DataFrame({"y": before.y, "b": before.label, "a": after.label, "g": before.groups["group"]})
    rows = lk.rows(found).set_index(["measure", "feature", "group"])
    for name, part in frame.groupby("g"):
        one = rows.loc["accuracy", "group", name]
        right, then = part.y == part.b, part.y == part.a
        assert (one.before, one.after) == (pytest.approx(right.mean()), pytest.approx(then.mean()))
        gained, lost = (~right & then).sum(), (right & ~then).sum()
        assert (one.gained, one.lost) == (gained, lost)
        assert one["p (McNemar)"] == pytest.approx(binomtest(gained, gained + lost).pvalue)
        assert (one.low, one.high) == pytest.approx(tuple(map(float, paired(gained, lost, len(part)))))
        positives = part[part.y == 1]
        one = rows.loc["true_positive_rate", "group", name]
        assert one.of == len(positives) and one.change == pytest.approx((positives.a - positives.b).mean())
        assert rows.loc["selection_rate", "group", name].change == pytest.approx((part.a - part.b).mean())
        one = rows.loc["other answer", "group", name]
        assert one.change == pytest.approx((part.a != part.b).mean()) and np.isnan(one["p (McNemar)"])
        assert (one.low, one.high) == pytest.approx(tuple(map(float, wilson((part.a != part.b).sum(), len(part)))))
    assert found.overall(0)[1] == pytest.approx((frame.a == frame.y).mean() - (frame.b == frame.y).mean())
    assert found.features == ("group", "true class") and found.n[-2:].sum() == N


def test_the_interval_of_a_difference_is_newcombes_where_values_are_independent_shares() -> None:
    hits, n = np.array([30, 12]), np.array([80, 90])
    found = apart(hits / n, lambda level: wilson(hits, n, level), n, np.zeros((100, 2)))
    low, high = newcombe(30, 80, 12, 90)
    assert (found["difference_low"], found["difference_high"]) == pytest.approx((float(low), float(high)))


def test_p_equals_the_share_of_all_ways_to_deal_people_to_groups() -> None:
    generator = np.random.default_rng(3)
    y, label = np.ones(8, int), np.array([1, 1, 1, 1, 0, 1, 1, 1])
    other = np.array([0, 0, 1, 1, 1, 1, 1, 1])
    group = np.array(list("aaaabbbb"))
    before, after = answered(y, label, group), answered(y, other, group)
    found = lk.changes_by_group(
        before, after, "group", least=1, least_of=1, replicates=6000, seed=int(generator.integers(9))
    )
    moved = (other == y).astype(int) - (label == y)
    seen = abs(moved[:4].mean() - moved[4:].mean())
    deals = [np.array(d, bool) for d in product([0, 1], repeat=8) if sum(d) == 4]
    exact = np.mean([abs(moved[d].mean() - moved[~d].mean()) >= seen - 1e-9 for d in deals])
    assert found.p[0, 0] == pytest.approx(exact, abs=0.025)


def test_a_group_that_loses_is_told_and_the_sound_twin_is_not() -> None:
    planted = lk.changes_by_group(*people(1, {"a": 0.02, "b": 0.25}), "group", replicates=500)
    status = {f.subject: f.status for f in lk.check(planted, only=["equal_changes"])}
    assert status["change of accuracy by group"] == "does_not_meet"
    assert planted.group[planted.lowest[0, 0]] == "b" and "accuracy falls in group b" in lk.says(planted)
    sound = lk.changes_by_group(*people(1, {"a": 0.02, "b": 0.02}), "group", replicates=500)
    assert {f.status for f in lk.check(sound, only=["equal_changes"])} == {"meets"}


def test_groups_that_change_alike_are_seldom_told_apart_and_intervals_hold_the_truth() -> None:
    told, held, largest = 0, 0, 0
    for seed in range(50):
        found = lk.changes_by_group(
            *people(seed, {"a": 0.1, "b": 0.1, "c": 0.1}, 400), "group", replicates=200, seed=seed
        )
        told += np.nanmin(found.p_holm) < 0.05
        low, high = found.interval()
        held += ((low[0, :3] <= -0.06) & (high[0, :3] >= -0.06)).sum()
        largest += found.difference_low[0, 0] == 0
    assert told <= 6 and held >= 0.91 * 150 and largest >= 46


def test_small_groups_are_shown_and_not_ranked() -> None:
    before, after = people(2, {"a": 0.1, "b": 0.1})
    group = before.groups["group"].astype("U8")
    group[:5], group[5:9] = "rare", ""
    pair = [replace(p, groups={"group": group}) for p in (before, after)]
    found = lk.changes_by_group(*pair, "group", replicates=200)
    at = list(found.group).index("rare")
    assert found.n[at] == 5 and not found.ranked[:, at].any() and not np.isnan(found.change[0, at])
    assert at not in (found.highest[0, 0], found.lowest[0, 0]) and found.unknown[0] == 4
    alone = lk.changes_by_group(*(_first(p, 20) for p in (before, after)), "group")
    assert alone.status == "not_measured" and lk.says(alone).startswith("Not measured because")


def _first(p: lk.Predictions, n: int) -> lk.Predictions:
    return replace(p, y=p.y[:n], label=p.label[:n], groups={k: v[:n] for k, v in p.groups.items()})


def test_other_people_another_order_and_other_metrics_are_refused() -> None:
    before, after = people(4, {"a": 0.1, "b": 0.1})
    with pytest.raises(lk.Refused, match="truth differs"):
        lk.changes_by_group(before, replace(after, y=1 - after.y), "group")
    with pytest.raises(lk.Refused, match="differ before and after"):
        lk.changes_by_group(before, replace(after, groups={"group": after.groups["group"][::-1]}), "group")
    rows = np.arange(N, dtype=np.uint64)
    with pytest.raises(lk.Refused, match="another order"):
        lk.changes_by_group(replace(before, row=rows), replace(after, row=rows[::-1]), "group")
    changed = lk.changes_by_group(replace(before, row=rows), replace(after, row=rows + np.uint64(N)), "group")
    assert any("inputs of 2000 of 2000 people differ" in w for w in changed.warnings)
    with pytest.raises(lk.Refused, match="other people when answers change"):
        lk.changes_by_group(before, after, "group", "precision")
    with pytest.raises(lk.Refused, match="no share of people"):
        lk.changes_by_group(before, after, "group", lambda y_true, y_pred: 0.5)
    with pytest.raises(lk.Refused, match="group, true class"):
        lk.changes_by_group(before, after, "shoe size")


def test_nobody_changes_and_it_is_saved_and_drawn(tmp_path) -> None:
    from labkit.views._static import svg

    before, after = people(5, {"a": 0.0, "b": 0.0})
    found = lk.changes_by_group(before, after, ["group", ("group", "true class")], replicates=200)
    assert (found.change[~np.isnan(found.change)] == 0).all() and (found.p == 1).all()
    assert "a & 1" in found.group
    assert lk.load(lk.save(found, tmp_path / "c.lk")).digest == found.digest
    assert lk.changes_by_group(before, after, ["group", ("group", "true class")], replicates=200).digest == found.digest
    assert svg(lk.figure(found), name="f")


def without_eights(digits, seed: int):
    """A model of the digits that saw 15 of 100 eights."""
    eight = np.flatnonzero(digits.train.y == 8)
    part = digits.train[np.setdiff1d(np.arange(len(digits.train)), eight[int(0.15 * len(eight)) :])]
    torch.manual_seed(seed)
    module = nn.Sequential(nn.Flatten(), nn.Linear(64, 256), nn.ReLU(), nn.Linear(256, 10))
    return lk.wrap(train(module, part, 100), classes=digits.classes, bounds=(0, 1), name="digits_tail")


@pytest.fixture(scope="module")
def tailed(digits):
    return without_eights(digits, 4)


def test_pruning_costs_the_rare_class_most(digits, tailed) -> None:
    tail, head = [], []
    for model in (tailed, without_eights(digits, 5)):
        before, after = (lk.predict(m, digits.test) for m in (model, prune(model, 0.7)))
        found = lk.changes_by_group(before, after, replicates=500)
        tail.append(found.change[0, 8])
        head.append(np.delete(found.change[0], 8).mean())
        assert found.group[found.lowest[0, 0]] == "8" and found.p_holm[0, 0] < 0.05
    assert np.mean(tail) < 2 * np.mean(head) < 0, "the tail falls further than the head"


def test_prune_zeroes_the_smallest_weights_and_leaves_the_model_alone(tailed) -> None:
    before, whole = tailed.digest, _weights(tailed)
    for share in (0.0, 0.3, 1.0):
        cut = _weights(prune(tailed, share))
        assert (cut == 0).sum() == round(share * len(whole)) + (whole == 0).sum() * (share == 0)
        if share == 0.3:
            assert np.abs(whole[cut == 0]).max() <= np.abs(whole[cut != 0]).min()
            assert (cut[cut != 0] == whole[cut != 0]).all()
    layered = prune(tailed, 0.5, per_layer=True).module
    assert [float((p == 0).float().mean()) for p in layered.parameters() if p.ndim > 1] == [0.5, 0.5]
    assert tailed.digest == before and prune(tailed, 0.3).digest != before


def test_quantize_leaves_few_levels_a_row_and_moves_nothing_by_more_than_half_a_step(tailed) -> None:
    for bits in (2, 4, 8):
        for old, new in zip(tailed.module.parameters(), quantize(tailed, bits).module.parameters()):
            if old.ndim < 2:
                assert torch.equal(old, new)
                continue
            step = old.abs().amax(1) / (2 ** (bits - 1) - 1)
            assert ((old - new).abs() <= step[:, None] / 2 + 1e-6).all()
            assert max(len(row.unique()) for row in new) <= 2**bits - 1
            assert torch.allclose(new.abs().amax(1), old.abs().amax(1))


@pytest.mark.parametrize("name", ["adult_transformer", "fashion_resnet", "movies_gru", "vowels_rnn"])
def test_other_architectures_are_compressed_too(name: str) -> None:
    model = lk.zoo.load(name)
    x = model.tensor(lk.zoo.data(name).test.x[:8])
    with torch.no_grad():
        own = model(x)
        for smaller in (prune(model, 0.3), quantize(model, 6)):
            assert torch.isfinite(smaller(x)).all() and not torch.equal(smaller(x), own)
            assert smaller.name.startswith(name)
        assert torch.allclose(quantize(model, 16)(x), own, atol=0.02)


def test_what_cannot_be_compressed_is_refused(tailed) -> None:
    with pytest.raises(lk.Refused, match="from 0 to 1"):
        prune(tailed, 1.5)
    with pytest.raises(lk.Refused, match="bits"):
        quantize(tailed, 1)
    with pytest.raises(lk.Refused, match="Classifier"):
        prune(nn.Linear(2, 2), 0.5)


def _weights(model) -> np.ndarray:
    return np.concatenate([p.detach().numpy().ravel() for p in model.module.parameters() if p.ndim > 1])
