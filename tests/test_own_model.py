"""Somebody's own torch module and a folder of their pictures: one command gives curve, proof, shifts and the verdict."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from labkit import cli

MODEL = """
import torch
from torch import nn
import labkit as lk

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Conv2d(1, 8, 3, padding=1), nn.Linear(8 * 64, 3)
    def forward(self, x):
        return self.second(torch.relu(self.first(x)).flatten(1))

def build():
    torch.manual_seed(0)
    data, net = lk.data.open("pictures"), Net()
    x, y = torch.tensor(data.train.x), torch.tensor(data.train.y)
    optimizer = torch.optim.Adam(net.parameters(), 1e-2)
    for _ in range(60):
        optimizer.zero_grad()
        nn.functional.cross_entropy(net(x), y).backward()
        optimizer.step()
    return net

broken = 3
"""


@pytest.fixture
def place(tmp_path: Path, digits: Any, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a Python file and pictures of zeros, ones and twos in folders of their own."""
    for part, split in (("train", digits.train), ("test", digits.test)):
        for i in np.flatnonzero(split.y < 3)[:90]:
            folder = tmp_path / "pictures" / part / ("zero", "one", "two")[split.y[i]]
            folder.mkdir(parents=True, exist_ok=True)
            Image.fromarray((split.x[i, 0] * 255).round().astype(np.uint8)).save(folder / f"{i}.png")
    (tmp_path / "own.py").write_text(MODEL)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_one_command_from_module_and_pictures_to_the_report(place: Path, capsys: Any) -> None:
    asked = ["audit", "own.py:build", "--data", "pictures", "--plan", "robustness", "--rows", "40", "--out", "report"]
    assert cli.run(asked) == cli.DONE
    assert "questions not measured: 0" in capsys.readouterr().out
    page = (place / "report" / "index.html").read_text()
    for words in (
        "Certified ≤ true ≤ attacked",
        "whether the attack can be believed",
        "corruptions",
        "it is proven that at least",
        "at most",
    ):
        assert words in page
    kept = {p.stem: json.loads(p.read_text()) for p in (place / "report" / "evidence").rglob("*.json")}
    assert any("sandwich" in json.dumps(k) for k in kept.values())


@pytest.mark.parametrize(
    ("named", "words"),
    [
        ("absent.py:build", "no such file"),
        ("own.py:absent", "AttributeError in your own code"),
        ("own.py:broken", "a <class 'int'>"),
        ("raises.py:build", "ZeroDivisionError in your own code"),
    ],
)
def test_what_is_no_model_is_refused(named: str, words: str, place: Path, capsys: Any) -> None:
    (place / "raises.py").write_text("build = 1 / 0\n")
    assert cli.run(["attack", named, "fgsm", "--data", "pictures", "--eps", "0.1"]) == cli.REFUSED
    assert words in capsys.readouterr().err


def test_a_module_without_data_is_refused(place: Path, capsys: Any) -> None:
    assert cli.run(["audit", "own.py:build", "--out", "report"]) == cli.REFUSED
    assert "--data beside the module" in capsys.readouterr().err and not (place / "report").exists()


def test_attacks_of_any_kind_from_the_command_line(place: Path, capsys: Any) -> None:
    for name, more in (("fmn", ["--norm", "l1"]), ("rotation_translation_scale", ["--eps", "1"])):
        assert cli.run(["attack", "own.py:build", name, "--data", "pictures", "--rows", "12", *more]) == cli.DONE
        assert "robust accuracy at most" in capsys.readouterr().out
