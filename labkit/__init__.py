"""labkit: explain, attack and audit deep-learning models, with numbers that can be believed.

Every name is imported on first use, so ``import labkit`` is instant and needs no heavy library.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

from labkit.core.refused import Refused
from labkit.core.registry import names

__version__ = "0.1.0"

_HOME = {
    "Panel": "labkit.widgets.panel",
    "Predictions": "labkit.records.predict",
    "Scores": "labkit.records.scores",
    "Workbench": "labkit.widgets.workbench",
    "audit": "labkit.report.audit",
    "check": "labkit.checks",
    "choose_metrics": "labkit.core.harms",
    "figure": "labkit.views",
    "HARMS": "labkit.core.harms",
    "ledger": "labkit.core.ledger",
    "load": "labkit.core.store",
    "looks": "labkit.core.ledger",
    "open": "labkit.models.opening",
    "rows": "labkit.views",
    "save": "labkit.core.store",
    "says": "labkit.views",
    "verify": "labkit.report.verify",
    "wrap": "labkit.models.wrapping",
}
_HOME |= {name: f"labkit.analyses.{name}" for name in names("analyses")}
_MODULES = ("data", "models", "views", "zoo")

__all__ = ["Refused", "__version__", "names", *_HOME, *_MODULES]  # noqa: PLE0604


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return import_module(f"labkit.{name}")
    if name in _HOME:
        return getattr(import_module(_HOME[name]), name)
    raise AttributeError(f"module 'labkit' has no attribute {name!r}; it has {', '.join(sorted(__all__))}")


def __dir__() -> list[str]:
    return sorted(__all__)
