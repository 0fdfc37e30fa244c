"""The ffmpeg program: where it is, what it may open, and how it runs with nothing left over."""

from __future__ import annotations

import collections
import contextlib
import io
import itertools
import os
import re
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Sequence
from types import ModuleType
from typing import Any, cast

from cryvision.errors import MediaError, MissingDependencyError
from cryvision.layers import needed
from cryvision.os_errors import os_errors

FFMPEG_VARIABLE = "CRYVISION_FFMPEG"
"""Environment variable that may name the ffmpeg binary to use."""

CONTAINERS = (
    "3g2,3gp,aac,ac3,aiff,amr,ape,asf,au,avi,caf,dv,eac3,flac,flv,m4a,matroska,mov,mp3,mp4,"
    "mpeg,mpegts,mpegvideo,mxf,nistsphere,nut,ogg,rm,tta,voc,w64,wav,webm,wtv,wv"
)
"""Containers that may be opened, in ffmpeg's names.

Each holds its media itself. Playlists and manifests (hls, dash, concat, sdp, imf, ...), which
would open further files or hosts, still images, image sequences, scripts, text and captions are
left out, whatever a file is called.
"""

PROBE_TIMEOUT_SECONDS = 60.0
"""ffmpeg analyses a few seconds of media; longer than this means that it is stuck."""

STALL_SECONDS = 300.0
"""While a clip is read, ffmpeg may have nothing to give for so long: it may have to read far to the
next sound or picture, from a slow disk. Longer means that it is stuck."""

LONGEST_GAP_SECONDS = 600.0
"""A clip is read up to a longer jump in its timestamps. One damaged timestamp would otherwise ask
for days of silence, which ffmpeg keeps in memory: 150 MB for this in two channels."""

_LIMITS = {"protocol_whitelist": "file", "format_whitelist": CONTAINERS}
_CLIP = "file:"
_QUIET = ("-hide_banner", "-nostdin", "-nostats")
# By itself ffmpeg closes gaps of ten seconds in some containers: what follows would come early.
_GAPS = ("-dts_delta_threshold", f"{LONGEST_GAP_SECONDS:g}")
_LONGEST_WORDS = 240
_NO_HEADER = re.compile(r"Could not write header[^:]*: (Invalid argument$)?")
"""Stands before a reason, or before words that say no more than the line before it."""

_ADDRESS = re.compile(r"\[(?P<part>[^\]@\s][^\]@]*?) @ (?:0x)?[0-9a-fA-F]+\] ?")
_EMPTY_WORDS = (
    *("At least one output file", "Error opening input file", "Last message repeated"),
    *("Conversion failed", "Nothing was written", "Task finished", "Terminating thread"),
    *("Could not open encoder before EOF", "sample rate not set"),
    # Of packets that are copied to nowhere, for their times alone.
    "Application provided invalid, non monotonically increasing dts",
    "Error initializing output stream",
)
_JOIN_SECONDS = 5.0
_POLL_SECONDS, _REST_SECONDS = 0.25, 5.0
_LOOK_SECONDS = 0.05  # where something that the program started keeps its log open
_PROBE_LINES = 20_000

_STOPPED = 255  # of an ffmpeg that was stopped, and ended in order
_NO_MEMORY = 256 - 12
_FATAL_SIGNALS = (4, 6, 7, 8, 9, 10, 11, 15)


def find_ffmpeg() -> str:
    """Find the ffmpeg binary.

    The environment variable ``CRYVISION_FFMPEG`` comes first, then ``ffmpeg`` on the PATH, then the
    binary inside the ``imageio-ffmpeg`` package.

    Returns
    -------
    str
        Absolute path of the binary.

    Raises
    ------
    MissingDependencyError
        Where there is none, or ``CRYVISION_FFMPEG`` names something that cannot be run.
    """
    named = os.environ.get(FFMPEG_VARIABLE)
    path = shutil.which(named or "ffmpeg")
    if path is not None:
        return os.path.abspath(path)
    if named:
        raise MissingDependencyError(
            f"{FFMPEG_VARIABLE} must name an ffmpeg binary that can be run; got {named!r}"
        )
    try:
        import imageio_ffmpeg

        return os.path.abspath(str(imageio_ffmpeg.get_ffmpeg_exe()))
    except (ImportError, RuntimeError) as error:
        raise MissingDependencyError(
            "reading media needs ffmpeg and none was found: install it from the system's packages, "
            f"or run 'pip install imageio-ffmpeg', or name one in {FFMPEG_VARIABLE}"
        ) from error


def command_builder() -> ModuleType:
    """Import ffmpeg-python, which builds the command lines."""
    with needed("reading media", "ffmpeg-python"):
        import ffmpeg
    if not hasattr(ffmpeg, "merge_outputs"):
        raise MissingDependencyError(
            "the installed module 'ffmpeg' is not the package ffmpeg-python: run "
            "'pip uninstall ffmpeg python-ffmpeg', then 'pip install ffmpeg-python'"
        )
    package: ModuleType = ffmpeg
    return package


