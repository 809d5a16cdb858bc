"""``feedmux share``: start a broker quickly, and ask one."""
