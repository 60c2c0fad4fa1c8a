"""labkit diff: what became worse between tables, models and reports, with exit codes for a build."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import numpy as np
import pandas as pd
import pytest
import reports
import torch
from torch import nn

import labkit as lk
from labkit.cli.diff import diff
from labkit.records.finding import Finding
from labkit.report import diff as compared
from labkit.report import evidence as ev


def run(*arguments: Any) -> int:
    return diff.main([str(a) for a in arguments], standalone_mode=False)


def table(folder: Path, name: str, noise: float, seed: int, n: int = 800, harmed: float = 0.0) -> Path:
    """Scores of the same people; more noise is a worse model, and ``harmed`` the share of women answered at random."""
    people = np.random.default_rng(7)
    y, z = people.integers(0, 2, n), people.normal(size=n)
    sex = np.where(people.random(n) < 0.5, "women", "men")
    generator = np.random.default_rng(seed)
    score = 1 / (1 + np.exp(-2 * (1.5 * y + z - 0.75 + noise * generator.normal(size=n))))
    score = np.where((sex == "women") & (generator.random(n) < harmed), generator.random(n), score)
    path = folder / f"{name}.csv"
    pd.DataFrame({"y": y, "s": score.round(4), "sex": sex}).to_csv(path, index=False)
    return path


COLUMNS = ("--y", "y", "--score", "s", "--threshold", 0.5, "--by", "sex")


def test_what_got_worse_fails_a_build_and_what_did_not_does_not(tmp_path: Path, capsys: Any) -> None:
    good, bad = table(tmp_path, "good", 0.3, 1), table(tmp_path, "bad", 2.5, 2)
    assert run(good, bad, *COLUMNS, "--fail-on", "worse", "--metric", "accuracy,auc") == 1
    told = capsys.readouterr().out
    assert "bad.csv against good.csv, the same 800 people" in told and "\nworse\n  accuracy" in told
    assert "pairs made by exchanging answers" in told and "two files" in told
    assert run(good, bad, *COLUMNS, "--metric", "accuracy") == 0, "without --fail-on it only says so"
    assert run(bad, good, *COLUMNS, "--fail-on", "worse", "--metric", "accuracy", "--out", tmp_path / "kept") == 0
    assert "\nbetter\n  accuracy" in capsys.readouterr().out
    kept = lk.load(tmp_path / "kept" / "compare_models.lk")
    assert kept.verdict(0, 0) == "better" and (tmp_path / "kept" / "compare_models.csv").is_file()
    like = table(tmp_path, "like", 0.3, 3)
    assert run(good, like, *COLUMNS, "--fail-on", "worse") == 0
    assert "no difference shown" in capsys.readouterr().out


def test_one_group_that_got_worse_is_enough(tmp_path: Path, capsys: Any) -> None:
    good, unfair = table(tmp_path, "good", 0.3, 1, n=1500), table(tmp_path, "unfair", 0.3, 2, n=1500, harmed=0.4)
    assert run(good, unfair, *COLUMNS, "--metric", "accuracy", "--fail-on", "worse") == 1
    worse = capsys.readouterr().out.partition("\nworse\n")[2].partition("\n\n")[0]
    assert "sex women" in worse and "sex men" not in worse


def test_a_margin_allows_for_what_does_not_matter(tmp_path: Path) -> None:
    good, bad = table(tmp_path, "good", 0.3, 1), table(tmp_path, "bad", 1.2, 2)
    asked = (good, bad, *COLUMNS, "--metric", "auc", "--fail-on", "worse")
    assert run(*asked) == 1 and run(*asked, "--margin", 0.3) == 0


def test_bad_input_is_refused(tmp_path: Path) -> None:
    good, bad = table(tmp_path, "good", 0.3, 1), table(tmp_path, "bad", 2.5, 2)
    shuffled = tmp_path / "shuffled.csv"
    pd.read_csv(bad).sample(frac=1, random_state=0).to_csv(shuffled, index=False)
    for arguments, match in (
        ((good, shuffled, *COLUMNS), "truth differs"),
        ((good, bad, "--y", "y"), "neither labels nor scores"),
        ((good, bad, *COLUMNS[2:]), "without truth"),
        ((good, tmp_path / "none.csv", *COLUMNS), "no such file"),
        ((good, bad, *COLUMNS, "--alarm", 0.9), "false alarms"),
        ((good, bad, *COLUMNS, "--margin", -1), "margin"),
        ((good, tmp_path, *COLUMNS), "a file"),
        ((tmp_path, tmp_path), "manifest"),
    ):
        with pytest.raises(lk.Refused, match=match):
            run(*arguments)
    with pytest.raises(click.UsageError):
        run(good)


def test_two_models_answer_the_test_part_of_their_data(tmp_path: Path, capsys: Any) -> None:
    data, script = reports.people(200), tmp_path / "own.py"
    script.write_text(
        "import torch\nfrom torch import nn\n"
        "def rule(column):\n"
        "    layer = nn.Linear(3, 2)\n"
        "    with torch.no_grad():\n"
        "        layer.weight.zero_(); layer.weight[1, column] = 8.0; layer.bias.copy_(torch.tensor([0.0, -4.0]))\n"
        "    return layer\n"
        "good = rule(0)\nbad = rule(1)\n"
    )
    frame = pd.DataFrame(np.concatenate([data.train.x, data.test.x])[:, :2], columns=["age", "debt"]).assign(
        paid=np.concatenate([data.train.y, data.test.y]), sex=np.where(np.arange(400) % 2, "women", "men")
    )
    frame.to_csv(tmp_path / "people.csv", index=False)
    asked = ("--data", tmp_path / "people.csv", "--target", "paid", "--by", "sex", "--metric", "accuracy")
    assert run(f"{script}:good", f"{script}:bad", *asked, "--fail-on", "worse") == 1
    assert "\nworse\n  accuracy" in capsys.readouterr().out
    assert run(f"{script}:good", f"{script}:good", *asked, "--fail-on", "worse") == 0


def rule(column: int, name: str) -> Any:
    """A model that goes by one column."""
    layer = nn.Linear(3, 2)
    with torch.no_grad():
        layer.weight.zero_()
        layer.weight[1, column] = 8.0
        layer.bias.copy_(torch.tensor([0.0, -4.0]))
    return lk.wrap(layer, classes=("no", "yes"), bounds=(0, 1), name=name)


@pytest.fixture(scope="module")
def audits(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two reports of one plan: on a rule that is right, and on one that ignores what decides."""
    folder = tmp_path_factory.mktemp("audits")
    data, found = reports.people(300), []
    chosen = reports.plan(step=[s for s in reports.STEPS if s["id"] in ("accuracy", "gap")])
    for name, column in (("before", 0), ("after", 2)):
        lk.audit(rule(column, name), data, chosen, folder / name)
        found.append(folder / name)
    return found


