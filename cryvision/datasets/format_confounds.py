"""Classes that differ in how their files were written: a model may learn that, and nothing else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations

from cryvision.datasets.annotated import first_few
from cryvision.datasets.labelled import LabelledClip
from cryvision.errors import MediaError
from cryvision.inputs.media import MediaInfo, probe

PROPERTIES: Mapping[str, str] = {
    "sound_codec": "sound codec",
    "sound_rate_hz": "sample rate in Hz",
    "sound_channels": "number of channels",
    "picture_codec": "picture codec",
}
"""What is compared, by its name in `MediaInfo`."""

_VALUES_SHOWN = 3


def format_warnings(clips: Sequence[LabelledClip]) -> list[str]:
    """Find classes that the format of their files alone separates.

    There is a line for each property that has no value in common between some two classes; clips
    that cannot be read are passed over. In one public collection of infant cries, the sample rate
    in the header predicts most of the labels: whole classes came from one kind of recorder.
    """
    infos = _by_class(clips)
    lines = []
    for name, shown in PROPERTIES.items():
        values = {label: {getattr(info, name) for info in found} for label, found in infos.items()}
        pair = next((p for p in combinations(values, 2) if not values[p[0]] & values[p[1]]), None)
        if pair:
            first, second = (f"{_listed(values[label])} in {label!r}" for label in pair)
            lines.append(
                f"classes must not differ by how files were written: the {shown} is {first} and "
                f"{second}; a model may learn that instead of what was recorded"
            )
    return lines


def _by_class(clips: Sequence[LabelledClip]) -> dict[str, list[MediaInfo]]:
    infos: dict[str, list[MediaInfo]] = {}
    probed: dict[str, MediaInfo] = {}
    for clip in clips:
        path = str(clip.path)
        try:
            if path not in probed:
                probed[path] = probe(path)
        except MediaError:
            continue  # it is reported where its features are computed
        infos.setdefault(clip.label, []).append(probed[path])
    return infos


def _listed(values: set[object]) -> str:
    names = sorted("none" if value is None else str(value) for value in values)
    return first_few(names, _VALUES_SHOWN)
