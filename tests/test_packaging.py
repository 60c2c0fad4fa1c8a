"""The lists of packages agree, and the wheel works away from the checkout."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def pinned() -> dict[str, str]:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pairs = [line.split("==") for line in lines if line and not line.startswith("#")]
    return {canonicalize_name(name): version for name, version in pairs}


def wanted() -> list[Requirement]:
    extras = PROJECT["optional-dependencies"].values()
    return [Requirement(text) for group in (PROJECT["dependencies"], *extras) for text in group]


def run(*command: object, **options: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run([str(part) for part in command], check=False, capture_output=True, text=True, **options)


def test_every_dependency_is_pinned_within_its_range() -> None:
    pins = pinned()
    for requirement in wanted():
        version = pins.get(canonicalize_name(requirement.name))
        assert version, f"{requirement.name} is not in constraints.txt"
        assert requirement.specifier.contains(version), f"{requirement} against {version}"
    assert pins["torch"] == "2.13.0"
    assert not any("+" in version for version in pins.values()), "a build of one machine is pinned"


def test_the_conda_environment_is_the_same_set() -> None:
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())
    assert set(environment) == {"name", "channels", "dependencies"}
    assert environment["channels"] == ["conda-forge", "nodefaults"]
    python, pip, section = environment["dependencies"]
    assert SpecifierSet(python.removeprefix("python ")) == SpecifierSet(PROJECT["requires-python"])
    assert pip == "pip"
    assert section["pip"] == ["--constraint constraints.txt", "--editable .[dev]"]


def test_the_makefile_installs_the_same_set() -> None:
    assert '--constraint constraints.txt --editable ".[dev]"' in (ROOT / "Makefile").read_text()


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built as for a release: from the source archive, which leaves out what git ignores."""
    out = tmp_path_factory.mktemp("wheel")
    ran = run(sys.executable, "-m", "build", "--no-isolation", "--outdir", out, ROOT)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return next(out.glob("*.whl"))


@pytest.fixture(scope="module")
def away(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment of a process that sees the wheel's labkit instead of the checkout's."""
    site = tmp_path_factory.mktemp("site")
    ran = run(sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", site, wheel)
    assert ran.returncode == 0, ran.stderr
    return {**os.environ, "PYTHONPATH": str(site), "PYTHONSAFEPATH": "1"}


def test_the_wheel_holds_what_it_needs_and_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    for part in ("labkit/_datasets/", "labkit/_notebooks/", "labkit/report/templates/", "labkit/zoo/"):
        assert any(n.startswith(part) and not n.endswith(".py") for n in names), f"nothing in {part}"
    assert any(n.endswith(".safetensors") for n in names) and any(n.endswith(".toml") for n in names)
    assert not [n for n in names if "__pycache__" in n or ".ipynb_checkpoints" in n or n.startswith("tests/")]
    assert wheel.stat().st_size < 40e6


def test_the_wheel_audits_from_another_folder(away: dict[str, str], tmp_path: Path) -> None:
    found = run(sys.executable, "-c", "import labkit; print(labkit.__file__)", cwd=tmp_path, env=away)
    assert away["PYTHONPATH"] in found.stdout, "the checkout's labkit was used"

    labkit = (sys.executable, "-c", "from labkit.cli import main; main()")
    ran = run(
        *labkit, "audit", "adult_mlp", "--data", "adult", "--rows", 200, "--out", "report", cwd=tmp_path, env=away
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert list((tmp_path / "report").glob("*.html")) and list((tmp_path / "report/evidence").iterdir())
    verified = run(*labkit, "verify", "report", cwd=tmp_path, env=away)
    assert verified.returncode == 0, verified.stdout + verified.stderr
