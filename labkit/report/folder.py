"""A report's folder: what stands where, written so that a kill at any moment leaves whole files and nothing else."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from labkit.core import store
from labkit.core.refused import Refused
from labkit.report import evidence as ev
from labkit.report.evidence import Outcome, slug
from labkit.report.plan import Plan, Step

AUDIT, PLAN, TIMES, MANIFEST, PAGE = "audit.json", "plan.toml", "times.json", "manifest.json", "index.html"
FILES = (AUDIT, PLAN, TIMES, MANIFEST, PAGE)
FOLDERS = ("evidence", "records", "figures", "tables")


class Folder:
    """The folder of one audit.

    Args:
        path: an empty or missing folder, or that of an earlier audit.

    Raises:
        Refused: a folder that holds something else.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.root = store.as_folder(Path(path).resolve())
        asked = f"a report in {path}"
        strange = sorted(self._names() - {*FILES, *FOLDERS})
        if strange or (self._names() and AUDIT not in self._names()):
            given = f"a folder that holds other things ({', '.join(strange or sorted(self._names()))[:80]})"
            raise Refused(asked, given, "an empty folder, or that of an earlier audit")
        self.times: dict[str, Any] = {}

    def _names(self) -> set[str]:
        """What stands in the folder, but for the temporary files that a kill may leave."""
        if not self.root.exists():
            return set()
        return {p.name for p in self.root.iterdir() if not p.name.startswith(".")}

    def begin(self, identity: Mapping[str, Any], plan: Plan, started: str) -> bool:
        """Start an audit, or go on with it when the folder holds the same one. Says whether it goes on.

        The plan, its hash among the ``identity``, is written before any step runs.
        """
        wanted = ev.dump(ev.plain(identity))
        same = self._read(AUDIT) == wanted and self._read(PLAN) == plan.text.encode()
        if not same:
            self._clear()
            self.write(AUDIT, wanted)
            self.write(PLAN, plan.text.encode())
        self._drop_temporary()
        (self.root / MANIFEST).unlink(missing_ok=True)
        kept = json.loads(self._read(TIMES) or b"null") if same else None
        self.times = kept or {"schema": "labkit.times/1", "started": started, "steps": {}}
        return same

    def write(self, relative: str, data: bytes) -> None:
        """Write one file of the report. Refused when the path would leave the folder."""
        target = (self.root / relative).resolve()
        if not target.is_relative_to(self.root) or target == self.root:
            raise Refused(f"writing {relative!r}", "a path outside the report's folder", "a path inside it")
        store.write_atomic(target, data)

    def put(self, plan: Plan, subject: Mapping[str, Any], outcome: Outcome) -> None:
        """Keep an outcome: its record and table first, its times, and last the evidence that makes it count."""
        files = self._artifacts(outcome)
        for path, data in files.items():
            self.write(path, data)
        self.times["steps"][outcome.id] = {
            "started": outcome.started,
            "seconds": outcome.seconds,
            "took": dict(outcome.took),
        }
        self.write(TIMES, ev.dump(self.times))
        self.write(_path("evidence", outcome, "json"), ev.dump(ev.evidence(plan, subject, outcome, files)))

    def get(self, plan: Plan, subject: Mapping[str, Any], step: Step) -> Outcome | None:
        """The outcome that an earlier, interrupted run of this audit kept, if it is whole."""
        name = Outcome(str(subject["name"]), step)
        try:
            document = json.loads(self._read(_path("evidence", name, "json")) or b"null")
            if document is None:
                return None
            stored = document["record"]
            record = store.load(self.root / _path("records", name, "lk")) if stored else None
            found = tuple(ev.finding(f) for f in document["findings"])
            times = self.times["steps"].get(name.id, {})
            kept = Outcome(name.subject, step, record, "" if record else document["reason"], found, **times)
            whole = ev.evidence(plan, subject, kept, self._artifacts(kept)) == document
        except (ValueError, KeyError, TypeError, Refused):
            return None
        return kept if whole else None

    def _artifacts(self, outcome: Outcome) -> dict[str, bytes]:
        import labkit as lk

        if outcome.record is None:
            return {}
        files = {_path("records", outcome, "lk"): store.dumps(outcome.record)}
        if outcome.record.status != "not_measured":
            files[_path("figures", outcome, "csv")] = ev.table(lk.rows(outcome.record))
            for name, frame in lk.views.tables(outcome.record).items():
                files[published(outcome, name)] = ev.table(frame)
        return files

    def content(self) -> dict[str, bytes]:
        """Every file of the folder by its relative path, but for the manifest."""
        found = {p.relative_to(self.root).as_posix(): p for p in sorted(self.root.rglob("*")) if p.is_file()}
        return {name: p.read_bytes() for name, p in found.items() if name != MANIFEST}

    def _read(self, relative: str) -> bytes | None:
        path = self.root / relative
        return path.read_bytes() if path.is_file() else None

    def _clear(self) -> None:
        """Remove an earlier audit. Only names that are ours are touched, and the mark that they are goes last."""
        for name in FOLDERS:
            shutil.rmtree(self.root / name, ignore_errors=True)
        for name in reversed(FILES):
            (self.root / name).unlink(missing_ok=True)

    def _drop_temporary(self) -> None:
        for path in self.root.rglob(".*.*"):
            if path.is_file():
                path.unlink()


def published(outcome: Outcome, name: str) -> str:
    """Where one of an outcome's tables to publish stands in the folder."""
    return f"tables/{slug(outcome.subject)}/{slug(outcome.step.id)}-{slug(name)}.csv"


def _path(kind: str, outcome: Outcome, suffix: str) -> str:
    return f"{kind}/{slug(outcome.subject)}/{slug(outcome.step.id)}.{suffix}"
