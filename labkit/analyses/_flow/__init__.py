"""Gradients of examples' losses: at layers' outputs, at steps of the input, and with respect to weights."""
