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
    """Seven signs that a model only looks robust because its gradients are hidden or useless, or the attack is broken.

    Attacks without gradients win against gradient steps repeated; one step beats many; gradients vanish; they point in
    another direction 0.001 away; given the whole input range an attack still fails; given a larger budget it fails where
    a smaller one was enough; and the model takes gradients of its own while it answers, which no attack sees through. A
    sign whose cure was found (stronger attacks that broke the rows that others without gradients broke) is named and no
    more. Counts may exceed ``exceptions`` by what chance gives one
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
        "larger budget": _larger(record, exceptions),
        "optimizes while predicting": _optimizes(record),
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
    "larger budget": "given the largest budget the attack fails on at most {exceptions:.0%} of rows lost before, and chance",
    "optimizes while predicting": "the model takes no gradients while it answers",
}
_Part = tuple[FindingStatus, str, float | None, int | None]


def _black_box(record: RobustnessCurve, exceptions: float) -> _Part:
    gradient, black_box = record.is_gradient, ~record.is_gradient
    if not gradient.any() or not black_box.any():
        return "not_applicable", "There is no attack with gradients beside one without.", None, None
    if not (gradient & iterated(record.gradients, record.tried)).any():
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
    if not np.isfinite(record.loss_gradient).any():
        return "not_applicable", "The inputs are no numbers of which gradients could be taken.", None, None
    n = int(record.correct.sum())
    gone, margin_gone = (int((g < least).sum()) for g in (record.loss_gradient, record.margin_gradient))
    says = f"The loss gradient vanishes on {gone} of {n} rows."
    if gone <= share * n:
        return "meets", says, gone / n, n
    if margin_gone <= share * n:
        says = f"{says} The outputs saturate; the margin's gradient does not vanish, and attacks on it followed."
        return "info", says, gone / n, n
    says = f"Gradients vanish on {gone} of {n} rows, and on {margin_gone} for the margin too."
    if cure := _cure(record):
        return "info", f"{says} {cure}", gone / n, n
    won = [i for i, a in enumerate(record.attacks) if a in record.broken_by and not record.is_gradient[i]]
    best = [f"{record.attacks[i]} ({record.queries[i].sum() / n:.0f} answers a row)" for i in won]
    says = f"{says} Gradient attacks prove nothing here; the figure comes from {', '.join(best) or 'none'}."
    return "does_not_meet", says, gone / n, n


def _direction(record: RobustnessCurve, least: float) -> _Part:
    known = np.isfinite(record.cosine)
    if not known.any():
        return "not_applicable", "There is no gradient whose direction could be compared.", None, None
    mean, n = float(record.cosine[known].mean()), int(known.sum())
    says = f"Gradients at points 0.001 of the input range apart have a mean cosine of {mean:.2f} over {n} rows."
    if mean >= least:
        return "meets", says, mean, n
    if cure := _cure(record):
        return "info", f"{says} Gradient direction is noise. {cure}", mean, n
    return "does_not_meet", f"{says} Gradient direction is noise.", mean, n


def _cure(record: RobustnessCurve) -> str:
    """Which stronger gradient attack broke rows where those asked for had not, if attacks without gradients are no
    better now; "" without one."""
    status, *_ = _black_box(record, 0.02)
    won = [
        name
        for name, by_gradient in zip(record.attacks, record.is_gradient)
        if by_gradient and ", " in name and name in record.broken_by
    ]
    if status != "meets" or not won:
        return ""
    most = max(won, key=lambda name: (record.broken_by == name).sum())
    return f"{most} found a way through, and attacks without gradients do no better than that."


def _whole(record: RobustnessCurve, exceptions: float) -> _Part:
    n, standing = record.whole_rows, record.whole_standing
    if not n:
        return "not_applicable", "No attack takes a budget, or none reaches every input.", None, None
    says = f"Given the whole input range, {record.whole} fails on {standing} of {n} rows."
    if standing > allowed(n, exceptions):
        return "does_not_meet", f"{says} The attack is broken, not the model strong.", standing / n, n
    return "meets", says, standing / n, n


def _larger(record: RobustnessCurve, exceptions: float) -> _Part:
    n, standing = record.larger_rows, record.larger_standing
    if not n:
        return "not_applicable", "No row was broken at a smaller budget than the largest.", None, None
    says = f"Given the largest budget, {record.larger} fails on {standing} of {n} rows that it broke at a smaller one."
    if standing > allowed(n, exceptions):
        return "does_not_meet", f"{says} More room should make it easier: the attack is broken.", standing / n, n
    return "meets", says, standing / n, n


def _optimizes(record: RobustnessCurve) -> _Part:
    if not record.optimizes:
        return "meets", "The model takes no gradients of its own while it answers.", 0.0, None
    says = (
        f"The model takes {record.optimizes} gradients of its own to answer. Attacks that follow its gradients see through "
        "none of that: the figure is a bound that an attack made for this model may lower by far."
    )
    return "does_not_meet", says, float(record.optimizes), None


def _wins(record: RobustnessCurve, a: np.ndarray, b: np.ndarray, at: int | None = None) -> tuple[int, int, int]:
    """Correct rows, how many the attacks ``a`` broke and ``b`` did not, and at which budget (by default the worst)."""
    only = (record.broken(a) & ~record.broken(b)).sum(1)
    if at is None:
        at = int(only.argmax()) if only.any() else len(only) - 1
    return int(record.correct.sum()), int(only[at]), at
