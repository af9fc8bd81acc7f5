"""ONNX files. ``writing`` makes them of programs: ``write_onnx`` is its door."""
