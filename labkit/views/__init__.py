"""How each kind of record looks. A view is found by the record's name: ``views/<kind>.py`` defines ``figure(record)``
(plotly), ``rows(record)`` (a tidy table) and ``says(record)`` (one sentence)."""

from __future__ import annotations

from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING

from labkit.core import registry
from labkit.core.record import Record
from labkit.core.refused import Refused, unknown

if TYPE_CHECKING:
    import pandas as pd
    import plotly.graph_objects as go


def _view(record: Record) -> ModuleType:
    if not isinstance(record, Record):
        raise Refused("a view", f"a {type(record).__name__}", "a record, such as labkit.predict gives")
    kind = record.kind
    if kind not in registry.names("views"):
        raise unknown(f"a view of a {type(record).__name__}", kind, registry.names("views"))
    return import_module(f"labkit.views.{kind}")


def figure(record: Record) -> go.Figure:
    """The picture of a record."""
    return _view(record).figure(record)


def rows(record: Record) -> pd.DataFrame:
    """The numbers of a record, one observation a row."""
    return _view(record).rows(record)


def tables(record: Record) -> dict[str, pd.DataFrame]:
    """Tables to publish, in the form that a rule has them, by their names. Most kinds of record have none."""
    view = _view(record)
    return view.tables(record) if hasattr(view, "tables") else {}


def notes(record: Record) -> list[str]:
    """What is to be said beside ``tables``."""
    view = _view(record)
    return view.notes(record) if hasattr(view, "notes") else []


def says(record: Record) -> str:
    """One sentence: what was measured, on how many, with which interval; or why it was not."""
    view = _view(record)
    if record.status == "not_measured":
        return f"Not measured because {record.reason}"
    sentence = str(view.says(record))
    return f"{sentence} Contradicted: {record.reason}" if record.status == "contradicted" else sentence


def __getattr__(name: str) -> ModuleType:
    """A view by its name: some draw more than one picture, such as ``robustness_curve.by_group``."""
    if name in registry.names("views"):
        return import_module(f"labkit.views.{name}")
    raise AttributeError(f"module 'labkit.views' has no attribute {name!r}")
