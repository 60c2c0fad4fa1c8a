"""Impact ratios against the rule's worked example, SciPy's exact test, enumerations and the chance that equal groups give."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import labkit as lk
from labkit.core import resampling
from labkit.core.ratios import score_ratio
from labkit.records.scores import Scores
from labkit.views import impact_ratios as view
from labkit.views._static import svg

SEX = {"Male": (50, 92), "Female": (34, 76)}
RACE = {"Hispanic": (18, 28), "White": (15, 40), "Black": (16, 32), "Pacific Islander": (5, 8), "Asian": (10, 24)}


def frame(counts: dict[str, tuple[int, int]], feature: str = "race") -> pd.DataFrame:
    """One row a person, selected or not."""
    people = [(name, int(i < hits)) for name, (hits, n) in counts.items() for i in range(n)]
    return pd.DataFrame(people, columns=[feature, "label"])


def ratios(counts: dict[str, tuple[int, int]], feature: str = "race", **options):
    p = lk.Predictions.from_frame(frame(counts, feature), y=None, label="label", groups=[feature])
    return lk.impact_ratios(p, [feature], **{"replicates": 500, **options})


def at(record, category: str) -> int:
    return int(np.flatnonzero(record.category == category)[0])


def test_the_worked_example_to_its_printed_decimals() -> None:
    printed = {
        "sex": (SEX, {"Male": (54.3, 1.00), "Female": (44.7, 0.82)}),
        "race": (
            RACE,
            {
                "Hispanic": (64.2, 1.00),
                "White": (37.5, 0.58),
                "Black": (50.0, 0.78),
                "Pacific Islander": (62.5, 0.97),
                "Asian": (41.7, 0.65),
            },
        ),
    }
    for feature, (counts, expected) in printed.items():
        record = ratios(counts, feature)
        table = view.tables(record)[feature]
        heading = f"{feature.capitalize()} Categories"
        assert list(table) == [heading, "# of Applicants", "# Selected", "Selection Rate", "Impact Ratio"]
        for row in table.to_dict("records"):
            rate, ratio = expected[row[heading]]
            assert row["Impact Ratio"] == f"{ratio:.2f}" and row["# of Applicants"] == counts[row[heading]][1]
            # the rule cuts 64.29 to 64.2 where others round it
            assert abs(float(row["Selection Rate"].rstrip("%")) - rate) < 0.11


def test_the_examples_intervals_and_exact_tests() -> None:
    record = ratios(RACE)
    for name, (hits, n) in RACE.items():
        c = at(record, name)
        if name == "Hispanic":
            assert record.reference[0] == c and np.isnan(record.p[c]) and record.ratio_low[c] == 1
            continue
        ends = score_ratio(hits, n, 18, 28)
        assert np.allclose((record.ratio_low[c], record.ratio_high[c]), ends)
        exact = stats.fisher_exact([[hits, n - hits], [18, 10]]).pvalue
        assert record.p[c] == pytest.approx(exact, abs=0.03)
        chi = stats.chi2_contingency([[hits, n - hits], [18, 10]], correction=False).statistic
        assert record.deviations[c] ** 2 == pytest.approx(chi)
    assert round(record.p[at(record, "White")], 3) == 0.048
    female = ratios(SEX, "sex")
    assert np.round([female.ratio_low[0], female.ratio_high[0]], 2).tolist() == [0.60, 1.12]
    assert round(record.one_more[at(record, "Pacific Islander")], 2) == 1.17


def test_question_21s_example_and_the_selections_that_are_lacking() -> None:
    """80 applicants of whom 16 are hired beside 20 of whom 3 are: 20 % against 15 %. One hire the other way turns it."""
    record = ratios({"white": (16, 80), "black": (3, 20)})
    c = at(record, "black")
    assert record.ratio[c] == pytest.approx(0.75) and record.turns[c]
    assert (record.lacking[c], record.lacking_fifths[c]) == (1, 1)
    (found,) = lk.check(record)
    assert found.status == "inconclusive" and "would turn the order" in found.says
    clear = ratios({"white": (160, 800), "black": (30, 200)})
    assert not clear.turns.any() and clear.lacking[at(clear, "black")] == 10
    (told,) = lk.check(clear)
    assert told.status == "info" and "turn" not in told.says


@pytest.mark.parametrize(
    ("hits", "n", "top", "of"), [(7, 31, 40, 97), (0, 12, 3, 9), (11, 40, 11, 40), (299, 1000, 3, 10)]
)
def test_what_is_lacking_is_the_least_whole_number(hits: int, n: int, top: int, of: int) -> None:
    record = ratios({"a": (hits, n), "b": (top, of)}, exclude=0)
    c = at(record, "a")
    for lacking, share in ((record.lacking[c], 5), (record.lacking_fifths[c], 4)):
        reached = [k for k in range(n - hits + 1) if 5 * (hits + k) * of >= share * top * n]
        assert lacking == reached[0]


def test_scores_count_strictly_above_the_median_of_all_and_ties_are_told() -> None:
    value = np.array([1.0, 2, 3, 3, 3, 4, 5, 6, 7, 0, 9])
    people = pd.DataFrame({"s": value, "sex": ["m"] * 6 + ["f"] * 4 + [None]})
    record = lk.impact_ratios(Scores.from_frame(people, score="s", groups=["sex"]), ["sex"])
    assert record.median == 3 and record.tied == 3 and record.outcome == "scoring"
    assert record.hits[at(record, "m")] == 1 and record.hits[at(record, "f")] == 3
    assert list(view.tables(record)["sex"]) == ["Sex Categories", "# of Applicants", "Scoring Rate", "Impact Ratio"]
    unknown, median = view.notes(record)
    assert "1 of 11 individuals" in unknown and "3 individuals score exactly the median" in median
    with pytest.raises(lk.Refused, match="no positive="):
        lk.impact_ratios(Scores.from_frame(people, score="s", groups=["sex"]), ["sex"], positive=1)


def test_under_two_percent_is_shown_and_left_out_and_the_other_answer_stands_beside() -> None:
    counts = {"a": (200, 500), "b": (180, 485), "few": (10, 15)}
    record = ratios(counts)
    few = at(record, "few")
    assert record.excluded.tolist() == [False, False, True] and record.category[record.reference[0]] == "a"
    assert np.isnan(record.ratio[few]) and record.rate[few] == pytest.approx(2 / 3) and record.n[few] == 15
    assert record.ratio_of_all[few] == 1 and record.ratio_of_all[at(record, "a")] == pytest.approx(0.6)
    note = view.notes(record)[1]
    assert "few (15 individuals, selection rate 66.7%)" in note and "1.00" in note
    assert "law firm" in view.notes(ratios(counts, justification="the law firm's reason"))[1]
    kept = ratios(counts, exclude=0)
    assert kept.reference[0] == few and kept.ratio[at(kept, "a")] == pytest.approx(0.6)
    assert "few (15 people), fewer than 30" in lk.check(kept)[0].says
    exactly = ratios({"a": (200, 500), "b": (180, 480), "edge": (10, 20)})
    assert not exactly.excluded.any(), "2 % is not below 2 %"
    with pytest.raises(lk.Refused, match="no larger categories"):
        ratios(counts, exclude=0.1)


def test_unknown_empty_and_unselected_categories_are_never_zero() -> None:
    people = frame(SEX, "sex").assign(race=lambda f: np.where(f.sex == "Male", "x", "y"))
    people.loc[:4, "sex"] = None
    p = lk.Predictions.from_frame(people, y=None, label="label", groups=["sex", "race"])
    record = lk.impact_ratios(p, ["sex", ("sex", "race")], replicates=200)
    assert record.unknown.tolist() == [5, 5] and record.n_known.tolist() == [163, 163]
    empty = at(record, "Female & x")
    assert record.why[empty] == "no people" and np.isnan(record.rate[empty]) and np.isnan(record.ratio[empty])
    assert "5 by sex" in lk.says(record)
    nobody = ratios({"a": (0, 50), "b": (0, 60)})
    assert nobody.status == "not_measured" and "nobody" in lk.says(nobody)
    one = ratios({"a": (10, 50)})
    assert one.status == "not_measured" and lk.check(one)[0].status == "not_measured"
    none = ratios({"a": (0, 50), "b": (30, 60)})
    assert none.ratio[0] == 0 and none.ratio_low[0] == 0 and 0 < none.ratio_high[0] < 0.3


def test_counted_rows_say_what_single_rows_say() -> None:
    single = lk.Predictions.from_frame(frame(RACE), y=None, label="label", groups=["race"])
    cells = frame(RACE).value_counts().reset_index()
    counted = lk.Predictions.from_frame(cells, y=None, label="label", groups=["race"])
    counted = replace(counted, count=cells["count"].to_numpy())
    a, b = (lk.impact_ratios(p, ["race"], replicates=200) for p in (single, counted))
    for name in ("n", "hits", "rate", "ratio", "ratio_low", "ratio_high", "p", "null05", "p_least", "turns"):
        assert np.array_equal(getattr(a, name), getattr(b, name), equal_nan=True), name
    assert b.n_total == 132


@pytest.mark.parametrize(
    ("groups", "size", "rate", "chance"), [(2, 50, 0.1, 0.75), (7, 200, 0.5, 0.29), (14, 500, 0.1, 0.997)]
)
def test_the_chance_of_a_ratio_under_four_fifths_among_equal_groups(groups, size, rate, chance) -> None:
    """The table of chances, once by drawing people and once by the record's own permutations."""
    generator = np.random.default_rng(groups)
    drawn = generator.binomial(size, rate, (20_000, groups)) / size
    assert (resampling.least_ratio(drawn) < 0.8).mean() == pytest.approx(chance, abs=0.012)
    record = ratios({f"g{i:02}": (int(size * rate), size) for i in range(groups)}, replicates=4000)
    assert record.null_fifths[0] == pytest.approx(chance, abs=0.04)
    assert record.p_least[0] == 1


