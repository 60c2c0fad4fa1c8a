"""The user's own DataFrame as one Split: every row, in its order."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from labkit.core.refused import Refused
from labkit.data.schema import Schema
from labkit.data.split import Split

if TYPE_CHECKING:
    import pandas as pd


def from_frame(
    frame: pd.DataFrame,
    *,
    y: str | None = None,
    groups: Sequence[str] = (),
    categorical: Sequence[str] = (),
    drop: Sequence[str] = (),
    name: str = "table",
) -> Split:
    """The columns of a table beside predictions, for slices, proxies and causes: no row is left out or moved.

    Numbers stay in their own unit, everything else becomes a category by its name; a missing category is "(unknown)".

    Args:
        frame: one row an example, as many and in the order of the predictions.
        y: the column of true classes, which is then no feature; without one every ``y`` of the split is -1.
        groups: the columns of sensitive features; they are features too, unless dropped.
        categorical: number columns that are codes and not quantities.
        drop: columns that are no features, such as the predictions themselves. A dropped column may still be a group.
        name: how reports call the data.

    Raises:
        Refused: no rows or no feature, an unknown column or one that stands twice, missing or infinite numbers, a
            missing class, text that is mostly numbers or mostly different.
    """
    import pandas as pd

    from labkit.data import tabular
    from labkit.data.kinds import feature, known, values
    from labkit.data.reading import codes

    asked = f"columns from the table {name}"
    if not isinstance(frame, pd.DataFrame) or not len(frame):
        given = f"a {type(frame).__name__}" if not isinstance(frame, pd.DataFrame) else "no rows"
        raise Refused(asked, given, "a pandas DataFrame with at least one row")
    frame = frame.set_axis(frame.columns.map(str), axis=1).reset_index(drop=True)
    twice = sorted(set(frame.columns[frame.columns.duplicated()]))
    if twice:
        raise Refused(asked, f"columns that stand twice: {', '.join(twice)}", "one column a name")
    lists = {"groups": groups, "categorical": categorical, "drop": drop}
    for argument, columns in {"y": [] if y is None else [y], **lists}.items():
        if isinstance(columns, str):
            raise Refused(f"{asked} with {argument}={columns!r}", "one text", f"{argument}=[{columns!r}]")
        known(asked, argument, columns, frame)
    used = [c for c in frame.columns if c != y and c not in drop]
    if not used:
        raise Refused(asked, "no feature", "at least one column that is neither y nor dropped")
    truth, classes = (np.full(len(frame), -1, np.int64), ()) if y is None else codes(frame[y], None, f"{asked}, y {y}")
    kinds = dict.fromkeys(categorical, "categorical")
    inputs = pd.DataFrame({c: values(frame[c], kinds.get(c)) for c in used})
    features = tuple(feature(inputs[c], None, False) for c in used)
    schema = Schema("tabular", y or "", (len(used),), features=features, groups=tuple(groups))
    sensitive = {g: tabular.group_names(frame[g]) for g in groups}
    return Split(tabular.encode(inputs, features), truth, schema, classes, name, sensitive)
