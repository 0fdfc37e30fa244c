"""The unit for systemd and the image: what they start is a command that there is."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from cryvision.cli import build_parser

EXAMPLES = Path(__file__).parents[2] / "examples"
UNIT = EXAMPLES / "cryvision-live.service"
IMAGE = EXAMPLES / "Dockerfile"


def test_the_unit_starts_live_with_a_configuration() -> None:
    (start,) = re.findall(r"^ExecStart=(.*)$", UNIT.read_text(), re.M)
    program, *arguments = shlex.split(start)
    assert program.endswith("/cryvision")
    options = build_parser().parse_args(arguments)
    assert (options.config, options.json) == ("/etc/cryvision/live.toml", True)


def test_the_image_starts_live_with_a_configuration() -> None:
    text = IMAGE.read_text()
    (entry,) = re.findall(r"^ENTRYPOINT (\[.*\])$", text, re.M)
    (arguments,) = re.findall(r"^CMD (\[.*\])$", text, re.M)
    program, *first = json.loads(entry)
    assert program == "cryvision"
    options = build_parser().parse_args([*first, *json.loads(arguments)])
    assert options.config == "/etc/cryvision/live.toml"
    assert "USER cryvision" in text


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed")
def test_systemd_finds_no_fault_in_the_unit_but_that_the_program_is_missing() -> None:
    done = subprocess.run(
        ["systemd-analyze", "verify", UNIT], capture_output=True, text=True, timeout=60
    )
    faults = [line for line in done.stderr.splitlines() if UNIT.name in line]
    assert all("is not executable" in line for line in faults)
