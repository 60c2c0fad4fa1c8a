"""Do the gradients lead anywhere?"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

import numpy as np

from labkit.checks._allowance import allowed
from labkit.checks._iterated import iterated
from labkit.core.method import Range
from labkit.records.finding import Finding, FindingStatus
from labkit.records.robustness_curve import RobustnessCurve

ONE_STEP = "fgsm"


def gradient_masking(
    record: RobustnessCurve,
    *,
    exceptions: Annotated[float, Range(0, 0.5), "share of rows on which a weaker attack may do better"] = 0.02,
    vanishing: Annotated[float, Range(0, 1), "share of rows whose loss gradient may vanish"] = 0.05,
    least: Annotated[float, Range(0, 1), "least largest gradient, over the whole input range"] = 1e-9,
    cosine: Annotated[float, Range(-1, 1), "least mean cosine of gradients at neighbouring points"] = 0.5,
) -> Iterator[Finding]:
    """Five signs that a model only looks robust because its gradients are hidden or useless.

    Attacks without gradients win against gradient steps repeated; one step beats many; gradients vanish; they point in
    another direction 0.001 away; and given the whole input range an attack still fails. Counts may exceed ``exceptions`` by what chance gives one
    time in a hundred (binomial).

    Sources: Athalye, Carlini and Wagner, 2018, arXiv 1802.00420; Carlini et al., 2019, arXiv 1902.06705; Pintor et
    al., 2022, arXiv 2106.09947.
    """
    parts = {
        "black box against gradients": _black_box(record, exceptions),
        "one step against many": _one_step(record, exceptions),
        "vanishing gradients": _vanishing(record, vanishing, least),
        "gradient direction": _direction(record, cosine),
        "whole input range": _whole(record, exceptions),
    }
    thresholds = {"exceptions": exceptions, "vanishing": vanishing, "least": least, "cosine": cosine}
    for subject, (status, says, estimate, n) in parts.items():
        yield Finding(
            check="gradient_masking",
            subject=subject,
            status=status,
            says=says,
            estimate=estimate,
            n=n,
            criterion=_CRITERIA[subject].format(**thresholds),
            thresholds=thresholds,
        )


_CRITERIA = {
    "black box against gradients": "attacks without gradients win on at most {exceptions:.0%} of rows, and chance",
    "one step against many": "one step wins on at most {exceptions:.0%} of rows, and chance",
    "vanishing gradients": "the loss gradient vanishes on at most {vanishing:.0%} of rows",
    "gradient direction": "gradients 0.001 apart have a mean cosine of at least {cosine:g}",
    "whole input range": "given the whole input range the attack fails on at most {exceptions:.0%} of rows, and chance",
}
_Part = tuple[FindingStatus, str, float | None, int | None]


def _black_box(record: RobustnessCurve, exceptions: float) -> _Part:
    gradient, black_box = record.is_gradient, ~record.is_gradient
    if not gradient.any() or not black_box.any():
        return "not_applicable", "There is no attack with gradients beside one without.", None, None
    if not iterated(record.is_gradient, record.gradients, record.broken_at, record.eps).any():
        says = "No attack took more than one gradient step; that others beat one step says nothing of the model."
        return "not_applicable", says, None, None
    n, only, at = _wins(record, black_box, gradient)
    limit = allowed(n, exceptions)
    each = [
        f"{name} {_wins(record, np.arange(len(black_box)) == i, gradient, at)[1]}"
        for i, name in enumerate(record.attacks)
        if black_box[i]
    ]
    says = (
        f"At eps {record.eps[at]:g} attacks without gradients broke {only} of {n} rows that attacks with gradients did "
        f"not ({', '.join(each)}); up to {limit} may be chance."
    )
    if only > limit:
        return "does_not_meet", f"{says} Gradients are masked, and gradient attacks alone prove nothing.", only / n, n
    return "meets", says, only / n, n


def _one_step(record: RobustnessCurve, exceptions: float) -> _Part:
    names = np.array(record.attacks)
    one, many = names == ONE_STEP, record.is_gradient & (names != ONE_STEP)
    if not one.any() or not many.any():
        return "not_applicable", "There is no attack of one step beside one of many.", None, None
    n, only, at = _wins(record, one, many)
    limit = allowed(n, exceptions)
    says = (
        f"At eps {record.eps[at]:g} one gradient step broke {only} of {n} rows that {', '.join(names[many])} did not; up "
        f"to {limit} may be chance."
    )
    return ("does_not_meet" if only > limit else "meets"), says, only / n, n


def _vanishing(record: RobustnessCurve, share: float, least: float) -> _Part:
    n = int(record.correct.sum())
    gone, margin_gone = (int((g < least).sum()) for g in (record.loss_gradient, record.margin_gradient))
    says = f"The loss gradient vanishes on {gone} of {n} rows."
    if gone <= share * n:
        return "meets", says, gone / n, n
    if margin_gone > share * n:
        won = [i for i, a in enumerate(record.attacks) if a in record.broken_by and not record.is_gradient[i]]
        best = [f"{record.attacks[i]} ({record.queries[i] / n:.0f} answers a row)" for i in won]
        says = (
            f"Gradients vanish on {gone} of {n} rows, and on {margin_gone} for the margin too. Gradient attacks prove "
        )
        return "does_not_meet", f"{says}nothing here; the figure comes from {', '.join(best) or 'none'}.", gone / n, n
    says = f"{says} The outputs saturate; the margin's gradient does not vanish, and attacks on it followed."
    return "info", says, gone / n, n


def _direction(record: RobustnessCurve, least: float) -> _Part:
    known = np.isfinite(record.cosine)
    if not known.any():
        return "not_applicable", "There is no gradient whose direction could be compared.", None, None
    mean, n = float(record.cosine[known].mean()), int(known.sum())
    says = f"Gradients at points 0.001 of the input range apart have a mean cosine of {mean:.2f} over {n} rows."
    if mean < least:
        return "does_not_meet", f"{says} Gradient direction is noise.", mean, n
    return "meets", says, mean, n


def _whole(record: RobustnessCurve, exceptions: float) -> _Part:
    n, standing = record.whole_rows, record.whole_standing
    if not n:
        return "not_applicable", "No attack takes a budget.", None, None
    says = f"Given the whole input range, {record.whole} fails on {standing} of {n} rows."
    if standing > allowed(n, exceptions):
        return "does_not_meet", f"{says} The attack is broken, not the model strong.", standing / n, n
    return "meets", says, standing / n, n


def _wins(record: RobustnessCurve, a: np.ndarray, b: np.ndarray, at: int | None = None) -> tuple[int, int, int]:
    """Correct rows, how many the attacks ``a`` broke and ``b`` did not, and at which budget (by default the worst)."""
    only = (record.broken(a) & ~record.broken(b)).sum(1)
    if at is None:
        at = int(only.argmax()) if only.any() else len(only) - 1
    return int(record.correct.sum()), int(only[at]), at
