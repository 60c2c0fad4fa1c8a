"""Which metrics answer which harm: what can go wrong for people, what measures it, and what that leaves out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from labkit.core.refused import unknown
from labkit.core.words import spoken


@dataclass(frozen=True)
class Harm:
    """One way in which a model can wrong a group of people.

    Attributes:
        name: how it is chosen.
        asks: the question as people ask it.
        metrics: what measures it, by group.
        parity: what equal values are called.
        needs: "truth", "probabilities" or "scores" beside answers; "" where the answers do.
        leaves_out: what equal values would still not say.
    """

    name: str
    asks: str
    metrics: tuple[str, ...]
    parity: str
    needs: str
    leaves_out: str

    def __str__(self) -> str:
        which = ", ".join(spoken(m) for m in self.metrics)
        needed = f" It takes the {self.needs}." if self.needs else ""
        return f"{self.name}: {self.asks}\n  {which}; equal over groups: {self.parity}.{needed}\n  {self.leaves_out}"


HARMS = (
    Harm(
        "fewer_chances",
        "Does one group get the good, or the bad, answer more often, whether it deserves it or not?",
        ("selection_rate",),
        "demographic parity; the ratio is the impact ratio",
        "",
        "A model without error has unequal rates where base rates differ; equal rates can hide equal shares of the wrong people.",
    ),
    Harm(
        "wrongly_refused",
        "Are those who should get the positive answer refused more often in one group?",
        ("true_positive_rate", "false_negative_rate"),
        "equal opportunity",
        "truth",
        "It says nothing of those who should not get it, and takes the labels for the truth.",
    ),
    Harm(
        "wrongly_burdened",
        "Is the positive answer a burden (flagged, charged, denied), and do people who should not get it get it more often in one group?",
        ("false_positive_rate", "true_negative_rate"),
        "false positive rate parity (predictive equality)",
        "truth",
        "It says nothing of those who should be flagged and are not.",
    ),
    Harm(
        "wrong_either_way",
        "Do both kinds of error count?",
        ("true_positive_rate", "false_positive_rate"),
        "equalized odds",
        "truth",
        "With unequal base rates it excludes predictive parity, but for a model without error.",
    ),
    Harm(
        "means_less",
        "Is a positive answer less often right in one group, so that it is worth less there?",
        ("precision", "negative_predictive_value"),
        "predictive parity; both together: conditional use accuracy equality",
        "truth",
        "With unequal base rates it excludes equalized odds, but for a model without error.",
    ),
    Harm(
        "falls_one_way",
        "Do errors fall in favour of one group and against another?",
        ("treatment_equality",),
        "treatment equality",
        "truth",
        "Equal ratios of errors do not say that errors are equally many.",
    ),
    Harm(
        "served_worse",
        "Does the model simply work less well for one group?",
        ("accuracy", "balanced_accuracy"),
        "overall accuracy equality; the worst group is told",
        "truth",
        "Equal accuracy can be made of opposite errors.",
    ),
    Harm(
        "ranked_worse",
        "Are people put in order, and is the order less often right within one group?",
        ("auc",),
        "equal AUC within groups",
        "probabilities",
        "It compares people within a group; a group that is ranked low as a whole does not show.",
    ),
    Harm(
        "number_means_other",
        "Does a probability of 70 % mean another share in one group?",
        ("calibration_in_the_large", "expected_calibration_error"),
        "calibration within groups",
        "probabilities",
        "A calibrated score can be coarse for one group, and so refuse it more often at one threshold.",
    ),
    Harm(
        "estimated_off",
        "Is a number (price, dose, score) too high or too low, or further off, for one group?",
        ("mean_error", "mean_absolute_error"),
        "equal mean error and mean absolute error",
        "scores",
        "Averages over a group do not say that its members are estimated alike.",
    ),
    Harm(
        "scored_low",
        "Is one group less often in the upper half of the scores?",
        ("scoring_rate",),
        "the scoring rate of New York City's Local Law 144; the ratio is the impact ratio",
        "scores",
        "As for fewer chances: it does not ask who deserved it.",
    ),
)


def choose_metrics(harms: str | Sequence[str]) -> tuple[str, ...]:
    """The metrics that answer one or several harms, by their names in ``labkit.HARMS``; each once.

    Print ``labkit.HARMS`` one by one to see what each asks, what equal values are called, and what they leave out.

    Raises:
        Refused: an unknown harm.
    """
    named = [harms] if isinstance(harms, str) else list(harms)
    known = {h.name: h for h in HARMS}
    for name in named:
        if name not in known:
            raise unknown(f"metrics for the harm {name!r}", str(name), known)
    return tuple(dict.fromkeys(m for name in named for m in known[name].metrics))
