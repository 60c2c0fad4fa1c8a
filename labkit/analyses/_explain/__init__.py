"""Attributions: run, tested for faithfulness, withheld where they say nothing, compared."""
