"""Every method at every strength: the rules that come of them, as chances of each answer."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from labkit.analyses._mitigate.learners import Learner
from labkit.core import method, progress, registry, resampling
from labkit.core.record import array_digest
from labkit.core.refused import Refused
from labkit.mitigations import Answer, Model

AFTER = {"score", "features"}
# A method that fits more often than to rank people once and then to train plays with the learner.
FITS = 2


@dataclass(frozen=True, eq=False)
class Rule:
    """One method at one strength, with what it answers the people to choose by and the people stated on.

    Attributes:
        reads: the names that the answer takes.
        score: (n, classes) probabilities for the people stated on, where the answer gives such.
    """

    name: str
    stage: str
    strength: float
    reads: tuple[str, ...]
    choose: np.ndarray
    state: np.ndarray
    score: np.ndarray | None


@dataclass(eq=False)
class Watched:
    """A learner that is watched: how often a method fits, and whether by a loss of its own. What the learner makes of the
    people as they are is fitted once, and what it makes of them under the same classes and weights once a method: one that
    plays with the learner asks the same again, at one strength and at the next."""

    learner: Learner
    x: np.ndarray
    y: np.ndarray
    fits: int = 0
    objective: bool = False
    made: dict[str, Model] = field(default_factory=dict, repr=False)

    @property
    def classes(self) -> int:
        return self.learner.classes

    @property
    def takes_objective(self) -> bool:
        return self.learner.takes_objective

    @cached_property
    def plain(self) -> Model:
        """The learner without any method."""
        return self.learner(self.x, self.y)

    def __call__(self, x: np.ndarray, y: np.ndarray, weight: Any = None, objective: Any = None) -> Model:
        self.fits, self.objective = self.fits + 1, self.objective or objective is not None
        if x is not self.x or objective is not None:
            return self.learner(x, y, weight=weight, objective=objective)
        if y is self.y and weight is None:
            return self.plain
        asked = array_digest(y) if weight is None else array_digest(y, weight)
        if asked not in self.made:
            self.made[asked] = self.learner(x, y, weight=weight)
        return self.made[asked]

    @property
    def stage(self) -> str:
        """What the fits since the last ``forget`` are: within training, or only before it."""
        return "within" if self.objective or self.fits > FITS else "before"

    def forget(self) -> None:
        self.fits, self.objective = 0, False


@dataclass(eq=False)
class Sweep:
    """Fits methods to people.

    Attributes:
        offered: what leaves may name, besides the arrays of people and ``fit``: ``positive``, ``seed``, ``criterion``.
        fit: the learner, or None without data to train on.
        learn, rule: arrays of the people to train on (empty without any) and of those to fit rules on.
        choose, state: arrays of the people to be answered.
        unfit: why there is no learner.
        left_out: why methods did not fit, by name.
    """

    offered: Mapping[str, Any]
    fit: Watched | None
    learn: Mapping[str, np.ndarray]
    rule: Mapping[str, np.ndarray]
    choose: Mapping[str, np.ndarray]
    state: Mapping[str, np.ndarray]
    classes: int
    seed: int
    unfit: str = ""
    left_out: dict[str, str] = field(default_factory=dict)

    def run(self, given: Any, strengths: Iterable[float]) -> list[Rule]:
        """Every rule; a method that was named and does not fit is refused, one of all is left out with the reason."""
        functions = registry.several("mitigations", registry.names("mitigations") if given is None else given)
        strengths, found = list(strengths), []
        for i, (name, function) in enumerate(functions.items()):
            if self.fit is not None:
                self.fit.made.clear()
            try:
                for j, strength in enumerate(strengths):
                    progress.step("mitigate", i * len(strengths) + j, len(functions) * len(strengths))
                    found.append(self._one(name, function, strength))
            except Refused as refusal:
                if given is not None:
                    raise
                self.left_out[name] = f"{refusal.given}; it takes {refusal.instead}"
                found = [rule for rule in found if rule.name != name]
        progress.step("mitigate", len(functions), len(functions))
        return found

    def _one(self, name: str, function: Callable[..., Any], strength: float) -> Rule:
        wanted = set(method.needs(function))
        after = bool(wanted & AFTER)
        people = self.rule if after else self.learn
        if self.fit is None and not after:
            given = self.unfit
            raise Refused(name, given, "a data set with .train, and a learner that takes its inputs")
        offered = {**self.offered, **people, "generator": resampling.stream(self.seed, "mitigate", name)}
        if self.fit is not None:
            self.fit.forget()
            offered["fit"] = self.fit
        spec = method.bind("mitigations", name, function, {"strength": strength})
        answer = method.call(function, spec, offered)
        stage = "after" if after or self.fit is None else self.fit.stage
        reads = _reads(answer, self.state)
        choose, state = (self._asked(name, answer, reads, people) for people in (self.choose, self.state))
        if getattr(answer, "decides", False):
            return Rule(name, stage, strength, reads, choose, state, None)
        return Rule(name, stage, strength, reads, decided(choose), decided(state), state)

    def _asked(self, name: str, answer: Answer, reads: tuple[str, ...], people: Mapping[str, np.ndarray]) -> np.ndarray:
        chances = np.asarray(answer(*(people[r] for r in reads)), np.float64)
        n = len(people["y"])
        sums = (
            chances.shape == (n, self.classes)
            and np.isfinite(chances).all()
            and np.allclose(chances.sum(1), 1, atol=1e-4)
        )
        if not sums or (chances < -1e-9).any():
            given = f"answers of shape {chances.shape} for {n} people"
            raise Refused(f"the rule of {name}", given, f"(n, {self.classes}) chances that add up to 1")
        return np.clip(chances, 0, 1)


def decided(score: np.ndarray) -> np.ndarray:
    """(n, classes) 1 for the likeliest class."""
    return np.eye(score.shape[1])[score.argmax(1)]


def _reads(answer: Answer, offered: Mapping[str, np.ndarray]) -> tuple[str, ...]:
    """The names that an answer takes; what a learner gives takes inputs, whatever it calls them."""
    names = method.needs(answer)
    if len(names) == 1 and names[0] not in offered:
        names = ("x",)
    missing = [n for n in names if n not in offered]
    if missing:
        given = f"a rule that reads {', '.join(missing)}; on offer: {', '.join(sorted(offered))}"
        raise Refused("a decision", given, "a rule of what is on offer here")
    return tuple(names)
