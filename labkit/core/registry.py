"""The folder is the registry: ``attacks/pgd.py`` defines ``pgd``, and that is all it takes.

Listing reads file names and imports nothing. Third parties add methods with entry points in the group
``labkit.<kind>``; a plain function passes straight through ``find``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cache
from importlib import import_module
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from labkit.core.refused import Refused, unknown

FOLDERS = {
    "analyses": "analyses",
    "architectures": "models/architectures",
    "attacks": "attacks",
    "attributions": "attributions",
    "certificates": "certificates",
    "checks": "checks",
    "corruptions": "corruptions",
    "datasets": "data/sets",
    "faithfulness": "faithfulness",
    "membership": "membership",
    "metrics": "metrics",
    "mitigations": "mitigations",
    "recipes": "training/recipes",
    "records": "records",
    "views": "views",
}
_ROOT = Path(__file__).parent.parent


@cache
def _plugins(kind: str) -> dict[str, Any]:
    return {entry.name: entry for entry in entry_points(group=f"labkit.{kind}")}


def names(kind: str) -> tuple[str, ...]:
    """Every name of a kind ("attacks", "metrics", ...), sorted. Raises Refused for an unknown kind."""
    if kind not in FOLDERS:
        raise unknown("names of a kind", kind, FOLDERS)
    own = {p.stem for p in (_ROOT / FOLDERS[kind]).glob("*.py") if not p.stem.startswith("_")}
    return tuple(sorted(own | set(_plugins(kind))))


def find(kind: str, name: str | Callable[..., Any]) -> Callable[..., Any]:
    """The function of that name. A function given instead of a name is returned as it is."""
    if callable(name):
        return name
    if name not in names(kind):
        raise unknown(f"one of the {kind}", str(name), names(kind))
    if name in _plugins(kind):
        return _plugins(kind)[name].load()
    module = import_module("labkit." + FOLDERS[kind].replace("/", ".") + "." + name)
    return getattr(module, name)


def several(kind: str, given: Any) -> dict[str, Callable[..., Any]]:
    """The functions of a name or function, or of several, by the names under which they are recorded."""
    return {label(name): find(kind, name) for name in listed(kind, given)}


def listed(kind: str, given: Any) -> list[Any]:
    """A name or function, or several, as a list."""
    if isinstance(given, str) or callable(given):
        return [given]
    if not isinstance(given, Iterable):
        raise Refused(f"some of the {kind}", repr(given), "a name, a function, or a list of these")
    return list(given)


def label(name: str | Callable[..., Any]) -> str:
    """The name under which a method is recorded."""
    return name if isinstance(name, str) else getattr(name, "__name__", type(name).__name__)
