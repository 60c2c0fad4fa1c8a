"""Rows unlike those a model knows: how they are made, scored and told apart."""
