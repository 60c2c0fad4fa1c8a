"""Ways in which test data may already be in the training data, one file a kind."""
