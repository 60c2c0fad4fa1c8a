"""Ten million predictions from one Parquet file: seconds and memory of counting them and of the audit by groups.

``python -m benchmarks streaming``. The table is written in parts to a temporary folder and audited in a process of its own,
whose largest resident memory is what the operating system says of it.
"""

from __future__ import annotations

import multiprocessing
import resource
import sys
import tempfile
import time
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
import pandas as pd

import labkit as lk

PEOPLE, PART = 10_000_000, 1_000_000
METRICS = ["selection_rate", "true_positive_rate", "false_positive_rate", "accuracy"]


def people(n: int, generator: np.random.Generator) -> pd.DataFrame:
    """People of two sexes, six races and four ages with a score that knows something of the truth."""
    score = generator.beta(2, 3, n)
    return pd.DataFrame(
        {
            "id": generator.integers(0, 2**62, n),
            "approved": np.where(generator.random(n) < score, "yes", "no"),
            "score": score,
            "sex": generator.choice(["female", "male"], n),
            "race": generator.choice([f"race {i}" for i in range(6)], n),
            "age": generator.choice(["under 25", "25 to 39", "40 to 59", "60 and over"], n),
        }
    )


def write(path: Path) -> None:
    """The table, a part at a time."""
    import pyarrow
    import pyarrow.parquet

    generator, writer = np.random.default_rng(0), None
    for _ in range(PEOPLE // PART):
        table = pyarrow.Table.from_pandas(people(PART, generator), preserve_index=False)
        writer = writer or pyarrow.parquet.ParquetWriter(path, table.schema)
        writer.write_table(table)
    if writer:
        writer.close()


def audit(path: Path, answer: Connection) -> None:
    """Count and audit; send what it took and what was found."""
    start = time.perf_counter()
    p = lk.data.count_predictions(
        path, y="approved", score="score", threshold=0.5, groups=["sex", "race", "age"], classes=["no", "yes"]
    )
    counted = time.perf_counter() - start
    said = lk.says(lk.audit_groups(p, METRICS, by=["sex", "race", "age", ("sex", "race")], positive="yes"))
    seconds, busy = time.perf_counter() - start, time.process_time()
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1 if sys.platform == "darwin" else 1024)
    answer.send((counted, seconds, busy, most, len(p), p.people, said))


def main() -> None:
    """Print the size of the file, seconds, memory, and the sentence that was found."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "predictions.parquet"
        write(path)
        size = path.stat().st_size / 1024**2
        receive, send = multiprocessing.Pipe(duplex=False)
        process = multiprocessing.get_context("spawn").Process(target=audit, args=(path, send))
        process.start()
        counted, seconds, busy, most, rows, n, said = receive.recv()
        process.join()
    print(f"{n:,} people, {size:,.0f} MiB of Parquet, {rows:,} distinct rows after counting")
    print(f"counted in {counted:.1f} s, with the audit {seconds:.1f} s, of which the processor worked {busy:.1f} s")
    print(f"at most {most:,.0f} MiB of memory")
    print(said)


if __name__ == "__main__":
    main()
