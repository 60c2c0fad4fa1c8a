"""What every analysis does around a method: preflight, provenance, seeding, batching, and a model left as it was."""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any

import numpy as np
import torch
from torch import Tensor

import labkit
from labkit.core import progress
from labkit.core.cost import Meter
from labkit.core.record import Provenance
from labkit.core.refused import Refused
from labkit.data.split import Split
from labkit.models.classifier import Classifier
from labkit.models.device import out_of_memory
from labkit.models.generative import Generative

DEFAULT_BATCH = 256


@dataclass
class Run:
    """One analysis under way: collects warnings and, at the end, gives the provenance."""

    analysis: str
    options: Mapping[str, Any]
    seed: int | None = None
    model: Classifier | None = None
    data: Mapping[str, Any] = field(default_factory=dict)
    batch_size: int = DEFAULT_BATCH
    values: bool = False  # whether a model will do whose outputs are numbers and no classes
    warnings: list[str] = field(default_factory=list)
    started: datetime = field(default_factory=lambda: datetime.now(UTC))
    meter: Meter = field(default_factory=Meter)

    def __post_init__(self) -> None:
        if self.model is not None:
            check_classifier(self.model, self.analysis, values=self.values)
        whole = isinstance(self.batch_size, int | np.integer) and not isinstance(self.batch_size, bool)
        if not whole or self.batch_size < 1:
            raise Refused(self.analysis, f"batch_size={self.batch_size!r}", "a whole number from 1: rows in one pass")

    def warn(self, text: str) -> None:
        """Keep a warning for the record, once."""
        if text not in self.warnings:
            self.warnings.append(text)

    def provenance(self) -> Provenance:
        """Where the result came from, with the time it took until now."""
        took = self.meter.cost()
        torch_settings = {"device": str(self.model.device), "threads": torch.get_num_threads()} if self.model else {}
        return Provenance(
            analysis=self.analysis,
            version=labkit.__version__,
            options=self.options,
            seed=self.seed,
            model=self.model.describe() if self.model else {},
            data=self.data,
            settings={**torch_settings, "batch_size": self.batch_size} if self.model else {},
            packages={"python": platform.python_version(), **{p: version(p) for p in ("numpy", "torch")}},
            started=self.started.isoformat(timespec="seconds"),
            seconds=took["seconds"],
            took=took,
        )


@contextmanager
def unchanged(model: Classifier) -> Iterator[None]:
    """Nothing done to the model inside may outlive this: its digest, its mode and its hooks are compared before and
    after. Hooks that it came with stay."""
    before, hooks = model.digest, _hooks(model)
    try:
        yield
    finally:
        hooked = [name for name, found in _hooks(model).items() if found != hooks.get(name)]
        if model.digest != before or model.module.training or hooked:
            raise Refused(
                f"an audit of {model.name}",
                f"the model was changed by the analysis ({', '.join(hooked) or 'weights, buffers or mode'})",
                "a method that leaves the model as it was",
            )


def _hooks(model: Classifier) -> dict[str, tuple[int, ...]]:
    """The numbers of every submodule's hooks."""
    return {
        name or "the whole": (*m._forward_hooks, *m._forward_pre_hooks, *m._backward_hooks, *m._backward_pre_hooks)
        for name, m in model.module.named_modules()
    }


