"""What excites a unit of an image model most?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from labkit.analyses import _examples
from labkit.analyses._guard import DEFAULT_BATCH, Run, as_split, batched, unchanged
from labkit.analyses._preflight import preflight
from labkit.core import progress
from labkit.core.draws import Draws
from labkit.core.refused import Refused
from labkit.data.split import Split
from labkit.faithfulness._redrawn import redrawn
from labkit.models.classifier import Classifier
from labkit.models.features import OUTPUTS, Layer
from labkit.models.features import layer as find_layer
from labkit.models.fourier import Fourier, moved
from labkit.records.visualize_features import FeatureVisualization


def visualize_features(
    model: Classifier,
    data: Split | np.ndarray | Tensor,
    units: Sequence[int] | None = None,
    *,
    layer: str = OUTPUTS,
    starts: int = 3,
    steps: int = 128,
    rate: float = 0.1,
    jitter: float = 2.0,
    zoom: float = 0.1,
    seed: int = 0,
    batch_size: int = DEFAULT_BATCH,
) -> FeatureVisualization:
    """Images that excite a class's logit, or a layer's channel, by gradient ascent (Erhan et al., 2009, Université de
    Montréal TR 1341) on Fourier coefficients scaled as the data's are, each step on a moved and enlarged copy (Olah,
    Mordvintsev and Schubert, 2017, doi 10.23915/distill.00007).

    Such an image shows what a unit answers to, not what it is for. So it stands beside the real image that excites the
    unit most, beside images from other starts, and beside the same for a copy of the model with random weights, whose
    units can be excited too: how far beyond real images a unit can be driven says nothing of what was learned.

    Args:
        data: real images, best the training ones: the spectrum is theirs, and the best of them is shown.
        units: channels or classes; None takes the first eight.
        layer: a submodule by name, "outputs" (the logits), or "head" (what the last linear layer takes in).
        starts: images of each unit. steps, rate: of Adam.
        jitter, zoom: a step's image is moved by up to so many pixels and enlarged or shrunk by up to such a share; 0
            leaves it.

    Raises:
        Refused: inputs that are no images; a model without gradients; an unknown layer or unit.
    """
    asked = f"feature visualisation on {getattr(model, 'name', model)}"
    x, _, about = as_split(data, model)
    _refuse_no_images(asked, model, data, x)
    climb = _Climb(
        _examples.count(asked, "steps", steps, 1, 100_000),
        _number(asked, "rate", rate, 1e-6, 10),
        _number(asked, "jitter", jitter, 0, min(x.shape[2:]) / 2),
        _number(asked, "zoom", zoom, 0, 0.5),
    )
    starts = _examples.count(asked, "starts", starts, 1, 1000)
    options = {"layer": layer, "units": None if units is None else list(units), "starts": starts, **vars(climb)}
    run = Run("visualize_features", options, seed, model, about, batch_size)
    preflight(run, model, x)
    if not np.ptp(x):
        raise Refused(
            asked, "pictures with one value everywhere, which have no spectrum", "pictures that the model was made for"
        )
    low, high = model.bounds or (float(x.min()), float(x.max()))
    fourier = Fourier.of(x, (low, high))
    other = replace(model, module=redrawn(model.module, seed), name=f"{model.name} with random weights")
    with unchanged(model):
        place = find_layer(model, model.tensor(x[:8]), layer)
        real = _examples.features(run, place, x)[0].astype(np.float64)
        chosen = _units(asked, units, real.shape[1], place)
        images, reached, noise = climb.all(run, place, fourier, chosen, starts, seed)
        twin = find_layer(other, other.tensor(x[:8]), layer)
        control = _examples.features(run, twin, x)[0].astype(np.float64)[:, chosen]
        random_images, random_reached, _ = climb.all(run, twin, fourier, chosen, 1, seed)
    real = real[:, chosen]
    return FeatureVisualization(
        provenance=run.provenance(),
        warnings=tuple(run.warnings),
        layer=place.name,
        units=chosen,
        names=tuple(model.classes[u] if place.name == OUTPUTS else f"channel {u}" for u in chosen),
        images=images,
        reached=reached,
        noise=noise,
        searched=len(x),
        best=real.max(0),
        best_image=x[real.argmax(0)],
        usual=real.mean(0),
        spread=real.std(0),
        similarity=np.array([_similarity(i) for i in images]),
        random_images=random_images[:, 0],
        random_reached=random_reached[:, 0],
        random_best=control.max(0),
        random_usual=control.mean(0),
        random_spread=control.std(0),
    )


@dataclass(frozen=True)
class _Climb:
    """Gradient ascent on the coefficients of images."""

    steps: int
    rate: float
    jitter: float
    zoom: float

    def all(
        self, run: Run, place: Layer, fourier: Fourier, units: np.ndarray, starts: int, seed: int
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(units, starts, *shape) images, and (units, starts) what they and their starts reach."""
        unit = torch.from_numpy(np.repeat(units, starts))
        # the same starts for every unit: what differs between their images is theirs
        draws = Draws(seed, np.tile(np.arange(starts), len(units)))

        def part(rows: slice) -> Tensor:
            image, reached, noise = self._up(place, fourier, unit[rows], draws[rows])
            return torch.cat([image.flatten(1), reached[:, None], noise[:, None]], 1)

        found = batched(run, f"images for {place.name}", part, len(unit)).numpy()
        shape = len(units), starts
        images = found[:, :-2].reshape(*shape, *fourier.shape)
        return images, found[:, -2].reshape(shape), found[:, -1].reshape(shape)

    def _up(self, place: Layer, fourier: Fourier, unit: Tensor, draws: Draws) -> tuple[Tensor, Tensor, Tensor]:
        device, dtype = place.model.device, place.model.dtype
        unit = unit.to(device)[:, None]

        def tensor(values: np.ndarray) -> Tensor:
            return torch.from_numpy(values).to(device)

        def excited(images: Tensor) -> Tensor:
            return place(images.to(dtype))[0].gather(1, unit)[:, 0].float()

        coefficients = tensor(draws.normal(*fourier.free)).requires_grad_()
        with torch.no_grad():
            noise = excited(fourier(coefficients))
        optimizer = torch.optim.Adam([coefficients], self.rate)
        for step in range(self.steps):
            progress.step("climbing", step, self.steps)
            drawn = tensor(2 * draws.spawn(step).uniform(3) - 1)
            with torch.enable_grad():
                images = moved(fourier(coefficients), self.jitter * drawn[:, :2], 1 + self.zoom * drawn[:, 2])
                height = excited(images).sum()
                (slope,) = torch.autograd.grad(height, coefficients)
            coefficients.grad = -slope
            optimizer.step()
        with torch.no_grad():
            images = fourier(coefficients)
            return images.cpu(), excited(images).cpu(), noise.cpu()


