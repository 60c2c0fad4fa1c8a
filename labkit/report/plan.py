"""What an audit will do and by which criteria it will judge, fixed before any result is seen."""

from __future__ import annotations

import hashlib
import inspect
import os
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any, get_args

import tomli_w

from labkit.core import method, registry
from labkit.core.record import freeze
from labkit.core.refused import Refused, unknown
from labkit.data.schema import Modality
from labkit.report.steps import RUNNERS, runner_options

SCHEMA = "labkit.plan/1"
SECTIONS = ("performance", "data", "groups", "causes", "remedies", "stress", "generalization", "memory", "explanation")
MODALITIES = get_args(Modality)


@dataclass(frozen=True, kw_only=True)
class Step:
    """One question and how it is answered.

    Attributes:
        id: names the step's files; letters, digits, "-" and "_".
        section: where the report shows it: one of ``SECTIONS``.
        question: as the report asks it.
        analysis: one of the runners of ``report.steps``.
        split: the part of the data: "test" or "train".
        rows: how many of its examples, the first ones; 0 takes all.
        modality: the kinds of data it is for; empty means all.
        options: the analysis' own.
    """

    id: str
    section: str
    question: str
    analysis: str
    split: str = "test"
    rows: int = 0
    modality: tuple[str, ...] = ()
    options: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        freeze(self)


@dataclass(frozen=True, kw_only=True)
class Criterion:
    """When a check is met: its thresholds, why these, and who set them."""

    check: str
    why: str
    set_by: str = ""
    thresholds: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        freeze(self)


@dataclass(frozen=True, kw_only=True)
class Outside:
    """Something that no step of the plan can tell, and why."""

    what: str
    why: str


@dataclass(frozen=True, kw_only=True)
class About:
    """What only a person can say. Whatever is left out, the report calls not stated."""

    purpose: str = ""
    users: str = ""
    limits: str = ""
    owner: str = ""
    assessor: str = ""
    independent: str = ""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Steps and criteria, with the text that they were read from.

    ``sha256`` is that of the file ``plan.toml`` in the report's folder: ``sha256sum`` gives the same.
    """

    name: str
    text: str
    steps: tuple[Step, ...]
    criteria: tuple[Criterion, ...] = ()
    outside: tuple[Outside, ...] = ()
    about: About = field(default_factory=About)
    set_by: str = "the plan"
    seed: int = 0

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.text.encode()).hexdigest()

    @property
    def thresholds(self) -> dict[str, Mapping[str, Any]]:
        """The thresholds by check, as ``labkit.check`` takes them."""
        return {c.check: c.thresholds for c in self.criteria}

    def criterion(self, check: str) -> Criterion:
        """The plan's criterion for a check, or the check's own default, which says so."""
        for criterion in self.criteria:
            if criterion.check == check:
                return replace(criterion, set_by=criterion.set_by or self.set_by)
        return Criterion(check=check, why="the check's own default; the plan sets none", set_by="labkit's default")

    def for_modality(self, modality: str) -> tuple[Step, ...]:
        """The steps for one kind of data."""
        return tuple(s for s in self.steps if not s.modality or modality in s.modality)


def load(
    source: str | os.PathLike[str] | Plan = "default",
    *,
    rows: int | None = None,
    options: Mapping[str, Any] | None = None,
) -> Plan:
    """A plan from a TOML file, or one of labkit's own by name.

    Args:
        source: a path that ends in ``.toml``, or a name such as "default".
        rows: at most so many examples in every step, instead of what the plan says.
        options: set in every step whose analysis has such an option, as {"positive": "yes"}, or in one step alone, as
            {"errors.metrics": ["accuracy"]}. These and ``rows`` make another plan, with another SHA-256.

    Raises:
        Refused: no such plan, not TOML, unknown keys, checks, options or sections, repeated ids.
    """
    if not isinstance(source, str | os.PathLike | Plan):
        raise Refused("a plan", f"a {type(source).__name__}", "a name, a path that ends in .toml, or a Plan")
    text = source.text if isinstance(source, Plan) else _read(source)
    name = source.name if isinstance(source, Plan) else Path(source).name
    plan = parse(text, name)
    return plan if rows is None and not options else parse(_changed(text, rows, options or {}), name)


def names() -> tuple[str, ...]:
    """labkit's own plans."""
    return tuple(sorted(p.name.removesuffix(".toml") for p in _own().iterdir()))


def _own() -> Traversable:
    return files("labkit.report") / "plans"


def parse(text: str, name: str = "plan") -> Plan:
    """The plan that a TOML text describes."""
    asked = f"the plan {name}"
    try:
        raw = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise Refused(asked, f"text that is not TOML ({error})", "a TOML file; docs/how_to_audit.md has one") from None
    _known(asked, raw, ("schema", "name", "seed", "set_by", "about", "step", "criterion", "outside"))
    if raw.get("schema") != SCHEMA:
        raise Refused(asked, f"schema = {raw.get('schema')!r}", f"schema = {SCHEMA!r}")
    plan = Plan(
        name=_typed(asked, raw, "name", str, name),
        text=text,
        steps=tuple(_make(Step, asked, "step", entry) for entry in _tables(asked, raw, "step")),
        criteria=tuple(_make(Criterion, asked, "criterion", entry) for entry in _tables(asked, raw, "criterion")),
        outside=tuple(_make(Outside, asked, "outside", entry) for entry in _tables(asked, raw, "outside")),
        about=_make(About, asked, "about", _typed(asked, raw, "about", dict, {})),
        set_by=_typed(asked, raw, "set_by", str, "the plan"),
        seed=_typed(asked, raw, "seed", int, 0),
    )
    _check_steps(asked, plan.steps)
    _check_criteria(asked, plan.criteria)
    return plan