def test_equal_groups_are_rarely_called_apart_and_unequal_ones_are() -> None:
    generator, alarms, found = np.random.default_rng(0), 0, 0
    for seed in range(25):
        equal = {f"g{i}": (int(generator.binomial(150, 0.3)), 150) for i in range(7)}
        alarms += ratios(equal, seed=seed, replicates=200).p_least[0] < 0.05
        unequal = equal | {"g0": (int(generator.binomial(150, 0.1)), 150)}
        found += ratios(unequal, seed=seed, replicates=200).p_least[0] < 0.05
    assert alarms <= 4 and found >= 22


def test_the_sentence_the_table_and_the_picture(tmp_path) -> None:
    record = ratios(RACE | {"Other": (1, 2)})
    said = lk.says(record)
    assert "impact ratio 0.58 (0.36 to 0.95)" in said and "n = 40" in said and "one time in 20" in said
    assert len(lk.rows(record)) == 6 and lk.rows(record)["below four fifths"].sum() == 3
    picture = svg(lk.figure(record), name="f")
    assert "White (15 of 40)" in picture and "left out: too few people" in picture
    assert lk.load(lk.save(record, tmp_path / "r.lk")).digest == record.digest
    assert record.digest == ratios(RACE | {"Other": (1, 2)}).digest
    with pytest.raises(lk.Refused):
        lk.impact_ratios(lk.Predictions.from_frame(frame(RACE), y=None, label="label", groups=["race"]), "race")
