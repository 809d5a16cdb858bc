"""Programs that read a venue, each by itself or all through one shared connection."""
