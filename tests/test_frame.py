"""Predictions out of a table: what is read, and what is refused with what would do."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import labkit as lk


def table(**columns) -> pd.DataFrame:
    return pd.DataFrame({"y": [0, 1, 1, 0], "label": [0, 1, 0, 0], "sex": ["f", "m", "m", "f"], **columns})


def read(frame: pd.DataFrame, **more) -> lk.Predictions:
    asked = {"y": "y", "label": "label", **more}
    return lk.Predictions.from_frame(frame, **{k: v for k, v in asked.items() if v is not None})


def test_labels_groups_and_scores_are_read() -> None:
    p = read(table(s=[0.2, 0.9, 0.4, 0.1]), label=None, score="s", threshold=0.4, groups=["sex"])
    assert p.label.tolist() == [0, 1, 1, 0] and p.classes == ("0", "1")
    assert np.allclose(p.proba[:, 1], [0.2, 0.9, 0.4, 0.1]) and p.group("sex").tolist() == ["f", "m", "m", "f"]
    assert read(table()).label.tolist() == [0, 1, 0, 0]
    assert len(lk.figure(p).data) == 1 and "Of 4 examples 4" in lk.says(p) and len(lk.rows(p)) == 4


def test_class_columns_give_labels_and_probabilities() -> None:
    frame = table(a=[0.5, 0.2, 0.1, 0.8], b=[0.5, 0.8, 0.9, 0.2])
    p = read(frame, label=None, proba=["a", "b"])
    assert p.label.tolist() == [0, 1, 1, 0]


def test_texts_and_named_classes_keep_their_order() -> None:
    frame = table(y=["low", "high", "high", "low"], label=["low", "high", "low", "low"])
    assert read(frame).classes == ("high", "low")
    named = read(frame, classes=["low", "high"])
    assert named.classes == ("low", "high") and named.label.tolist() == [0, 1, 0, 0]


@pytest.mark.parametrize(
    ("change", "more", "words"),
    [
        ({}, {"y": "truth"}, "one of: "),
        ({}, {"label": None}, "no predictions"),
        ({"s": [0.1, 0.2, 0.3, 0.4]}, {"label": None, "score": "s"}, "threshold="),
        ({"s": [0.1, 0.2, 3.0, 0.4]}, {"score": "s"}, "from 0 to 1"),
        ({"s": [0.1, 0.2, np.nan, 0.4]}, {"score": "s"}, "1 rows without a finite score"),
        ({"s": ["a", "b", "c", "d"]}, {"score": "s"}, "not numbers"),
        ({"label": [0, 1, 2, 0]}, {}, "not among the classes"),
        ({"label": [0.1, 0.9, 0.4, 0.2]}, {}, "score= with threshold="),
        ({"label": ["0", "1", "0", "0"]}, {}, "not among the classes"),
        (
            {"label": [0, 1, None, 0]},
            {"groups": ["sex"]},
            "1 of 4 values of 'label' are missing, 1 of them where sex is m",
        ),
        ({"y": [0.25, 1.5, 0.3, 0.1]}, {}, "class labels"),
        ({}, {"groups": "sex"}, r"groups=\['sex'\]"),
        ({}, {"groups": ["gender"]}, "one of: "),
    ],
)
def test_what_would_give_a_wrong_number_is_refused(change, more, words) -> None:
    with pytest.raises(lk.Refused, match=words):
        read(table(**change), **more)


def test_empty_and_doubled_tables_are_refused() -> None:
    with pytest.raises(lk.Refused, match="no rows"):
        read(table().iloc[:0])
    doubled = pd.concat([table(), table()[["sex"]]], axis=1)
    with pytest.raises(lk.Refused, match="stand twice"):
        read(doubled)


def test_groups_outside_the_table_are_aligned_by_index() -> None:
    frame = table().set_index(pd.Index(list("abcd")))
    other = pd.Series(["m", "f", "f", "m"], index=list("dcba"), name="sex")
    p = read(frame, groups={"sex": other, "age": np.array([1, 2, 1, None], object)})
    assert p.group("sex").tolist() == ["m", "f", "f", "m"] and p.group("age").tolist() == ["1", "2", "1", ""]
    with pytest.raises(lk.Refused, match="index"):
        read(frame, groups={"sex": other.iloc[:3]})
    with pytest.raises(lk.Refused, match="stand twice"):
        read(frame, groups={"sex": other.set_axis(list("aabc"))})


def test_spellings_of_one_group_are_one_and_told() -> None:
    p = read(table(sex=["Female", "female ", "ＭＡＬＥ", "male"]), groups=["sex"])
    assert len(set(p.group("sex"))) == 2 and len(p.warnings) == 2
    assert "'Female', 'female '" in p.warnings[0]
    assert read(table(), groups=["sex"]).warnings == ()
