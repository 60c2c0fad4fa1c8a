"""Attributions: ``(model, x, target[, baseline, generator], *, tunables) -> like x``, one method a file."""
