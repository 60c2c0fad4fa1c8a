"""Models from files: safetensors that name their architecture and carry their own digest. Nothing that could run code
is opened."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor, nn

from labkit.core import registry
from labkit.core.refused import Refused
from labkit.core.store import write_atomic
from labkit.models.classifier import Classifier, state_digest
from labkit.models.device import pick
from labkit.models.generative import Generative
from labkit.models.wrapping import wrap

Model = Classifier | Generative
SCHEMA = "model/1"
PICKLES = {".pt", ".pth", ".bin", ".pkl", ".pickle", ".joblib", ".ckpt"}
_PICKLE_STARTS = (b"\x80", b"PK\x03\x04")  # a bare pickle, and torch.save's zip file around one


def save(model: Model, path: str | os.PathLike[str], architecture: str, config: Mapping[str, Any]) -> Path:
    """Write weights and what is needed to rebuild the model, as one safetensors file."""
    state = {k: v.detach().cpu().contiguous() for k, v in model.module.state_dict().items()}
    header = {
        "labkit": SCHEMA,
        "architecture": architecture,
        "config": dict(config),
        "name": model.name,
        "bounds": model.bounds,
        **(_of_classifier(model) if isinstance(model, Classifier) else _of_generative(model)),
    }
    header["sha256"] = _seal(header, state)
    return write_atomic(path, safetensors.torch.save(state, {"labkit": json.dumps(header, sort_keys=True)}))


def _of_classifier(model: Classifier) -> dict[str, Any]:
    return {
        "classes": list(model.classes),
        "embedding": model.embedding,
        "outputs": model.outputs,
        "baseline": None if model.baseline is None else model.baseline.tolist(),
        "baseline_dtype": None if model.baseline is None else str(model.baseline.dtype),
        "padding": model.padding,
    }


def _of_generative(model: Generative) -> dict[str, Any]:
    # A header without a kind is a classifier's: files of before there was another kind stay what they are.
    return {"kind": "generative", "shape": list(model.shape)}


def open(path: str | os.PathLike[str], *, device: str = "auto") -> Model:
    """A model from a file written by ``labkit.models.save``. Reference models come from ``labkit.zoo.load(name)``.

    Raises:
        Refused: pickles of any kind (they run code when loaded), damaged files, unknown architectures, weights that
            are not finite.
    """
    path = Path(path)
    if path.suffix.lower() in PICKLES:
        raise _pickle(path.name)
    if not path.is_file():
        instead = "a path to a .safetensors file; for a reference model, labkit.zoo.load(name)"
        raise Refused(f"the model {path}", "a folder" if path.is_dir() else "no such file", instead)
    return loads(path.read_bytes(), path.name, device=device)


def loads(content: bytes, name: str, *, device: str = "auto") -> Model:
    """The model in the bytes of a file; ``name`` is what refusals call it. Raises what ``open`` raises."""
    asked = f"the model {name}"
    # A safetensors file begins with the length of its header, whose first byte may be a pickle's; then comes JSON.
    if content.startswith(_PICKLE_STARTS) and content[8:9] != b"{":
        raise _pickle(name)
    whole = "the file as it was saved"
    try:
        length = int.from_bytes(content[:8], "little")
        header = json.loads(content[8 : 8 + length]).get("__metadata__", {}).get("labkit")
        state = safetensors.torch.load(content)
        about = json.loads(header) if header else {}
    except (SafetensorError, ValueError, AttributeError) as error:
        raise Refused(asked, f"not a readable safetensors file ({error})", whole) from None
    if about.get("labkit") != SCHEMA:
        raise Refused(asked, "weights without an architecture", "labkit.wrap(module) with your own class and weights")
    broken = [k for k, v in state.items() if v.is_floating_point() and not torch.isfinite(v).all()]
    if broken:
        raise Refused(asked, f"weights that are not finite in {broken[0]}", "weights of a finished training")
    if about.pop("sha256", None) != _seal(about, state):
        raise Refused(asked, "a file that was changed after it was saved", whole)
    module = _build(asked, about["architecture"], about["config"], state)
    if about.get("kind") == "generative":
        frozen = module.eval().requires_grad_(False).to(pick(device))
        return Generative(frozen, tuple(about["shape"]), tuple(about["bounds"]), about["name"])
    baseline = about["baseline"]
    return wrap(
        module,
        classes=about["classes"],
        bounds=about["bounds"],
        embedding=about["embedding"],
        outputs=about["outputs"],
        name=about["name"],
        device=device,
        baseline=None if baseline is None else np.array(baseline, about["baseline_dtype"]),
        padding=about.get("padding"),
    )


def _build(asked: str, architecture: str, config: Mapping[str, Any], state: Mapping[str, Tensor]) -> nn.Module:
    try:
        module: nn.Module = registry.find("architectures", architecture)(**config)
        module.load_state_dict(state)
    except (RuntimeError, TypeError) as error:
        given = f"weights that do not fit {architecture} ({error})"
        raise Refused(asked, given, "a file that this version of labkit saved") from None
    return module


def _seal(about: Mapping[str, Any], state: Mapping[str, Tensor]) -> str:
    """SHA-256 over the description and the weights, so that a file shows any change by itself."""
    described = json.dumps(about, sort_keys=True)
    return hashlib.sha256(f"{described}\n{state_digest(state)}".encode()).hexdigest()


def _pickle(name: str) -> Refused:
    return Refused(
        f"the model {name}",
        "a pickle, which can run any code when it is loaded",
        "the weights as safetensors (safetensors.torch.save_file(module.state_dict(), path)), or the live module "
        "through labkit.wrap",
    )
