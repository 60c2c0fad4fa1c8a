"""Architectures of the reference models: one class a file, named like the file."""
