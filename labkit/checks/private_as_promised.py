from __future__ import annotations

import numpy as np

from labkit.core.words import number
from labkit.records.canaries import Canaries
from labkit.records.finding import Finding


def private_as_promised(record: Canaries) -> Finding:
    """Whether what canaries tell is compatible with the privacy that training promised.

    Two bounds, for canaries with one copy: right guesses need an epsilon of at least so much (99.5 %), and a rate of
    recognition is at most exp(epsilon) times the rate of mistakes, plus delta (Kairouz, Oh and Viswanath, 2015, arXiv
    1311.0776), at the largest of the rates, which is measured best. An outsider who guesses badly refutes nothing, so that meeting it proves no promise.
    """
    name, criterion = "private_as_promised", "no more told of single rows than epsilon allows"
    if not record.private:
        return Finding(
            check=name, status="not_applicable", says="training made no promise of privacy.", criterion=criterion
        )
    if not record.guesses:
        says = "not measured because no canary was planted with one copy."
        return Finding(check=name, status="not_measured", says=says, criterion=criterion)
    at = record.repeats.index(1)
    allowed = np.exp(record.epsilon) * record.mistaken_high[:, -1] + record.delta
    beyond = bool((record.recognized_low[:, at, -1] > allowed).any())
    broken = record.least_epsilon > record.epsilon or beyond
    says = (
        f"promised is epsilon {record.epsilon:.3g} (delta {record.delta:g}); {record.right} of {record.guesses} guesses about "
        f"single canaries are right, which takes at least {number(record.least_epsilon)}"
        f"{'; and they are recognised more often than that allows' if beyond else ''}."
    )
    return Finding(
        check=name,
        status="does_not_meet" if broken else "meets",
        says=says,
        estimate=record.least_epsilon,
        n=record.guesses,
        criterion=criterion,
    )
