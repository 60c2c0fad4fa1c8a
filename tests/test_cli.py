"""The command line: exit codes, what it prints, and every bad input refused with nothing half written."""

from __future__ import annotations

import gzip
import json
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import reports
import tomli_w
import torch
from safetensors.torch import save_file
from torch import nn

import labkit as lk
from labkit import cli
from labkit.cli import jupyter
from labkit.models.opening import save


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory, digits: Any) -> Path:
    """A small convolutional net as a file, half trained on the digits."""
    from labkit.models.architectures.cnn import cnn

    config = {"classes": 10, "size": 8, "widths": [8, 8], "pooled": [1]}
    torch.manual_seed(0)
    module = cnn(**config)
    optimizer = torch.optim.Adam(module.parameters(), 1e-2)
    for _ in range(30):
        optimizer.zero_grad()
        nn.functional.cross_entropy(module(torch.tensor(digits.train.x)), torch.tensor(digits.train.y)).backward()
        optimizer.step()
    wrapped = lk.wrap(module, classes=digits.classes, bounds=(0, 1), name="net")
    return save(wrapped, tmp_path_factory.mktemp("model") / "net.safetensors", "cnn", config)


@pytest.fixture(scope="module")
def plan(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("plan") / "small.toml"
    path.write_text(reports.plan().text)
    return path


@pytest.fixture
def answers(tmp_path: Path) -> Path:
    """Predictions of which women get the positive answer half as often as men."""
    rng = np.random.default_rng(0)
    sex = np.repeat(["women", "men"], 400)
    pred = (rng.uniform(size=800) < np.where(sex == "men", 0.6, 0.3)).astype(int)
    frame = pd.DataFrame({"sex": sex, "hired": rng.integers(0, 2, 800), "pred": pred})
    frame["score"] = np.where(pred == 1, 0.9, 0.2)
    path = tmp_path / "answers.csv"
    frame.to_csv(path, index=False)
    return path


def refused(arguments: list[Any], capsys: pytest.CaptureFixture[str]) -> str:
    """The refusal that these arguments give: on stderr, in three lines, with exit code 2."""
    assert cli.run([str(a) for a in arguments]) == 2
    said = capsys.readouterr()
    assert "Traceback" not in said.err + said.out
    for line in ("asked for: ", "given: ", "what would do: "):
        assert line in said.err, said.err
    return said.err


def test_an_audit_of_a_file_prints_its_steps_and_writes_the_report(
    model: Path, plan: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "report"
    command = ["audit", str(model), "--data", "digits", "--plan", str(plan), "--out", str(out), "--rows", "60"]
    assert cli.run(command) == 0
    said = capsys.readouterr().out
    assert sum(line.rstrip().endswith(" s") for line in said.splitlines()) >= 3
    assert "not measured" in said and f"report: {out / 'index.html'}" in said
    assert cli.run(["verify", str(out)]) == 0
    assert capsys.readouterr().out.startswith("intact")
    assert cli.run(command) == 0 and capsys.readouterr().out.count(" kept") == 6
    (out / "index.html").write_text("another page")
    assert cli.run(["verify", str(out)]) == 1
    assert "index.html: changed in" in capsys.readouterr().out


def test_ctrl_c_exits_with_3_and_the_same_command_goes_on(
    model: Path, plan: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from labkit.report import controls

    command = [
        "audit",
        str(model),
        "--data",
        "digits",
        "--plan",
        str(plan),
        "--out",
        str(tmp_path / "r"),
        "--rows",
        "60",
    ]

    def interrupted(plan: Any) -> Any:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(controls, "run", interrupted)
        assert cli.run(command) == 3
    assert "the same command goes on" in capsys.readouterr().err
    assert cli.run(command) == 0
    assert capsys.readouterr().out.count(" kept") == 5


@pytest.fixture
def groups_alone(tmp_path: Path) -> list[str]:
    """A plan of one question: the whole plan of bias is asked in tests/test_bias_report.py."""
    plan = tmp_path / "groups.toml"
    plan.write_text(
        'schema = "labkit.plan/1"\nname = "groups"\n[[step]]\nid = "groups"\nsection = "groups"\nquestion = "Equal?"\n'
        'analysis = "audit_groups"\noptions = { metrics = ["selection_rate"], positive = 1 }\n'
    )
    return ["--plan", str(plan)]


def test_bias_needs_no_model_and_can_fail_a_build(
    answers: Path, groups_alone: list[str], tmp_path: Path, capsys: Any
) -> None:
    table = ["bias", str(answers), "--y", "hired", "--by", "sex"]
    assert cli.run([*table, "--pred", "pred", "--out", str(tmp_path / "r")]) == 0 and lk.verify(tmp_path / "r").intact
    said = capsys.readouterr().out
    assert "■ four_fifths" in said and "women" in said
    command = [*table, "--pred", "pred", *groups_alone]
    assert cli.run(command) == 0
    assert cli.run([*command, "--fail-on", "does_not_meet"]) == 1
    capsys.readouterr()
    scores = [*table, "--score", "score", "--threshold", "0.5", *groups_alone]
    assert cli.run(scores) == 0 and "■ four_fifths" in capsys.readouterr().out


def test_the_positive_class_is_a_choice(answers: Path, groups_alone: list[str], capsys: Any) -> None:
    frame = pd.read_csv(answers)
    frame[["hired", "pred"]] = frame[["hired", "pred"]].replace({0: "no", 1: "yes"})
    frame.to_csv(answers, index=False)
    command = ["bias", str(answers), "--y", "hired", "--pred", "pred", "--by", "sex", *groups_alone]
    assert cli.run([*command, "--positive", "no"]) == 0
    assert "men" in capsys.readouterr().out


def test_explain_and_attack_say_what_they_found_and_keep_it(model: Path, tmp_path: Path, capsys: Any) -> None:
    out = tmp_path / "kept"
    command = [
        "explain",
        str(model),
        "smoothgrad",
        "--data",
        "digits",
        "--rows",
        "2",
        "-o",
        "samples=3",
        "--out",
        str(out),
    ]
    assert cli.run(command) == 0
    record = lk.load(out / "explain.lk")
    assert record.options["samples"] == 3 and len(record) == 2
    assert (out / "explain.svg").read_text().startswith("<svg") and (out / "explain.csv").is_file()
    assert lk.says(record) in capsys.readouterr().out
    assert cli.run(["attack", str(model), "fgsm", "--data", "digits", "--rows", "20", "--eps", "0.2"]) == 0
    assert "fgsm" in capsys.readouterr().out


def test_list_names_what_there_is(capsys: Any) -> None:
    assert cli.run(["list"]) == 0
    said = capsys.readouterr().out
    for kind in ("attacks:", "attributions:", "models:", "plans:", "datasets:"):
        assert kind in said
    assert cli.run(["list", "attacks"]) == 0
    assert capsys.readouterr().out.split() == list(lk.names("attacks"))
    assert "'attacks', or one of" in refused(["list", "attack"], capsys)


class TestBadInput:
    """Every entry of the list: wrong shapes, ranges, label types, NaN, one class, empty, unknown names, pickles."""

    @pytest.fixture(autouse=True)
    def nothing_is_written(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
        monkeypatch.chdir(tmp_path)
        yield
        assert not (tmp_path / "out").exists() and not (tmp_path / "build").exists()

    def audit(self, model: Any, data: Any, *more: Any) -> list[Any]:
        return ["audit", model, "--data", data, "--out", "out", *more]

    @pytest.mark.parametrize(
        "arguments",
        [
            ["audit", "fashion_cn"],
            ["audit", "absent.safetensors"],
            ["audit", "fashion_cnn", "--plan", "defualt"],
            ["audit", "fashion_cnn", "--plan", "absent.toml"],
            ["explain", "fashion_cn"],
            ["attack", "fashion_cn"],
            ["train", "fashion_cn"],
            ["verify", "absent"],
            ["verify", "."],
            ["bias", "absent.csv", "--y", "a", "--pred", "b", "--by", "c"],
        ],
    )
    def test_unknown_names(self, arguments: list[str], capsys: Any) -> None:
        refused(arguments, capsys)

    def test_unknown_methods_options_and_data(self, model: Path, capsys: Any) -> None:
        with_digits = [model, "--data", "digits"]
        assert "saliency" in refused(["explain", model, "salency", "--data", "digits"], capsys)
        assert "'samples', or one of" in refused(
            ["explain", model, "smoothgrad", "--data", "digits", "-o", "sampels=3"], capsys
        )
        refused(["explain", model, "smoothgrad", "--data", "digits", "-o", "samples=many"], capsys)
        refused(["explain", model, "smoothgrad", "--data", "digits", "-o", "samples"], capsys)
        refused(["explain", *with_digits, "--class", "10"], capsys)
        refused(["explain", *with_digits, "--class=-1"], capsys)
        refused(["explain", *with_digits, "--rows", "0"], capsys)
        refused(["attack", *with_digits, "--eps", "-1"], capsys)
        refused(["attack", *with_digits], capsys)
        refused(["attack", *with_digits, "--eps", "0.1", "--norm", "l7"], capsys)
        assert "'digits'" in refused(self.audit(model, "digit"), capsys)
        refused(["audit", model, "--out", "out"], capsys)
        refused(self.audit(model, "digits", "--rows", "0"), capsys)
        refused(self.audit(model, "digits", "--target", "x"), capsys)

    @pytest.mark.parametrize("suffix", [".pt", ".pkl", ".joblib", ".safetensors", ".bin"])
    def test_a_pickle_is_never_opened(self, suffix: str, tmp_path: Path, capsys: Any) -> None:
        class Planted:
            def __reduce__(self) -> Any:
                return Path.touch, (tmp_path / "ran",)

        path = tmp_path / f"model{suffix}"
        path.write_bytes(pickle.dumps(Planted()))
        assert "pickle" in refused(self.audit(path, "digits"), capsys)
        assert not (tmp_path / "ran").exists()

    @pytest.mark.parametrize("what", ["cut", "nan", "bare", "garbage", "empty"])
    def test_damaged_weights(self, what: str, model: Path, tmp_path: Path, capsys: Any) -> None:
        path = tmp_path / "bad.safetensors"
        data = bytearray(model.read_bytes())
        if what == "cut":
            path.write_bytes(data[: len(data) // 2])
        elif what == "nan":
            data[-4:] = np.float32("nan").tobytes()
            path.write_bytes(data)
        elif what == "bare":
            save_file({"w": torch.zeros(2)}, path)
        else:
            path.write_bytes(b"" if what == "empty" else b"\x07" * 200)
        refused(self.audit(path, "digits"), capsys)

    def arrays(self, path: Path, digits: Any, **changes: Any) -> Path:
        fields = {"x": digits.test.x[:120], "y": digits.test.y[:120]} | changes
        np.savez(path, **fields)
        return path

    @pytest.mark.parametrize(
        "what", ["shape", "range", "nan", "text", "one class", "empty", "other classes", "objects"]
    )
    def test_data_that_do_not_fit(self, what: str, model: Path, digits: Any, tmp_path: Path, capsys: Any) -> None:
        x, y = digits.test.x[:120].copy(), digits.test.y[:120].copy()
        if what == "shape":
            x = x[:, :, :5]
        elif what == "range":
            x = x * 255
        elif what == "nan":
            x[7, 0, 0, 0] = np.nan
        elif what == "text":
            x = x.astype(str)
        elif what == "one class":
            y[:] = 3
        elif what == "empty":
            x, y = x[:0], y[:0]
        elif what == "other classes":
            y = y % 3
        elif what == "objects":
            x = np.array([{}] * len(y), object)
        path = self.arrays(tmp_path / "data.npz", digits, x=x, y=y)
        refused(self.audit(model, path), capsys)

    def test_tables_that_cannot_be_judged(self, answers: Path, tmp_path: Path, capsys: Any) -> None:
        frame = pd.read_csv(answers)
        command = ["bias", "bad.csv", "--y", "hired", "--by", "sex", "--out", "out"]
        for change, option in (
            (frame.drop(columns="sex"), ["--pred", "pred"]),
            (frame, ["--pred", "score"]),
            (frame, []),
            (frame.assign(pred=np.nan), ["--pred", "pred"]),
            (frame.assign(hired=np.nan), ["--pred", "pred"]),
            (frame.assign(score=frame.score * 3), ["--score", "score", "--threshold", "0.5"]),
            (frame.assign(pred="maybe"), ["--pred", "pred"]),
            (frame[:0], ["--pred", "pred"]),
        ):
            change.to_csv(tmp_path / "bad.csv", index=False)
            refused([*command, *option], capsys)
        (tmp_path / "bad.csv").write_bytes(b"\xff\xfe\x00")
        refused([*command, "--pred", "pred"], capsys)
        with gzip.open(tmp_path / "bad.csv.gz", "wb") as file:
            file.write(b"")
        refused(["bias", "bad.csv.gz", "--y", "hired", "--pred", "pred", "--by", "sex"], capsys)

    def test_a_plan_that_does_not_hold_together(self, model: Path, tmp_path: Path, capsys: Any) -> None:
        raw = {"schema": "labkit.plan/1", "step": [{**reports.STEPS[0], "analysis": "predit"}]}
        (tmp_path / "p.toml").write_text(tomli_w.dumps(raw))
        assert "'predict', or one of" in refused(self.audit(model, "digits", "--plan", "p.toml"), capsys)

    def test_a_folder_with_other_things(self, model: Path, tmp_path: Path, capsys: Any) -> None:
        (tmp_path / "mine").mkdir()
        (tmp_path / "mine" / "thesis.txt").write_text("x")
        refused(["audit", model, "--data", "digits", "--out", "mine"], capsys)
        assert [p.name for p in (tmp_path / "mine").iterdir()] == ["thesis.txt"]

    def test_words_that_are_no_command(self, capsys: Any) -> None:
        assert cli.run(["audi"]) == 2 and cli.run(["bias"]) == 2 and cli.run(["audit", "--rows", "many"]) == 2
        assert "Traceback" not in capsys.readouterr().err


def test_the_process_exits_with_the_same_codes(tmp_path: Path) -> None:
    def code(*arguments: str) -> int:
        command = [sys.executable, "-m", "labkit", *arguments]
        return subprocess.run(command, check=False, capture_output=True, cwd=tmp_path).returncode

    assert (code("--version"), code("verify", "absent")) == (0, 2)


class TestLab:
    def test_it_opens_the_first_notebook_on_loopback(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        ran: dict[str, Any] = {}

        def run(command: list[str], **options: Any) -> Any:
            ran.update(options, command=command)
            return subprocess.CompletedProcess(command, 0)

        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(jupyter.subprocess, "run", run)
        monkeypatch.setattr(jupyter.Path, "home", lambda: tmp_path / "home")
        for name in ("JUPYTERLAB_SETTINGS_DIR", "JUPYTER_CONFIG_DIR", "XDG_CACHE_HOME"):
            monkeypatch.delenv(name, raising=False)
        assert cli.run(["lab", "--no-browser"]) == 0
        command = ran["command"]
        assert "--ServerApp.ip=127.0.0.1" in command and command[-1] == "--no-browser"
        path = next(c for c in command if "default_url" in c).partition("/lab/tree/")[2]
        assert (ran["cwd"] / path).is_file()
        settings = Path(ran["env"]["JUPYTERLAB_SETTINGS_DIR"])
        news = settings / "@jupyterlab/apputils-extension/notification.jupyterlab-settings"
        assert json.loads(news.read_text())["fetchNews"] == "false"

    def test_own_settings_are_left_alone(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("JUPYTERLAB_SETTINGS_DIR", raising=False)
        monkeypatch.setenv("JUPYTER_CONFIG_DIR", str(tmp_path))
        (tmp_path / "lab" / "user-settings").mkdir(parents=True)
        assert jupyter.settings() == {}


def test_evidence_does_not_depend_on_the_number_of_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    """K06: one thread unless told otherwise; training takes all."""
    for arguments, given, wanted in ((["audit"], None, "1"), (["audit"], "8", "8"), (["train", "x"], None, None)):
        monkeypatch.setattr(cli, "run", lambda arguments: 0)
        monkeypatch.setattr("signal.signal", lambda *given: None)
        monkeypatch.setattr(cli.sys, "argv", ["labkit", *arguments])
        monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
        if given:
            monkeypatch.setenv("OMP_NUM_THREADS", given)
        with pytest.raises(SystemExit) as left:
            cli.main()
        assert left.value.code == 0 and cli.os.environ.get("OMP_NUM_THREADS") == wanted
