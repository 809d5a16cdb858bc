"""What is compiled, in Cython and C; a native twin of a pure module names its specification."""
