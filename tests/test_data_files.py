"""The user's own files: tables, arrays and image folders, what is inferred of them, and what is refused."""

from __future__ import annotations

import gzip
import hashlib
import io
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet
import pytest
from PIL import Image

import labkit as lk
from labkit.data import from_images, reading

ROWS = 200


def people(rows: int = ROWS) -> pd.DataFrame:
    """A table with every ordinary kind of column."""
    draw = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "age": draw.integers(18, 80, rows),
            "income": draw.normal(40_000, 9_000, rows).round(2),
            "job": draw.choice(["nurse", "clerk", "smith"], rows),
            "zip": draw.integers(1, 6, rows),
            "member": draw.random(rows) < 0.5,
            "sex": draw.choice(["f", "m"], rows),
            "label": draw.choice(["no", "yes"], rows),
        }
    )


@pytest.fixture
def csv(tmp_path) -> Path:
    path = tmp_path / "people.csv"
    people().to_csv(path, index=False)
    return path


def both(data: lk.data.Dataset) -> tuple[np.ndarray, np.ndarray]:
    return np.concatenate([s.x for s in data]), np.concatenate([s.y for s in data])


def test_csv_kinds_ranges_and_parts(csv):
    data = lk.data.open(csv, target="label", groups=["sex"], categorical=["zip"], immutable=["age", "sex"])
    frame = people()
    kinds = {f.name: f.kind for f in data.schema.features}
    words = dict.fromkeys(["job", "zip", "member", "sex"], "categorical")
    assert kinds == {"age": "numeric", "income": "numeric", **words}
    assert data.schema.feature("zip").categories == ("(other)", "1", "2", "3", "4", "5")
    assert data.schema.feature("member").categories == ("(other)", "False", "True")
    assert [f.name for f in data.schema.features if f.immutable] == ["age", "sex"]
    assert data.schema.feature("age").low == data.train.x[:, 0].min()
    assert data.classes == ("no", "yes") and data.name == "people" and data.test.name == "people/test"
    assert 0.15 < len(data.test) / ROWS < 0.25
    assert data.card["sha256"] == hashlib.sha256(csv.read_bytes()).hexdigest()
    # Every row of the file is there once, with its own label and group.
    told = sorted(
        (*data.schema.show(x), data.classes[y], g) for s in data for x, y, g in zip(s.x, s.y, s.groups["sex"])
    )
    assert told == sorted(
        (str(r.age), f"{np.float32(r.income):g}", r.job, str(r.zip), str(r.member), r.sex, r.label, r.sex)
        for r in frame.itertuples()
    )


def test_same_rows_in_every_format(csv, tmp_path):
    frame, options = people(), {"target": "label", "groups": ["sex"]}
    first = lk.data.open(csv, **options)
    frame.to_csv(tmp_path / "a.csv", index=False, encoding="utf-8-sig")  # with a byte order mark
    frame.to_csv(tmp_path / "b.csv", index=False, sep=";")
    frame.to_csv(tmp_path / "c.tsv", index=False, sep="\t", lineterminator="\r\n")
    (tmp_path / "d.csv.gz").write_bytes(gzip.compress(csv.read_bytes()))
    frame.to_parquet(tmp_path / "e.parquet")
    frame.convert_dtypes().to_parquet(tmp_path / "f.parquet")  # nullable integers and pandas' own text
    frame.astype({"job": "category"}).to_parquet(tmp_path / "g.parquet")
    for path in sorted(tmp_path.glob("?.*")):
        data = lk.data.open(path, **options)
        assert (data.test.digest, data.schema) == (first.test.digest, first.schema), path.name
    frame.set_index("sex").to_parquet(
        tmp_path / "h.parquet"
    )  # pandas stores the index, and labkit reads it as a column
    assert lk.data.open(tmp_path / "h.parquet", **options).schema.groups == ("sex",)


