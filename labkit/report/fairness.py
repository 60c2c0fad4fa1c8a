"""How a plan asks what answers do to groups of people: who is in the data, what differs, where it comes from, what helps."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import TYPE_CHECKING, Any

import labkit as lk
from labkit.core.record import Record
from labkit.core.refused import Refused
from labkit.records.predict import Predictions

if TYPE_CHECKING:
    from labkit.report.plan import Step
    from labkit.report.subject import Subject

# ``by`` of a step that is asked once for each sensitive feature.
EACH = "each"
Positive = int | str | None


def audit_groups(
    subject: Subject, step: Step, seed: int, *, metrics: list[str], positive: Positive = 1, depth: int = 1
) -> Record:
    answers = subject.answers(step.split, step.rows)
    if not isinstance(answers, Predictions):
        positive = None
    return lk.audit_groups(answers, metrics, by=_groups(subject), positive=positive, depth=depth, seed=seed)


def impact_ratios(subject: Subject, step: Step, seed: int, *, positive: Positive = 1) -> Record:
    groups = _groups(subject)
    sets = [*groups, *combinations(groups, 2)]
    answers = subject.answers(step.split, step.rows)
    asked: dict[str, Any] = {"positive": positive} if isinstance(answers, Predictions) else {}
    return lk.impact_ratios(answers, sets, seed=seed, **asked)


def conditional_parity(
    subject: Subject, step: Step, seed: int, *, by: str = EACH, given: Sequence[str] = (), positive: Positive = 1
) -> Record:
    if not given:
        raise Refused(
            f"what may rightly differ between the groups of {subject.name}",
            "no factor named as legitimate",
            "given = [...] in the plan, or --given: which factors may be taken into account is for people to decide",
        )
    p = subject.predictions(step.split, step.rows)
    data = None if set(given) <= set(p.groups) else subject.people(step.split, step.rows)
    return lk.conditional_parity(p, by, tuple(given), data=data, positive=positive, seed=seed)


def trade_offs(subject: Subject, step: Step, seed: int, *, by: str = EACH, positive: Positive = 1) -> Record:
    return lk.trade_offs(subject.predictions(step.split, step.rows), by, positive=positive, seed=seed)


def data_bias(subject: Subject, step: Step, seed: int, *, positive: Positive = 1) -> Record:
    data = subject.predictions(step.split, step.rows) if subject.given is not None else subject.dataset()
    return lk.data_bias(data, _groups(subject), positive=positive, seed=seed)


def proxies(subject: Subject, step: Step, seed: int, *, by: str = EACH) -> Record:
    return lk.proxies(subject.people(step.split, step.rows), by, seed=seed)


def find_slices(subject: Subject, step: Step, seed: int, *, depth: int = 2) -> Record:
    p, people = subject.predictions(step.split, step.rows), subject.people(step.split, step.rows)
    return lk.find_slices(p, people, depth=depth, seed=seed)


def error_cohorts(subject: Subject, step: Step, seed: int) -> Record:
    p, people = subject.predictions(step.split, step.rows), subject.people(step.split, step.rows)
    return lk.error_cohorts(p, people, seed=seed)


def individual_fairness(subject: Subject, step: Step, seed: int, *, positive: Positive = 1) -> Record:
    p, people = subject.predictions(step.split, step.rows), subject.people(step.split, step.rows)
    return lk.individual_fairness(p, people, by=_groups(subject), positive=positive, seed=seed)


def flip_test(subject: Subject, step: Step, seed: int, *, by: str = EACH, positive: Positive = 1) -> Record:
    return lk.flip_test(subject.classifier(), subject.split(step.split, step.rows), by, positive=positive, seed=seed)


def counterfactual_fairness(
    subject: Subject,
    step: Step,
    seed: int,
    *,
    by: str,
    graph: dict[str, list[str]] | None = None,
    positive: Positive = 1,
) -> Record:
    if not graph:
        raise Refused(
            f"what {subject.name} would answer had people been born into another group",
            "no graph of what causes what",
            "graph = {...} in the plan: it is an assumption that somebody must state",
        )
    return lk.counterfactual_fairness(subject.classifier(), subject.dataset(), by, graph, positive=positive, seed=seed)


def gap_decomposition(subject: Subject, step: Step, seed: int, *, by: str = EACH, positive: Positive = 1) -> Record:
    return lk.gap_decomposition(
        subject.classifier(), subject.split(step.split, step.rows), by, positive=positive, seed=seed
    )


def explanation_disparity(
    subject: Subject, step: Step, seed: int, *, by: str = EACH, method: str = "integrated_gradients"
) -> Record:
    split, background = subject.split(step.split, step.rows), subject.dataset().background()
    return lk.explanation_disparity(subject.classifier(), split, by, method, background=background, seed=seed)


def mitigate(
    subject: Subject,
    step: Step,
    seed: int,
    *,
    by: str = EACH,
    methods: list[str] | None = None,
    criterion: str = "selection_rate",
    positive: Positive = 1,
    tolerance: float = 0.02,
) -> Record:
    asked: dict[str, Any] = {"positive": positive, "criterion": criterion, "tolerance": tolerance, "seed": seed}
    if subject.given is not None:
        return lk.mitigate(subject.predictions(step.split, step.rows), None, by, methods, **asked)
    return lk.mitigate(subject.classifier(), subject.dataset(), by, methods, **asked)


def _groups(subject: Subject) -> list[str]:
    """The sensitive features. Refused where the data names none."""
    if not subject.groups:
        instead = "data with group columns"
        raise Refused(
            f"groups of people in the data of {subject.name}", "data that names no sensitive feature", instead
        )
    return list(subject.groups)


RUNNERS = (
    audit_groups,
    impact_ratios,
    conditional_parity,
    trade_offs,
    data_bias,
    proxies,
    find_slices,
    error_cohorts,
    individual_fairness,
    flip_test,
    counterfactual_fairness,
    gap_decomposition,
    explanation_disparity,
    mitigate,
)
