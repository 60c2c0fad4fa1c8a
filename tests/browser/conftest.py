"""A real JupyterLab on loopback, over copies of the notebooks with small settings, and a browser that may talk to nothing else."""

from __future__ import annotations

import json
import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from test_notebooks import NOTEBOOKS, write_small

WAIT = 90_000  # milliseconds: a loaded two-core machine takes half a minute for what a quiet one does in five seconds
# --no-sandbox: containers run as root, where Chromium's sandbox refuses to start. The page is our own.
FLAGS = ["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu", "--disable-background-networking"]
SETTINGS = {
    "@jupyterlab/apputils-extension/notification": {"fetchNews": "false", "checkForUpdates": False},
    "@jupyterlab/docmanager-extension/plugin": {"autosave": False},
    "@jupyterlab/notebook-extension/tracker": {"windowingMode": "defer"},
}


def chromium() -> str | None:
    return next((p for p in map(shutil.which, ("chromium", "chromium-browser", "google-chrome")) if p), None)


@dataclass
class Lab:
    """Where JupyterLab answers."""

    port: int
    token: str

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.port}{path}{'&' if '?' in path else '?'}token={self.token}"


@dataclass
class Watched:
    """A page, and whatever went wrong on it."""

    page: Any
    external: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    def open_notebook(self, lab: Lab, name: str) -> None:
        """Open a notebook and wait for its kernel, which Run All needs."""
        self.page.goto(lab.url(f"/lab/tree/{name}?reset"))
        self.page.wait_for_function(
            "() => window.jupyterapp?.shell?.currentWidget?.sessionContext?.session?.kernel?.status === 'idle'",
            timeout=WAIT,
        )

    def run_all(self) -> bool:
        """Run every cell, as the menu's Run All Cells does; whether all of them ran to their end."""
        return self.page.evaluate("async () => await jupyterapp.commands.execute('notebook:run-all-cells')")

    def cell_errors(self) -> list[str]:
        return self.page.locator(".jp-OutputArea [data-mime-type='application/vnd.jupyter.error']").all_inner_texts()


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """JupyterLab with settings, runtime files and notebooks of its own."""
    home = tmp_path_factory.mktemp("jupyter")
    for name, settings in SETTINGS.items():
        path = home / "settings" / f"{name}.jupyterlab-settings"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(settings))
    notebooks = home / "notebooks"
    notebooks.mkdir()
    for path in NOTEBOOKS:
        write_small(path, notebooks)
    folders = {
        "JUPYTER_CONFIG_DIR": "config",
        "JUPYTER_RUNTIME_DIR": "runtime",
        "JUPYTERLAB_SETTINGS_DIR": "settings",
        "JUPYTERLAB_WORKSPACES_DIR": "workspaces",
        "IPYTHONDIR": "ipython",
    }
    environment = {**os.environ, "OMP_NUM_THREADS": "1", **{k: str(home / v) for k, v in folders.items()}}
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    answering = Lab(port, secrets.token_hex(16))
    options = {
        "ServerApp.ip": "127.0.0.1",
        "ServerApp.port": port,
        "ServerApp.port_retries": 0,
        "ServerApp.root_dir": notebooks,
        "ServerApp.open_browser": False,
        "IdentityProvider.token": answering.token,
        "LabApp.expose_app_in_browser": True,
        "LabApp.news_url": "",
    }
    command = [sys.executable, "-m", "jupyterlab", "--allow-root", *(f"--{k}={v}" for k, v in options.items())]
    log = (home / "log").open("w")
    server = subprocess.Popen(command, env=environment, stdout=log, stderr=log, start_new_session=True)
    try:
        _wait_for(answering, server, home / "log")
        yield answering
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        server.wait(30)


def _wait_for(answering: Lab, server: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + WAIT / 1000
    while time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(answering.url("/api/status"), timeout=2):
                return
        except OSError:
            assert server.poll() is None, log.read_text()
            time.sleep(0.2)  # between two tries of a server that is starting
    raise AssertionError(log.read_text())


@pytest.fixture(scope="module")  # while it is open, playwright keeps an event loop running in this thread
def browser() -> Iterator[Any]:
    path = chromium()
    if path is None:
        pytest.skip("no Chromium here: install Debian's package chromium to run the browser tests")
    from playwright.sync_api import expect, sync_playwright

    expect.set_options(timeout=WAIT)
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield opened
        opened.close()


@pytest.fixture
def watched(browser: Any) -> Iterator[Watched]:
    """A page that may reach loopback alone. Afterwards: no request elsewhere, no console error, no page error."""
    context = browser.new_context(viewport={"width": 1400, "height": 1000})
    context.set_default_timeout(WAIT)
    view = Watched(context.new_page())

    def refuse(route: Any) -> None:
        view.external.append(route.request.url)
        route.abort()

    context.route(re.compile(r"^(?:https?|wss?)://(?!127\.0\.0\.1|localhost)"), refuse)
    view.page.on("pageerror", lambda error: view.errors.append(str(error)))
    view.page.on("console", lambda message: message.type == "error" and view.errors.append(message.text))
    yield view
    context.close()
    assert view.external == [] and view.errors == []
