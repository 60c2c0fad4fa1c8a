"""The data sets that come with labkit: known counts and rates, digests, splits, cards, and the full Fashion-MNIST."""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import io
import shutil
import urllib.error
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import labkit as lk
from labkit.data import embedded, holdout, locating
from labkit.data.idx import read_idx
from labkit.data.sets import fashion_mnist as fashion

DEBIAN = Path("/usr/share/datasets/fashion-mnist")
EMBEDDED = ["adult", "compas", "emoji", "fashion_mnist", "fashion_noisy", "german", "movies"]


@pytest.fixture(scope="module")
def sets() -> dict[str, lk.data.Dataset]:
    """Every set whose data are on this machine; the others' own tests skip, and say so."""
    found = {}
    for name in lk.names("datasets"):
        with contextlib.suppress(lk.Refused):
            found[name] = lk.data.load(name)
    assert found.keys() >= {*EMBEDDED, "digits"}
    return found


def test_every_set_keeps_the_contract(sets):
    for name, data in sets.items():
        assert data.name == name and len(data.card["licence"]) > 2 and data.card["citation"]
        for split in data:
            assert split.x.shape == (len(split), *data.schema.shape), name
            assert split.x.dtype == (np.int64 if data.schema.modality == "text" else np.float32), name
            assert split.y.dtype == np.int64 and set(split.y) == set(range(len(data.classes))), name
            assert np.isfinite(split.x).all() and set(split.groups) == set(data.schema.groups), name
            if data.schema.bounds:
                assert data.schema.bounds[0] <= split.x.min() and split.x.max() <= data.schema.bounds[1]
            for i, feature in enumerate(data.schema.features):
                if feature.kind == "categorical":
                    assert feature.categories[0] == "(other)"
                    assert np.isin(split.x[:, i], np.arange(len(feature.categories))).all(), (name, feature.name)
        for i, feature in enumerate(data.schema.features):
            if feature.kind == "numeric":
                assert (feature.low, feature.high) == (data.train.x[:, i].min(), data.train.x[:, i].max())


@pytest.mark.parametrize("name", EMBEDDED)
def test_card_states_what_the_files_are(name):
    facts = embedded.card(name)
    for key in ("title", "version", "source", "source_sha256", "licence", "citation", "counts", "changed", "ethics"):
        assert facts[key], key
    for file, sha in facts["files"].items():
        raw = gzip.decompress((embedded.folder() / name / file).read_bytes())
        assert hashlib.sha256(raw).hexdigest() == sha
    assert sum(f.stat().st_size for f in (embedded.folder() / name).iterdir()) < 5 * 1024 * 1024
    if "MIT" in facts["licence"]:
        assert "Permission is hereby granted" in (embedded.folder() / name / "LICENSE.txt").read_text()


def test_a_changed_file_is_refused(tmp_path, monkeypatch):
    shutil.copytree(embedded.folder() / "german", tmp_path / "german")
    monkeypatch.setattr(embedded, "folder", lambda: tmp_path)
    assert len(lk.data.load("german").test) == 200
    file = tmp_path / "german" / "german.csv.gz"
    raw = gzip.decompress(file.read_bytes())
    file.write_bytes(gzip.compress(raw.replace(b"A11", b"A12", 1)))
    with pytest.raises(lk.Refused, match="SHA-256"):
        lk.data.load("german")
    file.write_bytes(gzip.compress(raw)[:-400])
    with pytest.raises(lk.Refused, match="damaged gzip"):
        lk.data.load("german")


def test_only_an_empty_field_of_a_table_is_missing(tmp_path, monkeypatch):
    raw = b"a,b\nNA,1\nNone,\n?,3\n"
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "own.csv.gz").write_bytes(gzip.compress(raw))
    (tmp_path / "own" / "card.toml").write_text(f'files = {{ "own.csv.gz" = "{hashlib.sha256(raw).hexdigest()}" }}')
    monkeypatch.setattr(embedded, "folder", lambda: tmp_path)
    table = lk.data.table("own")
    assert table["a"].tolist() == ["NA", "None", "?"] and table["b"].isna().tolist() == [False, True, False]


