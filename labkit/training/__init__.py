"""Training: one visible loop, and a recipe for each reference model."""
