"""The house keeps its own rules: layers, laziness, one function a leaf, a view and an analysis for every record."""

from __future__ import annotations

import ast
import inspect
import json
import re
import subprocess
import sys
import typing
from dataclasses import is_dataclass
from importlib import import_module
from pathlib import Path

import pytest

import labkit as lk
from labkit.core import method, record, registry

ROOT = Path(__file__).parent.parent
LEAVES = (
    "attacks",
    "attributions",
    "certificates",
    "checks",
    "corruptions",
    "faithfulness",
    "membership",
    "metrics",
    "mitigations",
)
SOURCES = sorted((ROOT / "labkit").rglob("*.py"))
WITHOUT_VIEW = {"finding"}  # shown with the record it speaks of
MADE_ELSEWHERE = {"finding", "train"}  # by checks, and by labkit.training
FORBIDDEN_CALLS = {"eval", "exec", "compile", "__import__", "pickle.load", "pickle.loads", "torch.load", "joblib.load"}
FORBIDDEN_IMPORTS = {"torchvision", "pickle", "dill", "marshal", "shelve", "cloudpickle"}


def leaves() -> list[tuple[str, str]]:
    return [(kind, name) for kind in LEAVES for name in lk.names(kind)]


def tracked() -> list[Path]:
    """The files of a checkout, without what is built or ignored."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    found = subprocess.run(command, check=False, cwd=ROOT, capture_output=True, text=True)
    if found.returncode:
        pytest.skip("not a git checkout")
    return [ROOT / line for line in found.stdout.splitlines() if (ROOT / line).is_file()]


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def test_layers_import_downwards_only() -> None:
    linter = Path(sys.executable).with_name("lint-imports")
    ran = subprocess.run([linter, "--no-cache"], check=False, cwd=ROOT, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stdout + ran.stderr


def test_import_and_listing_load_nothing_heavy() -> None:
    code = (
        "import sys, json, labkit\n"
        "from labkit.core.registry import FOLDERS\n"
        "listed = {kind: labkit.names(kind) for kind in FOLDERS}\n"
        "heavy = {'torch', 'numpy', 'pandas', 'plotly', 'scipy', 'sklearn', 'ipywidgets', 'matplotlib'}\n"
        "print(json.dumps([sorted(heavy & set(sys.modules)), len(listed)]))"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    heavy, kinds = json.loads(ran.stdout)
    assert heavy == [] and kinds == len(registry.FOLDERS)


@pytest.mark.parametrize("name", sorted(lk.__all__))
def test_every_public_name_is_there(name: str) -> None:
    assert getattr(lk, name) is not None


@pytest.mark.parametrize("kind", sorted(registry.FOLDERS))
def test_a_kind_lists_what_can_be_found(kind: str) -> None:
    for name in lk.names(kind):
        if kind not in ("records", "views"):
            assert callable(registry.find(kind, name))


@pytest.mark.parametrize(("kind", "name"), leaves(), ids=lambda v: v)
def test_a_leaf_is_one_documented_function_of_its_files_name(kind: str, name: str) -> None:
    module = import_module(f"labkit.{kind}.{name}")
    public = [
        n for n, v in vars(module).items() if inspect.isfunction(v) and v.__module__ == module.__name__ and n[0] != "_"
    ]
    assert public == [name]
    function = getattr(module, name)
    assert (inspect.getdoc(function) or "").strip(), "no docstring"
    tunables = {p.name: p for p in method.params(function)}
    for parameter in inspect.signature(function).parameters.values():
        if parameter.default is not parameter.empty and kind != "metrics":
            assert parameter.name in tunables, f"{parameter.name} has a default, so it must be an annotated keyword"
    for tunable in tunables.values():
        assert tunable.help, f"{tunable.name} has no help"
        if tunable.type in (int, float) and not tunable.choices:
            assert tunable.range is not None, f"{tunable.name} has no Range"
        assert tunable.parse(tunable.default, name) == tunable.default, f"{tunable.name}: its own default is refused"


@pytest.mark.parametrize("name", lk.names("records"))
def test_a_record_has_an_analysis_and_a_view_of_its_name(name: str) -> None:
    module = import_module(f"labkit.records.{name}")
    if name not in MADE_ELSEWHERE:
        assert name in lk.names("analyses")
        kinds = [v for v in vars(module).values() if isinstance(v, type) and issubclass(v, record.Record)]
        made = typing.get_type_hints(registry.find("analyses", name))["return"]
        assert made in kinds and is_dataclass(made)
    if name not in WITHOUT_VIEW:
        view = import_module(f"labkit.views.{name}")
        for part in ("figure", "rows", "says"):
            assert callable(getattr(view, part, None)), f"views/{name}.py lacks {part}"


@pytest.mark.parametrize("path", SOURCES, ids=name_of)
def test_a_source_file_is_short_and_calls_nothing_dangerous(path: Path) -> None:
    text = path.read_text()
    assert text.count("\n") <= 300, "over 300 lines"
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Call):
            assert ast.unparse(node.func) not in FORBIDDEN_CALLS, f"line {node.lineno}: {ast.unparse(node.func)}"
            assert not any(k.arg == "allow_pickle" and ast.unparse(k.value) != "False" for k in node.keywords)
            assert not any(k.arg == "shell" and ast.unparse(k.value) != "False" for k in node.keywords)
        roots = (
            [a.name for a in node.names]
            if isinstance(node, ast.Import)
            else [node.module or ""]
            if isinstance(node, ast.ImportFrom)
            else []
        )
        assert not FORBIDDEN_IMPORTS & {r.partition(".")[0] for r in roots}, f"line {node.lineno}"


def test_no_machine_path_or_registry_host_is_written_down() -> None:
    # Put together here, so that this file does not hold what it looks for.
    words = ["/" + "work/", "/" + "tmp/", "/" + "root/", "py" + "pi.org", "python" + "hosted", "deb." + "debian.org"]
    words.append("registry." + "npmjs")
    found = []
    for path in tracked():
        if path.suffix in {".gz", ".npz", ".safetensors", ".png", ".lk"}:
            continue
        text = path.read_text(errors="replace")
        found += [f"{name_of(path)}: {word}" for word in words if word in text]
    assert not found


def test_torchvision_is_asked_for_nowhere() -> None:
    for name in ("pyproject.toml", "constraints.txt", "environment.yml"):
        assert "torchvision" not in (ROOT / name).read_text()


def test_the_readmes_map_is_the_house() -> None:
    """The map names every folder of the checkout and of the package, and no other."""
    text = (ROOT / "README.md").read_text()
    block = text.split("## The house", 1)[1].split("```", 2)[1]
    drawn = set(re.findall(r"^ {0,2}([\w/]+)/ ", block, re.M))
    files = [p.relative_to(ROOT) for p in tracked()]
    there = {p.parts[0] for p in files if len(p.parts) > 1 and not p.parts[0].startswith(".")}
    inside = {p.parts[1] for p in files if p.parts[0] == "labkit" and len(p.parts) > 2}
    assert drawn == there | inside


@pytest.mark.parametrize("document", [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))], ids=name_of)
def test_links_between_documents_lead_somewhere(document: Path) -> None:
    for target in re.findall(r"\]\(([^)#\s]+)", document.read_text()):
        if "://" not in target and not target.startswith("mailto:"):
            assert (document.parent / target).exists(), f"{target} is not there"


def test_every_document_is_reached_from_the_map() -> None:
    for folder in (ROOT / "docs", ROOT / "docs/decisions"):
        linked = set(re.findall(r"\]\(([\w-]+\.md)\)", (folder / "README.md").read_text()))
        assert {p.name for p in folder.glob("*.md")} - {"README.md"} <= linked
