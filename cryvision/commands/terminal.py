"""What the commands share on a terminal: exit codes, the log, progress, common options."""

from __future__ import annotations

import argparse
import contextlib
import logging
import os
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, TextIO

from cryvision.errors import CryvisionError

if TYPE_CHECKING:
    from typing_extensions import Self

BAR_DELAY_SECONDS = 1.0
"""A bar is not shown for what takes less."""

EXIT_DONE, EXIT_FAILED, EXIT_SOME_FAILED, EXIT_STOPPED = 0, 1, 3, 130
"""Wrong usage, 2, is in `cryvision.errors.ConfigError`."""


def show(text: str) -> None:
    """Print a result on stdout, and nothing else there."""
    try:
        print(text, flush=True)
    except OSError as error:
        discard(sys.stdout)
        if isinstance(error, BrokenPipeError):
            raise
        reason = error.strerror or error
        raise CryvisionError(f"the result could not be written to stdout: {reason}") from error


def show_json(record: Any) -> None:
    """Print a JSON object on stdout, on one line; errors as `show` has them."""
    import json

    show(json.dumps(record, allow_nan=False))


def log(message: str) -> None:
    """Print one line on stderr; where that cannot be written, there is no other place."""
    if sys.stderr is None:
        return
    if not message.isprintable():
        # The name of a folder or a bundle may hold line breaks, or steer the terminal.
        from cryvision.outputs.text import printable

        message = printable(message)
    # On a terminal a line that is written over may stand there: a bar, or the states of `live`.
    clear = "\r\x1b[2K" if sys.stderr.isatty() else ""
    try:
        print(f"{clear}cryvision: {message}", file=sys.stderr, flush=True)
    except OSError:
        discard(sys.stderr)


def discard(stream: TextIO) -> None:
    """Let a stream that failed lead nowhere: Python writes what it holds once more at its end."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, stream.fileno())
    os.close(nowhere)


def add_bundle_option(
    parser: Any,
    *,
    help: str = "a folder or zip (default: the one shipped)",
    also_first: bool = False,
) -> None:
    """Give a command the option ``--bundle``.

    With ``also_first``, the first argument without an option may name the bundle too. Not both:
    wrong usage.
    """
    options = parser.add_mutually_exclusive_group() if also_first else parser
    options.add_argument("--bundle", metavar="BUNDLE", help=help)
    if also_first:
        # Where it is not given, it must not undo what --bundle said.
        options.add_argument(
            "bundle",
            nargs="?",
            default=argparse.SUPPRESS,
            metavar="BUNDLE",
            help="the bundle, as with --bundle",
        )


def add_subject_option(parser: Any, source: str, default: str) -> None:
    """Give a command the option ``--subject-pattern``, for paths below a source."""
    parser.add_argument(
        "--subject-pattern",
        metavar="REGEX",
        help=f"its first group, on the path below {source}, names the subject of a clip (default: "
        f"{default})",
    )


def add_runtime_option(parser: Any) -> None:
    parser.add_argument(
        "--runtime",
        choices=("onnx", "keras"),
        default="onnx",
        help="onnx starts at once (default); keras runs the original models",
    )


def add_cry_label_option(parser: Any) -> None:
    parser.add_argument(
        "--cry-label",
        action="append",
        default=[],
        metavar="LABEL",
        help="a label that means crying, beside cry and crying; may be given more than once",
    )


def show_text(text: str) -> None:
    """Print lines on stdout in which names of files cannot steer the terminal."""
    from cryvision.outputs.text import printable

    show("\n".join(map(printable, text.split("\n"))))


class Bar:
    """A bar on stderr from its first value on; silent where that is no terminal."""

    def __init__(self) -> None:
        self._bar: Any = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        if self._bar is not None:
            self._bar.close()

    def move(self, done: float, **look: Any) -> Any:
        """Move to a value; ``look`` is what tqdm opens the bar with. None if nothing is drawn."""
        if sys.stderr is None or not sys.stderr.isatty():
            return None
        if self._bar is None:
            from tqdm import tqdm

            self._bar = tqdm(leave=False, **look)
        return self._bar if self._bar.update(done - self._bar.n) else None


class ClipProgress(Bar):
    def __init__(self, path: str) -> None:
        super().__init__()
        self._name = os.path.basename(path)

    def show(self, done_s: float, duration_s: float | None) -> None:
        from cryvision.outputs.text import printable

        progress = "{percentage:3.0f}% {bar} {n:.0f}/{total:.0f} s {remaining}"
        self.move(
            # Beyond its total, tqdm takes the total for unknown.
            done_s if duration_s is None else min(done_s, duration_s),
            total=duration_s,
            desc=printable(self._name),
            delay=BAR_DELAY_SECONDS,
            bar_format="{desc}: " + (progress if duration_s else "{n:.0f} s done"),
        )


class _Handler(logging.Handler):
    """Prints the messages of the package as `log` does."""

    def emit(self, record: logging.LogRecord) -> None:
        log(record.getMessage())


@contextlib.contextmanager
def logging_to_stderr() -> Iterator[None]:
    """Print what the package logs on stderr, each message once."""
    logger, handler = logging.getLogger("cryvision"), _Handler()
    level, propagates = logger.level, logger.propagate
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    logger.propagate = False  # libraries give the root logger handlers of their own
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)
        logger.propagate = propagates
