"""How well exported files agree with the bundle, on real recordings, and how fast they run.

    CRYVISION_DATA=... python benchmarks/export_parity.py

Every kind of file in every precision, of the whole bundle: from waveform to probabilities. The
recordings are the cleaned donateacry corpus. CPU time is of one call with one thread, the smallest
of many; a detector with its tagger is called once for the steps that are new.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from report import Demand, finish, parser

from cryvision.bundle import Bundle
from cryvision.errors import CryvisionError
from cryvision.export.deploy import export
from cryvision.export.graph import SILENT_FRAMES, WAVEFORM, build_graph
from cryvision.export.options import PRECISIONS, SUFFIXES
from cryvision.export.report import ExportReport
from cryvision.export.windows import synthetic

CORPUS = "donateacry-corpus/donateacry_corpus_cleaned_and_updated_data"
LARGEST = {"onnx": 1e-4, "litert": 1e-4, "coreml": 1e-3}
FROM_PACKAGE = 1e-3
FLOAT16 = 1e-2
LITERT_FLOAT16_MB = 6.0
REAL_TIME = 1 / 50
SPEED_CALLS = 200


def main() -> int:
    options = parser(__doc__, repeats=SPEED_CALLS).parse_args()
    data = os.environ.get("CRYVISION_DATA")
    if data is None:
        sys.exit("real recordings are found through CRYVISION_DATA, which is not set")
    bundle = Bundle.load(options.bundle)
    part = "all" if any(p.kind != "detector" for p in bundle.parts) else "detector"
    files: dict[str, Any] = {}
    demands: list[Demand] = []
    with tempfile.TemporaryDirectory() as folder:
        for kind, suffix in SUFFIXES.items():
            for precision in PRECISIONS:
                target = Path(folder, f"{precision}{suffix}")
                try:
                    made = export(
                        bundle,
                        target,
                        precision=precision,
                        part=part,
                        representative=Path(data, CORPUS),
                        force=precision == "int8",
                    )
                except CryvisionError as error:
                    files[f"{kind} {precision}"] = {"refused": str(error).replace(folder, "")}
                    continue
                files[f"{kind} {precision}"] = facts(made)
                demands += demanded(made)
        speed, call_s = speeds(bundle, Path(folder), options.repeats)
    demands.append(
        Demand("LiteRT detector, CPU time over real time", speed["litert"] / call_s, REAL_TIME)
    )
    return finish(
        "export_parity", bundle, {"part": part, "files": files, "seconds_a_call": speed}, demands
    )


def facts(made: ExportReport) -> dict[str, Any]:
    """What goes into the JSON of one file."""
    return {"megabytes": made.n_bytes / 1e6, "warnings": list(made.warnings), **made.parity()}


def demanded(made: ExportReport) -> list[Demand]:
    """The numbers that are promised of one file."""
    found = made.proofs[0]
    name = f"{made.kind} {made.precision}"
    probabilities = [n for n in found.max_difference if not n.endswith("_logits")]
    largest = max(found.max_difference[n] for n in probabilities)
    demands = []
    if made.precision == "fp32":
        from_package = max(found.max_difference_from_package[n] for n in probabilities)
        demands = [
            Demand(f"{name}, difference from Keras", largest, LARGEST[made.kind]),
            Demand(f"{name}, difference from the package", from_package, FROM_PACKAGE),
        ]
    elif made.precision == "fp16":
        demands = [Demand(f"{name}, difference from Keras", largest, FLOAT16)]
        if made.kind == "litert":
            demands.append(Demand(f"{name}, megabytes", made.n_bytes / 1e6, LITERT_FLOAT16_MB))
    return demands


def speeds(bundle: Bundle, folder: Path, n_calls: int) -> tuple[dict[str, float], float]:
    """CPU seconds of one call of detector and tagger, with one thread, and what it covers."""
    seconds = {}
    graph = build_graph(bundle, "detector")
    assert graph.frames is not None
    span = {
        WAVEFORM: synthetic(graph.span_samples, 1),
        SILENT_FRAMES: np.zeros((1, 2), np.float32),
    }
    for kind, load in (("onnx", load_onnx), ("litert", load_litert)):
        path = folder / f"detector{SUFFIXES[kind]}"
        export(bundle, path, part="detector")
        run = load(path)
        calls = []
        for _ in range(n_calls):
            start = time.process_time()
            run(**span)
            calls.append(time.process_time() - start)
        seconds[kind] = min(calls)
    return seconds, graph.frames.n_steps * graph.frames.edges.hop_seconds


def load_onnx(path: Path) -> Callable[..., Any]:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    return lambda **inputs: session.run(None, inputs)


def load_litert(path: Path) -> Callable[..., Any]:
    from tensorflow import lite

    return lite.Interpreter(model_path=str(path), num_threads=1).get_signature_runner()


if __name__ == "__main__":
    sys.exit(main())
