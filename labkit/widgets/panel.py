"""One question asked of a model with widgets: choose a method, tune it, choose rows, run, see."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import ipywidgets as W

from labkit.analyses._guard import check_classifier
from labkit.checks import check
from labkit.core import registry
from labkit.core.method import Param, Range, choices, needs, params
from labkit.core.record import Record
from labkit.core.refused import Refused
from labkit.data.split import Dataset, Split
from labkit.models.classifier import Classifier
from labkit.records.finding import SHAPES, Finding
from labkit.views import figure, says
from labkit.widgets.controls import Form
from labkit.widgets.job import Job
from labkit.widgets.questions import QUESTIONS, question, test_part
from labkit.widgets.text import Text

if TYPE_CHECKING:
    import plotly.graph_objects as go


class Panel(W.VBox):
    """A question with its controls, its picture, one sentence and what the checks found.

    Args:
        analysis: the name of the analysis, such as "explain" or "attack".
        model: a Classifier.
        data: a data set, of which the test part is used, or a split.
        methods: the methods to choose from; by default every one of the kind.
        rows: the rows to work on, or how many at first: then, or without it, two fields choose them.
        live: whether a changed control runs the analysis at once; otherwise Run does.
        fixed: arguments of the analysis that get no control.

    Attributes:
        record: the last result; None until there is one.

    Raises:
        Refused: an analysis that no panel knows, an unknown method, rows that are not there.
    """

    def __init__(
        self,
        analysis: str,
        model: Classifier,
        data: Dataset | Split,
        *,
        methods: Sequence[str | Callable[..., Any]] | None = None,
        rows: slice | Sequence[int] | int | None = None,
        live: bool = True,
        **fixed: Any,
    ) -> None:
        check_classifier(model, f"a panel for {analysis}")
        self._question = question(analysis)
        if not self._question.fits(model, data):
            fitting = [name for name, asked in QUESTIONS.items() if asked.fits(model, data)]
            raise Refused(f"a panel for {analysis}", f"{model.name}, which it does not fit", f"{', '.join(fitting)}")
        self._analysis = registry.find("analyses", analysis)
        self._model, self._data, self._fixed, self._rows, self._live = model, data, fixed, rows, live
        self.record: Record | None = None

        self._methods = self._choose(methods)
        self._tuned = W.VBox([]).add_class("lk-options")
        self._options = Form((), self._changed)
        self._asked = Form((), self._changed)
        self._where = Form(self._row_params(), self._changed)
        self.job = Job(self._work, self._show, self._refuse)
        self.sentence = Text(hook="lk-says")
        self.findings = W.VBox([]).add_class("lk-findings")
        self.picture = W.Output().add_class("lk-figure")
        parts = [self._methods, self._tuned, self._where, self.job, self.sentence, self.picture]
        super().__init__([p for p in [*parts, self.findings] if p is not None])
        self.add_class("lk-panel").add_class(f"lk-panel-{analysis}")
        self._tune()
        if live:
            self.job.run()

    def _choose(self, methods: Sequence[str | Callable[..., Any]] | None) -> Any:
        """The list to choose methods from."""
        kind = self._question.methods
        if not kind:
            return None
        for method in methods or ():
            registry.find(kind, method)
        known = [(registry.label(m), m) for m in methods or registry.names(kind)]
        there = [value for _, value in known]
        first = tuple(m for m in self._question.first if m in there) or (there[0],)
        style = {"description_width": "9em"}
        if self._question.several:
            shown = W.SelectMultiple(
                description="methods", options=known, value=first, rows=min(len(known), 6), style=style
            )
        else:
            shown = W.Dropdown(description="method", options=known, value=first[0], style=style)
        shown.observe(lambda _: self._retune(), "value")
        return shown.add_class("lk-method")

    def _asked_params(self, method: Callable[..., Any] | None) -> Iterator[Param]:
        """What the question asks of this model and these data, with the values as they stand. Where the method names
        what it takes, such as its norms, nothing else is offered."""
        for param in self._question.params(self._model, self._data):
            now = self._asked.values.get(param.name, param.default)
            allowed = choices(method, param.name) if method else ()
            if method and param.name == "norm" and not allowed and "eps" in needs(method):
                continue  # an attack that is a threat model of its own
            if allowed:
                param = replace(param, choices=allowed)
                now = now if now in allowed else allowed[0]
            if param.name not in self._fixed:
                yield replace(param, default=now)

    def _row_params(self) -> list[Param]:
        chosen = self._rows is not None and not isinstance(self._rows, int)
        if chosen or not self._question.rows:
            return []
        n = len(test_part(self._data))
        count = min(self._rows if isinstance(self._rows, int) else self._question.rows, n)
        return [
            Param("first_row", int, 0, Range(0, n - 1), help=f"of {n:,} test rows"),
            Param("rows", int, count, Range(1, min(n, 16 * count)), help="how many"),
        ]

    def _tune(self) -> None:
        """Controls for what the chosen method can be tuned in."""
        method = None
        if self._methods is not None and not self._question.several:
            method = registry.find(self._question.methods, self._methods.value)
            own = (self._listed(p) for p in params(method) if p.name not in self._fixed)
            self._options = Form(own, self._changed)
        self._asked = Form(self._asked_params(method), self._changed)
        self._tuned.children = (self._options, self._asked)

    def _listed(self, param: Param) -> Param:
        """The tunable with its choices, where the model holds the list of them."""
        if param.listed != "layers":
            return param
        try:
            layers = self._model.layers(self._model.tensor(test_part(self._data).x[:1]))
        except Exception:  # whatever these data do to the model, the analysis says it when it runs
            return param
        return replace(param, choices=(param.default, *(layer.name for layer in layers if layer.fits)))

    def _retune(self) -> None:
        self._tune()
        self._changed()

    def _changed(self) -> None:
        if self._live:
            self.job.run()

    def _work(self) -> Callable[[], Record]:
        """The call that the controls describe, ready to be made in another thread."""
        model, data, given, analysis = self._model, self._data, self._question.given, self._analysis
        chosen = [] if self._methods is None else [self._methods.value]
        if self._question.several:
            chosen = [list(names) for names in chosen]
        asked = {n: self._question.meaning.get(n, _as_it_is)(v) for n, v in self._asked.values.items()}
        values = {**self._question.also(model, data), **self._options.values, **asked, **self._fixed}
        where = self._where.values
        rows = self._rows
        if where:
            rows = slice(where["first_row"], where["first_row"] + where["rows"])
        return lambda: analysis(*given(model, data, rows), *chosen, **values)

    def _show(self, record: Record) -> None:
        self.record = record
        sentence = says(record)
        self.sentence.say(sentence)
        drawn = figure(record)
        self.picture.layout.min_height = f"{drawn.layout.height or 360}px"  # or the page jumps while it is redrawn
        self.picture.outputs = (picture(drawn, sentence),)
        self.findings.children = tuple(Text(_line(found), hook="lk-finding") for found in check(record))

    def _refuse(self, error: BaseException) -> None:
        """A refusal is an answer too: say it where the picture would have been."""
        self.record = None
        self.picture.outputs = ()
        self.findings.children = ()
        self.sentence.say(str(error) if isinstance(error, Refused) else f"{type(error).__name__}: {error}")


def _as_it_is(value: Any) -> Any:
    return value


def _line(found: Finding) -> str:
    """A finding with its status in words, since a shape alone tells a newcomer nothing."""
    return f"{SHAPES[found.status]} {found.status.replace('_', ' ')} · {str(found).partition(' ')[2]}"


def picture(drawn: go.Figure, sentence: str) -> dict[str, Any]:
    """A figure as one notebook output: drawn by JupyterLab's own plotly, with the sentence where that is missing."""
    from labkit.views._style import CONFIG

    bundle = json.loads(drawn.to_json()) | {"config": CONFIG}
    data = {"application/vnd.plotly.v1+json": bundle, "text/plain": sentence}
    return {"output_type": "display_data", "data": data, "metadata": {}}
