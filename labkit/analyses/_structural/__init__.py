"""Structural equations under a stated graph: the graph, and what each column would be in another world."""
