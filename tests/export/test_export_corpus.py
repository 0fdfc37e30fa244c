"""Trained models on real recordings: the numbers that are promised of an export."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest

from cryvision.bundle import Bundle
from cryvision.config import SAMPLE_RATE_HZ
from cryvision.errors import BundleError
from cryvision.export.deploy import export
from cryvision.export.graph import build_graph
from cryvision.export.windows import synthetic

DONATEACRY = "donateacry-corpus/donateacry_corpus_cleaned_and_updated_data"

REAL_WINDOWS = 200
FLOAT16 = 1e-2
DETECTOR_AND_REASON_MB = 6.0
TIMES_REAL_TIME = 50.0


@pytest.fixture(scope="module")
def default() -> Bundle:
    try:
        return Bundle.load()
    except BundleError as error:
        pytest.skip(f"the default bundle is not in this checkout: {error}")


@pytest.mark.corpus
@pytest.mark.slow
def test_float16_gives_the_same_labels_on_real_windows(
    default: Bundle, corpus: Path, tmp_path: Path
) -> None:
    report = export(
        default, tmp_path / "cry.tflite", precision="fp16", representative=corpus / DONATEACRY
    )
    found = report.proofs[0]
    assert found.n_real >= REAL_WINDOWS
    scores = found.max_difference.keys() & {"cry", "cry_edges", "tags", "probabilities"}
    assert max(found.max_difference[n] for n in scores) <= FLOAT16
    assert report.n_bytes <= DETECTOR_AND_REASON_MB * 1e6


@pytest.mark.slow
def test_a_litert_detector_keeps_up_with_fifty_streams_on_one_core(
    default: Bundle, tmp_path: Path
) -> None:
    from tensorflow import lite

    path = export(default, tmp_path / "cry.tflite", part="detector").path
    run = lite.Interpreter(model_path=str(path), num_threads=1).get_signature_runner()
    graph = build_graph(default, "detector")
    inputs = {"waveform": synthetic(graph.span_samples, 1)}
    hop_seconds = next((config.hop_seconds for config in graph.sounds.values()), 0.0)
    if graph.frames is not None:
        inputs["silent_frames"] = np.zeros((1, 2), np.float32)
        hop_seconds = graph.frames.call_frames * graph.frames.edges.frame_samples / SAMPLE_RATE_HZ
    seconds = []
    for _ in range(30):
        start = time.process_time()
        run(**inputs)
        seconds.append(time.process_time() - start)
    assert hop_seconds / min(seconds) >= TIMES_REAL_TIME
