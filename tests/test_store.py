"""Records on disk: the same when read again, refused when changed, never half."""

from __future__ import annotations

import errno
import io
import json
import os
import pickle
import signal
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import labkit as lk
from labkit.core import store
from labkit.core.record import Provenance
from labkit.records.predict import Predictions


def record(**changes: Any) -> Predictions:
    """A record with every kind of field: arrays of three types, None, nested mappings, not finite numbers."""
    fields: dict[str, Any] = {
        "provenance": Provenance(
            analysis="predict",
            version="0",
            options={"threshold": 0.5, "names": ("a", "b"), "deep": {"nan": float("nan"), "inf": float("-inf")}},
            seed=3,
            started="2026-01-01T00:00:00+00:00",
            seconds=1.5,
        ),
        "warnings": ("one", "ünïcode"),
        "y": np.array([0, 1, 1]),
        "label": np.array([0, 1, 0]),
        "proba": np.array([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4]]),
        "classes": ("no", "yes"),
        "groups": {"sex": np.array(["f", "m", ""])},
        "row": np.array([1, 2, 2**64 - 1], np.uint64),
    }
    return Predictions(**{**fields, **changes})


def same(a: Any, b: Any) -> bool:
    return store.dumps(a) == store.dumps(b)


def test_a_record_is_the_same_when_read_again(tmp_path: Path) -> None:
    saved = record()
    read = lk.load(lk.save(saved, tmp_path / "deep" / "p.lk"))
    assert type(read) is Predictions and same(read, saved) and read.digest == saved.digest
    assert read.proba.dtype == np.float64 and not read.proba.flags.writeable
    assert np.isnan(read.provenance.options["deep"]["nan"]) and read.provenance.seconds == 1.5


def test_equal_records_have_equal_bytes_and_times_are_no_part_of_the_digest() -> None:
    assert store.dumps(record()) == store.dumps(record())
    later = record(provenance=Provenance(**{**vars(record().provenance), "seconds": 9.0, "started": "x"}))
    assert later.digest == record().digest and not same(later, record())
    assert record(y=np.array([0, 1, 0])).digest != record().digest


def test_every_flipped_bit_is_refused_or_changes_nothing() -> None:
    saved = store.dumps(record())
    rng = np.random.default_rng(0)
    refused = 0
    for position in range(len(saved)):
        flipped = bytearray(saved)
        flipped[position] ^= 1 << int(rng.integers(8))
        try:
            read = store.loads(bytes(flipped))
        except lk.Refused:
            refused += 1
        else:
            assert same(read, record()), f"byte {position} changed the record and was not noticed"
    assert refused > 0.5 * len(saved)


def test_a_changed_number_is_named(tmp_path: Path) -> None:
    def rewritten(change: Any) -> bytes:
        with zipfile.ZipFile(io.BytesIO(store.dumps(record()))) as archive:
            members = {name: archive.read(name) for name in archive.namelist()}
        change(members)
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w") as archive:
            for name, data in members.items():
                archive.writestr(name, data)
        return buffer.getvalue()

    def another_number(members: dict[str, bytes]) -> None:
        members["label.npy"] = members["label.npy"][:-8] + (1).to_bytes(8, "little")

    def another_header(members: dict[str, bytes]) -> None:
        members["record.json"] = members["record.json"].replace(b'"yes"', b'"yet"')

    assert same(store.loads(rewritten(lambda members: None)), record())
    with pytest.raises(lk.Refused, match=r"label\.npy was changed"):
        store.loads(rewritten(another_number))
    with pytest.raises(lk.Refused, match="header was changed"):
        store.loads(rewritten(another_header))


class Planted:
    """What a pickle would run."""

    def __reduce__(self) -> tuple[Any, ...]:
        return os._exit, (3,)


