"""Models that answer the same rows: whether they do, and their metrics together."""
