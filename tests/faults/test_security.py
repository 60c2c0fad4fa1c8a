"""S: what others put into names, texts and files, and whether it runs. Each fault has its sound twin."""

from __future__ import annotations

import io
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import pytest
import reports
import torch

import labkit as lk
from labkit.core import store
from labkit.report import evidence as ev
from labkit.report.folder import Folder
from labkit.views._static import svg


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return reports.hostile(tmp_path_factory.mktemp("s") / "report")


class TestS01CodeInFiles:
    def test_fault(self, tmp_path: Path) -> None:
        """A pickle under every name that a model or a record may have is refused, and nothing of it runs."""

        class Planted:
            def __reduce__(self) -> Any:
                return Path.touch, (tmp_path / "ran",)

        torch.save({"w": Planted()}, tmp_path / "m.pt")
        np.save(tmp_path / "m.npy", np.array([Planted()], object), allow_pickle=True)
        for name in ("m.safetensors", "m.bin", "m.ckpt", "m.lk"):
            (tmp_path / name).write_bytes((tmp_path / "m.pt").read_bytes())
        for path in sorted(tmp_path.iterdir()):
            with pytest.raises(lk.Refused):
                (lk.load if path.suffix in (".lk", ".npy") else lk.open)(path)
        assert not (tmp_path / "ran").exists()

    def test_twin(self, mlp: Any, digits: Any, tmp_path: Path) -> None:
        made = lk.predict(mlp, digits.test[:5])
        assert lk.load(lk.save(made, tmp_path / "p.lk")).digest == made.digest


class TestS03TextInFigures:
    LABELS = (reports.IMAGE, reports.BREAK, '<a href="javascript:window.__payload=1">x</a>', reports.QUOTE)

    def figure(self, labels: tuple[str, ...]) -> go.Figure:
        made = go.Figure(go.Bar(x=labels, y=list(range(len(labels))), name=labels[0], text=labels, hovertext=labels))
        made.add_scatter(x=labels, y=[1] * len(labels), mode="text", text=labels, name=labels[-1])
        made.update_layout(
            title=labels[0], xaxis_title=labels[1], annotations=[{"text": t, "x": 0, "y": 1} for t in labels]
        )
        return made

    def test_fault(self) -> None:
        """Tags in labels, titles, legends and annotations of a figure are drawn as the text that they are."""
        picture = svg(self.figure(self.LABELS), name=reports.QUOTE + "f", describe=reports.BREAK)
        strict = reports.Strict(picture)
        assert strict.found == [] and "&lt;img src=x" in picture
        assert {t for t, _ in strict.tags} <= {
            "svg",
            "title",
            "desc",
            "defs",
            "clippath",
            "rect",
            "g",
            "path",
            "text",
            "use",
        }

    def test_twin(self) -> None:
        picture = svg(self.figure(("one", "two", "three")), name="f")
        assert reports.Strict(picture).found == [] and ">three<" in picture


class TestS05WordsAndClassNames:
    def test_fault(self, tmp_path: Path) -> None:
        """A word, a class or a model whose name is a tag: shown in the report's figures and tables, never run."""
        page = (reports.hostile_text(tmp_path / "r") / "index.html").read_text("utf-8")
        assert reports.Strict(page).found == [] and "&lt;img src=x onerror=" in page

    def test_twin(self, tmp_path: Path) -> None:
        words = ("good", "bad", "film", "plot", "cast")
        data = reports.sentences(words, ("neg", "pos"), "films")
        torch.manual_seed(0)
        model = lk.wrap(reports.Words(7), classes=("neg", "pos"), embedding="words", name="reader")
        lk.audit(model, data, reports.plan(), tmp_path / "r")
        page = (tmp_path / "r/index.html").read_text("utf-8")
        assert reports.Strict(page).found == [] and "film" in page


