"""Attacks one after another: each row keeps the smallest budget known to break it, and one pass serves every budget."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from labkit.analyses._attack.chosen import Chosen
from labkit.analyses._attack.ground import Ground
from labkit.analyses._attack.strike import Strike, answers, refuse_without_values, settle, strike
from labkit.analyses._attack.ways import Way, as_it_is
from labkit.checks._iterated import iterated


@dataclass(frozen=True)
class Went:
    """How one attack went. ``broken_at`` (example,) is the smallest budget at which it broke the row: infinite where it
    did not, or was not tried, since an earlier attack had broken the row at the smallest budget."""

    spec: str
    broken_at: np.ndarray
    queries: np.ndarray
    gradients: np.ndarray
    tried: np.ndarray
    by_gradient: bool
    nonfinite: int = 0
    thrown_away: int = 0


@dataclass
class Campaign:
    """The attacks of one curve, the nearest adversarial known for each row, and the smallest budget that breaks it."""

    ground: Ground
    budgets: np.ndarray
    went: dict[str, Went] = field(default_factory=dict)
    cure: tuple[Chosen, Way] | None = None  # the last attack by another way that broke what others had not

    def __post_init__(self) -> None:
        self.start = np.where(self.ground.correct, np.inf, 0.0)
        self.reached = self.start.copy()
        self.nearest = self.ground.x.copy()

    def run(self, attack: Chosen, *, way: Way = as_it_is, known: np.ndarray | None = None) -> None:
        """One attack on the rows that stand, each at the budget that tells most.

        A row nobody has broken is tried at the middle budget, one that an earlier attack broke at the next smaller one;
        then the budgets that are left are halved. A row that stands at a budget is taken to stand at smaller ones, which
        can only make the bound looser. ``known`` says where rows are broken already; by default, where any attack
        without gradients that this one follows, or any attack with them, broke them.
        """
        if known is None:
            known = self.reached if attack.asks_only else self.best(by_gradient=True)
        trial = _Trial(self.ground, attack, self.budgets, known)
        trial.all_budgets(way) if attack.names_eps else trial.once(way)
        refuse_without_values(attack, trial.lost, trial.asked)
        if way is not as_it_is and (trial.broken_at < known).any():
            self.cure = attack, way
        nearer = trial.broken_at < self.reached
        self.nearest[nearer], self.reached[nearer] = trial.found[nearer], trial.broken_at[nearer]
        # A stronger variant may find nothing left to do, and so take no gradient: it is of the kind of its model.
        by_gradient = bool(trial.gradients.any()) or way is not as_it_is
        self.went[attack.name] = Went(
            str(attack.spec),
            np.where(self.ground.correct, trial.broken_at, 0.0),
            trial.queries,
            trial.gradients,
            trial.tried,
            by_gradient,
            trial.nonfinite,
            trial.thrown_away,
        )

    def look_again(self) -> tuple[int, int]:
        """Ask a model that answers at random once more about the rows that it lost: how many, and how many it got right
        this time. Those count as standing, for luck had broken them."""
        rows = np.flatnonzero(self.ground.correct & np.isfinite(self.reached))
        if self.ground.asks == 1 or not len(rows):
            return 0, 0
        back = rows[answers(self.ground, self.nearest[rows]) == self.ground.y[rows]]
        for name, went in self.went.items():
            broken_at = went.broken_at.copy()
            broken_at[back] = np.inf
            self.went[name] = replace(went, broken_at=broken_at)
        self.reached[back], self.nearest[back] = np.inf, self.ground.x[back]
        return len(rows), len(back)

    def iterated(self) -> np.ndarray:
        """(attack,) whether it took more than one gradient step on a row."""
        return iterated(*(np.array([getattr(w, f) for w in self.went.values()]) for f in ("gradients", "tried")))

    def best(self, *, by_gradient: bool) -> np.ndarray:
        """(example,) smallest breaking budget among the attacks that use gradients, or among the others."""
        rows = [w.broken_at for w in self.went.values() if w.by_gradient == by_gradient]
        return np.min([self.start, *rows], axis=0)


class _Trial:
    """One attack's way through the budgets."""

    def __init__(self, ground: Ground, attack: Chosen, budgets: np.ndarray, known: np.ndarray) -> None:
        n = len(ground.x)
        self.ground, self.attack, self.budgets, self.known = ground, attack, budgets, known
        self.found, self.broken_at = ground.x.copy(), np.full(n, np.inf)
        self.queries, self.gradients, self.tried = np.zeros(n), np.zeros(n), np.zeros(n, int)
        self.lost = self.asked = self.nonfinite = self.thrown_away = 0

    def once(self, way: Way) -> None:
        """An attack that looks for the smallest perturbation: its rows count at every budget from their distance on."""
        rows = np.flatnonzero(self.known > self.budgets.min(initial=np.inf))
        if not len(rows):
            return
        hit = self._struck(rows, None, way)
        self._take(rows, hit, np.inf)
        # Cut back to the next smaller budget a row may still be wrong, at the price of one answer.
        smaller = np.searchsorted(self.budgets, np.minimum(self.broken_at[rows], self.known[rows]) * (1 - 1e-6)) - 1
        for at in np.unique(smaller[smaller >= 0]):
            chosen = smaller == at
            less = settle(self.ground, rows[chosen], hit.x[chosen], float(self.budgets[at]))
            self._take(rows[chosen], less, float(self.budgets[at]))

    def all_budgets(self, way: Way) -> None:
        """An attack that takes a budget."""
        low = np.zeros(len(self.known), int)
        high = np.searchsorted(self.budgets, self.known)
        at = np.where(np.isinf(self.known), (low + high - 1) // 2, high - 1)
        while (left := low < high).any():
            for each in np.unique(at[left]).tolist():
                rows, eps = np.flatnonzero(left & (at == each)), float(self.budgets[each])
                hit = self._struck(rows, eps, way)
                self._take(rows, hit, eps)
                broke = np.searchsorted(self.budgets, np.minimum(self.broken_at[rows], self.known[rows]))
                high[rows] = np.where(hit.success, np.minimum(broke, each), high[rows])
                low[rows] = np.where(hit.success, low[rows], each + 1)
            at = (low + high - 1) // 2

    def _struck(self, rows: np.ndarray, eps: float | None, way: Way) -> Strike:
        hit = strike(self.ground, self.attack, rows, eps, way=way)
        self.queries[rows] += hit.queries
        self.gradients[rows] += hit.gradients
        self.tried[rows] += 1
        self.asked, self.lost = self.asked + len(rows), self.lost + hit.lost
        self.thrown_away += hit.thrown_away
        self.nonfinite += int((hit.label < 0).sum())
        return hit

    def _take(self, rows: np.ndarray, hit: Strike, eps: float) -> None:
        """Keep the successes, at the smallest budget that their distance allows."""
        rows, x = rows[hit.success], hit.x[hit.success]
        if not len(rows):
            return
        reach = np.full(len(rows), eps)
        if self.ground.threat.distance is not None:
            far = self.ground.threat.distance(self.ground, rows, x) * (1 - 1e-6)
            reach = np.minimum(reach, np.append(self.budgets, np.inf)[np.searchsorted(self.budgets, far)])
        nearer = reach < self.broken_at[rows]
        self.found[rows[nearer]], self.broken_at[rows[nearer]] = x[nearer], reach[nearer]
