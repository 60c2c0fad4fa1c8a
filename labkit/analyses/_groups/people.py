"""People with classes and groups, whatever they came as."""

from __future__ import annotations

from typing import Any

from labkit.analyses.predict import row_hashes
from labkit.core.record import Provenance
from labkit.core.refused import Refused
from labkit.data.split import Split
from labkit.records.predict import Predictions


def people(asked: str, data: Any) -> Predictions:
    """Predictions as they are; of a Split its true classes, groups and a hash of each row, with the truth as the answer.

    Raises:
        Refused: something else.
    """
    if isinstance(data, Predictions):
        return data
    if not isinstance(data, Split):
        raise Refused(asked, f"a {type(data).__name__}", "a Split, such as data.test, or Predictions")
    return Predictions(
        provenance=Provenance(analysis=asked, version="", data=data.describe()),
        y=data.y,
        label=data.y,
        classes=data.classes,
        groups=data.groups,
        row=row_hashes(data.x),
    )
