"""What of a model's output is explained: a class's logit, its lead over other classes, or any number computed from it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Literal

import torch
from torch import Tensor, nn

from labkit.core.refused import Refused
from labkit.models.classifier import Classifier
from labkit.models.generative import Generative


def leads(model: Classifier, against: int | Literal["rest"]) -> Classifier:
    """The same model with (n, classes) leads for logits: over one class, or over the largest of all others (margins)."""

    def read(output: Any) -> Tensor:
        logits = model.logits(output)
        if against != "rest":
            return logits - logits[:, [against]]
        most = logits.topk(2, 1).values
        others = torch.where(logits == most[:, :1], most[:, 1:], most[:, :1])
        return logits - others

    return replace(model, outputs="values", read=read)


def number(model: Classifier | Generative, function: Callable[..., Tensor]) -> Classifier:
    """The same model with one value for an output: ``function(output)``, or of a model that makes data
    ``function(module, x)``, since that has several outputs.

    Raises:
        Refused: when it is asked, a function that does not give one number for each row.
    """
    name = getattr(function, "__name__", "value")
    name = "value" if name == "<lambda>" else name

    def column(values: Any) -> Tensor:
        if not isinstance(values, Tensor) or values.ndim != 1 or not values.is_floating_point():
            given = f"{tuple(values.shape)} {values.dtype}" if isinstance(values, Tensor) else type(values).__name__
            raise Refused(f"{name} of {model.name}", given, "one number for each row: a tensor of shape (n,)")
        return values[:, None]

    def asked_of(*given: Any) -> Any:
        try:
            return function(*given)
        except Exception as error:
            what = f"a function that raises {error!r:.200} when it is given {_described(given[-1])}"
            raise Refused(f"{name} of {model.name}", what, "a function that gives one number for each row") from error

    if isinstance(model, Generative):
        asked = _Asked(model.module, asked_of).eval()
        return Classifier(asked, (name,), model.bounds, outputs="values", read=column, name=model.name)
    return replace(model, classes=(name,), outputs="values", read=lambda output: column(asked_of(output)))


def _described(output: Any) -> str:
    """What a module gave, in words."""
    if isinstance(output, Tensor):
        return f"a tensor of shape {tuple(output.shape)}"
    if isinstance(output, Mapping):
        return f"a {type(output).__name__} with the keys {', '.join(map(str, output))}"
    if isinstance(output, list | tuple):
        return f"a {type(output).__name__} of {len(output)}"
    return f"a {type(output).__name__}"


class _Asked(nn.Module):
    """A question to a module, as a module."""

    def __init__(self, module: nn.Module, question: Callable[..., Tensor]) -> None:
        super().__init__()
        self.module, self.question = module, question

    def forward(self, x: Tensor) -> Tensor:
        return self.question(self.module, x)
