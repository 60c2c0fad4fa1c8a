"""The scores behind predictions."""

from __future__ import annotations

from labkit.analyses._predicted import Statement, positive_class
from labkit.core.refused import Refused
from labkit.records.predict import Predictions
from labkit.records.scores import Scores


def scores(p: Predictions, *, positive: int | str | None = None) -> Scores:
    """The probability of the positive class as a score of each person, so that scores are compared and not decisions.

    Args:
        p: predictions with probabilities, with or without truth.
        positive: the class whose probability is the score, by name or index; may be left out when the classes are 0
            and 1.

    Returns:
        Scores from 0 to 1; ``y`` is 1 where the true class is the positive one, and None without truth.

    Raises:
        Refused: predictions without probabilities, no positive class named.
    """
    statement = Statement("scores", {"positive": positive}, 0, {"data": p}, truth=False)
    if p.proba is None:
        given = "predictions without probabilities"
        raise Refused("scores", given, "probabilities: labkit.predict, or Scores.from_frame with score=")
    index = positive_class("scores", p, positive)
    return Scores(
        provenance=statement.provenance(),
        warnings=p.warnings,
        name=f"probability of {p.classes[index]}",
        value=p.proba[:, index].astype(float),
        y=(p.y == index).astype(float) if p.has_truth else None,
        groups=p.groups,
    )
