"""Everything that dials out; installable alone."""