def _refuse_no_images(asked: str, model: Classifier, data: Any, x: np.ndarray) -> None:
    modality = data.schema.modality if isinstance(data, Split) else "image" if x.ndim == 4 else "other"
    instead = "labkit.neighbors or labkit.prototypes, which show real examples, or labkit.concepts"
    if modality != "image" or x.ndim != 4:
        given = f"{modality} inputs of shape {x.shape[1:]}, which are no images"
        raise Refused(asked, given, instead)
    model.require("gradients", by="feature visualisation", instead=instead)
    model.require("continuous", by="feature visualisation", instead=instead)


def _number(asked: str, name: str, value: Any, low: float, high: float) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float | np.number) or not low <= value <= high:
        raise Refused(asked, f"{name}={value!r}", f"a number from {low:g} to {high:g}")
    return float(value)


def _units(asked: str, units: Sequence[int] | None, width: int, place: Layer) -> np.ndarray:
    chosen = np.arange(min(width, 8)) if units is None else np.asarray(units)
    if (
        chosen.ndim != 1
        or not len(chosen)
        or chosen.dtype.kind not in "iu"
        or chosen.min() < 0
        or chosen.max() >= width
    ):
        raise Refused(asked, f"units={units!r}", f"whole numbers from 0 to {width - 1}, the units of {place.name}")
    return chosen.astype(np.int64)


def _similarity(images: np.ndarray) -> float:
    """The mean correlation between different images."""
    if len(images) < 2:
        return float("nan")
    flat = images.reshape(len(images), -1).astype(np.float64)
    flat = flat - flat.mean(1, keepdims=True)
    flat /= np.maximum(np.linalg.norm(flat, axis=1, keepdims=True), 1e-12)
    return float((flat @ flat.T)[np.triu_indices(len(flat), 1)].mean())
