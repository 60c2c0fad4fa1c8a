"""What models trained on random parts of the rows tell of single rows: counts, and what chance alone would show."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from labkit.analyses._halves import same_rows
from labkit.core import intervals, progress
from labkit.core.refused import Refused
from labkit.data.split import Dataset, Split
from labkit.training.many import Fit

PART = 4_000_000
LEAST = 30
# Long enough for a small net to know its rows by heart: what was not learned cannot have been remembered.
LONG = Fit(epochs=30, batch_size=128, rate=2e-3)


@dataclass(frozen=True)
class Counts:
    """For each row the models that saw it (``inside``) and those that did not, and how many of either are right."""

    right_inside: np.ndarray
    inside: np.ndarray
    right_outside: np.ndarray
    outside: np.ndarray

    @classmethod
    def of(cls, saw: np.ndarray, right: np.ndarray) -> Counts:
        """From (models, n) whether a model saw a row, and whether it is right on it."""
        return cls((right & saw).sum(0), saw.sum(0), (right & ~saw).sum(0), (~saw).sum(0))

    @property
    def value(self) -> np.ndarray:
        """(n,) how much more often those that saw a row are right on it."""
        return self.right_inside / self.inside - self.right_outside / self.outside

    @property
    def interval(self) -> tuple[np.ndarray, np.ndarray]:
        return intervals.newcombe(self.right_inside, self.inside, self.right_outside, self.outside)

    @property
    def models(self) -> int:
        return int(self.inside[0] + self.outside[0])

    def by_chance(self, replicates: int, generator: np.random.Generator) -> np.ndarray:
        """(replicates, n) values when seeing a row changes nothing: each row's right answers fall on the models at random."""
        right = self.right_inside + self.right_outside
        size = max(1, PART // len(right))
        found = []
        for i in range(0, replicates, size):
            drawn = (min(size, replicates - i), len(right))
            hits = generator.hypergeometric(right, self.models - right, self.inside, size=drawn)
            found.append(hits / self.inside - (right - hits) / self.outside)
        return np.concatenate(found)

    def expected_at(self, level: np.ndarray) -> np.ndarray:
        """How many rows have at least so much by chance, on average: exact, from the hypergeometric distribution."""
        from scipy.stats import hypergeom

        right = self.right_inside + self.right_outside
        kinds, times = np.unique(np.column_stack([right, self.inside]), axis=0, return_counts=True)
        right, inside = kinds[:, :1], kinds[:, 1:]
        outside = self.models - inside
        # hits / inside - (right - hits) / outside >= level, solved for hits
        least = np.ceil((level + right / outside) / (1 / inside + 1 / outside) - 1e-9)
        return np.asarray(times @ hypergeom.sf(least - 1, self.models, right, inside))


def parts_of(models: int, n: int, share: float, generator: np.random.Generator) -> np.ndarray:
    """(models, n) which rows each model sees: chosen at random, as many for each model, and every row left out as often as
    any other, or once more."""
    out = n - round(share * n)
    saw = np.ones((models, n), bool)
    queue = np.zeros(0, np.int64)
    for m in range(models):
        if len(queue) < out:
            fresh = generator.permutation(n)
            again = np.isin(fresh, queue)  # no model leaves a row out twice
            queue = np.concatenate([queue, fresh[~again], fresh[again]])
        saw[m, queue[:out]] = False
        queue = queue[out:]
    return saw


def majority(labels: np.ndarray, among: np.ndarray, classes: int) -> np.ndarray:
    """(n,) the commonest of (models, n) labels among the models that count."""
    votes = np.stack([((labels == c) & among).sum(0) for c in range(classes)])
    return votes.argmax(0)


def largest_influence(
    saw: np.ndarray, right: np.ndarray, keep: int, replicates: int, generator: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, float, int]:
    """The pairs of a training and a test row with the largest influence, and what the largest of all is by chance.

    Args:
        saw: (models, n) which training rows each model saw. right: (models, m) which test rows it is right on.

    Returns:
        (keep,) training and test rows, the largest first; what the largest exceeds in 5 % of draws in which
        the models' answers belong to other models; how many pairs exceed that.
    """
    n, m = saw.shape[1], right.shape[1]
    weight = (saw / saw.sum(0) - ~saw / (~saw).sum(0)).T.astype(np.float32)
    answers = right.astype(np.float32)
    size = max(1, PART // m)

    def over(order: np.ndarray) -> float:
        return max(float((weight[i : i + size] @ answers[order]).max()) for i in range(0, n, size))

    null = np.empty(replicates)
    for i in range(replicates):
        progress.step("influence by chance", i, replicates)
        null[i] = over(generator.permutation(len(saw)))
    line = min(1.0, float(np.quantile(null, 0.95, method="higher")))
    best = np.zeros(0, np.float32), np.zeros(0, np.int64)
    count = 0
    for i in range(0, n, size):
        values = (weight[i : i + size] @ answers).ravel()
        count += int((values > line + 1e-6).sum())
        top = np.argpartition(-values, min(keep, len(values)) - 1)[:keep]
        best = np.append(best[0], values[top]), np.append(best[1], top + i * m)
    order = np.lexsort((best[1], -best[0]))[:keep]
    train, test = np.divmod(best[1][order], m)
    return train, test, line, count


def some(split: Split, rows: int, generator: np.random.Generator) -> np.ndarray:
    """Positions of at most so many rows, drawn at random, in order."""
    return np.sort(generator.permutation(len(split))[:rows])


def check_parts(asked: str, data: object, *, least: int = LEAST) -> Dataset:
    """A data set with training and test rows that can be learned from; anything else is refused."""
    if isinstance(data, Split):
        given = f"the split {data.name} alone, from which nobody can tell what was trained on"
        raise Refused(asked, given, "a Dataset with training and test rows: labkit.data.Dataset(name, train, test)")
    if not isinstance(data, Dataset):
        raise Refused(asked, f"a {type(data).__name__} as the data", "a Dataset, such as labkit.data.load gives")
    for part in data:
        if len(part) < least:
            raise Refused(asked, f"{len(part)} rows in {part.name}", f"at least {least} in training and in test")
        bad = int((~np.isfinite(part.x).reshape(len(part), -1).all(1)).sum()) if part.x.dtype.kind == "f" else 0
        if bad:
            raise Refused(asked, f"NaN or infinite values in {bad} rows of {part.name}", "finite inputs")
    if len(np.unique(data.train.y)) < 2:
        given = f"training rows of one class, {data.classes[data.train.y[0]]!r}"
        raise Refused(asked, given, "rows of two classes or more: what never differs need not be remembered")
    if same_rows(data.train.x, data.test.x):
        raise Refused(asked, "the same rows as training and test data", "test rows that the model was not trained on")
    return data
