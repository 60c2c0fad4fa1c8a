"""Learning curves: models trained at each point, the noise of seeds and rows, and the law that the errors follow."""
