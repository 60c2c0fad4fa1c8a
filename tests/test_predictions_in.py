"""Predictions without truth, scores, several labels at once, and tables counted part by part."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
import pytest

import labkit as lk
from labkit.analyses._predicted import Statement
from labkit.data import counting
from labkit.views._static import svg

N = 4000


@pytest.fixture(scope="module")
def people() -> pd.DataFrame:
    """A score that knows something of the truth, answers in texts, groups with gaps and two spellings."""
    generator = np.random.default_rng(0)
    score = np.round(generator.beta(2, 3, N), 2)
    return pd.DataFrame(
        {
            "id": np.arange(N),
            "y": np.where(generator.random(N) < score, "yes", "no"),
            "label": np.where(score >= 0.5, "yes", "no"),
            "score": score,
            "fine": np.clip(score + generator.normal(0, 0.004, N), 0, 1),
            "sex": generator.choice(np.array(["female", "male", "Male ", None], object), N),
            "code": generator.choice([1, 2, 3], N),
        }
    )


@pytest.fixture
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(counting, "PART", 700)
    monkeypatch.setattr(counting, "PENDING", 300)


def without(frame: pd.DataFrame, **more) -> lk.Predictions:
    return lk.Predictions.from_frame(frame, y=None, **{"label": "label", "groups": ["sex"], **more})


def test_without_truth_answers_are_read_and_shown(people, tmp_path) -> None:
    p = without(people)
    assert not p.has_truth and (p.y == -1).all() and p.classes == ("no", "yes") and p.people == N
    hits = int((people.label == "no").sum())
    assert f"Of {N} examples {hits} were answered 'no'" in lk.says(p) and "not measured" in lk.says(p)
    assert "y" not in lk.rows(p) and len(lk.rows(p)) == N
    assert list(lk.figure(p).data[0].y) == pytest.approx([hits / N, 1 - hits / N])
    read = lk.load(lk.save(p, tmp_path / "p.lk"))
    assert not read.has_truth and read.digest == p.digest
    twin = lk.Predictions.from_frame(people, y="y", label="label")
    assert twin.has_truth and "answered right" in lk.says(twin) and "y" in lk.rows(twin)


def test_without_truth_scores_are_of_two_classes_and_class_columns_need_names(people) -> None:
    assert without(people, label=None, score="score", threshold=0.5).label.sum() == (people.label == "yes").sum()
    columns = people.assign(a=1 - people.score, b=people.score)
    with pytest.raises(lk.Refused, match="classes= with the labels in order"):
        without(columns, label=None, proba=["a", "b"])
    named = without(columns, label=None, proba=["a", "b"], classes=["no", "yes"])
    assert named.classes == ("no", "yes") and not named.has_truth


@pytest.mark.parametrize("analysis", ["calibration", "abstention"])
def test_what_needs_truth_says_so(people, analysis) -> None:
    p = without(people, label=None, score="score", threshold=0.5)
    with pytest.raises(lk.Refused, match="data without truth"):
        getattr(lk, analysis)(p)
    with pytest.raises(lk.Refused, match="without truth"):
        lk.generalization_gap(p, p, "accuracy")


def test_an_analysis_says_what_it_takes(people, tmp_path) -> None:
    people.to_csv(tmp_path / "p.csv", index=False)
    counted = lk.data.count_predictions(tmp_path / "p.csv", y="y", label="label", groups=["sex"])
    scores = lk.Scores.from_frame(people, score="score")
    with pytest.raises(lk.Refused, match=f"stand for {N} people"):
        Statement("x", {}, 0, {"data": counted})
    with pytest.raises(lk.Refused, match="a Scores as data"):
        Statement("x", {}, 0, {"data": scores})
    with pytest.raises(lk.Refused, match="data without truth"):
        Statement("x", {}, 0, {"data": scores}, takes=(lk.Scores,))
    Statement("x", {}, 0, {"data": counted}, counted=True)
    kept = Statement("x", {}, 0, {"data": scores}, truth=False, takes=(lk.Predictions, lk.Scores)).provenance()
    assert kept.data["predictions"] == scores.digest


def test_scores_are_any_numbers(people, tmp_path) -> None:
    odds = people.assign(odds=np.log(people.fine + 0.01) - np.log(1.01 - people.fine))
    s = lk.Scores.from_frame(odds, score="odds", y="score", groups=["sex"])
    assert np.array_equal(s.value, odds.odds) and np.array_equal(s.y, odds.score) and s.has_truth and s.people == N
    assert set(s.group("sex")) == {"female", "male", ""} and "taken as one group" in s.warnings[0]
    assert lk.load(lk.save(s, tmp_path / "s.lk")).digest == s.digest
    assert f"Of {N} people half have odds of at most {np.median(odds.odds):.4g} (" in lk.says(s)
    assert list(lk.rows(s)) == ["odds", "y", "sex"]
    curves = {c.name.partition(" ")[0]: c for c in lk.figure(s).data}
    female = odds.odds[odds.sex == "female"]
    assert curves["female"].x[0] == female.min() and curves["female"].x[-1] == female.max()
    assert lk.Scores.from_frame(odds, score="odds").y is None


def test_the_interval_of_a_median_holds_the_median() -> None:
    generator, held = np.random.default_rng(0), 0
    for _ in range(300):
        s = lk.Scores.from_frame(pd.DataFrame({"s": generator.exponential(size=101)}), score="s")
        low, high = map(float, re.search(r"\(([\d.]+) to ([\d.]+)\)", lk.says(s)).groups())
        held += low <= np.log(2) <= high
    assert 0.92 <= held / 300 <= 0.98


def test_pictures_are_drawn_without_scripts_too(people) -> None:
    for record in (without(people), lk.Scores.from_frame(people, score="score", groups=["sex"])):
        assert "<svg" in svg(lk.figure(record), name="f")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"score": lambda f: f.score.where(f.code != 2)}, r"values of 'score' are missing, .* of them where code is 2"),
        ({"score": lambda f: f.score.replace(0.5, np.inf)}, "infinite"),
        ({"score": lambda f: f.y}, "not numbers"),
    ],
)
def test_scores_that_are_none_are_refused(people, change, words) -> None:
    with pytest.raises(lk.Refused, match=words):
        lk.Scores.from_frame(people.assign(**change), score="score", groups=["code"])


def test_the_score_behind_predictions(people) -> None:
    p = lk.Predictions.from_frame(people, y="y", score="score", threshold=0.5, groups=["sex"])
    s = lk.scores(p, positive="yes")
    assert np.array_equal(s.value, people.score) and np.array_equal(s.y, people.y == "yes")
    assert lk.scores(without(people, label=None, score="score", threshold=0.5)).y is None
    with pytest.raises(lk.Refused, match="without probabilities"):
        lk.scores(without(people))


def test_several_labels_are_one_task_each(people) -> None:
    frame = people.assign(a=people.code > 1, b=people.code > 2, pa=people.score, pb=people.fine)
    several = lk.Predictions.from_labels(
        frame, y=["a", "b"], score=["pa", "pb"], threshold={"pa": 0.5, "pb": 0.3}, groups=["sex"]
    )
    alone = lk.Predictions.from_frame(
        frame, y="b", score="pb", threshold=0.3, groups=["sex"], classes=[0, 1], name="table, b"
    )
    assert list(several) == ["a", "b"] and several["b"].digest == alone.digest
    assert several["a"].label.sum() == (people.score >= 0.5).sum()
    blind = lk.Predictions.from_labels(frame, y=None, label=["a", "b"])
    assert list(blind) == ["a", "b"] and not blind["a"].has_truth


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"y": "a", "label": ["b"]}, "a list of different columns as y="),
        ({"y": ["a", "b"], "label": ["a"]}, "2 columns as y=, 1 columns as label="),
        ({"y": ["a", "a"], "label": ["a", "b"]}, "different columns"),
        ({"y": ["a", "code"], "label": ["a", "b"]}, "not among the classes"),
        ({"y": ["a"], "score": ["pa"]}, "scores without a threshold"),
        ({"y": ["a"], "score": ["pa"], "threshold": {"other": 0.5}}, "scores without a threshold"),
        ({"y": ["a"], "label": ["b"], "classes": [0, 1, 2]}, "3 classes"),
        ({"y": []}, "one column a label"),
    ],
)
def test_several_labels_that_do_not_fit_are_refused(people, more, words) -> None:
    frame = people.assign(a=people.code > 1, b=people.code > 2, pa=people.score)
    with pytest.raises(lk.Refused, match=words):
        lk.Predictions.from_labels(frame, **more)


ASKED = {"y": "y", "label": "label", "score": "score", "groups": ["sex", "code"]}


def by_cell(p: lk.Predictions) -> pd.Series:
    """People of each distinct row."""
    table = lk.rows(p).assign(score=p.proba[:, 1].round(9))
    table["people"] = table["people"] if p.count is not None else 1
    return table.groupby([c for c in table if c != "people"])["people"].sum()


@pytest.mark.parametrize("file", ["p.parquet", "p.csv", "p.csv.gz", "p.tsv"])
def test_counted_rows_are_the_rows(people, tmp_path, small_parts, file) -> None:
    path = tmp_path / file
    people.to_parquet(path) if file == "p.parquet" else people.to_csv(
        path, index=False, sep="\t" if file == "p.tsv" else ","
    )
    p = lk.data.count_predictions(path, **ASKED)
    whole = lk.Predictions.from_frame(people, **ASKED)
    pd.testing.assert_series_equal(by_cell(p), by_cell(whole), check_dtype=False)
    assert p.people == N == p.provenance.data["n"] and len(p) < N and p.classes == whole.classes
    assert lk.says(p) == lk.says(whole)
    assert not any("rounded" in w for w in p.warnings), "101 different scores are kept as they are"
    again = lk.load(lk.save(p, tmp_path / "p.lk"))
    assert again.digest == p.digest and again.people == N


def test_the_order_of_rows_and_the_size_of_parts_do_not_matter(people, tmp_path, monkeypatch) -> None:
    path = tmp_path / "p.parquet"
    asked = {"y": "y", "score": "fine", "threshold": 0.5, "groups": ["code"]}
    people.to_parquet(path)
    first = lk.data.count_predictions(path, **asked)
    people.sample(frac=1, random_state=1).to_parquet(path)
    monkeypatch.setattr(counting, "PART", 333)
    monkeypatch.setattr(counting, "PENDING", 100)
    assert lk.data.count_predictions(path, **asked).digest == first.digest


def test_many_scores_are_rounded_and_nothing_else(people, tmp_path, small_parts) -> None:
    path = tmp_path / "p.parquet"
    people.to_parquet(path)
    p = lk.data.count_predictions(path, y="y", score="fine", threshold=0.5, groups=["code"], classes=["no", "yes"])
    whole = lk.Predictions.from_frame(people, y="y", score="fine", threshold=0.5, groups=["code"])
    assert np.bincount(p.label, p.count).tolist() == np.bincount(whole.label).tolist(), "met before rounding"
    steps = p.proba[:, 1] * 1000
    assert np.allclose(steps, np.rint(steps)) and any("1,000 steps" in w for w in p.warnings)
    assert abs(p.proba[:, 1] @ p.count / N - people.fine.mean()) < 0.0005
    kept = lk.data.count_predictions(path, y="y", score="fine", threshold=0.5, levels=5000)
    assert set(kept.proba[:, 1]) == set(people.fine) and kept.warnings == ()


def test_numbers_read_in_parts_are_what_they_are_as_a_whole(tmp_path, small_parts) -> None:
    """A part of a column may look like numbers where the whole is text, and like whole numbers where one has a gap."""
    frame = pd.DataFrame({"y": ["0", "1"] * 800, "label": ["1"] * 1600, "g": ["1"] * 1500 + ["x"] * 100})
    frame["h"] = [1.0] * 1599 + [None]
    frame.to_csv(path := tmp_path / "p.csv", index=False)
    p = lk.data.count_predictions(path, y="y", label="label", groups=["g", "h"])
    whole = lk.data.read_predictions(path, y="y", label="label", groups=["g", "h"])
    assert p.classes == whole.classes == ("0", "1") and whole.count is None
    for feature in ("g", "h"):
        assert set(p.group(feature)) == set(whole.group(feature)) == {"g": {"1", "x"}, "h": {"1", ""}}[feature]


def test_a_large_table_is_counted_and_a_small_one_read(people, tmp_path, monkeypatch) -> None:
    people.to_parquet(tmp_path / "p.parquet")
    people.to_csv(tmp_path / "p.csv", index=False)
    for file in ("p.parquet", "p.csv"):
        assert lk.data.read_predictions(tmp_path / file, **ASKED).count is None
    monkeypatch.setattr(counting, "PART", 1000)
    monkeypatch.setattr(counting, "LARGE", 10_000)
    for file in ("p.parquet", "p.csv"):
        assert lk.data.read_predictions(tmp_path / file, **ASKED).people == N
        with pytest.raises(lk.Refused, match="class columns"):
            lk.data.read_predictions(tmp_path / file, y="y", proba=["score", "score"])


@pytest.mark.parametrize("file", ["p.parquet", "p.csv"])
@pytest.mark.parametrize(
    ("change", "more", "words"),
    [
        ({"label": lambda f: f.label.where(f.code != 2)}, {}, r"of 4000 values of 'label' .* where code is 2"),
        ({"score": lambda f: f.score.where(f.code != 2)}, {}, "rows without a finite score"),
        ({"score": lambda f: f.score * 100}, {}, "percentages divided by 100"),
        ({"score": lambda f: f.y}, {}, "number|float"),
        ({"label": 1}, {}, "not among the classes"),
        ({"label": lambda f: f.score}, {"score": None}, "score= with threshold="),
        ({}, {"y": "truth"}, "one of: "),
        ({"code": lambda f: f.id}, {}, "a quantity"),
        ({}, {"levels": 1}, "levels=1"),
        ({}, {"groups": "code"}, r"groups=\['code'\]"),
    ],
)
def test_counted_tables_refuse_what_whole_ones_refuse(people, tmp_path, small_parts, file, change, more, words) -> None:
    frame, path = people.assign(**change), tmp_path / file
    frame.to_parquet(path) if file == "p.parquet" else frame.to_csv(path, index=False)
    with pytest.raises(lk.Refused, match=words):
        lk.data.count_predictions(path, **{**ASKED, **more})


def test_missing_scores_are_counted_over_all_parts(people, tmp_path, small_parts) -> None:
    holed = people.assign(score=people.score.where(people.id % 10 > 0))
    holed.to_parquet(tmp_path / "p.parquet")
    with pytest.raises(lk.Refused, match="400 rows without a finite score"):
        lk.data.count_predictions(tmp_path / "p.parquet", **ASKED)


@pytest.mark.parametrize("file", ["p.parquet", "p.csv", "p.csv.gz", "p.npz"])
def test_files_that_are_no_table_are_refused(tmp_path, file) -> None:
    (tmp_path / file).write_bytes(b"y,label\n1,\xff\n" if file == "p.csv" else b"PAR1 and no more")
    with pytest.raises(lk.Refused):
        lk.data.count_predictions(tmp_path / file, y="y", label="label")


def test_a_packed_file_that_is_damaged_is_refused(people, tmp_path) -> None:
    path = tmp_path / "p.csv.gz"
    people.to_csv(path, index=False)
    whole = path.read_bytes()
    for damaged in (whole[: len(whole) // 2], whole[:3000] + bytes(200) + whole[3200:]):
        path.write_bytes(damaged)
        with pytest.raises(lk.Refused):
            lk.data.count_predictions(path, **ASKED)


def test_what_is_told_of_groups_counts_people(people, tmp_path, small_parts) -> None:
    path = tmp_path / "p.parquet"
    people.assign(sex=people.sex.where(people.id % 4 > 0, "None")).to_parquet(path)
    told = lk.data.count_predictions(path, **ASKED).warnings
    assert "sex: 1000 people have the text 'None', taken as a group and not as unknown" in told


@pytest.mark.parametrize("text", ["y,label\n0,1\n0,1,1\n", "y,y,label\n0,1,1\n", "y,,label\n0,1,1\n", "y,label\n"])
def test_tables_whose_columns_would_shift_are_refused(tmp_path, text) -> None:
    (tmp_path / "p.csv").write_text(text)
    with pytest.raises(lk.Refused):
        lk.data.count_predictions(tmp_path / "p.csv", y="y", label="label")


def test_a_column_of_ids_does_not_fill_the_memory(people, tmp_path, monkeypatch) -> None:
    people.assign(code="person " + people.id.astype(str)).to_parquet(tmp_path / "p.parquet")
    monkeypatch.setattr(counting, "MOST", 2000)
    with pytest.raises(lk.Refused, match="'code' alone has 4,000 different values"):
        lk.data.count_predictions(tmp_path / "p.parquet", **ASKED)


def test_counted_people_give_the_audit_of_the_rows(people, tmp_path) -> None:
    people.to_parquet(tmp_path / "p.parquet")
    metrics, asked = ["selection_rate", "true_positive_rate", "accuracy"], {"positive": "yes", "replicates": 200}
    counted = lk.data.count_predictions(tmp_path / "p.parquet", **ASKED)
    whole = lk.Predictions.from_frame(people, **ASKED)
    a, b = (lk.audit_groups(p, metrics, by=["sex", "code"], **asked) for p in (counted, whole))
    for part in ("value", "low", "high", "difference", "n", "hits"):
        np.testing.assert_allclose(getattr(a, part), getattr(b, part), atol=1e-12)
    assert a.n_total == b.n_total == N and (a.unknown == b.unknown).all()
