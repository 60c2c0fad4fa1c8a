"""What does the loss look like around a model's weights?"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from labkit.analyses import _examples
from labkit.analyses._guard import DEFAULT_BATCH, Run, unchanged
from labkit.analyses._landscape.curvature import Curvature, crossed_mean, extremes, nearby, signs, worst
from labkit.analyses._landscape.ground import Ground, directions, spread
from labkit.analyses._preflight import preflight
from labkit.core import intervals
from labkit.core.refused import Refused
from labkit.core.resampling import stream
from labkit.data.split import Split
from labkit.models.classifier import Classifier
from labkit.records.loss_landscape import LossLandscape

LEAST = 30  # rows
SECTIONS = 4  # directions, of which two span the plane
BLOCKS = 10  # of rows, whose traces tell how far the trace depends on the rows
ASCENT = 10  # steps uphill in the ball
PLACES = 20  # at random in the ball


def loss_landscape(
    model: Classifier,
    split: Split,
    *,
    span: float = 1.0,
    points: int = 21,
    rows: int = 128,
    tolerance: float = 0.05,
    probes: int = 20,
    radius: float = 0.5,
    seed: int = 0,
    batch_size: int = DEFAULT_BATCH,
) -> LossLandscape:
    """The loss on a plane of two random filter-normalised directions, along two more, and how sharp it is.

    In each direction every filter is as long as the model's (Li et al., 2018, arXiv 1712.09913); biases, gains and the
    statistics of normalisation stay. Of the Hessian of the mean loss, from exact products with vectors: the largest and
    the least eigenvalue, the trace (Hutchinson, 1990, doi 10.1080/03610919008812866), and the mean curvature along
    filter-normalised directions. The worst rise in a small ball in which each weight moves in units of its own size is
    adaptive sharpness (Kwon et al., 2021, arXiv 2102.11600), beside that of random places of the ball.

    Eigenvalues and trace depend on how a function is written as weights, so that any net can be made sharp (Dinh et al.,
    2017, arXiv 1703.04933); filter-normalised and adaptive numbers do not change when layers are rescaled. None of them
    proves that a model generalises, or does not (Andriushchenko et al., 2023, arXiv 2302.07011).

    Args:
        split: labelled rows, usually those that the model was trained on.
        span: how far the plane reaches to each side, in lengths of the filters.
        points: on each axis; an odd number, so that the model is one of them.
        rows: taken at random.
        tolerance: of the largest eigenvalue, as a share of the range of all of them.
        probes: random vectors for each trace.
        radius: of the ball.

    Returns:
        After about as many forward passes over the rows as the plane has points, and half as many again.

    Raises:
        Refused: whatever preflight finds; a model without gradients or weights; fewer than 30 rows; settings out of range.
    """
    asked = f"the loss landscape of {getattr(model, 'name', model)}"
    _check(asked, span, points, tolerance, radius)
    rows, probes = _examples.count(asked, "rows", rows, LEAST, 10**6), _examples.count(asked, "probes", probes, 2, 1000)
    options = {"span": span, "points": points, "rows": rows, "tolerance": tolerance, "probes": probes, "radius": radius}
    run = Run("loss_landscape", options, seed, model, batch_size=batch_size)
    model.require("gradients", asked, "a torch model")
    split = _examples.labelled(asked, "rows", split, model.classes)
    run.data = split.describe()
    if len(split) < LEAST:
        raise Refused(asked, f"{len(split)} rows", f"{LEAST} or more")
    taken = np.sort(stream(seed, "loss_landscape", "rows").permutation(len(split))[:rows])
    ground = Ground(run, model, split.x[taken], split.y[taken])
    preflight(run, model, ground.x, ground.y)
    if not any(w.ndim > 1 for w in ground.weights.values()):
        raise Refused(asked, "a model without weights to move", "one with linear, convolutional or recurrent layers")
    place = np.linspace(-span, span, int(points))
    with unchanged(model):
        pictures = _pictures(ground, place, seed)
        bends = _bends(ground, tolerance, probes, radius, seed)
        right = _right(ground)
    low, high = intervals.wilson(right.sum(), len(right))
    return LossLandscape(
        provenance=run.provenance(),
        warnings=tuple(run.warnings),
        n=len(taken),
        classes=len(model.classes),
        accuracy=(float(right.mean()), float(low), float(high)),
        probes=probes,
        radius=float(radius),
        **pictures,
        **bends,
    )


def _check(asked: str, span: float, points: int, tolerance: float, radius: float) -> None:
    _examples.count(asked, "points", points, 3, 201)
    if points % 2 == 0:
        raise Refused(asked, f"points={points}", "an odd number: the middle one is the model")
    for name, value, most in (("span", span, 100.0), ("tolerance", tolerance, 0.4), ("radius", radius, 100.0)):
        number = isinstance(value, int | float | np.number) and not isinstance(value, bool)
        if not (number and 0 < value <= most):
            raise Refused(asked, f"{name}={value!r}", f"a number above 0 and at most {most:g}")


def _pictures(ground: Ground, place: np.ndarray, seed: int) -> dict[str, Any]:
    """The loss on the plane and along single directions."""
    found = directions(ground.weights, SECTIONS, seed)
    up, across = (v.ravel() for v in np.meshgrid(place, place, indexing="ij"))
    plane = ground.along(found[:2], np.column_stack([across, up]), "loss on the plane")
    loss, error = (v.reshape(len(place), -1) for v in _mean(plane))
    middle = len(place) // 2
    lines, errors = [loss[middle], loss[:, middle]], [error[middle], error[:, middle]]
    for direction in found[2:]:
        values, deviations = _mean(ground.along([direction], place[:, None], "loss along a line"))
        lines.append(values)
        errors.append(deviations)
    return {
        "place": place,
        "loss": loss,
        "error": error,
        "sections": np.array(lines),
        "section_error": np.array(errors),
    }


def _mean(losses: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(points,) the mean over rows, and its standard error."""
    return losses.mean(1), losses.std(1, ddof=1) / np.sqrt(losses.shape[1])


