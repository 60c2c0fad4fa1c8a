"""Where does the gap between two groups come from?"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np

from labkit.analyses._columns import require_table, together
from labkit.analyses._explain.reference import ROUNDING, Score
from labkit.analyses._groups.pair import Pair, pair
from labkit.analyses._guard import Run, logits, probabilities, unchanged
from labkit.analyses._predicted import positive_class
from labkit.analyses.predict import predict
from labkit.core import progress, resampling
from labkit.core.refused import Refused, unknown
from labkit.data.split import Split
from labkit.models.classifier import Classifier
from labkit.records.gap_decomposition import GapDecomposition

ASKED = "gap_decomposition"
Of = Literal["score", "selection_rate", "log_odds"]
BATCH = 4096  # rows of a table are short
BLOCKS = 400  # parts of the people at most, from whose spread the intervals come
DEALS, ENOUGH = 50, 10_000  # random groups at most, and pairs in them from which no more are dealt


def gap_decomposition(
    model: Classifier,
    data: Split,
    by: str | tuple[str, ...],
    *,
    between: tuple[str, str] | None = None,
    positive: int | str | None = None,
    of: Of = "score",
    features: Mapping[str, Sequence[str | int]] | None = None,
    replicates: int = 2000,
    seed: int = 0,
    batch_size: int = BATCH,
) -> GapDecomposition:
    """The difference of a model's mean answer between two groups, shared out over the columns by Shapley values.

    The game: people of the first group, whose columns outside a coalition hold the values of people of the second. With no
    column it gives the second group's mean, with all the first's, so that the shares add up to the gap, in the way of
    Begley et al., 2020, arXiv 2010.07389. Of a model that is a sum over columns the share of a column is what its term
    differs by between the groups: for linear ones the explained part of Oaxaca and of Blinder, 1973, doi 10.2307/2525981
    and 10.2307/144855.

    Every person counts as much as every other of the group: both groups are laid along one line in random order, and who
    stands beside whom is a pair. Columns change one after the other from the one's values to the other's, in a random
    order and its reverse. The line is cut in parts of equal length, other people in each; intervals are Student's over
    these parts. The null deals the same people at random to two groups of these sizes and does the same again.

    A share says through which inputs the model comes to the gap, not whether that is justified, nor what would happen if
    a column changed in the world: labkit.counterfactual_fairness asks that, under a stated graph.

    Args:
        data: a table with the sensitive feature among its groups.
        by: the feature; a tuple of several means their intersection.
        between: the two groups; None takes the two with the most people, the larger first.
        positive: the class that counts as positive; may be left out when the classes are 0 and 1.
        of: what the gap is in.
        features: columns that count together, such as one-hot columns, by the name they get; others count alone.
        replicates: draws of the null.

    Raises:
        Refused: data that are no table, unknown names, a group of fewer than two people.
    """
    data = require_table(ASKED, data)
    if of not in get_args(Of):
        raise unknown(f"{ASKED} of", str(of), get_args(Of))
    if not isinstance(replicates, int | np.integer) or isinstance(replicates, bool) or replicates < 100:
        raise Refused(f"{ASKED} with replicates={replicates!r}", "too few for a 95 % point", "replicates=100 or more")
    joined = together(ASKED, data, features)
    p = predict(model, data, batch_size=batch_size)
    index, who = positive_class(ASKED, p, positive), pair(ASKED, p, by, between)
    options = {"by": by, "between": who.groups, "positive": model.classes[index], "of": of, "features": joined}
    run = Run(ASKED, {**options, "replicates": replicates}, seed, model, data.describe(), batch_size)
    with unchanged(model):
        game = _Game(data.x, list(joined.values()), _score(run, model, index, of))
        shared, mass = game.along(who.first, who.second, resampling.stream(seed, ASKED, "pairs"))
        null = _null(game, who, replicates, resampling.stream(seed, ASKED, "null"))
    means = np.array([game.own[rows].mean() for rows in (who.first, who.second)])
    own = np.array([any(_bears(data.schema.features[c].name, by) for c in columns) for columns in joined.values()])
    return GapDecomposition(
        provenance=run.provenance(),
        warnings=(*p.warnings, *who.warnings(), *run.warnings),
        attribute=who.name,
        groups=who.groups,
        of=of,
        positive=model.classes[index],
        n=who.n,
        mean=means,
        features=tuple(joined),
        columns=np.array([len(columns) for columns in joined.values()]),
        own=own.astype(np.int64),
        pairs=game.pairs,
        orders=2,
        **_stated(shared, mass, null, float(means[0] - means[1])),
    )


def _bears(column: str, by: str | tuple[str, ...]) -> bool:
    """Whether a column bears an attribute's name, as age does that of age_band."""
    return any(part == column or part.startswith(f"{column}_") for part in ([by] if isinstance(by, str) else by))


def _score(run: Run, model: Classifier, index: int, of: Of) -> Score:
    """What the gap is in, for rows."""

    def score(rows: np.ndarray) -> np.ndarray:
        z = logits(run, model, rows, ASKED).astype(np.float64)
        if of == "selection_rate":
            return (z.argmax(1) == index).astype(np.float64)
        if of == "score":
            return probabilities(z)[:, index]
        rest = np.delete(z, index, 1)
        most = rest.max(1)
        return z[:, index] - most - np.log(np.exp(rest - most[:, None]).sum(1))

    return score


