"""Does a class's score follow a concept that a person named by examples?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from labkit.analyses import _asking, _examples
from labkit.analyses._explain.directions import HELD, directions
from labkit.analyses._guard import DEFAULT_BATCH, Run, as_split, batched, unchanged
from labkit.analyses._preflight import check_inputs, check_targets, preflight
from labkit.core import intervals
from labkit.core.record import array_digest
from labkit.core.refused import Refused
from labkit.core.resampling import stream
from labkit.data.split import Split
from labkit.models.classifier import Classifier
from labkit.models.features import Layer
from labkit.models.features import layer as find_layer
from labkit.records.concepts import Concepts

Examples = Split | np.ndarray | Tensor
LEAST_RANDOM = 19  # the fewest random sets from which their spread is told


def concepts(
    model: Classifier,
    data: Examples,
    concepts: Mapping[str, Examples],
    background: Examples,
    *,
    target: int | str,
    layers: str | Sequence[str] = "",
    pooled: bool = False,
    size: int = 40,
    sets: int = 8,
    random: int = 99,
    seed: int = 0,
    batch_size: int = DEFAULT_BATCH,
) -> Concepts:
    """Testing with concept activation vectors (Kim et al., 2018, arXiv 1711.11279).

    A linear classifier tells a concept's examples from ``sets`` of other examples by a layer's features; the normal of
    its plane, averaged over the sets, is the concept's direction. TCAV is the share of the inputs whose target logit
    rises along it. Random examples in a concept's place have a direction too, along which logits rise or fall: a concept
    counts only where the mean slope lies further out than theirs do. All random sets are disjoint, meet the same other
    sets, and are treated as the concept is; the concept is tested as one more draw of them (not by the paper's t-test of
    means, which calls random concepts significant), with Holm's correction over concepts and layers.

    Args:
        data: inputs at which slopes are taken; of a Split only those of the target's class.
        concepts: examples of each concept, by its name: at least 12, of which ``size`` are drawn.
        background: what inputs usually are; the random sets and those that a concept is told from are drawn from it
            without replacement, (sets + random) * size rows at the most. The concepts' examples should not be among it.
        target: the class, its index or name.
        layers: submodules by name, "outputs", or "head" (what the last linear layer takes in), also when empty. Where
            what follows is linear, all inputs have one gradient, and a share can only be 0 or 1.
        pooled: whether a map's channels are averaged over its places. A concept that may be anywhere then has one
            direction, but one that has its place loses it.
        random: fewer where the background does not suffice, 19 at the least.

    Raises:
        Refused: whatever preflight finds; a model without gradients; an unknown layer; too few examples.
    """
    asked = f"concepts on {getattr(model, 'name', model)}"
    x, y, about = as_split(data, model)
    model.require("gradients", by="concepts", instead="labkit.neighbors, which asks for a layer's features only")
    names = (layers,) if isinstance(layers, str) else tuple(layers)
    run = Run("concepts", {}, seed, model, {"examples": about}, batch_size)
    preflight(run, model, x, y)
    target = int(check_targets(asked, _asking.numbered(model, target), 1, len(model.classes))[0])
    inputs = x if y is None else x[y == target]
    if not len(inputs):
        raise Refused(asked, f"no examples of {model.classes[target]!r}", "examples of the target's class, or an array")
    arrays = {name: _inputs(asked, f"the concept {name}", model, e, x) for name, e in concepts.items()}
    pool = _inputs(asked, "the background", model, background, x)
    drawn = _drawn(asked, arrays, pool, (size, sets, random), seed)
    run.options = {"target": target, "layers": names, "pooled": pooled, "size": size, "sets": sets, "random": random}
    run.data = {
        **run.data,
        **{f"concept {k}": array_digest(v) for k, v in arrays.items()},
        "drawn": array_digest(drawn),
    }
    found = []
    with unchanged(model):
        for name in names:
            place = find_layer(model, model.tensor(x[:8]), name, pooled=pooled)
            features = _examples.features(run, place, drawn.reshape(-1, *drawn.shape[2:]))[0]
            slopes = _slopes(run, place, inputs, target)
            found.append(_at(features.reshape(*drawn.shape[:2], -1), slopes, len(arrays), sets, place.name))
    encoded = np.array([c.accuracy[:, 1] > 0.5 for c in found]).T
    return Concepts(
        provenance=run.provenance(),
        status="measured" if encoded.any() else "not_measured",
        reason="" if encoded.any() else _nothing(found, drawn.shape[1]),
        warnings=tuple(run.warnings),
        concepts=tuple(arrays),
        classes=model.classes,
        target=target,
        n=len(inputs),
        size=drawn.shape[1],
        sets=sets,
        random=len(drawn) - len(arrays) - sets,
        encoded=encoded,
        **_columns(found, len(arrays), len(inputs)),
    )


def _drawn(
    asked: str, arrays: Mapping[str, np.ndarray], pool: np.ndarray, wanted: tuple[int, int, int], seed: int
) -> np.ndarray:
    """(concepts + random + sets, size, ...) examples: the named concepts, random sets in a concept's place, and those that
    both are told from, none of the background twice."""
    size = _examples.count(asked, "size", wanted[0], 12, 10_000)
    sets = _examples.count(asked, "sets", wanted[1], 2, 1000)
    random = _examples.count(asked, "random", wanted[2], LEAST_RANDOM, 100_000)
    few = {name: len(v) for name, v in arrays.items() if len(v) < 12} or ({} if arrays else {"no concept": 0})
    if few:
        given = ", ".join(f"{n} examples of {name}" for name, n in few.items())
        raise Refused(asked, given, "at least 12 examples of each concept")
    size = min(size, *map(len, arrays.values())) if arrays else size
    random = min(random, len(pool) // size - sets)
    if random < LEAST_RANDOM:
        given = f"a background of {len(pool)} rows, for sets of {size}"
        raise Refused(asked, given, f"{(sets + LEAST_RANDOM) * size} rows at the least, or a smaller size")
    generator = stream(seed, "concepts")
    rows = generator.permutation(len(pool))[: (sets + random) * size]
    others = pool[rows].reshape(sets + random, size, *pool.shape[1:])
    named = [v[generator.permutation(len(v))[:size]] for v in arrays.values()]
    return np.concatenate([np.array(named, pool.dtype), others])


@dataclass(frozen=True)
class _Cell:
    """One layer: accuracies (concept, 3) with their ends, shares and slopes of concepts and then random sets."""

    layer: str
    accuracy: np.ndarray
    share: np.ndarray
    slope: np.ndarray
    p: np.ndarray
    same: bool


def _columns(found: list[_Cell], named: int, n: int) -> dict[str, Any]:
    """The cells' values as (concept, layer) arrays, and the random sets' as (layer, random)."""
    accuracy = np.array([c.accuracy for c in found]).transpose(2, 1, 0)
    share, p = np.array([c.share[:named] for c in found]).T, np.array([c.p for c in found]).T
    share_low, share_high = intervals.wilson(share * n, n)
    return {
        "layers": tuple(c.layer for c in found),
        "accuracy": accuracy[0],
        "accuracy_low": accuracy[1],
        "accuracy_high": accuracy[2],
        "share": share,
        "share_low": share_low,
        "share_high": share_high,
        "slope": np.array([c.slope[:named] for c in found]).T,
        "null_slope": np.array([c.slope[named:] for c in found]),
        "null_share": np.array([c.share[named:] for c in found]),
        "p": p,
        "adjusted": intervals.holm(p),
        "same_slope": np.array([c.same for c in found]),
    }


def _at(features: np.ndarray, slopes: np.ndarray, named: int, sets: int, layer: str = "") -> _Cell:
    """Directions of the concepts and of the random sets, each told from the last ``sets`` groups, and the slopes along them.

    Args:
        features: (concepts + random + sets, size, width).
    """
    middle = features[named:].reshape(-1, features.shape[2]).mean(0, np.float64).astype(np.float32)
    # one scale for all features: directions stay those of the layer's own space
    scale = float(np.sqrt(np.square(features[named:] - middle).mean(dtype=np.float64))) or 1.0
    z = (features - middle) / scale
    direction, right = directions(z[:-sets], z[-sets:])
    along = slopes @ direction.T * scale  # (inputs, concepts + random)
    slope = along.mean(0)
    accuracy = [_accuracy(values, features.shape[1]) for values in right[:named]]
    spread = np.abs(slopes - slopes.mean(0)).max()
    same = bool(spread <= 1e-5 * np.abs(slopes).max())
    return _Cell(layer, np.array(accuracy), (along > 0).mean(0), slope, _p(slope[:named], slope[named:]), same)


def _p(slope: np.ndarray, null: np.ndarray) -> np.ndarray:
    """Two-sided p-values of one more value from where the null's came: Student's t with the variance of a prediction.

    Not the t-test of a mean: a concept's directions share its examples, and however many random sets they are found
    with they remain one draw.
    """
    from scipy.special import stdtr

    spread = float(np.std(null, ddof=1)) * np.sqrt(1 + 1 / len(null))
    if not spread:
        return np.where(slope == null.mean(), 1.0, 0.0)
    return np.asarray(2 * stdtr(len(null) - 1, -np.abs(slope - null.mean()) / spread))


def _accuracy(values: np.ndarray, size: int) -> tuple[float, float, float]:
    """The mean over sets with the wider of two intervals: that of overlapping fits, and Wilson's for one fit, which does
    not shrink to nothing where all fits are right."""
    mean, held = float(values.mean()), 2 * round(HELD * size)
    over_fits, over_rows = intervals.resampled_mean(values, HELD), intervals.wilson(mean * held, held)
    low, high = min(over_fits[0], float(over_rows[0])), max(over_fits[1], float(over_rows[1]))
    return mean, max(low, 0.0), min(high, 1.0)


def _slopes(run: Run, place: Layer, x: np.ndarray, target: int) -> np.ndarray:
    def part(rows: slice) -> Tensor:
        inputs = place.model.tensor(x[rows])
        goal = torch.full((len(inputs),), target, dtype=torch.int64, device=inputs.device)
        return place.slopes(inputs, goal).double()

    return batched(run, f"slopes at {place.name}", part, len(x)).numpy()


def _inputs(asked: str, what: str, model: Classifier, examples: Any, like: np.ndarray) -> np.ndarray:
    """Inputs of examples, whatever classes their labels speak of."""
    x = examples.x if isinstance(examples, Split) else as_split(examples, model)[0]
    check_inputs(f"{asked}, for {what},", model, x)
    _examples.shaped(asked, what, x, like)
    return x


def _nothing(found: list[_Cell], size: int) -> str:
    most = max(c.accuracy[:, 0].max() for c in found)
    return (
        f"no layer asked for surely tells a concept's examples from others: held-out accuracy {most:.2f} at the most, whose "
        f"interval reaches 0.5, with {size} examples of each; it takes more examples, another layer, or a concept that the "
        "model knows"
    )
