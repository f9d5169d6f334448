"""The source distribution, for setup.py: what goes into it, and that it is reproducible.

With ``SOURCE_DATE_EPOCH`` set, the same sources give the same bytes (as they do for the wheel).
"""

import functools
import gzip
import os
import tarfile
import time
from pathlib import Path

import setuptools
from setuptools.command.sdist import sdist

#: What is needed to test, beside what is needed to build.
FOLDERS = ("docs", "examples", "tests", ".ci")


class Sdist(sdist):
    def make_release_tree(self, base_dir, files):
        more = [
            str(path)
            for folder in FOLDERS
            for path in sorted(Path(folder).rglob("*"))
            if path.is_file() and not {"__pycache__", "_build"} & set(path.parts)
        ]
        more += [".gitignore", ".readthedocs.yaml"]
        super().make_release_tree(base_dir, sorted({*files, *more}))

    def make_archive(self, base_name, format, root_dir=None, base_dir=None, **options):
        if format != "gztar":
            return super().make_archive(base_name, format, root_dir, base_dir, **options)
        epoch = int(os.environ.get("SOURCE_DATE_EPOCH", time.time()))

        def anonymous(entry):
            entry.uid = entry.gid = 0
            entry.uname = entry.gname = ""
            entry.mtime = epoch
            entry.mode = 0o755 if entry.isdir() or entry.mode & 0o100 else 0o644
            return entry

        name = f"{base_name}.tar.gz"
        with open(name, "wb") as file, gzip.GzipFile("", "wb", 9, file, epoch) as packed:
            with tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as tar:
                for path in sorted([base_dir, *map(str, Path(base_dir).rglob("*"))]):
                    tar.add(path, recursive=False, filter=anonymous)
        return name


setup = functools.partial(setuptools.setup, cmdclass={"sdist": Sdist})
