"""Italy's demand for electricity: is a day in the cold half of the year?"""

from __future__ import annotations

from labkit.data import series
from labkit.data.split import Dataset

_SHA256 = {
    "TRAIN": "341269cb7e6cef96846b30e774580beec79addb93848ba360145219115a74b7c",
    "TEST": "26122451f87dd0387ef90b18bc8a86c041371b8a1c068004922b939971247144",
}
_CARD = {
    "title": "ItalyPowerDemand of the UCR archive",
    "source": "sktime, datasets/data/ItalyPowerDemand",
    "licence": "BSD-3-Clause (the package sktime); the archive states none for the data",
    "citation": "E. Keogh et al., Intelligent Icons, ICDM 2006; H.A. Dau et al., The UCR time series archive, 2019, "
    "arXiv 1810.07758",
    "counts": "1,096 days: 67 to train on and 1,029 to test on",
    "changed": "Nothing: each day was standardised by the archive.",
    "ethics": "Demand of a whole country: nothing of any person.",
}


def italy_power() -> Dataset:
    """1,096 days of Italy's demand for electricity, x (1, 24) by the hour: 67 to train on and 1,029 to test on.

    Each day has mean 0 and standard deviation 1, so the level of the demand is gone. Class 0 is October to March.

    Source: E. Keogh et al., 2006, in the UCR archive (H.A. Dau et al., 2019, arXiv 1810.07758).

    Raises:
        Refused: the package sktime, which carries the files, is not installed.
    """
    return series.archived(
        "ItalyPowerDemand",
        _SHA256,
        name="italy_power",
        target="the half of the year",
        classes=("October to March", "April to September"),
        card=_CARD,
    )
