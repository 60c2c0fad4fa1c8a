"""How a plan asks what answers do to groups of people: who is in the data, what differs, where it comes from, what helps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations
from typing import TYPE_CHECKING, Any

import labkit as lk
from labkit.core.record import Record
from labkit.core.refused import Refused
from labkit.models import compression
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
    if subject.given is None:
        return lk.data_bias(subject.dataset(), _groups(subject), positive=positive, seed=seed)
    p = subject.predictions(step.split, step.rows)
    if subject.columns is None or not p.has_truth:
        return lk.data_bias(p, _groups(subject), positive=positive, seed=seed)
    # With their columns people can be seen to stand there twice, and values to be missing.
    known = replace(subject.people(step.split, step.rows), y=p.y, classes=p.classes, groups=p.groups)
    return lk.data_bias(known, _groups(subject), positive=positive, seed=seed)


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


def bias_amplification(subject: Subject, step: Step, seed: int, *, by: str = EACH) -> Record:
    train = None if subject.given is not None else subject.dataset().train
    return lk.bias_amplification(subject.predictions(step.split, step.rows), by, train, seed=seed)


def changes_by_group(
    subject: Subject, step: Step, seed: int, *, prune: float = 0.0, bits: int = 0, positive: Positive = None
) -> Record:
    """The model beside itself with a share of its weights cut, or its weights rounded to so many bits."""
    model, split = subject.classifier(), subject.split(step.split, step.rows)
    if not prune and not bits:
        given = "neither a share of weights to cut nor bits to round them to"
        raise Refused(f"a smaller {subject.name}", given, "prune = 0.5 or bits = 8 in the plan")
    smaller = compression.prune(model, prune) if prune else model
    smaller = compression.quantize(smaller, bits) if bits else smaller
    before, after = subject.predictions(step.split, step.rows), lk.predict(smaller, split)
    return lk.changes_by_group(before, after, list(subject.groups), positive=positive, seed=seed)


def embedding_association(subject: Subject, step: Step, seed: int, *, test: str) -> Record:
    return lk.embedding_association(subject.classifier(), test, data=subject.dataset(), seed=seed)


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
    learner: str = "logistic",
    learn: int = 0,
) -> Record:
    """Of a model's training people at most ``learn``, the first ones; 0 takes all."""
    asked: dict[str, Any] = {"positive": positive, "criterion": criterion, "tolerance": tolerance, "seed": seed}
    if subject.given is None:
        data = subject.dataset()
        data = replace(data, train=data.train[:learn]) if learn else data
        return lk.mitigate(subject.classifier(), data, by, methods, learner=learner, **asked)
    p = subject.predictions(step.split, step.rows)
    if p.proba is None:
        instead = "probabilities, of which a rule can move the threshold (--score), or the model with its training data"
        raise Refused(f"remedies for {subject.name}", "predictions with labels only", instead)
    return lk.mitigate(p, None, by, methods, **asked)


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
    bias_amplification,
    changes_by_group,
    embedding_association,
    mitigate,
)
