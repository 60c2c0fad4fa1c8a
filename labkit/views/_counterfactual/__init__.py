"""How counterfactuals of each kind of data look."""
