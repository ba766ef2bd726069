"""Tests of gates as ONNX files."""
