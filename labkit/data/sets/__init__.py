"""Data sets by name: one loader a file, a function of that name that returns a Dataset."""
