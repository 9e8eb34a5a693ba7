"""Metrics as pure NumPy functions: arrays in, fractions out; nothing here reads a file."""
