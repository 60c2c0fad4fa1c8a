"""From a plan to evidence that a second person can verify."""
