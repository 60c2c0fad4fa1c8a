"""Natural shifts: what happens to inputs with nobody meaning harm, in five severities, one a file.

A corruption needs no torch. The return annotation says for which data it is, and then of which family:
``Annotated[np.ndarray, "image", "noise"]``, ``Annotated[np.ndarray, "audio", "series", "signal"]``.
"""
