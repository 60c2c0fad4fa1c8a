"""What is named on the command line, opened: models, data, options of a method."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from labkit.core.refused import Refused

if TYPE_CHECKING:
    from labkit.data.split import Dataset
    from labkit.models.classifier import Classifier


def model_named(name: str) -> Classifier | str:
    """A file as a model; a name as it is, since the audit opens reference models itself."""
    import labkit as lk

    path = Path(name)
    return lk.open(path) if path.suffix or path.exists() else name


def data_named(name: str | None, target: str | None, groups: tuple[str, ...]) -> Dataset | str | None:
    """A file or folder as a data set; a name as it is."""
    import labkit as lk

    if name is None or name in lk.names("datasets"):
        if target or groups:
            raise Refused("--target or --group", f"data {name or 'of the model'}", "a table of your own, with --data")
        return name
    if Path(name).suffix or Path(name).exists():
        return lk.data.open(name, target=target, groups=groups)
    return lk.data.load(name)


def model_and_data(
    model: str, data: str | None, target: str | None, groups: tuple[str, ...], rows: int
) -> tuple[Classifier, Dataset]:
    """A model and its data, with the first rows of the test part."""
    from labkit.report.subject import subjects

    if rows < 1:
        raise Refused(f"--rows {rows}", str(rows), "at least one row")
    (subject,) = subjects(model_named(model), data_named(data, target, groups))
    return subject.classifier(), replace(subject.dataset(), test=subject.split("test", rows))


def method_options(kind: str, name: str, given: Iterable[str]) -> dict[str, Any]:
    """``-o steps=40`` as the method's own types; refused when misspelt, of another type or out of range."""
    from labkit.core import method, registry

    pairs = [text.partition("=") for text in given]
    for option, mark, _ in pairs:
        if not mark:
            raise Refused(f"-o {option}", option, "-o name=value")
    spec = method.bind(kind, name, registry.find(kind, name), {option: value for option, _, value in pairs})
    return {option: spec.options[option] for option, _, _ in pairs}