def test_adult_has_its_published_base_rates(sets):
    data = sets["adult"]
    assert (len(data.train), len(data.test)) == (32561, 16281)
    assert (data.train.y.sum(), data.test.y.sum()) == (7841, 3846)
    y = np.concatenate([s.y for s in data])
    sex = np.concatenate([s.groups["sex"] for s in data])
    assert round(y[sex == "Female"].mean(), 4) == 0.1093
    assert round(y[sex == "Male"].mean(), 4) == 0.3038
    unknown = [f.categories.index("(unknown)") if "(unknown)" in f.categories else -1 for f in data.schema.features]
    assert (data.train.x == unknown).any(1).sum() == 2399  # UCI: training rows with a "?"
    assert (data.test.x == unknown).any(1).sum() == 1221
    assert {f.name for f in data.schema.features if f.immutable} == {"age", "race", "sex", "native-country"}
    assert not {"fnlwgt", "education", "income", "split"} & {f.name for f in data.schema.features}


def test_adult_decodes_to_its_file(sets):
    """What a person is shown of an encoded row is what the file says of that row."""
    data, raw = sets["adult"], lk.data.table("adult")
    rows = raw[raw["split"] == "test"]
    for i in (0, 77, 16280):
        shown = data.schema.show(data.test.x[i])
        for text, feature in zip(shown, data.schema.features):
            told = str(rows.iloc[i][feature.name])
            assert text == {"?": "(unknown)"}.get(told, told) + (f" {feature.unit}" if feature.unit else "")
    ages = rows["age"].to_numpy()
    expected = np.select([ages < 25, ages < 40, ages < 60], ["under 25", "25 to 39", "40 to 59"], "60 and over")
    assert (data.test.groups["age_band"] == expected).all()


def test_compas_has_propublicas_error_rates():
    raw = lk.data.table("compas")
    assert raw.shape == (7214, 14)
    high, again = raw["decile_score"] >= 5, raw["two_year_recid"] == 1
    for race, fpr, fnr in (("African-American", 0.4485, 0.2799), ("Caucasian", 0.2345, 0.4772)):
        of = raw["race"] == race
        assert round(high[of & ~again].mean(), 4) == fpr
        assert round(1 - high[of & again].mean(), 4) == fnr


def test_compas_rows_and_columns(sets):
    data, whole = sets["compas"], lk.data.load("compas", filtered=False)
    assert sum(map(len, data)) == 6172 and sum(map(len, whole)) == 7214
    assert sum(int(s.y.sum()) for s in data) == 2809 and sum(int(s.y.sum()) for s in whole) == 3251
    names = {f.name for f in data.schema.features}
    assert not names & {"race", "decile_score", "score_text", "is_recid", "two_year_recid", "days_b_screening_arrest"}
    assert not {"name", "first", "last", "dob"} & set(lk.data.table("compas"))
    assert 0.18 < len(data.test) / 6172 < 0.22
    young = [np.mean(s.groups["age_band"] == "Less than 25") for s in data]
    assert abs(young[0] - young[1]) < 0.03  # the parts are alike


def test_german_counts(sets):
    data = sets["german"]
    assert (len(data.train), len(data.test)) == (800, 200)
    assert sum(int(s.y.sum()) for s in data) == 300
    assert sum(int((s.groups["sex"] == "female").sum()) for s in data) == 310
    assert "disputed" in data.card["ethics"]