def test_nothing_in_a_file_is_run() -> None:
    def forged(type_name: str, array: np.ndarray) -> bytes:
        buffer = io.BytesIO()
        np.lib.format.write_array(buffer, array, allow_pickle=True)
        data = buffer.getvalue()
        import hashlib

        header = {
            "schema": store.SCHEMA,
            "type": type_name,
            "digest": "",
            "fields": {"y": {"array": "y.npy"}},
            "arrays": {"y.npy": hashlib.sha256(data).hexdigest()},
        }
        archive = io.BytesIO()
        with zipfile.ZipFile(archive, "w") as file:
            file.writestr("record.json", json.dumps(header))
            file.writestr("y.npy", data)
        return archive.getvalue()

    with pytest.raises(lk.Refused):
        store.loads(forged("labkit.records.predict:Predictions", np.array([Planted()], object)))
    for type_name in ("os:system", "labkit.records.predict:np", "labkit.models.opening:open", "subprocess:Popen"):
        with pytest.raises(lk.Refused, match="type"):
            store.loads(forged(type_name, np.array([0])))
    with pytest.raises(lk.Refused):
        store.loads(pickle.dumps(Planted()))


@pytest.mark.parametrize("data", [b"", b"PK\x03\x04", b"not a zip", b"\x80\x04."])
def test_what_is_no_record_is_refused(data: bytes, tmp_path: Path) -> None:
    (tmp_path / "x.lk").write_bytes(data)
    with pytest.raises(lk.Refused):
        lk.load(tmp_path / "x.lk")
    with pytest.raises(lk.Refused, match="no such file"):
        lk.load(tmp_path / "absent.lk")


def test_what_cannot_be_stored_exactly_is_refused(tmp_path: Path) -> None:
    with pytest.raises(lk.Refused):
        lk.save(record(groups={"sex": np.array(["f", None, "m"], object)}), tmp_path / "p.lk")
    with pytest.raises(lk.Refused):
        lk.save(record(provenance=Provenance(analysis="a", version="0", options={"f": len})), tmp_path / "p.lk")
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_leaves_the_old_file_and_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = lk.save(record(), tmp_path / "p.lk")
    for name in ("fsync", "replace"):

        def full(*args: Any) -> None:
            raise OSError(errno.ENOSPC, "No space left on device")

        with monkeypatch.context() as patched:
            patched.setattr(os, name, full)
            with pytest.raises(lk.Refused, match="No space"):
                lk.save(record(y=np.array([1, 1, 1])), path)
        assert [p.name for p in tmp_path.iterdir()] == ["p.lk"] and same(lk.load(path), record())


WRITER = """
import sys
import numpy as np
from labkit.core import store
from labkit.core.record import Provenance
from labkit.records.predict import Predictions
for i in range(10**6):
    y = np.full(50_000, i)
    made = Predictions(provenance=Provenance(analysis="p", version="0"), y=y, label=y, classes=("a", "b"))
    store.save(made, sys.argv[1])
    print(i, flush=True)
"""


def test_k01_a_kill_while_writing_leaves_a_whole_record(tmp_path: Path) -> None:
    """K01: SIGKILL at eight moments while the same file is written again and again; the naive twin tears."""
    torn = 0
    for writes in range(8):
        path = tmp_path / f"{writes}.lk"
        child = subprocess.Popen([sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE, text=True)
        assert child.stdout is not None
        for _ in range(1 + writes % 3):
            child.stdout.readline()
        child.send_signal(signal.SIGKILL)
        child.wait()
        read = lk.load(path)
        torn += len(set(read.y.tolist())) != 1
    assert torn == 0


def test_k06_another_number_of_threads_is_another_provenance(mlp: Any, digits: Any) -> None:
    """K06: one seed gives other bits under other threads, so records name the number and differ by it."""
    before = torch.get_num_threads()
    try:
        made = []
        for threads in (1, 2):
            torch.set_num_threads(threads)
            made.append(lk.predict(mlp, digits.test[:40]))
    finally:
        torch.set_num_threads(before)
    assert [m.provenance.settings["threads"] for m in made] == [1, 2]
    assert made[0].digest != made[1].digest
