"""Attacks: ``(model, x, y[, eps, norm, generator], *, tunables) -> perturbed, like x``, one method a file."""
