"""Parts of the people told by conditions: what is suffered, how they are searched, what chance would give."""
