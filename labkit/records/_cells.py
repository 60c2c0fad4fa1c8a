"""What the columns of a table of predictions may hold: labels, scores, groups; and what is refused."""

from __future__ import annotations

import unicodedata
from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from labkit.core.refused import Refused, unknown

if TYPE_CHECKING:
    import pandas as pd

MOST_CLASSES, MOST_QUANTITIES = 100, 20
# Texts that stand for a missing value in files, folded.
PLACEHOLDERS = frozenset({"", "na", "n/a", "nan", "none", "null", "nat", "<na>", "?"})


def as_table(frame: Any, asked: str) -> pd.DataFrame:
    """A pandas DataFrame, also of what can turn into one (polars, pyarrow); refused where it has no rows."""
    import pandas as pd

    if hasattr(frame, "to_pandas"):
        frame = frame.to_pandas()
    if not isinstance(frame, pd.DataFrame):
        raise Refused(asked, f"a {type(frame).__name__}", "a pandas DataFrame")
    if not len(frame):
        raise Refused(asked, "no rows", "a table with at least one row")
    if frame.columns.nlevels > 1 or frame.columns.duplicated().any():
        twice = sorted(set(map(str, frame.columns[frame.columns.duplicated()])))
        raise Refused(asked, f"columns that stand twice: {twice}", "one column a name")
    return frame


def require_columns(frame: pd.DataFrame, columns: Iterable[Any], name: str) -> None:
    """Refuse a name that no column has, and a column given in place of its name."""
    for column in columns:
        if not isinstance(column, Hashable):
            raise Refused(f"a column of the table {name}", f"a {type(column).__name__}", "the column's name")
        if column not in frame.columns:
            raise unknown(f"the column {column!r} of the table {name}", str(column), map(str, frame.columns))


def coded(column: pd.Series, asked: str) -> tuple[np.ndarray, list[Any]]:
    """(n,) number of each value, -1 where it is missing, and the different values in the order of their appearance."""
    import pandas as pd

    try:
        code, found = pd.factorize(column)
    except TypeError as error:
        raise Refused(asked, f"{column.name!r} holds what is no single value ({error})", "one value a cell") from None
    levels = [v.item() if isinstance(v, np.generic) else v for v in found.tolist()]
    absent = [i for i, v in enumerate(levels) if v != v]  # a NaN beside nulls, as pyarrow keeps them apart
    return np.where(np.isin(code, absent), -1, code) if absent else code, levels


def group_columns(
    frame: pd.DataFrame, groups: Sequence[str] | Mapping[str, Any], asked: str, people: np.ndarray | None = None
) -> tuple[dict[str, np.ndarray], list[str]]:
    """Each feature's group names by row, "" where unknown, and what was done to them, in words."""
    names, said = {}, []
    for feature in groups:
        column = _aligned(groups[feature], feature, frame, asked) if isinstance(groups, Mapping) else frame[feature]
        code, levels = coded(column, asked)
        _refuse_quantity(feature, levels, asked)
        texts = [str(int(v)) if isinstance(v, float) and v.is_integer() else str(v) for v in levels]
        merged = merge_spellings(texts)
        names[str(feature)] = np.append(merged, "")[code]
        said += _told(str(feature), texts, np.bincount(code[code >= 0], _of(people, code >= 0), len(texts)))
    return names, said


def _of(people: np.ndarray | None, rows: np.ndarray) -> np.ndarray | None:
    return None if people is None else people[rows]


def _refuse_quantity(feature: Any, levels: list[Any], asked: str) -> None:
    """Many different numbers or dates are no groups."""
    numbers = [v for v in levels if not isinstance(v, str | bool)]
    if len(numbers) > MOST_QUANTITIES:
        given = (
            f"{feature!r} with {len(levels)} values such as {str(numbers[0])!r}: a quantity, a date, a weight or an id"
        )
        instead = "a feature in few groups, such as age in bands (pandas.cut); codes of groups as text"
        raise Refused(asked, given, instead)


def _told(feature: str, texts: list[str], n: np.ndarray) -> list[str]:
    """Which spellings were taken as one group, and which groups look like missing values."""
    spellings: dict[str, list[str]] = {}
    for text in texts:
        spellings.setdefault(_folded(text), []).append(text)
    said = [f"{feature}: {', '.join(map(repr, s))} were taken as one group" for s in spellings.values() if len(s) > 1]
    for text, count in zip(texts, n):
        if _folded(text) in PLACEHOLDERS - {""}:
            said.append(f"{feature}: {int(count)} people have the text {text!r}, taken as a group and not as unknown")
    return said


def _folded(text: str) -> str:
    return unicodedata.normalize("NFKC", text).strip().casefold()


def merge_spellings(texts: Iterable[str]) -> np.ndarray:
    """Names equal after trimming, case folding and NFKC get the first one's spelling."""
    import pandas as pd

    code, levels = pd.factorize(np.asarray(list(texts), object))
    spelling: dict[str, str] = {}
    merged = [spelling.setdefault(_folded(t), t.strip()) for t in levels]
    return np.array(merged, dtype=str)[code] if merged else np.array([], dtype=str)


