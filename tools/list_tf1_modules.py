"""List the modules of TensorFlow 1.15.5, as ``import`` statements name them, in ``rnngraph/tf1/table/modules.txt``.

    python tools/list_tf1_modules.py RECORD [RECORD …]

A RECORD is a wheel (``*.whl``), or the file ``RECORD`` of an installed package: ``tensorflow``, and
``tensorflow_estimator``, which contains ``tensorflow.estimator``. Only names of files are read. In the list, a module
is indented by one space more than its package.
"""

from __future__ import annotations

import sys
import zipfile
from pathlib import Path

TABLE = Path(__file__).parent.parent / "rnngraph" / "tf1" / "table" / "modules.txt"
ROOTS = {
    "tensorflow_core/_api/v1/": "",
    "tensorflow_core/python/keras/api/_v1/keras/": "keras.",
    "tensorflow_estimator/python/estimator/api/_v1/estimator/": "estimator.",
}
"""Folders whose modules ``tensorflow/__init__.py`` also exports under names without the folder."""


def files_of(record: Path) -> list[str]:
    """Return the paths of all files in a wheel, or in the file ``RECORD`` of an installed package."""
    if record.suffix == ".whl":
        with zipfile.ZipFile(record) as wheel:
            return [name.split(".data/purelib/")[-1] for name in wheel.namelist()]
    return [line.split(",")[0] for line in record.read_text().splitlines()]


def modules_of(file: str) -> list[str]:
    """Return the module paths, without ``tensorflow``, under which a file can be imported."""
    if not file.endswith(".py"):
        return []
    stem = file.removesuffix(".py").removesuffix("__init__")
    paths = [start + stem.removeprefix(root) for root, start in ROOTS.items() if stem.startswith(root)]
    if stem.startswith("tensorflow_core/"):
        paths.append(stem.removeprefix("tensorflow_core/"))
    return [path.replace("/", ".").strip(".") for path in paths]


def with_packages(paths: set[str]) -> set[str]:
    """Return module paths, and the paths of all packages that contain them."""
    return {".".join(path.split(".")[:length]) for path in paths for length in range(1, path.count(".") + 2)}


def main(arguments: list[str]) -> None:
    """Write the list of modules from the RECORDs that ``arguments`` name."""
    modules = {path for record in arguments for file in files_of(Path(record)) for path in modules_of(file)}
    paths = sorted(path.split(".") for path in with_packages(modules - {""}))
    TABLE.write_text("".join(" " * (len(path) - 1) + path[-1] + "\n" for path in paths))
    print(f"{len(paths)} modules")


if __name__ == "__main__":
    main(sys.argv[1:])
