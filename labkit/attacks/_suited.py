"""Which attack suits which kind of rows, for refusals that name one."""

from __future__ import annotations

from labkit.data.schema import Schema

_SUITED = {
    "image": "such as pgd",
    "audio": "such as pgd or time_shift",
    "series": "such as time_shift, or pgd with norm='noise_to_signal'",
    "text": "such as random_words or hotflip",
    "tabular": "such as tabular_search with norm='cost'",
}
_NONE = "such as of its image or its text alone, by a model in which the other is held fixed"


def suited(schema: Schema) -> str:
    """What to attack such rows with."""
    return f"an attack on {schema.modality} data, {_SUITED.get(schema.modality, _NONE)}"
