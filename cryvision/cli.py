"""The command line: one parser, thin commands. Nothing heavy is imported before it is needed."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import Any

from cryvision import __version__
from cryvision.commands import (
    agree,
    audit,
    classify,
    evaluate,
    export,
    features,
    fetch,
    info,
    live,
    lr_find,
    reproduce,
    score,
    serve,
    train,
    train_audio_only,
    train_detector,
)
from cryvision.commands.terminal import EXIT_DONE, EXIT_FAILED, EXIT_STOPPED, log, logging_to_stderr
from cryvision.errors import CryvisionError

GROUPS = {
    "use": (classify, serve, live, score, info, fetch),
    "train": (train, train_detector, train_audio_only, features, lr_find),
    "measure": (evaluate, agree, audit, reproduce),
    "publish": (export,),
}
"""The commands as ``--help`` lists them; each in one group."""

_NAME_WIDTH = 18
_DESCRIPTION = """\
Find the crying in video and sound of infants: when, how long, how sure, how
loud. Recordings never leave this machine."""
_EPILOG = """\
'cryvision COMMAND --help' describes a command and its options.

exit status: 0 done, 1 failed, 2 wrong usage, 3 some clips failed, 130 stopped"""


class _Group:
    """Commands that ``--help`` lists together; argparse itself has one list for all."""

    def __init__(self, commands: Any) -> None:
        self._commands = commands
        self.lines: list[str] = []

    def add_parser(self, name: str, *, help: str, **settings: Any) -> argparse.ArgumentParser:
        self.lines.append(f"{name:<{_NAME_WIDTH}}{help}")
        parser: argparse.ArgumentParser = self._commands.add_parser(name, **settings)
        return parser


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="cryvision",
        usage="cryvision [-h] [--version] COMMAND ...",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"cryvision {__version__}")
    commands = parser.add_subparsers(
        prog="cryvision", metavar="COMMAND", required=True, help=argparse.SUPPRESS
    )
    for title, modules in GROUPS.items():
        group = _Group(commands)
        for module in modules:
            module.add(group)
        parser.add_argument_group(title, "\n".join(group.lines))
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command, by default that of ``sys.argv``, and return its exit status."""
    for stream in (sys.stdout, sys.stderr):
        # A name that the terminal cannot show must not end the run.
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    try:
        options = build_parser().parse_args(arguments)
        from cryvision.traces import no_traces

        with no_traces(), logging_to_stderr():
            status: int = options.run(options)
        return status
    except KeyboardInterrupt:
        log("stopped")
        return EXIT_STOPPED
    except BrokenPipeError:
        # The reader of our output has gone, as `| head` does: not an error.
        return EXIT_DONE
    except Exception as error:
        if _is_stop(error):
            log("stopped")
            return EXIT_STOPPED
        if isinstance(error, FileNotFoundError) and "temporary directory" in str(error):
            log(f"a temporary folder with room is needed: {error.strerror}; TMPDIR names another")
            return EXIT_FAILED
        if isinstance(error, OSError) and error.filename is not None:
            log(f"{error.filename!s:.200}: {error.strerror}")
            return EXIT_FAILED
        if not isinstance(error, CryvisionError):
            raise
        log(str(error))
        return error.exit_code


def _is_stop(error: BaseException | None) -> bool:
    """Whether a library that was stopped while it was loading made an error of its own of that."""
    while error is not None:
        if isinstance(error, KeyboardInterrupt):
            return True
        error = error.__cause__ or error.__context__
    return False