def shown(path: str | os.PathLike[str]) -> str:
    """Return a path for a message: on one line, whatever characters its name holds."""
    text = os.fspath(path)
    return text if text.isprintable() else text.encode("unicode_escape").decode("ascii")


def file_url(path: str | os.PathLike[str]) -> str:
    """Return what to call a file for ffmpeg so that its name is a name, never an instruction."""
    return "file:" + os.path.abspath(path)


def clip_input(**options: Any) -> Any:
    """Return the ffmpeg-python input for a clip, with the limits on what may be opened.

    The file itself is named in :func:`command_line`: ffmpeg-python takes no name that is not text.
    """
    return command_builder().input(_CLIP, **_LIMITS, **options)


def command_line(path: str | os.PathLike[str], output: Any) -> list[str]:
    """Turn an ffmpeg-python output into arguments for :class:`Process`, errors alone in its log."""
    words: list[str] = command_builder().get_args(output)
    named = [file_url(path) if word == _CLIP else word for word in words]
    return [find_ffmpeg(), *_QUIET, "-loglevel", "error", *_GAPS, *named]


def without_name(log: bytes, path: str | os.PathLike[str], url: str | None = None) -> bytes:
    """Take the file's name, or the URL that ffmpeg was given, out of what ffmpeg printed.

    A name may hold line breaks and text that looks like ffmpeg's own. ffmpeg prints a long one cut
    off and control characters as question marks.
    """
    name = os.fsencode(url or file_url(path))
    while (at := log.find(name)) >= 0:
        log = log[:at] + log[at + len(name) :]
    at = log.find(b"'file:")
    if at >= 0:
        rest = log[at + 1 :]
        same = itertools.takewhile(lambda pair: pair[0] == pair[1], zip(rest, name, strict=False))
        log = log[: at + 1] + rest[sum(1 for _ in same) :]
    return log


def last_words(log: bytes, path: str | os.PathLike[str], url: str | None = None) -> str:
    """Return the end of what ffmpeg printed on one line, without addresses and the file's name."""
    words: list[str] = []
    for line in without_name(log, path, url).decode("utf-8", "replace").splitlines():
        text = "".join(c if c.isprintable() else " " for c in _ADDRESS.sub("", line))
        text = _NO_HEADER.sub("", text)
        text = text.strip().removeprefix(":").removeprefix("Error opening input:").strip()
        if text and text not in words and not text.startswith(_EMPTY_WORDS):
            words.append(text)
    return "; ".join(words[-2:])[:_LONGEST_WORDS]


def limits() -> list[str]:
    """Return the options that keep ffmpeg and ffprobe to files of the containers above."""
    return [word for name, value in _LIMITS.items() for word in (f"-{name}", value)]


def printed(
    path: str | os.PathLike[str],
    url: str | None = None,
    output: Sequence[str] = (),
    enough: bytes | None = None,
) -> bytes:
    """Return what ffmpeg prints about a file: its container and streams, or why it is refused.

    The words ``output`` ask for an output to be printed as well; after what is ``enough``, ffmpeg
    need not come to an end. A MediaError says that it did not.
    """
    source = ("-i", url or file_url(path))
    command = [find_ffmpeg(), "-nostdin", "-nostats", *limits(), *source, *output]
    until = time.monotonic() + PROBE_TIMEOUT_SECONDS
    enough_seen = False
    with Process(command, _PROBE_LINES) as process:
        while not process.ended(_POLL_SECONDS):
            if not enough_seen and enough is not None and enough in process.log():
                # What belongs to it follows at once, or a little later on a busy machine.
                enough_seen, until = True, time.monotonic() + _REST_SECONDS
            if time.monotonic() > until:
                if enough_seen:
                    return process.log()
                raise MediaError(
                    f"{shown(path)}: ffmpeg must recognise a clip within {PROBE_TIMEOUT_SECONDS:g} "
                    "s; it did not"
                )
        crash = violent_end(process.wait())
        return process.log() + (crash or "").encode()


def violent_end(status: int) -> str | None:
    """Say how ffmpeg was ended, from `Process.wait`, if it did not end by itself."""
    # Behind a wrapper script, 128 stands before the number of the signal.
    number = -status if status < 0 else status - 128
    if status < 0 or number in _FATAL_SIGNALS:
        return f"it was ended by {signal_name(number)}"
    if status == _STOPPED:
        return "it was stopped"
    if status == _NO_MEMORY:
        return "it found no more memory"
    return f"it crashed with status {status:#x}" if status > _STOPPED else None


def signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


