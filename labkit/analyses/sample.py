"""What a generative model makes, and whether it made it up."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from labkit.analyses._guard import Run
from labkit.core.refused import Refused
from labkit.data.split import Dataset
from labkit.models.generative import Generative
from labkit.records.sample import Samples


def sample(model: Generative, n: int = 16, data: Dataset | None = None, *, seed: int = 0) -> Samples:
    """Samples; with data, also the training example nearest to each, and reconstructions of test examples.

    A model that repeats its training examples makes fine samples and has learned nothing. Its samples then lie nearer
    to training examples than test examples do, which are as many and stand beside them.

    Args:
        n: how many; each follows from (seed, its number) alone.
        data: what the model was trained for. Only those training examples are searched that are in it.

    Raises:
        Refused: a model that makes nothing, n below 1, data of another shape or with fewer than n test examples.
    """
    if not isinstance(model, Generative):
        given = f"{getattr(model, 'name', None) or repr(model)[:60]}, which is no generative model"
        raise Refused("samples", given, "labkit.zoo.load('fashion_vae') or ('fashion_diffusion')")
    run = Run("sample", {"n": n}, seed, data={} if data is None else _described(model, data, n))
    x = model.sample(n, seed)
    about = _beside(model, x, data) if data is not None else {}
    settings = {"device": str(model.device)}
    return Samples(provenance=replace(run.provenance(), model=model.describe(), settings=settings), x=x, **about)


def _described(model: Generative, data: Dataset, n: int) -> dict[str, Any]:
    if not isinstance(data, Dataset) or data.schema.shape != model.shape or len(data.test) < n:
        given = f"{data.test.x.shape} test examples" if isinstance(data, Dataset) else f"a {type(data).__name__}"
        instead = f"a data set with at least {n} test examples of shape {model.shape}"
        raise Refused(f"{n} samples of {model.name} beside data", given, instead)
    return {"train": data.train.describe(), "test": data.test.describe()}


def _beside(model: Generative, x: np.ndarray, data: Dataset) -> dict[str, Any]:
    original = data.test.x[: len(x)]
    found, distance = _nearest(x, data.train.x)
    about = {
        "among": len(data.train),
        "nearest": data.train.x[found],
        "distance": distance,
        "original": original,
        "usual": _nearest(original, data.train.x)[1],
    }
    if model.encodes:
        again = model.reconstruct(original)
        about |= {"reconstruction": again, "error": _rms(again - original)}
    return about


def _nearest(x: np.ndarray, among: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """For each x the number of the nearest, and how far it is."""
    flat, others = x.reshape(len(x), -1), among.reshape(len(among), -1)
    # |a - b|^2 = |a|^2 - 2 ab + |b|^2, and |a|^2 is the same for all b.
    found = (np.square(others).sum(1) - 2 * flat @ others.T).argmin(1)
    return found, _rms(x - among[found])


def _rms(difference: np.ndarray) -> np.ndarray:
    return np.asarray(np.sqrt(np.square(difference, dtype=np.float64).reshape(len(difference), -1).mean(1)))
