"""Single functions, in this process."""
