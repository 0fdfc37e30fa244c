"""Crying in a stream, with an exported LiteRT file: on a Raspberry Pi or another small computer.

    cryvision export --out cry.tflite --precision fp16
    ffmpeg -i demo.mp4 -f f32le -ac 1 -ar 16000 - | python stream_litert.py cry.tflite
    arecord -t raw -f FLOAT_LE -c 1 -r 16000 | python stream_litert.py cry.tflite

The interpreter comes with the package ai-edge-litert; where it is not there, TensorFlow's is used.
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
from cry_stream import follow


def load(model: str) -> Any:
    try:
        from ai_edge_litert.interpreter import Interpreter
    except ImportError:
        from tensorflow import lite

        Interpreter = lite.Interpreter
    return Interpreter(model_path=model, num_threads=1)


def main(model: str) -> int:
    signature = load(model).get_signature_runner("serving_default")

    def run(inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        return signature(**inputs)

    return follow(run, model, sys.stdin.buffer)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
