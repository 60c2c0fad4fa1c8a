"""Data sets: real ones that come with labkit, and the user's own files."""

from __future__ import annotations

from typing import Any

from labkit.core import registry
from labkit.data.schema import Feature, Schema
from labkit.data.split import Dataset, Split

__all__ = ["Dataset", "Feature", "Schema", "Split", "load", "open"]


def load(name: str, **options: Any) -> Dataset:
    """A data set by name; ``labkit.names("datasets")`` lists them. Options are those of the set's own loader."""
    return registry.find("datasets", name)(**options)


def __getattr__(name: str) -> Any:
    if name == "open":
        from labkit.data.opening import open

        return open
    raise AttributeError(f"module 'labkit.data' has no attribute {name!r}")
