"""Any record to disk and back: one zip file with a JSON header and one ``.npy`` member an array. No pickle.

Bytes are the same for the same record, and a file is either the old one or the new one, never half of one.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import tempfile
import zipfile
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from labkit.core.record import Provenance, Record
from labkit.core.refused import Refused

SCHEMA = "labkit.record/1"
LIMIT = 2 * 1024**3
_EPOCH = (1980, 1, 1, 0, 0, 0)


def as_folder(path: str | os.PathLike[str]) -> Path:
    """A path that is a folder or can become one; refused where it, or a part of it, is a file."""
    folder = Path(path)
    for part in (folder, *folder.parents):
        if part.exists() and not part.is_dir():
            raise Refused(f"a folder at {folder}", f"{part} is a file", "a path that goes through folders only")
    return folder


def write_atomic(path: str | os.PathLike[str], content: bytes | str) -> Path:
    """Write a file so that a kill or a full disk leaves the old file or the new one.

    Raises:
        Refused: a path that is a folder or goes through a file; a place that cannot be written to.
    """
    path = Path(path)
    data = content.encode() if isinstance(content, str) else content
    if path.is_dir():
        raise Refused(f"a file at {path}", "a folder of that name", "another path")
    try:
        _replace(as_folder(path.parent), path, data)
    except OSError as error:
        given = f"{error.strerror or error} while writing {len(data)} bytes"
        raise Refused(f"a file at {path}", given, "a folder that can be written to, with room for it") from error
    return path


def _replace(folder: Path, path: Path, data: bytes) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=folder, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def save(record: Record, path: str | os.PathLike[str]) -> Path:
    """Write a record; returns the path. Raises Refused for a value that cannot be stored exactly."""
    return write_atomic(path, dumps(record))


def dumps(record: Record) -> bytes:
    """The bytes that ``save`` writes."""
    arrays: dict[str, bytes] = {}
    header = {
        "schema": SCHEMA,
        "type": _type_name(type(record)),
        "digest": record.digest,
        "fields": {f.name: _encode(getattr(record, f.name), f.name, arrays) for f in fields(record)},
    }
    header["arrays"] = {name: hashlib.sha256(data).hexdigest() for name, data in arrays.items()}
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        members = {"record.json": (json.dumps(header, indent=1, sort_keys=True) + "\n").encode(), **arrays}
        for name, data in members.items():
            info = zipfile.ZipInfo(name, _EPOCH)
            info.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(info, data)
    return buffer.getvalue()


def load(path: str | os.PathLike[str]) -> Any:
    """Read a record. Raises Refused when the file is not one, or differs from what was saved."""
    path = Path(path)
    if not path.is_file():
        given = "a folder" if path.is_dir() else "no such file"
        raise Refused(f"the record {path}", given, "the path of a file written by labkit.save")
    return loads(path.read_bytes(), path.name)


def loads(data: bytes, name: str = "record") -> Any:
    """The record whose bytes ``dumps`` gave."""
    asked = f"the record {name}"
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            if sum(info.file_size for info in archive.infolist()) > LIMIT:
                raise Refused(asked, f"more than {LIMIT:,} bytes when unpacked", "a smaller record")
            members = {info.filename: archive.read(info) for info in archive.infolist()}
        header = json.loads(members["record.json"])
    except Refused:
        raise
    except (zipfile.BadZipFile, KeyError, ValueError, OSError, EOFError, RuntimeError, NotImplementedError) as error:
        raise Refused(asked, f"not a readable record ({error})", "a file written by labkit.save") from None
    except Exception as error:  # zlib.error derives from Exception alone
        raise Refused(asked, f"damaged archive ({error})", "the file as it was saved") from None
    if not isinstance(header, dict) or header.get("schema") != SCHEMA:
        raise Refused(asked, "a header without the schema " + SCHEMA, "a file written by labkit.save")
    try:
        for member, sha in header["arrays"].items():
            if member not in members or hashlib.sha256(members[member]).hexdigest() != sha:
                raise Refused(asked, f"its part {member} was changed after it was saved", "the file as it was saved")
        record = _decode({"dataclass": header["type"], "fields": header["fields"]}, members)
        if record.digest != header["digest"]:
            raise Refused(asked, "its header was changed after it was saved", "the file as it was saved")
    except Refused:
        raise
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise Refused(asked, f"a header that does not hold together ({error})", "the file as it was saved") from None
    return record


def _type_name(cls: type) -> str:
    if not cls.__module__.startswith("labkit."):
        raise Refused(f"saving a {cls.__name__}", f"a type from {cls.__module__}", "a record defined by labkit")
    return f"{cls.__module__}:{cls.__qualname__}"


def _encode(value: Any, name: str, arrays: dict[str, bytes]) -> Any:
    if isinstance(value, np.ndarray):
        if value.dtype.hasobject:
            raise Refused(f"saving the array {name}", f"dtype {value.dtype}", "numbers, booleans or fixed-width text")
        buffer = io.BytesIO()
        np.lib.format.write_array(buffer, value, version=(3, 0), allow_pickle=False)
        member = f"{name}.npy"
        arrays[member] = buffer.getvalue()
        return {"array": member}
    if is_dataclass(value) and not isinstance(value, type):
        inner = {f.name: _encode(getattr(value, f.name), f"{name}.{f.name}", arrays) for f in fields(value)}
        return {"dataclass": _type_name(type(value)), "fields": inner}
    if isinstance(value, Mapping):
        return {"map": [[k, _encode(v, f"{name}.{k}", arrays)] for k, v in value.items()]}
    if isinstance(value, list | tuple):
        return {"list": [_encode(v, f"{name}.{i}", arrays) for i, v in enumerate(value)]}
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not np.isfinite(value):
        return {"float": repr(value)}
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise Refused(f"saving the field {name}", f"a {type(value).__name__}", "numbers, text, arrays, tuples and mappings")


def _decode(value: Any, members: Mapping[str, bytes]) -> Any:
    if not isinstance(value, dict):
        return value
    if "array" in value:
        return np.lib.format.read_array(io.BytesIO(members[value["array"]]), allow_pickle=False)
    if "list" in value:
        return tuple(_decode(v, members) for v in value["list"])
    if "map" in value:
        return {k: _decode(v, members) for k, v in value["map"]}
    if "float" in value:
        return float(value["float"])
    cls = _record_type(value["dataclass"])
    return cls(**{k: _decode(v, members) for k, v in value["fields"].items()})


def _record_type(name: str) -> type:
    module, _, attribute = str(name).partition(":")
    if module.startswith("labkit.records.") or module == Provenance.__module__:
        cls = getattr(import_module(module), attribute, None)
        if isinstance(cls, type) and is_dataclass(cls):
            return cls
    raise Refused(f"a record of type {name}", "a type that labkit.records does not define", "a newer labkit")
