"""The measurements of the project: ``python -m bench`` from the root of the repository."""
