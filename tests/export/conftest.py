"""A toy bundle and its exports, made once."""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile
import toys
from bundles import made_once

from cryvision.bundle import Bundle
from cryvision.export import windows
from cryvision.export.deploy import export
from cryvision.export.graph import Graph, build_graph
from cryvision.export.options import SUFFIXES
from cryvision.export.report import ExportReport

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

REPORT = "report.pickle"
"""Lies beside an export that several tests look at."""


@pytest.fixture(scope="session")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """A detector, two branches and their ensemble, untrained; all three labels are predicted."""
    return Bundle.load(made_once(tmp_path_factory, "toy", toys.make_bundle))


def _exports(bundle: Bundle, places: pytest.TempPathFactory, name: str) -> toys.Exported:
    """Export each kind and part once in a run of tests, by whichever worker needs it first."""

    def give(kind: str, part: str = "all") -> ExportReport:
        if kind == "coreml":
            pytest.importorskip("coremltools", reason="coremltools has no wheel here")

        def make(folder: Path) -> None:
            with toys.few_cases():
                report = export(bundle, folder / f"toy{SUFFIXES[kind]}", part=part)
            (folder / REPORT).write_bytes(pickle.dumps(report))

        folder = made_once(places, f"{name}-{kind}-{part}", make)
        report: ExportReport = pickle.loads((folder / REPORT).read_bytes())
        return report

    return give


@pytest.fixture(scope="session")
def exported(toy: Bundle, tmp_path_factory: pytest.TempPathFactory) -> toys.Exported:
    """Return ``exported(kind, part="all") -> ExportReport`` in the precision by default."""
    return _exports(toy, tmp_path_factory, "exported")


@pytest.fixture(scope="session")
def frame_exported(frame_toy: Bundle, tmp_path_factory: pytest.TempPathFactory) -> toys.Exported:
    """As ``exported``, of the toy of edges, tagger and branch."""
    return _exports(frame_toy, tmp_path_factory, "frame-exported")


@pytest.fixture(scope="session")
def graph_of() -> Callable[[Bundle, str], Graph]:
    """Return ``graph_of(bundle, choice) -> Graph``, built once; tests must not change it."""
    built: dict[tuple[str, str], Graph] = {}

    def give(bundle: Bundle, choice: str) -> Graph:
        if (bundle.sha256, choice) not in built:
            built[bundle.sha256, choice] = build_graph(bundle, choice)
        return built[bundle.sha256, choice]

    return give


@pytest.fixture
def few_windows() -> Iterator[None]:
    """As `toys.few_cases`, for a test."""
    with toys.few_cases():
        yield


@pytest.fixture(scope="session")
def frame_toy(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """Edges, a tagger and a branch, untrained; steps are cry and not, most tags are heard."""
    return Bundle.load(made_once(tmp_path_factory, "frame-toy", toys.make_frame_bundle))


@pytest.fixture(scope="session")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with 24 s of synthetic sound in two files, and a file that is none."""
    folder = tmp_path_factory.mktemp("recordings")
    spans = windows.synthetic(16_000, 24, seed=9)
    for name, part in (("a", spans[:12]), ("b", spans[12:])):
        soundfile.write(folder / f"{name}.wav", np.clip(part.ravel(), -1, 1), 16_000)
    (folder / "broken.wav").write_bytes(b"not sound")
    (folder / "notes.txt").write_text("for people")
    return folder
