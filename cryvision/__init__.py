"""Find the crying in video and sound of infants.

``import cryvision`` loads the standard library only; each public name loads what it needs when
it is first used.
"""

from __future__ import annotations

import os
import sys
import warnings
from typing import TYPE_CHECKING, Any

# onnxruntime 1.29 and later report to their maker unless this is set before they are imported.
# Child processes inherit it.
if os.environ.get("ORT_DISABLE_TELEMETRY") != "1":
    if "onnxruntime" in sys.modules:
        warnings.warn(
            "onnxruntime was imported before cryvision, which could not switch off its telemetry: "
            "set ORT_DISABLE_TELEMETRY=1 before onnxruntime is imported",
            RuntimeWarning,
            stacklevel=2,
        )
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"

__version__ = "0.1.0"

_PUBLIC = {
    "Audit": "cryvision.auditing.audit",
    "Bundle": "cryvision.bundle.bundle",
    "Classification": "cryvision.result",
    "CryvisionError": "cryvision.errors",
    "Event": "cryvision.result",
    "StreamClassifier": "cryvision.inference.classifier",
    "audit": "cryvision.auditing.audit",
    "classify": "cryvision.inference.clip",
    "evaluate": "cryvision.evaluation.evaluate",
    "export": "cryvision.export",
    "score": "cryvision.batch.run",
    "train": "cryvision.training.train",
    "train_arrays": "cryvision.training.train",
    "train_audio_only": "cryvision.training.train",
    "train_detector": "cryvision.detector_training.train",
}

__all__ = [
    "Audit",
    "Bundle",
    "Classification",
    "CryvisionError",
    "Event",
    "StreamClassifier",
    "__version__",
    "audit",
    "classify",
    "evaluate",
    "export",
    "score",
    "train",
    "train_arrays",
    "train_audio_only",
    "train_detector",
]

if TYPE_CHECKING:
    from cryvision.auditing.audit import Audit, audit
    from cryvision.batch.run import score
    from cryvision.bundle import Bundle
    from cryvision.detector_training.train import train_detector
    from cryvision.errors import CryvisionError
    from cryvision.evaluation.evaluate import evaluate
    from cryvision.export.deploy import export
    from cryvision.inference.classifier import StreamClassifier
    from cryvision.inference.clip import classify
    from cryvision.result import Classification, Event
    from cryvision.training.train import train, train_arrays, train_audio_only


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module 'cryvision' has no attribute {name!r}")
    from importlib import import_module

    module = import_module(_PUBLIC[name])
    return getattr(module, name, module)  # the package export is itself callable


def __dir__() -> list[str]:
    return sorted({*globals(), *_PUBLIC})
