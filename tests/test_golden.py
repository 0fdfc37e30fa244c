"""Results stay what they were, unless a commit says why they change."""

from __future__ import annotations

import json
from typing import Any

import pytest
from golden import GOLDEN, N_CLIPS, outcome

TOLERANCE = 1e-5
"""Another processor, or another version of ONNX Runtime, rounds otherwise."""


def flat(value: Any, name: str = "") -> dict[str, Any]:
    """Give the leaves of nested lists and objects by their place."""
    if isinstance(value, dict | list):
        items = value.items() if isinstance(value, dict) else enumerate(value)
        return {k: v for key, one in items for k, v in flat(one, f"{name}/{key}").items()}
    return {name: value}


@pytest.mark.parametrize("seed", range(N_CLIPS))
def test_a_drawn_clip_gives_what_it_gave(seed: int) -> None:
    expected = flat(json.loads(GOLDEN.read_text(encoding="utf-8"))[seed])
    found = flat(outcome(seed))
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        assert found[name] == (
            value if isinstance(value, str) else pytest.approx(value, abs=TOLERANCE)
        ), name
