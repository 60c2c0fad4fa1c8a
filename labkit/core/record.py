"""What every result has in common: frozen arrays, named axes, where it came from, and whether it was measured."""

from __future__ import annotations

import hashlib
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from types import MappingProxyType
from typing import Annotated, Any, Literal

import numpy as np

Outcome = Literal["measured", "not_measured", "contradicted"]


class Dims(tuple):  # type: ignore[type-arg]
    """The names of an array's axes. Axes of one name have one length within a record."""

    def __new__(cls, *names: str) -> Dims:
        return super().__new__(cls, names)


@dataclass(frozen=True, kw_only=True)
class Provenance:
    """Where a number came from. ``started``, ``seconds`` and ``took`` are the only fields that differ between equal runs;
    ``took`` is what the work cost (``labkit.core.cost``)."""

    analysis: str
    version: str
    options: Mapping[str, Any] = field(default_factory=dict)
    seed: int | None = None
    model: Mapping[str, Any] = field(default_factory=dict)
    data: Mapping[str, Any] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)
    packages: Mapping[str, str] = field(default_factory=dict)
    started: str = ""
    seconds: float = 0.0
    took: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        freeze(self)


TIME_FIELDS = frozenset({"started", "seconds", "took"})


@dataclass(frozen=True, kw_only=True)
class Record:
    """Base of everything the lab states.

    ``status`` is "measured", "not_measured" (``reason`` says why, and what it would take) or "contradicted"
    (``reason`` says which two ways of measuring disagree).
    """

    provenance: Provenance
    status: Outcome = "measured"
    reason: str = ""
    warnings: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        freeze(self)
        check_dims(self)
        if self.status != "measured" and not self.reason:
            raise TypeError(f"a record that is {self.status} must give its reason")

    @property
    def kind(self) -> str:
        """The record's name, under which its view is found: the name of the module that defines it."""
        return type(self).__module__.rpartition(".")[2]

    @property
    def digest(self) -> str:
        """SHA-256 over everything but the time fields."""
        sha = hashlib.sha256()
        _feed(sha, self)
        return sha.hexdigest()


def freeze(record: Any) -> None:
    """Make a frozen dataclass deeply so: arrays are copied and made read-only, mappings wrapped, lists made tuples."""
    for f in fields(record):
        object.__setattr__(record, f.name, _frozen(getattr(record, f.name)))


def _frozen(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        if value.flags.writeable or value.base is not None:
            value = value.copy()
            value.flags.writeable = False
        return value
    if isinstance(value, Mapping):
        return MappingProxyType({k: _frozen(v) for k, v in value.items()})
    if isinstance(value, list | tuple) and not hasattr(value, "_fields"):
        return tuple(_frozen(v) for v in value)
    return value


def check_dims(record: Any) -> None:
    """Raise TypeError when an array lacks its declared axes, or two axes of one name differ in length."""
    lengths: dict[str, tuple[int, str]] = {}
    for name, hint in typing.get_type_hints(type(record), include_extras=True).items():
        dims = _dims(hint)
        value = getattr(record, name)
        if dims is None or not isinstance(value, np.ndarray):
            continue
        open_ended = dims[-1:] == ("...",)
        named = dims[:-1] if open_ended else dims
        if value.ndim < len(named) or (value.ndim > len(named) and not open_ended):
            raise TypeError(f"{type(record).__name__}.{name} has shape {value.shape}, its axes are {tuple(dims)}")
        for axis, size in zip(named, value.shape, strict=False):
            known, where = lengths.setdefault(axis, (size, name))
            if known != size:
                raise TypeError(
                    f"{type(record).__name__}: axis {axis!r} has length {size} in {name} and {known} in {where}"
                )


def _dims(hint: Any) -> Dims | None:
    if typing.get_origin(hint) is Annotated:
        return next((a for a in typing.get_args(hint)[1:] if isinstance(a, Dims)), None)
    for part in typing.get_args(hint):
        if typing.get_origin(part) is Annotated:
            return _dims(part)
    return None


def _feed(sha: Any, value: Any) -> None:
    """Add a value to a hash, with its type, so that no two different values give the same bytes."""
    if isinstance(value, np.ndarray):
        sha.update(f"array {value.dtype.str} {value.shape}".encode())
        sha.update(np.ascontiguousarray(value).tobytes())
    elif is_dataclass(value) and not isinstance(value, type):
        sha.update(type(value).__name__.encode())
        for f in fields(value):
            if f.name not in TIME_FIELDS:
                sha.update(f.name.encode())
                _feed(sha, getattr(value, f.name))
    elif isinstance(value, Mapping):
        sha.update(f"map {len(value)}".encode())
        for key in sorted(value):
            sha.update(f"{key}\0".encode())
            _feed(sha, value[key])
    elif isinstance(value, list | tuple):
        sha.update(f"list {len(value)}".encode())
        for item in value:
            _feed(sha, item)
    else:
        sha.update(f"{type(value).__name__} {value!r}\0".encode())


def array_digest(*arrays: np.ndarray) -> str:
    """SHA-256 of arrays: type, shape and bytes."""
    sha = hashlib.sha256()
    for array in arrays:
        _feed(sha, array)
    return sha.hexdigest()
