"""Are the answers to the test data already in the training data?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from labkit.analyses import _examples
from labkit.analyses._cues import cues
from labkit.analyses._guard import Run
from labkit.analyses._leakage import columns as alone
from labkit.analyses._leakage import copies, near, people
from labkit.analyses._leakage.found import NAN, columns
from labkit.analyses.predict import row_hashes
from labkit.core import intervals
from labkit.core.refused import Refused
from labkit.data.split import Dataset, Split
from labkit.records.leakage import Leakage
from labkit.records.predict import Predictions

ASKED = "leakage"
LEAST = 30
NUMBERS = ("hits", "of", "value", "low", "high", "usual", "p")


def leakage(
    data: Dataset,
    *,
    ids: Sequence[str] = (),
    time: str | None = None,
    frames: Sequence[Any] | None = None,
    predictions: Predictions | None = None,
    rows: int = 2000,
    show: int = 0,
    seed: int = 0,
) -> Leakage:
    """Ways in which the answers to the test rows may already be in the training rows, one row a kind.

    Exact and near copies of training rows (rows of a table by scaled distance, pictures also shifted by a few pixels,
    mirrored or brightened, texts by words and pairs of words), judged against the distances usual within the training
    data; ids on both sides; training rows later than test rows; single columns, missing values and row order that tell
    the label; single readings that tell test from training rows. The eight kinds of Kapoor and Narayanan, 2023 (doi
    10.1016/j.patter.2023.100804), as far as data alone can tell: whether steps before the split saw all rows is asked by
    ``labkit.random_labels(procedure=...)``, the whole procedure on permuted labels.

    Args:
        ids: columns that name a person or thing; without any, columns that are called an id and have at most
            10 training rows a value.
        time: the column that says when a row came about, in dates or numbers.
        frames: pandas tables of the training and the test part with further columns, a row an example in their order.
        predictions: of ``data.test``: what the copies are worth to the accuracy.
        rows: test rows that are looked at for near copies (and half as many training rows for the usual distance).
        show: how many pairs of copies are kept as pictures or text; they are people's rows, so none unless asked.

    Raises:
        Refused: data without two parts of at least 30 rows, the same part twice, unknown columns, predictions on other
            rows.
    """
    options = {"ids": list(ids), "time": time, "frames": frames is not None, "rows": rows, "show": show}
    _check(data, predictions, rows, show)
    train, test = data
    run = Run(ASKED, options, seed, data={"train": train.describe(), "test": test.describe()})
    named = columns(ASKED, data, frames)
    whole = _whole(train, test)
    code = np.unique(row_hashes(whole.x), return_inverse=True)[1]
    if len(train) == len(test) and np.array_equal(np.sort(code[: len(train)]), np.sort(code[len(train) :])):
        raise Refused(ASKED, f"the same {len(test)} rows as train and test", "test rows that were held out of training")
    space = near.space(train, whole, code)
    twins = copies.search(data, space, code, rows, seed)
    readings = [(a.name, a.values, b.values, a.coded) for a, b in zip(cues(train), cues(test), strict=True)]
    found = [
        *twins.found,
        *people.shared(ASKED, named, ids),
        people.later(ASKED, named, time),
        *alone.single(data, seed),
        alone.order(data, named),
        alone.apart(readings, seed),
    ]
    shown = slice(0, min(show, len(twins.rows)))
    pairs = np.column_stack([twins.twin, twins.rows])
    arrays: dict[str, Any] = {k: np.array([getattr(f, k) for f in found]) for k in NUMBERS}
    return Leakage(
        provenance=run.provenance(),
        warnings=tuple(run.warnings),
        n_train=len(train),
        n_test=len(test),
        leak=tuple(f.kind for f in found),
        subject=tuple(f.subject for f in found),
        **arrays,
        note=tuple(f.note for f in found),
        missing=tuple(f.missing for f in found),
        about=space.about,
        usual_distance=twins.usual,
        classes=data.classes,
        pairs=pairs,
        pair_distance=twins.distance,
        pair_label=np.column_stack([train.y[pairs[:, 0]], test.y[pairs[:, 1]]]),
        **_shown(whole, pairs[shown] + [0, len(train)]),
        **_worth(predictions, twins.rows),
    )


def _check(data: Any, predictions: Predictions | None, rows: int, show: int) -> None:
    if not isinstance(data, Dataset):
        given = f"a {type(data).__name__}: what leaks from one part to another takes both"
        raise Refused(ASKED, given, "a data set with .train and .test, labkit.data.Dataset(name, train, test)")
    if min(len(data.train), len(data.test)) < LEAST:
        given = f"{len(data.train)} training and {len(data.test)} test rows"
        raise Refused(ASKED, given, f"at least {LEAST} rows in each part")
    if data.train is data.test:
        raise Refused(ASKED, "the same part as train and test", "test rows that were held out of training")
    if rows < 2 * LEAST or show < 0:
        raise Refused(ASKED, f"rows={rows}, show={show}", f"rows={2 * LEAST} or more, and show=0 or more")
    if predictions is not None and not np.array_equal(predictions.y, data.test.y):
        raise Refused(
            ASKED, f"{len(predictions)} predictions on other rows than {data.test.name}", "those on data.test"
        )


def _whole(train: Split, test: Split) -> Split:
    """Both parts after one another, without groups."""
    x, y = (np.concatenate([getattr(s, part) for s in (train, test)]) for part in ("x", "y"))
    texts = train.texts + test.texts if train.texts and test.texts else ()
    return replace(train, x=x, y=y, groups={}, texts=texts)


def _shown(whole: Split, pairs: np.ndarray) -> dict[str, Any]:
    if not len(pairs):
        return {}
    return {"pictures": _examples.pictures(whole, pairs), "texts": _examples.all_texts(whole, pairs)}


def _worth(p: Predictions | None, copied: np.ndarray) -> dict[str, Any]:
    """Accuracy on all test rows, without the copies, and on the copies."""
    if p is None:
        return {"accuracy": np.full((3, 3), NAN), "cost": (NAN,) * 3}
    right, inside = p.label == p.y, np.isin(np.arange(len(p)), copied)
    hits = np.array([right.sum(), right[~inside].sum(), right[inside].sum()])
    n = np.array([len(p), (~inside).sum(), inside.sum()])
    low, high = intervals.wilson(hits, n)
    with np.errstate(invalid="ignore", divide="ignore"):
        share = hits / n
    ends = intervals.newcombe(hits[2], n[2], hits[1], n[1])
    return {
        "accuracy": np.column_stack([share, low, high]),
        "cost": (float(share[2] - share[1]), float(ends[0]), float(ends[1])),
    }
