"""One attribution put to the test: its map, whether it can be believed at all, and its scores beside the controls'."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from labkit.analyses import _asking
from labkit.analyses._explain import faithful
from labkit.analyses._explain.budget import Exhausted
from labkit.analyses._explain.explaining import Attribute, Case
from labkit.analyses._guard import Run
from labkit.analyses.explain import explain
from labkit.checks.randomized_weights import randomized_weights
from labkit.core import method as methods
from labkit.core import registry
from labkit.core.draws import Draws
from labkit.core.refused import Refused
from labkit.faithfulness._fills import NAMES as FILLS
from labkit.records.explain import Explanation, Score

# What judges, in order. Completeness and agreement are not among them: a method can have either without being right.
JUDGES = ("deletion", "insertion", "sensitivity_n", "infidelity", "planted_truth")
BLIND = "randomized_weights"

Method = str | Callable[..., Any]


@dataclass(frozen=True, eq=False)
class Trial:
    """What came of one method: why it is out ("" where it is not), its map, and its scores, one an example each."""

    out: str
    values: np.ndarray
    scores: Mapping[str, np.ndarray]


@dataclass(frozen=True, eq=False)
class Bench:
    """Some rows on which methods are tried, and every measure ready to be taken of any map of them."""

    run: Run
    case: Case
    background: np.ndarray | None
    measures: Mapping[str, faithful.Measurement]

    @classmethod
    def of(cls, run: Run, case: Case, background: np.ndarray | None) -> Bench:
        draws = Draws(run.seed or 0, len(case.x)).spawn(7)  # no method draws from these
        usual = None if background is None else case.model.tensor(background)
        measures = {
            name: faithful.Measurement(
                run, case, registry.find("faithfulness", name), name, (), draws.spawn(10 + i), usual
            )
            for i, name in enumerate((*JUDGES, BLIND))
        }
        return cls(run, case, background, measures)

    def controls(self) -> dict[str, dict[str, np.ndarray]]:
        """The scores of maps that explain nothing, by the maps' names."""
        draws = Draws(self.run.seed or 0, len(self.case.x)).spawn(8)
        found = {}
        for i, name in enumerate(faithful.CONTROLS):
            judged = faithful._control(self.run, self.case, name, draws.spawn(i))
            found[name] = self.scores(judged, [m for m in self.measures if m != BLIND])
        return found

    def scores(self, judged: faithful.Judged, names: list[str]) -> dict[str, np.ndarray]:
        """One score an example; nan for a measure that does not apply. Second fills of a measure stand beside it."""
        found = {}
        for name in names:
            try:
                values, more = self.measures[name].of(judged)
            except Refused:
                values, more = np.full(len(self.case.x), np.nan), {}
            found[name] = values.astype(np.float64)
            found |= {f"{name}, {fill}": more[fill].astype(np.float64) for fill in FILLS if fill in more}
        return found

    def attributed(self, method: Method) -> Explanation | str:
        """One method's explanation, or why there is none."""
        try:
            return self._explained(method)
        except Exhausted:
            raise
        except Exception as error:  # one method that fails must not take the others with it
            return f"refused: {error.given}" if isinstance(error, Refused) else f"it fails: {error!r:.200}"

    def trial(self, method: Method, controls: Mapping[str, Mapping[str, np.ndarray]]) -> Trial:
        """One method's map, and its scores where it is not out."""
        record = self.attributed(method)
        if isinstance(record, str) or record.status != "measured":
            return Trial(record if isinstance(record, str) else record.reason, np.zeros(0), {})
        hidden = int(record.withheld.sum())
        if hidden:
            return Trial(f"its map is withheld on {hidden} of {len(record)} examples", np.zeros(0), {})
        judged = faithful.Judged(record.attribution, self._attribute(method))
        found = self.scores(judged, [m for m in self.measures if m != BLIND])
        return Trial(self._blind(record, judged, found, controls), record.attribution, found)

    def _explained(self, method: Method) -> Explanation:
        case, run = self.case, self.run
        return explain(
            case.model,
            case.x,
            method,
            case.target,
            case.baseline,
            run.seed or 0,
            background=self.background,
            evidence=(),
            batch_size=run.batch_size,
        )

    def _attribute(self, method: Method) -> Attribute:
        function, name = registry.find("attributions", method), registry.label(method)
        background = _asking.background(name, function, self.case.model, self.background, self.case.x)
        return Attribute(
            function, methods.bind("attributions", name, function, {}), self.run.batch_size, None, background
        )

    def _blind(self, record: Explanation, judged: faithful.Judged, found: Any, controls: Any) -> str:
        """Why the map does not depend on what was learned; "" where it does, or where that cannot be told."""
        try:
            values, more = self.measures[BLIND].of(judged)
        except Refused:
            return ""
        scores = {
            BLIND: Score(values=values, more={k: v for k, v in more.items() if k != "attribution"}),
            "planted_truth": Score(
                values=found["planted_truth"],
                better="higher",
                controls={"random": Score(values=controls["random"]["planted_truth"])},
            ),
        }
        finding = randomized_weights(replace(record, scores=scores))
        return finding.says if finding.status == "does_not_meet" else ""
