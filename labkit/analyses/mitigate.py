"""What can be done about a disparity, what each remedy costs, and who pays."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from labkit.analyses._mitigate.offered import Offered, offered
from labkit.analyses._mitigate.people import ASKED, Arrays, Given, Roles, roles, taken
from labkit.analyses._mitigate.stated import Criterion, Judges
from labkit.analyses._mitigate.sweep import Rule, Sweep
from labkit.analyses._predicted import Statement, positive_class
from labkit.core import registry
from labkit.core.draws import Draws
from labkit.core.record import Provenance
from labkit.core.refused import Refused
from labkit.data.split import Dataset, Split
from labkit.mitigations import Answer
from labkit.models.classifier import Classifier
from labkit.records.mitigate import Mitigation
from labkit.records.predict import Predictions

STRENGTHS = (0.2, 0.4, 0.6, 0.8, 1.0)


def mitigate(
    model: Classifier | Predictions | None,
    data: Dataset | Split | None = None,
    by: str | tuple[str, ...] = "",
    methods: str | Answer | Iterable[str | Answer] | None = None,
    *,
    positive: int | str | None = None,
    criterion: str = "selection_rate",
    learner: Any = "logistic",
    strengths: Sequence[float] = STRENGTHS,
    tolerance: float = 0.02,
    seed: int = 0,
    least: int = 30,
    least_of: int = 10,
) -> Mitigation:
    """Methods against a disparity, at several strengths, on people whom they were not fitted to.

    Pre- and in-processing methods train a learner on ``data.train``; post-processing methods change the model's answers, or
    the learner's where there is no model. Of the held-out people a quarter fits rules, a quarter chooses, and half is
    stated on: what is chosen by looking is stated on people who were not looked at. The least discriminatory alternative
    is the point with the least disparity among those whose accuracy is, with one standard error to spare (Breiman et al.,
    1984, Classification and regression trees, section 3.4.3), at most ``tolerance`` below that of the model in use (or of
    the learner); its price and who pays it stand beside it.

    Args:
        model: a model; what it answered, then with post-processing alone unless ``data`` is given; or None, for the learner.
        data: training and test data, or held-out people alone.
        by: a sensitive feature; a tuple of several means their intersection.
        methods: names (``labkit.names("mitigations")``) or functions; all that fit by default.
        positive: the class that counts as positive, by name or index.
        criterion: what is to differ less between groups: a rate of the answers by name, or "equalized_odds".
        learner: "logistic", "trees", "network", "own" (the model's module trained anew), a torch module, an
            estimator of scikit-learn, or a function (x, y, weight) -> (x -> (n, classes) probabilities).
        strengths: from above 0 to 1, the method as published.
        least, least_of: groups with fewer people, or fewer of the class in question, are shown and not compared.

    Raises:
        Refused: an unknown feature, method, learner or criterion; a method that was named and does not fit; fewer than
            two groups of 20 people.
    """
    options = {
        "by": by, "methods": _listed(methods), "criterion": criterion, "learner": registry.label(learner),
        "strengths": tuple(strengths), "tolerance": tolerance, "positive": positive, "least": least, "least_of": least_of,
    }  # fmt: skip
    _check(by, strengths, tolerance)
    given = Given.of(model, data)
    statement = Statement(ASKED, options, seed, {"data": given.p})
    index = positive_class(ASKED, given.p, positive)
    aim = Criterion.of(ASKED, criterion, given.p)
    found = roles(given.p, given.train, by, seed)
    parts = (by,) if isinstance(by, str) else tuple(by)
    there = offered(given, found, learner, parts, index, seed, must=methods is not None or model is None)
    if not there.bases:
        raise Refused(ASKED, "neither answers nor a learner", "a model, predictions, or a learner that fits the data")
    aims = {"positive": index, "criterion": criterion, "seed": seed}
    rule, choose, state = (taken(there.held, rows) for rows in (found.rule, found.choose, found.state))
    sweep = Sweep(aims, there.fit, there.learn, rule, choose, state, len(given.p.classes), seed, there.unfit)
    rules = [_of_the_held(base, found) for base in there.bases] + sweep.run(methods, strengths)
    return _record(statement, given, found, there, sweep, rules, aim, index, tolerance, least, least_of)


def _check(by: str | tuple[str, ...], strengths: Sequence[float], tolerance: float) -> None:
    if not by:
        raise Refused(ASKED, "no sensitive feature", 'by= with one, such as by="sex"')
    if not len(strengths) or not all(0 < s <= 1 for s in strengths):
        raise Refused(ASKED, f"strengths {list(strengths)}", "some above 0 and at most 1; at 0 nothing changes")
    if not 0 <= tolerance < 1:
        raise Refused(ASKED, f"tolerance={tolerance}", "how much accuracy may be lost, from 0 to 1")


def _listed(methods: Any) -> Any:
    return "all that fit" if methods is None else tuple(map(registry.label, registry.listed("mitigations", methods)))


def _of_the_held(base: Rule, found: Roles) -> Rule:
    """A rule on all held-out people, as one on those to choose by and those stated on."""
    score = None if base.score is None else base.score[found.state]
    return replace(base, choose=base.choose[found.choose], state=base.state[found.state], score=score)


def _record(
    statement: Statement,
    given: Given,
    found: Roles,
    there: Offered,
    sweep: Sweep,
    rules: list[Rule],
    aim: Criterion,
    index: int,
    tolerance: float,
    least: int,
    least_of: int,
) -> Mitigation:
    groups, seed = found.grouping.groups, statement.seed
    chooser, judge = (_judges(people, len(groups), index, aim) for people in (sweep.choose, sweep.state))
    first = rules[0]
    ranked = _ranked(judge, first, least, least_of)
    chooser, judge = replace(chooser, ranked=ranked), replace(judge, ranked=ranked)
    stated = [judge.stated(r.state, first.state, r.score, seed, f"{r.name} {r.strength:g}") for r in rules]
    accuracy = np.array([chooser.right(r.choose).mean() for r in rules])
    disparity = np.array([chooser.disparity(r.choose) for r in rules])
    affordable = np.array([chooser.likely_cost(r.choose, first.choose) for r in rules]) <= tolerance
    affordable[0] = True
    reads = np.array([_reads(r, there.reads) for r in rules])
    blind = ((reads == "nothing") | (reads == "a column")) & (np.array([s["lots"] for s in stated]) == 0)
    best = _least(disparity, accuracy, affordable)
    status, reason = _status(judge, first, ranked, groups)
    return Mitigation(
        provenance=_provenance(statement, given, there),
        status=status,
        reason=reason,
        warnings=(*given.p.warnings, *found.warnings, *there.warnings),
        positive=given.p.classes[index],
        feature=found.grouping.name,
        criterion=aim.name,
        between=aim.rates,
        learner=there.fit.learner.about if there.fit is not None else "none",
        tolerance=tolerance,
        n_learn=len(found.learn) if there.fit is not None else 0,
        n_rule=len(found.rule),
        n_choose=len(found.choose),
        n=len(found.state),
        group=np.array(groups),
        n_group=np.bincount(judge.group, minlength=len(groups)),
        positives=np.bincount(judge.group[judge.truth], minlength=len(groups)),
        ranked=ranked,
        method=np.array([r.name for r in rules]),
        stage=np.array([r.stage for r in rules]),
        strength=np.array([r.strength for r in rules]),
        reads=reads,
        reference=0,
        rates=judge.rates,
        chosen_accuracy=accuracy,
        chosen_disparity=disparity,
        affordable=affordable,
        front=_front(accuracy, disparity),
        least=best,
        least_blind=_least(disparity, accuracy, affordable & blind),
        left_out=tuple(sweep.left_out),
        why=tuple(sweep.left_out.values()),
        person=found.state,
        decision=_drawn(rules[best].state, found.state, seed),
        **{name: np.array([s[name] for s in stated]) for name in stated[0]},
    )


def _judges(people: Arrays, groups: int, positive: int, aim: Criterion) -> Judges:
    return Judges(people["y"], people["group"], groups, positive, aim, np.ones(groups, bool))


def _ranked(judge: Judges, rule: Rule, least: int, least_of: int) -> np.ndarray:
    """(groups,) whether a group has enough people, and enough of those whom the criterion's rates are taken of."""
    size = np.bincount(judge.group, minlength=judge.groups)
    return np.asarray((size >= least) & (judge.taken_of(rule.state).min(0) >= least_of))


def _reads(rule: Rule, inputs: str) -> str:
    return "the group" if "group" in rule.reads else inputs


def _least(disparity: np.ndarray, accuracy: np.ndarray, among: np.ndarray) -> int:
    """The point among some, or the first, with the least disparity; of several the most accurate. nan never is."""
    among = among & ~np.isnan(disparity)
    among[0] = True
    order = np.lexsort((-accuracy, np.where(among, disparity, np.inf)))
    best = int(order[0])
    return best if disparity[best] < disparity[0] else 0


def _front(accuracy: np.ndarray, disparity: np.ndarray) -> np.ndarray:
    """(point,) whether no other point is at least as good in both and better in one."""
    good = (accuracy[:, None] >= accuracy) & (disparity[:, None] <= disparity)
    better = (accuracy[:, None] > accuracy) | (disparity[:, None] < disparity)
    return ~np.isnan(disparity) & ~(good & better).any(0)


def _drawn(chances: np.ndarray, rows: np.ndarray, seed: int) -> np.ndarray:
    """(person,) one answer each by its chances, drawn from the seed and the person's row."""
    lot = Draws(seed, rows).uniform(1).astype(float)
    return np.minimum((np.cumsum(chances, 1) <= lot).sum(1), chances.shape[1] - 1)


def _status(judge: Judges, rule: Rule, ranked: np.ndarray, groups: tuple[str, ...]) -> tuple[Any, str]:
    if ranked.sum() < 2:
        sizes = ", ".join(f"{g} ({int((judge.group == i).sum())})" for i, g in enumerate(groups))
        return "not_measured", f"fewer than two groups have enough people among those stated on: {sizes}; it takes more"
    if len(np.unique(rule.state.argmax(1))) < 2:
        return "not_measured", f"{rule.name.replace('_', ' ')} gives everybody one answer; it takes one that decides"
    if np.isnan(judge.disparity(rule.state)):
        return "not_measured", f"{judge.criterion.name} of {rule.name} is undefined in a group; it takes more people"
    return "measured", ""


def _provenance(statement: Statement, given: Given, there: Offered) -> Provenance:
    made = statement.provenance()
    train = {} if given.train is None else {"train": given.train.describe()}
    learner = {} if there.fit is None else {"learner": there.fit.learner.name, "about": there.fit.learner.about}
    return replace(made, data={"test": made.data, **train}, model={**made.model, **learner})
