"""Attacks, guarded: what may change (threats), on what ground, one call (strike), several (campaign), and their proof."""
