"""From a torch model of one's own, with train and test files, to a whole report of what it knows and remembers."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import reports

import labkit as lk
from labkit import cli
from labkit.cli.naming import model_named
from labkit.report import plain, remembering, wording
from labkit.report import plan as plans

ROWS = 300
SECRET = 0.7654321  # a value that one person alone has
QUICK = {"models": 16, "shadows": 8, "seeds": 2, "permutations": 19, "landscape.points": 5, "landscape.probes": 4}

MODEL = """
from pathlib import Path
import torch
from torch import nn
import labkit as lk

HERE = Path(__file__).parent
DATA = lk.data.open(HERE / "train.csv", target="bought", test=HERE / "test.csv")

def trained(name, steps, decay, wide):
    torch.manual_seed(0)
    x, y = torch.tensor(DATA.train.x), torch.tensor(DATA.train.y)
    net = nn.Sequential(nn.Linear(x.shape[1], wide), nn.ReLU(), nn.Linear(wide, 2))
    moves = torch.optim.AdamW(net.parameters(), 5e-3, weight_decay=decay)
    for _ in range(steps):
        moves.zero_grad()
        nn.functional.cross_entropy(net(x), y).backward()
        moves.step()
    return lk.wrap(net.eval(), classes=DATA.classes, name=name)

def memoriser():
    return trained("memoriser", 1500, 0.0, 256)

def twin():
    return trained("twin", 60, 1.0, 8)
"""


def people(n: int, seed: int) -> pd.DataFrame:
    """Numbers of which the first decides, but for a quarter of the labels, which nothing tells."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 6)).astype(np.float32)
    bought = (x[:, 0] > 0) ^ (rng.random(n) < 0.25)
    frame = pd.DataFrame(x, columns=[f"c{i}" for i in range(6)])
    frame["bought"] = np.where(bought, "yes", "no")
    return frame


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("files")
    train = people(ROWS, 0)
    train.loc[7, "c5"] = SECRET
    train.to_csv(folder / "train.csv", index=False)
    test = people(ROWS, 1)
    test.to_csv(folder / "test.csv", index=False)
    test[test.bought == "yes"].to_csv(folder / "one.csv", index=False)
    test[:20].to_csv(folder / "few.csv", index=False)
    test.drop(columns="c1").to_csv(folder / "missing.csv", index=False)
    (folder / "own.py").write_text(MODEL)
    return folder


def command(files: Path, model: str, *more: str, test: str = "test.csv", target: str = "bought") -> list[str]:
    data = ["--data", str(files / "train.csv"), "--test", str(files / test), "--target", target]
    return ["generalize", f"{files / 'own.py'}:{model}", *data, *more]


