"""The ledger of looks at test sets: opt-in, whole lines whatever happens, and read by what it says of a gap."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import labkit as lk
from labkit.core import ledger


def answers(y: np.ndarray, accuracy: float, seed: int) -> lk.Predictions:
    right = np.random.default_rng(seed).random(len(y)) < accuracy
    frame = pd.DataFrame({"y": y, "label": np.where(right, y, 1 - y)})
    return lk.Predictions.from_frame(frame, y="y", label="label", classes=[0, 1])


TEST, TRAIN = np.arange(200) % 2, np.arange(300) // 2 % 2


def gap(seed: int) -> object:
    return lk.generalization_gap(answers(TRAIN, 0.9, seed), answers(TEST, 0.8, 1000 + seed))


def test_nothing_is_written_unless_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv(ledger.VARIABLE, raising=False)
    found = gap(0)
    assert list(tmp_path.iterdir()) == [] and found.looks == -1
    with pytest.raises(lk.Refused, match="no ledger"):
        lk.looks("abc")
    assert lk.check(found, only=["looked_at_once"])[0].status == "info"


def test_models_that_saw_one_test_set_are_counted(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "looks.jsonl"
    with lk.ledger(path):
        once, again = gap(0), gap(0)
        others = [gap(seed) for seed in range(1, 12)]
    assert (once.looks, once.looked_models) == (1, 1) and (again.looks, again.looked_models) == (2, 1)
    assert (others[-1].looks, others[-1].looked_models) == (13, 12)
    assert [lk.check(g, only=["looked_at_once"])[0].status for g in (once, again, others[-1])] == [
        "meets",
        "meets",
        "does_not_meet",
    ]
    entries = [json.loads(line) for line in path.read_text().splitlines()]
    digest = next(e["data"] for e in entries if e["metric"] == "accuracy" and e["value"] == once.test)
    found = lk.looks(digest, path)
    assert found.times == 13 and found.models == 12
    assert found.values["accuracy"][:2] == (once.test, again.test)
    assert {len(e) for e in entries} == {7} and max(map(len, path.read_text().splitlines())) < 600, "digests, no rows"


def test_the_environment_keeps_one_and_a_context_without_path_does_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "looks.jsonl"
    monkeypatch.setenv(ledger.VARIABLE, str(path))
    gap(0)
    written = path.read_bytes()
    with lk.ledger(None):
        assert gap(1).looks == -1
    assert path.read_bytes() == written and gap(2).looked_models == 2


def test_a_models_look_at_a_split_goes_by_their_digests(tmp_path: Path, digits, mlp) -> None:
    with lk.ledger(tmp_path / "l"):
        p = lk.predict(mlp, digits.test)
        lk.calibration(p, replicates=100)
        found = lk.looks(digits.test)
    assert found.times == 2 and found.models == 1
    assert found.values["accuracy"] == (pytest.approx(np.mean(p.y == p.label)),)


def test_half_a_line_is_passed_over_and_never_joined(tmp_path: Path) -> None:
    path = tmp_path / "l"
    with lk.ledger(path):
        ledger.note("x", "d", "m1")
        with path.open("ab") as file:
            file.write(b'{"data": "d", "mod')
        ledger.note("x", "d", "m2")
    assert lk.looks("d", path).times == 2 and lk.looks("d", path).models == 2


def test_processes_that_write_at_once_lose_nothing(tmp_path: Path) -> None:
    path = tmp_path / "l"
    code = (
        "import sys\nfrom labkit.core import ledger\n"
        "with ledger.ledger(sys.argv[1]):\n"
        "    for i in range(40): ledger.note('x', 'd', sys.argv[2] + str(i), name='n' * 3000)\n"
    )
    running = [subprocess.Popen([sys.executable, "-c", code, str(path), name]) for name in "ab"]
    assert [r.wait() for r in running] == [0, 0]
    assert lk.looks("d", path) == ledger.Looks(80, 80, {})
    assert all(json.loads(line) for line in path.read_text().splitlines())


def test_a_ledger_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    with lk.ledger(tmp_path), pytest.raises(lk.Refused, match="ledger"):
        gap(0)
