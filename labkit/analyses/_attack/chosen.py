"""An attack with its options, and the threat model under which it runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import Tensor

from labkit.analyses._attack import threats
from labkit.core import method, registry
from labkit.core.method import Spec
from labkit.core.refused import Refused
from labkit.data.split import Split
from labkit.models.classifier import Classifier
from labkit.records.attack import THREATS

Attack = str | Callable[..., Any]


@dataclass(frozen=True)
class Chosen:
    """An attack with its options; ``foreign`` is one that the caller gave as a function."""

    name: str
    function: Callable[..., Tensor]
    spec: Spec
    foreign: bool = False

    @property
    def names_eps(self) -> bool:
        """Whether it takes a budget; if not it looks for the smallest perturbation, once for all budgets."""
        return "eps" in method.needs(self.function)

    @property
    def steps(self) -> int | None:
        """How many steps it takes, where that is a number that can be raised."""
        steps = self.spec.options.get("steps")
        return steps if self.names_eps and isinstance(steps, int) else None

    @property
    def asks_only(self) -> bool:
        """Whether it says that it needs answers and no gradients."""
        return "queries" in method.promises(self.function)


def own_threat(attack: Attack) -> str | None:
    """The attack's name, where it is a threat model of its own: it takes a budget and no norm."""
    if not isinstance(attack, str):
        return None
    wanted = method.needs(registry.find("attacks", attack))
    return attack if "eps" in wanted and "norm" not in wanted else None


def listed(attacks: Sequence[Attack] | Attack | None) -> list[Attack]:
    """One attack, several, or none, as a list."""
    return [] if attacks is None else registry.listed("attacks", attacks)


def threat_of(attacks: Sequence[Attack], norm: str | None, model: Classifier, data: Any) -> str:
    """The threat model asked for; else the attack's own, or the usual one for such inputs."""
    own = {found for a in attacks if (found := own_threat(a))}
    if norm is None and own:
        return min(own)
    if norm is None:
        tables = isinstance(data, Split) and data.schema.modality == "tabular" and model.bounds is None
        return threats.usual(model, tables)
    if norm not in (*THREATS, *own):
        raise Refused("an attack", f"norm={norm!r}", f"one of: {', '.join(map(repr, THREATS))}")
    return norm


def choose(attack: Attack, options: Mapping[str, Any], norm: str) -> Chosen:
    """The attack of that name with its options; refused when it does not work under the threat model."""
    name, function = registry.label(attack), registry.find("attacks", attack)
    supported, own = method.choices(function, "norm"), own_threat(attack)
    if (supported and norm not in supported) or (own and norm != own):
        fit = ", ".join(n for n in registry.names("attacks") if norm in supported_norms(n))
        instead = f"norm={(supported or (own,))[0]!r}" + (f", or one of: {fit}" if fit else "")
        raise Refused(f"{name} under the {norm} norm", f"an attack for {', '.join(supported) or own}", instead)
    return Chosen(name, function, method.bind("attacks", name, function, options), foreign=not isinstance(attack, str))


def supported_norms(name: str) -> tuple[str, ...]:
    """The threat models that a listed attack works under."""
    own = own_threat(name)
    return (own,) if own else method.choices(registry.find("attacks", name), "norm")


def as_budgets(asked: str, eps: Any) -> np.ndarray:
    """One budget or several, ascending; refused when they are no numbers, none, or one of them twice."""
    try:
        budgets = np.sort(np.asarray(eps, float).ravel())
    except (TypeError, ValueError):
        raise Refused(asked, f"eps={eps!r}", "budgets that are numbers, in the data's units") from None
    if not len(budgets) or (np.diff(budgets) == 0).any():
        raise Refused(asked, f"eps={eps}", "at least one budget, each of them once")
    return budgets
