"""The parts of membership inference: which rows, a guess without the model, models of an outsider's own, the verdict."""
