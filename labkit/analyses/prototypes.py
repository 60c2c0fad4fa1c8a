"""Which few examples stand for a class as the model sees it, and which does it leave out?"""

from __future__ import annotations

from typing import Any

import numpy as np

from labkit.analyses import _examples
from labkit.analyses._guard import DEFAULT_BATCH, Run, check_classifier, unchanged
from labkit.analyses._preflight import preflight
from labkit.core import intervals, progress
from labkit.core.refused import Refused
from labkit.core.resampling import stream
from labkit.data.split import Split
from labkit.models.classifier import Classifier
from labkit.models.features import layer as find_layer
from labkit.records.prototypes import Prototypes

PAIRS = 2_000_000  # kernel values held at once, at most


def prototypes(
    model: Classifier,
    data: Split,
    test: Split | None = None,
    *,
    count: int = 4,
    criticisms: int = 2,
    layer: str = "",
    draws: int = 50,
    seed: int = 0,
    batch_size: int = DEFAULT_BATCH,
) -> Prototypes:
    """Prototypes and criticisms of each class by a layer's features (MMD-critic: Kim, Khanna and Koyejo, 2016, Advances
    in Neural Information Processing Systems 29).

    Prototypes are chosen one by one so that the kernel distance between the class and them falls most; criticisms are
    examples that the class has in plenty and its prototypes lack, or the other way round, and that differ from each
    other. Their worth is the accuracy on ``test`` of the class of the nearest prototype, beside that of as many random
    examples of each class: prototypes that do no better summarise nothing.

    Args:
        data: examples to choose from, by their labels; classes with fewer than ``count + criticisms`` are refused.
        test: other examples, for the worth; None leaves it out.
        count, criticisms: how many of each class.
        layer: a submodule by name, "outputs", or "head" (what the last linear layer takes in), also when empty.
        draws: random choices that the prototypes are compared with.

    Raises:
        Refused: whatever preflight finds; an unknown layer; classes with too few examples.
    """
    asked = f"prototypes on {getattr(model, 'name', model)}"
    check_classifier(model, asked)
    run = Run("prototypes", {}, seed, model, {}, batch_size)
    split = _examples.labelled(asked, "examples", data, model.classes)
    held = None if test is None else _examples.labelled(asked, "test examples", test, model.classes, split.x)
    count = _examples.count(asked, "count", count, 1, 100)
    criticisms = _examples.count(asked, "criticisms", criticisms, 0, 100)
    draws = _examples.count(asked, "draws", draws, 2, 10_000)
    run.options = {"count": count, "criticisms": criticisms, "layer": layer, "draws": draws}
    run.data = {"examples": split.describe(), **({} if held is None else {"test": held.describe()})}
    present, sizes = np.unique(split.y, return_counts=True)
    if sizes.min() < count + criticisms:
        given = f"{sizes.min()} examples of {model.classes[present[sizes.argmin()]]!r}"
        raise Refused(asked, given, f"at least {count + criticisms} of each class, or a smaller count")
    preflight(run, model, split.x, split.y)
    with unchanged(model):
        place = find_layer(model, model.tensor(split.x[:8]), layer)
        features, logits = _examples.features(run, place, split.x)
        tested = None if held is None else _examples.features(run, place, held.x)
    generator = stream(seed, "prototypes")
    parts = []
    for done, c in enumerate(present):
        progress.step("prototypes", done, len(present))
        parts.append(_of_class(features, np.flatnonzero(split.y == c), count, criticisms, draws, generator))
    index, criticism, random, cover, random_cover, gamma = (np.array(v) for v in zip(*parts))
    worth = _worth(features, split, index, random, tested, held)
    answer = logits.argmax(1)
    return Prototypes(
        provenance=run.provenance(),
        warnings=tuple(run.warnings),
        layer=place.name,
        classes=tuple(model.classes[c] for c in present),
        answers=model.classes,
        gamma=gamma,
        n=sizes,
        index=index,
        criticism=criticism,
        predicted=answer[index],
        criticism_predicted=answer[criticism],
        cover=cover,
        random_cover=random_cover,
        pictures=_examples.pictures(split, index),
        criticism_pictures=_examples.pictures(split, criticism),
        texts=_examples.all_texts(split, index),
        criticism_texts=_examples.all_texts(split, criticism),
        **worth,
    )


def _of_class(
    features: np.ndarray, rows: np.ndarray, count: int, criticisms: int, draws: int, generator: np.random.Generator
) -> tuple[Any, ...]:
    """Prototypes, criticisms, random choices, what is left uncovered by each, and the kernel's width."""
    z = features[rows].astype(np.float64)
    gamma = _gamma(z, generator)
    mean = _mean_kernel(z, gamma)
    whole = float(mean.mean())
    chosen, cover = _greedy(z, mean, whole, gamma, count)
    random = np.array([generator.permutation(len(z))[:count] for _ in range(draws)])
    random_cover = np.mean([_covers(z, mean, whole, gamma, r) for r in random], 0)
    odd = _criticisms(z, mean, gamma, chosen, criticisms)
    return rows[chosen], rows[odd], rows[random], cover, random_cover, gamma