@dataclass(eq=False)
class _Game:
    """Rows whose columns may be another row's, and what the model says of them."""

    x: np.ndarray
    features: list[list[int]]
    score: Callable[[np.ndarray], np.ndarray]
    pairs: int = 0

    def __post_init__(self) -> None:
        self.own = self.score(self.x)
        self.owner = np.empty(self.x.shape[1], int)
        for f, columns in enumerate(self.features):
            self.owner[columns] = f

    def along(
        self, first: np.ndarray, second: np.ndarray, generator: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        """(blocks, features) shares of the gap, which over all blocks add up to it, and how much of the people each block
        holds."""
        one, other, weight = paired(generator.permutation(first), generator.permutation(second))
        self.pairs = len(one)
        # in each part some people of the smaller group, whole but for those at its ends
        blocks = max(5, min(BLOCKS, min(len(first), len(second)) // 4))
        block = np.minimum(((np.cumsum(weight) - weight / 2) * blocks).astype(int), blocks - 1)
        order = generator.random((len(one), len(self.features))).argsort(1)
        found = np.zeros((blocks, len(self.features)))
        rows = max(1, resampling.PART // (2 * len(self.features) * self.x.shape[1]))
        for start in range(0, len(one), rows):
            progress.step(ASKED, start, len(one))
            part = slice(start, start + rows)
            steps = self._steps(one[part], other[part], order[part])
            np.add.at(found, block[part], weight[part, None] * steps)
        progress.step(ASKED, len(one), len(one))
        return found, np.bincount(block, weight, blocks)

    def _steps(self, one: np.ndarray, other: np.ndarray, place: np.ndarray) -> np.ndarray:
        """(pairs, features) mean change of the score as each feature changes from the other's value to the one's, in an
        order and in its reverse."""
        count, size = len(self.features), len(one)
        if count == 1:
            return (self.own[one] - self.own[other])[:, None]
        taken = place[:, None, :] < np.arange(1, count)[:, None]
        inside = np.stack([taken, ~taken], 1)[..., self.owner]  # what one order takes last, its reverse takes first
        mixed = np.where(inside, self.x[one][:, None, None], self.x[other][:, None, None])
        middle = self.score(mixed.reshape(-1, self.x.shape[1])).reshape(size, 2, count - 1)
        middle[:, 1] = middle[:, 1, ::-1]
        ends = [np.broadcast_to(self.own[rows][:, None, None], (size, 2, 1)) for rows in (other, one)]
        scores = np.concatenate([ends[0], middle, ends[1]], 2)
        steps = np.diff(scores, axis=2)
        steps[np.abs(steps) <= ROUNDING * np.abs(scores).max()] = 0
        forward = np.take_along_axis(steps[:, 0], place, 1)
        return (forward + np.take_along_axis(steps[:, 1], count - 1 - place, 1)) / 2


def paired(first: np.ndarray, second: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Two groups laid along one line from 0 to 1, each person as long as every other of the group: who stands beside whom,
    and for how long. (pairs,) of the first, of the second, and lengths that add up to 1."""
    m, n = len(first), len(second)
    marks = np.union1d(np.arange(m + 1) * n, np.arange(n + 1) * m)
    starts = marks[:-1]
    return first[starts // n], second[starts // m], np.diff(marks) / (m * n)


def _null(game: _Game, who: Pair, replicates: int, generator: np.random.Generator) -> np.ndarray:
    """(draws, features) shares where the people are dealt to the groups at random. Which of two equal parts is called the
    first group is then a coin's choice, so that each deal gives many draws."""
    together, size = np.concatenate([who.first, who.second]), len(who.first)
    deals = int(np.clip(ENOUGH // len(together), 1, DEALS))
    draws = []
    for _ in range(deals):
        dealt = generator.permutation(together)
        shared, _mass = game.along(dealt[:size], dealt[size:], generator)
        draws.append(generator.choice([-1.0, 1.0], (-(-replicates // deals), len(shared))) @ shared)
    return np.concatenate(draws)


def _stated(shared: np.ndarray, mass: np.ndarray, null: np.ndarray, gap: float) -> dict[str, Any]:
    """Shares, intervals and what chance alone gives, from the parts of the people and from the draws of the null."""
    total = shared.sum(0)
    half, gap_half = (
        _half(shared - mass[:, None] * total),
        float(_half((shared.sum(1) - mass * total.sum())[:, None])[0]),
    )
    spread = null.std(0)
    moving = spread > 0
    scaled = np.divide(null, spread, out=np.zeros_like(null), where=moving)
    largest = np.abs(scaled).max(1)
    size = np.divide(np.abs(total), spread, out=np.zeros(len(total)), where=moving)
    return {
        "gap": gap,
        "gap_low": gap - gap_half,
        "gap_high": gap + gap_half,
        "gap_null95": float(np.quantile(np.abs(null.sum(1)), 0.95)),
        "gap_p": resampling.share_as_large(np.abs(null.sum(1)), abs(gap)),
        "contribution": total,
        "low": total - half,
        "high": total + half,
        "null95": np.quantile(np.abs(null), 0.95, axis=0),
        "p": np.array([resampling.share_as_large(largest, s) if m else 1.0 for s, m in zip(size, moving)]),
    }


def _half(away: np.ndarray) -> np.ndarray:
    """Half the width of Student's interval for a sum, from what its parts are away from their mean."""
    from scipy.special import stdtrit

    blocks = len(away)
    return float(stdtrit(blocks - 1, 0.975)) * np.sqrt(blocks / (blocks - 1) * (away**2).sum(0))
