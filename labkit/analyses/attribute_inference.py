"""Does a model tell an outsider what it has seen of a person?"""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np

from labkit.analyses._columns import place
from labkit.analyses._examples import count, input_space
from labkit.analyses._guard import DEFAULT_BATCH, Run, as_split, check_classifier, logits, probabilities, unchanged
from labkit.analyses._membership import rows as drawing
from labkit.analyses._membership.blind import quietly
from labkit.analyses._preflight import preflight
from labkit.core.refused import Refused
from labkit.data.split import Dataset, Split
from labkit.models.classifier import Classifier
from labkit.records.attribute_inference import AttributeInference

ASKED = "attribute_inference"
KNOWN = 5000  # people from whom the outsider learns, at most
MOST = 20  # values that are tried, the most frequent first
GUESSES = (
    "always the most frequent value",
    "the other columns and the label alone",
    "the model and how frequent values are",
    "the model and the other columns",
)


def attribute_inference(
    model: Classifier,
    data: Dataset,
    feature: str | int,
    *,
    bands: int = 4,
    rows: int = 4000,
    seed: int = 0,
    batch_size: int = DEFAULT_BATCH,
) -> AttributeInference:
    """What an outsider learns of one column of a person by asking the model, knowing all other columns and the label.

    The model is asked with every value that the column may have, and the value is guessed under which the label is most
    probable, weighed by how frequent the value is (Fredrikson, Jha and Ristenpart, 2015, doi 10.1145/2810103.2813677) or
    how probable the other columns make it. That is a leak only as far as it does better than a guess from the other
    columns and the label that never asks the model (Jayaraman and Evans, 2022, arXiv 2209.01292), and more so about people
    whom the model was trained on than about others (Yeom et al., 2018, arXiv 1709.01604): what a model says of everyone
    is what it has learned, not whom it remembers.

    Args:
        data: a table: what the model was trained on (train) and was not (test).
        feature: the column. Of a category's values at most the 20 most frequent are tried.
        bands: a number with more values than this is guessed to a band: so many of equally many people.
        rows: at most so many people, trained on and not together.

    Raises:
        Refused: data that are no table, an unknown column or one of a single value, the same rows as training and as test
            data, fewer than 30 rows of either that stand in the data once, and whatever preflight finds.
    """
    check_classifier(model, ASKED)
    if not isinstance(data, Dataset):
        raise Refused(ASKED, f"data of type {type(data).__name__}", "a table with .train and .test")
    if data.schema.modality != "tabular":
        instead = "a table with named columns; labkit.membership_inference asks who was trained on, of any data"
        raise Refused(ASKED, f"{data.name}, {data.schema.modality} data without columns", instead)
    count(f"{ASKED} with these settings", "bands", bands, 2, MOST)
    count(f"{ASKED} with these settings", "rows", rows, 2 * drawing.LEAST, 10_000_000)
    column = place(ASKED, data.train, feature)
    about = {part: as_split(split, model)[2] for part, split in (("train", data.train), ("test", data.test))}
    name = data.schema.features[column].name
    run = Run(ASKED, {"feature": name, "bands": bands, "rows": rows}, seed, model, about, batch_size)
    hashes = np.concatenate(drawing.hashes(data))
    sizes = len(data.train), len(data.test)
    drawn = drawing.draw(ASKED, hashes, sizes, rows, seed, aside=0.5, most=KNOWN)
    people, known = drawn.among(data)
    preflight(run, model, people.x, people.y)
    tried, named, code = _values(known, column, bands)
    truth, usual = code(people.x[:, column]), code(known.x[:, column])
    share = np.bincount(usual[usual >= 0], minlength=len(tried)) / max(1, (usual >= 0).sum())
    with unchanged(model):
        fits = _asked(run, model, people, column, tried)
    others, told = (_from_columns(known, people, column, usual, len(tried), label, seed) for label in (False, True))
    chances = [np.broadcast_to(share, fits.shape), told, share * fits, others * fits]
    if drawn.copies:
        run.warn(f"{drawn.copies} rows stand in the data more than once and were left out of both sides")
    return AttributeInference(
        provenance=run.provenance(),
        warnings=tuple(run.warnings),
        model=model.name,
        feature=name,
        values=named,
        guesses=GUESSES,
        hit=np.stack([p.argmax(1) == truth for p in chances]),
        member=drawn.member,
        position=drawn.position,
        known=len(known),
        copies=drawn.copies,
    )


