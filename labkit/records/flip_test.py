"""What a model's answers do when a protected attribute is exchanged in its inputs, and nothing else is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np

from labkit.core.record import Dims, Record

LEAST = 30  # inputs from which a direction is compared with others


@dataclass(frozen=True, kw_only=True)
class Change:
    """One input whose answer moved far.

    Attributes:
        row: its place. source, target: the groups. before, after: the positive class's probability.
        answer_before, answer_after: the answers. words: what was exchanged.
    """

    row: int
    source: str
    target: str
    before: float
    after: float
    answer_before: str
    answer_after: str
    words: str


@dataclass(frozen=True, kw_only=True)
class FlipTest(Record):
    """Answers before and after the exchange, by direction, beside other exchanges in the same inputs. Intervals are at 95 %.

    Attributes:
        attribute: what was exchanged. inputs: "people", "sentences" or "template sentences".
        positive: the class that counts as positive. n: inputs in which something was exchanged; ``of`` all inputs.
        units: what intervals count as one observation: people, sentences, or templates.
        source, target: the groups of each direction.
        rows: inputs of the direction. changed: of these, whose answer changed; promoted: from another class to the
            positive one; demoted: away from it.
        share, share_low, share_high: of answers that change.
        shift, shift_low, shift_high: mean change of the positive class's probability.
        shift_null95: the size that a mean change stays below in 95 of 100 draws of neutral words for the group's; shift_p,
            shift_holm: how often it is as large in these, and corrected for the directions; nan for people.
        p, p_holm: McNemar's exact p of as many promoted as demoted, and corrected for the directions.
        odd: inputs that hardly occur after the exchange; odd_changed: of these, whose answer changed.
        moved, moved_low, moved_high: the share of inputs whose answer changes in at least one direction.
        size: mean size of the change of the probability, over inputs and directions.
        control: what else was exchanged; control_rows, control_share (with ends), control_size: in how many inputs, the
            share of answers that change, mean size of the change of the probability.
        compared: people, or pairs of words, with both an exchange and a control. excess, excess_size (with ends): by how much more answers,
            and the probability, change under the exchange than under the mean control, in the same inputs.
        unknown: words that the model does not know, for which nothing was exchanged, and ``unknown_count`` how often.
        left_out: inputs without a known group or word of it. furthest: the largest changes.
    """

    attribute: str
    inputs: str
    positive: str
    n: int
    of: int
    units: int
    source: tuple[str, ...]
    target: tuple[str, ...]
    rows: Annotated[np.ndarray, Dims("direction")]
    changed: Annotated[np.ndarray, Dims("direction")]
    promoted: Annotated[np.ndarray, Dims("direction")]
    demoted: Annotated[np.ndarray, Dims("direction")]
    share: Annotated[np.ndarray, Dims("direction")]
    share_low: Annotated[np.ndarray, Dims("direction")]
    share_high: Annotated[np.ndarray, Dims("direction")]
    shift: Annotated[np.ndarray, Dims("direction")]
    shift_low: Annotated[np.ndarray, Dims("direction")]
    shift_high: Annotated[np.ndarray, Dims("direction")]
    shift_null95: Annotated[np.ndarray, Dims("direction")]
    shift_p: Annotated[np.ndarray, Dims("direction")]
    shift_holm: Annotated[np.ndarray, Dims("direction")]
    p: Annotated[np.ndarray, Dims("direction")]
    p_holm: Annotated[np.ndarray, Dims("direction")]
    odd: Annotated[np.ndarray, Dims("direction")]
    odd_changed: Annotated[np.ndarray, Dims("direction")]
    moved: float
    moved_low: float
    moved_high: float
    size: float
    control: tuple[str, ...]
    control_rows: Annotated[np.ndarray, Dims("control")]
    control_share: Annotated[np.ndarray, Dims("control")]
    control_low: Annotated[np.ndarray, Dims("control")]
    control_high: Annotated[np.ndarray, Dims("control")]
    control_size: Annotated[np.ndarray, Dims("control")]
    compared: int
    excess: float
    excess_low: float
    excess_high: float
    excess_size: float
    excess_size_low: float
    excess_size_high: float
    unknown: tuple[str, ...]
    unknown_count: Annotated[np.ndarray, Dims("word")]
    left_out: int
    furthest: tuple[Change, ...]

    @property
    def read(self) -> bool:
        """Whether any answer or probability moved at all."""
        return bool(self.size > 1e-6 or self.changed.any())

    @property
    def widest(self) -> int:
        """The direction with the largest mean change of the probability, among those of enough inputs where there are any;
        -1 without any direction."""
        return int(np.where(self.ranked, np.abs(self.shift), -1).argmax()) if len(self.shift) else -1

    @property
    def ranked(self) -> np.ndarray:
        """(directions,) whether a direction has at least 30 inputs, unless none has."""
        enough = self.rows >= LEAST
        return enough if enough.any() else np.isfinite(self.shift)


def nothing(attribute: str, inputs: str, positive: str, of: int) -> dict[str, Any]:
    """The fields of a test in which nothing could be exchanged."""
    nan, no = float("nan"), np.zeros(0)
    directions = ("rows", "changed", "promoted", "demoted", "share", "share_low", "share_high", "shift", "shift_low")
    more = ("shift_high", "shift_null95", "shift_p", "shift_holm", "p", "p_holm", "odd", "odd_changed")
    controls = ("control_rows", "control_share", "control_low", "control_high", "control_size", "unknown_count")
    single = ("moved", "moved_low", "moved_high", "size", "excess", "excess_low", "excess_high")
    ends = ("excess_size", "excess_size_low", "excess_size_high")
    return {
        **dict.fromkeys((*directions, *more, *controls), no),
        **dict.fromkeys((*single, *ends), nan),
        **dict.fromkeys(("source", "target", "control", "unknown", "furthest"), ()),
        **dict.fromkeys(("n", "units", "compared", "left_out"), 0),
        **{"attribute": attribute, "inputs": inputs, "positive": positive, "of": of},
    }
