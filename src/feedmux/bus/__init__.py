"""Four ways to carry an envelope, one contract."""
