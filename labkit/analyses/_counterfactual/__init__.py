"""The search for counterfactuals: what may change in each kind of data, the search itself, and what is told of its finds."""
