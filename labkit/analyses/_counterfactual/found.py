"""From searches to what a record states: found, asked again, held against the constraints and against random search."""

from __future__ import annotations

from typing import Any

import numpy as np

from labkit.analyses._counterfactual import evidence
from labkit.analyses._counterfactual.random import at_random
from labkit.analyses._counterfactual.search import Found, Moves, Question, Settings, search
from labkit.analyses._counterfactual.table import Table
from labkit.analyses._counterfactual.ways import Case, Ways
from labkit.analyses._counterfactual.words import Words
from labkit.core.draws import Draws

Arrays = dict[str, Any]


def searched(case: Case, ways: Ways, plan: Settings, count: int, control: bool, seed: int) -> Arrays:
    """The arrays of a ``Counterfactuals`` record."""
    moves = ways.moves()
    n, units, _ = moves.shape
    draws, again = Draws(seed, case.row), Question(case.run, case.model, case.target, "asking again")
    ask = Question(case.run, case.model, case.target)
    free, found = np.ones((n, units), bool), []
    for _ in range(count):
        found.append(search(ask, moves, free, plan))
        if len(found) == 1:
            queries = ask.asked.copy()
        free &= _avoiding(moves, plan, found[-1])
    out = _checked(case, ways, again, plan, found)
    out |= _judged(case, ways, again, out, draws.spawn(1), seed)
    out |= _control(case, moves, plan, queries if control else np.zeros(n, np.int64), draws.spawn(2))
    out |= _in_words(case, ways, out, found)
    out["path"] = (
        np.full((n, 1), np.nan) if isinstance(ways, Table) else _path(again, moves, found[0], out["found"][:, 0])
    )
    out["before"] = again(np.arange(n), case.x.__getitem__)[:, 1]
    return out | {"every": found[0].every, "complete": moves.complete, "queries": queries}


def _avoiding(moves: Moves, plan: Settings, found: Found) -> np.ndarray:
    """(n, units) all but each row's dearest changed unit; none where nothing was found."""
    cost = np.take_along_axis(moves.cost, np.maximum(found.state - 1, 0)[..., None].astype(np.int64), 2)[..., 0]
    cost = np.where(found.state > 0, plan.per_change + cost, -1.0)
    free = np.ones(cost.shape, bool)
    free[np.arange(len(cost)), cost.argmax(1)] = False
    return free & np.isfinite(found.price)[:, None]


def _checked(case: Case, ways: Ways, again: Question, plan: Settings, found: list[Found]) -> Arrays:
    """The changed rows, with what the model says of them when it is asked again, and without those that break a rule."""
    n, count, units = len(case.x), len(found), found[0].state.shape[1]
    after = np.repeat(case.x[:, None], count, 1)
    out: Arrays = {
        "after": after,
        "found": np.zeros((n, count), bool),
        "edited": np.zeros((n, count, units), bool),
        "cost": np.full((n, count), np.nan),
        "proba": np.full((n, count), np.nan),
        "reached": np.repeat(case.label[:, None], count, 1),
    }
    for j, each in enumerate(found):
        rows = np.flatnonzero(np.isfinite(each.price))
        made, edited, cost = ways.finish(again, rows, each.state[rows], plan.lead)
        answer = again(rows, made.__getitem__)
        broken = [ways.breaches(case.x[r], made[i]) for i, r in enumerate(rows)]
        if any(broken):
            first = next(b for b in broken if b)
            case.run.warn(f"{sum(map(bool, broken))} changes broke a constraint and were dropped (first: {first[0]})")
        good = (answer[:, 2] == case.target[rows]) & ~np.array([bool(b) for b in broken], bool)
        kept = rows[good]
        out["found"][kept, j] = True
        after[kept, j], out["edited"][kept, j], out["cost"][kept, j] = made[good], edited[good], cost[good]
        out["proba"][kept, j], out["reached"][kept, j] = answer[good, 1], answer[good, 2]
    return out


def _judged(case: Case, ways: Ways, again: Question, out: Arrays, draws: Draws, seed: int) -> Arrays:
    """How like real rows the changed rows are, and whether they stand small noise."""
    at = np.argwhere(out["found"])
    made, row = out["after"][tuple(at.T)], at[:, 0]
    shape = out["found"].shape
    distance, real, kept = (np.full(shape, np.nan) for _ in range(3))
    least = 0
    if not isinstance(ways, Words) and case.known is not None and len(at):
        known = case.known
        found = evidence.likeness(ways.apart, made, case.target[row], known.x, known.y, seed)
        distance[tuple(at.T)], real[tuple(at.T)], least = found
    if ways.noise_of:
        for j in range(shape[1]):
            some = np.flatnonzero(out["found"][:, j])
            kept[some, j] = evidence.kept(again, ways, some, out["after"][some, j], draws.spawn(j))
    return {"distance": distance, "real": real, "kept": kept, "n_real": least}


def _control(case: Case, moves: Moves, plan: Settings, budget: np.ndarray, draws: Draws) -> Arrays:
    ask = Question(case.run, case.model, case.target, "random search")
    found = at_random(ask, moves, budget, plan, draws)
    edited = (found.state > 0).sum(1)
    return {
        "control_queries": ask.asked,
        "control_found": np.isfinite(found.price),
        "control_edited": edited,
        "control_cost": np.where(np.isfinite(found.price), found.price - plan.per_change * edited, np.nan),
    }


def _path(again: Question, moves: Moves, found: Found, there: np.ndarray) -> np.ndarray:
    rows = np.flatnonzero(there)
    made = evidence.path(again, moves, rows, found.state[rows])
    steps = np.full((len(there), made.shape[1]), np.nan)
    steps[rows] = made
    return steps


def _in_words(case: Case, ways: Ways, out: Arrays, found: list[Found]) -> Arrays:
    """The units before and after as a person reads them."""
    if isinstance(ways, Table):
        return {
            "was": tuple(map(ways.shown, case.x)),
            "becomes": tuple(tuple(map(ways.shown, rows)) for rows in out["after"]),
            "place_was": ways.places(case.x),
            "place_becomes": np.stack([ways.places(out["after"][:, j]) for j in range(len(found))], 1),
        }
    if isinstance(ways, Words):
        states = [np.where(out["edited"][:, j], each.state, 0) for j, each in enumerate(found)]
        becomes = tuple(tuple(ways.edits(i, state[i]) for state in states) for i in range(len(case.x)))
        return {"was": tuple(map(ways.shown, case.x)), "becomes": becomes}
    return {}
