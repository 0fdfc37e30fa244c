"""Generated intervals, as coders make them: some overlap, some touch, and labels hold anything."""

from __future__ import annotations

from hypothesis import strategies as st

from cryvision.annotations import Interval

DAY_S = 86_400.0
SHORTEST_S = 0.001
"""Editors' units: nothing shorter can be drawn."""

LABELS = st.text("abXZ 09é日&\"'=-+@,;", min_size=1, max_size=12).map(
    lambda text: "x" + " ".join(text.split())
) | st.sampled_from(["cry", "=cry", "-", "+1", "@home", "baby cry"])

TIERS = st.sampled_from(["", "cry", "coder 2"])


@st.composite
def one_interval(draw: st.DrawFn) -> Interval:
    """Draw an interval of a day; a half of them in its first seconds, where they overlap."""
    start_s = draw(st.floats(0, 5) | st.floats(0, DAY_S))
    length_s = draw(st.floats(SHORTEST_S, 2) | st.floats(SHORTEST_S, 600))
    return Interval(start_s, start_s + length_s, draw(LABELS), draw(TIERS))


def interval_lists() -> st.SearchStrategy[list[Interval]]:
    """Draw the labels of a clip."""
    return st.lists(one_interval(), max_size=12)
