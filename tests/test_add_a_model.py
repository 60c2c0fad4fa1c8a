"""The page on adding a model does what it says."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import labkit as lk
from labkit.training import Recipe

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "add_a_model.md").read_text(encoding="utf-8")


def test_the_example_trains_a_model_that_loads(tmp_path):
    (code,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    card = lk.zoo.card("digits_noisy", folder=tmp_path / "build/zoo")
    assert f"accuracy {card['test'][0]['score']:.4f}" in done.stdout
    assert [t["measure"] for t in card["test"]] == ["accuracy", "eights found"] and card["test"][0]["met"]
    assert card["training"]["recipe"]["damage"] == {"kind": "LabelNoise", "share": 0.2, "seed": 0}
    assert card["training"]["recipe"]["objective"] == {"kind": "Focal", "gamma": 1.0}
    p = lk.predict(lk.zoo.load("digits_noisy", folder=tmp_path / "build/zoo"), lk.data.load("digits").test)
    assert (p.label == p.y).mean() == card["test"][0]["score"]


def test_what_the_page_names_is_there():
    fields = set(Recipe.__dataclass_fields__)
    bold = set(re.findall(r"\*\*`(\w+)`\*\*", PAGE))
    assert {"damage", "objective", "goals", "solver", "together", "card"} == bold and bold <= fields
    for path in re.findall(r"`((?:labkit|tests|docs)/[\w/]+\.(?:py|md))`", PAGE):
        assert (ROOT / path).is_file(), path
