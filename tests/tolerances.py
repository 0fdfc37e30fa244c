"""How far what must be the same may differ."""

RUNTIME_TOLERANCE = 1e-4
"""What a bundle allows between Keras and ONNX."""

PIECES_TOLERANCE = 1e-5
"""What the design allows the scores of pieces of other sizes."""
