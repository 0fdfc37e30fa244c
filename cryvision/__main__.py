"""The program ``cryvision``, also as ``python -m cryvision``, from its first moment to its last."""

from __future__ import annotations

import atexit
import contextlib
import os
import signal
import sys
from typing import Any, NoReturn

EXIT_STOPPED = 130
"""As in `cryvision.commands.terminal`, which is imported later."""


def run() -> NoReturn:
    """Run the command line and end the process, at once where it was stopped."""
    try:
        signal.signal(signal.SIGTERM, _stop)
        from cryvision.cli import main

        status = main()
        _ignore_stops()  # all is done: a stop while Python ends would change the status
    except KeyboardInterrupt:
        if sys.stderr is not None:
            with contextlib.suppress(OSError):
                print("cryvision: stopped", file=sys.stderr, flush=True)
        status = EXIT_STOPPED
    if status == EXIT_STOPPED:
        _end_now(status)
    sys.exit(status)


def _stop(signum: int, frame: Any) -> NoReturn:
    raise KeyboardInterrupt


def _ignore_stops() -> None:
    for kind in (signal.SIGINT, signal.SIGTERM):
        signal.signal(kind, signal.SIG_IGN)


def _end_now(status: int) -> NoReturn:
    """End with the temporary files and child processes of libraries, but not with each object.

    With a network half trained, TensorFlow's take half a minute; and where a library met the stop
    in code that it had as text, Python would end by the signal, not with the status.
    """
    _ignore_stops()
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            with contextlib.suppress(OSError):
                stream.flush()
    os._exit(status)


if __name__ == "__main__":
    run()
