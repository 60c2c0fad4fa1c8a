"""Analyses: model + data + method -> one record. The analysis guards, the leaf computes."""
