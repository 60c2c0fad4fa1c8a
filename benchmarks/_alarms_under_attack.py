"""What the checks of robustness curves, certificates and shifts say of sound models."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

import numpy as np

import labkit as lk
from benchmarks._models_under_attack import Attacked, made
from labkit.corruptions._applying import fitting
from labkit.records.finding import Finding
from labkit.records.robustness_curve import RobustnessCurve

ORDER = ("does_not_meet", "inconclusive", "info", "meets", "not_measured", "not_applicable")
CURVE = (
    "gradient_masking",
    "attack_converged",
    "input_scale",
    "best_iterate_kept",
    "random_answers",
    "finite_under_attack",
)
# Who is asked to attack takes turns too; the controls run beside each.
ATTACKS: tuple[list[str] | None, ...] = (["pgd"], None, ["pgd"], ["apgd"], ["fgsm"], ["pgd"], ["momentum", "deepfool"])
BUDGETS = {
    ("images", "linf"): (0.02, 0.06, 0.15),
    ("images", "l2"): (0.2, 0.6, 1.4),
    ("columns", "linf"): (0.01, 0.03, 0.08),
    ("columns", "l2"): (0.04, 0.12, 0.35),
}
CORRUPTIONS, SEVERITIES = 6, (1, 3, 5)


@dataclass(frozen=True)
class Case:
    """What every check said of one model: its worst word by check and subject, and the accusations in words."""

    attacked: Attacked
    norm: str
    attacks: str
    rows: int
    found: dict[str, str]
    escalated: str
    says: tuple[str, ...]


def cases(models: int, first: int) -> Iterator[Case]:
    """One model after another, each judged on rows, norm, budgets and attacks of its own."""
    for number in range(models):
        yield case(number, first + number)


def case(number: int, seed: int) -> Case:
    """The model of that number, attacked, certified and shifted."""
    attacked, draw = made(number, seed), np.random.default_rng(seed + 1)
    norm, attacks = ("linf", "l2")[number // 2 % 2], ATTACKS[number // 3 % len(ATTACKS)]
    most = 100 if attacked.shape == "convolutional" else 200
    data = _some(attacked.test, int(draw.integers(40, most + 1)), draw)
    unit = "images" if attacked.images else "columns"
    eps = [float(e * draw.uniform(0.7, 1.0)) for e in BUDGETS[unit, norm]]
    curve = lk.robustness_curve(attacked.model, data, attacks, eps=eps, norm=norm, seed=seed)
    findings = list(lk.check(curve, only=CURVE))
    if norm == "linf":
        findings += _certified(attacked, data, curve)
    if attacked.images:
        findings += _shifted(attacked, draw, seed)
    found = _worst(findings) | {"contradicted": "does_not_meet" if curve.status == "contradicted" else "meets"}
    says = tuple(str(f) for f in findings if f.status == "does_not_meet")
    escalated = curve.escalated if curve.status == "measured" else f"{curve.escalated} ({curve.reason})"
    return Case(attacked, norm, ", ".join(attacks or ["the default"]), len(data), found, escalated, says)


def shifted_cases(models: int, first: int) -> Iterator[Case]:
    """Models on images, judged under natural shifts alone."""
    for number in range(models):
        attacked = made(number, first + number)
        if attacked.images:
            draw = np.random.default_rng(first + number)
            findings = tuple(_shifted(attacked, draw, first + number))
            says = tuple(str(f) for f in findings if f.status == "does_not_meet")
            yield Case(attacked, "", "", len(attacked.test) // 2, _worst(findings), "", says)


def _some(data: lk.data.Split, rows: int, draw: np.random.Generator) -> lk.data.Split:
    return data[np.sort(draw.permutation(len(data))[:rows])]


def _certified(attacked: Attacked, data: lk.data.Split, curve: RobustnessCurve) -> Iterable[Finding]:
    try:
        proven = lk.certify(attacked.model, data, "crown", norm=curve.norm)
    except lk.Refused:  # an activation for which no bounds are known
        return ()
    return lk.check(lk.sandwich(curve, proven), only=["certificate_holds"])


def _shifted(attacked: Attacked, draw: np.random.Generator, seed: int) -> Iterable[Finding]:
    """The tolerance is the drop on all held-out rows, of which those judged are a part, so that it is just met; groups
    are drawn, so that they differ by chance alone."""
    names = [n for n in fitting("image") if n != "saturate"]  # which asks for colours
    chosen = [names[i] for i in draw.permutation(len(names))[:CORRUPTIONS]]
    groups = {"drawn": draw.choice(["a", "b"], len(attacked.test)).astype(str)}
    every = replace(attacked.test, groups=groups)
    tolerance = lk.natural_shifts(attacked.model, every, chosen, SEVERITIES, by=[], seed=seed).mean_drop()[0]
    some = _some(every, len(every) // 2, draw)
    shifts = lk.natural_shifts(attacked.model, some, chosen, SEVERITIES, seed=seed + 1)
    thresholds = {"holds_under_shift": {"tolerance": max(tolerance, 1e-3)}}
    return lk.check(shifts, only=["holds_under_shift", "equal_under_shift"], thresholds=thresholds)


def _worst(findings: Iterable[Finding]) -> dict[str, str]:
    worst: dict[str, str] = {}
    for f in findings:
        name = f.check if f.check != "gradient_masking" else f"{f.check}: {f.subject}"
        worst[name] = min(worst.get(name, ORDER[-1]), f.status, key=ORDER.index)
    return worst
