"""Faults that real users bring, each beside its sound twin."""
