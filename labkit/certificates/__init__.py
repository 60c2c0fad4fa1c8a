"""Certificates: proven bounds from below on how far a row may change before its answer does. One method a file."""