def test_movies_split_and_words(sets):
    data, raw = sets["movies"], lk.data.table("movies")
    assert len(raw) == 10605 and sum(map(len, data)) == 10605 - 37
    assert sum(int(s.y.sum()) for s in data) == 5242
    assert 0.19 < len(data.test) / 10568 < 0.21
    texts = [{" ".join(lk.data.words(t)) for t in s.texts} for s in data]
    assert not texts[0] & texts[1]
    vocabulary = data.schema.vocabulary
    assert vocabulary[:2] == ("(padding)", "(unknown)") and len(set(vocabulary)) == len(vocabulary)
    counts = pd.Series([w for t in data.train.texts for w in lk.data.words(t)]).value_counts()
    assert set(vocabulary[2:]) == set(counts.index[counts >= 2])
    assert (lk.data.encode_texts(data.test.texts[:50], data.schema) == data.test.x[:50]).all()
    rating = dict(zip(raw["text"], raw["sentiment"]))
    assert all((rating[t] > 0) == bool(y) for t, y in zip(data.test.texts, data.test.y))


def test_words_of_a_text(sets):
    assert lk.data.words("It isn’t GREAT, is it? No!") == ["it", "isn't", "great", "is", "it", "?", "no", "!"]
    schema = sets["movies"].schema
    x = lk.data.encode_texts(["a film zzyzx", "the " * 100], schema)
    assert x.shape == (2, 48) and x[0, 2] == 1 and (x[0, 3:] == 0).all() and (x[1] > 1).all()
    for bad in ("one string", ["..."], [3]):
        with pytest.raises(lk.Refused):
            lk.data.encode_texts(bad, schema)
    with pytest.raises(lk.Refused, match="schema of image data"):
        lk.data.encode_texts(["a"], sets["digits"].schema)


def test_fashion_subset_is_balanced(sets):
    data = sets["fashion_mnist"]
    assert (np.bincount(data.train.y) == 600).all() and (np.bincount(data.test.y) == 100).all()
    assert abs(data.train.x.mean() - 0.2860) < 0.005 and abs(data.train.x.std() - 0.3530) < 0.005


def test_fashion_subset_is_drawn_from_the_full_set(sets):
    if not DEBIAN.is_dir():
        pytest.skip("the full Fashion-MNIST is not installed: apt-get install dataset-fashion-mnist")
    full = lk.data.load("fashion_mnist", full=True)
    assert [len(s) for s in full] == [60000, 10000]
    assert abs(full.train.x.mean() - 0.2860) < 5e-5 and abs(full.train.x.std() - 0.3530) < 5e-5
    here = [hashlib.sha256(s.x.tobytes() + s.y.tobytes()).hexdigest() for s in sets["fashion_mnist"]]
    for small, large, part, each, found in zip(sets["fashion_mnist"], full, ("train", "t10k"), (600, 100), here):
        rank = np.array([hashlib.sha256(f"{part} {i}".encode()).hexdigest() for i in range(len(large))])
        order = np.argsort(rank)
        kept = np.sort(np.concatenate([order[large.y[order] == c][:each] for c in range(10)]))
        drawn = large[kept]
        assert len(small) == 10 * each
        assert hashlib.sha256(drawn.x.tobytes() + drawn.y.tobytes()).hexdigest() == found


def idx(array: np.ndarray) -> bytes:
    return b"\0\0\x08" + bytes([array.ndim]) + np.array(array.shape, ">u4").tobytes() + array.tobytes()


@pytest.fixture
def tiny(tmp_path, monkeypatch):
    """A Fashion-MNIST of 20 + 10 images in idx files, with the loader's digests set to theirs."""
    draw = np.random.default_rng(0)
    files = {}
    for part, n in (("train", 20), ("t10k", 10)):
        files[f"{part}-images-idx3-ubyte.gz"] = idx(draw.integers(0, 256, (n, 28, 28), dtype=np.uint8))
        files[f"{part}-labels-idx1-ubyte.gz"] = idx((np.arange(n) % 10).astype(np.uint8))
    monkeypatch.setattr(fashion, "_FULL", {f: hashlib.sha256(raw).hexdigest() for f, raw in files.items()})
    monkeypatch.setattr(fashion, "_SYSTEM", [])
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("LABKIT_DATA", str(tmp_path / "own"))
    return files


