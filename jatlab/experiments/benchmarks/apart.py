"""Measuring a function in a new process, where nothing else takes memory."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any


def peak_megabytes() -> float:
    """The most memory that this process has ever held, in MiB (on Linux; 0 elsewhere).

    `getrusage` would count the peak of the parent process too.
    """
    status = Path("/proc/self/status")
    lines = status.read_text().splitlines() if status.exists() else []
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM")), 0.0)


def call_apart(module: str, function: str, *arguments: Any, **environment: str) -> Any:
    """Call a function in a new process, so that its peak of memory and loading time are its own.

    Args:
        module: the function's module.
        function: its name; it returns what JSON can hold.
        *arguments: its arguments, which are sent as their `repr`.
        **environment: variables of the new process beside those of this one.

    Returns:
        What the function returned, after JSON.

    Raises:
        OSError: the call failed; the message has the last line of its standard error.
    """
    code = f"import json, {module}; print(json.dumps({module}.{function}(*{arguments!r})))"
    result = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        env=os.environ | environment,
    )
    if result.returncode:
        reason = result.stderr.strip().splitlines()[-1:] or ["it was killed: too little memory?"]
        raise OSError(f"{function}{arguments!r} failed in its process: {reason[0]}")
    return json.loads(result.stdout.splitlines()[-1])
