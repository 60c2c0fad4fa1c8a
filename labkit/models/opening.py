"""Models from files: a safetensors file that names its architecture. Nothing that could run code is opened."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as save_tensors

from labkit.core import registry
from labkit.core.refused import Refused
from labkit.core.store import write_atomic
from labkit.models.classifier import Classifier
from labkit.models.wrapping import wrap

PICKLES = {".pt", ".pth", ".bin", ".pkl", ".pickle", ".joblib", ".ckpt"}


def save(model: Classifier, path: str | os.PathLike[str], architecture: str, config: dict[str, Any]) -> Path:
    """Write weights and what is needed to rebuild the model, as one safetensors file."""
    header = {
        "labkit": "model/1",
        "architecture": architecture,
        "config": config,
        "name": model.name,
        "classes": list(model.classes),
        "bounds": model.bounds,
        "embedding": model.embedding,
        "outputs": model.outputs,
        "baseline": None if model.baseline is None else model.baseline.tolist(),
        "baseline_dtype": None if model.baseline is None else str(model.baseline.dtype),
    }
    state = {k: v.detach().cpu().contiguous() for k, v in model.module.state_dict().items()}
    return write_atomic(path, save_tensors(state, {"labkit": json.dumps(header, sort_keys=True)}))


def open(path: str | os.PathLike[str], *, device: str = "auto") -> Classifier:
    """A model from a file written by ``labkit.models.save``, or a reference model by its name.

    Raises:
        Refused: pickles of any kind (they run code when loaded), damaged files, unknown architectures, weights that
            are not finite.
    """
    path = Path(path)
    asked = f"the model {path}"
    if path.suffix.lower() in PICKLES or _is_pickle(path):
        raise Refused(
            asked,
            "a pickle, which can run any code when it is loaded",
            "the weights as safetensors (safetensors.torch.save_file(module.state_dict(), path)), or the live module "
            "through labkit.wrap",
        )
    if not path.is_file():
        raise Refused(asked, "no such file", "a path to a .safetensors file, or a name that labkit.zoo.names() lists")
    try:
        with safe_open(path, framework="pt") as file:
            header = json.loads((file.metadata() or {}).get("labkit", "null"))
            state = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    except (SafetensorError, ValueError, OSError) as error:
        raise Refused(asked, f"not a readable safetensors file ({error})", "the file as it was saved") from None
    if not header:
        raise Refused(asked, "weights without an architecture", "labkit.wrap(module) with your own class and weights")
    broken = [k for k, v in state.items() if v.is_floating_point() and not torch.isfinite(v).all()]
    if broken:
        raise Refused(asked, f"weights that are not finite in {broken[0]}", "the file as it was saved")
    module = registry.find("architectures", header["architecture"])(**header["config"])
    try:
        module.load_state_dict(state)
    except RuntimeError as error:
        given = f"weights that do not fit {header['architecture']} ({error})"
        raise Refused(asked, given, "the file as it was saved") from None
    baseline = header["baseline"]
    return wrap(
        module,
        classes=header["classes"],
        bounds=header["bounds"],
        embedding=header["embedding"],
        outputs=header["outputs"],
        name=header["name"],
        device=device,
        baseline=None if baseline is None else np.array(baseline, header["baseline_dtype"]),
    )


def _is_pickle(path: Path) -> bool:
    if not path.is_file():
        return False
    with path.open("rb") as file:
        head = file.read(4)
    return head[:1] == b"\x80" or head == b"PK\x03\x04"
