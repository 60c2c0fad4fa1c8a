"""Two processes started by torchrun train the model that one process trains."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

import labkit as lk
from labkit.training import distributed

# Without dropout and batch normalisation every sum over a batch is the same in one process and in two, but for rounding.
RECIPE = """
import sys
from labkit.training import Goal, Recipe, train
from labkit.training.measures import auc
from labkit.training.columns import Columns

def small():
    return Recipe(
        name="small", data="german", architecture="tabular_mlp",
        config={"classes": 2, "width": 4, "hidden": (16,), "dropout": 0.0}, from_data=Columns(values=16, intervals=8), embedding="embed",
        epochs=3, batch_size=64, rate=3e-3, weight_decay=0.01, clip=1.0, average=0.9, watch="loss",
        goals=(Goal(auc),), card={"licence": "Apache-2.0", "intended_use": "tests", "known_failures": ()},
    )

if __name__ == "__main__":
    train(small, device="cpu", out=sys.argv[1])
"""


def run(script: Path, out: Path, processes: int) -> subprocess.CompletedProcess[str]:
    start = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)] if processes > 1 else []
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, *start, str(script), str(out)]
    return subprocess.run(command, check=False, capture_output=True, text=True, env=environment, timeout=300)


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory):
    folder = tmp_path_factory.mktemp("distributed")
    script = folder / "small.py"
    script.write_text(RECIPE)
    for processes in (1, 2):
        done = run(script, folder / str(processes), processes)
        assert done.returncode == 0, done.stderr
    return folder


def test_two_processes_give_the_result_of_one(outcomes):
    one, two = (load_file(outcomes / n / "weights" / "small.safetensors") for n in "12")
    assert set(one) == set(two)
    for name, value in one.items():
        assert torch.allclose(value, two[name], atol=1e-5), name
    one, two = (lk.zoo.curves("small", outcomes / n) for n in "12")
    assert two.train_loss == pytest.approx(one.train_loss, abs=1e-5)
    assert two.score == pytest.approx(one.score, abs=1e-4)
    assert (one.provenance.settings["processes"], two.provenance.settings["processes"]) == (1, 2)


def test_the_work_was_shared(outcomes):
    """Both count the same backward passes: each of two processes made half of them."""
    one, two = (lk.zoo.curves("small", outcomes / n) for n in "12")
    assert two.backwards == one.backwards == one.steps * 64


def test_a_batch_that_cannot_be_shared_is_refused(monkeypatch):
    monkeypatch.setattr(distributed, "world", lambda: 2)
    assert distributed.even(64) == 64
    with pytest.raises(lk.Refused, match="divides the batch"):
        distributed.even(63)


def test_without_torchrun_nothing_is_joined():
    with distributed.joined(torch.device("cpu")):
        assert distributed.world() == 1 and distributed.first()
    rows = torch.arange(6).view(1, 6)
    assert torch.equal(distributed.share(rows), rows) and distributed.even(7) == 7