class Process:
    """One running ffmpeg: standard output is read, standard error always drained.

    A context manager. Leaving it kills ffmpeg, waits for it and closes its pipes. Should this
    program be killed, ffmpeg ends at its next write, as nobody reads its pipe any more. What is
    called ffmpeg may be a script that starts it: both have a process group of their own, and end
    together (on Windows, the script alone).

    The last ``max_lines`` of standard error are kept. ffmpeg is killed, and `stalled` is set, after
    it has given nothing for `stall_seconds`, which may be changed while it runs, to who waits for
    its output. The ``script`` is what it reads from its standard input: less than a pipe holds, 4
    kB. Or it is ``fed`` by whoever writes into `stdin`, and closes that at the end.
    """

    def __init__(
        self,
        command: list[str],
        max_lines: int = 40,
        stall_seconds: float | None = None,
        script: bytes = b"",
        fed: bool = False,
    ) -> None:
        self.stalled = False
        self.stall_seconds = STALL_SECONDS if stall_seconds is None else stall_seconds
        self._waiting_since: float | None = None
        self._over = threading.Event()
        # A worker of a batch leads a session, and its group is killed as a whole: ffmpeg stays in.
        self._leads = os.name == "posix" and os.getsid(0) != os.getpid()
        self._lines: collections.deque[bytes] = collections.deque(maxlen=max_lines)
        what = f"ffmpeg must be a program that can be run; {command[0]}"
        with os_errors(what, MissingDependencyError):
            self._popen = subprocess.Popen(
                command,
                stdin=subprocess.PIPE if script or fed else subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env={**os.environ, "AV_LOG_FORCE_NOCOLOR": "1"},
                start_new_session=self._leads,
                creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
            )
        self.stdin = cast(io.BufferedWriter, self._popen.stdin)
        if script:
            with contextlib.suppress(OSError), self.stdin:  # it may have ended
                self.stdin.write(script)
        self._out = cast(io.BufferedReader, self._popen.stdout)
        self._err = cast(io.BufferedReader, self._popen.stderr)
        self._drain = threading.Thread(target=self._read_log, name="ffmpeg-log", daemon=True)
        self._drain.start()
        threading.Thread(target=self._watch, name="ffmpeg-watch", daemon=True).start()

    def read_line(self, limit: int) -> bytes:
        """Read one line of at most ``limit`` bytes; empty at the end."""
        self._waiting_since = time.monotonic()
        line = self._out.readline(limit)
        self._waiting_since = None
        return line

    def read_into(self, buffer: memoryview) -> int:
        """Fill a buffer of bytes; return how many there were before the end."""
        filled = 0
        while filled < len(buffer):
            self._waiting_since = time.monotonic()
            n = self._out.readinto(buffer[filled:])
            if not n:
                break
            filled += n
        self._waiting_since = None
        return filled

    def wait(self, timeout_seconds: float | None = None) -> int:
        """Read no more, wait until ffmpeg has ended, and return its exit status.

        If it still runs after ``timeout_seconds``, subprocess.TimeoutExpired is raised.
        """
        # Otherwise ffmpeg could wait for ever to have its last output read.
        self._out.close()
        begun = time.monotonic()
        if timeout_seconds is not None:
            # Its log ends when it does; a wait of `Popen` with a limit looks every 0.05 s alone.
            while self._popen.poll() is None and self._drain.is_alive():
                left = timeout_seconds - (time.monotonic() - begun)
                if left <= 0:
                    break
                self._drain.join(min(left, _LOOK_SECONDS))
            timeout_seconds -= time.monotonic() - begun
        status = self._popen.wait(timeout_seconds)
        self._over.set()
        self._drain.join(_JOIN_SECONDS)
        if self._drain.is_alive():
            # A script has ended, and what it started has not.
            self._kill_all()
            self._drain.join(_JOIN_SECONDS)
        return status

    def ended(self, within_seconds: float) -> bool:
        """Tell whether ffmpeg ends by itself within some time; its output is not read."""
        try:
            self.wait(within_seconds)
        except subprocess.TimeoutExpired:
            return False
        return True

    def log(self) -> bytes:
        """Return the last lines of standard error so far; all once ffmpeg has ended."""
        return b"".join(tuple(self._lines))

    def kill(self) -> None:
        """Kill ffmpeg where it still runs; who reads its output, in any thread, finds the end."""
        if self._popen.poll() is None:
            self._kill_all()

    def close(self) -> None:
        """Kill ffmpeg where it still runs, and give everything back. May be called again."""
        self.kill()
        self._over.set()
        # The garbage collector may call this anywhere, even from the thread to be joined.
        if threading.current_thread() is not self._drain:
            self.wait()
            self._err.close()
            if self._popen.stdin is not None:
                with contextlib.suppress(OSError):  # what was not sent is lost
                    self.stdin.close()

    def __enter__(self) -> Process:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def _kill_all(self) -> None:
        """Kill ffmpeg with the script that may stand before it."""
        if self._leads:
            with contextlib.suppress(OSError):  # nothing of it is left
                os.killpg(self._popen.pid, signal.SIGKILL)
        self._popen.kill()

    def _watch(self) -> None:
        """Kill an ffmpeg that somebody waits for in vain; its reader then finds the end."""
        while not self._over.wait(min(1.0, self.stall_seconds / 4)):
            since = self._waiting_since
            if since is not None and time.monotonic() - since > self.stall_seconds:
                self.stalled = True
                self._kill_all()
                return

    def _read_log(self) -> None:
        for line in self._err:
            self._lines.append(line)
