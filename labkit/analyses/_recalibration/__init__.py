"""Recalibration: how each map is fitted, and what is stated of it."""
