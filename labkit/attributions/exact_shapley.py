"""Exact Shapley values, from every coalition of at most twelve features."""

from __future__ import annotations

from typing import Annotated

from torch import Tensor

from labkit.attributions._coalitions import Games, Shares, credited, games
from labkit.attributions._regions import regions
from labkit.core.method import Range
from labkit.core.refused import Refused
from labkit.models.classifier import Classifier

PLAYERS = 12


def exact_shapley(
    model: Classifier,
    x: Tensor,
    target: Tensor,
    baseline: Tensor,
    features: Tensor | None,
    batch_size: int,
    *,
    cells: Annotated[int, Range(1, 12), "superpixels along each side, for images"] = 3,
) -> Annotated[tuple[Tensor, dict[str, Tensor]], "complete"]:
    """Shapley values of the target's score (Shapley, 1953, doi 10.1515/9781400881970-018), with absent features at the
    baseline's values: the mean of what a feature adds, over all orders, from all 2^m coalitions of a row's m features.

    Features are those of ``kernel_shap``, in images and signals fewer by default. Those that equal the baseline get
    exactly 0 and do not count.

    Returns:
        Like x, in units of the score, adding up to its change from baseline to x; the ``standard_error``, which is 0, and
        the ``samples``: how many coalitions each row took.

    Raises:
        Refused: a row with more than twelve features that differ from the baseline.
    """

    def solve(game: Games) -> Shares:
        if game.players > PLAYERS:
            given = f"{game.players} features that differ from the baseline, which make 2^{game.players} coalitions"
            instead = f"permutation_shapley or kernel_shap; or features= of at most {PLAYERS} groups, or fewer cells"
            raise Refused(f"exact_shapley on {model.name}", given, instead)
        return game.exact()

    start = games(model, x, target, baseline, regions(model, x, features, cells), None, batch_size)
    return credited(x, start, solve)
