"""Can a small tree stand for the model, and what does the model have that a readable one has not?"""

from __future__ import annotations

from typing import Any

import numpy as np

from labkit.analyses._columns import require_table
from labkit.analyses._guard import DEFAULT_BATCH, Run, as_split
from labkit.analyses.baselines import baselines
from labkit.analyses.predict import predict
from labkit.core import intervals, resampling
from labkit.core.refused import Refused
from labkit.data.schema import Feature
from labkit.data.split import Dataset
from labkit.models.classifier import Classifier
from labkit.records.surrogate import Surrogate

ASKED = "surrogate"
LEAST = 0.005  # share of the training rows that a leaf has at least


def surrogate(
    model: Classifier,
    data: Dataset,
    *,
    depth: int = 4,
    rows: int = 20_000,
    seed: int = 0,
    batch_size: int = DEFAULT_BATCH,
) -> Surrogate:
    """Trees of depth 1 to ``depth`` fitted to the model's own answers (Craven and Shavlik, 1995), with their fidelity on
    test rows: how often they answer as the model does, beside always giving its most frequent answer.

    A tree explains the model as far as it agrees with it; how well it does on the labels is another matter and stands
    beside. So does the model's lead over the best readable model fitted to the labels (``labkit.baselines``): what the
    black box buys.

    Args:
        data: a table with training and test rows.
        depth: of the deepest tree. rows: training rows at most, drawn by ``seed``.

    Raises:
        Refused: data that are no table, a depth below 1, a model with one answer on all training rows.
    """
    if not isinstance(data, Dataset):
        raise Refused(ASKED, f"data of type {type(data).__name__}", "a data set with .train and .test")
    train, test = require_table(ASKED, data.train), require_table(ASKED, data.test)
    if not isinstance(depth, int | np.integer) or isinstance(depth, bool) or not 1 <= depth <= 10:
        raise Refused(ASKED, f"depth={depth!r}", "a whole number from 1 to 10")
    if len(train) > rows:
        train = train[np.sort(resampling.stream(seed, ASKED).permutation(len(train))[:rows])]
    run = Run(ASKED, {"depth": depth, "rows": rows}, seed, model, as_split(test, model)[2], batch_size)
    taught, told = (predict(model, part, batch_size=batch_size) for part in (train, test))
    sure, wanted = (np.asarray(p.proba) for p in (taught, told))
    if len(np.unique(taught.label)) < 2:
        given = f"one answer, {model.classes[taught.label[0]]!r}, on all {len(train)} training rows"
        raise Refused(f"{ASKED} of {model.name}", given, "a model with more than one answer")
    columns = [c for i, f in enumerate(train.schema.features) for c in _columns(i, f)]
    seen, new = (_coded(part.x, columns) for part in (train, test))
    trees = [_tree(seen, taught.label, d, seed) for d in range(1, depth + 1)]
    says = np.stack([tree.predict(new) for tree in trees])
    hits = (says == told.label).sum(1)
    low, high = intervals.wilson(hits, np.full(len(hits), len(test)))
    leaf = trees[-1].apply(new)
    where = {int(k): rule for k, rule in _rules(trees[-1].tree_, columns, train.schema.features)}
    order = sorted(where, key=lambda k: -int((leaf == k).sum()))
    right, tree_right = told.label == test.y, says[-1] == test.y
    ends = intervals.paired((right & ~tree_right).sum(), (tree_right & ~right).sum(), len(test))
    readable = baselines(told, data, "accuracy", seed=seed)
    best, lead = readable.hardest, readable.ahead
    return Surrogate(
        provenance=run.provenance(),
        warnings=told.warnings,
        depths=np.arange(1, depth + 1),
        leaves=np.array([tree.get_n_leaves() for tree in trees]),
        agreement=hits / len(test),
        agreement_low=low,
        agreement_high=high,
        majority=float(np.mean(told.label == np.bincount(taught.label).argmax())),
        explained=_explained(trees[-1].apply(seen), sure, leaf, wanted),
        rules=tuple(where[k] for k in order),
        answer=tuple(model.classes[int(trees[-1].classes_[trees[-1].tree_.value[k][0].argmax()])] for k in order),
        covers=np.array([(leaf == k).sum() for k in order]),
        agrees=np.array([((leaf == k) & (says[-1] == told.label)).sum() for k in order]),
        model_accuracy=float(right.mean()),
        tree_accuracy=float(tree_right.mean()),
        difference=float(right.mean() - tree_right.mean()),
        difference_low=float(ends[0]),
        difference_high=float(ends[1]),
        glass_box=readable.baselines[best],
        gap=float(lead[0][best]),
        gap_low=float(lead[1][best]),
        gap_high=float(lead[2][best]),
        n=len(test),
        n_train=len(train),
    )


def _columns(i: int, feature: Feature) -> list[tuple[int, int]]:
    """What a tree asks of a feature: its number, or whether it is one of its categories (column, code)."""
    return [(i, code) for code in range(len(feature.categories))] if feature.categories else [(i, -1)]


def _coded(x: np.ndarray, columns: list[tuple[int, int]]) -> np.ndarray:
    return np.stack([x[:, i] if code < 0 else x[:, i] == code for i, code in columns], 1).astype(np.float32)


def _tree(x: np.ndarray, answer: np.ndarray, depth: int, seed: int) -> Any:
    from sklearn.tree import DecisionTreeClassifier

    least = max(5, int(LEAST * len(x)))
    return DecisionTreeClassifier(max_depth=depth, min_samples_leaf=least, random_state=seed).fit(x, answer)


def _explained(leaf: np.ndarray, proba: np.ndarray, new_leaf: np.ndarray, new: np.ndarray) -> float:
    """The share of the variance of the model's probabilities, over all classes, that their means in the leaves explain."""
    means = {k: proba[leaf == k].mean(0) for k in np.unique(leaf)}
    guess = np.stack([means[k] for k in new_leaf])
    spread = ((new - new.mean(0)) ** 2).sum()
    return float(1 - ((new - guess) ** 2).sum() / spread) if spread > 0 else float("nan")


def _rules(tree: Any, columns: list[tuple[int, int]], features: tuple[Feature, ...]) -> list[tuple[int, str]]:
    """Each leaf's number with the path to it in words."""
    found: list[tuple[int, str]] = []

    def walk(node: int, path: dict[tuple[int, int, int], str]) -> None:
        if tree.children_left[node] < 0:
            found.append((node, " and ".join(path.values()) or "always"))
            return
        i, code = columns[tree.feature[node]]
        name, unit = features[i].name, f" {features[i].unit}" if features[i].unit else ""
        if code >= 0:
            words = f"{name} is not {features[i].categories[code]}", f"{name} is {features[i].categories[code]}"
        else:
            cut = f"{tree.threshold[node]:.6g}{unit}"
            words = f"{name} at most {cut}", f"{name} above {cut}"
        # a second cut of the same column from the same side is narrower, and says it all
        for side, child in enumerate((tree.children_left[node], tree.children_right[node])):
            walk(child, {**path, (i, code, side): words[side]})

    walk(0, {})
    return found
