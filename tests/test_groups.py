"""Group audits against published numbers, fairlearn, and what happens when there is no disparity."""

from __future__ import annotations

import functools
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from fairlearn import metrics as fairlearn
from sklearn.metrics import f1_score, fbeta_score

import labkit as lk
from labkit.analyses._measure import Measure
from labkit.core import registry

RATES = ("selection_rate", "true_positive_rate", "false_positive_rate", "precision", "accuracy")


def at(record, feature: str, group: str) -> int:
    found = [g for g in record.groups_of(feature) if record.group[g] == group]
    assert len(found) == 1
    return int(found[0])


@pytest.fixture(scope="module")
def compas() -> lk.Predictions:
    """ProPublica's question: COMPAS scores of 5 and more against a new arrest within two years, all 7,214 people."""
    frame = lk.data.table("compas")
    frame = frame.assign(high=(frame.decile_score >= 5).astype(int), score=frame.decile_score / 10)
    return lk.Predictions.from_frame(frame, y="two_year_recid", label="high", score="score", groups=["race", "sex"])


@pytest.fixture(scope="module")
def compas_audit(compas):
    return lk.audit_groups(compas, [*RATES, "auc"], by=["race", "sex"], replicates=500)


def test_propublicas_error_rates_to_four_digits(compas_audit) -> None:
    published = {"African-American": (0.4485, 0.2799), "Caucasian": (0.2345, 0.4772)}
    for race, (false_positive, false_negative) in published.items():
        g = at(compas_audit, "race", race)
        assert round(compas_audit.value[compas_audit.metric("false_positive_rate"), g], 4) == false_positive
        assert round(1 - compas_audit.value[compas_audit.metric("true_positive_rate"), g], 4) == false_negative
    assert compas_audit.n_total == 7214


def test_the_filtered_people_and_the_scores_own_quality() -> None:
    frame = lk.data.table("compas")
    kept = frame.days_b_screening_arrest.between(-30, 30) & (frame.is_recid != -1) & (frame.score_text != "N/A")
    frame = frame[kept & (frame.c_charge_degree != "O")]
    frame = frame.assign(high=(frame.decile_score >= 5).astype(int), score=frame.decile_score / 10)
    p = lk.Predictions.from_frame(frame, y="two_year_recid", label="high", score="score", groups=["race"])
    found = lk.audit_groups(p, ["false_positive_rate", "true_positive_rate", "accuracy", "auc"], by=["race"])
    assert len(p) == 6172
    for race, rates in {"African-American": (0.4234, 0.2848), "Caucasian": (0.2201, 0.4964)}.items():
        g = at(found, "race", race)
        assert (round(found.value[0, g], 4), round(1 - found.value[1, g], 4)) == rates
    assert found.overall[2:] == pytest.approx([0.661, 0.710], abs=5e-4)


def test_adults_and_german_credits_base_rates() -> None:
    adult = lk.data.table("adult")
    p = lk.Predictions.from_frame(adult, y="income", label="income", groups=["sex"], classes=["<=50K", ">50K"])
    found = lk.audit_groups(p, ["selection_rate"], by=["sex"], positive=">50K")
    assert found.base_rate == pytest.approx([0.1093, 0.3038], abs=5e-5)
    assert found.perfect[0, 0] == found.difference[0, 0] == pytest.approx(0.3038 - 0.1093, abs=1e-4)


def test_the_worked_example_of_local_law_144() -> None:
    race = ["Hispanic", "White", "Black", "Pacific Islander", "Asian"]
    for counts, names, ratios in (
        ([(50, 92), (34, 76)], ["male", "female"], [1.00, 0.82]),
        ([(18, 28), (15, 40), (16, 32), (5, 8), (10, 24)], race, [1.00, 0.58, 0.78, 0.97, 0.65]),
    ):
        frame = pd.DataFrame(
            [(name, int(i < hits)) for name, (hits, n) in zip(names, counts) for i in range(n)],
            columns=["group", "label"],
        )
        p = lk.Predictions.from_frame(frame, y="label", label="label", groups=["group"])
        found = lk.audit_groups(p, ["selection_rate"], by=["group"], least=1, least_of=1)
        by_name = {name: found.ratio[0, at(found, "group", name)] for name in names}
        assert [round(by_name[name], 2) for name in names] == ratios
    # Among five equal groups of these sizes a ratio under four fifths is no rarity.
    assert found.null_ratio05[0, 0] < 0.5 and found.p[0, 0] > 0.05


