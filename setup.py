"""Build the Cython extensions; everything else is declared in pyproject.toml.

Each ``_native/<name>.pyx`` is an extension. The C files of a folder of its name are compiled into it. The
client in C++ lies outside of the package and is installed within it.
"""

import shutil
from pathlib import Path

from Cython.Build import cythonize
from setuptools import Extension, setup
from setuptools.command.build_py import build_py

NATIVE = Path("src/feedmux/_native")
CPP = (Path("include"), Path("cmake"))


class BuildPy(build_py):
    """Takes the client in C++ along, if it is there; an editable installation finds it where it is."""

    def run(self) -> None:
        """Build the modules, then copy it."""
        super().run()
        for folder in CPP:
            if folder.is_dir() and not self.editable_mode:
                shutil.copytree(folder, Path(self.build_lib) / "feedmux" / folder, dirs_exist_ok=True)


def extension(source: Path) -> Extension:
    """The extension of one ``.pyx`` file and its folder, if it has one."""
    folder = source.with_suffix("")
    return Extension(
        f"feedmux._native.{source.stem}",
        [str(source), *(str(file) for file in sorted(folder.glob("*.c")))],
        include_dirs=[str(folder)] if folder.is_dir() else [],
        depends=[str(file) for file in sorted(folder.glob("*.h"))],
        define_macros=[("_GNU_SOURCE", "1")],
        extra_compile_args=["-O3", "-std=c11"],
    )


setup(
    cmdclass={"build_py": BuildPy},
    ext_modules=cythonize([extension(source) for source in sorted(NATIVE.glob("*.pyx"))], language_level=3),
    include_package_data=False,  # a wheel has the extensions, not their sources
)