def _squared(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.maximum(np.square(a).sum(1)[:, None] - 2 * a @ b.T + np.square(b).sum(1), 0)


def _gamma(z: np.ndarray, generator: np.random.Generator) -> float:
    """One over the median squared distance of pairs."""
    some = z[generator.permutation(len(z))[:500]]
    apart = _squared(some, some)[np.triu_indices(len(some), 1)]
    return 1 / (float(np.median(apart)) or 1.0)


def _mean_kernel(z: np.ndarray, gamma: float) -> np.ndarray:
    """(n,) the mean of each example's kernel with all."""
    step = max(1, PAIRS // len(z))
    return np.concatenate([np.exp(-gamma * _squared(z[i : i + step], z)).mean(1) for i in range(0, len(z), step)])


def _greedy(z: np.ndarray, mean: np.ndarray, whole: float, gamma: float, count: int) -> tuple[np.ndarray, np.ndarray]:
    """The examples that bring the squared discrepancy down most, one by one, and what each leaves of it."""
    chosen: list[int] = []
    total, inner, outer = np.zeros(len(z)), 0.0, 0.0  # sums of the kernel with, and among, those chosen
    left = []
    for size in range(1, count + 1):
        after = (inner + 2 * total + 1) / size**2 - 2 * (outer + mean) / size + whole
        after[chosen] = np.inf
        best = int(after.argmin())
        left.append(after[best])
        inner, outer = inner + 2 * total[best] + 1, outer + mean[best]
        total = total + np.exp(-gamma * _squared(z, z[[best]])[:, 0])
        chosen.append(best)
    return np.array(chosen), np.maximum(left, 0)


def _covers(z: np.ndarray, mean: np.ndarray, whole: float, gamma: float, chosen: np.ndarray) -> np.ndarray:
    """What is left of the squared discrepancy after the first, the first two, ... of those chosen."""
    kernel = np.exp(-gamma * _squared(z[chosen], z[chosen]))
    size = np.arange(1, len(chosen) + 1)
    inner = np.array([kernel[:s, :s].sum() for s in size])
    return np.maximum(inner / size**2 - 2 * np.cumsum(mean[chosen]) / size + whole, 0)


def _criticisms(z: np.ndarray, mean: np.ndarray, gamma: float, chosen: np.ndarray, count: int) -> np.ndarray:
    """The examples where class and prototypes differ most in density, kept apart by the log determinant of their kernel:
    each new one counts as far as those before do not explain it."""
    gap = np.abs(mean - np.exp(-gamma * _squared(z, z[chosen])).mean(1))
    odd: list[int] = []
    for _ in range(count):
        gain = gap.copy()
        if odd:
            cross = np.exp(-gamma * _squared(z, z[odd]))
            inner = np.exp(-gamma * _squared(z[odd], z[odd])) + 1e-9 * np.eye(len(odd))
            gain += np.log(np.maximum(1 - (cross * np.linalg.solve(inner, cross.T).T).sum(1), 1e-12))
        gain[[*chosen, *odd]] = -np.inf
        odd.append(int(gain.argmax()))
    return np.array(odd, np.int64)


def _worth(
    features: np.ndarray,
    split: Split,
    index: np.ndarray,
    random: np.ndarray,
    tested: tuple[np.ndarray, np.ndarray] | None,
    held: Split | None,
) -> dict[str, Any]:
    """Accuracy of the nearest prototype's class on test examples, beside random examples in the prototypes' place."""
    if tested is None or held is None:
        none = (float("nan"),) * 3
        empty = np.full(random.shape[1], np.nan)
        return {"tested": 0, "accuracy": none, "random": empty, "better": none, "model_accuracy": float("nan")}
    z, logits = tested

    def right(rows: np.ndarray) -> np.ndarray:
        near = _squared(z.astype(np.float64), features[rows].astype(np.float64)).argmin(1)
        return np.asarray(split.y[rows][near] == held.y)

    own = right(index.ravel())
    others = np.array([right(random[:, i].ravel()) for i in range(random.shape[1])])
    low, high = intervals.wilson(own.sum(), len(own))
    gain = own - others.mean(0)
    ends = intervals.paired(np.maximum(gain, 0).sum(), np.maximum(-gain, 0).sum(), len(gain))
    return {
        "tested": len(held),
        "accuracy": (float(own.mean()), float(low), float(high)),
        "random": others.mean(1),
        "better": (float(gain.mean()), float(ends[0]), float(ends[1])),
        "model_accuracy": float((logits.argmax(1) == held.y).mean()),
    }