def test_schema_is_written_edited_and_given_back(csv, tmp_path):
    first = lk.data.open(csv, target="label", groups=["sex"], drop=["member"])
    path = first.schema.save(tmp_path / "schema.toml")
    again = lk.data.open(csv, schema=path)
    assert again.schema == first.schema and again.test.digest == first.test.digest
    table = first.schema.table().set_index("feature")
    assert table.loc["sex", "group"] and table.loc["job", "categories"] == "(other), clerk, nurse, smith"

    path.write_text(
        """
        modality = "tabular"
        target = "label"
        [[features]]
        name = "zip"
        kind = "categorical"
        [[features]]
        name = "age"
        kind = "numeric"
        low = 0
        unit = "years"
        immutable = true
        [[features]]
        name = "job"
        kind = "categorical"
        categories = ["(other)", "smith", "clerk"]
        """
    )
    own = lk.data.open(csv, schema=path)
    assert [f.name for f in own.schema.features] == ["zip", "age", "job"] and own.test.x.shape[1] == 3
    age = own.schema.feature("age")
    assert (age.low, age.high, age.unit, age.immutable) == (0.0, own.train.x[:, 1].max(), "years", True)
    x, _ = both(own)
    assert set(x[:, 2]) == {0.0, 1.0, 2.0}  # "nurse" is not in the schema: "(other)"
    assert (x[:, 2] == 0).sum() == (people()["job"] == "nurse").sum()


def test_codes_of_a_schema_hold_for_new_data(csv, tmp_path):
    """The codes that a model was trained with: a new file without some categories, and with a new one."""
    data = lk.data.open(csv, target="label", categorical=["zip"])
    new = people()[lambda f: f["job"] != "clerk"].assign(zip=lambda f: f["zip"] + 2)
    new["zip"] = new["zip"].astype(float).where(new["zip"] != 3)  # some missing: pandas writes 4.0, 5.0
    new.to_csv(tmp_path / "new.csv", index=False)
    own = lk.data.open(tmp_path / "new.csv", schema=data.schema, test=1, classes=data.classes)
    assert len(own.train) == 0 and len(own.test) == len(new)
    assert [data.schema.feature("job").categories[int(c)] for c in own.test.x[:, 2]] == new["job"].tolist()
    known = data.schema.feature("zip").categories
    expected = [known.index(str(int(z))) if str(z) != "nan" and str(int(z)) in known else 0 for z in new["zip"]]
    assert own.test.x[:, 3].tolist() == expected


def test_missing_categories_and_groups_have_a_name(tmp_path):
    frame = people().assign(
        job=lambda f: f["job"].where(f.index % 4 > 0), sex=lambda f: f["sex"].where(f.index % 5 > 0)
    )
    frame.to_csv(tmp_path / "a.csv", index=False)
    frame.convert_dtypes().to_parquet(tmp_path / "b.parquet")
    for name in ("a.csv", "b.parquet"):
        data = lk.data.open(tmp_path / name, target="label", groups=["sex"], drop=["sex"])
        job = data.schema.feature("job")
        assert job.categories == ("(other)", "(unknown)", "clerk", "nurse", "smith")
        x, _ = both(data)
        assert (x[:, 2] == 1).sum() == ROWS / 4
        assert sum(int((s.groups["sex"] == "").sum()) for s in data) == ROWS / 5
        assert "sex" not in [f.name for f in data.schema.features]


def test_split_by_a_column(tmp_path):
    frame = people().assign(part=lambda f: np.where(f.index < 150, "train", "test"))
    frame.loc[150:, "job"], frame.loc[199, "income"] = "pilot", 1e6
    frame.to_csv(tmp_path / "a.csv", index=False)
    data = lk.data.open(tmp_path / "a.csv", target="label", test="part")
    assert (len(data.train), len(data.test)) == (150, 50)
    assert data.test.x[:, 0].tolist() == frame["age"][150:].tolist()
    # What a feature is, is known from training alone.
    assert data.schema.feature("income").high < 1e6 and "pilot" not in data.schema.feature("job").categories
    assert (data.test.x[:, 2] == 0).all()
    assert "part" not in [f.name for f in data.schema.features]


