"""What is wrong with single clips of a corpus: their sound, their copies, their names."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from cryvision.auditing.findings import ERROR, INFO, WARNING, Finding, listed, present
from cryvision.datasets.clip_stats import ClipFacts
from cryvision.datasets.labelled import REASONS, Dataset, donateacry_name, is_stub
from cryvision.datasets.near_duplicates import (
    ALTERED,
    SAME_FILE,
    SAME_SOUND,
    CopyPair,
    has_generated_name,
)

SILENT_DBFS = -50.0
"""RMS level below which a clip counts as silent: a cry at a phone is 20 dB above."""

CLIPPED_SHARE = 0.001
"""Share of samples at full scale from which a clip counts as clipped."""

STUB_SECONDS = 0.5
"""A clip that is shorter holds no window of the detector."""

SHORT_SHARE = 0.5
"""Of the usual length, where a corpus has one: below it a clip was cut off."""

_USUAL_SPREAD = 0.2
_USUAL_CLIPS = 0.9


def about_files(data: Dataset, facts: Sequence[ClipFacts]) -> list[Finding]:
    readable = [one for one in facts if one.problem is None]
    broken = [one.problem for one in facts if one.problem is not None]
    stubs = [str(path) for path in data.left_out if _is_stub(path)]
    stubs += [_with_length(one) for one in readable if one.duration_s < STUB_SECONDS]
    cut = [f"{one.name}: {warning}" for one in readable for warning in one.warnings]
    n_cut = sum(bool(one.warnings) for one in readable)
    short = [_with_length(one) for one in _shorter_than_usual(readable)]
    silent = [
        f"{one.name}: {one.level_dbfs:.0f} dBFS" for one in readable if one.level_dbfs < SILENT_DBFS
    ]
    clipped = [
        f"{one.name}: {one.full_scale_share:.1%}"
        for one in sorted(readable, key=lambda one: -one.full_scale_share)
        if one.full_scale_share > CLIPPED_SHARE
    ]
    return present(
        listed(
            "unreadable", ERROR, broken, "Clips that cannot be read",
            "Copy them again from where they came from, or take them out.",
        ),
        listed(
            "stubs", ERROR, stubs, "Stubs, files with next to no sound",
            "Take them out. A model that gets them learns the label of an interrupted upload.",
        ),
        Finding(
            "damaged", ERROR, n_cut,
            f"Clips that are damaged or end before their header says: {n_cut}",
            "Listen to them, and copy them again or take them out.", tuple(cut),
        ),
        listed(
            "short", WARNING, short, "Clips cut off, under half as long as most of this corpus",
            "Listen to them. Where a label has many of them, length alone predicts the label.",
        ),
        listed(
            "silent", WARNING, silent,
            f"Silent clips, or nearly so (below {SILENT_DBFS:g} dBFS)",
            "Listen to them: a clip without crying has no reason for crying. Take them out, or let "
            "the detector choose the crying that is learned from.",
        ),
        listed(
            "clipped", INFO, clipped,
            f"Overdriven clips (over {CLIPPED_SHARE:.1%} of the samples at full scale)",
            "Keep them if phones will record like that, but do not measure loudness or pitch on "
            "them. Clipping adds harmonics.",
        ),
    )  # fmt: skip


def about_copies(facts: Sequence[ClipFacts], copies: Sequence[CopyPair]) -> list[Finding]:
    across_labels = [_in_words(pair) for pair in copies if len(set(pair.labels)) > 1]
    across_subjects = [_in_words(pair) for pair in copies if len(set(pair.subjects)) > 1]
    at_home = [
        _in_words(pair)
        for pair in copies
        if len(set(pair.labels)) == len(set(pair.subjects)) == 1 and pair.kind != ALTERED
    ]
    altered = [_in_words(pair) for pair in copies if pair.kind == ALTERED]
    named = [one.name for one in facts if has_generated_name(one.clip.path)]
    return present(
        listed(
            "copies_across_labels", ERROR, across_labels,
            "The same sound under two labels, pairs of clips",
            "One of the labels is wrong. Listen, keep one, or drop both.",
        ),
        listed(
            "copies_across_subjects", ERROR, across_subjects,
            "The same sound under two subjects, pairs of clips",
            "They are one subject, or one of them is a copy. As it is, no split by subject keeps "
            "training and test apart. Take the copy out, or give both one subject.",
        ),
        Finding(
            "generated_copies", WARNING, len(altered) + len(named),
            f"Generated copies: {len(altered)} by their sound (pairs of another speed or pitch), "
            f"{len(named)} by their name",
            "Take them out and make such copies of training clips only, after the split. A copy "
            "on the other side of a split is an answer given away.",
            (*altered, *named),
        ),
        listed(
            "copies", WARNING, at_home,
            "The same sound again, of one subject and label, pairs of clips",
            "Keep one of each. As long as they are there, never split at random.",
        ),
    )  # fmt: skip


def about_names(data: Dataset) -> list[Finding]:
    files = sorted({clip.path for clip in data.clips} | set(data.left_out))
    odd = [str(path) for path in files if _has_odd_name(path)]
    stubs = {path for path in data.left_out if _is_stub(path)}
    others = [
        next((problem for problem in data.problems if f"{path}: " in problem), str(path))
        for path in data.left_out
        if path not in stubs
    ]
    moved: dict[tuple[str, str], list[str]] = defaultdict(list)
    for clip in data.clips:
        named = REASONS.get(clip.columns.get("code", ""), clip.label)
        if named != clip.label and clip.label in REASONS.values():
            moved[named, clip.label].append(str(clip.path))
    n_moved = sum(map(len, moved.values()))
    kinds = ", ".join(f"{len(paths)} {named} in {label}" for (named, label), paths in moved.items())
    return present(
        listed(
            "malformed_names", ERROR, odd,
            "Malformed names (a doubled suffix, a second id or odd characters)",
            "Rename them. Programs that cut names at a fixed place read a wrong subject from them.",
        ),
        listed(
            "left_out", ERROR, others, "Files that the reader left out",
            "Give them names, folders or subjects as the others have, or take them out.",
        ),
        listed(
            "unread_annotations", WARNING, [str(path) for path in data.unread],
            "Annotations beside clips, which are not read: the label of a clip is its folder",
            "If the folders are subjects, nothing here is about your labels: use "
            "'cryvision evaluate', which reads annotations.",
        ),
        Finding(
            "label_against_name", WARNING, n_moved,
            f"Clips with another label than their name says: {n_moved} ({kinds})",
            "Somebody moved them. Find out whether on purpose; here the folder is the label.",
            tuple(path for paths in moved.values() for path in paths),
        ),
    )  # fmt: skip


def _is_stub(path: Path) -> bool:
    try:
        n_bytes = path.stat().st_size
    except OSError:
        return False
    return n_bytes == 0 or is_stub(path, n_bytes)


def _with_length(one: ClipFacts) -> str:
    return f"{one.name}: {one.duration_s:.2f} s"


def _shorter_than_usual(facts: Sequence[ClipFacts]) -> list[ClipFacts]:
    """Clips under half the median, where nine of ten are within a fifth of it."""
    durations = np.array([one.duration_s for one in facts])
    usual = float(np.median(durations))
    if np.mean(np.abs(durations - usual) <= _USUAL_SPREAD * usual) < _USUAL_CLIPS:
        return []
    return [one for one in facts if STUB_SECONDS <= one.duration_s < SHORT_SHARE * usual]


def _has_odd_name(path: Path) -> bool:
    name = donateacry_name(path)
    doubled = path.suffix and path.stem.lower().endswith(path.suffix.lower())
    odd = not path.name.isprintable() or path.name != path.name.strip()
    return bool(doubled or odd or (name is not None and name["second_id"]))


def _in_words(pair: CopyPair) -> str:
    how = "" if pair.kind in (SAME_FILE, SAME_SOUND) else f", similarity {pair.similarity:.2f}"
    if pair.kind == ALTERED:
        how += f", speed {pair.speed:.2f}, {pair.semitones:+.1f} semitones"
    labels = f"; {pair.labels[0]} and {pair.labels[1]}" if len(set(pair.labels)) > 1 else ""
    return f"{pair.first} = {pair.second} ({pair.kind}{how}{labels})"
