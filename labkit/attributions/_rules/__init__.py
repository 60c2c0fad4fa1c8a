"""How relevance passes each torch function: the rules of layer-wise relevance propagation, one kind a file."""
