"""Metrics: ``(y_true[, y_pred, y_proba, weight]) -> float``, one a file."""
