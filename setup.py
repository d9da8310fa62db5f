"""Builds the library for LD_PRELOAD; all else about the package is in pyproject.toml."""

from __future__ import annotations

from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

SOURCES = Path("ovsdp_cuse/shim/src")
INCLUDE = Path("ovsdp_cuse/include")
LIBRARY = "ovsdp_cuse.shim.libovsdp_shim"
FLAGS = (
    "-std=gnu11",
    "-D_GNU_SOURCE",
    "-Wall",
    "-Wextra",
    "-Werror",
    "-fvisibility=hidden",
    "-fexceptions",  # a thread that is cancelled runs its cleanups
    # These make other functions of those that are defined here.
    "-U_FORTIFY_SOURCE",
    "-U_FILE_OFFSET_BITS",
)


class BuildLibrary(build_ext):
    """The library is no module of Python's: its name does not say for which Python it is."""

    def get_ext_filename(self, fullname: str) -> str:
        """Path of an extension below the directory that is built."""
        return str(Path(*fullname.split(".")).with_suffix(".so"))


setup(
    cmdclass={"build_ext": BuildLibrary},
    ext_modules=[
        Extension(
            LIBRARY,
            sources=sorted(map(str, SOURCES.glob("*.c"))),
            depends=[*sorted(map(str, SOURCES.glob("*.h"))), str(INCLUDE / "ovs_datapath.h")],
            include_dirs=[str(INCLUDE)],
            extra_compile_args=list(FLAGS),
            extra_link_args=["-Wl,-z,defs"],
        )
    ],
)