def test_test_rows_of_their_own_file(csv, tmp_path):
    """The same rows and codes as one table with a column that says the part; rows that stand in both files stay in both."""
    frame = people()
    one, two = frame[:200], pd.concat([frame[200:], frame[:5]]).iloc[:, ::-1]
    one.to_csv(tmp_path / "one.csv", index=False)
    two.to_csv(tmp_path / "two.csv", index=False)
    data = lk.data.open(tmp_path / "one.csv", target="label", groups=["sex"], test=tmp_path / "two.csv")
    marked = pd.concat([one.assign(part="train"), two.assign(part="test")])
    marked.to_csv(tmp_path / "marked.csv", index=False)
    told = lk.data.open(tmp_path / "marked.csv", target="label", groups=["sex"], test="part")
    for mine, other in zip(data, told):
        assert np.array_equal(mine.x, other.x) and np.array_equal(mine.y, other.y)
    assert len(data.train) == 200 and (data.test.x[-5:] == data.train.x[:5]).all()
    with pytest.raises(lk.Refused, match="same file twice"):
        lk.data.open(tmp_path / "one.csv", target="label", test=tmp_path / "one.csv")
    two.drop(columns="age").to_csv(tmp_path / "three.csv", index=False)
    with pytest.raises(lk.Refused, match="age"):
        lk.data.open(tmp_path / "one.csv", target="label", test=tmp_path / "three.csv")
    np.savez(tmp_path / "a.npz", x=np.zeros((4, 2)), y=np.arange(4) % 2)
    with pytest.raises(lk.Refused, match="no table"):
        lk.data.open(tmp_path / "a.npz", test=tmp_path / "two.csv")


def test_equal_rows_are_on_one_side(tmp_path):
    pd.concat([people(), people()[:60]]).to_csv(tmp_path / "a.csv", index=False)
    data = lk.data.open(tmp_path / "a.csv", target="label", test=0.4)
    sides = [{x.tobytes() for x in s.x} for s in data]
    assert not sides[0] & sides[1]


def test_number_labels_are_in_the_order_of_numbers(tmp_path):
    people().assign(label=lambda f: f.index % 12).to_csv(tmp_path / "a.csv", index=False)
    assert lk.data.open(tmp_path / "a.csv", target="label").classes == tuple(map(str, range(12)))
    reverse = [str(c) for c in range(12)][::-1]
    data = lk.data.open(tmp_path / "a.csv", target="label", classes=reverse)
    assert data.classes == tuple(reverse) and data.test.digest != ""


CSV_REFUSED = {
    "empty": ("", {}, "an empty file"),
    "header only": ("a,label\n", {}, "0 rows"),
    "one row": ("a,label\n1,x\n", {}, "one class"),
    "no target": ("a,label\n1,x\n2,y\n", {"target": None}, r"target= one of the columns: a, label"),
    "unknown target": ("a,label\n1,x\n2,y\n", {"target": "lable"}, "'label'"),
    "doubled column": ("a,a,label\n1,2,x\n2,3,y\n", {}, "columns named twice: a"),
    "doubled but for spaces": ("a, a,label\n1,2,x\n2,3,y\n", {}, "columns named twice: a"),
    "no name": (",a,label\n0,1,x\n1,2,y\n", {}, "no name for column 1"),
    "missing label": ("a,label\n1,x\n2,\n3,y\n", {}, r"1 missing labels \(first in row 1"),
    "one class": ("a,label\n1,x\n2,x\n", {}, "one class: x"),
    "quantity": ("a,label\n1,0.5\n2,0.7\n", {}, "a quantity"),
    "unknown group": ("a,label\n1,x\n2,y\n", {"groups": ["sex"]}, "'sex'"),
    "quantity as group": ("a,label\n" + "".join(f"{i},{i % 2}\n" for i in range(30)), {"groups": ["a"]}, "bands"),
    "groups as text": ("a,label\n1,x\n2,y\n", {"groups": "a"}, r"groups=\['a'\]"),
    "missing number": ("a,label\n1,x\n,y\n3,x\n", {}, r"column a\ngiven: 1 values missing or not finite \(rows 1"),
    "infinite": ("a,label\n1,x\ninf,y\n3,x\n", {}, "not finite"),
    "beyond float32": ("a,label\n1,x\n1e39,y\n3,x\n", {}, "not finite"),
    "numbers but for one": ("a,label\n1,x\n?,y\n3,x\n", {}, r"1 values such as '\?'"),
    "names": ("a,label\n" + "".join(f"n{i},{i % 2}\n" for i in range(99)), {}, r"drop=\['a'\]"),
    "more fields": ("a,label\n1,x,7\n2,y,8\n", {}, "not a readable table"),
    "a field more that counts rows": ("a,label\n" + "".join(f"{i},{i % 2},5\n" for i in range(9)), {}, "not a read"),
    "ragged": ("a,label\n1,x\n1,x,2,3\n", {}, "not a readable table"),
    "unclosed quote": ('a,label\n1,"x\n2,y\n', {}, "not a readable table"),
    "no feature": ("label\nx\ny\n", {}, "no feature"),
    "all dropped": ("a,label\n1,x\n2,y\n", {"drop": ["a"]}, "no feature"),
    "strange label": ("a,label\n1,x\n2,y\n", {"classes": ["x", "z"]}, "not among the classes"),
    "class twice": ("a,label\n1,x\n2,y\n", {"classes": ["x", "y", "y"]}, "named twice"),
    "share": ("a,label\n1,x\n2,y\n", {"test": 0.0}, "a share above 0"),
    "share not a number": ("a,label\n1,x\n2,y\n", {"test": float("nan")}, "a share above 0"),
    "too few": ("a,label\n1,x\n2,y\n", {}, "more rows"),
    "parts": ("a,p,label\n1,dev,x\n2,test,y\n", {"test": "p"}, '"train" and "test"'),
    "seed": ("a,label\n1,x\n2,y\n", {"seed": 2**70}, "seed"),
    "schema": ("a,label\n1,x\n2,y\n", {"schema": "none.toml"}, "TOML"),
}


