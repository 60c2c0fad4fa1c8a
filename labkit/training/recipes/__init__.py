"""Recipes: everything that makes one reference model, one a file."""
