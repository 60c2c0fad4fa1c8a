"""Kin of the faults that users bring to a fairness audit: each is named or handled, and its sound twin is not flagged."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest

import labkit as lk
from labkit.core import registry

N = 1000


def table() -> pd.DataFrame:
    """Groups a and b: ``biased`` selects all of a and none of b, ``fair`` is right four times in five in both."""
    generator = np.random.default_rng(0)
    group = generator.choice(["a", "b"], N)
    y = generator.integers(0, 2, N)
    fair = np.where(generator.random(N) < 0.8, y, 1 - y)
    score = np.clip(0.2 + 0.6 * fair + generator.normal(0, 0.05, N), 0.01, 0.99)
    return pd.DataFrame({"y": y, "fair": fair, "biased": (group == "a").astype(int), "score": score, "group": group})


PEOPLE = table()


def read(frame: Any = PEOPLE, label: str | None = "fair", **more: Any) -> lk.Predictions:
    return lk.Predictions.from_frame(frame, **{"y": "y", "label": label, "groups": ["group"], **more})


def audit(frame: Any = PEOPLE, label: str | None = "fair", metrics=("selection_rate",), **more: Any):
    asked = {k: more.pop(k) for k in ("groups", "classes", "score", "threshold") if k in more}
    by = more.pop("by", ["group"])
    return lk.audit_groups(read(frame, label, **asked), list(metrics), by=by, **{"replicates": 200, **more})


def rates(record) -> dict[str, float]:
    return dict(zip(record.group.tolist(), record.value[0].tolist()))


# How the same answers may be coded: every coding must give a 1 and b 0, or be refused.
TEXTS = {0: "denied", 1: "approved"}
CODINGS: dict[str, tuple[Callable[[pd.Series], Any], Any]] = {
    "numbers": (lambda c: c, None),
    "fractionless numbers": (lambda c: c.astype(float), None),
    "truth values": (lambda c: c == 1, None),
    "nullable truth values": (lambda c: (c == 1).astype("boolean"), None),
    "nullable numbers": (lambda c: c.astype("Int64"), None),
    "small numbers": (lambda c: c.astype(np.int8), None),
    "Arrow numbers": (lambda c: c.astype("int64[pyarrow]"), None),
    "Arrow fractionless numbers": (lambda c: c.astype("double[pyarrow]"), None),
    "minus one and one": (lambda c: 2 * c - 1, 1),
    "one and two": (lambda c: c + 1, "2"),
    "texts of numbers": (lambda c: c.map({0: "0", 1: "1"}), None),
    "texts": (lambda c: c.map(TEXTS), "approved"),
    "texts as objects": (lambda c: c.map(TEXTS).astype(object), "approved"),
    "texts as pandas 3 has them": (lambda c: c.map(TEXTS).astype("str"), "approved"),
    "Arrow texts": (lambda c: c.map(TEXTS).astype("string[pyarrow]"), "approved"),
    "categories": (lambda c: c.map(TEXTS).astype("category"), "approved"),
    "categories that nobody has": (
        lambda c: pd.Categorical(c.map(TEXTS), categories=["approved", "denied", "pending"]),
        "approved",
    ),
    "dates": (lambda c: c.map({0: pd.Timestamp("2020-01-01"), 1: pd.Timestamp("2021-01-01")}), "2021-01-01 00:00:00"),
}


@pytest.mark.parametrize("coding", CODINGS)
def test_f02_f03_f04_every_coding_of_the_labels_keeps_the_disparity(coding) -> None:
    code, positive = CODINGS[coding]
    frame = PEOPLE.assign(y=code(PEOPLE.y), biased=code(PEOPLE.biased))
    assert rates(audit(frame, "biased", positive=positive)) == {"a": 1.0, "b": 0.0}


@pytest.mark.parametrize("answers", ["texts", "one and two", "minus one and one", "texts of numbers", "categories"])
def test_f02_truth_and_answers_in_two_codings_are_refused(answers) -> None:
    with pytest.raises(lk.Refused, match="not among the classes"):
        read(PEOPLE.assign(fair=CODINGS[answers][0](PEOPLE.fair)))


@pytest.mark.parametrize(
    ("spell", "words"),
    [
        (lambda t: t.where(PEOPLE.index % 2 == 0, t.str.title()), "'Approved' and 'approved', which read alike"),
        (lambda t: t.where(PEOPLE.index % 2 == 0, t + " "), "read alike"),
        (lambda t: t.where(PEOPLE.index % 9 > 0, "nan"), "the text 'nan', which stands for a missing value"),
        (lambda t: t.where(PEOPLE.index % 9 > 0, ""), "stands for a missing value"),
        (lambda t: t.where(PEOPLE.index % 9 > 0, None), "112 of 1000 values of 'y' are missing"),
    ],
)
def test_f12_dirty_labels_are_no_classes_of_their_own(spell, words) -> None:
    texts = PEOPLE.assign(y=PEOPLE.y.map(TEXTS), fair=PEOPLE.fair.map(TEXTS))
    dirty = texts.assign(y=spell(texts.y))
    with pytest.raises(lk.Refused, match=words):
        read(dirty)
    assert read(texts).classes == ("approved", "denied")
    if dirty.y.notna().all():
        chosen = read(dirty, classes=[*TEXTS.values(), *(set(dirty.y) - set(TEXTS.values()))])
        assert len(chosen.classes) >= 3, "classes that somebody names are taken as they are"


def test_f02_one_and_the_text_one_are_not_two_classes() -> None:
    mixed = PEOPLE.assign(y=PEOPLE.y.astype(object).where(PEOPLE.index % 2 == 0, PEOPLE.y.astype(str)))
    with pytest.raises(lk.Refused, match="read alike"):
        read(mixed)


@pytest.mark.parametrize("strange", [3, "maybe"])
def test_a_class_that_no_truth_has_is_refused_and_may_be_named(strange) -> None:
    frame = PEOPLE.astype({"fair": object})
    frame.loc[0, "fair"] = strange
    with pytest.raises(lk.Refused, match=f"{strange!r}, not among the classes"):
        read(frame)
    assert read(frame, classes=[0, 1, strange]).classes == ("0", "1", str(strange))


def test_labels_coded_the_other_way_round_are_told_and_a_weak_model_is_not() -> None:
    swapped = audit(PEOPLE.assign(fair=1 - PEOPLE.fair))
    assert any("coded the other way round" in w for w in swapped.warnings)
    generator = np.random.default_rng(1)
    weak = PEOPLE.assign(fair=generator.integers(0, 2, N))
    rare = PEOPLE.assign(y=(generator.random(N) < 0.05).astype(int), fair=(generator.random(N) < 0.7).astype(int))
    assert (rare.y == rare.fair).mean() < 0.4, "below one half, and no worse than chance at these rates"
    for twin in (PEOPLE, weak, rare, PEOPLE.assign(fair=0)):
        assert not any("other way round" in w for w in read(twin).warnings)
    assert not any("other way round" in w for w in read(PEOPLE.assign(fair=1 - PEOPLE.fair), y=None).warnings)


@pytest.mark.parametrize(
    ("score", "threshold", "words"),
    [
        (lambda s: 100 * s, 0.5, "percentages divided by 100"),
        (lambda s: 100 * s, 50, "a number from 0 to 1"),
        (lambda s: s, 50, "a number from 0 to 1"),
        (lambda s: s, None, "threshold="),
        (lambda s: np.log(s / (1 - s)), 0.5, "1 / \\(1 \\+ exp\\(-score\\)\\) of log-odds"),
        (lambda s: 300 + 500 * s, 0.5, "Scores.from_frame"),
        (lambda s: s.where(s.index > 3, np.inf), 0.5, "4 rows without a finite score"),
        (lambda s: s.where(s.index > 3), 0.5, "4 rows without a finite score"),
        (lambda s: s.map(lambda v: "high" if v > 0.5 else "low"), 0.5, "not numbers"),
    ],
)
def test_f01_scores_that_are_no_probabilities_are_named(score, threshold, words) -> None:
    with pytest.raises(lk.Refused, match=words):
        audit(PEOPLE.assign(score=score(PEOPLE.score)), None, score="score", threshold=threshold)


@pytest.mark.parametrize(
    "score",
    [lambda s: s, lambda s: s.astype("Float64"), lambda s: s.astype("double[pyarrow]"), lambda s: s.astype(str)],
)
def test_f01_scores_in_any_type_are_the_same_scores(score) -> None:
    found = read(PEOPLE.assign(score=score(PEOPLE.score)), None, score="score", threshold=0.5)
    assert found.label.tolist() == (PEOPLE.score >= 0.5).tolist() and found.warnings == ()


def test_f01_decisions_given_as_scores_are_told() -> None:
    told = read(score="fair", label=None, threshold=0.5)
    assert told.warnings == ("fair: every score is 0 or 1, so these are decisions and no probabilities",)


@pytest.mark.parametrize("missing", ["fair", "y"])
def test_f05_missing_values_are_refused_with_where_they_are(missing) -> None:
    for kind in ("float", "Int64", "double[pyarrow]", object):
        holed = PEOPLE.assign(**{missing: PEOPLE[missing].astype(kind).where(PEOPLE.group == "a", None)})
        n = int((PEOPLE.group == "b").sum())
        with pytest.raises(lk.Refused, match=f"{n} of 1000 .* {n} of them where group is b"):
            read(holed)


def test_f05_f11_a_nan_beside_nulls_is_missing_too() -> None:
    pyarrow = pytest.importorskip("pyarrow")
    nan = pd.Series(pd.arrays.ArrowExtensionArray(pyarrow.chunked_array([[0.0, float("nan"), None, 1.0] * (N // 4)])))
    assert nan.isna().sum() == N // 4, "pandas counts the nulls alone"
    with pytest.raises(lk.Refused, match="500 of 1000 values of 'fair' are missing"):
        read(PEOPLE.assign(fair=nan))
    assert set(read(PEOPLE.assign(group=nan)).group("group")) == {"0", "1", ""}


def test_f06_whatever_gives_one_answer_is_not_called_fair() -> None:
    for frame, more in (
        (PEOPLE.assign(fair=1), {"label": "fair"}),
        (PEOPLE, {"label": None, "score": "score", "threshold": 1.0}),
    ):
        found = audit(frame, metrics=["selection_rate", "accuracy"], **more)
        assert found.status == "not_measured" and "one answer" in found.reason
        assert all(f.status != "meets" for f in lk.check(found))
    assert audit().status == "measured"


def test_f09_the_largest_gap_of_many_equal_groups_stands_beside_chance() -> None:
    generator = np.random.default_rng(3)
    group = np.array([f"g{i:02}" for i in range(20)])[generator.integers(0, 20, N)]
    label = generator.integers(0, 2, N)
    equal = audit(PEOPLE.assign(group=group, fair=label, y=label))
    assert equal.difference[0, 0] > 0.2 and equal.p[0, 0] > 0.05, "large, and no larger than chance"
    assert "no more than chance" in lk.says(equal)
    chosen = np.where(group == "g07", generator.random(N) < 0.95, label)
    assert audit(PEOPLE.assign(group=group, fair=chosen.astype(int), y=label)).p[0, 0] < 0.05


@pytest.mark.parametrize(("truth", "undefined", "why"), [(0, None, ""), (1, "false_positive_rate", "no negative case")])
def test_f10_truth_of_one_class_gives_no_rate_of_the_other(truth, undefined, why) -> None:
    frame = PEOPLE.assign(y=truth)
    if undefined is None:
        with pytest.raises(lk.Refused, match="no example whose true class is '1'"):
            audit(frame, metrics=["true_positive_rate"])
        return
    found = audit(frame, metrics=[undefined, "selection_rate"])
    assert np.isnan(found.value[0]).all() and set(found.why[0]) == {why}
    assert not np.isnan(found.value[1]).any()


def test_one_group_alone_cannot_be_compared() -> None:
    found = audit(PEOPLE.assign(group="a"))
    assert found.status == "not_measured" and "no feature has two groups" in found.reason
    unknown = audit(PEOPLE.assign(group=None))
    assert unknown.status == "not_measured"


def test_groups_that_are_all_tiny_are_compared_with_a_warning_and_never_sure() -> None:
    found = audit(PEOPLE.iloc[:24].assign(group=list("abcdef") * 4))
    assert any("fewer than two groups of 30 people" in w for w in found.warnings)
    assert {f.status for f in lk.check(found, only=["small_groups"])} == {"inconclusive"}
    assert not any("fewer than two groups" in w for w in audit().warnings)


def test_f11_f12_texts_for_missing_groups_are_told_and_missing_ones_are_unknown() -> None:
    for text in ("nan", "NA", "None", " N/A "):
        told = read(PEOPLE.assign(group=PEOPLE.group.where(PEOPLE.index >= 200, text)))
        assert told.warnings == (f"group: 200 people have the text {text!r}, taken as a group and not as unknown",)
    for blank in (None, np.nan, pd.NA, "", "  "):
        column = PEOPLE.group.astype(object).where(PEOPLE.index >= 200, blank)
        found = audit(PEOPLE.assign(group=column))
        assert set(found.group) == {"a", "b"} and found.unknown[0] == 200
    assert read().warnings == ()


def test_f12_dirty_names_are_merged_and_close_ones_are_not() -> None:
    spelling = np.array(["a", "A ", "\u00a0a", "\uff41"], object)[PEOPLE.index % 4]
    found = audit(PEOPLE.assign(group=np.where(PEOPLE.group == "a", spelling, PEOPLE.group)), "biased")
    assert sorted(rates(found).values()) == [0.0, 1.0]
    assert any("'A '" in w and "taken as one group" in w for w in found.warnings)
    apart = PEOPLE.assign(group=np.where(PEOPLE.group == "a", "non-binary", "nonbinary"))
    assert len(audit(apart).group) == 2 and read(apart).warnings == ()


@pytest.mark.parametrize(
    "kind", ["object", "str", "category", "string[pyarrow]", "string[python]", "unused categories", "interval"]
)
def test_groups_in_any_type_are_the_same_groups(kind) -> None:
    column: Any = PEOPLE.group
    if kind == "unused categories":
        column = pd.Categorical(column, categories=["c", "b", "a", "d"])
    elif kind == "interval":
        column = pd.cut((PEOPLE.group == "b") * 10.0, [-1, 5, 15])
    else:
        column = column.astype(kind)
    found = audit(PEOPLE.assign(group=column), "biased")
    assert list(rates(found).values()) == [1.0, 0.0] and len(found.group) == 2


def test_numbers_as_groups_are_named_alike_with_and_without_gaps() -> None:
    whole = PEOPLE.assign(group=(PEOPLE.group == "b") + 1)
    gap = whole.assign(group=whole.group.where(whole.index > 0))
    assert set(audit(whole).group) == set(audit(gap).group) == {"1", "2"}
    assert set(audit(PEOPLE.assign(group=PEOPLE.group == "a")).group) == {"True", "False"}


@pytest.mark.parametrize(
    "column",
    [
        np.random.default_rng(0).normal(40, 10, N),
        np.random.default_rng(0).integers(17, 90, N),
        np.random.default_rng(0).gamma(2, 1, N).round(1),
        pd.date_range("1950-01-01", periods=N),
        np.arange(N),
        [f"person {i}" for i in range(N)],
        pd.array(np.random.default_rng(0).normal(40, 10, N), dtype="double[pyarrow]"),
    ],
    ids=["continuous", "age", "weights", "dates", "ids", "texts of ids", "Arrow numbers"],
)
def test_f14_quantities_dates_weights_and_ids_are_no_groups(column) -> None:
    with pytest.raises(lk.Refused, match="age in bands"):
        audit(PEOPLE.assign(group=column))


def test_f13_rows_in_another_order_are_aligned_or_refused() -> None:
    keyed = PEOPLE.set_index(pd.Index([f"k{i}" for i in range(N)]))
    bare, shuffled = keyed.drop(columns="group"), keyed.group.sample(frac=1, random_state=0)
    assert rates(audit(bare, "biased", groups={"group": shuffled})) == {"a": 1.0, "b": 0.0}
    longer = pd.concat([shuffled, pd.Series(["b"], index=["someone else"])])
    assert rates(audit(bare, "biased", groups={"group": longer})) == {"a": 1.0, "b": 0.0}
    with pytest.raises(lk.Refused, match="995 of 1000 rows"):
        read(bare.set_axis(range(-1, N - 1)), groups={"group": pd.Series(["a"] * 5)})
    twice = shuffled.set_axis([shuffled.index[1], *shuffled.index[1:]])
    with pytest.raises(lk.Refused, match="stand twice"):
        read(bare, groups={"group": twice})
    same = keyed.set_axis(["k"] * N)
    assert rates(audit(same, "biased", groups={"group": same.group})) == {"a": 1.0, "b": 0.0}, "one index, in one order"
    for wrong in (PEOPLE.group[:-1].tolist(), "group", 3, np.zeros((N, 2))):
        with pytest.raises(lk.Refused, match="index"):
            read(bare, groups={"group": wrong})


@pytest.mark.parametrize("frame", ["arrow", "arrow backed", "strange"])
def test_other_frames_are_turned_into_pandas_or_refused(frame) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    if frame == "strange":
        for given in (PEOPLE.to_dict(), PEOPLE.to_numpy(), PEOPLE.group, None):
            with pytest.raises(lk.Refused, match="a pandas DataFrame"):
                read(given)
        return
    given = pyarrow.Table.from_pandas(PEOPLE) if frame == "arrow" else PEOPLE.convert_dtypes(dtype_backend="pyarrow")
    assert rates(audit(given, "biased")) == {"a": 1.0, "b": 0.0}


def test_columns_that_are_no_single_column_are_refused() -> None:
    for more, words in (
        ({"y": PEOPLE.y}, "the column's name"),
        ({"groups": [["group"]]}, "the column's name"),
        ({"groups": ["gruop"]}, "'group', or one of"),
        ({"classes": "01"}, "a list of different labels"),
        ({"classes": [0, 1, 1]}, "a list of different labels"),
        ({"label": None, "proba": "score"}, "one column a class"),
    ):
        with pytest.raises(lk.Refused, match=words):
            read(**more)
    with pytest.raises(lk.Refused, match="no single value"):
        read(PEOPLE.assign(fair=[[v] for v in PEOPLE.fair]))
    with pytest.raises(lk.Refused, match="stand twice"):
        read(pd.concat([PEOPLE, PEOPLE[["group"]]], axis=1))


@pytest.fixture(scope="module")
def answered() -> dict[str, Any]:
    """Scores that know the truth better of group 0 than of group 1."""
    generator = np.random.default_rng(0)
    group, y = generator.integers(0, 2, N), generator.integers(0, 2, N)
    chance = np.clip(0.5 + np.where(group == 0, 0.25, 0.12) * (2 * y - 1) + generator.normal(0, 0.15, N), 0.01, 0.99)
    return {"score": np.column_stack([1 - chance, chance]), "y": y, "group": group, "positive": 1}


def test_f17_a_rule_that_draws_lots_says_their_chances(answered) -> None:
    from fairlearn.postprocessing import ThresholdOptimizer
    from sklearn.linear_model import LogisticRegression

    x = answered["score"][:, 1:]
    model = LogisticRegression().fit(x, answered["y"])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = ThresholdOptimizer(
            estimator=model, constraints="equalized_odds", prefit=True, predict_method="predict_proba"
        ).fit(x, answered["y"], sensitive_features=answered["group"])
        draws = [theirs.predict(x, sensitive_features=answered["group"], random_state=s) for s in (0, 1)]
        strangers = theirs.predict(x, sensitive_features=np.full(N, 2), random_state=0)
    assert (draws[0] != draws[1]).any(), "another decision on another call, without a word"
    assert not strangers.any(), "everybody of a group that was never seen is turned down, without a word"

    rule = registry.find("mitigations", "equalized_odds_postprocessing")(**answered, criterion="equalized_odds")
    chances = rule(answered["score"], answered["group"])
    assert np.array_equal(chances, rule(answered["score"], answered["group"]))
    assert ((chances > 0) & (chances < 1)).any() and np.allclose(chances.sum(1), 1)
    twin = registry.find("mitigations", "group_thresholds")(**answered, criterion="true_positive_rate")
    assert set(twin(answered["score"], answered["group"]).ravel()) == {0.0, 1.0}, "no lots, and none told"


@pytest.mark.parametrize("method", ["equalized_odds_postprocessing", "group_thresholds"])
@pytest.mark.parametrize("stranger", [2, -1])
def test_f17_a_group_that_was_never_seen_is_refused_by_mitigations(answered, method, stranger) -> None:
    rule = registry.find("mitigations", method)(**answered, criterion="true_positive_rate")
    group = answered["group"].copy()
    rule(answered["score"], group)
    group[:7] = stranger
    with pytest.raises(lk.Refused, match=f"7 of {N} people of a group that the rule was not fitted on"):
        rule(answered["score"], group)
