"""Labels that mean crying, logged before anything rests on them, and labels outside their clip."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace

from cryvision.annotations import Interval
from cryvision.datasets.annotated import CRY_LABELS, AnnotatedClip, cry_intervals, first_few
from cryvision.outputs.lettering import shortened
from cryvision.safe_text import one_line

END_TOLERANCE_SECONDS = 0.1
"""A label may end so far behind its clip: editors round, and codecs cut."""

LONGEST_LABEL = 60
"""Characters of a label in a message."""

_BLANK = "(blank)"
_LABELS_SHOWN = 20
_INTERVALS_SHOWN = 3
_TIERS_SHOWN = 5
_CRY = CRY_LABELS[0]
_WORDS = ("cry", "cries", "cried", "crying")


def count_as_crying(
    clips: Sequence[AnnotatedClip], cry_labels: Sequence[str] = ()
) -> tuple[list[AnnotatedClip], list[str], list[str]]:
    """Let more labels than ``cry`` and ``crying`` mean crying, and list what counts as what.

    Case and outer blanks of the other labels do not matter. Given back are the clips, where all
    these labels read ``cry``; a line on the labels that count as crying, one on those that do not,
    with counts, and one on tiers of one clip that are joined; and warnings: labels that seem to
    mean crying and do not count, given ones that no clip has, labels without length, joined tiers
    that overlap.
    """
    counted = {_plain(label) for label in (*CRY_LABELS, *cry_labels)}
    counts: Counter[str] = Counter()
    shown: dict[str, str] = {}
    for interval in (interval for clip in clips for interval in clip.intervals):
        key = _plain(interval.label)
        counts[key] += 1
        shown.setdefault(key, interval.label.strip() or _BLANK)
    crying = {shown[key]: n for key, n in counts.most_common() if key in counted}
    others = {shown[key]: n for key, n in counts.most_common() if key not in counted}
    warnings = [
        f"the label {brief(shown[key])!r} ({'once' if n == 1 else f'{n:,} times'}) does not count "
        "as crying; --cry-label"
        + (f" {shown[key]!r}" if brief(shown[key]) == shown[key] else "")
        + " would count it"
        for key, n in counts.most_common()
        if key not in counted and meant(key)
    ]
    warnings += [
        f"no annotation reads {brief(label)!r}" for label in cry_labels if not counts[_plain(label)]
    ]
    renamed = [
        replace(
            clip,
            intervals=tuple(
                replace(i, label=_CRY) if _plain(i.label) in counted else i for i in clip.intervals
            ),
        )
        for clip in clips
    ]
    spans = [i for clip in renamed for i in clip.intervals if i.label == _CRY]
    n_points = sum(i.start_s >= i.end_s for i in spans)
    if n_points:
        warnings.append(
            f"{n_points} of {len(spans)} labels that mean crying have no length, and do not count"
        )
    lines = count_lines(crying, others, "labels") if counts else []
    tiers, overlap = _joined_tiers(renamed)
    (warnings if overlap else lines).extend([tiers] if tiers else [])
    return renamed, lines, warnings


def _joined_tiers(clips: Sequence[AnnotatedClip]) -> tuple[str, bool]:
    """Name the tiers with crying where a clip has several, and say whether some overlap."""
    counts: Counter[str] = Counter()
    several = overlap = False
    for clip in clips:
        tiers: dict[str, list[Interval]] = {}
        for interval in clip.intervals:
            if interval.label == _CRY:
                tiers.setdefault(interval.tier, []).append(interval)
        counts.update({tier: len(own) for tier, own in tiers.items()})
        several |= len(tiers) > 1
        lengths = [i.end_s - i.start_s for own in tiers.values() for i in cry_intervals(own)]
        joined = sum(i.end_s - i.start_s for i in cry_intervals(clip.intervals))
        overlap |= sum(lengths) > joined + END_TOLERANCE_SECONDS
    named = [f"{brief(tier)} ({n})" for tier, n in sorted(counts.items())]
    if not several:
        return "", False
    line = f"crying is on {len(named)} tiers, {first_few(named, _TIERS_SHOWN)}"
    return f"{line}{', which overlap' * overlap}; all of them count as one coding", overlap


def count_lines(crying: dict[str, int], others: dict[str, int], what: str) -> list[str]:
    """List in two lines what counts as crying and what does not."""
    return [
        f"{what} that count as crying: {_listed(crying)}",
        f"{what} that do not count as crying: {_listed(others)}",
    ]


def meant(label: str) -> bool | None:
    """Return whether a text means crying or no crying; None for neither."""
    words = "".join(c if c.isalnum() else " " for c in label.casefold()).split()
    if {"nocry", "notcry", "noncry", "nocrying", "notcrying", "noncrying"} & set(words):
        return False
    if not any(word in _WORDS or word.endswith(("cry", "crying", "cries")) for word in words):
        return None
    return not {"no", "not", "non", "without"} & set(words)


def inside(clip: AnnotatedClip, duration_s: float) -> tuple[AnnotatedClip, list[str]]:
    """Cut the labels of a clip at its end, and leave out those that lie behind it.

    There is a remark on labels that were cut by more than `END_TOLERANCE_SECONDS`, and one on those
    that were left out.
    """
    within, cut, left_out = [], [], []
    for interval in clip.intervals:
        if interval.start_s >= duration_s:
            left_out.append(interval)
            continue
        if interval.end_s > duration_s + END_TOLERANCE_SECONDS:
            cut.append(interval)
        within.append(replace(interval, end_s=min(interval.end_s, duration_s)))
    rule = f"labels must lie inside the clip, which is {duration_s:.2f} s long"
    remarks = [
        f"{clip.path}: {rule}; {len(those)} {what}: {_times(those)}"
        for what, those in (("cut there", cut), ("left out", left_out))
        if those
    ]
    return replace(clip, intervals=tuple(within)), remarks


def brief(label: str) -> str:
    """Write a label for a message: in one line, and shortened where it is a whole note."""
    return shortened(one_line(label), LONGEST_LABEL) or _BLANK


def _plain(label: str) -> str:
    return label.strip().casefold()


def _listed(counts: dict[str, int]) -> str:
    names = [f"{brief(label)} ({n})" for label, n in counts.items()]
    return first_few(names, _LABELS_SHOWN) or "none"


def _times(intervals: Iterable[Interval]) -> str:
    times = [f"{brief(i.label)} from {i.start_s:.2f} to {i.end_s:.2f} s" for i in intervals]
    return first_few(times, _INTERVALS_SHOWN)
