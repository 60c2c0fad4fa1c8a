"""The user's files to bytes, tables and labels, with limits on what is unpacked."""

from __future__ import annotations

import csv
import hashlib
import io
import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from labkit.core.refused import Refused
from labkit.data.embedded import inflate
from labkit.data.tabular import is_quantity, labels

LIMIT = 1024**3
TABLES = ("csv", "parquet")
MISSING = ["", "NA", "N/A", "NaN", "nan", "null", "NULL"]
# pandas would take a field too many for row names, and shift the columns, but for index_col=False, which warns.
CSV: dict[str, Any] = {
    "index_col": False,
    "keep_default_na": False,
    "na_values": MISSING,
    "skipinitialspace": True,
    "low_memory": False,
}
_KINDS = {".csv": "csv", ".tsv": "csv", ".parquet": "parquet", ".npz": "npz"}
_MOST_CLASSES = 1000


def source(path: Path) -> str:
    """What a path holds: "csv", "parquet", "npz" or "folder"; refused when it is none of them or is not there."""
    asked = f"the data {path.name}"
    if path.is_dir():
        return "folder"
    if not path.is_file():
        raise Refused(asked, "no such file or folder", "the path of a file, or a name from labkit.names('datasets')")
    if not path.stat().st_size:
        raise Refused(asked, "an empty file", "a file with rows")
    kind = _KINDS.get(Path(path.name.removesuffix(".gz")).suffix.lower())
    if kind is None:
        raise Refused(asked, f"a file ending in {path.suffix!r}", "a .csv, .tsv, .parquet or .npz file, or a folder")
    return kind


def contents(path: Path) -> bytes:
    """A file's bytes; refused when it is larger than the limit of 1 GiB."""
    asked = f"the data {path.name}"
    if path.stat().st_size > LIMIT:
        raise Refused(asked, f"{path.stat().st_size:,} bytes", f"at most {LIMIT:,} bytes")
    try:
        return path.read_bytes()
    except OSError as error:
        raise Refused(asked, f"a file that cannot be read ({error.strerror})", "a file that may be read") from None


def card(path: Path, data: bytes, rows: int) -> dict[str, Any]:
    """What is known of the user's own file: its name, digest and size."""
    return {"source": path.name, "sha256": hashlib.sha256(data).hexdigest(), "counts": f"{rows:,} examples"}


def read_table(path: Path) -> tuple[pd.DataFrame, bytes]:
    """A CSV or Parquet file's rows, and its bytes. Refused when unreadable, empty, or with a column name twice."""
    data = contents(path)
    frame = _parquet(data, path.name) if source(path) == "parquet" else _csv(inflate(data, path.name, LIMIT), path.name)
    asked = f"the table {path.name}"
    doubled = [str(c) for c, n in Counter(frame.columns).items() if n > 1]
    if doubled:
        raise Refused(asked, f"columns named twice: {', '.join(doubled)}", "one name a column")
    if frame.empty:
        raise Refused(asked, f"{len(frame)} rows and {frame.shape[1]} columns", "at least one row and two columns")
    return frame, data


def divider(header: str) -> str:
    """What stands between the fields of a CSV file: a comma, a semicolon or a tab."""
    return max(",;\t", key=header.count)


@contextmanager
def as_csv(asked: str, mark: str) -> Iterator[None]:
    """Refuse what pandas cannot read as a table, and rows of more fields than the header has."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", pd.errors.ParserWarning)
            yield
    except Refused:
        raise
    except (ValueError, StopIteration, csv.Error, pd.errors.ParserWarning) as error:
        given = f"not a readable table ({str(error).strip()})"
        raise Refused(asked, given, f"rows of as many fields as the header has, divided by {mark!r}") from None


def _csv(data: bytes, name: str) -> pd.DataFrame:
    asked = f"the table {name}"
    try:
        text = data.decode("utf-8-sig").lstrip("\r\n")
    except UnicodeDecodeError as error:
        raise Refused(asked, f"bytes that are not UTF-8, at {error.start}", "the file saved as UTF-8") from None
    mark = divider(text.partition("\n")[0])
    with as_csv(asked, mark):
        # pandas renames the second of two equal names, so the header is read on its own.
        header = [h.strip() for h in next(csv.reader(io.StringIO(text), delimiter=mark, skipinitialspace=True))]
        frame = pd.read_csv(io.StringIO(text), sep=mark, **CSV).set_axis(header, axis=1)
    if "" in header:
        given = f"no name for column {header.index('') + 1}"
        raise Refused(asked, given, "a name for every column; from pandas to_csv(index=False)")
    return frame


def parquet(asked: str) -> Any:
    """The module ``pyarrow.parquet``; refused with how to get it where it is not installed."""
    try:
        import pyarrow.parquet

        return pyarrow.parquet
    except ImportError:
        raise Refused(asked, "no package that reads Parquet", 'pip install "labkit[parquet]"') from None


def _parquet(data: bytes, name: str) -> pd.DataFrame:
    asked = f"the table {name}"
    try:
        file = parquet(asked).ParquetFile(io.BytesIO(data))
        cells = file.metadata.num_rows * file.metadata.num_columns
        if cells * 8 > LIMIT:
            raise Refused(asked, f"{cells:,} cells", f"at most {LIMIT // 8:,} cells")
        # The metadata say which columns were an index; here they are columns like the others.
        frame = file.read().replace_schema_metadata(None).to_pandas()
    except Refused:
        raise
    except Exception as error:  # pyarrow's own, OSError, UnicodeDecodeError and more
        raise Refused(asked, f"not a readable Parquet file ({error})", "the file as it was written") from None
    return frame.loc[:, [not str(c).startswith("__index_level_") for c in frame.columns]]


def codes(values: pd.Series, classes: Sequence[str] | None, asked: str) -> tuple[np.ndarray, tuple[str, ...]]:
    """(n,) class indices and the class names, from labels of any kind.

    Args:
        values: the labels; whole numbers are ordered as numbers, everything else as text.
        classes: the names in order, if they are known.

    Raises:
        Refused: missing labels, one class, a quantity, labels that are not among the classes.
    """
    if values.isna().any():
        rows = np.flatnonzero(values.isna().to_numpy())
        first = f"{len(rows)} missing labels (first in row {rows[0]}, counted from 0)"
        raise Refused(asked, first, "a label for every example: drop those rows")
    number = is_quantity(values)
    present = values.unique()
    if len(present) > _MOST_CLASSES or (number and not all(float(v).is_integer() for v in present)):
        raise Refused(asked, f"a quantity with {len(present)} values as target", "classes: cut the quantity into bands")
    if len(present) < 2:
        raise Refused(asked, f"one class: {', '.join(map(str, present))}", "labels of at least two classes")
    names = labels(values)
    known = tuple(map(str, classes)) if classes is not None else tuple(sorted(set(names.tolist()), key=_order(number)))
    if len(set(known)) != len(known):
        raise Refused(asked, "a class that is named twice", "one name a class")
    strange = sorted(set(names.tolist()) - set(known))
    if strange:
        raise Refused(asked, f"labels {strange[:5]} that are not among the classes {list(known)}", "all class names")
    code = {c: i for i, c in enumerate(known)}
    return np.array([code[n] for n in names.tolist()], np.int64), known


def _order(number: bool) -> Any:
    return float if number else str
