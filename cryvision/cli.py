"""The command line: one parser, thin commands. Nothing heavy is imported before it is needed."""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Sequence
from typing import Any

from cryvision import __version__
from cryvision.commands import (
    audit,
    classify,
    evaluate,
    export,
    features,
    fetch,
    info,
    lr_find,
    reproduce,
    score,
    train,
    train_audio_only,
    train_detector,
)
from cryvision.commands.terminal import EXIT_DONE, EXIT_STOPPED, log
from cryvision.errors import CryvisionError
from cryvision.traces import no_traces

COMMANDS = (
    classify,
    score,
    features,
    info,
    evaluate,
    audit,
    train,
    train_audio_only,
    train_detector,
    lr_find,
    export,
    fetch,
    reproduce,
)


def build_parser() -> argparse.ArgumentParser:
    """Build the parser of every command."""
    parser = argparse.ArgumentParser(
        prog="cryvision",
        description="Find the crying in video and sound of infants: when, how long, how sure, "
        "how loud. Recordings never leave this machine.",
        epilog="exit status: 0 done, 1 failed, 2 wrong usage, 3 some clips failed, 130 stopped",
    )
    parser.add_argument("--version", action="version", version=f"cryvision {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for command in COMMANDS:
        command.add(commands)
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status.

    Parameters
    ----------
    arguments : sequence of str, optional
        The command line without the program's name; ``sys.argv[1:]`` by default.
    """
    for stream in (sys.stdout, sys.stderr):
        # A name that the terminal cannot show must not end the run.
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    try:
        signal.signal(signal.SIGTERM, _stop)
        options = build_parser().parse_args(arguments)
        with no_traces():
            status: int = options.run(options)
        return status
    except KeyboardInterrupt:
        log("stopped")
        return EXIT_STOPPED
    except BrokenPipeError:
        # The reader of our output has gone, as `| head` does: not an error, nothing more to say.
        return EXIT_DONE
    except Exception as error:
        if _is_stop(error):
            log("stopped")
            return EXIT_STOPPED
        if not isinstance(error, CryvisionError):
            raise
        log(str(error))
        return error.exit_code


def _stop(signum: int, frame: Any) -> None:
    raise KeyboardInterrupt


def _is_stop(error: BaseException | None) -> bool:
    """Whether a library that was stopped while it was loading made an error of its own of that."""
    while error is not None:
        if isinstance(error, KeyboardInterrupt):
            return True
        error = error.__cause__ or error.__context__
    return False
