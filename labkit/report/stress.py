"""How a plan asks what a model stands: attacks, certificates, natural shifts, and when it should rather not answer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import labkit as lk
from labkit.core.record import Record
from labkit.records.robustness_curve import RobustnessCurve

if TYPE_CHECKING:
    from labkit.report.plan import Step
    from labkit.report.subject import Subject

# Rows of what inputs usually are, for the attacks that learn of them and for what a change in a table costs.
BACKGROUND = 1000


def robustness_curve(
    subject: Subject,
    step: Step,
    seed: int,
    *,
    eps: list[float],
    attacks: list[str] | None = None,
    norm: str | None = None,
    tune: Mapping[str, Mapping[str, Any]] | None = None,
    constraints: Mapping[str, Any] | None = None,
) -> Record:
    return _curve(subject, step, seed, eps=eps, attacks=attacks, norm=norm, options=tune, constraints=constraints)


def sandwich(
    subject: Subject,
    step: Step,
    seed: int,
    *,
    eps: list[float],
    certificates: list[str],
    attacks: list[str] | None = None,
    norm: str | None = None,
    tune: Mapping[str, Mapping[str, Any]] | None = None,
    constraints: Mapping[str, Any] | None = None,
) -> Record:
    """The curve is that of an earlier step where one asked for the same, and else runs here."""
    curve = _curve(subject, step, seed, eps=eps, attacks=attacks, norm=norm, options=tune, constraints=constraints)
    split, background = subject.split(step.split, step.rows), subject.dataset().background(BACKGROUND)
    about: dict[str, Any] = {"norm": curve.norm, "seed": seed, "background": background, "constraints": constraints}
    proven = [lk.certify(subject.classifier(), split, name, **about) for name in certificates]
    return lk.sandwich(curve, *proven)


def natural_shifts(
    subject: Subject,
    step: Step,
    seed: int,
    *,
    corruptions: list[str] | None = None,
    severities: list[int] | None = None,
) -> Record:
    split, background = subject.split(step.split, step.rows), subject.dataset().background(BACKGROUND)
    asked: dict[str, Any] = {} if severities is None else {"severities": severities}
    return lk.natural_shifts(subject.classifier(), split, corruptions, background=background, seed=seed, **asked)


def abstention(subject: Subject, step: Step, seed: int) -> Record:
    return lk.abstention(subject.predictions(step.split, step.rows), seed=seed)


def out_of_distribution(
    subject: Subject, step: Step, seed: int, *, near: list[str] | None = None, far: list[str] | None = None
) -> Record:
    split, background = subject.split(step.split, step.rows), subject.dataset().background(BACKGROUND)
    asked = {name: given for name, given in (("near", near), ("far", far)) if given is not None}
    return lk.out_of_distribution(subject.classifier(), split, background=background, seed=seed, **asked)


def _curve(subject: Subject, step: Step, seed: int, **asked: Any) -> RobustnessCurve:
    """A robustness curve, computed once for all steps that ask for the same."""
    asked = {"attacks": None, **asked, "seed": seed}
    key = ("robustness_curve", step.split, step.rows, repr(sorted(asked.items())))
    if key not in subject.records:
        split, background = subject.split(step.split, step.rows), subject.dataset().background(BACKGROUND)
        subject.records[key] = lk.robustness_curve(subject.classifier(), split, background=background, **asked)
    found = subject.records[key]
    assert isinstance(found, RobustnessCurve)
    return found


RUNNERS = (robustness_curve, sandwich, natural_shifts, abstention, out_of_distribution)
