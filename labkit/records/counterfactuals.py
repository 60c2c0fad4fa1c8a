"""What would have to change for another answer, for whom nothing was found, and what random search finds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated

import numpy as np

from labkit.core.record import Dims, Record


@dataclass(frozen=True, kw_only=True)
class Counterfactuals(Record):
    """For each row that lacks the target class the cheapest changes that were found to give it.

    Attributes:
        modality: "tabular", "image", "text", "series" or "audio"; ``noun``: what the units are: columns, regions, words.
        n_given: rows that were given; those that the model gives the target already are left out.
        per_change, cost_of: a change's price is ``per_change`` for each changed unit and a cost, in words.
        row: number in the data. x: the row. after: the changed rows (x where none was found).
        label, target: the model's class, and the class asked for. reached: the model's class of each changed row.
        before, proba: the target's probability before and after.
        found: whether the changed row gets the target when the model is asked again, and breaks no constraint.
        every: whether every combination of changes was looked at; ``complete``: and the values looked at are all there are.
        edited: which units changed. cost: nan where none was found.
        distance: to the ``neighbour``-th nearest of ``n_real`` training rows of the target class. real: the share of
            other training rows of that class that are at least as far (with the row itself, so never 0): 0.05 is farther
            than 19 of 20. nan where it is not measured.
        kept: share of copies with small noise (``noise_of``) that get the target.
        queries: questions to the model for the first counterfactual of each row.
        control_queries, control_found, control_edited, control_cost: of random search with as many questions; none where it
            was not asked for.
        path: the target's probability as the first counterfactual's changes are made one by one, the best first; nan
            after the last, and throughout for tables.
        groups: the group of each row by each sensitive feature, "" where unknown.
        names: of columns. was, becomes: units in words. place_was, place_becomes: share of training rows that are less
            (ties by half), nan for what has no order.
        region: for each entry of an input the number of its region, where units are regions.
    """

    classes: tuple[str, ...]
    modality: str
    noun: str
    n_given: int
    per_change: float
    cost_of: str
    noise_of: str
    neighbour: int
    n_real: int
    row: Annotated[np.ndarray, Dims("example")]
    x: Annotated[np.ndarray, Dims("example", "...")]
    after: Annotated[np.ndarray, Dims("example", "counterfactual", "...")]
    label: Annotated[np.ndarray, Dims("example")]
    target: Annotated[np.ndarray, Dims("example")]
    before: Annotated[np.ndarray, Dims("example")]
    reached: Annotated[np.ndarray, Dims("example", "counterfactual")]
    proba: Annotated[np.ndarray, Dims("example", "counterfactual")]
    found: Annotated[np.ndarray, Dims("example", "counterfactual")]
    every: Annotated[np.ndarray, Dims("example")]
    complete: Annotated[np.ndarray, Dims("example")]
    edited: Annotated[np.ndarray, Dims("example", "counterfactual", "unit")]
    cost: Annotated[np.ndarray, Dims("example", "counterfactual")]
    distance: Annotated[np.ndarray, Dims("example", "counterfactual")]
    real: Annotated[np.ndarray, Dims("example", "counterfactual")]
    kept: Annotated[np.ndarray, Dims("example", "counterfactual")]
    queries: Annotated[np.ndarray, Dims("example")]
    control_queries: Annotated[np.ndarray, Dims("example")]
    control_found: Annotated[np.ndarray, Dims("example")]
    control_edited: Annotated[np.ndarray, Dims("example")]
    control_cost: Annotated[np.ndarray, Dims("example")]
    path: Annotated[np.ndarray, Dims("example", "step")]
    groups: Mapping[str, np.ndarray] = field(default_factory=dict)
    names: tuple[str, ...] = ()
    was: tuple[tuple[str, ...], ...] = ()
    becomes: tuple[tuple[tuple[str, ...], ...], ...] = ()
    place_was: Annotated[np.ndarray, Dims("example", "unit")] | None = None
    place_becomes: Annotated[np.ndarray, Dims("example", "counterfactual", "unit")] | None = None
    region: Annotated[np.ndarray, Dims("...")] | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        sizes = {name: len(values) for name, values in self.groups.items()} | (
            {"was": len(self.was)} if self.was else {}
        )
        for name, size in sizes.items():
            if size != len(self):
                raise TypeError(f"{size} values of {name} for {len(self)} examples")

    def __len__(self) -> int:
        return len(self.row)

    @property
    def without(self) -> np.ndarray:
        """(example,) rows for which neither the search nor random search found a way: at most so many have none."""
        return ~(self.found.any(1) | self.control_found)

    @property
    def none_exists(self) -> np.ndarray:
        """(example,) rows for which all that may change was looked at, and no way exists."""
        return ~self.found.any(1) & self.every & self.complete

    @property
    def changes(self) -> np.ndarray:
        """(example, counterfactual) how many units change; 0 where none was found."""
        return np.where(self.found, self.edited.sum(2), 0)

    @property
    def price(self) -> np.ndarray:
        """(example, counterfactual) what is made as small as can be: ``per_change`` a changed unit, and the cost."""
        return np.where(self.found, self.per_change * self.edited.sum(2) + self.cost, np.nan)

    @property
    def control_price(self) -> np.ndarray:
        """(example,) the same of random search; nan where it found none."""
        return np.where(self.control_found, self.per_change * self.control_edited + self.control_cost, np.nan)