def batched(
    run: Run, what: str, function: Callable[[slice], Tensor], n: int, *, batch_size: int | None = None
) -> Tensor:
    """``function(rows)`` over slices of n rows, put together again. Halves the batch when memory runs out."""
    size = min(batch_size or run.batch_size, max(n, 1))
    parts: list[Tensor] = []
    done = 0
    while done < n:
        progress.step(what, done, n)
        try:
            parts.append(function(slice(done, min(done + size, n))).detach().cpu())
        except (torch.OutOfMemoryError, MemoryError, RuntimeError) as error:
            if size == 1 or not out_of_memory(error):
                raise
            size = max(1, size // 2)
            run.warn(f"memory ran out; the batch size of {what} was halved to {size}")
            if torch.cuda.is_available():
                torch.cuda.empty_cache()
            continue
        done = min(done + size, n)
    progress.step(what, n, n)
    return torch.cat(parts)


@contextmanager
def in_words(asked: str, instead: str) -> Iterator[None]:
    """Whatever a model or a method raises becomes a refusal, with the error as its cause. Refusals stay what they are, and
    so does memory that runs out."""
    try:
        yield
    except Refused:
        raise
    except Exception as error:
        if out_of_memory(error):
            raise
        said = " ".join(str(error).split())
        raise Refused(asked, f"an error on the way, {type(error).__name__}: {said:.300}", instead) from error


def logits(run: Run, model: Classifier, x: np.ndarray, what: str = "predict") -> np.ndarray:
    """(n, classes) logits as float32, in batches, without gradients."""

    def part(rows: slice) -> Tensor:
        with in_words(f"{what} on {model.name}", "a model that answers on every row, whatever its values"):
            return model(model.tensor(x[rows])).float()

    with torch.no_grad():
        return batched(run, what, part, len(x)).numpy()


def probabilities(logits: np.ndarray) -> np.ndarray:
    """(n, classes) probabilities in float64 of (n, classes) logits."""
    e = np.exp(logits.astype(np.float64) - logits.max(1, keepdims=True))
    return np.asarray(e / e.sum(1, keepdims=True))


def check_classifier(model: Any, asked: str, *, values: bool = False) -> None:
    """Refuse what is no Classifier: a model that makes data, a model's name, or a bare module; and, unless ``values``
    will do, a model whose outputs are no classes."""
    if isinstance(model, Generative):
        given = f"{model.name}, a model that makes data and names no classes"
        raise Refused(asked, given, "a classifier such as fashion_cnn; labkit.sample(model) shows what this one makes")
    if not isinstance(model, Classifier):
        instead = "labkit.zoo.load(name) for a reference model, labkit.wrap(module, classes=[...]) for your own"
        raise Refused(asked, f"{model!r:.60} as the model", instead)
    if model.outputs == "values" and not values:
        given = f"{model.name}, whose outputs are numbers and no classes ({', '.join(model.classes[:3])})"
        raise Refused(asked, given, "a classifier; labkit.explain explains such a number")


def as_split(
    data: Split | np.ndarray | Tensor, model: Classifier
) -> tuple[np.ndarray, np.ndarray | None, dict[str, Any]]:
    """Inputs, labels (None for bare arrays) and a description of the data."""
    check_classifier(model, "an analysis", values=True)
    if isinstance(data, Split) and model.outputs == "values":
        return data.x, None, data.describe()
    if isinstance(data, Split):
        if data.classes != model.classes:
            raise Refused(
                f"{model.name} on {data.name}",
                f"classes {list(data.classes)[:4]} in the data and {list(model.classes)[:4]} in the model",
                "data whose classes are the model's, in the same order",
            )
        return data.x, data.y, data.describe()
    x = as_array(f"{model.name} on these inputs", data)
    if model.embedding is not None and x.dtype.kind in "iu":
        x = x.astype(np.int64)  # embeddings look up no shorter numbers
    from labkit.core.record import array_digest

    return x, None, {"name": "array", "sha256": array_digest(x), "n": len(x)} if x.ndim else {}


def as_array(asked: str, given: Any) -> np.ndarray:
    """A tensor, table or list as an array of a type that torch knows too.

    Raises:
        Refused: lists of unlike lengths, and arrays with entries that are masked out.
    """
    try:
        if isinstance(given, Tensor):
            dense = given.detach().cpu().to_dense()
            return (dense.float() if dense.dtype == torch.bfloat16 else dense).numpy()
        array = np.asarray(given)
    except (TypeError, ValueError, RuntimeError) as error:
        what = f"a {type(given).__name__} that makes no array ({error})"
        raise Refused(asked, what, "an array or tensor, or lists of equal lengths") from None
    if np.ma.is_masked(given):
        raise Refused(asked, "entries that are masked out", "finite values in their place, or the rows without them")
    if array.dtype.kind == "f" and array.dtype.itemsize > 8:
        return array.astype(np.float64)
    return array.astype(array.dtype.newbyteorder("="), copy=False)
