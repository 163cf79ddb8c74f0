"""The generated modules and the schema are copied in when the wheel is built: each exists once in the repository."""

import re
import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

HERE = Path(__file__).resolve().parent
PACKAGE = HERE.parent / "wsadapter"
COPIED = (PACKAGE / "pb/market_pb2.py", PACKAGE / "pb/market_pb2.pyi", HERE / "wsadapter/v1/market.proto")
VERSION = re.search(r'__version__[^=]*= "([^"]+)"', (PACKAGE / "__init__.py").read_text())


class Build(build_py):
    def run(self) -> None:
        super().run()
        target = Path(self.build_lib) / "wsadapter_messages"
        for source in COPIED:
            shutil.copyfile(source, target / source.name)


assert VERSION is not None
setup(version=VERSION[1], cmdclass={"build_py": Build}, package_data={"wsadapter_messages": ["py.typed"]})
