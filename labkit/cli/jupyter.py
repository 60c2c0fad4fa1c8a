"""JupyterLab on this machine, opened at the first notebook."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from labkit.core.store import write_atomic

FIRST = "00_start_here.ipynb"
SETTINGS = {
    "@jupyterlab/apputils-extension/notification": {"fetchNews": "false", "checkForUpdates": False},
    "@jupyterlab/notebook-extension/tracker": {"autoStartDefaultKernel": True},
}


def start(arguments: Sequence[str]) -> int:
    """Run JupyterLab until it is stopped; returns its exit code."""
    folder = notebooks()
    command = [
        *(sys.executable, "-m", "jupyterlab", "--ServerApp.ip=127.0.0.1"),
        f"--LabApp.default_url=/lab/tree/{folder.name}/{FIRST}",
        *arguments,
    ]
    return subprocess.run(command, check=False, cwd=folder.parent, env={**os.environ, **settings()}).returncode


def notebooks() -> Path:
    """The notebooks of this checkout, or a copy of the installed ones in the current folder."""
    here = Path.cwd()
    for folder in (here / "notebooks", here / "labkit_notebooks"):
        if (folder / FIRST).is_file():
            return folder
    root = Path(__file__).parent.parent
    installed = root / "_notebooks"
    shutil.copytree(installed if installed.is_dir() else root.parent / "notebooks", here / "labkit_notebooks")
    return here / "labkit_notebooks"


def settings() -> dict[str, str]:
    """JupyterLab without its question about news, for those who have no settings of their own yet."""
    home = Path.home()
    own = Path(os.environ.get("JUPYTER_CONFIG_DIR") or home / ".jupyter") / "lab" / "user-settings"
    if "JUPYTERLAB_SETTINGS_DIR" in os.environ or own.is_dir():
        return {}
    folder = Path(os.environ.get("XDG_CACHE_HOME") or home / ".cache") / "labkit" / "lab-settings"
    for name, values in SETTINGS.items():
        path = folder / f"{name}.jupyterlab-settings"
        if not path.is_file():
            write_atomic(path, json.dumps(values))
    return {"JUPYTERLAB_SETTINGS_DIR": str(folder)}
