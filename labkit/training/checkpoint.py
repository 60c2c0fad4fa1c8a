"""A training run on disk after each epoch: one safetensors file, either whole or absent."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from labkit.core.refused import Refused
from labkit.core.store import write_atomic

Parts = Mapping[str, Mapping[str, Tensor]]


def write(path: Path, identity: Mapping[str, Any], progress: Mapping[str, Any], parts: Parts) -> None:
    """Write named groups of tensors, with what run they belong to and how far it is."""
    flat = {f"{part}/{key}": v.detach().cpu().clone().contiguous() for part in parts for key, v in parts[part].items()}
    write_atomic(path, save(flat, {"training": json.dumps({"identity": identity, "progress": progress})}))


def read(path: Path, identity: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, dict[str, Tensor]]] | None:
    """How far the run got, and its tensors; None when there is no checkpoint.

    Raises:
        Refused: a damaged file, or a checkpoint of another recipe, seed or data set.
    """
    if not path.is_file():
        return None
    asked = f"to go on from the checkpoint {path.name}"
    parts: dict[str, dict[str, Tensor]] = {}
    try:
        with safe_open(path, framework="pt") as file:
            header = json.loads((file.metadata() or {})["training"])
            for name in file.keys():  # noqa: SIM118
                part, _, key = name.partition("/")
                parts.setdefault(part, {})[key] = file.get_tensor(name)
    except (SafetensorError, ValueError, KeyError, OSError) as error:
        raise Refused(asked, f"not a readable checkpoint ({error})", "to delete it and begin anew") from None
    other = [k for k in identity if header["identity"].get(k) != json.loads(json.dumps(identity[k]))]
    if other:
        raise Refused(asked, f"a run with another {', '.join(other)}", "another folder, or to delete it and begin anew")
    return header["progress"], parts


def optimizer_tensors(optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """The optimizer's state as named tensors."""
    states = optimizer.state_dict()["state"]
    return {f"{i}/{slot}": v for i, slots in states.items() for slot, v in slots.items() if isinstance(v, Tensor)}


def restore_optimizer(optimizer: torch.optim.Optimizer, tensors: Mapping[str, Tensor]) -> None:
    """Put back what ``optimizer_tensors`` gave."""
    states: dict[int, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        index, _, slot = name.partition("/")
        states.setdefault(int(index), {})[slot] = tensor
    optimizer.load_state_dict({"state": states, "param_groups": optimizer.state_dict()["param_groups"]})