@pytest.mark.parametrize("case", CSV_REFUSED)
def test_a_bad_table_is_refused(tmp_path, case):
    text, options, match = CSV_REFUSED[case]
    path = tmp_path / "bad.csv"
    path.write_text(text)
    with pytest.raises(lk.Refused, match=match):
        lk.data.open(path, **({"target": "label"} | options))


def test_the_sound_twin_of_the_bad_tables(tmp_path):
    path = tmp_path / "sound.csv"
    path.write_text("a,label\n" + "".join(f"{i},{'xy'[i % 2]}\n" for i in range(20)))
    data = lk.data.open(path, target="label")
    assert (len(data.train), len(data.test)) == (16, 4)


def test_files_of_another_kind_are_refused(tmp_path, csv):
    (tmp_path / "latin.csv").write_bytes("a,label\né,x\n".encode("latin-1"))
    (tmp_path / "a.xlsx").write_bytes(b"PK")
    (tmp_path / "a.parquet").write_bytes(b"PAR1 and no more")
    (tmp_path / "cut.csv.gz").write_bytes(gzip.compress(csv.read_bytes())[:-30])
    twice = pa.table([pa.array([1, 2]), pa.array([1, 2]), pa.array(["x", "y"])], names=["a", "a", "label"])
    pa.parquet.write_table(twice, tmp_path / "twice.parquet")
    for name, match in {
        "twice.parquet": "columns named twice: a",
        "latin.csv": "UTF-8",
        "a.xlsx": "'.xlsx'",
        "a.parquet": "not a readable Parquet",
        "cut.csv.gz": "damaged gzip",
        "absent.csv": "no such file",
    }.items():
        with pytest.raises(lk.Refused, match=match):
            lk.data.open(tmp_path / name, target="label")
    with pytest.raises(lk.Refused, match="a NoneType"):
        lk.data.open(None)


def test_limits_are_stated(tmp_path, csv, monkeypatch):
    packed = tmp_path / "bomb.csv.gz"
    packed.write_bytes(gzip.compress(csv.read_bytes() + b"\n" * 100_000))
    people().to_parquet(tmp_path / "a.parquet")
    np.savez_compressed(tmp_path / "a.npz", x=np.zeros((1000, 20)), y=np.arange(1000) % 2)
    monkeypatch.setattr(reading, "LIMIT", 5_000)
    monkeypatch.setattr("labkit.data.from_arrays.LIMIT", 5_000)
    for path in (csv, packed, tmp_path / "a.parquet", tmp_path / "a.npz"):
        with pytest.raises(lk.Refused, match=r"at most 5,000 bytes|more than 5,000 bytes|at most 625 cells"):
            lk.data.open(path, target="label" if path.suffix != ".npz" else None)


