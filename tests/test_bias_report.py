"""From a table of answers, or a torch model of one's own, to a whole report of bias: one command each."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import reports

import labkit as lk
from labkit import cli
from labkit.report import html, plain
from labkit.report import plan as plans

PEOPLE = 1200
ANSWERS = ["--y", "hired", "--score", "score", "--threshold", "0.5", "--by", "sex,race"]

# A table of people with sex, race, years and town, and a torch model of them, as somebody else would write it down.
MODEL = """
import torch
from torch import nn
import labkit as lk

def build():
    torch.manual_seed(0)
    module = nn.Linear(4, 2)
    with torch.no_grad():
        module.weight.zero_()
        module.bias.zero_()
        module.weight[1] = torch.tensor({weight})
        module.weight[0] = -module.weight[1]
    return lk.wrap(module, classes=("no", "yes"), name="own")
"""


def people(n: int = PEOPLE, seed: int = 0) -> pd.DataFrame:
    """People of whom women, at equal years, are hired and scored lower, and of whom nobody else is treated apart."""
    rng = np.random.default_rng(seed)
    woman, years = rng.integers(0, 2, n), rng.normal(size=n)
    fair = years + 0.3 * rng.normal(size=n)
    score = 1 / (1 + np.exp(-2 * (fair - 1.2 * woman)))
    return pd.DataFrame(
        {
            "sex": np.where(woman, "women", "men"),
            "race": rng.choice(["a", "b"], n),
            "years": years,
            "club": np.where(rng.random(n) < 0.1, 1 - woman, woman),
            "hired": (fair - 0.4 * woman > 0).astype(int),
            "score": score,
        }
    )


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("table") / "answers.csv"
    people().to_csv(path, index=False)
    return path


@pytest.fixture(scope="module")
def report(table: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of one command. It is only read."""
    out = tmp_path_factory.mktemp("out") / "report"
    assert cli.run(["bias", str(table), *ANSWERS, "--out", str(out)]) == 0
    return out


def document(report: Path, step: str) -> dict[str, Any]:
    (found,) = report.glob(f"evidence/*/{step}.json")
    return json.loads(found.read_text("utf-8"))