def _bends(ground: Ground, tolerance: float, probes: int, radius: float, seed: int) -> dict[str, Any]:
    """Eigenvalues, traces, and the worst case nearby."""
    curvature = Curvature(ground)
    start = stream(seed, "loss_landscape", "start").standard_normal(curvature.size)
    normal = torch.from_numpy(start).to(curvature.weights)
    largest, least, steps = extremes(curvature.times, normal, tolerance)
    scale = curvature.flat([spread(w) for w in ground.weights.values()])
    plain = [partial(signs, curvature, i, seed) for i in range(probes)]
    scaled = [partial(lambda i: signs(curvature, i, seed) * scale, i) for i in range(probes)]
    table = curvature.bends([*plain, *scaled], BLOCKS)
    own = _losses(curvature, curvature.weights)
    rise = _losses(curvature, worst(curvature, radius, ASCENT)) - own
    places = nearby(curvature, radius, PLACES, seed)
    chance = np.array([_losses(curvature, place).mean() - own.mean() for place in places])
    return {
        "parameters": curvature.size,
        "here": _interval(own),
        "largest": largest,
        "least": least,
        "steps": steps,
        "trace": crossed_mean(table[:probes]),
        "relative": crossed_mean(table[probes:]),
        "worst": _interval(rise),
        "chance": _interval(chance),
    }


def _interval(values: np.ndarray) -> tuple[float, float, float]:
    return float(values.mean()), *intervals.mean(values)


def _losses(curvature: Curvature, weights: Tensor) -> np.ndarray:
    """(n,) losses at other weights."""
    return _by_part(curvature.ground, lambda rows: curvature.losses(weights, rows))


def _right(ground: Ground) -> np.ndarray:
    """(n,) whether the model is right."""
    model = ground.model
    answers = _by_part(ground, lambda rows: model(model.tensor(ground.x[rows])).argmax(1))
    return np.asarray(answers == ground.y)


def _by_part(ground: Ground, function: Callable[[slice], Tensor]) -> np.ndarray:
    with torch.no_grad():
        return torch.cat([function(rows) for rows in ground.parts()]).cpu().numpy()