def arrays(**changed) -> dict[str, np.ndarray]:
    draw = np.random.default_rng(0)
    x = draw.integers(0, 256, (60, 6, 5), dtype=np.uint8)
    return {"x": x, "y": np.arange(60) % 3, "site": np.array(["a", "b"])[np.arange(60) % 2]} | changed


def saved(path: Path, **parts: np.ndarray) -> Path:
    np.savez_compressed(path, **parts)
    return path


def test_npz_of_images(tmp_path):
    given = arrays()
    data = lk.data.open(saved(tmp_path / "own.npz", **given), groups=["site"])
    assert data.schema.modality == "image" and data.schema.shape == (1, 6, 5) and data.schema.bounds == (0.0, 1.0)
    known = {x.tobytes(): (y, g) for x, y, g in zip(given["x"], given["y"].astype(str), given["site"])}
    for split in data:
        for x, y, g in zip(split.x, split.y, split.groups["site"]):
            assert known[(x[0] * 255).round().astype(np.uint8).tobytes()] == (data.classes[y], g)
    for shape in ((60, 3, 6, 5), (60, 6, 5, 3)):
        color = np.random.default_rng(1).random(shape)
        own = lk.data.open(saved(tmp_path / "c.npz", **arrays(x=color)), test=1).test
        expected = color if shape[1] == 3 else color.transpose(0, 3, 1, 2)
        assert np.array_equal(own.x, expected.astype(np.float32))


def test_npz_of_a_table_and_with_both_parts(tmp_path):
    draw = np.random.default_rng(0)
    x, y = draw.normal(size=(50, 4)), np.array([b"no", b"yes"])[np.arange(50) % 2]
    path = saved(tmp_path / "t.npz", x_train=x[:40], y_train=y[:40], x_test=x[40:], y_test=y[40:])
    data = lk.data.open(path)
    assert data.classes == ("no", "yes") and data.schema.modality == "tabular"
    assert np.array_equal(data.test.x, x[40:].astype(np.float32)) and (data.test.y == np.arange(10) % 2).all()
    assert [f.name for f in data.schema.features] == ["x0", "x1", "x2", "x3"]
    assert data.schema.features[0].high == data.train.x[:, 0].max()


def test_npz_bounds_come_from_the_schema(tmp_path):
    path = saved(tmp_path / "a.npz", **arrays(x=arrays()["x"].astype(float)))
    with pytest.raises(lk.Refused, match=r"outside 0 to 1"):
        lk.data.open(path)
    schema = lk.data.Schema("image", "the label", (1, 6, 5), bounds=(0.0, 255.0))
    assert lk.data.open(path, schema=schema).test.x.max() > 200
    assert lk.data.open(saved(path, **arrays()), schema=schema).test.x.max() > 200
    with pytest.raises(lk.Refused, match="those of the schema"):
        lk.data.open(path, schema=lk.data.Schema("image", "the label", (1, 5, 6), bounds=(0.0, 255.0)))


NPZ_REFUSED = {
    "no y": ({"y": None}, {}, "x and y"),
    "objects": ({"y": np.array([1, "a"] * 30, dtype=object)}, {}, "pickle"),
    "not finite": ({"x": np.full((60, 2), np.nan)}, {}, "not finite"),
    "text": ({"x": np.full((60, 2), "a")}, {}, "numbers"),
    "no rows": ({"x": np.zeros((0, 2)), "y": np.zeros(0)}, {}, "one class|at least"),
    "one axis": ({"x": np.zeros(60)}, {}, r"\(n, features\)"),
    "channels": ({"x": np.zeros((60, 7, 6, 5))}, {}, "1 or 3 channels"),
    "one class": ({"y": np.zeros(60, int)}, {}, "one class: 0"),
    "labels by class": ({"y": np.eye(60)}, {}, r"shape \(n,\)"),
    "missing labels": ({"y": np.where(np.arange(60) > 2, np.arange(60) % 2, np.nan)}, {}, "3 missing labels"),
    "lengths": ({"y": np.arange(59) % 2}, {}, "60 inputs and 59 labels"),
    "group": ({}, {"groups": ["sex"]}, "no array sex"),
    "short group": ({"site": np.array(["a"])}, {"groups": ["site"]}, "different length"),
    "target": ({}, {"target": "y"}, "no target="),
    "drop": ({}, {"drop": ["y"]}, "no drop="),
    "part": ({}, {"test": "part"}, "a share"),
}


