"""The parts of a flip test: what is exchanged in tables and in texts, and what is exchanged for comparison."""
