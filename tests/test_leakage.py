"""Leaks between training and test data: each planted, beside a clean twin that must not be flagged."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import labkit as lk
from labkit.analyses._leakage import columns as alone
from labkit.checks.no_leakage import no_leakage
from labkit.core.refused import Refused
from labkit.data.schema import Feature, Schema
from labkit.data.split import Dataset, Split
from labkit.records import leakage as kinds
from labkit.views._static import svg


def table(x: np.ndarray, y: np.ndarray, name: str = "made", names: list[str] | None = None, **more) -> Split:
    named = names or [f"x{i}" for i in range(x.shape[1])]
    schema = Schema("tabular", "y", (x.shape[1],), features=tuple(Feature(n, "numeric") for n in named))
    return Split(x.astype(np.float32), y.astype(np.int64), schema, ("no", "yes"), name, **more)


def cut(x: np.ndarray, y: np.ndarray, n: int, **more) -> Dataset:
    whole = table(x, y, **more)
    return Dataset("made", whole[:n], whole[n:])


def noise(n: int = 900, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    return generator.normal(size=(n, 8)), generator.integers(0, 2, n)


def statuses(record: kinds.Leakage) -> dict[str, str]:
    return {kind: f.status for kind, f in zip(record.leak, no_leakage(record), strict=True)}


def row(record: kinds.Leakage, kind: str) -> dict[str, float]:
    i = record.leak.index(kind)
    return {key: getattr(record, key)[i] for key in ("hits", "of", "value", "low", "high", "usual", "p", "subject")}


@pytest.mark.parametrize("name", ["digits", "german", "compas"])
def test_clean_splits_raise_no_alarm(name: str) -> None:
    record = lk.leakage(lk.data.load(name), rows=120)
    assert "does_not_meet" not in statuses(record).values(), lk.rows(record)


def test_copies_dealt_to_both_parts_are_counted_and_cost(seed: int = 1) -> None:
    x, y = noise()
    mixed = np.random.default_rng(seed).permutation(1200)
    x, y = np.r_[x, x[:300]][mixed], np.r_[y, y[:300]][mixed]
    data = cut(x, y, 800)
    known = {r.tobytes() for r in data.train.x}
    copied = np.array([r.tobytes() in known for r in data.test.x])
    # a model that has learned its training rows by heart and guesses on others
    label = np.where(copied, data.test.y, np.random.default_rng(0).integers(0, 2, 400))
    frame = pd.DataFrame({"y": data.test.y, "label": label})
    p = lk.Predictions.from_frame(frame, y="y", label="label", classes=[0, 1])
    record = lk.leakage(data, predictions=p)
    assert row(record, kinds.COPIES)["hits"] == copied.sum() > 50
    assert statuses(record)[kinds.COPIES] == "does_not_meet"
    assert (data.train.x[record.pairs[:, 0]] == data.test.x[record.pairs[:, 1]]).all()
    assert record.accuracy[2, 0] == 1 and record.cost[1] > 0.3
    assert record.accuracy[1, 0] == pytest.approx((label == data.test.y)[~copied].mean())


def test_look_alikes_of_few_columns_are_no_copies_but_planted_ones_are() -> None:
    generator = np.random.default_rng(0)
    x = generator.integers(0, 4, (3000, 5)).astype(float)
    y = (generator.random(3000) < 0.3 + 0.4 * (x[:, 0] > 1)).astype(int)
    data = cut(x, y, 2000)
    clean = lk.leakage(data, rows=400)
    assert statuses(clean)[kinds.COPIES] == "inconclusive" and row(clean, kinds.COPIES)["p"] > 0.01
    wide = np.c_[x, generator.integers(0, 12, (3000, 2))]
    wide[2400:] = wide[:600]
    assert statuses(lk.leakage(cut(wide, y, 2000), rows=400))[kinds.COPIES] == "does_not_meet"


def test_nearly_equal_rows_are_found_with_their_twin() -> None:
    x, y = noise(1500)
    x[1000:1100] = x[:100] + 0.01 * np.random.default_rng(1).normal(size=(100, 8))
    record = lk.leakage(cut(x, y, 1000))
    found = row(record, kinds.NEAR)
    assert found["hits"] == 100 and found["usual"] < 0.01 and statuses(record)[kinds.NEAR] == "does_not_meet"
    assert set(map(tuple, record.pairs)) == {(i, i) for i in range(100)}
    assert statuses(record)[kinds.COPIES] == "meets"


def test_shifted_mirrored_and_brightened_pictures_are_near_copies(digits: Dataset) -> None:
    x = digits.test.x.copy()
    source = digits.train.x[:60]
    x[:20] = np.roll(source[:20], 1, 3)
    x[20:40] = source[20:40, :, :, ::-1]
    x[40:60] = 0.8 * source[40:] + 0.1
    record = lk.leakage(Dataset("planted", digits.train, replace(digits.test, x=x)), show=2)
    pairs = set(map(tuple, record.pairs))
    assert sum((i, i) in pairs for i in range(20, 60)) == 40
    assert sum((i, i) in pairs for i in range(20)) >= 15, "a column is rolled to the other side"
    assert statuses(record)[kinds.NEAR] == "does_not_meet"
    assert record.pictures is not None and record.pictures.shape == (2, 2, 1, 8, 8)


def test_texts_with_a_word_changed_are_near_copies() -> None:
    movies = lk.data.load("movies")
    train, test = movies.train[:1500], movies.test[:400]
    texts, x = list(test.texts), test.x.copy()
    for i in range(40):
        texts[i], x[i] = train.texts[i].upper() + " !!", train.x[i]
        x[i, 0] = 1
    record = lk.leakage(Dataset("planted", train, replace(test, x=x, texts=tuple(texts))), rows=400)
    found = row(record, kinds.NEAR)["hits"] + row(record, kinds.COPIES)["hits"]
    assert found == 40 and statuses(record)[kinds.NEAR] == "does_not_meet"
    clean = lk.leakage(Dataset("clean", train, test), rows=400)
    assert row(clean, kinds.NEAR)["hits"] == 0


def test_a_column_that_is_the_answer_is_named_and_a_strong_honest_one_is_not() -> None:
    x, _ = noise(1000)
    generator = np.random.default_rng(2)
    y = (x[:, 0] + generator.normal(size=1000) > 0).astype(int)
    leaked = np.c_[x, y * 3 + generator.normal(scale=0.01, size=1000)]
    record = lk.leakage(cut(leaked, y, 700))
    assert row(record, kinds.SINGLE)["subject"] == "x8" and statuses(record)[kinds.SINGLE] == "does_not_meet"
    strong = np.c_[x, y + generator.normal(scale=0.6, size=1000)]
    assert statuses(lk.leakage(cut(strong, y, 700)))[kinds.SINGLE] == "meets"
    several = generator.integers(0, 4, 1000)
    whole = replace(table(np.c_[x, 10 * several + 7], several), classes=("a", "b", "c", "d"))
    assert statuses(lk.leakage(Dataset("four", whole[:700], whole[700:])))[kinds.SINGLE] == "does_not_meet"


def test_the_area_of_a_column_is_scikit_learns() -> None:
    from sklearn.metrics import roc_auc_score

    x, _ = noise(600)
    y = (2 * x[:, 3] + np.random.default_rng(0).normal(size=600) > 0).astype(int)
    found = row(lk.leakage(cut(x, y, 500)), kinds.SINGLE)
    assert found["subject"] == "x3"
    assert found["value"] == pytest.approx(roc_auc_score(y[:500], x[:500, 3]), abs=1e-6)


def test_missing_values_that_go_with_the_label() -> None:
    x, y = noise(1000)
    holes = x.copy()
    holes[y == 1, 4] = np.nan
    record = lk.leakage(cut(holes, y, 700))
    assert row(record, kinds.MISSING)["subject"] == "x4" and statuses(record)[kinds.MISSING] == "does_not_meet"
    holes = x.copy()
    holes[np.random.default_rng(0).random(1000) < 0.3, 4] = np.nan
    assert statuses(lk.leakage(cut(holes, y, 700)))[kinds.MISSING] == "meets"


def test_like_parts_are_told_apart_by_a_column_no_more_often_than_p_says() -> None:
    small = []
    for seed in range(150):
        generator = np.random.default_rng(seed)
        reading = "a", generator.normal(size=300), generator.normal(size=200), False
        small.append(alone.apart([reading], seed).p < 0.05)
    assert np.mean(small) <= 0.05


def test_the_number_of_a_shop_is_no_person() -> None:
    data, shop = cut(*noise(), 600), np.arange(900) % 30
    frames = tuple(pd.DataFrame({"shop_id": shop[s]}) for s in (slice(600), slice(600, 900)))
    assert statuses(lk.leakage(data, frames=frames))[kinds.IDS] == "not_measured"
    assert statuses(lk.leakage(data, frames=frames, ids=["shop_id"]))[kinds.IDS] == "does_not_meet"
    twice = np.random.default_rng(0).permutation(900) // 2
    frames = tuple(pd.DataFrame({"customerId": twice[s]}) for s in (slice(600), slice(600, 900)))
    assert statuses(lk.leakage(data, frames=frames))[kinds.IDS] == "does_not_meet"


def test_ids_and_times_come_from_tables_beside() -> None:
    x, y = noise()
    data = cut(x, y, 600)
    days = pd.date_range("2020-01-01", periods=900).astype(str).to_numpy()
    person = np.arange(900)
    apart = tuple(pd.DataFrame({"patient_id": person[s], "day": days[s]}) for s in (slice(600), slice(600, 900)))
    clean = lk.leakage(data, frames=apart, time="day")
    assert statuses(clean)[kinds.IDS] == "meets" and statuses(clean)[kinds.TIME] == "meets"
    mixed = np.random.default_rng(0).permutation(900)
    twice = person[mixed] // 2
    frames = tuple(pd.DataFrame({"who": twice[s], "day": days[mixed][s]}) for s in (slice(600), slice(600, 900)))
    record = lk.leakage(data, frames=frames, ids=["who"], time="day")
    assert row(record, kinds.IDS)["hits"] == np.isin(twice[600:], twice[:600]).sum()
    first = days[mixed][600:].min()
    assert row(record, kinds.TIME)["hits"] == (days[mixed][:600] > first).sum()
    assert statuses(record)[kinds.IDS] == statuses(record)[kinds.TIME] == "does_not_meet"
    nothing = statuses(lk.leakage(data))
    assert nothing[kinds.IDS] == nothing[kinds.TIME] == "not_measured"
    with pytest.raises(Refused, match="who"):
        lk.leakage(data, frames=frames, time="whoo")


def test_a_running_number_and_sorted_labels() -> None:
    x, y = noise(900)
    y = np.sort(y[:600])
    sorted_x = np.c_[x[:600], np.arange(600)]
    test = table(np.c_[x[600:], np.arange(600, 900)], noise()[1][600:])
    record = lk.leakage(Dataset("sorted", table(sorted_x, y), test))
    assert row(record, kinds.ORDER)["subject"] == "x8" and statuses(record)[kinds.ORDER] == "does_not_meet"
    assert statuses(record)[kinds.APART] == "does_not_meet" and row(record, kinds.APART)["value"] > 0.99
    assert statuses(lk.leakage(cut(*noise(), 600)))[kinds.APART] == "meets"


@pytest.mark.parametrize("case", ["no test", "same", "few", "other rows"])
def test_bad_input_is_refused(case: str) -> None:
    x, y = noise(120)
    data = cut(x, y, 80)
    with pytest.raises(Refused):
        if case == "no test":
            lk.leakage(data.train)  # type: ignore[arg-type]
        elif case == "same":
            lk.leakage(Dataset("same", data.train, data.train[::-1]))
        elif case == "few":
            lk.leakage(Dataset("few", data.train, data.test[:29]))
        else:
            frame = pd.DataFrame({"y": y[:40], "label": y[:40]})
            lk.leakage(data, predictions=lk.Predictions.from_frame(frame, y="y", label="label", classes=[0, 1]))


def test_the_record_is_kept_drawn_and_told(tmp_path, digits: Dataset) -> None:
    record = lk.leakage(digits, rows=200)
    assert lk.load(lk.save(record, tmp_path / "r.lk")).digest == record.digest
    assert lk.leakage(digits, rows=200).digest == record.digest
    assert svg(lk.figure(record), name="f").startswith("<svg")
    assert "0 of 500 test rows are exact copies" in lk.says(record) and len(lk.rows(record)) == len(record.leak)
