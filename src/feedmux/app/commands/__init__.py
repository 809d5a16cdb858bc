"""One module per command; what a long one is made of stands beside it."""
