"""What a source of live sound yields: pieces of sound, and faults in order with them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

KINDS = ("lost", "stalled", "silent", "frozen", "clock", "slow", "recovered")
"""What a `SourceFault` may be."""


@dataclass(frozen=True)
class Piece:
    """The next stretch of a source's sound, 0.1 s or a little more or less.

    Attributes
    ----------
    samples : ndarray of float32, shape (n,)
        Mono, 16 kHz, -1 to 1. Empty where nothing has come for a while: time goes on.
    frame : ndarray of uint8, shape (height, width, 3), or None
        The newest RGB picture. Where the reader is slow, pictures are dropped; sound never is.
    frame_time_s : float or None
        The picture's place on the clock of this connection: seconds since its first sample.
    time : float
        Wall time of the last sample, seconds since 1970.
    """

    samples: np.ndarray
    frame: np.ndarray | None
    frame_time_s: float | None
    time: float


@dataclass(frozen=True)
class SourceFault:
    """A fault of a source, or its end.

    Each kind alternates between the fault and its recovery.

    Attributes
    ----------
    kind : str
        One of `KINDS`.
    message : str
        One line for people, without user names, passwords or the query of an address.
    time : float
        Wall time, seconds since 1970.
    restart : bool
        Whether the sound before and after do not belong together.
    ended : str
        Of ``"recovered"``, the kind of the fault that is over; empty for the other kinds.
    """

    kind: str
    message: str
    time: float
    restart: bool = False
    ended: str = ""
