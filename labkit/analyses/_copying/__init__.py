"""Samples beside the rows that a model was trained on and rows that it was not: what is nearest, and whether by chance."""
