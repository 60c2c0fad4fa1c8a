"""Is a report still what was written? Recomputes every digest and names what was changed, and where."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from labkit.core import store
from labkit.core.refused import Refused
from labkit.report import evidence as ev
from labkit.report.folder import AUDIT, MANIFEST

if TYPE_CHECKING:
    from labkit.report.audit import Report

SCHEMA = "labkit.manifest/1"


@dataclass(frozen=True, repr=False)
class Verification:
    """What ``verify`` found.

    Attributes:
        files: how many files were compared, the manifest among them.
        sha256: of the manifest's content: to be kept elsewhere, since who can write the folder can also write a new
            manifest.
        changes: one line for each changed, missing or added file. None is intact.
    """

    files: int
    sha256: str
    changes: tuple[str, ...] = ()

    @property
    def intact(self) -> bool:
        return not self.changes

    def __str__(self) -> str:
        if self.intact:
            return f"intact: {self.files} files are what was written (manifest {self.sha256})"
        return "not intact:\n" + "\n".join(f"  {change}" for change in self.changes)

    __repr__ = __str__


def manifest(report: Report, content: Mapping[str, bytes]) -> bytes:
    """The bytes of ``manifest.json``: what was audited, by which plan, and the digest of every file and its parts."""
    files = {name: {"sha256": ev.sha256(data), "parts": _parts(name, data)} for name, data in content.items()}
    document = {**report.identity, "schema": SCHEMA, "files": files}
    return ev.dump({**document, "sha256": ev.sha256(ev.dump(ev.plain(document)))})


def verify(folder: str | os.PathLike[str]) -> Verification:
    """Compare every file of a report with its manifest.

    Raises:
        Refused: a folder that holds no finished report.
    """
    root = Path(folder)
    asked = f"verifying {folder}"
    if not root.is_dir():
        raise Refused(asked, "a file" if root.exists() else "no such folder", "the folder that labkit audit wrote")
    path = root / MANIFEST
    if not path.is_file():
        unfinished = (root / AUDIT).is_file()
        given = "an audit that did not finish" if unfinished else f"a folder without {MANIFEST}"
        raise Refused(asked, given, "the audit's command once more, which goes on" if unfinished else "a report")
    data = path.read_bytes()
    stated, changed = _read(data)
    if changed:
        return Verification(1, ev.sha256(data), (f"{MANIFEST}: {changed}",))
    found = {p.relative_to(root).as_posix(): p.read_bytes() for p in sorted(root.rglob("*")) if p.is_file()}
    del found[MANIFEST]
    changes = []
    for name, entry in stated["files"].items():
        if name not in found:
            changes.append(f"{name}: is missing")
        elif ev.sha256(found[name]) != entry["sha256"]:
            changes.append(f"{name}: {_where(name, found[name], entry['parts'])}")
    changes += [f"{name}: was added" for name in found if name not in stated["files"]]
    return Verification(len(stated["files"]) + 1, stated["sha256"], tuple(changes))


def _read(data: bytes) -> tuple[dict[str, Any], str]:
    """The manifest, and what is wrong with it."""
    try:
        document = json.loads(data)
        rest = {k: v for k, v in document.items() if k != "sha256"}
        if document["schema"] != SCHEMA:
            return {}, f"its schema is not {SCHEMA}"
        if ev.sha256(ev.dump(rest)) != document["sha256"] or ev.dump(document) != data:
            return {}, "was changed, so the other files cannot be compared"
        return document, ""
    except (ValueError, KeyError, TypeError, AttributeError):
        return {}, "cannot be read, so the other files cannot be compared"


def _parts(name: str, data: bytes) -> dict[str, str]:
    """A digest for each part of a file that has parts: entries of JSON, sections of the page."""
    if name.endswith(".json"):
        return ev.parts(json.loads(data))
    if name.endswith(".html"):
        pieces = re.split(rb'(?=<section id="[^"]*")', data)
        return {_section(piece): ev.sha256(piece) for piece in pieces}
    return {}


def _section(piece: bytes) -> str:
    match = re.match(rb'<section id="([^"]*)"', piece)
    return f"section {match[1].decode(errors='replace')}" if match else "head"


def _where(name: str, data: bytes, stated: Mapping[str, str]) -> str:
    """Which part of a changed file was changed, as far as can be told."""
    if name.endswith(".lk"):
        try:
            store.loads(data, name)
        except Refused as refused:
            return refused.given
        return "its container was changed, no number in it was"
    try:
        now = _parts(name, data)
    except ValueError:
        return "was changed and cannot be read any more"
    differing = [p for p in {**stated, **now} if now.get(p) != stated.get(p)]
    return f"changed in {', '.join(differing)}" if differing else "was changed"
