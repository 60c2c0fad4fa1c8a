from __future__ import annotations

from typing import Annotated

from labkit.core.method import Range
from labkit.records.finding import Finding
from labkit.records.loss_landscape import LossLandscape


def flatness(
    record: LossLandscape,
    *,
    least: Annotated[int, Range(2, 1000), "rows below which nothing is told"] = 30,
) -> Finding:
    """How much a small, worst-chosen change of the weights raises the loss, beside a random one of the same size.

    It is told and not judged: flat minima generalise and do not, and so do sharp ones (Andriushchenko et al., 2023, arXiv
    2302.07011).
    """
    value, low, high = record.worst
    random = record.chance[0]
    says = (
        f"changing every weight by a share of its own size, {record.radius:g} in all, raises the loss of {record.here[0]:.3g} "
        f"nats by at least {value:.3g} ({low:.3g} to {high:.3g}) where it hurts most and by {random:.2g} at random, on "
        f"{record.n} rows. The flatter of two models is not for that the one that generalises better."
    )
    return Finding(
        check="flatness",
        status="info" if record.n >= least else "inconclusive",
        says=says,
        estimate=value,
        low=low,
        high=high,
        n=record.n,
        criterion="none: flatness proves nothing on its own",
        thresholds={"least": least},
    )
