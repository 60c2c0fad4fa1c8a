"""How often each test set was scored, and by how many different models.

A test set that chose among many models no longer says what the chosen one is worth. Nothing is written unless a ledger
was asked for, by ``with labkit.ledger(path):`` or by the environment variable LABKIT_LEDGER; then every ``labkit.predict``
and every analysis of predictions appends one line of JSON for each data set: when, which analysis, the digests of data and
model, metric and value. No row of the data is ever in it. Several processes may write to one ledger at once.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

from labkit.core.refused import Refused

VARIABLE = "LABKIT_LEDGER"
NOT_SET = ""
_chosen: ContextVar[str | None] = ContextVar("labkit_ledger", default=NOT_SET)


@dataclass(frozen=True)
class Looks:
    """What a ledger tells of one data set: how many lines it has there, how many different models were asked, and for
    each metric the values in the order in which they were seen."""

    times: int
    models: int
    values: Mapping[str, tuple[float, ...]]


@contextmanager
def ledger(path: str | os.PathLike[str] | None) -> Iterator[Path | None]:
    """Within this context analyses are noted in the file at ``path``, which is made or appended to; None notes nothing,
    whatever the environment says."""
    token = _chosen.set(None if path is None else str(path))
    try:
        yield opened()
    finally:
        _chosen.reset(token)


def opened() -> Path | None:
    """The ledger that is kept at present, or None."""
    chosen = _chosen.get()
    path = os.environ.get(VARIABLE) if chosen == NOT_SET else chosen
    return Path(path) if path else None


def note(analysis: str, data: str, model: str, *, name: str = "", metric: str = "", value: float = math.nan) -> None:
    """Append one line to the ledger that is kept, if one is.

    Args:
        data, model: digests. name: of the data. metric, value: what was seen, if it is one number.

    Raises:
        Refused: a ledger that cannot be written to.
    """
    path = opened()
    if path is None:
        return
    entry = {
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "analysis": analysis,
        "data": data,
        "name": name,
        "model": model,
        "metric": metric,
        "value": float(value) if math.isfinite(value) else None,
    }
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("ab+") as file:
            _alone(file)
            _append(file, (json.dumps(entry, sort_keys=True, ensure_ascii=False) + "\n").encode())
    except OSError as error:
        given = f"{error.strerror or error}"
        raise Refused(f"a note in the ledger {path}", given, "a file that can be written to, or no ledger") from error


def looks(data: Any, path: str | os.PathLike[str] | None = None) -> Looks:
    """How often a data set was scored, by a ledger.

    Args:
        data: its digest, or what has one, such as ``data.test``.
        path: of the ledger; by default the one that is kept at present.

    Raises:
        Refused: no ledger.
    """
    found = opened() if path is None else Path(path)
    if found is None:
        raise Refused("looks at a data set", "no ledger", f"with labkit.ledger(path): ..., or {VARIABLE}")
    digest = data if isinstance(data, str) else data.digest
    entries = [e for e in _read(found) if e["data"] == digest]
    values: dict[str, tuple[float, ...]] = {}
    for entry in entries:
        if entry.get("metric") and entry.get("value") is not None:
            values[entry["metric"]] = (*values.get(entry["metric"], ()), entry["value"])
    return Looks(len(entries), len({e["model"] for e in entries}), values)


def _read(path: Path) -> list[dict[str, Any]]:
    """The lines that are whole: a kill may have left half of the last one."""
    if not path.is_file():
        return []
    found = []
    for line in path.read_bytes().splitlines():
        try:
            entry = json.loads(line)
        except ValueError:
            continue
        if isinstance(entry, dict) and {"data", "model"} <= set(entry):
            found.append(entry)
    return found


def _append(file: IO[bytes], line: bytes) -> None:
    """Write a line at the end, on a line of its own even after half of one, and see it onto the disk."""
    if file.seek(0, os.SEEK_END):
        file.seek(-1, os.SEEK_END)
        line = line if file.read(1) == b"\n" else b"\n" + line
    file.write(line)
    file.flush()
    os.fsync(file.fileno())


def _alone(file: IO[bytes]) -> None:
    """Wait until no other process appends. Where the system has no such lock, appends of one line do not mix anyway."""
    try:
        import fcntl
    except ImportError:
        return
    fcntl.flock(file.fileno(), fcntl.LOCK_EX)
