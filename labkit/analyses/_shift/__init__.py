"""What makes two parts of data unlike: single features, all together, classes."""