def test_values_equal_fairlearns(compas, compas_audit) -> None:
    theirs = {
        "selection_rate": fairlearn.selection_rate,
        "true_positive_rate": fairlearn.true_positive_rate,
        "false_positive_rate": fairlearn.false_positive_rate,
    }
    frame = fairlearn.MetricFrame(
        metrics=theirs, y_true=compas.y, y_pred=compas.label, sensitive_features=compas.groups["sex"]
    )
    for name in theirs:
        m = compas_audit.metric(name)
        for sex, value in frame.by_group[name].items():
            assert compas_audit.value[m, at(compas_audit, "sex", sex)] == pytest.approx(value, abs=1e-12)
        assert compas_audit.difference[m, 1] == pytest.approx(frame.difference()[name], abs=1e-12)
        assert compas_audit.least_ratio[m, 1] == pytest.approx(frame.ratio()[name], abs=1e-12)
        assert compas_audit.overall[m] == pytest.approx(frame.overall[name], abs=1e-12)


def test_small_cells_are_shown_and_not_ranked(compas_audit) -> None:
    small = at(compas_audit, "race", "Native American")
    assert compas_audit.n[small] == 18 and not compas_audit.ranked[:, small].any()
    assert not np.isnan(compas_audit.value[:, small]).any()
    assert small not in compas_audit.highest and small not in compas_audit.lowest
    few, rate = at(compas_audit, "race", "Asian"), compas_audit.metric("true_positive_rate")
    assert compas_audit.n[few] == 32 and compas_audit.of[rate, few] == 9 and not compas_audit.ranked[rate, few]
    assert compas_audit.ranked[compas_audit.metric("selection_rate"), few]


def test_it_keeps_through_a_file_and_looks_like_something(compas_audit, tmp_path) -> None:
    again = lk.load(lk.save(compas_audit, tmp_path / "audit.lk"))
    assert again.digest == compas_audit.digest
    assert [str(f) for f in lk.check(again)] == [str(f) for f in lk.check(compas_audit)]
    table = lk.rows(again)
    assert len(table) == len(again.metrics) * len(again.group)
    said = lk.says(again)
    assert "African-American (n = 3696)" in said and "Holm over 12" in said
    points = sum(len(t.x) for t in lk.figure(again).data)
    assert points == (len(again.metrics) + 1) * len(again.group)


def test_the_same_seed_gives_the_same_evidence_whatever_else_is_asked(compas) -> None:
    both = lk.audit_groups(compas, ["auc", "selection_rate"], by=["sex", "race"], replicates=200)
    again = lk.audit_groups(compas, ["auc", "selection_rate"], by=["sex", "race"], replicates=200)
    alone = lk.audit_groups(compas, ["auc"], by=["race"], replicates=200)
    other = lk.audit_groups(compas, ["auc"], by=["race"], replicates=200, seed=1)
    assert both.digest == again.digest != alone.digest
    assert np.array_equal(both.low[0, both.groups_of("race")], alone.low[0], equal_nan=True)
    assert both.null95[0, 1] == alone.null95[0, 0] != other.null95[0, 0]


@pytest.mark.parametrize("name", ["auc", "brier"])
def test_counts_and_rows_are_resampled_alike(name: str) -> None:
    """A metric that weighs goes by counts, with scores in levels; the same one without weights goes row by row."""
    metric, generator = registry.find("metrics", name), np.random.default_rng(0)

    def plain(y_true, y_proba):
        return metric(y_true, y_proba)

    y = generator.integers(0, 2, 1500)
    score = np.clip(generator.normal(0.3 + 0.3 * y, 0.2), 0, 1)
    frame = pd.DataFrame({"y": y, "s": score})
    p = lk.Predictions.from_frame(frame, y="y", score="s", threshold=0.5)
    rows, group = np.arange(0, 1500, 3), np.arange(1500) % 2
    by_counts, by_rows = (Measure("a test", m, p, 1) for m in (metric, plain))
    assert by_counts._cells is not None and by_rows._cells is None
    boots = [m.bootstrap(rows, 600, np.random.default_rng(0)) for m in (by_counts, by_rows)]
    nulls = [m.permuted(group, 2, 400, np.random.default_rng(0)) for m in (by_counts, by_rows)]
    for counted, plainly in (boots, nulls):
        assert np.std(counted, 0) == pytest.approx(np.std(plainly, 0), rel=0.15)
        assert np.mean(counted, 0) == pytest.approx(np.mean(plainly, 0), abs=0.2 * np.std(plainly))