def _aligned(values: Any, name: str, frame: pd.DataFrame, asked: str) -> pd.Series:
    """A group column given apart from the table: a pandas Series by its index, anything else by its order."""
    import pandas as pd

    instead = "a column of the table, or a pandas Series with the table's index"
    if not isinstance(values, pd.Series):
        given = np.asarray(values, object)
        if given.shape != (len(frame),):
            many = f"{len(given)} values" if given.ndim == 1 else f"a {type(values).__name__}"
            raise Refused(asked, f"{many} of {name!r} for {len(frame)} rows", instead)
        return pd.Series(given, index=frame.index, name=name)
    if values.index.equals(frame.index):
        return values
    if not (values.index.is_unique and frame.index.is_unique):
        raise Refused(asked, f"{name!r} in another row order, and index entries that stand twice", instead)
    missing = int((~frame.index.isin(values.index)).sum())
    if missing:
        strangers = f"{name!r} with another index: {missing} of {len(frame)} rows of the table are not in it"
        raise Refused(asked, strangers, instead)
    return values.reindex(frame.index)


def require_present(
    absent: np.ndarray, name: str, groups: Mapping[str, np.ndarray], people: np.ndarray | None, asked: str
) -> None:
    """Refuse missing values, with how many there are and where most of them are."""
    if not absent.any():
        return
    n = np.ones(len(absent), int) if people is None else people
    given = f"{n[absent].sum()} of {n.sum()} values of {name!r} are missing"
    for feature, members in groups.items():
        where, code = np.unique(members[absent], return_inverse=True)
        counts = np.bincount(code, n[absent])
        top = counts.argmax()
        given += f", {int(counts[top])} of them where {feature} is {where[top] or 'unknown'}"
    instead = "rows without missing values, or a value of their own for them among classes="
    raise Refused(asked, given, instead)


def class_labels(levels: Sequence[Any], classes: Sequence[Any] | None, name: str, asked: str) -> list[Any]:
    """The classes in order: those given, 0 and 1, or what a column holds.

    Raises:
        Refused: numbers with a fraction, more than 100 labels, spellings of one label, texts that stand for a missing
            value, labels that read alike.
    """
    if classes is not None:
        if isinstance(classes, str) or len({str(c) for c in classes}) < len(list(classes)):
            raise Refused(asked, f"classes={classes!r}", "a list of different labels")
        return list(classes)
    found = sorted(levels, key=lambda v: (str(type(v)), v))
    if set(found) <= {0, 1}:
        return [0, 1]
    if len(found) > MOST_CLASSES or any(isinstance(v, float) and not v.is_integer() for v in found):
        raise Refused(asked, f"{len(found)} different true values such as {found[0]!r}", "class labels, and classes=")
    folded: dict[str, Any] = {}
    for value in found:
        text = _folded(str(value))
        if isinstance(value, str) and text in PLACEHOLDERS:
            given = f"{name!r} holds the text {value!r}, which stands for a missing value"
            raise Refused(asked, given, "rows without it, or classes= with it where it is a class")
        if text in folded:
            given = f"{name!r} holds {folded[text]!r} and {value!r}, which read alike"
            raise Refused(asked, given, "one spelling a class, or classes= with all of them where they differ")
        folded[text] = value
    return found


def class_codes(code: np.ndarray, levels: Sequence[Any], classes: list[Any], name: str, asked: str) -> np.ndarray:
    """(n,) each row's class; refused where a value is not among the classes."""
    index = {value: i for i, value in enumerate(classes)}
    strange = sorted({repr(v) for v in levels if v not in index})
    if strange:
        hint = (
            "score= with threshold= for scores"
            if all(isinstance(v, float) for v in levels)
            else f"values among {', '.join(map(repr, index))}, or classes= with the labels in order"
        )
        raise Refused(asked, f"{name!r} holds {', '.join(strange[:3])}, not among the classes", hint)
    return np.array([index[v] for v in levels], np.int64)[code]


def numbers(columns: pd.DataFrame, asked: str) -> np.ndarray:
    """Columns as floats, NaN where missing; refused where they hold anything but numbers."""
    try:
        return columns.to_numpy(dtype=float, na_value=np.nan)
    except (TypeError, ValueError) as error:
        given = f"values of {', '.join(map(repr, columns.columns))} that are not numbers ({error})"
        raise Refused(asked, given, "a column of numbers") from None


def require_probabilities(values: np.ndarray, people: np.ndarray | None, asked: str) -> None:
    """Refuse scores that are missing, infinite or outside 0 to 1, and name what they look like."""
    odd = ~np.isfinite(values).reshape(len(values), -1).all(1)
    if odd.any():
        n = int(odd.sum() if people is None else people[odd].sum())
        raise Refused(asked, f"{n} rows without a finite score", "finite scores")
    low, high = values.min(), values.max()
    if low < -1e-6 or high > 1 + 1e-6:
        look, instead = "", "scores from 0 to 1"
        if low >= 0 and high <= 100:
            look, instead = ", as percentages do", f"{instead}: percentages divided by 100"
        elif low < 0 < high:
            look, instead = ", as log-odds do", f"{instead}: 1 / (1 + exp(-score)) of log-odds"
        given = f"scores that are not probabilities: they run from {low:.4g} to {high:.4g}{look}"
        raise Refused(asked, given, f"{instead}; or Scores.from_frame, which takes any numbers")
