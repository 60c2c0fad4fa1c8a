"""Faults that users bring to a fairness audit: each is named or handled, and its sound twin is not flagged."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from fairlearn import metrics as fairlearn

import labkit as lk

N = 1000


@pytest.fixture(scope="module")
def people() -> pd.DataFrame:
    """Groups a and b without disparity in ``fair``; ``biased`` selects all of a and none of b."""
    generator = np.random.default_rng(0)
    group = generator.choice(["a", "b"], N)
    y = generator.integers(0, 2, N)
    fair = np.where(generator.random(N) < 0.8, y, 1 - y)
    return pd.DataFrame({"y": y, "fair": fair, "biased": (group == "a").astype(int), "group": group})


def audit(frame: pd.DataFrame, label: str = "label", metrics=("selection_rate",), by=("group",), **more):
    groups = more.pop("groups", [g for g in ("group", "other") if g in frame])
    p = lk.Predictions.from_frame(frame, y="y", label=label, groups=groups, classes=more.pop("classes", None))
    return lk.audit_groups(p, list(metrics), by=list(by), **{"replicates": 500, **more})


def findings(record, check: str) -> list[str]:
    return [f.status for f in lk.check(record, only=[check])]


def test_f01_probabilities_as_predictions_are_refused(people) -> None:
    generator = np.random.default_rng(1)
    score = np.where(people.group == "a", 0.9, 0.1) + generator.random(N) * 0.05
    assert fairlearn.demographic_parity_difference(people.y, score, sensitive_features=people.group) == 0
    with pytest.raises(lk.Refused, match="score= with threshold="):
        audit(people.assign(label=score))
    twin = people.assign(score=score)
    p = lk.Predictions.from_frame(twin, y="y", score="score", threshold=0.5, groups=["group"])
    assert lk.audit_groups(p, ["selection_rate"], by=["group"], replicates=200).difference[0, 0] == 1


@pytest.mark.parametrize("coding", [{0: "0", 1: "1"}, {0: "no", 1: "yes"}])
def test_f02_text_labels_keep_the_disparity(people, coding) -> None:
    texts = people.assign(y=people.y.map(coding), label=people.biased.map(coding))
    assert audit(texts, positive=coding[1]).difference[0, 0] == 1
    with pytest.raises(lk.Refused, match="not among the classes"):
        audit(people.assign(label=people.biased.map(coding)))


def test_f03_labels_one_two_need_a_named_positive_class(people) -> None:
    coded = people.assign(y=people.y + 1, label=people.biased + 1)
    for unclear in (None, 1):
        with pytest.raises(lk.Refused, match="positive="):
            audit(coded, positive=unclear)
    found = audit(coded, positive="2")
    assert dict(zip(found.group, found.value[0])) == {"a": 1.0, "b": 0.0}
    assert (audit(people, "biased").value == found.value).all(), "the twin coded 0/1"


def test_f04_labels_minus_one_and_one_and_booleans(people) -> None:
    signed = people.assign(y=people.y * 2 - 1, label=people.biased * 2 - 1)
    assert dict(zip("ab", audit(signed, positive=1).value[0])) == {"a": 1.0, "b": 0.0}
    truth = people.assign(y=people.y == 1, label=people.biased == 1)
    assert dict(zip("ab", audit(truth).value[0])) == {"a": 1.0, "b": 0.0}


def test_f04_of_several_classes_one_must_be_named() -> None:
    generator = np.random.default_rng(0)
    frame = pd.DataFrame({"y": generator.integers(0, 3, 300), "group": generator.choice(["a", "b"], 300)})
    frame["label"] = frame.y
    with pytest.raises(lk.Refused, match="none named as positive"):
        audit(frame)
    found = audit(frame, positive=2)
    assert found.positive == "2"
    assert found.value[0, 0] == pytest.approx((frame.label[frame.group == "a"] == 2).mean())
    assert np.isnan(audit(frame, metrics=["accuracy"]).base_rate).all(), "no class is positive here"


def test_f05_missing_predictions_are_refused_with_where_they_are(people) -> None:
    generator = np.random.default_rng(1)
    holes = people.fair.astype(float)
    holes[(people.group == "b") & (generator.random(N) < 0.4)] = np.nan
    with pytest.raises(
        lk.Refused, match=f"{holes.isna().sum()} of 1000 .* {holes.isna().sum()} of them where group is b"
    ):
        audit(people.assign(label=holes))
    assert audit(people.assign(label=people.fair.astype(float))).status == "measured"


def test_f06_a_constant_predictor_is_not_called_fair(people) -> None:
    zero = people.assign(label=0)
    found = audit(zero, metrics=["selection_rate", "true_positive_rate"])
    assert found.status == "not_measured" and "one answer ('0')" in found.reason
    assert np.isnan(found.value).all() and np.isnan(found.difference).all()
    assert set(findings(found, "disparity")) == {"not_measured"}
    assert lk.says(found).startswith("Not measured because")
    assert audit(people, "fair").status == "measured"


def test_f07_three_of_three_is_no_certainty_and_is_not_ranked(people) -> None:
    few = pd.DataFrame({"y": [1, 0, 1], "fair": 1, "group": "c"})
    found = audit(pd.concat([people, few]), "fair")
    c = list(found.group).index("c")
    assert found.value[0, c] == 1 and found.low[0, c] == pytest.approx(0.4385, abs=1e-4)
    assert not found.ranked[0, c] and found.highest[0, 0] != c
    told = lk.check(found, only=["small_groups"])[0]
    assert told.status == "inconclusive" and "shown, not ranked, in selection rate: c (3 people)" in told.says
    assert findings(audit(people, "fair"), "small_groups") == ["meets"]


def test_f08_no_disparity_is_seldom_taken_for_one_where_fairlearn_always_does() -> None:
    ours, wide, theirs = 0, 0, 0
    for seed in range(60):
        generator = np.random.default_rng(seed)
        frame = pd.DataFrame({"group": generator.integers(0, 5, 500), "label": generator.integers(0, 2, 500)})
        found = audit(frame.assign(y=frame.label), seed=seed)
        ours += found.p[0, 0] < 0.05
        wide += found.difference_low[0, 0] == 0
        if seed < 4:
            frames = fairlearn.MetricFrame(
                metrics=fairlearn.selection_rate, y_true=frame.label, y_pred=frame.label,
                sensitive_features=frame.group, n_boot=40, ci_quantiles=[0.025, 0.975], random_state=seed,
            )  # fmt: skip
            theirs += frames.difference_ci()[0] > 0
    assert ours <= 7 and wide >= 55, "more than one in twenty, far beyond chance"
    assert theirs == 4
    generator = np.random.default_rng(1)
    group = generator.integers(0, 5, 500)
    label = (generator.random(500) < np.where(group == 0, 0.75, 0.5)).astype(int)
    assert audit(pd.DataFrame({"group": group, "label": label, "y": label})).p[0, 0] < 0.05


def test_f10_a_group_without_a_positive_has_no_true_positive_rate(people) -> None:
    holed = people.assign(y=people.y.where(people.group == "a", 0))
    theirs = fairlearn.equalized_odds_difference(holed.y, holed.fair, sensitive_features=holed.group)
    assert theirs > 0.7, "a rate of 0 of 0 taken for 0"
    found = audit(holed, "fair", ["true_positive_rate", "selection_rate"])
    b = list(found.group).index("b")
    assert np.isnan(found.value[0, b]) and found.why[0, b] == "no positive case"
    assert np.isnan(found.difference[0, 0]) and not np.isnan(found.difference[1, 0])
    assert findings(found, "disparity")[0] == "not_measured"
    assert findings(audit(people, "fair", ["true_positive_rate"]), "disparity") != ["not_measured"]


def test_f10_a_metric_of_scikit_learn_says_undefined_only_in_a_warning(people) -> None:
    from sklearn.metrics import recall_score

    holed = people.assign(y=people.y.where(people.group == "a", 0))
    found = audit(holed, "fair", [recall_score], replicates=100)
    assert np.isnan(found.value[0, list(found.group).index("b")])


def test_f11_missing_group_values_are_counted_and_left_out(people) -> None:
    holed = people.assign(group=people.group.where(people.index >= 200, None))
    found = audit(holed, "fair")
    assert found.unknown[0] == 200 and found.n.sum() == 800
    assert any("200 of 1000 people have no known group" in w for w in found.warnings)
    assert "200 of 1000" in lk.check(found, only=["small_groups"])[0].says
    assert audit(people, "fair").warnings == ()


def test_f12_spellings_of_one_group_are_merged_and_told(people) -> None:
    dirty = people.assign(group=np.where(people.index % 3 == 0, people.group.str.upper() + " ", people.group))
    found = audit(dirty, "biased")
    assert len(found.group) == 2 and found.difference[0, 0] == 1
    assert any("taken as one group" in w for w in found.warnings)


def test_f13_groups_in_another_row_order_are_aligned(people) -> None:
    shuffled = people.group.sample(frac=1, random_state=0)
    theirs = fairlearn.demographic_parity_difference(people.y, people.biased, sensitive_features=shuffled)
    assert theirs < 0.1, "strangers compared"
    frame = people.drop(columns="group")
    for given in (shuffled, people.group, people.group.to_numpy()):
        assert audit(frame, "biased", groups={"group": given}).difference[0, 0] == 1
    with pytest.raises(lk.Refused, match="not in it"):
        audit(frame, "biased", groups={"group": shuffled.rename(lambda i: i + 5)})
    with pytest.raises(lk.Refused, match="999 values"):
        audit(frame, "biased", groups={"group": people.group.to_numpy()[1:]})


def test_f14_a_continuous_feature_is_refused(people) -> None:
    aged = people.assign(group=np.random.default_rng(0).normal(40, 10, N))
    with pytest.raises(lk.Refused, match="age in bands"):
        audit(aged, "fair")
    assert audit(aged.assign(group=pd.cut(aged.group, 4).astype(str)), "fair").status == "measured"


def test_f15_an_empty_intersection_is_named(people) -> None:
    other = np.where(people.group == "a", "x", np.random.default_rng(5).choice(["x", "z"], N))
    found = audit(people.assign(other=other), "fair", by=[("group", "other")])
    at = list(found.group).index("a & z")
    assert found.n[at] == 0 and found.why[0, at] == "no people" and np.isnan(found.value[0, at])
    told = lk.check(found, only=["small_groups"])[0]
    assert told.status == "inconclusive" and "a & z (0 people)" in told.says
    full = people.assign(other=np.random.default_rng(5).choice(["x", "z"], N))
    assert findings(audit(full, "fair", by=[("group", "other")]), "small_groups") == ["meets"]


def test_f16_four_fifths_stands_beside_its_test() -> None:
    def judged(selected: tuple[int, int], of: int):
        label = np.concatenate([np.arange(of) < s for s in selected]).astype(int)
        frame = pd.DataFrame({"group": np.repeat(["a", "b"], of), "label": label, "y": label})
        return lk.check(audit(frame), only=["four_fifths"])[0]

    few, many, sound = judged((4, 2), 8), judged((5000, 4300), 10_000), judged((500, 250), 1000)
    assert few.estimate == 0.5 and few.status == "inconclusive" and "may be chance" in few.says
    assert many.estimate == 0.86 and "a real gap" in many.says and "4e-23" in many.says
    assert sound.status == "does_not_meet" and "by more than chance" in sound.says
    assert judged((500, 490), 1000).says.endswith("At least four fifths.")


def test_f18_a_perfect_models_own_difference_is_shown(people) -> None:
    generator = np.random.default_rng(0)
    y = (generator.random(N) < np.where(people.group == "a", 0.7, 0.3)).astype(int)
    found = audit(people.assign(y=y, label=y), metrics=["selection_rate", "true_positive_rate"])
    assert found.difference[0, 0] == found.perfect[0, 0] > 0.3 and found.perfect[1, 0] == 0
    assert "A model without error would show" in lk.check(found, only=["disparity"])[0].says
    assert abs(np.subtract(*found.base_rate)) == pytest.approx(found.perfect[0, 0])
    told = lk.check(audit(people, "fair"), only=["disparity"])[0]
    assert told.status != "does_not_meet"
