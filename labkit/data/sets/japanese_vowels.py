"""Japanese vowels: which of nine men says them?"""

from __future__ import annotations

from labkit.data import series
from labkit.data.split import Dataset

_SHA256 = {
    "TRAIN": "68a430eabd919cc77f40b1f5f3bc0dcafacc1486bca9260785aeb7d262cc78cd",
    "TEST": "b3d41d6a0ca3bcad3afb9ca7d4365382aa51341e2e58bae2a574babdda5b9462",
}
_CARD = {
    "title": "Japanese Vowels of the UCI repository",
    "source": "sktime, datasets/data/JapaneseVowels",
    "licence": "CC BY 4.0",
    "citation": "M. Kudo, J. Toyama and M. Shimbo, 1999, Pattern Recognition Letters 20(11-13), 1103-1111; UCI Machine "
    "Learning Repository, doi 10.24432/C5NS47",
    "counts": "640 utterances by nine men: 270 to train on (30 of each) and 370 to test on (24 to 88 of each)",
    "changed": "Series of 7 to 29 steps are filled up to 29 with steps of zeros, which stand for nothing.",
    "ethics": "Recognises persons by their voice: nine men, and no one else.",
}


def japanese_vowels() -> Dataset:
    """640 utterances of two vowels, x (12, 29): 12 coefficients of a linear prediction by 7 to 29 steps in time.

    270 to train on and 370 to test on; the classes are the nine speakers. A step of zeros is padding.

    Source: M. Kudo, J. Toyama and M. Shimbo, 1999, Pattern Recognition Letters 20(11-13) (CC BY 4.0).

    Raises:
        Refused: the package sktime, which carries the files, is not installed.
    """
    return series.archived(
        "JapaneseVowels",
        _SHA256,
        name="japanese_vowels",
        target="the speaker",
        classes=[f"speaker {i}" for i in range(1, 10)],
        card=_CARD,
    )
