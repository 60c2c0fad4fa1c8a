"""What a model answers to the exchanges of a flip test, and what that comes to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from labkit.analyses._flip.design import Design
from labkit.analyses._guard import Run, logits, probabilities
from labkit.core import intervals, resampling
from labkit.models.classifier import Classifier
from labkit.records.flip_test import Change

FURTHEST = 10  # changes that are kept in words
DRAWS, FEW = 5000, 10  # of the null; pairs of neutral words that it takes at least
ROUNDING = 1e-6  # a probability that moves less has not moved


Answers = tuple[np.ndarray, np.ndarray]  # classes, and the positive class's probability


@dataclass(eq=False)
class Moves:
    """Answers before and after one exchange."""

    before: Answers
    after: Answers
    positive: int

    @property
    def label(self) -> np.ndarray:
        return self.before[0]

    @property
    def new_label(self) -> np.ndarray:
        return self.after[0]

    @property
    def proba(self) -> np.ndarray:
        return self.before[1]

    @property
    def new_proba(self) -> np.ndarray:
        return self.after[1]

    @property
    def changed(self) -> np.ndarray:
        return self.label != self.new_label

    @property
    def promoted(self) -> np.ndarray:
        return self.changed & (self.new_label == self.positive)

    @property
    def demoted(self) -> np.ndarray:
        return self.changed & (self.label == self.positive)

    @property
    def shift(self) -> np.ndarray:
        moved = self.new_proba - self.proba
        return np.where(np.abs(moved) < ROUNDING, 0.0, moved)


def asked_of(run: Run, model: Classifier, design: Design, positive: int) -> tuple[list[Moves], list[Moves], np.ndarray]:
    """What the model answers to the exchanges, and to the controls; and (pairs,) the mean change of the probability by pairs
    of neutral words."""

    def answers(x: np.ndarray) -> Answers:
        z = logits(run, model, x, run.analysis)
        return z.argmax(1), probabilities(z)[:, positive]

    label, proba = answers(design.x)
    found = [Moves((label[e.rows], proba[e.rows]), answers(e.x), positive) for e in design.exchanges]
    pairs = np.zeros(0)
    if design.chance is not None:
        changes = Moves(answers(design.chance.before), answers(design.chance.after), positive)
        pairs = _by_unit(changes.shift, design.chance.rows)
    # a control that starts from the inputs themselves needs no answer of its own
    beside = []
    for c in design.controls:
        own = np.array_equal(c.before, design.x[c.rows])
        before = (label[c.rows], proba[c.rows]) if own else answers(c.before)
        beside.append(Moves(before, answers(c.after), positive))
    return found, beside, pairs


def stated(
    moves: tuple[list[Moves], list[Moves], np.ndarray],
    design: Design,
    model: Classifier,
    generator: np.random.Generator,
) -> dict[str, Any]:
    """The fields of the record that are measured."""
    found, beside, pairs = moves
    each = [_direction(m, design.unit[e.rows]) for m, e in zip(found, design.exchanges)]
    fields: dict[str, Any] = {name: np.array([d[name] for d in each]) for name in each[0]}
    by_chance = [_by_chance(m.shift, e.pair, pairs, generator) for m, e in zip(found, design.exchanges)]
    fields["shift_null95"], fields["shift_p"] = np.array(by_chance).T
    fields["shift_holm"] = intervals.holm(fields["shift_p"])
    fields["odd"] = np.array([int(e.odd.sum()) for e in design.exchanges])
    fields["odd_changed"] = np.array([int((e.odd & m.changed).sum()) for m, e in zip(found, design.exchanges)])
    others = [_direction(m, design.unit[c.rows]) for m, c in zip(beside, design.controls)]
    names = {"control_rows": "rows", "control_share": "share", "control_low": "share_low", "control_high": "share_high"}
    fields |= {name: np.array([d[of] for d in others]) for name, of in names.items()}
    fields["control_size"] = np.array([float(np.abs(m.shift).mean()) for m in beside])
    asked = np.unique(np.concatenate([e.rows for e in design.exchanges]))
    any_moved = np.zeros(len(design.x), bool)
    for m, e in zip(found, design.exchanges):
        any_moved[e.rows[m.changed]] = True
    moved, low, high = _share(any_moved[asked], design.unit[asked])
    words = sorted(design.unknown)
    return fields | {
        "n": len(asked),
        "of": len(design.x),
        "units": len(np.unique(design.unit[asked])),
        "source": tuple(e.source for e in design.exchanges),
        "target": tuple(e.target for e in design.exchanges),
        "p_holm": intervals.holm(fields["p"]),
        "moved": moved,
        "moved_low": low,
        "moved_high": high,
        "control": tuple(c.name for c in design.controls),
        **_beside(found, beside, design),
        "unknown": tuple(words),
        "unknown_count": np.array([design.unknown[w] for w in words]),
        "left_out": design.left_out,
        "furthest": _furthest(found, design, model),
    }


def _direction(m: Moves, unit: np.ndarray) -> dict[str, Any]:
    share, low, high = _share(m.changed, unit)
    shifts = _by_unit(m.shift, unit)
    net = _by_unit(m.promoted.astype(float) - m.demoted, unit)
    return {
        "rows": len(m.label),
        "changed": int(m.changed.sum()),
        "promoted": int(m.promoted.sum()),
        "demoted": int(m.demoted.sum()),
        "share": share,
        "share_low": low,
        "share_high": high,
        "shift": float(shifts.mean()),
        **dict(zip(("shift_low", "shift_high"), intervals.mean(shifts))),
        "p": mcnemar(int((net > 0).sum()), int((net < 0).sum())),
    }


def mcnemar(one: int, other: int) -> float:
    """The exact p-value of as many of the one as of the other (McNemar, 1947, doi 10.1007/BF02295996)."""
    from scipy.special import bdtr

    return float(min(1.0, 2 * bdtr(min(one, other), one + other, 0.5))) if one + other else 1.0


def _by_chance(
    shift: np.ndarray, pair: np.ndarray, neutral: np.ndarray, generator: np.random.Generator
) -> tuple[float, float]:
    """What the mean change stays below in 95 of 100 draws in which every pair of words is a neutral one, either way round,
    and how often it is as large in these; nan without neutral pairs."""
    if len(neutral) < FEW:
        return float("nan"), float("nan")
    weight = np.bincount(pair) / len(pair)
    drawn = neutral[generator.integers(len(neutral), size=(DRAWS, len(weight)))]
    null = np.abs(drawn * generator.choice([-1.0, 1.0], drawn.shape) @ weight)
    return float(np.quantile(null, 0.95)), resampling.share_as_large(null, abs(float(shift.mean())))


def _by_unit(values: np.ndarray, unit: np.ndarray) -> np.ndarray:
    """The mean of each unit's values."""
    _, code = np.unique(unit, return_inverse=True)
    return np.bincount(code, values) / np.bincount(code)