@pytest.mark.parametrize("case", NPZ_REFUSED)
def test_bad_arrays_are_refused(tmp_path, case):
    changed, options, match = NPZ_REFUSED[case]
    path = tmp_path / "bad.npz"
    np.savez(path, **{k: v for k, v in arrays(**changed).items() if v is not None})
    with pytest.raises(lk.Refused, match=match):
        lk.data.open(path, **options)


def test_damaged_and_lying_archives_are_refused(tmp_path):
    path = saved(tmp_path / "a.npz", **arrays())
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(lk.Refused, match="not a readable NPZ"):
        lk.data.open(path)
    huge = io.BytesIO()
    np.lib.format.write_array_header_1_0(huge, {"descr": "<f8", "fortran_order": False, "shape": (10**12,)})
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("x.npy", huge.getvalue() + bytes(80))
        archive.writestr("y.npy", huge.getvalue())
    with pytest.raises(lk.Refused, match="not as long as its header says"):
        lk.data.open(path)


def test_a_table_of_codes_must_fit_its_schema(tmp_path):
    feature = lk.data.Feature("color", "categorical", categories=("(other)", "red"))
    schema = lk.data.Schema("tabular", "the label", (1,), features=(feature,))
    good, bad = np.arange(60)[:, None] % 2, np.arange(60)[:, None] % 3
    assert lk.data.open(saved(tmp_path / "a.npz", **arrays(x=good)), schema=schema, test=1).schema == schema
    with pytest.raises(lk.Refused, match="codes from 0 to 1"):
        lk.data.open(saved(tmp_path / "a.npz", **arrays(x=bad)), schema=schema, test=1)


@pytest.fixture
def folder(tmp_path) -> Path:
    """Two classes of ten images of 7 x 5, one image twice, and a hidden file."""
    draw = np.random.default_rng(0)
    for name in ("cat", "dog"):
        (tmp_path / "pets" / name).mkdir(parents=True)
        for i in range(10):
            Image.fromarray(draw.integers(0, 256, (5, 7), dtype=np.uint8)).save(tmp_path / f"pets/{name}/{i}.png")
    (tmp_path / "pets/dog/10.png").write_bytes((tmp_path / "pets/dog/3.png").read_bytes())
    (tmp_path / "pets/.DS_Store").write_bytes(b"x")
    return tmp_path / "pets"


def test_image_folder(folder):
    data = lk.data.open(folder, test=0.3)
    assert data.classes == ("cat", "dog") and data.schema.shape == (1, 5, 7) and sum(map(len, data)) == 21
    known = {np.asarray(Image.open(p)).tobytes(): p.parent.name for p in folder.glob("*/*.png")}
    for split in data:
        for x, y in zip(split.x, split.y):
            assert known[(x[0] * 255).round().astype(np.uint8).tobytes()] == data.classes[y]
    sides = [{x.tobytes() for x in s.x} for s in data]
    assert not sides[0] & sides[1]
    Image.new("RGB", (7, 5), (255, 0, 0)).save(folder / "cat/color.png")
    color = lk.data.open(folder, test=1)
    assert color.schema.shape == (3, 5, 7) and color.card["sha256"] != data.card["sha256"]
    red = color.test[[9 + 1]].x[0]  # after 0.png to 9.png
    assert red[0].min() == 1 and red[1:].max() == 0


def test_image_folder_with_both_parts(folder):
    parts = folder.parent / "parts"
    for i, name in enumerate(("train", "test")):
        for kind in ("cat", "dog"):
            (parts / name / kind).mkdir(parents=True)
            for j in range(4):
                source = folder / kind / f"{4 * i + j}.png"
                (parts / name / kind / source.name).write_bytes(source.read_bytes())
    data = lk.data.open(parts)
    assert (len(data.train), len(data.test)) == (8, 8)
    first = np.asarray(Image.open(folder / "cat/4.png"), np.float32) / 255
    assert np.array_equal(data.test.x[0, 0], first)


