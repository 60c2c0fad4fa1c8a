"""Which words stand near which in a model's vectors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np

from labkit.core.record import Dims, Record

PerWord = Annotated[np.ndarray, Dims("word")]


@dataclass(frozen=True, kw_only=True)
class EmbeddingAssociation(Record):
    """How much more one set of words is associated with one set of attributes than another set of words is. Not measured
    is nan. Intervals are at 95 %.

    Attributes:
        of: whose vectors. templates: the sentences that words stood in; none for the words alone. layer: where their
            features were taken.
        targets: names of the two sets of target words, or of the single one. attributes: names of the two attribute sets.
        word, target_of: the target words that have vectors, and the index of their set.
        attribute, attribute_of: the same of attribute words.
        missing: words without a vector, which take no part.
        score: of each target word its mean cosine with the first attributes less that with the second, from -2 to 2.
        word_effect, word_p, word_p_holm: that difference over its standard deviation; how often attribute words dealt to
            the two sets at random give as large a one; and corrected for the number of words.
        effect, low, high: the effect size, from -2 to 2, with a bootstrap interval over the words of all sets.
        p, p_one_sided: how often words dealt to the two sets at random give an effect as large, in either direction, and
            in the direction asked for. exact: whether all ``partitions`` were counted, or so many drawn.
        control95, p_control: the size that random sets of words from like places of the vocabulary exceed in 5 of 100
            draws, and how often they have an effect as large; nan without enough other words. controls: draws.
    """

    of: str
    templates: tuple[str, ...]
    layer: str
    targets: tuple[str, ...]
    attributes: tuple[str, ...]
    word: PerWord
    target_of: PerWord
    attribute: Annotated[np.ndarray, Dims("attribute")]
    attribute_of: Annotated[np.ndarray, Dims("attribute")]
    missing: tuple[str, ...]
    score: PerWord
    word_effect: PerWord
    word_p: PerWord
    word_p_holm: PerWord
    effect: float
    low: float
    high: float
    p: float
    p_one_sided: float
    exact: bool
    partitions: int
    control95: float
    p_control: float
    controls: int

    def sizes(self) -> tuple[int, ...]:
        """How many words each set has: the targets, then the attributes."""
        counts = [*np.bincount(self.target_of, minlength=len(self.targets))]
        return tuple(int(n) for n in (*counts, *np.bincount(self.attribute_of, minlength=2)))
