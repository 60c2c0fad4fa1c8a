"""Which rows membership is asked of: as many that the model was trained on as that it was not."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from labkit.analyses.predict import row_hashes
from labkit.core.refused import Refused
from labkit.core.resampling import stream
from labkit.data.split import Dataset, Split

LEAST = 30  # rows of a side


@dataclass(frozen=True, eq=False)
class Drawn:
    """Rows of the training data, then of the test data.

    Attributes:
        member: (n,) whether a row comes from the training data. position: (n,) its number there.
        population: numbers of further test rows.
        copies: rows left out since an equal one stands elsewhere in the data.
    """

    member: np.ndarray
    position: np.ndarray
    population: np.ndarray
    copies: int

    def among(self, data: Dataset) -> tuple[Split, Split]:
        """These rows of the data as one split, and the population."""
        inside, outside = (self.position[side] for side in (self.member, ~self.member))
        return joined(data.train[inside], data.test[outside]), data.test[self.population]


def joined(first: Split, second: Split) -> Split:
    """Inputs and labels of two splits of one kind, one after the other."""
    x, y = (np.concatenate([getattr(first, part), getattr(second, part)]) for part in "xy")
    texts = first.texts + second.texts if first.texts and second.texts else ()
    return replace(first, x=x, y=y, texts=texts, groups={})


def hashes(data: Dataset) -> tuple[np.ndarray, np.ndarray]:
    """A number for each input of the two parts, equal for equal inputs."""
    return row_hashes(data.train.x), row_hashes(data.test.x)


def draw(
    asked: str,
    own: np.ndarray | None,
    sizes: tuple[int, int],
    rows: int,
    seed: int,
    *,
    aside: float = 0.0,
    most: int = 500,
) -> Drawn:
    """Draw members and others, equally many; where one part is short, more of the other.

    A row that stands twice in the data is left out of both sides: a test row that is also a training row is a member, and
    with copies left out of one side only, being rare would tell the sides apart.

    Args:
        own: (n,) hashes of the training and then the test rows; None where inputs are not known.
        sizes: rows of training and test data. rows: to be drawn, at most, of both together.
        aside: share of the test rows that is kept as the population, where there are not more; ``most``: rows of it.
    """
    whole = np.arange(sum(sizes))
    if own is not None:
        _, code, count = np.unique(own, return_inverse=True, return_counts=True)
        if sizes[0] == sizes[1] and np.array_equal(np.sort(own[: sizes[0]]), np.sort(own[sizes[0] :])):
            instead = "test data that the model was not trained on"
            raise Refused(asked, f"the same {sizes[0]} rows as training and as test data", instead)
        whole = whole[count[code] == 1]
    draws = stream(seed, "membership", "rows")
    inside, outside = (draws.permutation(whole[side]) for side in (whole < sizes[0], whole >= sizes[0]))
    kept = min(most, int(aside * len(outside)))
    beyond = len(outside) - kept
    members = min(len(inside), max(rows // 2, rows - beyond))
    others = min(beyond, rows - members)
    if min(members, others) < LEAST:
        given = f"{members} rows of the training and {others} of the test data that stand in the data once"
        raise Refused(asked, given, f"at least {LEAST} of each, and a thousand to tell anything of a rate of 1 in 100")
    outside -= sizes[0]
    return Drawn(
        np.arange(members + others) < members,
        np.concatenate([np.sort(inside[:members]), np.sort(outside[:others])]),
        np.sort(outside[others : others + most * (aside > 0)]),
        int(sum(sizes) - len(whole)),
    )