class TestS06ExportedPages:
    def test_fault(self, hostile: Path) -> None:
        """The exported page holds no script, no handler, no link that runs, and its policy forbids all three."""
        page = (hostile / "index.html").read_text("utf-8")
        strict = reports.Strict(page)
        assert strict.found == []
        policy = next(a["content"] for t, a in strict.tags if t == "meta" and "http-equiv" in a)
        assert policy and "default-src 'none'" in policy and "script-src" not in policy and "unsafe-eval" not in policy
        assert page.index("Content-Security-Policy") < page.index("<title>"), "nothing stands before the policy"

    def test_twin(self, tmp_path: Path) -> None:
        lk.audit(reports.first_column(("no", "yes"), "m"), reports.people(200), reports.plan(), tmp_path / "r")
        page = (tmp_path / "r/index.html").read_text("utf-8")
        assert reports.Strict(page).found == [] and "first" in page


class TestS09Formulas:
    FORMULAS = ("=1+1", "+1", "-1+cmd|' /C calc'!A0", "@SUM(A1)", "\t=1", "\r=1")

    def test_fault(self) -> None:
        table = ev.table(pd.DataFrame({f: [f, "x"] for f in self.FORMULAS}))
        frame = pd.read_csv(io.BytesIO(table), dtype=str, keep_default_na=False)
        for cell in (*frame.columns, *frame.iloc[0]):
            assert cell.startswith("'"), cell

    def test_twin(self) -> None:
        frame = pd.DataFrame({"n": [-1.5, 2.0], "k": [-3, 4], "group": ["women", "a=b"]})
        assert ev.table(frame).decode() == "n,k,group\r\n-1.5,-3,women\r\n2.0,4,a=b\r\n"


class TestS10Archives:
    def test_fault(self, tmp_path: Path) -> None:
        """A record is an archive that is never unpacked to disk: names that lead out, and bombs, are refused."""
        inside = tmp_path / "in"
        inside.mkdir()
        with zipfile.ZipFile(inside / "a.lk", "w") as archive:
            archive.writestr("../../escaped", "x")
        with tarfile.open(inside / "b.lk", "w") as tar:
            member = tarfile.TarInfo("../../escaped")
            member.size = 1
            tar.addfile(member, io.BytesIO(b"x"))
        for path in inside.iterdir():
            with pytest.raises(lk.Refused):
                lk.load(path)
        assert [p.name for p in tmp_path.iterdir()] == ["in"]

    def test_a_bomb(self, monkeypatch: pytest.MonkeyPatch) -> None:
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("record.json", bytes(5_000_000))
        monkeypatch.setattr(store, "LIMIT", 1_000_000)
        with pytest.raises(lk.Refused, match="when unpacked"):
            store.loads(buffer.getvalue())

    def test_twin(self, mlp: Any, digits: Any) -> None:
        made = lk.predict(mlp, digits.test[:5])
        assert store.loads(store.dumps(made)).digest == made.digest


class TestS11NamesAsPaths:
    def test_fault(self, hostile: Path) -> None:
        """A model, a class or a data set called ``../../outside`` writes nothing outside the report's folder."""
        assert [p.name for p in hostile.parent.iterdir()] == ["report"]
        assert all(p.resolve().is_relative_to(hostile.resolve()) for p in hostile.rglob("*"))
        with pytest.raises(lk.Refused, match="outside"):
            Folder(hostile).write("records/../../outside", b"x")

    def test_twin(self, tmp_path: Path) -> None:
        folder = Folder(tmp_path / "r")
        folder.write("records/model/accuracy.lk", b"x")
        assert (tmp_path / "r/records/model/accuracy.lk").read_bytes() == b"x"


class TestSecrets:
    def test_neither_home_nor_environment_stand_in_a_report(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Planted: a key in the environment, a home folder, a host's name."""
        import getpass
        import socket

        monkeypatch.setenv("PLANTED_TOKEN", "AKIAPLANTED0SECRET")
        lk.audit(reports.first_column(("no", "yes"), "m"), reports.people(200), reports.plan(), tmp_path / "r")
        private = ["AKIAPLANTED0SECRET", str(tmp_path), str(Path.home()) + "/", socket.gethostname()]
        private += [getpass.getuser()] if len(getpass.getuser()) > 5 else []
        for path in (p for p in (tmp_path / "r").rglob("*") if p.is_file()):
            data = path.read_bytes()
            assert not [s for s in private if s.encode() in data], path.name
