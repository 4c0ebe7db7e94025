"""A real JupyterLab in a headless Chromium: notebooks opened, run by Run All, their widgets used as
a reader uses them.
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

from tests.support.chromium import Chromium, Page, wait_until

TOKEN = "lesson"
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
    """A JupyterLab server over a copy of one notebook, with settings of its own; `with Lab(path) as
    lab: lab.run_all()`.

    lab.page is the page (chromium.Page); errors are dicts {"cell": number or None, "source": first
    line, "error": text}.
    """

    def __init__(
        self, notebook: str | Path, short: bool = False, width: int = 1400, height: int = 1000
    ):
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
        here = {
            name: str(self.folder / name.lower())
            for name in ("JUPYTER_CONFIG_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR")
        }
        environment = (
            os.environ
            | here
            | {
                "JATLAB_SHORT": "1" if short else "0",
                "HF_HUB_OFFLINE": "1",
                "PYTHONUNBUFFERED": "1",
            }
        )
        environment.setdefault("OMP_NUM_THREADS", "1")
        options = {
            "ServerApp.port": self.port,
            "ServerApp.port_retries": 0,
            "ServerApp.ip": "127.0.0.1",
            "ServerApp.open_browser": False,
            "ServerApp.allow_root": True,
            "ServerApp.root_dir": str(self.folder / "work"),
            "IdentityProvider.token": TOKEN,
            "LabApp.expose_app_in_browser": True,
            "LabApp.user_settings_dir": str(self.folder / "settings"),
            "LabApp.workspaces_dir": str(self.folder / "workspaces"),
            "LabApp.news_url": "None",
            "LabApp.check_for_updates_class": "jupyterlab.NeverCheckForUpdate",
        }
        command = [
            sys.executable,
            "-m",
            "jupyterlab",
            *(f"--{name}={value}" for name, value in options.items()),
        ]
        self.log = open(self.folder / "server.log", "w")
        return subprocess.Popen(
            command,
            env=environment,
            stdout=self.log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    def _answers(self) -> None:
        def up():
            if self.server.poll() is not None:
                raise RuntimeError(
                    f"JupyterLab ended at once:\n{(self.folder / 'server.log').read_text()[-2000:]}"
                )
            try:
                return (
                    urllib.request.urlopen(
                        f"http://127.0.0.1:{self.port}/api?token={TOKEN}", timeout=5
                    ).status
                    == 200
                )
            except (urllib.error.URLError, ConnectionError, TimeoutError):
                return False

        wait_until(up, 90, "JupyterLab does not answer")

    def _open(self) -> None:
        self.page.open(f"http://127.0.0.1:{self.port}/lab/tree/{self.name}?reset&token={TOKEN}")
        ready = f"""(() => {{
            const app = window.jupyterapp; if (!app) return false;
            window.notebook = [...app.shell.widgets('main')].find(w => w.context && w.context.path === {json.dumps(self.name)});
            return !!(window.notebook && notebook.context.isReady && notebook.sessionContext.session?.kernel?.status === 'idle');
        }})()"""
        self.page.wait_for(ready, 120, f"{self.name} does not open with a kernel")
        self.page.evaluate("""(() => {
            window.trouble = [];
            window.label = e => ([...e.querySelectorAll('.widget-label, .widget-label-basic')].map(l => l.innerText).join('') || e.innerText)
                .replaceAll('\\u200b', '').trim();
            notebook.sessionContext.iopubMessage.connect((_, message) => {
                const {header, content, parent_header} = message;
                const ofCell = parent_header.msg_type === 'execute_request';
                if (header.msg_type === 'error' && !ofCell) trouble.push(content.ename + ': ' + content.evalue);
                // JupyterLab asks for widgets as soon as the kernel is up, which says so on stderr while ipywidgets is not imported yet
                if (header.msg_type === 'stream' && content.name === 'stderr' && !ofCell && !content.text.startsWith('No such comm')) trouble.push(content.text);
            });
            jupyterapp.shell.collapseLeft?.();
        })()""")

    def run_all(self, seconds: float = 300) -> list[dict]:
        """Run All, as the menu's command does; waits until the last cell is done. The errors there
        are.
        """
        self.page.evaluate(
            "window.done = false; jupyterapp.commands.execute('notebook:run-all-cells').then(() => { window.done = true; }); null"
        )
        try:
            self.page.wait_for(
                "window.done && notebook.sessionContext.session.kernel.status === 'idle'",
                seconds,
                "Run All does not end",
            )
        except TimeoutError as error:
            return [*self.errors(), {"cell": None, "source": "Run All", "error": str(error)}]
        time.sleep(1.0)  # widgets draw themselves a moment later
        return self.errors()

    def cells(self) -> list[dict]:
        """{"type", "source", "count", "outputs"} of every cell, as JupyterLab holds them."""
        return self.page.evaluate("""notebook.content.widgets.map(cell => ({
            type: cell.model.type, source: cell.model.sharedModel.getSource(),
            count: cell.model.executionCount ?? null, outputs: cell.model.outputs ? cell.model.outputs.toJSON() : []}))""")

    def errors(self) -> list[dict]:
        """Error outputs, code cells that never ran, what widgets' callbacks raised, what the page's
        scripts threw.
        """
        found = []
        for number, cell in enumerate(self.cells()):
            first = (cell["source"].splitlines() or [""])[0]
            for output in cell["outputs"]:
                if output["output_type"] == "error":
                    found.append(
                        {
                            "cell": number,
                            "source": first,
                            "error": f"{output['ename']}: {output['evalue']}",
                        }
                    )
            if cell["type"] == "code" and cell["source"].strip() and cell["count"] is None:
                found.append({"cell": number, "source": first, "error": "was not run"})
        broken = self.page.evaluate(
            "[...notebook.node.querySelectorAll('.jp-OutputArea-output')].map(e => e.innerText)"
            ".filter(t => /Error displaying widget|Loading widget\\.\\.\\.|Error creating widget|Javascript Error/.test(t))"
        )
        dead = self.page.evaluate("""notebook.content.widgets.map((cell, number) => [cell, number]).filter(([cell]) =>
            cell.model.outputs?.toJSON().some(o => o.data?.['application/vnd.jupyter.widget-view+json']) && !cell.node.querySelector('.jupyter-widgets'))
            .map(([_, number]) => number)""")
        found += [
            {
                "cell": number,
                "source": "widget",
                "error": "displayed but gone: was it closed by a later cell?",
            }
            for number in dead
        ]
        found += [{"cell": None, "source": "widget", "error": text} for text in broken]
        found += [
            {"cell": None, "source": "kernel, outside a cell", "error": text}
            for text in self.page.evaluate("trouble")
        ]
        return found + [
            {"cell": None, "source": "page", "error": text} for text in self.page.problems
        ]

    def widgets(self) -> list[dict]:
        """What the reader can use: {"kind", "label", "value", "disabled"} of every button, slider,
        menu, checkbox and text field.
        """
        return self.page.evaluate("""[...notebook.node.querySelectorAll(
            '.widget-button, .widget-toggle-button, .widget-slider, .widget-dropdown, .widget-checkbox, .widget-text, .widget-play button')]
            .map(e => ({kind: e.className.match(/widget-(toggle-button|button|slider|dropdown|checkbox|text)|jupyter-button/)[0],
                        label: (label(e) || e.title || '').trim(),
                        value: e.querySelector('.widget-readout')?.innerText ?? e.querySelector('select, input')?.value ?? null,
                        disabled: e.disabled ?? false}))""")

    def click(self, label: str, nth: int = 0) -> None:
        """Click the nth button (or toggle button) with this text or tooltip."""
        self.page.click(
            "[...notebook.node.querySelectorAll('.jp-OutputArea-output button')]"
            f".filter(b => b.innerText.trim() === {json.dumps(label)} || b.title === {json.dumps(label)})[{nth}]"
        )

    def slide(self, label: str, steps: int, nth: int = 0) -> str:
        """Move the slider with this description by steps (negative: left), with arrow keys. Its
        readout afterwards.
        """
        slider = f"{labelled('.widget-slider', label)}[{nth}]"
        self.page.click(f"{slider}?.querySelector('.noUi-handle')")
        self.page.press("ArrowRight" if steps > 0 else "ArrowLeft", abs(steps))
        time.sleep(0.3)
        return self.page.evaluate(f"{slider}.querySelector('.widget-readout')?.innerText")

    def choose(self, label: str, option: str, nth: int = 0) -> None:
        """Choose an option of the drop-down menu with this description. (ipywidgets writes spaces
        in options as no-break spaces.)
        """
        self.page.evaluate(f"""(() => {{
            const select = {labelled(".widget-dropdown", label)}[{nth}].querySelector('select');
            const at = [...select.options].findIndex(o => o.text.replaceAll('\\u00a0', ' ') === {json.dumps(option)});
            if (at < 0) throw new Error({json.dumps(option)} + ' is not among ' + [...select.options].map(o => o.text));
            select.selectedIndex = at; select.dispatchEvent(new Event('change', {{bubbles: true}}));
        }})()""")

    def tick(self, label: str, nth: int = 0) -> None:
        """Click the checkbox with this description."""
        self.page.click(f"{labelled('.widget-checkbox', label)}[{nth}]?.querySelector('input')")

    def pictures(self, seconds: float, nth: int = 0) -> int:
        """How many times the nth image widget showed another picture within so many seconds."""
        return self.page.evaluate(f"""new Promise(resolve => {{
            const image = notebook.node.querySelectorAll('img.widget-image')[{nth}]; let count = 0;
            if (!image) throw new Error('no image widget');
            const watch = new MutationObserver(changes => {{ count += changes.length; }});
            watch.observe(image, {{attributes: true, attributeFilter: ['src']}});
            setTimeout(() => {{ watch.disconnect(); resolve(count); }}, {seconds * 1000});
        }})""")

    def python(self, code: str, seconds: float = 60) -> str:
        """Run code in the notebook's kernel, beside its cells: what it prints (and its error, if
        any).
        """
        return self.page.evaluate(f"""(() => {{
            let text = ''; const future = notebook.sessionContext.session.kernel.requestExecute({{code: {json.dumps(code)}, silent: false, store_history: false}});
            future.onIOPub = m => {{ text += m.content.text ?? (m.header.msg_type === 'error' ? m.content.ename + ': ' + m.content.evalue : ''); }};
            return Promise.race([future.done.then(() => text), new Promise(r => setTimeout(() => r(text + ' [still busy]'), {seconds * 1000}))]);
        }})()""")

    def show(self, cell: int) -> None:
        """Scroll to a cell (its number, from 0)."""
        self.page.evaluate(
            f"notebook.content.widgets[{cell}].node.scrollIntoView({{block: 'start'}}); null"
        )
        time.sleep(0.3)

    def screenshot(self, path: str | Path) -> None:
        self.page.screenshot(path)

    def screenshots(self, folder: str | Path, height: int = 1800) -> list[Path]:
        """The whole notebook, page by page, as numbered PNGs."""
        self.page.resize(1200, height)
        time.sleep(0.5)
        scroller = "(notebook.content.node.querySelector('.jp-WindowedPanel-outer') ?? notebook.content.node)"
        self.page.evaluate(f"{scroller}.scrollTop = 0; null")
        end = f"notebook.content.widgets.at(-1).node.getBoundingClientRect().bottom - {scroller}.getBoundingClientRect().top"
        total, page = self.page.evaluate(
            f"[{end}, {scroller}.clientHeight]"
        )  # beneath the last cell is room to scroll
        files = []
        for number, top in enumerate(range(0, int(total), page - 40)):
            self.page.evaluate(f"{scroller}.scrollTop = {top}; null")
            time.sleep(0.4)
            files.append(Path(folder) / f"{number:02d}.png")
            self.page.screenshot(files[-1])
        return files

    def close(self) -> None:
        if hasattr(self, "page"):
            self.page.close()
        if hasattr(self, "browser"):
            self.browser.close()
        stop(self.server)
        self.log.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self) -> "Lab":
        return self

    def __exit__(self, *_) -> None:
        self.close()


def labelled(selector: str, label: str) -> str:
    """JavaScript: the widgets of a kind whose description is `label`."""
    return f"[...notebook.node.querySelectorAll('{selector}')].filter(e => label(e) === {json.dumps(label)})"


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
