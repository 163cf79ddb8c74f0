"""The optional C extension; everything else of the build is in pyproject.toml."""

import runpy
from pathlib import Path

from setuptools import Extension, setup

NATIVE = Path("wsadapter/native")
FINGERPRINT = runpy.run_path(str(NATIVE / "fingerprint.py"))["fingerprint"](NATIVE)

setup(
    ext_modules=[
        Extension(
            "wsadapter.native._native",
            sources=sorted(map(str, NATIVE.glob("*.c"))),
            depends=sorted(map(str, NATIVE.glob("*.h"))),
            define_macros=[("WSADAPTER_FINGERPRINT", f'"{FINGERPRINT}"')],
            libraries=["dl"],
            extra_compile_args=["-O2", "-fvisibility=hidden"],
            optional=True,  # without a C compiler the twins in Python do the work
        )
    ],
    options={"build_ext": {"force": True}},  # the fingerprint is of all sources: it is in no single file's date
)
