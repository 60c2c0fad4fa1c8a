"""Cues that could stand in for understanding: how they are read, exchanged, and weighed."""
