"""How each analysis is asked from a plan: what of the subject it is given, and which options a plan may set.

A runner takes the subject, the plan's step and the seed; its keyword-only arguments are the step's options.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import labkit as lk
from labkit.core import method as methods
from labkit.core import registry
from labkit.core.record import Record
from labkit.core.refused import Refused, unknown
from labkit.report import fairness, generalizing, stress
from labkit.report.evidence import slug

if TYPE_CHECKING:
    from labkit.report.plan import Step
    from labkit.report.subject import Subject


def predict(subject: Subject, step: Step, seed: int) -> Record:
    return subject.predictions(step.split, step.rows)


def calibration(
    subject: Subject,
    step: Step,
    seed: int,
    *,
    groups: bool = False,
    classes: bool = False,
    positive: int | str | None = None,
) -> Record:
    by, p = list(subject.groups) if groups else (), subject.predictions(step.split, step.rows)
    return lk.calibration(p, by=by, by_class=classes and len(p.classes) > 2, positive=positive, seed=seed)


def baselines(
    subject: Subject, step: Step, seed: int, *, metric: str = "accuracy", positive: int | str | None = None
) -> Record:
    if subject.data is None or not subject.training:
        raise Refused(
            f"models that anyone can read beside {subject.name}",
            "nothing to fit a baseline to" if subject.data else "predictions alone, and nothing to fit a baseline to",
            "the model with its training data",
        )
    return lk.baselines(
        subject.predictions(step.split, step.rows),
        replace(subject.data, test=subject.split(step.split, step.rows)),
        metric,
        positive=positive,
        trained_on=subject.trained_on,
        can_be_read="terms" in subject.classifier().capabilities,
        seed=seed,
    )


def explain(subject: Subject, step: Step, seed: int, *, method: str, tune: Mapping[str, Any] | None = None) -> Record:
    split = subject.split(step.split, step.rows)
    return lk.explain(
        subject.classifier(), split, method, seed=seed, background=subject.dataset().background(), **(tune or {})
    )


def recommend(subject: Subject, step: Step, seed: int, *, passes: int = 200_000) -> Record:
    """The budget is in passes: in seconds the answer would depend on the machine."""
    split, background = subject.split(step.split, step.rows), subject.dataset().background()
    return lk.recommend(subject.classifier(), split, seed=seed, budget=passes, unit="passes", background=background)


def permutation_importance(
    subject: Subject, step: Step, seed: int, *, metric: str = "accuracy", positive: int | str | None = None
) -> Record:
    split = subject.split(step.split, step.rows)
    return lk.permutation_importance(subject.classifier(), split, metric, positive=positive, seed=seed)


def feature_effect(subject: Subject, step: Step, seed: int, *, feature: str, target: int | str | None = None) -> Record:
    return lk.feature_effect(subject.classifier(), subject.split(step.split, step.rows), feature, target, seed=seed)


def surrogate(subject: Subject, step: Step, seed: int, *, depth: int = 4) -> Record:
    return lk.surrogate(subject.classifier(), subject.dataset(), depth=depth, seed=seed)


def counterfactuals(
    subject: Subject, step: Step, seed: int, *, target: int | str | None = None, lead: float = 1.0
) -> Record:
    """Ways that lead by so much: the cheapest of all end at the border of the class, whatever the model is like."""
    split, train = subject.split(step.split, step.rows), subject.dataset().train
    return lk.counterfactuals(subject.classifier(), split, target, background=train, lead=lead, seed=seed)


def reasons(
    subject: Subject, step: Step, seed: int, *, adverse: int | str, population: Any = "passed", most: int = 4
) -> Record:
    split, train = subject.split(step.split, step.rows), subject.dataset().train
    return lk.reasons(subject.classifier(), split, adverse, train, population=population, most=most, seed=seed)


RUNNERS: dict[str, Callable[..., Record]] = {
    runner.__name__: runner
    for runner in (
        predict,
        calibration,
        baselines,
        *fairness.RUNNERS,
        *generalizing.RUNNERS,
        *stress.RUNNERS,
        explain,
        recommend,
        permutation_importance,
        feature_effect,
        surrogate,
        counterfactuals,
        reasons,
    )
}


def runner_options(where: str, analysis: str, options: Mapping[str, Any]) -> None:
    """Refuse options that a step's analysis does not have, methods that do not exist, and their misspelt tunables."""
    known = {
        name: p
        for name, p in inspect.signature(RUNNERS[analysis]).parameters.items()
        if p.kind is inspect.Parameter.KEYWORD_ONLY
    }
    for name in options:
        if name not in known:
            raise unknown(f"{where}, option {name!r} of {analysis}", name, known)
    for name, parameter in known.items():
        if parameter.default is parameter.empty and name not in options:
            raise Refused(where, f"no option {name!r}", f"options = {{{name} = ...}}")
    for kind in ("attacks", "certificates", "corruptions"):
        for name in options.get(kind) or ():
            registry.find(kind, name)
    for metric in [*options.get("metrics", ()), *([options["metric"]] if "metric" in options else [])]:
        registry.find("metrics", metric)
    tuned = {"attacks": options.get("tune", {}), "attributions": {}}
    if "method" in options:
        tuned = {"attacks": {}, "attributions": {options["method"]: options.get("tune", {})}}
    for kind, settings in tuned.items():
        for name, values in settings.items():
            methods.bind(kind, name, registry.find(kind, name), values)


def each(subject: Subject, step: Step) -> list[Step]:
    """The step, or one for each sensitive feature where it is asked by one at a time."""
    if _by(step) != fairness.EACH or not subject.groups:
        return [step]
    return [
        replace(
            step,
            id=f"{step.id}-{slug(feature)}",
            question=f"{step.question.rstrip('?')}, by {feature}?",
            options={**step.options, "by": feature},
        )
        for feature in subject.groups
    ]


def run(subject: Subject, step: Step, seed: int) -> Record:
    """The record that answers a step's question. Refused when it cannot be answered for this subject."""
    if _by(step) == fairness.EACH:
        instead = "data with group columns"
        raise Refused(
            f"groups of people in the data of {subject.name}", "data that names no sensitive feature", instead
        )
    return RUNNERS[step.analysis](subject, step, seed, **step.options)


def _by(step: Step) -> Any:
    """By what groups a step is asked: its option, or what its runner takes for granted; None where it has none."""
    known = inspect.signature(RUNNERS[step.analysis]).parameters.get("by")
    return None if known is None else step.options.get("by", known.default)