def write(folder: Path, files: dict[str, bytes]) -> None:
    folder.mkdir(parents=True)
    for name, raw in files.items():
        (folder / name).write_bytes(gzip.compress(raw))


@pytest.mark.parametrize("place", ["own/fashion-mnist", "own", "cache/labkit/fashion-mnist"])
def test_full_fashion_is_found(tiny, tmp_path, place):
    write(tmp_path / place, tiny)
    data = lk.data.load("fashion_mnist", full=True)
    assert [len(s) for s in data] == [20, 10] and data.train.name == "fashion_mnist_full/train"
    raw = np.frombuffer(tiny["t10k-images-idx3-ubyte.gz"], np.uint8, offset=16).reshape(10, 1, 28, 28)
    assert np.allclose(data.test.x * 255, raw)


def test_full_fashion_unpacked_files_do_too(tiny, tmp_path):
    folder = tmp_path / "own"
    folder.mkdir()
    for name, raw in tiny.items():
        (folder / name.removesuffix(".gz")).write_bytes(raw)
    assert len(lk.data.load("fashion_mnist", full=True).test) == 10


def test_full_fashion_absent_or_changed_is_refused(tiny, tmp_path):
    with pytest.raises(lk.Refused, match=r"dataset-fashion-mnist.*allow_download=True"):
        lk.data.load("fashion_mnist", full=True)
    tiny["train-labels-idx1-ubyte.gz"] = idx(np.zeros(20, np.uint8))
    write(tmp_path / "own", tiny)
    with pytest.raises(lk.Refused, match="SHA-256"):
        lk.data.load("fashion_mnist", full=True)


def test_full_fashion_download(tiny, tmp_path, monkeypatch):
    asked = []

    def served(url: str, timeout: float) -> io.BytesIO:
        asked.append(url)
        assert timeout > 0
        if url.startswith(fashion._URLS[0]):
            raise urllib.error.URLError("down")
        return io.BytesIO(gzip.compress(tiny[url.rpartition("/")[2]]))

    monkeypatch.setattr(locating, "urlopen", served)
    assert len(lk.data.load("fashion_mnist", full=True, allow_download=True).train) == 20
    assert len(asked) == 8
    assert {p.name for p in (tmp_path / "cache/labkit/fashion-mnist").iterdir()} == set(tiny)
    lk.data.load("fashion_mnist", full=True)
    assert len(asked) == 8  # the second time from the cache


def test_a_wrong_download_is_refused_and_not_kept(tiny, tmp_path, monkeypatch):
    monkeypatch.setattr(locating, "urlopen", lambda url, timeout: io.BytesIO(gzip.compress(b"<html>")))
    with pytest.raises(lk.Refused, match=r"no address gave it.*SHA-256"):
        lk.data.load("fashion_mnist", full=True, allow_download=True)
    assert not (tmp_path / "cache").exists()


def test_unpacking_stops_at_its_limit():
    bomb = gzip.compress(bytes(1_000_000))
    assert len(embedded.inflate(bomb, "b", 1_000_000)) == 1_000_000
    with pytest.raises(lk.Refused, match="more than 999,999 bytes"):
        embedded.inflate(bomb, "b", 999_999)


@pytest.mark.parametrize("bad", [b"", b"\0\0\x08", b"\0\0\x0d\x01\0\0\0\x01\0", idx(np.zeros((2, 3), np.uint8))[:-1]])
def test_a_damaged_idx_file_is_refused(bad):
    with pytest.raises(lk.Refused):
        read_idx(bad, "bad")


def test_unknown_names_and_options_are_refused():
    with pytest.raises(lk.Refused, match="'adult'"):
        lk.data.load("adul")
    with pytest.raises(lk.Refused, match="filtered"):
        lk.data.load("compas", filterd=True)
    with pytest.raises(lk.Refused, match=r"one of: .*german"):
        lk.data.table("nothing")
    with pytest.raises(lk.Refused, match="set of images"):
        lk.data.table("fashion_mnist")


