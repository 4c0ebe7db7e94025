"""A real JupyterLab, or Notebook 7, in a headless Chromium.

Notebooks are opened and run by Run All, and their widgets are used as a reader uses them.
"""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

from tests.support import lab_scripts as scripts
from tests.support.chromium import Chromium, Page, wait_until
from tests.support.lab_scripts import call, labelled

TOKEN = "lesson"
# the module that starts it, its settings' class, and where it opens a notebook
APPLICATIONS = {
    "jupyterlab": ("LabApp", "lab/tree"),
    "notebook": ("JupyterNotebookApp", "notebooks"),
}
# what Notebook 7.6 throws for an empty notebook too
ITS_OWN = "Cannot read properties of undefined (reading 'schema')"
SETTINGS = {  # every cell is drawn, also those out of view; nothing is asked or announced
    "@jupyterlab/notebook-extension/tracker.jupyterlab-settings": {
        "windowingMode": "none",
        "autoStartDefaultKernel": True,
    },
    "@jupyterlab/docmanager-extension/plugin.jupyterlab-settings": {"autosave": False},
    "@jupyterlab/apputils-extension/notification.jupyterlab-settings": {
        "fetchNews": "false",
        "checkForUpdates": False,
    },
}


class Lab:
    """A JupyterLab server over a copy of one notebook, with settings of its own.

    `with Lab(path) as lab: lab.run_all()`. `lab.page` is the page (chromium.Page). Errors are dicts
    {"cell": number or None, "source": first line, "error": text}. `application` is a key of
    `APPLICATIONS`.
    """

    def __init__(
        self,
        notebook: str | Path,
        short: bool = False,
        width: int = 1400,
        height: int = 1000,
        application: str = "jupyterlab",
    ):
        self.application = application
        self.name = Path(notebook).name
        self.folder = Path(tempfile.mkdtemp(prefix="lab-"))
        (self.folder / "work").mkdir()
        shutil.copy(notebook, self.folder / "work")
        self.port = free_port()
        self.server = self._start(short)
        try:
            self._answers()
            self.browser = Chromium(width, height)
            self.page: Page = self.browser.page()
            self.page.resize(width, height)
            self._open()
        except BaseException:
            self.close()
            raise

    def _start(self, short: bool) -> subprocess.Popen:
        for name, values in SETTINGS.items():
            file = self.folder / "settings" / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(json.dumps(values))
        arguments = [f"--{name}={value}" for name, value in self._options().items()]
        with open(self.folder / "server.log", "w") as log:
            return subprocess.Popen(
                [sys.executable, "-m", self.application, *arguments],
                env=self._environment(short),
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def _environment(self, short: bool) -> dict[str, str]:
        folders = ("JUPYTER_CONFIG_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR")
        own = {name: str(self.folder / name.lower()) for name in folders}
        fixed = {
            "JATLAB_SHORT": "1" if short else "0",
            "HF_HUB_OFFLINE": "1",
            "PYTHONUNBUFFERED": "1",
        }
        return {"OMP_NUM_THREADS": "1"} | os.environ | own | fixed

    def _options(self) -> dict[str, object]:
        settings, _ = APPLICATIONS[self.application]
        return {
            "ServerApp.port": self.port,
            "ServerApp.port_retries": 0,
            "ServerApp.ip": "127.0.0.1",
            "ServerApp.open_browser": False,
            "ServerApp.allow_root": True,
            "ServerApp.root_dir": str(self.folder / "work"),
            "IdentityProvider.token": TOKEN,
            f"{settings}.expose_app_in_browser": True,
            f"{settings}.user_settings_dir": str(self.folder / "settings"),
            f"{settings}.workspaces_dir": str(self.folder / "workspaces"),
        }

    def _answers(self) -> None:
        address = f"http://127.0.0.1:{self.port}/api?token={TOKEN}"

        def up() -> bool:
            if self.server.poll() is not None:
                log = (self.folder / "server.log").read_text()
                raise RuntimeError(f"{self.application} ended at once:\n{log[-2000:]}")
            try:
                return urllib.request.urlopen(address, timeout=5).status == 200
            except (urllib.error.URLError, ConnectionError, TimeoutError):
                return False

        wait_until(up, 90, f"{self.application} does not answer")

    def _open(self) -> None:
        _, place = APPLICATIONS[self.application]
        self.page.open(f"http://127.0.0.1:{self.port}/{place}/{self.name}?reset&token={TOKEN}")
        opened = call(scripts.OPENED, self.name)
        self.page.wait_for(opened, 120, f"{self.name} does not open with a kernel")
        self.page.evaluate(scripts.LISTEN)

    # --- cells ---

    def run_all(self, seconds: float = 300) -> list[dict]:
        """Run All, as the menu's command does, to the end of the last cell: the errors."""
        self.page.evaluate(scripts.RUN_ALL)
        try:
            self.page.wait_for(scripts.IS_DONE, seconds, "Run All does not end")
        except TimeoutError as error:
            return [*self.errors(), {"cell": None, "source": "Run All", "error": str(error)}]
        time.sleep(1.0)  # widgets draw themselves a moment later
        return self.errors()

    def cells(self) -> list[dict]:
        """{"type", "source", "count", "outputs"} of every cell, as JupyterLab holds them."""
        return self.page.evaluate(scripts.CELLS)

    def errors(self) -> list[dict]:
        """All errors there are.

        Error outputs, code cells that never ran, what widgets' callbacks raised, what the page's
        scripts threw.
        """
        found = [
            error for number, cell in enumerate(self.cells()) for error in of_cell(number, cell)
        ]
        gone = "displayed but gone: was it closed by a later cell?"
        for number in self.page.evaluate(scripts.DEAD_WIDGETS):
            found.append({"cell": number, "source": "widget", "error": gone})
        for source, texts in (
            ("widget", self.page.evaluate(scripts.BROKEN_WIDGETS)),
            ("kernel, outside a cell", self.page.evaluate("trouble")),
            ("page", [text for text in self.page.problems if ITS_OWN not in text]),
        ):
            found += [{"cell": None, "source": source, "error": text} for text in texts]
        return found

    def python(self, code: str, seconds: float = 60) -> str:
        """Run code in the notebook's kernel, beside its cells: what it prints, and its error."""
        return self.page.evaluate(call(scripts.PYTHON, code, seconds * 1000))

    def show(self, cell: int) -> None:
        """Scroll to a cell (its number, from 0)."""
        node = f"notebook.content.widgets[{cell}].node"
        self.page.evaluate(f"{node}.scrollIntoView({{block: 'start'}}); null")
        time.sleep(0.3)

    # --- widgets ---

    def widgets(self) -> list[dict]:
        """What the reader can use: buttons, sliders, menus, checkboxes and text fields.

        {"kind", "label", "value", "disabled"} of each.
        """
        return self.page.evaluate(scripts.WIDGETS)

    def click(self, label: str, nth: int = 0) -> None:
        """Click the nth button (or toggle button) with this text or tooltip."""
        text = json.dumps(label)
        buttons = "[...notebook.node.querySelectorAll('.jp-OutputArea-output button')]"
        named = f"{buttons}.filter(b => b.innerText.trim() === {text} || b.title === {text})"
        self.page.click(f"{named}[{nth}]")

    def slide(self, label: str, steps: int, nth: int = 0) -> str:
        """Move the slider with this description by steps, with arrow keys; its readout afterwards.

        Negative steps move it to the left.
        """
        slider = f"{labelled('.widget-slider', label)}[{nth}]"
        self.page.click(f"{slider}?.querySelector('.noUi-handle')")
        self.page.press("ArrowRight" if steps > 0 else "ArrowLeft", abs(steps))
        time.sleep(0.3)
        return self.page.evaluate(f"{slider}.querySelector('.widget-readout')?.innerText")

    def choose(self, label: str, option: str, nth: int = 0) -> None:
        """Choose an option of the drop-down menu with this description."""
        widget = f"{labelled('.widget-dropdown', label)}[{nth}]"
        self.page.evaluate(f"({scripts.CHOOSE})({widget}, {json.dumps(option)})")

    def tick(self, label: str, nth: int = 0) -> None:
        """Click the checkbox with this description."""
        self.page.click(f"{labelled('.widget-checkbox', label)}[{nth}]?.querySelector('input')")

    # --- pictures ---

    def pictures(self, seconds: float, nth: int = 0) -> int:
        """How many times the nth image widget showed another picture within so many seconds."""
        return self.page.evaluate(call(scripts.COUNT_PICTURES, nth, seconds * 1000))

    def screenshot(self, path: str | Path) -> None:
        self.page.screenshot(path)

    def screenshots(self, folder: str | Path, height: int = 1800) -> list[Path]:
        """The whole notebook, page by page, as numbered PNGs."""
        self.page.resize(1200, height)
        time.sleep(0.5)
        self._scroll_to(0)
        total, page = self.page.evaluate(scripts.HEIGHTS)
        files = []
        for number, top in enumerate(range(0, int(total), page - 40)):
            self._scroll_to(top)
            time.sleep(0.4)
            files.append(Path(folder) / f"{number:02d}.png")
            self.page.screenshot(files[-1])
        return files

    def _scroll_to(self, top: int) -> None:
        self.page.evaluate(f"{scripts.SCROLLER}.scrollTop = {top}; null")

    # --- end ---

    def close(self) -> None:
        if hasattr(self, "page"):
            self.page.close()
        if hasattr(self, "browser"):
            self.browser.close()
        stop(self.server)
        shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self) -> "Lab":
        return self

    def __exit__(self, *_) -> None:
        self.close()


def of_cell(number: int, cell: dict) -> list[dict]:
    """The errors in one cell's outputs, or that it was not run."""
    first = (cell["source"].splitlines() or [""])[0]
    texts = [
        f"{output['ename']}: {output['evalue']}"
        for output in cell["outputs"]
        if output["output_type"] == "error"
    ]
    if cell["type"] == "code" and cell["source"].strip() and cell["count"] is None:
        texts.append("was not run")
    return [{"cell": number, "source": first, "error": text} for text in texts]


def stop(server: subprocess.Popen) -> None:
    """End the server; it ends its kernels first."""
    server.terminate()
    try:
        server.wait(30)
    except subprocess.TimeoutExpired:
        os.killpg(server.pid, signal.SIGKILL)
        server.wait()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
