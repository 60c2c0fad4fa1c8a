"""Trained reference models by name."""