@pytest.fixture(scope="module")
def short(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The plan without its long steps."""
    return reports.shortened(
        "generalize", ("accuracy", "sets", "unsure", "shared", "gap", "gradients"), tmp_path_factory.mktemp("plan")
    )


@pytest.fixture(scope="module")
def both(files: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The whole plan, with fewer models in it, on a model that memorised and on its sound twin; and where it lies."""
    plan = plans.load("generalize", options=QUICK)
    data = lk.data.open(files / "train.csv", target="bought", test=files / "test.csv")
    models = [model_named(f"{files / 'own.py'}:{name}", data) for name in ("memoriser", "twin")]
    out = tmp_path_factory.mktemp("out") / "report"
    return lk.audit(models, data, plan, out), out


class TestWhole:
    def test_every_question_is_answered_or_says_what_it_would_take(self, both: Any) -> None:
        report, out = both
        for outcome in report.outcomes:
            assert outcome.status in ("measured", "not_measured"), outcome.step.id
            assert outcome.says and (outcome.status == "measured" or len(outcome.says) > 30), outcome.step.id
        missing = {o.step.id for o in report.outcomes if o.status == "not_measured"}
        # what takes a training that was watched, a recorded twin, groups of people, or more rows than these
        assert missing <= {"training", "twin", "guessed", "curve"}
        assert lk.verify(out).intact

    def test_the_memoriser_is_named_and_its_twin_is_not(self, both: Any) -> None:
        report, _ = both
        bad = {
            name: {f.check for o in report.of(name) for f in o.findings if f.status == "does_not_meet"}
            for name in ("memoriser", "twin")
        }
        memory = {"overfitting", "remembered_rows"}
        assert memory <= bad["memoriser"]
        assert not bad["twin"] & {*memory, "recognized_members", "no_leakage", "canary_exposure"}

    def test_plain_words_say_that_it_memorized_which_and_how_an_outsider_tells(self, both: Any) -> None:
        report, _ = both
        told = plain.summary(report)
        of = {name: " ".join(s for s in told.found if s.startswith(name)) for name in ("memoriser", "twin")}
        assert told.words <= plain.WORDS
        assert "memorized: of" in of["memoriser"] and re.search(r"training rows \d+, \d+, \d+", of["memoriser"])
        assert "an outsider who asks it" in of["memoriser"]
        assert "memorized" not in of["twin"] and "outsider" not in of["twin"]

    def test_every_answer_has_its_picture_and_what_it_does_not_show(self, both: Any) -> None:
        report, out = both
        page = (out / "index.html").read_text("utf-8")
        measured = [o for o in report.outcomes if o.status == "measured"]
        assert page.count("<svg") >= len(measured) and "nan" not in re.findall(r'\bd="[^"]*nan', page)
        assert not reports.Strict(page).found

    def test_nobody_stands_in_the_evidence(self, both: Any) -> None:
        _, out = both
        for path in out.rglob("*"):
            if path.is_file():
                assert b"0.7654321" not in path.read_bytes(), path

    def test_the_planted_controls_work(self, both: Any) -> None:
        report, _ = both
        found = {f.check: f.status for f in report.controls.findings}
        assert set(found.values()) == {"meets"}
        assert {"remembered_rows", "recognized_members", "no_leakage", "same_distribution"} <= set(found)


class TestCommand:
    def test_killed_it_goes_on_to_the_same_bytes(self, files: Path, short: Path, tmp_path: Path) -> None:
        script = (
            "import os, signal, sys\n"
            "from labkit import cli\n"
            "from labkit.report.folder import Folder\n"
            "put = Folder.put\n"
            "def last(self, plan, subject, outcome):\n"
            "    put(self, plan, subject, outcome)\n"
            "    outcome.step.id == 'shared' and os.kill(os.getpid(), signal.SIGKILL)\n"
            "Folder.put = last\n"
            "cli.run(sys.argv[1:])\n"
        )
        asked = command(files, "twin", "--plan", str(short), "--out")
        assert cli.run([*asked, str(tmp_path / "whole")]) == 0
        resumed = [*asked, str(tmp_path / "r")]
        killed = subprocess.run([sys.executable, "-c", script, *resumed], capture_output=True, check=False)
        assert killed.returncode == -signal.SIGKILL, killed.stderr.decode()[-2000:]
        assert not (tmp_path / "r" / "index.html").exists()
        assert cli.run(resumed) == 0
        assert (
            reports.lasting(tmp_path / "r") == reports.lasting(tmp_path / "whole") and lk.verify(tmp_path / "r").intact
        )

    def test_without_training_data_it_measures_what_it_can(self, files: Path, capsys: Any) -> None:
        asked = ["generalize", f"{files / 'own.py'}:twin", "--data", str(files / "test.csv"), "--target", "bought"]
        assert cli.run([*asked, "--no-training"]) == 0
        told = capsys.readouterr().out
        measured, _, missing = told.partition("Not measured because")
        for answer in ("were answered right", "calibration error", "Sets promised", "the loss of twin"):
            assert answer in measured, answer
        assert "It would take the rows that the model was trained on" in missing
        for question in ("Which training examples does it remember?", "Could an outsider tell what it was trained on?"):
            assert question in told

    @pytest.mark.parametrize(
        ("test", "target", "named"),
        [
            ("train.csv", "bought", "the same file twice"),
            ("missing.csv", "bought", "c1"),
            ("test.csv", "nope", "one of: "),
            ("nothing.csv", "bought", "no such file"),
        ],
    )
    def test_bad_input_is_named(self, files: Path, capsys: Any, test: str, target: str, named: str) -> None:
        assert cli.run(command(files, "twin", test=test, target=target)) == 2
        assert named in capsys.readouterr().err

    @pytest.mark.parametrize("test", ["one.csv", "few.csv"])
    def test_thin_data_says_what_it_lacks(self, files: Path, short: Path, capsys: Any, test: str) -> None:
        assert cli.run(command(files, "twin", "--plan", str(short), test=test)) == 0
        told = capsys.readouterr().out
        assert "were answered right" in told and "Not measured because" in told


class TestWords:
    def test_every_analysis_of_the_plan_says_what_it_does_not_show(self) -> None:
        steps = plans.load("generalize").steps
        kinds = {"training": "learning_curve"}
        assert {kinds.get(s.analysis, s.analysis) for s in steps} <= set(wording.DOES_NOT_SHOW)

    def test_every_kind_of_data_is_asked_the_same(self) -> None:
        plan = plans.load("generalize")
        asked = {m: {s.analysis for s in plan.for_modality(m)} - {"attribute_inference"} for m in plans.MODALITIES}
        assert len({frozenset(a) for a in asked.values()}) == 1
        assert all(len({s.analysis for s in plan.for_modality(m)}) == len(plan.for_modality(m)) for m in asked)

    @pytest.mark.parametrize(
        ("area", "rate", "told"),
        [
            ((0.5, 0.45, 0.55), (0.01, 0.0, 0.03), "better than guessing"),
            ((0.7, 0.65, 0.75), (0.01, 0.0, 0.03), "picks the right one"),
            ((0.7, 0.65, 0.75), (0.2, 0.15, 0.25), "recognizes at least"),
        ],
    )
    @pytest.mark.parametrize("least", [-1, 0])
    def test_membership(self, area: Any, rate: Any, told: str, least: int) -> None:
        record = SimpleNamespace(
            area=lambda: area,
            rates=lambda: tuple(np.array([v]) for v in rate),
            fpr=np.array([0.01]),
            least=least,
            needs=("probabilities",),
            chosen=0,
            members=50,
        )
        ((rank, text),) = remembering._membership("it", record)
        expected = "picks the right one" if least < 0 and told == "recognizes at least" else told
        assert expected in text and rank == int("guessing" in text)

    def test_a_twin_names_few_settings_and_counts_the_rest(self) -> None:
        record = SimpleNamespace(
            models=("a", "b"),
            settings=tuple("abcdef"),
            first=("1",) * 6,
            second=("2",) * 6,
            same_data=True,
            measures=("accuracy",),
            score=np.array([[0.5], [0.75]]),
        )
        ((_, text),) = remembering._recipes("a", record)
        assert "d 2 (not 1) and 2 more settings; accuracy 0.75 instead of 0.5" in text
        assert remembering._recipes("b", record) == []
