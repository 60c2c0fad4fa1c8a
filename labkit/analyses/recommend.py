"""Which attribution is most faithful for this model and these inputs?"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal

import numpy as np
from torch import Tensor

from labkit.analyses import _asking
from labkit.analyses._explain.budget import Meter, metered
from labkit.analyses._explain.contest import Contest
from labkit.analyses._explain.explaining import Case
from labkit.analyses._explain.ranking import Judged, lead, means, rivals, wins
from labkit.analyses._explain.trial import Bench, Method
from labkit.analyses._guard import DEFAULT_BATCH, Run, as_split, logits, unchanged
from labkit.analyses._preflight import check_targets, preflight
from labkit.core import intervals, registry, resampling
from labkit.core.refused import Refused, unknown
from labkit.data.split import Split
from labkit.models.classifier import Classifier
from labkit.models.generative import Generative
from labkit.records.recommend import Recommendation

SAID = 3  # methods that a reason names
NO_SCORE = "every score ranks a map that explains nothing first, so that none can tell the methods apart here"


def recommend(
    model: Classifier | Generative,
    data: Split | np.ndarray | Tensor,
    target: Any = None,
    baseline: Any = None,
    seed: int = 0,
    *,
    budget: float = 60.0,
    unit: Literal["seconds", "passes"] = "seconds",
    methods: Method | Iterable[Method] | None = None,
    background: Split | np.ndarray | Tensor | None = None,
    batch_size: int = DEFAULT_BATCH,
) -> Recommendation:
    """Try every attribution that can run here within a budget, and say which is most faithful, and how sure that is.

    Out are methods that refuse the model, whose map is withheld (it vanishes, or breaks its promise to add up), or looks
    the same with random weights. The others are judged on the same examples by deletion, insertion, sensitivity-n,
    infidelity and a planted truth, each beside maps that explain nothing: a score that ranks one of these first does not
    count. A method's skill is 0 for a random map and 1 for the best method by each score, on average over those that
    count. The choice has the largest skill; how often it wins when the examples are drawn again is its confidence, and
    methods that paired intervals do not tell apart are named with it.

    No method is judged by what it was made from. It is judged as a prediction is, on a test set: by what the output does
    when parts go that were drawn afresh, of other sizes and shapes than methods take; deletion and insertion are also
    taken with a fill that no method compares with; and the planted truth is a model that no method was tuned to. What a
    method has by construction (adding up, a small or smooth map) can put it out, but never ahead, and agreement with
    other methods, shown beside it, counts for nothing. A method that cannot be put to a test has the others' mean in it.

    The cost of a method is predicted from its first row, and what does not fit is not begun. Methods that promise to add up
    go first, and cheap ones among them.

    Args:
        data, target, baseline, background: as for ``explain``. With 8 examples or more the choice can be told apart.
        budget: seconds, or passes: rows sent through the model, thrice where a gradient may be taken. With passes the
            answer is the same on every machine.
        methods: a name or function, or several; None takes all there are.

    Returns:
        Recommendation; "not_measured" where no method can be judged.

    Raises:
        Refused: what ``explain`` refuses whatever the method; a budget that is not positive; an unknown unit or method.
    """
    _check(budget, unit)
    chosen = registry.names("attributions") if methods is None else methods
    names = registry.several("attributions", chosen)
    model, target, of = _asking.what_of(model, target, None)
    x, y, about = as_split(data, model)
    asked = f"a recommendation for {model.name}"
    settings = {"budget": budget, "unit": unit, "methods": tuple(names), "of": of}
    run = Run("recommend", settings, seed, model, about, batch_size, values=True)
    preflight(run, model, x, y)
    meter = Meter(unit)
    counted = metered(model, meter)
    label = logits(run, counted, x).argmax(1).astype(np.int64)
    targets = label if target is None else check_targets(asked, target, len(x), len(model.classes))
    start = _asking.baseline(asked, model, baseline, x)
    usual = None if background is None else _asking.background(asked, _nothing, model, background, x)
    rows = counted, x, targets, start
    with unchanged(model):
        first, whole = (Bench.of(run, _case(run, *rows, n), usual) for n in (1, len(x)))
        contest = Contest(first, whole, meter, budget)
        if not contest.begin():
            return _record(run, contest, f"the budget of {budget:g} {unit} does not allow the scores of the controls")
        contest.hold(names)
    if not contest.trials:
        return _record(run, contest, _nothing_judged(contest))
    return _record(run, contest, "")


def _record(run: Run, contest: Contest, reason: str) -> Recommendation:
    """What was found, the best method first."""
    seed, n = run.seed or 0, len(contest.whole.case.x)
    judged = contest.judged() if contest.controls else Judged((), (), (), *[np.zeros((0, 0, n))] * 3)
    struck = judged.struck() if contest.trials else [""] * len(judged.scores)
    if contest.trials and all(struck):
        reason = NO_SCORE
    counts = bool(contest.trials) and not reason
    skill = judged.skill(struck) if counts else np.full((len(contest.trials), n), np.nan)
    win = wins(skill, resampling.stream(seed, "recommend")) if counts else np.full(len(skill), np.nan)
    cost = np.array([contest.cost[name] for name in judged.methods], np.int64)
    order = np.lexsort((cost, -skill.mean(1).round(6)))  # of equals the cheaper one
    names, skill, win = tuple(judged.methods[i] for i in order), skill[order], win[order]
    ends = np.array([intervals.mean(values) for values in skill]).reshape(-1, 2)
    ahead = lead(skill[0], skill[1]) if counts and len(skill) > 1 else (np.nan,) * 3
    unsure = rivals(skill, win) if counts else []
    return Recommendation(
        provenance=run.provenance(),
        status="not_measured" if reason else "measured",
        reason=reason,
        warnings=tuple(run.warnings),
        model=contest.whole.case.model.name,
        n=n,
        budget=float(contest.budget),
        unit=contest.meter.unit,
        passes=contest.meter.passes,
        methods=names,
        excluded=tuple(contest.out),
        reasons=tuple(contest.out.values()),
        unaffordable=tuple(contest.unaffordable),
        cost=cost[order],
        scores=tuple(judged.scores),
        better=tuple("higher" if sign > 0 else "lower" for sign in judged.sign),
        struck=tuple(struck),
        value=means(judged.values[order]),
        controls=tuple(judged.controls),
        control=means(judged.beside),
        skill=skill.mean(1),
        skill_low=ends[:, 0],
        skill_high=ends[:, 1],
        win=win,
        agreement=contest.agreement(names),
        choice=names[0] if counts else "",
        rivals=tuple(names[i] for i in unsure),
        lead=ahead[0],
        lead_low=ahead[1],
        lead_high=ahead[2],
    )


def _case(run: Run, model: Classifier, x: np.ndarray, target: np.ndarray, start: np.ndarray, n: int) -> Case:
    """The first n rows as a case."""
    change = logits(run, model, x[:n]).astype(np.float64) - logits(run, model, start[:n], "baseline")
    change = np.take_along_axis(change, target[:n, None], 1)[:, 0]
    return Case(model, x[:n], target[:n], start[:n], change)


def _check(budget: float, unit: str) -> None:
    if unit not in ("seconds", "passes"):
        raise unknown("the unit of a budget", str(unit), ("seconds", "passes"))
    if isinstance(budget, bool) or not isinstance(budget, int | float) or not 0 < budget < np.inf:
        raise Refused("a recommendation", f"budget={budget!r}", "a positive number of seconds or passes")


def _nothing() -> None:
    """Asks for nothing: a background is checked before any method is named."""


def _nothing_judged(contest: Contest) -> str:
    """Why no method was judged: a few by name, and how many the budget did not allow."""
    dear = set(contest.unaffordable)
    named = [f"{name}: {why}" for name, why in contest.out.items() if name not in dear]
    more = f"; and {len(named) - SAID} more" if len(named) > SAID else ""
    parts = ["; ".join(named[:SAID]) + more] if named else []
    if dear:
        allowed = f"{contest.budget:g} {contest.meter.unit}"
        parts.append(f"{allowed} do not allow {len(dear)} methods: a larger budget, or fewer examples, would")
    return "no method was judged. " + ". ".join(parts)