def test_two_reports_are_compared_by_predictions_and_findings(audits: list[Path], capsys: Any) -> None:
    assert run(*audits, "--metric", "accuracy", "--fail-on", "worse") == 1
    told = capsys.readouterr().out
    assert (
        "\nworse\n  accuracy" in told
        and "findings of both reports" in told
        and "worse: before/gap/beats_majority" in told
    )
    assert run(audits[0], audits[0], "--metric", "accuracy", "--fail-on", "worse") == 0
    assert "findings of both reports; those that changed:\n  none" in capsys.readouterr().out


def test_steps_of_one_report_alone_are_named_whichever_it_is(audits: list[Path], monkeypatch: Any) -> None:
    whole = compared._documents(audits[0])
    step = next(key for key, (d, _) in whole.items() if not (d["record"] and d["record"]["kind"] == "predict"))
    fewer = {key: found for key, found in whole.items() if key != step}
    said = "/".join(step) + " stands in one report alone"
    for first, other in ((whole, fewer), (fewer, whole)):
        monkeypatch.setattr(compared, "_documents", {"a": first, "b": other}.get)
        assert said in compared.reports("a", "b", metrics=["accuracy"]).left_out


def test_a_report_that_was_changed_is_refused(audits: list[Path], tmp_path: Path) -> None:
    import shutil

    copy = tmp_path / "copy"
    shutil.copytree(audits[0], copy)
    page = next((copy / "evidence").rglob("*.json"))
    page.write_text(page.read_text().replace('"n"', '"m"', 1))
    with pytest.raises(lk.Refused, match="changed"):
        compared.reports(copy, audits[1])


def document(estimate: float, half: float, status: str = "meets") -> dict[str, Any]:
    interval = {"low": estimate - half, "high": estimate + half, "level": 0.95}
    criterion = {"text": "", "thresholds": {}}
    finding = {"check": "c", "part": "", "finding": status, "says": "", "estimate": estimate, "interval": interval}
    return {"findings": [{**finding, "n": 100, "criterion": criterion}]}


@pytest.mark.parametrize(
    ("after", "verdict"),
    [
        (document(0.5, 0.02, "does_not_meet"), "worse"),
        (document(0.79, 0.02, "does_not_meet"), "not told from chance"),
        (document(0.5, 0.02, "inconclusive"), "worse"),
        (document(0.5, 0.02), "moved"),
        (document(0.79, 0.02), None),
    ],
)
def test_a_finding_moves_by_its_number(after: dict[str, Any], verdict: str | None) -> None:
    moved, looked = compared._moved([("s", document(0.8, 0.02), after)], 0.01)
    assert looked == 1 and [m.verdict for m in moved] == ([verdict] if verdict else [])
    assert isinstance(ev.finding(after["findings"][0]), Finding)


def test_findings_of_like_reports_seldom_move() -> None:
    generator, alarms = np.random.default_rng(0), 0
    for _ in range(1000):
        values = generator.normal(0.7, 0.01, (2, 20))
        shared = [
            (str(i), document(a, 0.0196), document(b, 0.0196, "does_not_meet")) for i, (a, b) in enumerate(values.T)
        ]
        alarms += any(m.verdict == "worse" for m in compared._moved(shared, 0.05)[0])
    assert alarms <= 70
