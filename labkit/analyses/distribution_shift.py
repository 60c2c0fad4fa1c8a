"""Do the test data come from where the training data came from?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from labkit.analyses import _examples
from labkit.analyses._cues import cues
from labkit.analyses._groups.probes import encoded
from labkit.analyses._guard import Run, as_split, unchanged
from labkit.analyses._halves import same_rows
from labkit.analyses._leakage.near import filled
from labkit.analyses._preflight import preflight
from labkit.analyses._shift import features, whole
from labkit.analyses.predict import predict
from labkit.core import intervals, progress, resampling
from labkit.core.refused import Refused
from labkit.data.split import Dataset, Split
from labkit.models.classifier import Classifier
from labkit.models.features import layer as find_layer
from labkit.records.distribution_shift import DistributionShift
from labkit.records.predict import Predictions

ASKED = "distribution_shift"
LEAST, NUMBERS, WORD_DEALS = 30, 4_000_000, 599
NAN = float("nan")


def distribution_shift(
    data: Dataset | Sequence[Split],
    *,
    model: Classifier | None = None,
    predictions: Sequence[Predictions] | None = None,
    layer: str = "",
    rows: int = 1500,
    seed: int = 0,
    batch_size: int = 256,
) -> DistributionShift:
    """Whether test data are like training data: by feature, all features together, the classes' shares, and values, categories
    and words that training has not shown.

    All together: learners that tell test from training rows on rows that they have not seen, in the inputs, or with a model
    in what its layer makes of them, and the maximum mean discrepancy there. Tables by column; of texts, pictures and sounds
    what is cheap to read.

    Args:
        data: a Dataset, or two Splits, the one that is known and the one that may differ.
        model: reads the inputs for the comparison as a whole, and answers for ``predictions``.
        predictions: the model's on both parts, for the classes' shares told without test labels; those on the first part are
            best of rows that the model was not trained on.
        layer: of the model; "head" (what its last linear layer takes in) when empty.
        rows: of each part that learners are fitted to.

    Raises:
        Refused: no two parts of at least 30 rows, the same part twice, parts of other shapes, infinite values, whatever
                preflight finds.
    """
    train, test = _parts(data, rows)
    options = {"layer": layer, "rows": rows, "predictions": predictions is not None}
    run = Run(ASKED, options, seed, model, {"train": train.describe(), "test": test.describe()}, batch_size)

    def stream(*names: str) -> np.random.Generator:
        return resampling.stream(seed, ASKED, *names)

    found, names, numeric = [], [], []
    readings = list(zip(cues(train), cues(test), strict=True))
    for done, (first, other) in enumerate(readings):
        progress.step("features", done, len(readings))
        if first.name != "unknown words":  # the vocabulary is the training data's own: told by new_words
            found.append(features.feature(first.values, other.values, first.coded, stream("feature", first.name)))
            names.append(first.name)
            numeric.append(not first.coded)
    words: tuple[Any, int, float] = (NAN, NAN, NAN), 0, NAN
    if train.schema.modality == "text":
        words = features.new_words(train, test, WORD_DEALS, stream("words"))
    x, sizes, place = _vectors(run, model, train, test, layer, stream("rows"))
    told = whole.told_apart(x[0], x[1], sizes, seed, stream("folds"))
    distance, distance_p = whole.discrepancy(_plain(x[0], sizes), _plain(x[1], sizes), stream("discrepancy"))
    areas = np.array(list(told.values()))
    named = tuple(told) if model is None else ("linear probe",)
    return DistributionShift(
        provenance=run.provenance(),
        warnings=tuple(run.warnings),
        n_train=len(train),
        n_test=len(test),
        features=tuple(names),
        numeric=np.array(numeric),
        **features.tabled(found),
        words=words[0],
        words_of=words[1],
        words_p=words[2],
        learners=named,
        auc=areas[:, 0],
        auc_low=areas[:, 1],
        auc_high=areas[:, 2],
        auc_p=intervals.holm(areas[:, 3]),
        n_fit=min(len(v) for v in x),
        layer=place,
        discrepancy=distance,
        discrepancy_p=distance_p,
        classes=train.classes,
        **_classes(run, model, train, test, predictions, stream("shares")),
    )


def _parts(data: Any, rows: int) -> tuple[Split, Split]:
    instead = "a data set with .train and .test, or two Splits of one kind"
    parts = tuple(data) if isinstance(data, Dataset | list | tuple) else ()
    if len(parts) != 2 or not all(isinstance(p, Split) for p in parts):
        raise Refused(ASKED, f"a {type(data).__name__}: a shift is between two parts", instead)
    train, test = parts
    if min(len(train), len(test)) < LEAST:
        raise Refused(ASKED, f"parts of {len(train)} and {len(test)} rows", f"at least {LEAST} rows in each")
    if train.x.shape[1:] != test.x.shape[1:] or train.schema.modality != test.schema.modality:
        raise Refused(ASKED, f"inputs of shape {train.x.shape[1:]} and {test.x.shape[1:]}", instead)
    if train.classes != test.classes:
        raise Refused(ASKED, "parts with other classes", "the same classes in the same order")
    if same_rows(train.x, test.x):
        raise Refused(ASKED, "the same part twice", "test rows beside training rows")
    if any(np.isinf(p.x).any() for p in parts):
        raise Refused(ASKED, "infinite values", "finite numbers, or nan where there is none")
    if train.x.dtype.kind == "f" and any(np.isnan(p.x).all() for p in parts):
        raise Refused(ASKED, "a part without any value", instead)
    if rows < LEAST:
        raise Refused(ASKED, f"rows={rows}", f"rows={LEAST} or more")
    return train, test


def _vectors(
    run: Run, model: Classifier | None, train: Split, test: Split, layer: str, generator: np.random.Generator
) -> tuple[list[np.ndarray], list[int] | None, str]:
    """Inputs of both parts as learners take them, the sizes of a table's columns, and where they were read."""
    rows = int(run.options["rows"])
    width = max(len(train.schema.vocabulary), int(np.prod(train.schema.shape)))
    if model is not None or train.schema.modality != "tabular":
        rows = min(rows, max(200, NUMBERS // width))
    some = [s[np.sort(generator.permutation(len(s))[:rows])] for s in (train, test)]
    if model is not None:
        found = []
        for part in some:
            x, y, _ = as_split(part, model)
            preflight(run, model, x, y)
            with unchanged(model):
                place = find_layer(model, model.tensor(x[:8]), layer)
                found.append(_examples.features(run, place, x)[0].astype(np.float64))
        return found, None, place.name
    if train.schema.modality == "tabular":
        kept = ~np.all([np.isnan(s.x).all(0) for s in some], axis=0)  # trees cannot cut a column of holes
        return [s.x[:, kept] for s in some], np.array(train.schema.sizes)[kept].tolist(), "the inputs"
    # weighed by both parts together: words that are rare in one alone would tell it
    both = replace(
        some[0], x=np.concatenate([s.x for s in some]), y=np.concatenate([s.y for s in some]), groups={}, texts=()
    )
    about, encode = _examples.input_space(both)
    return [encode(s.x) for s in some], None, about


def _plain(x: np.ndarray, sizes: list[int] | None) -> np.ndarray:
    """A table's columns as plain vectors."""
    if sizes is None:
        return x
    return encoded(filled(x, x), sizes)


def _classes(
    run: Run,
    model: Classifier | None,
    train: Split,
    test: Split,
    predictions: Sequence[Predictions] | None,
    generator: np.random.Generator,
) -> dict[str, Any]:
    """The classes' shares in both parts, and those in test told by a model's answers."""
    k = len(train.classes)
    counts = np.stack([np.bincount(s.y[s.y >= 0], minlength=k) for s in (train, test)])
    n = counts.sum(1, keepdims=True)
    low, high = intervals.newcombe(counts[1], n[1], counts[0], n[0])
    p = np.array([resampling.exact_difference(counts[:, c], n[:, 0]) if n.all() else NAN for c in range(k)])
    if predictions is None and model is not None:
        predictions = [predict(model, s, batch_size=run.batch_size) for s in (train, test)]
        run.warn("the model's confusion is that on the first part; where it was trained on it, confusion is too small")
    told = np.full((3, k), NAN)
    if predictions is not None:
        source, target = predictions
        if source.classes != train.classes or target.classes != train.classes or not source.has_truth:
            raise Refused(ASKED, "predictions without truth or of other classes", "(on the first part, on the second)")
        told = whole.estimated_shares(source.y, source.label, target.label, k, generator)
    share = counts / np.maximum(n, 1)
    ends = dict(zip(("estimated", "estimated_low", "estimated_high"), told))
    return {
        "train_share": share[0],
        "test_share": share[1],
        "share_low": low,
        "share_high": high,
        "share_p": intervals.holm(p),
        **ends,
    }
