"""The loss as a function of a model's weights: at many of them at once, and how it bends."""
