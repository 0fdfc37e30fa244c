"""Crying in a stream, with an exported ONNX file and onnxruntime: on a server, on a Raspberry Pi.

cryvision export --out cry.onnx
ffmpeg -i demo.mp4 -f f32le -ac 1 -ar 16000 - | python stream_onnx.py cry.onnx
arecord -t raw -f FLOAT_LE -c 1 -r 16000 | python stream_onnx.py cry.onnx
"""

from __future__ import annotations

import sys

import numpy as np
import onnxruntime
from cry_stream import follow


def main(model: str) -> int:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1  # the model is small: more threads only wait for each other
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]

    def run(inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        return dict(zip(names, session.run(names, inputs), strict=True))

    return follow(run, model, sys.stdin.buffer)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