def test_a_users_own_function_and_scikit_learns_are_metrics() -> None:
    p = simulated(np.random.default_rng(0), 2, 600)

    def agreement(y_true, y_pred):
        return float(np.mean(y_true == y_pred))

    partly = functools.partial(fbeta_score, beta=1.0)
    found = lk.audit_groups(p, [agreement, f1_score, "accuracy", partly], by=["group"], replicates=100)
    assert found.metrics == ("agreement", "f1_score", "accuracy", "partial")
    assert found.value[3] == pytest.approx(found.value[1])
    assert found.value[0] == pytest.approx(found.value[2], abs=1e-12)
    first = p.groups["group"] == "0"
    assert found.value[1, at(found, "group", "0")] == pytest.approx(f1_score(p.y[first], p.label[first]))
    assert found.low[0] == pytest.approx(found.low[2], abs=0.02), "a bootstrap of a proportion is near Wilson"


def test_intersections_are_every_combination(compas) -> None:
    found = lk.audit_groups(compas, ["selection_rate"], by=[("race", "sex")], replicates=100)
    assert found.features == ("race & sex",) and len(found.group) == 12 and found.n.sum() == 7214
    rows = (compas.groups["race"] == "Other") & (compas.groups["sex"] == "Female")
    g = at(found, "race & sex", "Other & Female")
    assert found.n[g] == rows.sum() and found.value[0, g] == pytest.approx(compas.label[rows].mean())


def simulated(generator, groups: int, n: int, shift: float = 0.0, base: float = 0.0) -> lk.Predictions:
    """People whose answers depend on the truth alone, but for the first group; base rates may differ."""
    group = generator.integers(0, groups, n)
    y = (generator.random(n) < 0.5 - base * (group == 0)).astype(int)
    chance = 0.3 + 0.4 * y + shift * (group == 0)
    score = np.clip(generator.normal(0.3 + 0.3 * y, 0.2), 0, 1).round(1)
    frame = pd.DataFrame({"y": y, "label": (generator.random(n) < chance).astype(int), "s": score, "group": group})
    frame["other"] = generator.integers(0, 3, n)
    return lk.Predictions.from_frame(frame, y="y", label="label", score="s", groups=["group", "other"])


def test_without_disparity_a_whole_audit_seldom_fires() -> None:
    fired = 0
    for seed in range(40):
        p = simulated(np.random.default_rng(seed), 5, 400)
        metrics = ["selection_rate", "true_positive_rate", "auc"]
        found = lk.audit_groups(p, metrics, by=["group", "other"], replicates=400, seed=seed)
        fired += bool((found.p_holm < 0.05).any())
        assert not any(f.status == "does_not_meet" for f in lk.check(found, only=["disparity"]) if f.low <= 0.1)
    assert fired <= 5


def test_unequal_base_rates_are_no_unequal_treatment() -> None:
    """Rates among positives and AUC compare people of one class, whose number in each group is kept."""
    p = [simulated(np.random.default_rng(seed), 3, 900, base=0.46) for seed in range(60)]
    asked = {"by": ["group"], "replicates": 300, "least_of": 1}
    found = [lk.audit_groups(q, ["true_positive_rate", "auc"], seed=s, **asked) for s, q in enumerate(p)]
    for m in (0, 1):
        assert sum(f.p[m, 0] < 0.05 for f in found) <= 8
    assert min(f.perfect[0, 0] for f in found) == 0


def test_the_null_is_that_of_permuted_people() -> None:
    """The slow way: the groups of all people are shuffled and the rates taken again."""
    p = simulated(np.random.default_rng(0), 4, 400)
    found = lk.audit_groups(p, ["selection_rate"], by=["group"], replicates=4000)
    generator, slow = np.random.default_rng(1), []
    for _ in range(2000):
        group = generator.permutation(p.groups["group"])
        rates = [p.label[group == g].mean() for g in found.group]
        slow.append((max(rates) - min(rates), min(rates) / max(rates)))
    differences, ratios = np.array(slow).T
    assert found.null95[0, 0] == pytest.approx(np.quantile(differences, 0.95), rel=0.04)
    assert found.null99[0, 0] == pytest.approx(np.quantile(differences, 0.99), rel=0.07)
    assert found.null_ratio05[0, 0] == pytest.approx(np.quantile(ratios, 0.05), rel=0.04)


