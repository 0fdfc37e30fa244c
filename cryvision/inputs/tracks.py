"""The choice among a clip's tracks of sound."""

from __future__ import annotations

import os

import numpy as np

from cryvision.errors import ConfigError, MediaError
from cryvision.inputs import ffmpeg
from cryvision.inputs.decoding import Sound
from cryvision.inputs.mixing import BLOCK_SAMPLES
from cryvision.inputs.probing import MediaInfo, with_track
from cryvision.inputs.streams import SoundTrack

SILENT_DBFS = -70.0
"""A track with no tenth of a second above this level is silent: 10 dB below what is scored."""


def choose_track(info: MediaInfo, number: int | None) -> tuple[MediaInfo, list[str]]:
    """Choose the track of sound to read; return it with the warnings about those not used.

    A ``number``, from 1 on, is taken whatever is on it. Else the track that the file marks as its
    default comes first, then the others in their order; of these, the first that is not silent is
    taken.
    """
    tracks = info.sound_tracks
    silent: list[SoundTrack] = []
    if number is not None:
        if not 1 <= number <= len(tracks):
            there = f"{len(tracks)} tracks" if len(tracks) != 1 else "1 track"
            raise ConfigError(
                f"{ffmpeg.shown(info.path)}: the sound track must be one of the file's, which has "
                f"{there} of sound; got {number}"
            )
        chosen = tracks[number - 1]
    elif len(tracks) < 2:
        return info, []
    else:
        chosen, silent = _first_sounding(info)
    unused = [track for track in tracks if track is not chosen]
    warnings = []
    if unused:
        named = "; ".join(_named(info, track, silent) for track in unused)
        warnings.append(
            f"sound track {tracks.index(chosen) + 1} of {len(tracks)} was used; not used: {named}"
        )
    return with_track(info, chosen), warnings


def _first_sounding(info: MediaInfo) -> tuple[SoundTrack, list[SoundTrack]]:
    """Return the first track that is not silent, and those before it that are."""
    tracks = sorted(info.sound_tracks, key=lambda track: not track.default)
    silent: list[SoundTrack] = []
    for track in tracks:
        if not _is_silent(with_track(info, track)):
            return track, silent
        silent.append(track)
    return tracks[0], silent


def _is_silent(info: MediaInfo) -> bool:
    power = 10 ** (SILENT_DBFS / 10)
    try:
        with Sound(os.path.abspath(info.path), info) as sound:
            while (block := sound.take(BLOCK_SAMPLES)) is not None:
                if np.mean(np.square(block, dtype=np.float64)) > power:
                    return False
    except MediaError:
        pass  # its rate, say: another may do
    return True


def _named(info: MediaInfo, track: SoundTrack, silent: list[SoundTrack]) -> str:
    number = info.sound_tracks.index(track) + 1
    return f"track {number} ({track}{', silent' if track in silent else ''})"
