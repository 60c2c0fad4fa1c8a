"""How unlike two parts of the data are: by feature, as a whole, by class, and beyond what training has shown."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np

from labkit.core.record import Dims, Record

PerFeature = Annotated[np.ndarray, Dims("feature")]
PerLearner = Annotated[np.ndarray, Dims("learner")]
PerClass = Annotated[np.ndarray, Dims("class")]


@dataclass(frozen=True, kw_only=True)
class DistributionShift(Record):
    """Training and test data beside one another. Intervals are at 95 %; p-values are corrected by Holm within their kind.

    Attributes:
        n_train, n_test: rows.
        features, numeric: columns of a table, or what is cheap to read from texts, pictures and sounds.
        difference, low, high: of numbers the test mean less the training mean in standard deviations; of categories the
            share of rows that would have to change theirs (total variation), 0 to 1, bootstrap.
        p: Kolmogorov and Smirnov's test of numbers, chi-square of categories.
        psi: population stability index over ten levels or the categories; below 0.1 is called little and above 0.25 much by
            convention, whatever the number of rows.
        beyond: test rows outside the training range, or with a category that training lacks; beyond_low, beyond_high: of
            their share (exact); beyond_p: how often rows dealt anew to the parts show as many.
        words: (share, low, high) of the words in test texts that no training text has, on ``words_of`` words; words_p: by
            texts dealt anew; nan where there are no texts.
        learners: what tells test from training rows, judged on rows that it has not seen; auc, auc_low, auc_high by
            DeLong; auc_p against chance. n_fit: rows of each part. layer: where "linear probe" and the mean discrepancy read.
        discrepancy: squared maximum mean discrepancy, unbiased, with its p-value over permutations.
        classes: names. train_share, test_share: of the labels; share_low, share_high: of their difference (Newcombe);
            share_p: Fisher's.
        estimated, estimated_low, estimated_high: shares of the classes in the test data by the model's answers and its
            confusion on training rows, without test labels (black box shift estimation); nan where it cannot be told.
    """

    n_train: int
    n_test: int
    features: tuple[str, ...]
    numeric: PerFeature
    difference: PerFeature
    low: PerFeature
    high: PerFeature
    p: PerFeature
    psi: PerFeature
    beyond: PerFeature
    beyond_low: PerFeature
    beyond_high: PerFeature
    beyond_p: PerFeature
    words: tuple[float, float, float]
    words_of: int
    words_p: float
    learners: tuple[str, ...]
    auc: PerLearner
    auc_low: PerLearner
    auc_high: PerLearner
    auc_p: PerLearner
    n_fit: int
    layer: str
    discrepancy: float
    discrepancy_p: float
    classes: tuple[str, ...]
    train_share: PerClass
    test_share: PerClass
    share_low: PerClass
    share_high: PerClass
    share_p: PerClass
    estimated: PerClass
    estimated_low: PerClass
    estimated_high: PerClass

    @property
    def away(self) -> np.ndarray:
        """(features,) how far apart each is, whichever way: infinite where each part has one value, and not the same; 0
        where nothing is known."""
        alone = np.isnan(self.difference) & (self.p == 0)
        return np.where(alone, np.inf, np.nan_to_num(np.abs(self.difference)))