def test_a_disparity_is_found_and_its_interval_holds_it() -> None:
    found = [
        lk.audit_groups(
            simulated(np.random.default_rng(s), 4, 2000, 0.25), ["selection_rate"], by=["group"], replicates=300
        )
        for s in range(40)
    ]
    assert all(f.p[0, 0] < 0.01 for f in found)
    assert sum(f.difference_low[0, 0] <= 0.25 <= f.difference_high[0, 0] for f in found) >= 37
    assert sum("does_not_meet" in {c.status for c in lk.check(f, only=["disparity"])} for f in found) >= 30
    raw, corrected = (np.mean([getattr(f, k)[0, 0] for f in found]) for k in ("difference", "corrected"))
    assert abs(corrected - 0.25) < abs(raw - 0.25)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"metrics": ["acuracy"]}, "'accuracy'"),
        ({"metrics": []}, "at least one"),
        ({"metrics": ["auc", "auc"]}, "different names"),
        ({"by": ["gender"]}, "one of: group, other"),
        ({"positive": "3"}, "one of: 0, 1"),
        ({"replicates": 5}, "100 or more"),
    ],
)
def test_bad_questions_are_refused(change, words) -> None:
    p = simulated(np.random.default_rng(0), 3, 200)
    with pytest.raises(lk.Refused, match=words):
        lk.audit_groups(p, **{"metrics": ["selection_rate"], "by": ["group"], **change})


def test_scores_and_classes_that_are_not_there_are_refused() -> None:
    frame = pd.DataFrame({"y": [0, 0, 0, 0], "label": [0, 1, 0, 1], "group": list("aabb")})
    p = lk.Predictions.from_frame(frame, y="y", label="label", groups=["group"])
    with pytest.raises(lk.Refused, match="no example whose true class is '1'"):
        lk.audit_groups(p, ["selection_rate"], by=["group"])
    both = lk.Predictions.from_frame(frame.assign(y=[0, 1, 0, 1]), y="y", label="label", groups=["group"])
    with pytest.raises(lk.Refused, match="predictions with probabilities"):
        lk.audit_groups(both, ["auc"], by=["group"])
    with pytest.raises(lk.Refused, match="Predictions, from"):
        lk.audit_groups(frame, ["selection_rate"], by=["group"])


def test_a_small_group_does_not_drown_a_sure_difference() -> None:
    """Two large groups differ; a small one lies far off by chance and has the largest difference."""
    shares = {"large": (4000, 1000), "other": (4000, 1300), "small": (40, 15)}
    rows = [(g, int(i < hits)) for g, (n, hits) in shares.items() for i in range(n)]
    frame = pd.DataFrame(rows, columns=["group", "label"])
    p = lk.Predictions.from_frame(frame, y="label", label="label", groups=["group"])
    found = lk.audit_groups(p, ["selection_rate"], by=["group"])
    named = [str(found.group[int(getattr(found, k)[0, 0])]) for k in ("highest", "lowest", "surest_high", "surest_low")]
    assert named == ["small", "large", "other", "large"]
    assert found.difference[0, 0] < found.null95[0, 0] and found.p[0, 0] < 0.002
    assert "The surest is 0.075 between other and large" in lk.check(found, only=["disparity"])[0].says


def test_one_group_alone_is_not_compared() -> None:
    frame = pd.DataFrame({"y": [0, 1] * 50, "label": [0, 1, 1, 0] * 25, "group": "a"})
    p = lk.Predictions.from_frame(frame, y="y", label="label", groups=["group"])
    found = lk.audit_groups(p, ["selection_rate"], by=["group"])
    assert found.status == "not_measured" and "group: a" in found.reason


def test_the_check_of_the_how_to_page_works_as_it_stands() -> None:
    page = (Path(__file__).parent.parent / "docs" / "add_a_check.md").read_text(encoding="utf-8")
    names: dict = {"__name__": "docs"}
    exec(compile(page.split("```python\n")[1].split("```")[0], "docs", "exec", dont_inherit=True), names)  # noqa: S102
    p = simulated(np.random.default_rng(0), 3, 300)
    found = lk.check(lk.audit_groups(p, ["selection_rate"], by=["group"], replicates=100), only=[names["known_groups"]])
    assert [f.status for f in found] == ["meets"] and found[0].thresholds == {"least": 0.95}
