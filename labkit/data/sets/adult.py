"""Adult: does a person of the 1994 United States census earn more than 50,000 dollars a year?"""

from __future__ import annotations

from labkit.data import embedded, tabular
from labkit.data.split import Dataset

_FEATURES = {
    "age": "years",
    "workclass": "",
    "education-num": "level",
    "marital-status": "",
    "occupation": "",
    "relationship": "",
    "race": "",
    "sex": "",
    "capital-gain": "dollars",
    "capital-loss": "dollars",
    "hours-per-week": "hours",
    "native-country": "",
}
_IMMUTABLE = {"age", "race", "sex", "native-country"}


def adult() -> Dataset:
    """48,842 people, 12 features, UCI's own parts: 32,561 to train on and 16,281 to test on. Class 1 is ">50K".

    Left out: ``fnlwgt``, a survey weight and no trait of a person, and ``education``, which says in words what
    ``education-num`` says as a level from 1 to 16. "?" is the category "(unknown)". Groups: sex, race, age_band.

    Source: B. Becker and R. Kohavi, 1996, UCI Machine Learning Repository, doi 10.24432/C5XW20 (CC BY 4.0).
    """
    frame = embedded.table("adult").replace("?", tabular.UNKNOWN)
    held_out = (frame["split"] == "test").to_numpy()
    train = frame[~held_out]
    return tabular.dataset(
        "adult",
        frame,
        (frame["income"] == ">50K").to_numpy().astype("int64"),
        held_out,
        target="income of more than 50,000 dollars a year",
        classes=("<=50K", ">50K"),
        features=[tabular.infer(train[f], immutable=f in _IMMUTABLE, unit=u) for f, u in _FEATURES.items()],
        groups={
            "sex": tabular.labels(frame["sex"]),
            "race": tabular.labels(frame["race"]),
            "age_band": tabular.bands(frame["age"], (25, 40, 60)),
        },
        card=embedded.card("adult"),
    )