def _share(hit: np.ndarray, unit: np.ndarray) -> tuple[float, float, float]:
    """A share over units: exact where each has one input, Student's over the units' shares where they have more."""
    parts = _by_unit(hit.astype(float), unit)
    if len(parts) == len(hit) or not 0 < hit.sum() < len(hit):
        low, high = intervals.clopper_pearson(int(parts.sum()), len(parts))
    else:
        low, high = np.clip(intervals.mean(parts), 0, 1)
    return float(parts.mean()), float(low), float(high)


def _beside(found: list[Moves], beside: list[Moves], design: Design) -> dict[str, Any]:
    """Exchanges and controls in the same inputs: how much more answers, and probabilities, change under the exchange."""
    pairs = list(zip(found, design.exchanges)), list(zip(beside, design.controls))
    own, other = ([_per_input(some, f, len(design.x)) for f in (_changes, _sizes)] for some in pairs)
    size = float(np.nanmean(own[1]))
    both = np.isfinite(own[0]) & np.isfinite(other[0])
    # some words matter more than others, neutral or not: what is compared are pairs of words, not each sentence with them
    unit = design.unit if design.chance is None else _word_pair(design)
    result: dict[str, Any] = {"size": size, "compared": len(np.unique(unit[both]))}
    for name, one, two in zip(("excess", "excess_size"), own, other):
        if not both.any():
            result |= dict.fromkeys((name, f"{name}_low", f"{name}_high"), float("nan"))
            continue
        parts = _by_unit((one - two)[both], unit[both])
        ends = (intervals.paired_mean if design.chance is None and name == "excess" else intervals.mean)(parts)
        result |= {name: float(parts.mean()), f"{name}_low": float(ends[0]), f"{name}_high": float(ends[1])}
    return result


def _word_pair(design: Design) -> np.ndarray:
    """(n,) which pair of words is exchanged in each input, in the first direction that it has; -1 where none is."""
    found = np.full(len(design.x), -1)
    for e in reversed(design.exchanges):
        found[e.rows] = e.pair
    return found


def _changes(m: Moves) -> np.ndarray:
    return m.changed.astype(float)


def _sizes(m: Moves) -> np.ndarray:
    return np.abs(m.shift)


def _per_input(some: list[Any], value: Any, n: int) -> np.ndarray:
    """(n,) the mean over what was exchanged in each input; nan where nothing was."""
    total, count = np.zeros(n), np.zeros(n)
    for m, exchange in some:
        total[exchange.rows] += value(m)
        count[exchange.rows] += 1
    return np.divide(total, count, out=np.full(n, np.nan), where=count > 0)


def _furthest(found: list[Moves], design: Design, model: Classifier) -> tuple[Change, ...]:
    """The inputs whose probability moved furthest, each once."""
    places = [(d, k) for d, m in enumerate(found) for k in np.argsort(-np.abs(m.shift), kind="stable")[: 3 * FURTHEST]]
    places.sort(key=lambda p: -abs(found[p[0]].shift[p[1]]))
    kept: dict[int, Change] = {}
    for d, k in places:
        m, e = found[d], design.exchanges[d]
        row = int(e.rows[k])
        if row in kept or len(kept) == FURTHEST or not m.shift[k]:
            continue
        kept[row] = Change(
            row=row,
            source=e.source,
            target=e.target,
            before=float(m.proba[k]),
            after=float(m.new_proba[k]),
            answer_before=model.classes[int(m.label[k])],
            answer_after=model.classes[int(m.new_label[k])],
            words=e.words[k],
        )
    return tuple(kept.values())
