"""Patterns that find the subject of a recording in its path."""

from __future__ import annotations

import re

from cryvision.errors import ConfigError


def compile_subject_pattern(text: str | None) -> re.Pattern[str] | None:
    if text is None:
        return None
    try:
        pattern = re.compile(text)
    except re.error as error:
        raise ConfigError(
            f"the subject pattern must be a regular expression: {error}: {text!r}"
        ) from error
    if pattern.groups < 1:
        raise ConfigError(f"the subject pattern must have a group for the subject; got {text!r}")
    return pattern