def _values(known: Split, column: int, bands: int) -> tuple[np.ndarray, tuple[str, ...], Any]:
    """What is tried for the column, in words, and the place in that list of (n,) values; -1 for a value not in it."""
    feature, seen = known.schema.features[column], known.x[:, column]
    values, times = np.unique(seen, return_counts=True)
    if len(values) < 2:
        given = f"one value of {feature.name} in {len(known)} rows"
        raise Refused(f"{ASKED} of {feature.name}", given, "a column in which people differ")
    if feature.kind == "categorical" or len(values) <= bands:
        tried = np.sort(values[np.argsort(-times, kind="stable")[:MOST]])
        named = [feature.categories[int(v)] if feature.kind == "categorical" else f"{v:g}" for v in tried]

        def code(x: np.ndarray) -> np.ndarray:
            at = np.minimum(np.searchsorted(tried, x), len(tried) - 1)
            return np.where(tried[at] == x, at, -1)

        return tried, tuple(named), code
    edges = np.unique(np.quantile(seen, np.arange(1, bands) / bands, method="inverted_cdf"))
    # where most people share the greatest value, there are two bands: it, and all below
    edges = edges[edges < values[-1]] if edges[0] < values[-1] else values[-2:-1]
    band = np.searchsorted(edges, seen, side="left")
    middle = np.array([np.quantile(seen[band == b], 0.5, method="inverted_cdf") for b in range(len(edges) + 1)])
    ends = [f"at most {edges[0]:g}", *(f"above {a:g} to {b:g}" for a, b in pairwise(edges)), f"above {edges[-1]:g}"]
    return middle.astype(seen.dtype), tuple(ends), lambda x: np.searchsorted(edges, x, side="left")


def _asked(run: Run, model: Classifier, people: Split, column: int, tried: np.ndarray) -> np.ndarray:
    """(n, values) the probability of each person's label when the column is set to each value."""
    fits = np.zeros((len(people), len(tried)))
    for i, value in enumerate(tried):
        x = people.x.copy()
        x[:, column] = value
        fits[:, i] = probabilities(logits(run, model, x, "asking with each value"))[np.arange(len(x)), people.y]
    return fits


def _from_columns(
    known: Split, people: Split, column: int, truth: np.ndarray, values: int, label: bool, seed: int
) -> np.ndarray:
    """(n, values) probabilities of the column's values given the other columns, and the label where ``label``: the mean of
    a logistic regression and boosted trees, fitted to the people whom the outsider knows."""
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.linear_model import LogisticRegression

    blank = [replace(part, x=np.where(np.arange(part.x.shape[1]) == column, 0, part.x)) for part in (known, people)]
    encode = input_space(blank[0])[1]
    fitted, asked = (np.hstack([encode(part.x), np.eye(len(part.classes))[part.y] * label]) for part in blank)
    kept = truth >= 0
    found = np.zeros((len(people), values))
    # a tree is grown for each value and round: as many trees for twenty values as for two
    trees = HistGradientBoostingClassifier(max_iter=max(10, 120 // values), random_state=seed)
    models = LogisticRegression(max_iter=200), trees
    for model in models:
        quietly(lambda: model.fit(fitted[kept], truth[kept]))  # noqa: B023
        found[:, model.classes_] += model.predict_proba(asked) / len(models)
    return found