def spoiled(folder: Path, case: str) -> str:
    """Put one fault into the folder; returns what the refusal must say."""
    cat = folder / "cat"
    if case == "size":
        Image.new("L", (8, 5)).save(cat / "x.png")
        return r"0.png is 7 x 5, cat.x.png is 8 x 5"
    if case == "broken":
        (cat / "x.png").write_bytes((cat / "0.png").read_bytes()[:60])
        return r"image cat.x.png\ngiven: not a readable image"
    if case == "other file":
        (cat / "notes.txt").write_text("n")
        return "notes.txt"
    if case == "stray file":
        (folder / "notes.txt").write_text("n")
        return "the file notes.txt among them"
    if case == "16 bits":
        Image.fromarray(np.zeros((5, 7), np.uint16)).save(cat / "x.png")
        return "8 bits a channel"
    if case == "pixels":
        Image.new("1", (5000, 4001)).save(cat / "x.png")
        return r"20,005,000 pixels\nwhat would do: at most 20,000,000"
    if case == "bomb":
        Image.new("1", (20_000, 20_000)).save(cat / "x.png")
        return "at most 20,000,000 pixels"
    if case == "one class":
        for path in (folder / "dog").iterdir():
            path.unlink()
        return "one class: cat"
    assert case == "no image"
    for path in folder.glob("*/*.png"):
        path.unlink()
    return "no image in any folder"


@pytest.mark.parametrize(
    "case", ["size", "broken", "other file", "stray file", "16 bits", "pixels", "bomb", "one class", "no image"]
)
def test_a_bad_image_folder_is_refused(folder, case):
    match = spoiled(folder, case)
    with pytest.raises(lk.Refused, match=match):
        lk.data.open(folder)


def test_image_folder_limits_and_arguments(folder, monkeypatch):
    with pytest.raises(lk.Refused, match="an array for each group"):
        lk.data.open(folder, groups=["sex"])
    monkeypatch.setattr(from_images, "LIMIT", 1000)
    with pytest.raises(lk.Refused, match="1,000 bytes"):
        lk.data.open(folder)


def test_a_real_set_opens_like_its_loader(tmp_path):
    """Adult written as a plain CSV and opened as anybody's file: the same people, classes and groups."""
    lk.data.table("adult").to_csv(tmp_path / "adult.csv", index=False)
    options = {"target": "income", "groups": ["sex", "race"], "drop": ["fnlwgt", "education"], "test": "split"}
    own, known = lk.data.open(tmp_path / "adult.csv", **options), lk.data.load("adult")
    assert own.classes == known.classes
    for a, b in zip(own, known):
        assert (a.y == b.y).all() and (a.groups["sex"] == b.groups["sex"]).all()
        assert (a.x[:, own.schema.features.index(own.schema.feature("age"))] == b.x[:, 0]).all()
    assert [f.name for f in own.schema.features] == [f.name for f in known.schema.features]


def test_no_damage_leaves_the_lab_as_another_exception(tmp_path, csv, folder):
    """Files with bytes changed, lost or put in: a data set comes out, or a refusal."""
    draw = np.random.default_rng(0)
    people().to_parquet(tmp_path / "own.parquet")
    saved(tmp_path / "own.npz", **arrays())
    schema = lk.data.open(csv, target="label").schema.save(tmp_path / "schema.toml")
    table = {"target": "label", "groups": ["sex"]}
    calls = {
        csv: lambda: lk.data.open(csv, **table),
        tmp_path / "own.parquet": lambda: lk.data.open(tmp_path / "own.parquet", **table),
        tmp_path / "own.npz": lambda: lk.data.open(tmp_path / "own.npz", groups=["site"]),
        schema: lambda: lk.data.Schema.load(schema),
        folder / "cat/0.png": lambda: lk.data.open(folder),
    }
    refused = 0
    for path, call in calls.items():
        sound = path.read_bytes()
        for _ in range(40):
            data = bytearray(sound)
            for _ in range(draw.integers(1, 4)):
                at = int(draw.integers(len(data)))
                data[at : at + int(draw.integers(3))] = draw.bytes(int(draw.integers(3)))
            path.write_bytes(data)
            try:
                call()
            except lk.Refused:
                refused += 1
        path.write_bytes(sound)
        call()
    assert refused > 50
