"""A headless Chromium and one page in it, over the DevTools protocol.

Open, evaluate, click, type, take pictures.
"""

import base64
import json
import shutil
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import websocket

FLAGS = [
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-background-timer-throttling",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--no-proxy-server",
    "--hide-scrollbars",
    "--remote-allow-origins=*",
    "--remote-debugging-port=0",
]
KEYS = {
    "ArrowLeft": 37,
    "ArrowUp": 38,
    "ArrowRight": 39,
    "ArrowDown": 40,
    "Home": 36,
    "End": 35,
    "Enter": 13,
    "Tab": 9,
    " ": 32,
    "[": 219,
    "]": 221,
}


class Chromium:
    """A browser with a profile of its own, ended and swept away by `close`."""

    def __init__(self, width: int = 1400, height: int = 1000):
        self.folder = Path(tempfile.mkdtemp(prefix="chromium-"))
        profile = [f"--user-data-dir={self.folder}", f"--window-size={width},{height}"]
        nowhere = subprocess.DEVNULL
        self.process = subprocess.Popen(
            ["chromium", *FLAGS, *profile, "about:blank"], stdout=nowhere, stderr=nowhere
        )
        self.port = self._port()

    def _port(self) -> int:
        """Chromium writes the port that it chose into its profile."""
        file = self.folder / "DevToolsActivePort"

        def written() -> str:
            return file.read_text().strip() if file.exists() else ""

        return int(wait_until(written, 60, "Chromium does not open its DevTools port").split()[0])

    def page(self) -> "Page":
        address = f"http://127.0.0.1:{self.port}/json/list"
        tabs = json.loads(urllib.request.urlopen(address, timeout=30).read())
        return Page(next(tab["webSocketDebuggerUrl"] for tab in tabs if tab["type"] == "page"))

    def close(self) -> None:
        self.process.terminate()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)


class Page:
    """One tab. `problems` collects what the page's own scripts throw."""

    def __init__(self, address: str):
        self.socket = websocket.create_connection(address, timeout=120, max_size=None)
        self.count = 0
        self.problems: list[str] = []
        for domain in ("Page", "Runtime", "Log"):
            self.send(f"{domain}.enable")

    def send(self, method: str, **parameters: object) -> dict:
        """One DevTools command, and its result; events that arrive meanwhile are noticed."""
        self.count += 1
        self.socket.send(json.dumps({"id": self.count, "method": method, "params": parameters}))
        while True:
            message = json.loads(self.socket.recv())
            if message.get("id") == self.count:
                if "error" in message:
                    raise RuntimeError(f"{method}: {message['error']['message']}")
                return message["result"]
            if message.get("method") == "Runtime.exceptionThrown":
                self.problems.append(thrown(message["params"]["exceptionDetails"]))

    def open(self, url: str) -> None:
        self.send("Page.navigate", url=url)

    def evaluate(self, script: str) -> Any:
        """The value of a JavaScript expression; a promise is waited for.

        RuntimeError with the page's own message if it throws.
        """
        how = {"awaitPromise": True, "returnByValue": True}
        answer = self.send("Runtime.evaluate", expression=script, **how)
        if "exceptionDetails" in answer:
            raise RuntimeError(thrown(answer["exceptionDetails"]))
        return answer["result"].get("value")

    def wait_for(self, script: str, seconds: float, what: str) -> Any:
        return wait_until(lambda: self.evaluate(script), seconds, what)

    def click(self, element: str, at: float = 0.5) -> None:
        """A real click on the element that a JavaScript expression gives.

        `at` is the place along its width.
        """
        box = self.evaluate(f"""(() => {{
            const e = {element};
            if (!e) return null;
            e.scrollIntoView({{block: 'center'}});
            const b = e.getBoundingClientRect();
            return [b.x, b.y, b.width, b.height];
        }})()""")
        if box is None:
            raise LookupError(f"nothing to click: {element}")
        x, y = box[0] + box[2] * at, box[1] + box[3] / 2
        for kind in ("mouseMoved", "mousePressed", "mouseReleased"):
            self.send("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def move(self, element: str, across: float = 0.5, down: float = 0.5) -> None:
        """Move the mouse over an element, to a place that is a share of its width and height."""
        box = self.evaluate(f"""(() => {{
            const e = {element};
            e.scrollIntoView({{block: 'center'}});
            const b = e.getBoundingClientRect();
            return [b.x, b.y, b.width, b.height];
        }})()""")
        x, y = box[0] + box[2] * across, box[1] + box[3] * down
        self.send("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)

    def press(self, key: str, times: int = 1) -> None:
        what = {"key": key, "code": key, "windowsVirtualKeyCode": KEYS[key]}
        for _ in range(times):
            for kind in ("rawKeyDown", "keyUp"):
                self.send("Input.dispatchKeyEvent", type=kind, **what)

    def type(self, text: str) -> None:
        self.send("Input.insertText", text=text)

    def resize(self, width: int, height: int) -> None:
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self.send("Emulation.setDeviceMetricsOverride", **size)

    def screenshot(self, path: str | Path) -> None:
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        picture = self.send("Page.captureScreenshot", format="png")["data"]
        path.write_bytes(base64.b64decode(picture))

    def close(self) -> None:
        self.socket.close()


def thrown(details: dict) -> str:
    """What a page's script threw, in words."""
    return details.get("exception", {}).get("description", details["text"])


def wait_until(condition: Callable[[], Any], seconds: float, what: str) -> Any:
    """The first true value of `condition()`. TimeoutError with `what` after so many seconds."""
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise TimeoutError(f"{what} (after {seconds:.0f} s)")
        time.sleep(0.2)
