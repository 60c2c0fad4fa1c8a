"""All questions that fit a model and its data, one a tab."""

from __future__ import annotations

from typing import Any

import ipywidgets as W

from labkit.analyses._guard import check_classifier
from labkit.data.split import Dataset, Split
from labkit.models.classifier import Classifier
from labkit.widgets.panel import Panel
from labkit.widgets.questions import QUESTIONS


class Workbench(W.Tab):
    """A tab for each question that fits: explain, attack, robustness, groups, generalization, calibration.

    A question is asked when its tab is opened first, not before.

    Args:
        model: a Classifier.
        data: a data set, or a split.
        options: passed to every Panel, such as ``live=False``.
    """

    def __init__(self, model: Classifier, data: Dataset | Split, **options: Any) -> None:
        check_classifier(model, "a workbench")
        self._given = (model, data, options)
        self._names = [name for name, asked in QUESTIONS.items() if asked.fits(model, data)]
        super().__init__([W.VBox() for _ in self._names], titles=[QUESTIONS[n].title for n in self._names])
        self.add_class("lk-workbench")
        self.observe(lambda change: self._open(change["new"]), "selected_index")
        self._open(0)

    def panel(self, analysis: str) -> Panel:
        """The panel of one question, opened if it was not yet."""
        place = self._names.index(analysis)
        self._open(place)
        return self.children[place].children[0]

    def _open(self, place: int | None) -> None:
        if place is not None and not self.children[place].children:
            model, data, options = self._given
            self.children[place].children = (Panel(self._names[place], model, data, **options),)
