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


def model_named(name: str, data: Dataset | str | None = None) -> Classifier | str:
    """A file as a model, or what your own FILE.py gives under a name; the name of a reference model as it is, since the
    audit opens these itself."""
    import labkit as lk

    path, mark, found = name.rpartition(":")
    if mark and path.endswith(".py"):
        return _own(Path(path), found, lk.data.load(data) if isinstance(data, str) else data)
    return lk.open(name) if Path(name).suffix or Path(name).exists() else name


def _own(path: Path, name: str, data: Dataset | None) -> Classifier:
    """The model that a file of the user's own makes: a Classifier, a torch module, or a function that gives one. A bare
    module gets the classes and the bounds of the data."""
    import importlib.util

    from torch import nn

    import labkit as lk
    from labkit.models.classifier import Classifier

    asked, instead = f"the model {path}:{name}", "FILE.py:NAME, where NAME is a model or a function that gives one"
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None or not path.is_file():
        raise Refused(asked, "no such file", instead)
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
        made = getattr(module, name)
        made = made() if callable(made) and not isinstance(made, nn.Module | Classifier) else made
    except Exception as error:
        raise Refused(asked, f"{type(error).__name__} in your own code: {error}", instead) from error
    if isinstance(made, nn.Module) and data is not None:
        return lk.wrap(made, classes=data.classes, bounds=data.schema.bounds, name=path.stem)
    if not isinstance(made, Classifier):
        given = "a torch module, and no data to take classes from" if isinstance(made, nn.Module) else f"a {type(made)}"
        raise Refused(
            asked, given, "labkit.wrap(module, classes=[...], bounds=(low, high)), or --data beside the module"
        )
    return made


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
    found = data_named(data, target, groups)
    (subject,) = subjects(model_named(model, found), found)
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
