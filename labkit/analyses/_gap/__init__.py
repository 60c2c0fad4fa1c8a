"""The parts of a generalization gap: what each side scores, and what could make the comparison lie."""
