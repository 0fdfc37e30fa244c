"""Whether ffmpeg came to an end by itself."""

from __future__ import annotations

import signal

_STOPPED = 255  # of an ffmpeg that was stopped, and ended in order
_NO_MEMORY = 256 - 12
_FATAL_SIGNALS = (4, 6, 7, 8, 9, 10, 11, 15)


def violent_end(status: int) -> str | None:
    """Say how ffmpeg was ended, if it did not come to an end by itself.

    Parameters
    ----------
    status : int
        As `cryvision.inputs.ffmpeg.Process.wait` gives it.
    """
    # Behind a wrapper script, 128 stands before the number of the signal.
    number = -status if status < 0 else status - 128
    if status < 0 or number in _FATAL_SIGNALS:
        try:
            return f"it was ended by {signal.Signals(number).name}"
        except ValueError:
            return f"it was ended by signal {number}"
    if status == _STOPPED:
        return "it was stopped"
    if status == _NO_MEMORY:
        return "it found no more memory"
    return f"it crashed with status {status:#x}" if status > _STOPPED else None
