"""Controls made from signatures, and the panels that use them."""
