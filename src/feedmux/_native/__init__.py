"""Native twins of pure modules, in Cython; each names its specification."""