@pytest.fixture(scope="module")
def short(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bias plan without its long steps."""
    return reports.shortened(
        "bias", ("accuracy", "groups", "errors", "impact", "given", "remedies"), tmp_path_factory.mktemp("plan")
    )


class TestTable:
    def test_every_question_is_answered_or_says_what_it_would_take(self, report: Path) -> None:
        plan = plans.load("bias")
        found = reports.documents(report)
        asked = {s.id for s in plan.for_modality("tabular")}
        assert asked <= {re.sub(r"-(sex|race)$", "", Path(p).stem) for p in found}
        for path, told in found.items():
            assert told["status"] in ("measured", "not_measured"), path
            assert told["says"] and (told["status"] == "measured" or len(told["reason"]) > 20), path
        measured = {Path(p).stem for p, told in found.items() if told["status"] == "measured"}
        assert measured >= {
            *("accuracy", "people", "groups", "impact", "errors", "meaning", "slices", "cohorts", "alike"),
            *("proxies-sex", "tradeoffs-sex", "remedies-sex", "remedies-race"),
        }
        for step in ("flipped-sex", "columns-race", "explained-sex"):
            assert "It would take the model" in document(report, step)["reason"]
        assert "for people to decide" in document(report, "given-sex")["reason"]

    def test_what_was_planted_is_found_and_its_sound_twin_is_not(self, report: Path) -> None:
        status = {
            f["part"]: f["finding"] for f in document(report, "groups")["findings"] if f["check"] == "four_fifths"
        }
        assert status["sex"] == "does_not_meet" and status["race"] != "does_not_meet"
        (told,) = (f for f in document(report, "remedies-sex")["findings"] if f["check"] == "less_discriminatory")
        assert told["finding"] == "does_not_meet" and told["interval"]["low"] > 0
        (fair,) = (f for f in document(report, "remedies-race")["findings"] if f["check"] == "less_discriminatory")
        assert fair["finding"] != "does_not_meet"
        proxied = {f["finding"] for f in document(report, "proxies-sex")["findings"]}
        assert "does_not_meet" in proxied
        assert "does_not_meet" not in {f["finding"] for f in document(report, "proxies-race")["findings"]}

    def test_the_controls_of_its_checks_work(self, report: Path) -> None:
        found = {f["check"]: f["finding"] for f in document(report, "controls")["findings"]}
        assert set(found.values()) == {"meets"} and len(found) >= 12
        assert {"equalized_odds", "worst_group", "worse_slices", "proxied_groups", "less_discriminatory"} <= set(found)

    def test_plain_words_say_who_by_how_much_and_how_sure(self, report: Path) -> None:
        page = (report / "index.html").read_text("utf-8")
        told = page[page.index('id="summary"') : page.index('id="findings"')]
        frame = people()
        for sex in ("women", "men"):
            rate = 100 * (frame.score[frame.sex == sex] >= 0.5).mean()
            assert re.search(rf"of 100 “{sex}”[^;.]*{rate:.0f} \(\d+ to \d+\)", told), (sex, rate, told)
        assert "This may be chance." in told  # of race, where nothing was planted
        assert "points off the difference" in told and "Not in the plan" in told
        assert len(re.sub("<[^>]*>", " ", told).split()) < plain.WORDS + 60

    def test_tables_to_publish_have_the_columns_of_the_rule(self, report: Path) -> None:
        (path,) = report.glob("tables/*/impact-sex.csv")
        table = pd.read_csv(path)
        assert list(table) == ["Sex Categories", "# of Applicants", "# Selected", "Selection Rate", "Impact Ratio"]
        frame = people()
        selected = (frame.score >= 0.5).groupby(frame.sex).agg(["size", "sum"])
        assert table["# of Applicants"].tolist() == selected["size"].tolist()
        assert table["# Selected"].tolist() == selected["sum"].tolist()
        rate = selected["sum"] / selected["size"]
        np.testing.assert_allclose(table["Impact Ratio"], rate / rate.max(), atol=0.005)
        assert len(list(report.glob("tables/*/impact-*.csv"))) == 3  # sex, race, and both
        assert path.relative_to(report).as_posix() in (report / "index.html").read_text("utf-8")

    def test_a_changed_table_is_named(self, report: Path) -> None:
        (path,) = report.glob("tables/*/impact-sex.csv")
        assert cli.run(["verify", str(report)]) == 0
        before = path.read_bytes()
        try:
            path.write_bytes(before.replace(b"women", b"Women"))
            found = lk.verify(report)
            assert not found.intact and "impact-sex.csv" in str(found)
        finally:
            path.write_bytes(before)
        assert lk.verify(report).intact

    def test_killed_it_goes_on_to_the_same_bytes(self, table: Path, short: Path, tmp_path: Path) -> None:
        # the process is killed outright as soon as the groups were measured, with no chance to tidy up
        script = (
            "import os, signal, sys\n"
            "from labkit import cli\n"
            "from labkit.report.folder import Folder\n"
            "put = Folder.put\n"
            "def last(self, plan, subject, outcome):\n"
            "    put(self, plan, subject, outcome)\n"
            "    outcome.step.id == 'groups' and os.kill(os.getpid(), signal.SIGKILL)\n"
            "Folder.put = last\n"
            "cli.run(sys.argv[1:])\n"
        )
        whole = ["bias", str(table), *ANSWERS, "--plan", str(short), "--out"]
        assert cli.run([*whole, str(tmp_path / "whole")]) == 0
        command = [*whole, str(tmp_path / "r")]
        killed = subprocess.run([sys.executable, "-c", script, *command], capture_output=True, check=False)
        assert killed.returncode == -signal.SIGKILL, killed.stderr.decode()[-2000:]
        assert not (tmp_path / "r" / "index.html").exists()
        assert cli.run(command) == 0
        assert (
            reports.lasting(tmp_path / "r") == reports.lasting(tmp_path / "whole") and lk.verify(tmp_path / "r").intact
        )


class TestCommand:
    def test_it_can_fail_a_build(self, table: Path, short: Path, capsys: Any) -> None:
        command = ["bias", str(table), *ANSWERS, "--plan", str(short)]
        assert cli.run(command) == 0
        assert cli.run([*command, "--fail-on", "does_not_meet"]) == 1
        capsys.readouterr()
        assert cli.run([*command, "--by", "hair"]) == 2
        assert "what would do" in capsys.readouterr().err

    def test_labels_alone_cannot_be_remedied_and_say_so(
        self, table: Path, short: Path, tmp_path: Path, capsys: Any
    ) -> None:
        frame = people().assign(pred=lambda f: (f.score >= 0.5).astype(int)).drop(columns="score")
        frame.to_csv(tmp_path / "t.csv", index=False)
        arguments = ["--y", "hired", "--pred", "pred", "--by", "sex", "--plan", str(short)]
        assert cli.run(["bias", str(tmp_path / "t.csv"), *arguments]) == 0
        said = capsys.readouterr()
        assert "Not measured because of predictions with labels only" in said.out and "--score" in said.out
        assert "taken for what is known of the people: race, years, club" in said.err

    def test_without_truth_no_error_is_told(self, table: Path, short: Path, capsys: Any) -> None:
        command = ["bias", str(table), "--score", "score", "--threshold", "0.5", "--by", "sex", "--drop", "hired"]
        assert cli.run([*command, "--plan", str(short), "--fail-on", "does_not_meet"]) == 1
        said = capsys.readouterr().out
        assert "truth is not given" in said and "data without truth" in said and "were answered right" not in said

    def test_a_legitimate_factor_is_named_by_people(self, table: Path, short: Path, capsys: Any) -> None:
        command = ["bias", str(table), *ANSWERS[:-1], "sex", "--plan", str(short), "--given", "years"]
        assert cli.run(command) == 0
        said = capsys.readouterr().out
        assert "conditional_disparity" in said and "no factor named" not in said

    def test_harms_choose_the_errors_and_nothing_else(self, table: Path, short: Path, capsys: Any) -> None:
        command = ["bias", str(table), *ANSWERS[:-1], "sex", "--plan", str(short), "--harm", "wrongly_burdened"]
        assert cli.run(command) == 0
        said = capsys.readouterr().out
        assert "false positive rate by sex" in said and "precision by sex" not in said
        assert "selection rate by sex" in said

    def test_several_classes(self, tmp_path: Path, short: Path, capsys: Any) -> None:
        rng = np.random.default_rng(0)
        y = rng.choice(["low", "mid", "high"], 900)
        frame = pd.DataFrame({"y": y, "sex": rng.choice(["f", "m"], 900)})
        wrong = rng.random(900) < np.where(frame.sex == "f", 0.5, 0.1)
        frame["p"] = np.where(wrong, "low", y)
        frame.to_csv(tmp_path / "t.csv", index=False)
        command = ["bias", str(tmp_path / "t.csv"), "--y", "y", "--pred", "p", "--by", "sex", "--positive", "high"]
        assert cli.run([*command, "--plan", str(short)]) == 0
        assert "true positive rate by sex" in capsys.readouterr().out


def write_model(folder: Path, weight: list[float]) -> tuple[Path, Path]:
    (folder / "own_model.py").write_text(MODEL.format(weight=weight))
    frame = people(1500, seed=1).assign(hired=lambda f: np.where(f.hired, "yes", "no"))
    frame[["sex", "race", "years", "club", "hired"]].to_csv(folder / "own.csv", index=False)
    return folder / "own_model.py", folder / "own.csv"


class TestOwnModel:
    @pytest.fixture(scope="class")
    def own(self, tmp_path_factory: pytest.TempPathFactory) -> Path:
        folder = tmp_path_factory.mktemp("own")
        model, data = write_model(folder, [-1.5, 0.0, 1.5, 0.0])
        # the whole plan, but for remedies that play with the learner for minutes
        few = plans.load("bias", options={"methods": ["reweighing", "label_massaging", "group_thresholds"]})
        (folder / "few.toml").write_text(few.text)
        command = ["audit", f"{model}:build", "--data", str(data), "--target", "hired", "--group", "sex"]
        assert (
            cli.run([*command, "--group", "race", "--plan", str(folder / "few.toml"), "--out", str(folder / "r")]) == 0
        )
        return folder / "r"

    def test_one_command_gives_the_whole_audit(self, own: Path) -> None:
        found = reports.documents(own)
        measured = {Path(p).stem for p, told in found.items() if told["status"] == "measured"}
        assert measured >= {
            *("accuracy", "people", "groups", "errors", "impact", "slices", "proxies-sex", "smaller"),
            *("flipped-sex", "columns-sex", "explained-sex", "remedies-sex", "amplified-sex"),
        }
        assert lk.verify(own).intact

    def test_a_model_that_reads_sex_is_told_from_one_that_does_not_read_race(self, own: Path) -> None:
        moved = document(own, "flipped-sex")["findings"]
        assert "does_not_meet" in {f["finding"] for f in moved}
        still = document(own, "flipped-race")
        assert "does_not_meet" not in {f["finding"] for f in still["findings"]} and "No answer" in still["says"]
        page = (own / "index.html").read_text("utf-8")
        assert "exchanged and nothing else" in page


def test_findings_that_are_met_share_a_row_and_what_is_not_met_never_does(short: Path) -> None:
    table = lk.Predictions.from_frame(
        people().assign(p=lambda f: (f.score >= 0.5).astype(int)), y="hired", label="p", groups=["sex", "race"]
    )
    found = lk.audit(table, plan=short)
    errors = next(o for o in found.outcomes if o.step.id == "errors")
    rows = html._rows(found, errors)
    told = [f for f in errors.findings if f.status == "does_not_meet"]
    assert sum(r["status"] == "does_not_meet" for r in rows) == len(told)
    met = [f for f in errors.findings if f.status == "meets"]
    several = [r for r in rows if " in all" in r["what"]]
    assert len(met) > sum(r["status"] == "meets" for r in rows) and several
