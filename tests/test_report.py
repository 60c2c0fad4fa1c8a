"""Audits and their reports: the same bytes each time, resumed after a kill, verified, and safe to open."""

from __future__ import annotations

import json
import re
import shutil
import signal
import subprocess
import sys
from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pandas as pd
import pytest
import reports
import tomli_w

import labkit as lk
from labkit.records.finding import Finding
from labkit.report import audit as auditing
from labkit.report import controls, plain, wording
from labkit.report import evidence as ev
from labkit.report import people as told_of_people
from labkit.report import plan as plans
from labkit.report.evidence import Outcome
from labkit.report.folder import Folder, slug

SCHEMA = json.loads((Path(lk.__file__).parent / "report" / "evidence.schema.json").read_text())


@pytest.fixture(scope="module")
def people() -> lk.data.Dataset:
    return reports.people(300)


@pytest.fixture(scope="module")
def model() -> Any:
    return reports.first_column(("no", "yes"), "first_column")


@pytest.fixture(scope="module")
def report(model: Any, people: Any) -> Any:
    return lk.audit(model, people, reports.plan())


@pytest.fixture(scope="module")
def written(model: Any, people: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report that is only read."""
    out = tmp_path_factory.mktemp("report") / "report"
    lk.audit(model, people, reports.plan(), out)
    return out


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    out = tmp_path_factory.mktemp("hostile")
    return [reports.hostile(out / "deep" / "table"), reports.hostile_text(out / "deep" / "text")]


class TestEvidence:
    def test_each_step_is_a_document_of_the_schema(self, written: Path) -> None:
        jsonschema.Draft202012Validator.check_schema(SCHEMA)
        check = jsonschema.Draft202012Validator(SCHEMA)
        found = reports.documents(written)
        assert {d["id"] for d in found.values()} == {
            *(f"first_column/{s['id']}" for s in reports.STEPS),
            "controls/controls",
        }
        for document in found.values():
            check.validate(document)
            assert document["plan"]["sha256"] == ev.sha256((written / "plan.toml").read_bytes())

    def test_the_schema_refuses_what_evidence_is_not(self, written: Path) -> None:
        document = json.loads((written / "evidence/first_column/groups.json").read_text())
        check = jsonschema.Draft202012Validator(SCHEMA)
        for change in (
            {"status": "safe"},
            {"status": "not_measured", "reason": ""},
            {"score": 97},
            {"findings": [{**document["findings"][0], "finding": "compliant"}]},
            {"subject": {"name": "x", "model": {"sha256": "short"}}},
        ):
            assert not check.is_valid({**document, **change}), change

    def test_it_says_what_the_record_and_the_checks_say(self, written: Path) -> None:
        document = json.loads((written / "evidence/first_column/groups.json").read_text())
        record = lk.load(written / "records/first_column/groups.lk")
        assert document["record"] == {"kind": "audit_groups", "digest": record.digest}
        again = lk.check(record, thresholds={"four_fifths": {"ratio": 0.8}})
        assert [ev.finding(f) for f in document["findings"]] == [
            ev.finding(f) for f in ev.evidence(reports.plan(), {"name": "first_column"}, made(again), {})["findings"]
        ]
        assert document["says"] == lk.says(record)
        criterion = next(f["criterion"] for f in document["findings"] if f["check"] == "four_fifths")
        assert criterion["why"] == "a rule of thumb" and criterion["thresholds"]["ratio"] == 0.8

    def test_the_table_beside_it_is_the_records(self, written: Path) -> None:
        table = pd.read_csv(written / "figures/first_column/gap.csv")
        record = lk.load(written / "records/first_column/gap.lk")
        assert table.shape == lk.rows(record).shape and list(table) == list(lk.rows(record))

    def test_no_time_of_day_stands_in_it(self, written: Path) -> None:
        times = json.loads((written / "times.json").read_text())
        assert set(times["steps"]) == {d["id"] for d in reports.documents(written).values()}
        for name, data in reports.lasting(written).items():
            assert times["started"].encode() not in data, name

    def test_two_runs_write_the_same_bytes(self, written: Path, model: Any, people: Any, tmp_path: Path) -> None:
        lk.audit(model, people, reports.plan(), tmp_path / "again")
        assert reports.lasting(tmp_path / "again") == reports.lasting(written)

    def test_a_report_kept_in_memory_writes_the_same(self, report: Any, written: Path, tmp_path: Path) -> None:
        page = report.write(tmp_path / "out")
        assert page == (tmp_path / "out" / "index.html").resolve()
        assert reports.lasting(tmp_path / "out") == reports.lasting(written)

    def test_another_threshold_is_another_plan_and_finding(self, model: Any, people: Any, report: Any) -> None:
        strict = reports.plan(criterion=[{"check": "four_fifths", "why": "w", "thresholds": {"ratio": 1.0}}])
        assert strict.sha256 != report.plan.sha256
        says = [f.thresholds["ratio"] for f in lk.audit(model, people, strict).findings if f.check == "four_fifths"]
        assert says == [1.0]


def made(findings: tuple[Finding, ...]) -> Outcome:
    step = next(s for s in reports.plan().steps if s.id == "groups")
    return Outcome("first_column", step, None, "x", findings)


class TestNotMeasured:
    def test_what_cannot_be_measured_says_what_it_would_take(self, people: Any, model: Any) -> None:
        predictions = lk.predict(model, people.test)
        report = lk.audit(predictions, plan=reports.plan())
        outcomes = {o.step.id: o for o in report.outcomes}
        assert outcomes["groups"].status == "measured"
        for step in ("gap", "saliency"):
            assert outcomes[step].status == "not_measured" and "It would take" in outcomes[step].reason

    def test_data_without_groups_are_told(self, mlp: Any, digits: Any) -> None:
        plan = reports.plan(step=[reports.STEPS[1]], criterion=[])
        (outcome,) = lk.audit(mlp, digits, plan).outcomes
        assert outcome.says.startswith("Not measured because of data that names no sensitive feature")

    def test_the_page_lists_the_gaps_and_what_the_plan_never_asked(
        self, model: Any, people: Any, tmp_path: Path
    ) -> None:
        predictions = lk.predict(model, people.test)
        lk.audit(predictions, plan=reports.plan(), out=tmp_path / "r")
        page = (tmp_path / "r" / "index.html").read_text("utf-8")
        untested = page[page.index('<section id="untested"') : page.index('<section id="controls"')]
        assert "What is used?" in untested and "The weather" in untested and "Nobody asked" not in untested

    def test_input_that_the_model_cannot_answer_writes_nothing(self, people: Any, tmp_path: Path) -> None:
        import torch
        from torch import nn

        class Broken(nn.Module):
            def forward(self, x: torch.Tensor) -> torch.Tensor:
                return torch.where(x[:, :1] > 0.99, float("nan"), x[:, :2])

        with pytest.raises(lk.Refused, match="NaN"):
            lk.audit(lk.wrap(Broken(), classes=("no", "yes")), people, reports.plan(), tmp_path / "r")
        assert list(tmp_path.iterdir()) == []


class TestControls:
    def test_every_control_works(self) -> None:
        found = [f for plan in ("bias", "generalize") for f in controls.run(plans.load(plan))]
        assert {f.check for f in found} == {c.check for c in controls.CONTROLS} and len(found) >= 24
        assert {f.status for f in found} == {"meets"}, [f.says for f in found]

    def test_only_those_are_run_whose_analysis_is_asked_for(self) -> None:
        asked = {step.analysis for step in reports.plan().steps}
        found = {f.check for f in controls.run(reports.plan())}
        assert found == {c.check for c in controls.CONTROLS if c.analysis in asked | {""}}
        assert "equalized_odds" in found and "proxied_groups" not in found

    @pytest.mark.parametrize("blind", ["meets", "does_not_meet"])
    def test_a_check_that_always_says_the_same_is_caught(self, blind: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        answer = (Finding(check="four_fifths", status=blind, says="always"),)
        monkeypatch.setattr(lk, "check", lambda *a, **k: answer, raising=False)
        assert {f.status for f in controls.run(reports.plan())} == {"does_not_meet"}

    def test_a_failed_control_is_the_first_thing_said(self, report: Any) -> None:
        from dataclasses import replace

        failed = (Finding(check="four_fifths", status="does_not_meet", says="missed"),)
        broken = replace(report, controls=replace(report.controls, findings=failed))
        assert plain.summary(broken).todo == ("Do not rely on this report: a test failed on its planted control.",)


RUN = """
import os, signal, sys
sys.path.insert(0, sys.argv[1])
import torch; torch.set_num_threads(1)
import reports
import labkit as lk
from labkit.core import store
left, write = [int(sys.argv[3])], store.write_atomic
def counted(path, content):
    left[0] -= 1
    if left[0] < 0:
        open(os.path.join(sys.argv[2], ".torn.tmp"), "w").write("half")
        os.kill(os.getpid(), signal.SIGKILL)
    return write(path, content)
store.write_atomic = counted
os.makedirs(sys.argv[2], exist_ok=True)
lk.audit(reports.first_column(("no", "yes"), "first_column"), reports.people(300), reports.plan(), sys.argv[2])
"""


class TestResume:
    def test_killed_twice_it_ends_with_the_same_bytes(
        self, written: Path, model: Any, people: Any, tmp_path: Path
    ) -> None:
        """K05: SIGKILL between a step's record and its evidence, and again later; then the same call, to the end."""
        out = tmp_path / "report"
        for writes in (4, 10):
            code = [sys.executable, "-c", RUN, str(Path(__file__).parent), str(out), str(writes)]
            ran = subprocess.run(code, check=False, capture_output=True, text=True)
            assert ran.returncode == -signal.SIGKILL, ran.stderr
            with pytest.raises(lk.Refused, match="did not finish"):
                lk.verify(out)
        seen: list[tuple[str, bool]] = []
        lk.audit(model, people, reports.plan(), out, listen=lambda what, o: seen.append((what, o is None)))
        begun = sum(started for _, started in seen)
        assert begun < len(reports.STEPS) + 1, "nothing was kept"
        assert reports.lasting(out) == reports.lasting(written) and lk.verify(out).intact

    def test_a_finished_audit_runs_nothing_again(self, written: Path, model: Any, people: Any, tmp_path: Path) -> None:
        shutil.copytree(written, tmp_path / "r")
        begun: list[str] = []
        lk.audit(model, people, reports.plan(), tmp_path / "r", listen=lambda what, o: o or begun.append(what))
        assert begun == [] and reports.lasting(tmp_path / "r") == reports.lasting(written)

    def test_evidence_that_was_changed_is_measured_again(
        self, written: Path, model: Any, people: Any, tmp_path: Path
    ) -> None:
        shutil.copytree(written, tmp_path / "r")
        changed = tmp_path / "r/evidence/first_column/gap.json"
        changed.write_bytes(changed.read_bytes().replace(b'"estimate": ', b'"estimate": 1'))
        (tmp_path / "r/records/first_column/groups.lk").write_bytes(b"half a file")
        begun: list[str] = []
        lk.audit(model, people, reports.plan(), tmp_path / "r", listen=lambda what, o: o or begun.append(what))
        assert begun == ["first_column: For whom?", "first_column: Memorized?"]
        assert reports.lasting(tmp_path / "r") == reports.lasting(written)

    @pytest.mark.parametrize("what", ["plan", "model", "data", "threads", "version", "nothing"])
    def test_another_audit_keeps_nothing_of_the_old_one(
        self, what: str, written: Path, model: Any, people: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """K06 among them: one seed under another number of threads is another run."""
        import torch

        shutil.copytree(written, tmp_path / "r")
        plan = reports.plan(name="another") if what == "plan" else reports.plan()
        if what == "model":
            model = reports.first_column(("no", "yes"), "another")
        if what == "data":
            people = reports.people(299)
        if what == "version":
            monkeypatch.setattr(lk, "__version__", "9.9")
        if what == "threads":
            monkeypatch.setattr(torch, "get_num_threads", lambda: 7)
        identity = auditing._identity(plan, auditing.subjects(model, people))
        assert Folder(tmp_path / "r").begin(identity, plan, "now") is (what == "nothing")
        assert (tmp_path / "r/evidence").exists() is (what == "nothing")
        assert not (tmp_path / "r/manifest.json").exists(), "an audit under way is not a finished one"

    def test_a_folder_with_other_things_is_left_alone(self, model: Any, people: Any, tmp_path: Path) -> None:
        (tmp_path / "thesis.txt").write_text("years of work")
        with pytest.raises(lk.Refused, match="other things"):
            lk.audit(model, people, reports.plan(), tmp_path)
        with pytest.raises(lk.Refused, match="a folder"):
            lk.audit(model, people, reports.plan(), tmp_path / "thesis.txt")
        assert [p.name for p in tmp_path.iterdir()] == ["thesis.txt"]


class TestVerify:
    def test_what_was_written_is_intact(self, written: Path) -> None:
        found = lk.verify(written)
        files = [p for p in written.rglob("*") if p.is_file()]
        assert found.intact and found.files == len(files) and str(found).startswith("intact")
        assert found.sha256 == json.loads((written / "manifest.json").read_text())["sha256"]

    def test_one_flipped_bit_anywhere_is_named(self, written: Path, tmp_path: Path) -> None:
        shutil.copytree(written, tmp_path / "r")
        files = sorted(p for p in (tmp_path / "r").rglob("*") if p.is_file())
        rng = np.random.default_rng(0)
        for i in range(100):
            path = files[i % len(files)]
            before = path.read_bytes()
            after = bytearray(before)
            after[int(rng.integers(len(before)))] ^= 1 << int(rng.integers(8))
            path.write_bytes(bytes(after))
            found = lk.verify(tmp_path / "r")
            name = path.relative_to(tmp_path / "r").as_posix()
            assert len(found.changes) == 1 and found.changes[0].startswith(f"{name}: "), (name, found.changes)
            path.write_bytes(before)
        assert lk.verify(tmp_path / "r").intact

    @pytest.mark.parametrize(
        ("file", "old", "new", "part"),
        [
            ("evidence/first_column/groups.json", b'"finding": "', b'"finding": "x', "findings[0]"),
            ("evidence/first_column/groups.json", b'"status": "measured"', b'"status": "missing"', "status"),
            ("index.html", b"What was not tested, and", b"What was well tested, and", "section untested"),
            ("index.html", b"</style>", b"</style> ", "head"),
            ("times.json", b'"seconds"', b'"Seconds"', "steps"),
            ("plan.toml", b"0.8", b"0.1", "was changed"),
        ],
    )
    def test_the_part_is_named(
        self, written: Path, tmp_path: Path, file: str, old: bytes, new: bytes, part: str
    ) -> None:
        shutil.copytree(written, tmp_path / "r")
        path = tmp_path / "r" / file
        assert old in path.read_bytes()
        path.write_bytes(path.read_bytes().replace(old, new, 1))
        (change,) = lk.verify(tmp_path / "r").changes
        assert change.startswith(file) and part in change

    def test_a_changed_record_names_its_array(self, written: Path, tmp_path: Path) -> None:
        import zipfile

        shutil.copytree(written, tmp_path / "r")
        path = tmp_path / "r/records/first_column/accuracy.lk"
        with zipfile.ZipFile(path) as archive:
            members = {n: archive.read(n) for n in archive.namelist()}
        members["label.npy"] = members["label.npy"][:-8] + b"\x05" + bytes(7)
        with zipfile.ZipFile(path, "w") as archive:
            for name, data in members.items():
                archive.writestr(name, data)
        assert "label.npy was changed" in lk.verify(tmp_path / "r").changes[0]

    def test_missing_and_added_files_are_named(self, written: Path, tmp_path: Path) -> None:
        shutil.copytree(written, tmp_path / "r")
        (tmp_path / "r/evidence/first_column/gap.json").unlink()
        (tmp_path / "r/evidence/first_column/extra.json").write_text("{}")
        assert lk.verify(tmp_path / "r").changes == (
            "evidence/first_column/gap.json: is missing",
            "evidence/first_column/extra.json: was added",
        )

    def test_a_changed_manifest_is_not_believed(self, written: Path, tmp_path: Path) -> None:
        shutil.copytree(written, tmp_path / "r")
        path = tmp_path / "r/manifest.json"
        document = json.loads(path.read_text())
        document["files"].pop("plan.toml")
        path.write_bytes(ev.dump(document))
        (change,) = lk.verify(tmp_path / "r").changes
        assert change.startswith("manifest.json: was changed")

    def test_what_is_no_report_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(lk.Refused, match="no such folder"):
            lk.verify(tmp_path / "absent")
        with pytest.raises(lk.Refused, match=r"without manifest\.json"):
            lk.verify(tmp_path)


class TestPage:
    def test_a_payload_in_every_field_stays_text(self, hostile: list[Path]) -> None:
        for folder in hostile:
            page = (folder / "index.html").read_text("utf-8")
            strict = reports.Strict(page)
            assert strict.found == []
            assert page.count("<style>") == page.count("</style>") == 1
            assert reports.MARK in page, "the payload is shown as the text that it is"
        policy = dict(next(a for t, a in strict.tags if t == "meta" and "http-equiv" in a))
        assert policy["content"].startswith("default-src 'none'; style-src 'unsafe-inline'; img-src data:")

    def test_a_planted_fault_would_be_seen(self, hostile: list[Path]) -> None:
        page = (hostile[0] / "index.html").read_text("utf-8")
        for planted in (reports.IMAGE, reports.BREAK, '<a href="javascript:1">x</a>', "<p onclick=1>"):
            assert reports.Strict(page.replace("<main>", "<main>" + planted, 1)).found

    def test_no_name_leads_out_of_the_folder(self, hostile: list[Path]) -> None:
        assert sorted(p.name for p in hostile[0].parent.iterdir()) == ["table", "text"]
        for name in ("../../x", "/etc/passwd", "..", "a\\b", "con\x00", "x" * 300, "", "é"):
            made = slug(name)
            assert re.fullmatch(r"[A-Za-z0-9_-]{1,60}", made), (name, made)
        assert slug("plain_name-1") == "plain_name-1" and slug("a b") != slug("a-b")

    def test_the_one_write_function_stays_inside(self, tmp_path: Path) -> None:
        folder = Folder(tmp_path / "r")
        (tmp_path / "r").mkdir()
        (tmp_path / "r" / "evidence").symlink_to(tmp_path)
        for path in ("../x", "/etc/x", "evidence/x", "a/../../x", ""):
            with pytest.raises(lk.Refused, match="outside"):
                folder.write(path, b"x")
        assert [p.name for p in tmp_path.iterdir()] == ["r"]

    def test_no_cell_of_a_table_is_a_formula(self, hostile: list[Path]) -> None:
        """S09: text that a spreadsheet would run gets a quote in front; numbers do not."""
        seen = 0
        for path in hostile[0].rglob("*.csv"):
            frame = pd.read_csv(path, dtype=str, keep_default_na=False)
            cells = [*frame.columns, *frame.to_numpy().ravel()]
            seen += sum(c.startswith("'=") for c in cells)
            assert not [c for c in cells if c.startswith(("=", "+", "@", "\t"))]
        assert seen
        table = ev.table(pd.DataFrame({"=x": ["-1+1", "b"], "n": [-1.5, 2]})).decode()
        assert table == "'=x,n\r\n'-1+1,-1.5\r\nb,2.0\r\n"

    def test_it_is_one_readable_document(self, written: Path) -> None:
        page = (written / "index.html").read_text("utf-8")
        tags = reports.Strict(page).tags
        count = Counter(t for t, _ in tags)
        assert (
            tags[0] == ("html", {"lang": "en"}) and count["h1"] == count["main"] == count["title"] - count["svg"] == 1
        )
        levels = [int(t[1]) for t, _ in tags if re.fullmatch("h[1-4]", t)]
        assert all(b - a <= 1 for a, b in pairwise(levels)), "a heading level is skipped"
        assert all("scope" in a for t, a in tags if t == "th")
        ids = [a["id"] for _, a in tags if a.get("id")]
        assert len(ids) == len(set(ids))
        targets = {a["href"][1:] for t, a in tags if t == "a" and a["href"]}
        assert targets <= set(ids)
        assert all(a.get("role") == "img" and a.get("aria-labelledby") for t, a in tags if t == "svg")
        assert count["svg"] == len(reports.STEPS) and "No static picture" not in page

    def test_the_plain_page_is_short_and_claims_nothing(self, report: Any, written: Path) -> None:
        summary = plain.summary(report)
        assert summary.words <= plain.WORDS
        assert any("of 100 new cases" in s for s in summary.found) and any("sex" in s for s in summary.found)
        page = (written / "index.html").read_text("utf-8").lower()
        for word in ("compliant", "unbiased", "certified fair", "is safe", "guarantee"):
            assert word not in page

    def test_a_long_plan_is_cut_to_the_page_and_not_the_page_to_it(self, report: Any) -> None:
        from dataclasses import replace

        many = replace(report, outcomes=report.outcomes * 30)
        assert plain.summary(many).words <= plain.WORDS

    def test_natural_frequencies_are_right(self) -> None:
        # Wilson, 1927: the p with |71/100 - p| = 1.96 sqrt(p (1 - p) / 100)
        grid = np.linspace(0, 1, 100_001)
        inside = grid[np.abs(0.71 - grid) <= 1.959964 * np.sqrt(grid * (1 - grid) / 100)]
        assert told_of_people.of_100(71, 100) == f"71 ({100 * inside.min():.0f} to {100 * inside.max():.0f})"
        assert told_of_people.of_100(0, 0) == "an unknown number"

    def test_every_status_has_words_and_a_shape(self) -> None:
        from typing import get_args

        from labkit.records.finding import SHAPES, FindingStatus

        assert set(wording.FINDINGS) == set(SHAPES) == set(get_args(FindingStatus))
        assert len(set(SHAPES.values())) == len(SHAPES)

    def test_numbers_in_cells(self) -> None:
        from labkit.report.html import cell, number

        assert [cell(v) for v in (None, float("nan"), True, np.int64(12345), 0.98765, "x" * 200)][:5] == [
            "–",
            "–",
            "yes",
            "12,345",
            "0.988",
        ]
        assert [number(v) for v in (0.0, 1.0, 1234.5, -0.25, 1e-9, 100.0, float("inf"))] == [
            "0",
            "1",
            "1,234",
            "−0.25",
            "1e−09",
            "100",
            "∞",
        ]


class TestPlan:
    def test_own_plans_hold_together(self) -> None:
        for name in plans.names():
            plan = plans.load(name)
            assert plan.steps and plan.name == name
            for criterion in plan.criteria:
                assert len(criterion.why) > 20

    def test_its_hash_is_that_of_the_file(self, written: Path) -> None:
        import hashlib

        data = (written / "plan.toml").read_bytes()
        assert hashlib.sha256(data).hexdigest() == reports.plan().sha256

    def test_fewer_rows_are_another_plan(self) -> None:
        whole, part = plans.load(), plans.load(rows=50)
        assert whole.sha256 != part.sha256 and all(0 < s.rows <= 50 for s in part.steps)
        assert [s.id for s in part.steps] == [s.id for s in whole.steps]

    @pytest.mark.parametrize(
        ("change", "found"),
        [
            ({"stepp": []}, "'step', or one of"),
            ({"schema": "labkit.plan/9"}, "labkit.plan/1"),
            ({"step": []}, "no steps"),
            ({"step": [{**reports.STEPS[0], "analysis": "predickt"}]}, "'predict', or one of"),
            ({"step": [{**reports.STEPS[0], "section": "perfomance"}]}, "'performance', or one of"),
            ({"step": [{**reports.STEPS[0], "split": "valid"}]}, "one of: test, train"),
            ({"step": [{**reports.STEPS[0], "row": 3}]}, "'rows', or one of"),
            ({"step": [{**reports.STEPS[0], "rows": -1}]}, "0 for all rows"),
            ({"step": [{**reports.STEPS[0], "rows": "all"}]}, "type int"),
            ({"step": [{**reports.STEPS[0], "id": "../x"}]}, "letters, digits"),
            ({"step": [reports.STEPS[0], reports.STEPS[0]]}, "stands twice"),
            ({"step": [{"id": "x", "section": "groups", "question": "?"}]}, "analysis"),
            ({"step": [{**reports.STEPS[1], "options": {}}]}, "no option 'metrics'"),
            ({"step": [{**reports.STEPS[1], "options": {"metrics": ["acuracy"]}}]}, "'accuracy', or one of"),
            ({"step": [{**reports.STEPS[3], "options": {"method": "salency"}}]}, "'saliency', or one of"),
            (
                {"step": [{**reports.STEPS[3], "options": {"method": "smoothgrad", "tune": {"sampels": 3}}}]},
                "'samples', or one of",
            ),
            ({"criterion": [{"check": "four_fifth", "why": "w"}]}, "'four_fifths', or one of"),
            ({"criterion": [{"check": "four_fifths"}]}, "no 'why'"),
            ({"criterion": [{"check": "four_fifths", "why": "w", "thresholds": {"ratoi": 1}}]}, "'ratio', or one of"),
            ({"criterion": [{"check": "four_fifths", "why": "w", "thresholds": {"ratio": 9}}]}, "from 0.5 to 1"),
            ({"about": {"owners": "x"}}, "'owner', or one of"),
            ({"seed": "x"}, "type int"),
        ],
    )
    def test_a_plan_that_does_not_hold_together_is_refused(self, change: dict[str, Any], found: str) -> None:
        with pytest.raises(lk.Refused, match=re.escape(found)):
            reports.plan(**change)

    def test_files_that_are_no_plans_are_refused(self, tmp_path: Path) -> None:
        with pytest.raises(lk.Refused, match="'default', or one of"):
            plans.load("defualt")
        with pytest.raises(lk.Refused, match="no such file"):
            plans.load(tmp_path / "absent.toml")
        (tmp_path / "p.toml").write_text("= 3")
        with pytest.raises(lk.Refused, match="not TOML"):
            plans.load(tmp_path / "p.toml")
        (tmp_path / "p.toml").write_bytes(b"\xff\xfe")
        with pytest.raises(lk.Refused, match="UTF-8"):
            plans.load(tmp_path / "p.toml")
        (tmp_path / "p.toml").write_text(tomli_w.dumps({"schema": "labkit.plan/1", "step": [3]}))
        with pytest.raises(lk.Refused, match="under"):
            plans.load(tmp_path / "p.toml")


class TestSubjects:
    def test_two_models_of_one_name_are_kept_apart(self, model: Any, people: Any) -> None:
        small = reports.plan(step=[reports.STEPS[0]], criterion=[])
        report = lk.audit([model, model], people, small)
        assert [s["name"] for s in report.subjects] == ["first_column", "first_column (2)"]
        assert len(report.outcomes) == 2

    @pytest.mark.parametrize(
        ("models", "data", "found"),
        [
            ("fashion_cn", None, "reference model"),
            ([], None, "no models"),
            (3, None, "a int"),
        ],
    )
    def test_what_is_no_model_is_refused(self, models: Any, data: Any, found: str) -> None:
        with pytest.raises(lk.Refused, match=found):
            lk.audit(models, data, reports.plan())

    def test_a_model_without_its_data_is_refused(self, model: Any, people: Any, digits: Any) -> None:
        with pytest.raises(lk.Refused, match="no data"):
            lk.audit(model, None, reports.plan())
        with pytest.raises(lk.Refused, match="Split"):
            lk.audit(model, people.test, reports.plan())
        with pytest.raises(lk.Refused, match="classes"):
            lk.audit(model, digits, reports.plan())


def test_agreement_is_a_rank_correlation_on_the_support(mlp: Any, digits: Any) -> None:
    from scipy.stats import spearmanr

    steps = [{**reports.STEPS[3], "id": m, "options": {"method": m}} for m in ("saliency", "input_x_gradient")]
    report = lk.audit(mlp, digits, reports.plan(step=steps, criterion=[]))
    (found,) = report.outcomes[-1].findings
    a, b = (np.abs(o.record.attribution) for o in report.outcomes[:2])
    x, start = report.outcomes[0].record.x, report.outcomes[0].record.baseline
    by_hand = [spearmanr(a[i][x[i] != start[i]], b[i][x[i] != start[i]]).statistic for i in range(len(a))]
    assert found.estimate == pytest.approx(np.mean(by_hand)) and found.n == 3
    assert auditing.AGREEMENT.id == report.outcomes[-1].step.id
