"""A large table part by part, so that memory does not grow with it."""

from __future__ import annotations

import csv
import gzip
import io
import zlib
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from itertools import dropwhile
from pathlib import Path
from typing import Any

import pandas as pd

from labkit.core.refused import Refused, unknown
from labkit.data.reading import CSV, as_csv, divider, parquet


@contextmanager
def _as_parquet(asked: str) -> Iterator[Any]:
    """``pyarrow.parquet``, whose errors become refusals."""
    module = parquet(asked)
    try:
        yield module
    except Refused:
        raise
    except Exception as error:  # pyarrow's own, OSError, UnicodeDecodeError and more
        raise Refused(asked, f"not a readable Parquet file ({error})", "the file as it was written") from None


def parquet_rows(path: Path) -> int:
    """How many rows a Parquet file says that it has. Refused when it is not readable."""
    with _as_parquet(f"the table {path.name}") as module:
        return int(module.read_metadata(path).num_rows)


def parquet_parts(path: Path, columns: Sequence[str], rows: int) -> Iterator[pd.DataFrame]:
    """Columns of a Parquet file, so many rows at a time; texts as categories.

    Raises:
        Refused: a column that is not there; a file that is not readable.
    """
    with _as_parquet(f"the table {path.name}") as module:
        schema = module.read_schema(path)
        _require(columns, schema.names, path)
        texts = [c for c in columns if str(schema.field(c).type) == "string"]
        with module.ParquetFile(path, read_dictionary=texts) as file:
            for batch in file.iter_batches(rows, columns=list(columns)):
                # The metadata say which columns were an index; here they are columns like the others.
                yield batch.replace_schema_metadata(None).to_pandas()


def csv_parts(path: Path, columns: Sequence[str], rows: int, numbers: Collection[str] = ()) -> Iterator[pd.DataFrame]:
    """Columns of a CSV file, so many rows at a time: ``numbers`` as such, the others as categories of texts.

    Raises:
        Refused: a column that is not there; a file that is not a table, or not UTF-8.
    """
    asked = f"the table {path.name}"
    opened = gzip.open if path.suffix == ".gz" else open
    try:
        with opened(path, "rt", encoding="utf-8-sig", newline="") as file:
            first = next(dropwhile(lambda line: not line.strip("\r\n"), file), "")
        mark = divider(first)
        with as_csv(asked, mark):
            header = [h.strip() for h in next(csv.reader([first], delimiter=mark, skipinitialspace=True))]
        _require(columns, header, path)
        types = {c: float if c in numbers else "category" for c in columns}
        with (
            as_csv(asked, mark),
            pd.read_csv(
                path, sep=mark, header=0, names=header, dtype=types, chunksize=rows, encoding="utf-8-sig", **CSV
            ) as parts,
        ):
            for part in parts:
                yield part[list(columns)]
    except UnicodeDecodeError as error:
        raise Refused(asked, f"bytes that are not UTF-8, at {error.start}", "the file saved as UTF-8") from None
    except (OSError, EOFError, zlib.error) as error:
        raise Refused(asked, f"a file that cannot be read ({error})", "the file as it was written") from None


def inferred(column: pd.Series) -> pd.Series:
    """A column of texts as pandas would have read it whole: numbers where all of them are, truth values, or texts."""
    code, texts = pd.factorize(column)
    written = io.StringIO()
    csv.writer(written).writerows([text] for text in ["", *texts])
    values = pd.read_csv(io.StringIO(written.getvalue()), header=0, names=["value"], skip_blank_lines=False, **CSV)
    taken = pd.api.extensions.take(values["value"].array, code, allow_fill=True)
    return pd.Series(taken, index=column.index, name=column.name)


def _require(columns: Sequence[str], present: Sequence[str], path: Path) -> None:
    asked = f"the table {path.name}"
    doubled = [c for c, n in Counter(present).items() if n > 1]
    if doubled:
        raise Refused(asked, f"columns named twice: {', '.join(doubled)}", "one name a column")
    if "" in present:
        given = f"no name for column {list(present).index('') + 1}"
        raise Refused(asked, given, "a name for every column; from pandas to_csv(index=False)")
    for column in columns:
        if column not in present:
            raise unknown(f"the column {column!r} of the table {path.name}", column, present)
