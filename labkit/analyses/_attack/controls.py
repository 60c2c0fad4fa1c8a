"""What runs beside the attacks asked for, and in which order all of them run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from labkit.analyses._attack.chosen import Attack, Chosen, choose, listed, own_threat, supported_norms
from labkit.core import registry
from labkit.core.refused import Refused

ONE_STEP, ITERATED, BLACK_BOX = "fgsm", "pgd", "square"
# A control looks for hidden gradients, for which fewer tries do than for a tight bound.
CONTROLS: dict[str, dict[str, Any]] = {
    ONE_STEP: {},
    ITERATED: {"restarts": 2},  # one start for each of its two losses
    BLACK_BOX: {"queries": 200},
    "uniform_noise": {"draws": 25},
    "hotflip": {},
    "random_words": {},
    "tabular_search": {},
    "random_changes": {},
    "noise_at_snr": {},
    "sparse_search": {},
}
# What runs when nobody names an attack. Under "linf" and "l2" three of AutoAttack's four kinds, each on the rows that still
# stand; FAB broke no row more on nets that docs/benchmarks.md does not judge by.
ENSEMBLES: dict[str, tuple[str, ...]] = {
    "linf": ("pgd", "apgd", "apgd_targeted", "square"),
    "l2": ("pgd", "apgd", "apgd_targeted", "square"),
    "l1": ("pgd", "fmn"),
    "l0": ("fmn", "sparse_search"),
    "noise_to_signal": ("pgd", "noise_at_snr"),
    "edits": ("hotflip", "word_substitution"),
    "cost": ("tabular_search",),
}


def lined_up(
    attacks: Sequence[Attack] | Attack | None, options: Mapping[str, Mapping[str, Any]], norm: str
) -> tuple[list[Chosen], tuple[str, ...]]:
    """The attacks asked for and the controls that are not among them, in the order in which they run.

    One gradient step comes after the gradient attacks that repeat theirs, and attacks without gradients come last: what
    they still break, gradients had missed.
    """
    if not isinstance(options, Mapping):
        raise Refused("robustness_curve", f"options={options!r}", "a mapping by attack, {'pgd': {'steps': 100}}")
    asked = _asked(attacks, norm)
    chosen = [choose(a, {}, norm) for a in asked]
    given = [c.name for c in chosen]
    controls = tuple(name for name in controls_for(norm) if name not in given)
    known = [*given, *controls]
    if len(set(known)) != len(known):
        raise Refused("robustness_curve", f"attacks {given}", "each attack once")
    for name, own in options.items():
        if name not in known:
            raise Refused("robustness_curve", f"options for {name!r}", f"options for one of: {', '.join(known)}")
        if not isinstance(own, Mapping):
            raise Refused("robustness_curve", f"{own!r} as options for {name}", "a mapping, such as {'steps': 100}")
    settings = {name: options.get(name, CONTROLS[name] if name in controls else {}) for name in known}
    every = [choose(a, settings[n], norm) for a, n in zip([*asked, *controls], known, strict=True)]
    return sorted(every, key=lambda c: (c.asks_only, c.name == ONE_STEP)), controls


def controls_for(norm: str) -> tuple[str, ...]:
    """The controls that work under a threat model; an attack that is one of its own has none beside it."""
    known = registry.names("attacks")
    return tuple(name for name in CONTROLS if name in known and norm in supported_norms(name))


def _asked(attacks: Sequence[Attack] | Attack | None, norm: str) -> list[Attack]:
    if attacks is None:
        return list(ENSEMBLES.get(norm, (norm,)))
    asked = listed(attacks)
    if not asked:
        raise Refused("robustness_curve", "no attacks", "at least one attack, such as 'pgd'")
    for attack in asked:
        if (own := own_threat(attack)) and own != norm:
            raise Refused(f"{attack} under {norm}", "an attack whose budget is its own", f"norm={own!r}, and it alone")
    return asked
