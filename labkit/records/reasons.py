"""Reasons: why a decision went against people, in at most a few named factors each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np

from labkit.core.record import Dims, Record


@dataclass(frozen=True, kw_only=True)
class Reasons(Record):
    """The principal factors of adverse answers against a reference population, with what they are worth. Intervals are
    at 95 %.

    Attributes:
        adverse: the answer that goes against a person.
        population: whom they are compared with, in words. n_reference: how many these are.
        features: the columns. prohibited: which of them may not be a reason.
        row: of each person, the place among the rows given.
        contribution: of each column to the adverse score (log-odds against the best other answer), relative to the
            population; above 0 it speaks for the adverse answer. standard_error: of it.
        given: of each person the columns that are given as reasons, the largest contribution first; -1 where there are
            fewer.
        words: the reasons in words; "" where there are fewer.
        hidden: whether a prohibited column is among the person's largest contributions: then the reasons left do not
            tell the whole.
        sufficiency: the share of the population whose values, put in place of the reasons', turn the answer. random: the
            same for as many other columns that are not prohibited; nan where there are none.
        stability: the overlap (shared of all named, Jaccard) of the reasons from two halves of the draws; elsewhere: from
            this and another population, ``other``, nan where that has no one.
        proxy: columns given as reasons that tell of a prohibited basis. basis: which. association: how much, from 0 to 1.
        n: adverse answers. of: rows looked at.
    """

    adverse: str
    population: str
    other: str
    n_reference: int
    features: tuple[str, ...]
    prohibited: tuple[str, ...]
    row: Annotated[np.ndarray, Dims("person")]
    contribution: Annotated[np.ndarray, Dims("person", "feature")]
    standard_error: Annotated[np.ndarray, Dims("person", "feature")]
    given: Annotated[np.ndarray, Dims("person", "rank")]
    words: tuple[tuple[str, ...], ...]
    hidden: Annotated[np.ndarray, Dims("person")]
    sufficiency: Annotated[np.ndarray, Dims("person")]
    random: Annotated[np.ndarray, Dims("person")]
    stability: Annotated[np.ndarray, Dims("person")]
    elsewhere: Annotated[np.ndarray, Dims("person")]
    proxy: tuple[str, ...] = ()
    basis: tuple[str, ...] = ()
    association: Annotated[np.ndarray, Dims("proxy")]
    of: int

    def __len__(self) -> int:
        return len(self.row)