def _read(source: str | os.PathLike[str]) -> str:
    asked = f"the plan {source}"
    if str(source) in names():
        return (_own() / f"{source}.toml").read_text("utf-8")
    path = Path(source)
    if path.suffix != ".toml":
        raise unknown(asked, str(source), [*names(), "a path that ends in .toml"])
    if not path.is_file():
        raise Refused(asked, "no such file", f"the path of a TOML file, or one of: {', '.join(names())}")
    try:
        return path.read_text("utf-8")
    except UnicodeDecodeError:
        raise Refused(asked, "a file that is not UTF-8 text", "a TOML file in UTF-8") from None


def _changed(text: str, rows: int | None, options: Mapping[str, Any]) -> str:
    """A plan's text with another number of rows, or other options of its steps."""
    if rows is not None and rows < 1:
        raise Refused(f"an audit of {rows} rows", repr(rows), "at least one row")
    raw = tomllib.loads(text)
    for step in raw["step"]:
        if rows is not None:
            step["rows"] = min(rows, step.get("rows") or rows)
        known = inspect.signature(RUNNERS[step["analysis"]]).parameters
        for name, value in options.items():
            only, _, option = name.rpartition(".")
            if only in ("", step["id"]) and option in known:
                step["options"] = {**step.get("options", {}), option: value}
    return tomli_w.dumps(raw)


def _known(asked: str, table: Mapping[str, Any], keys: Iterable[str]) -> None:
    for key in table:
        if key not in keys:
            raise unknown(f"{asked}, key {key!r}", key, keys)


def _typed(asked: str, table: Mapping[str, Any], key: str, kind: type, default: Any) -> Any:
    value = table.get(key, default)
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise Refused(f"{asked}, key {key!r}", repr(value), f"a value of type {kind.__name__}")
    return value


def _tables(asked: str, raw: Mapping[str, Any], key: str) -> list[dict[str, Any]]:
    entries = _typed(asked, raw, key, list, [])
    if not all(isinstance(entry, dict) for entry in entries):
        raise Refused(f"{asked}, key {key!r}", "a list of values", f"tables, each under [[{key}]]")
    return entries


def _make(cls: type, asked: str, what: str, entry: dict[str, Any]) -> Any:
    """One entry as its dataclass; refused for unknown, missing or mistyped keys."""
    where = f"{asked}, {what} {entry.get('id') or entry.get('check') or ''}".rstrip()
    kinds = {"str": str, "int": int, "tuple": list, "Mapping": dict}
    known = {f.name: kinds[str(f.type).partition("[")[0]] for f in fields(cls)}
    _known(where, entry, known)
    missing = [f.name for f in fields(cls) if f.name not in entry and _required(f)]
    if missing:
        raise Refused(where, f"no {missing[0]!r}", f"{missing[0]} = ...")
    return cls(**{key: _typed(where, entry, key, known[key], None) for key in entry})


def _required(f: Any) -> bool:
    from dataclasses import MISSING

    return f.default is MISSING and f.default_factory is MISSING


def _check_steps(asked: str, steps: tuple[Step, ...]) -> None:
    if not steps:
        raise Refused(asked, "no steps", "at least one [[step]]")
    seen: set[str] = set()
    for step in steps:
        where = f"{asked}, step {step.id}"
        if not step.id or not step.id.replace("-", "").replace("_", "").isalnum() or not step.id.isascii():
            raise Refused(where, f"id = {step.id!r}", "letters, digits, '-' and '_'")
        if step.id == "agreement":
            raise Refused(where, "the id under which the agreement of the methods is kept", "another id")
        if step.id in seen:
            raise Refused(where, "an id that stands twice", "one id a step")
        seen.add(step.id)
        for key, given, known in (
            ("section", (step.section,), SECTIONS),
            ("analysis", (step.analysis,), tuple(RUNNERS)),
            ("split", (step.split,), ("test", "train")),
            ("modality", step.modality, MODALITIES),
        ):
            for value in given:
                if value not in known:
                    raise unknown(f"{where}, {key} = {value!r}", value, known)
        if step.rows < 0:
            raise Refused(f"{where}, rows", str(step.rows), "0 for all rows, or how many")
        runner_options(where, step.analysis, step.options)


def _check_criteria(asked: str, criteria: tuple[Criterion, ...]) -> None:
    seen: set[str] = set()
    for criterion in criteria:
        where = f"{asked}, criterion {criterion.check}"
        if criterion.check in seen:
            raise Refused(where, "a check that stands twice", "one criterion a check")
        seen.add(criterion.check)
        check = registry.find("checks", criterion.check)
        method.bind("checks", criterion.check, check, criterion.thresholds)
