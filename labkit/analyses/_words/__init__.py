"""Vectors of words, and which words they bring together."""
