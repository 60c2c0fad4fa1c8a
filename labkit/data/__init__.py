"""Data sets: real ones that come with labkit, and the user's own files."""

from __future__ import annotations

from importlib import import_module
from inspect import signature
from typing import Any

from labkit.core import registry
from labkit.core.refused import unknown
from labkit.data.schema import Feature, Schema
from labkit.data.split import Dataset, Split

_LATER = {
    "count_predictions": "counting",
    "encode_texts": "text",
    "from_frame": "framing",
    "open": "opening",
    "read_predictions": "counting",
    "table": "embedded",
    "words": "text",
}

# Modules that are asked by name: labkit.data.word_sets.names().
_MODULES = ("identity_terms", "word_sets")

__all__ = ["Dataset", "Feature", "Schema", "Split", "load", *_LATER, *_MODULES]  # noqa: PLE0604


def load(name: str, **options: Any) -> Dataset:
    """A data set by name; ``labkit.names("datasets")`` lists them. Options are those of the set's own loader."""
    loader = registry.find("datasets", name)
    known = signature(loader).parameters
    for option in options:
        if option not in known:
            raise unknown(f"the data set {name} with {option}", option, known)
    return loader(**options)


def __getattr__(name: str) -> Any:
    if name in _LATER:
        return getattr(import_module(f"labkit.data.{_LATER[name]}"), name)
    if name in _MODULES:
        return import_module(f"labkit.data.{name}")
    raise AttributeError(f"module 'labkit.data' has no attribute {name!r}")
