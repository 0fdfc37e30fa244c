"""Transcripts of CHILDES and TalkBank (CHAT) whose lines have times."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from cryvision.annotations.interval import DamagedError, Entry, Sheet, rounded
from cryvision.annotations.text import write_text
from cryvision.safe_text import one_line

DECIMALS = 3

_BULLET = re.compile('\x15(?:%snd:"[^"]*"_)?(\\d+)_(\\d+)\x15')
_MAIN_LINE = re.compile(r"\*(\w+):\t(.*)", re.DOTALL)
# Sounds stand in a line as 0 [=! crying], or as &=cries.
_SOUND = re.compile(r"\[=! ([^\]]*)\]|&=([^\s:]+)")
_CRYING = ("cry", "cries", "crying")
_CHILD = "CHI"
_BRACKETS = str.maketrans("[]", "()")
_LONGEST_CODE = 7


def read_chat(text: str) -> Iterator[Entry]:
    """Read the lines with times: speakers are tiers, and what sounds they make are labels.

    A line without a sound has its text as its label. All forms of "to cry" read ``cry``.
    """
    if not text.startswith("@"):
        raise DamagedError(1, "a CHAT file must begin with @UTF8 or @Begin")
    for number, line in _logical_lines(text):
        main, times = _MAIN_LINE.match(line), _BULLET.findall(line)
        if main is None or not times:
            continue
        starts_ms, ends_ms = zip(*((int(a), int(b)) for a, b in times), strict=True)
        words = " ".join(_BULLET.sub("", main[2]).split())
        sound = _SOUND.search(words)
        label = (sound[1] or sound[2]) if sound else re.sub(r"\s*[.?!]$", "", words)
        label = "cry" if label.casefold() in _CRYING else label
        yield Entry(
            number, f"{min(starts_ms) / 1000:.3f}", f"{max(ends_ms) / 1000:.3f}", label, main[1]
        )


def write_chat(sheet: Sheet, path: Path) -> None:
    """Write a transcript of sounds: a line an interval, with its time in milliseconds.

    A tier is a speaker of at most seven letters and digits; without one, and for the tier ``cry``,
    the target child.
    """
    speakers = dict.fromkeys([_CHILD, *(_speaker(i.tier) for i in sheet.intervals)])
    roles = {code: "Target_Child" if code == _CHILD else "Unidentified" for code in speakers}
    name = sheet.media_stem.replace(" ", "_")
    lines = [
        *("@UTF8", "@Begin", "@Languages:\tund"),
        "@Participants:\t" + ", ".join(f"{code} {role}" for code, role in roles.items()),
        *(f"@ID:\tund|cryvision|{code}|||||{role}|||" for code, role in roles.items()),
        f"@Media:\t{name}, audio",
    ]
    for interval in sheet.intervals:
        start_ms, end_ms = (round(1000 * time_s) for time_s in rounded(interval, DECIMALS))
        label = one_line(interval.label).translate(_BRACKETS) or "cry"
        lines.append(f"*{_speaker(interval.tier)}:\t0 [=! {label}] . \x15{start_ms}_{end_ms}\x15")
    write_text(path, "\n".join([*lines, "@End\n"]))


def _logical_lines(text: str) -> Iterator[tuple[int, str]]:
    """Give each line with those that go on with it, which start with a tab."""
    lines = text.split("\n")
    start = 0
    for at in range(1, len(lines) + 1):
        if at == len(lines) or not lines[at].startswith("\t"):
            yield start + 1, "\n".join(lines[start:at])
            start = at


def _speaker(tier: str) -> str:
    code = re.sub(r"[^A-Z0-9]", "", tier.upper())[:_LONGEST_CODE]
    return _CHILD if code in ("", "CRY") else code
