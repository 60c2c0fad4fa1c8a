"""Does a model answer by something that only happened to go with the label?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from labkit.analyses._guard import DEFAULT_BATCH, Run, as_split, logits, probabilities, unchanged
from labkit.analyses._halves import same_rows
from labkit.analyses._preflight import preflight
from labkit.analyses._shortcuts.reading import readings
from labkit.analyses._shortcuts.weighing import followed, weighed
from labkit.core import intervals, progress, resampling
from labkit.core.refused import Refused
from labkit.data.split import Dataset
from labkit.models.classifier import Classifier
from labkit.records.shortcuts import Shortcuts

ASKED = "shortcuts"
LEAST = 30


def shortcuts(
    model: Classifier,
    data: Dataset,
    *,
    cues: Mapping[str, Sequence[np.ndarray]] | None = None,
    rows: int = 2000,
    exchanged: int = 400,
    least: int = LEAST,
    seed: int = 0,
    batch_size: int = DEFAULT_BATCH,
) -> Shortcuts:
    """How far a model's answers hang on cues that are cheap to read and go with the label in training: groups and other facts
    about a row, light, contrast and edges of a picture, patches of it, the length of a text and single words, single
    columns.

    A cue may rightly tell the label. Three things tell a shortcut from it: the model is wrong where the cue disagrees with
    the label; answers go with the cue more than labels do; and the answer changes to what the cue says when the cue alone is
    exchanged for another row's, which random cues do not do.

    Args:
        data: the training part that the model learned from, and test rows. Test rows in which the cue goes with the label
            less than in training tell most.
        cues: other facts about each row that may be one: (training values, test values) by name.
        rows: test rows that are answered. exchanged: those in which cues are exchanged.
        least: rows of a level and label from which its accuracy may be the worst.

    Raises:
        Refused: no training part, the same rows twice, one class, fewer than 30 rows in a part, cues of other lengths, whatever preflight finds.
    """
    given = dict(cues or {})
    _check(data, given, rows, exchanged)
    train, test = data
    some = np.sort(resampling.stream(seed, ASKED, "rows").permutation(len(test))[:rows])
    part = test[some]
    x, y, about = as_split(part, model)
    assert y is not None
    options = {"cues": sorted(given), "rows": rows, "exchanged": exchanged, "least": least}
    run = Run(ASKED, options, seed, model, {"train": train.describe(), "test": about}, batch_size)
    preflight(run, model, x, y)
    found = readings(train, part, {k: (a, np.asarray(b)[some]) for k, (a, b) in given.items()}, seed)
    if not found:
        raise Refused(ASKED, "training data in which no cue varies", "cues= with facts about each row")
    classes, entries, groups = len(model.classes), [], []

    def answer(z: np.ndarray) -> np.ndarray:
        return logits(run, model, z).argmax(1)

    with unchanged(model):
        proba = probabilities(logits(run, model, x))
        label = proba.argmax(1)
        changed = slice(0, exchanged)
        for done, cue in enumerate(found):
            progress.step("cues", done, len(found))
            stream = resampling.stream(seed, ASKED, cue.name)
            one, group, answers = weighed(cue, train.y, y, proba, least, stream)
            one |= followed(cue, answers, train, x[changed], label[changed], answer, stream)
            entries.append(one)
            groups.append(_named(group, model.classes))
    table: dict[str, Any] = {k: np.array([e[k] for e in entries], float) for k in entries[0]}
    for name in ("agree", "disagree", "worst_n", "follow_class"):
        table[name] = table[name].astype(np.int64)
    right = label == y
    low, high = intervals.wilson(right.sum(), len(y))
    return Shortcuts(
        provenance=run.provenance(),
        warnings=tuple(run.warnings),
        model=model.name,
        classes=model.classes,
        n_train=len(train),
        n_test=len(y),
        n_exchanged=min(exchanged, len(y)),
        accuracy=(float(right.mean()), float(low), float(high)),
        majority=float((y == np.bincount(train.y, minlength=classes).argmax()).mean()),
        least=least,
        cues=tuple(cue.name for cue in found),
        column=np.array([cue.column for cue in found]),
        worst_group=tuple(groups),
        **{**table, "p": intervals.holm(table["p"])},
    )


def _check(data: Any, cues: dict[str, Sequence[np.ndarray]], rows: int, exchanged: int) -> None:
    if not isinstance(data, Dataset):
        given = f"a {type(data).__name__}: what goes with the label by chance shows in the training data"
        raise Refused(ASKED, given, "a data set with .train and .test")
    if same_rows(data.train.x, data.test.x):
        instead = "test rows that the model was not trained on, best ones in which cues go with the label less"
        raise Refused(ASKED, f"the same {len(data.test)} rows as train and test", instead)
    if min(len(data.train), len(data.test), rows, exchanged) < LEAST:
        given = f"{len(data.train)} training and {len(data.test)} test rows, rows={rows}, exchanged={exchanged}"
        raise Refused(ASKED, given, f"{LEAST} or more of each")
    if len(np.unique(data.train.y)) < 2:
        raise Refused(ASKED, "training rows of one class", "training rows of at least two classes")
    for name, values in cues.items():
        if len(values) != 2 or [len(v) for v in values] != [len(data.train), len(data.test)]:
            instead = f"({len(data.train)} training values, {len(data.test)} test values)"
            raise Refused(f"{ASKED} with the cue {name}", "values of other lengths", instead)


def _named(group: str, classes: tuple[str, ...]) -> str:
    """A class and a level in words."""
    label, _, level = group.partition(":")
    return f"{classes[int(label)]} at {level}" if label else ""