def test_holdout_is_stratified_stable_and_never_straddles():
    draw = np.random.default_rng(0)
    rows = [bytes(draw.integers(0, 256, 4).tolist()) for _ in range(900)]
    keys = rows + rows[:100]
    y = np.concatenate([np.arange(900) % 3, np.arange(100) % 3])
    held = holdout.holdout(keys, y, 0.2)
    assert (held[:100] == held[900:]).all()
    assert all(abs(held[y == c].mean() - 0.2) < 0.03 for c in range(3))
    order = draw.permutation(1000)
    assert (holdout.holdout([keys[i] for i in order], y[order], 0.2) == held[order]).all()
    assert (holdout.holdout(keys, y, 0.2, seed=1) != held).any()
    assert holdout.holdout(keys, y, 1).all()
    disputed = holdout.holdout([k for k in rows for _ in range(2)], np.arange(1800) % 2, 0.2)
    assert (disputed[::2] == disputed[1::2]).all() and 0.17 < disputed.mean() < 0.23  # one key, two labels
    with pytest.raises(lk.Refused, match="held out"):
        holdout.holdout(keys[:3], y[:3], 0.2)


@pytest.mark.parametrize("name", [*EMBEDDED, "digits"])
def test_schema_survives_toml(name, sets, tmp_path):
    schema = sets[name].schema
    assert lk.data.Schema.load(schema.save(tmp_path / "schema.toml")) == schema
    table = schema.table()
    kinds = len(schema.features) or len(schema.modality.split("+"))  # pixels and words are a line each
    assert len(table) == kinds and {"kind", "low", "categories", "immutable"} <= set(table)


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("modality = 'tabular'", "no target"),
        ("modality = 'table'\ntarget = 'y'", "'tabular'"),
        ("modality = 'tabular'\ntarget = 'y'\nfeature = 3", "'features'"),
        ("modality = 'tabular'\ntarget = 'y'\nfeatures = 3", r"\[\[features\]\]"),
        ("modality = 'tabular'\ntarget = 3", "type str"),
        ("modality = 'tabular'\ntarget = 'y'\n[[features]]\nname = 'a'", "no kind"),
        ("modality = 'tabular'\ntarget = 'y'\n[[features]]\nname = 'a'\nkind = 'number'", "numeric"),
        ("modality = 'tabular'\ntarget = 'y'\n[[features]]\nname = 'a'\nkind = 'numeric'\nlow = 'x'", "type float"),
        ("modality = 'tabular'\ntarget = 'y'\n[[features]]\nname = 'a'\nkind = 'numeric'\nlow = 2\nhigh = 1", "low <="),
        ("modality = 'tabular'\ntarget = 'y'" + 2 * "\n[[features]]\nname = 'a'\nkind = 'numeric'", "named twice"),
        ("modality = 'image'\ntarget = 'y'\nshape = [1, 2, 2]\nbounds = [1, 0]", "low < high"),
        ("modality = 'image'\ntarget = 'y'\nshape = ['a']", "type int"),
        ("not toml", "TOML"),
    ],
)
def test_a_bad_schema_is_refused(tmp_path, text, match):
    path = tmp_path / "schema.toml"
    path.write_text(text)
    with pytest.raises(lk.Refused, match=match):
        lk.data.Schema.load(path)


def test_group_names_become_text_with_missing_empty(sets):
    split = sets["german"].test[:4]
    own = lk.data.Split(
        split.x, split.y, split.schema, split.classes, "own", {"g": np.array(["a", None, np.nan, 3], dtype=object)}
    )
    assert own.groups["g"].tolist() == ["a", "", "", "3"]
    again = lk.data.Split(
        split.x, split.y, split.schema, split.classes, "own", {"g": np.array(["a", None, np.nan, 3], dtype=object)}
    )
    assert own.digest == again.digest
