"""Build the Cython extensions; everything else is declared in pyproject.toml."""

from pathlib import Path

from Cython.Build import cythonize
from setuptools import Extension, setup

SOURCES = sorted(Path("src/feedmux/_native").glob("*.pyx"))

setup(
    ext_modules=cythonize(
        [
            Extension(f"feedmux._native.{source.stem}", [str(source)], extra_compile_args=["-O3", "-std=c11"])
            for source in SOURCES
        ],
        language_level=3,
    )
)
