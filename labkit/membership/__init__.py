"""Membership: was this row trained on? One score a file, higher for rows that look more like members.

``(logits | label, y[, shadow, inside][, population], *, tunables) -> (n,)``. ``logits`` (n, classes) and ``label`` (n,) are
what the audited model answers, ``y`` (n,) the labels that it would have been trained with. ``shadow`` (models, n, classes)
are logits of models that an outsider trains on rows of the same kind, and ``inside`` (models, n) says which of them saw
which row. ``population`` holds the same of rows that no model saw.
"""
