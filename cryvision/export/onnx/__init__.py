"""ONNX files: of a part as it is saved, and from the waveform on."""
