"""The pages on what a model knows and remembers do what they say."""

from __future__ import annotations

import importlib.util
import inspect
import re
from collections.abc import Callable
from pathlib import Path

import click
import numpy as np
import pytest

import labkit as lk
from labkit import cli
from labkit.core import method, registry
from labkit.membership._signals import likelihood
from labkit.report import plan as plans

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs/how_to_generalize.md").read_text(encoding="utf-8")
ADD = (ROOT / "docs/add_a_membership_test.md").read_text(encoding="utf-8")
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(page: str, kind: str) -> list[str]:
    return re.findall(rf"```{kind}\n(.*?)```", page, re.DOTALL)


@pytest.fixture(scope="module")
def reference_rank(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., np.ndarray]:
    """The example of the page that adds a membership test, as the file that it would be."""
    (code,) = blocks(ADD, "python")
    path = tmp_path_factory.mktemp("membership") / "reference_rank.py"
    path.write_text(code, encoding="utf-8")
    spec = importlib.util.spec_from_file_location("reference_rank", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.reference_rank


def commands(page: str) -> list[list[str]]:
    lines = "\n".join(blocks(page, "")).splitlines() + re.findall(r"`(labkit \w+ [^`]+)`", page)
    return [words[1:] for words in (line.split() for line in lines) if words[:1] == ["labkit"]]


@pytest.mark.parametrize(
    "words", [w for p in (PAGE, README) for w in commands(p) if w[0] in ("generalize", "diff")], ids=" ".join
)
def test_a_command_of_the_pages_is_understood(words: list[str]) -> None:
    with click.Context(cli.cli) as context:
        command = cli.cli.get_command(context, words[0])
        command.make_context(words[0], words[1:])


def test_every_option_of_the_table_is_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["generalize", "--help"]) == cli.DONE
    offered = set(re.findall(r"--[a-z-]+", capsys.readouterr().out)) - {"--help", "--out"}
    table = PAGE[PAGE.index("| option |") : PAGE.index("Only you know")]
    assert set(re.findall(r"^\| ([^|]+)\|", table, re.M)) and set(re.findall(r"`(--[a-z-]+)`", table)) == offered


def test_every_function_and_argument_of_the_table_is_there() -> None:
    table = PAGE[PAGE.index("| question |") : PAGE.index("In Python every")]
    asked = re.findall(r"`(\w+)\((.*?)\)[`;]", table)
    assert len(asked) > 20
    for name, arguments in asked:
        given = inspect.signature(getattr(lk, name)).parameters
        assert set(re.findall(r"(\w+)=", arguments)) <= set(given), name


def test_every_new_analysis_of_the_plan_stands_in_the_table() -> None:
    table = PAGE[PAGE.index("| question |") : PAGE.index("In Python every")]
    beside = {
        "predict",
        "baselines",
        "abstention",
        "training",
    }  # of other pages, or a step without a function of its own
    for step in plans.load("generalize").steps:
        assert step.analysis in beside or f"`{step.analysis}(" in table, step.analysis


def test_the_plan_of_the_page_is_one() -> None:
    (text,) = blocks(PAGE, "toml")
    found = plans.parse(f'schema = "labkit.plan/1"\nname = "patients"\nset_by = "a test"\n{text}', "patients")
    assert [step.analysis for step in found.steps] == ["leakage", "learning_curve"]


def test_the_python_of_the_page_names_what_is_there() -> None:
    for code in blocks(PAGE, "python"):
        compile(code, "how_to_generalize.md", "exec")
        for name in re.findall(r"\blk\.(\w+)", code):
            assert hasattr(lk, name), name


def test_the_model_of_the_page_opens(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import safetensors.torch
    from torch import nn

    from labkit.cli.naming import model_named

    monkeypatch.chdir(tmp_path)
    (code,) = [b for b in blocks(PAGE, "python") if "def net" in b]
    Path("model.py").write_text(code)
    net = nn.Sequential(nn.Linear(10, 64), nn.ReLU(), nn.Linear(64, 2))
    safetensors.torch.save_file(net.state_dict(), "net.safetensors")
    rows = "\n".join(
        ",".join(f"{v:.3f}" for v in r) + f",{i % 2}" for i, r in enumerate(np.random.default_rng(0).random((60, 10)))
    )
    Path("all.csv").write_text(",".join(f"c{i}" for i in range(10)) + f",y\n{rows}\n")
    data = lk.data.open("all.csv", target="y")
    model = model_named("model.py:net", data)
    assert len(lk.predict(model, data.test).y) == len(data.test) and model.classes == data.classes


def test_the_test_of_the_page_is_what_it_says(reference_rank: Callable[..., np.ndarray]) -> None:
    score, g = reference_rank, np.random.default_rng(0)
    y, inside = g.integers(0, 3, 20), np.arange(8)[:, None] % 2 == g.integers(0, 2, 20)
    logits, shadow = g.normal(size=(20, 3)), g.normal(size=(8, 20, 3))
    assert set(method.needs(score)) == {"logits", "y", "shadow", "inside"}
    for i, found in enumerate(score(logits, y, shadow, inside)):
        unseen = [m for m in range(8) if not inside[m, i]]
        mine = likelihood(logits[i : i + 1], y[i : i + 1])[0]
        assert found == np.mean([likelihood(shadow[m, i : i + 1], y[i : i + 1])[0] < mine for m in unseen])


def test_the_test_of_the_page_finds_a_model_that_learned_by_heart(reference_rank: Callable[..., np.ndarray]) -> None:
    data, model = lk.zoo.data("fashion_overfit"), lk.zoo.load("fashion_overfit")
    found = lk.membership_inference(model, data, [reference_rank], shadows=8, rows=600)
    assert found.methods[found.chosen] == "reference_rank" and found.area()[1] > 0.6
    assert {"probabilities", "the true label", "models trained on like rows"} == set(
        found.needs[found.chosen].split(", ")
    )


def test_what_the_page_offers_a_membership_test_is_what_the_lab_offers() -> None:
    named = set(re.findall(r"^\| (.+?) \|", ADD, re.M)) - {"name", "---"}
    words = {w for cell in named for w in re.findall(r"`(\w+)`", cell)} | {"label"}
    taken = {n for m in lk.names("membership") for n in method.needs(registry.find("membership", m))}
    assert taken == words and "label" in ADD
