"""Write the recipe of a release for conda-forge: ``conda_recipe.py dist/rnngraph-0.2.0.tar.gz > recipe.yaml``.

All fields of the recipe come from pyproject.toml and from the archive.
"""

from __future__ import annotations

import argparse
import hashlib
import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

_RECIPE = """\
# yaml-language-server: $schema=https://raw.githubusercontent.com/prefix-dev/recipe-format/main/schema.json
schema_version: 1

context:
  version: "{version}"
  python_min: "{python}"

package:
  name: {name}
  version: ${{{{ version }}}}

source:
  url: https://pypi.org/packages/source/{first}/{name}/{name}-${{{{ version }}}}.tar.gz
  sha256: {digest}

build:
  number: 0
  noarch: python
  script: ${{{{ PYTHON }}}} -m pip install . -vv --no-deps --no-build-isolation
  python:
    entry_points:
{entries}

requirements:
  host:
    - python ${{{{ python_min }}}}.*
    - pip
{host}
  run:
    - python >=${{{{ python_min }}}}
{run}

tests:
  - python:
      imports:
        - {name}
      pip_check: true
      python_version: ${{{{ python_min }}}}.*
  - script:
      - {name} --version

about:
  summary: {summary}
  license: {license}
  license_file: {license_file}
"""


def _lines(entries: list[str], indent: int) -> str:
    return "\n".join(f"{' ' * indent}- {entry}" for entry in entries)


def _requirement(text: str) -> str:
    """Convert a requirement from pip's form to conda's: the name, a space and the versions."""
    name, versions = re.fullmatch(r"([\w.-]+)(.*)", text.replace(" ", "")).groups()  # type: ignore[union-attr]
    return f"{name.lower()} {versions}".strip()


def recipe(archive: Path) -> str:
    """Return the recipe that builds a conda package from a source archive."""
    whole = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    project = whole["project"]
    name = project["name"]
    version = archive.name.removeprefix(f"{name}-").removesuffix(".tar.gz")
    entries = [f"{command} = {target}" for command, target in project["scripts"].items()]
    return _RECIPE.format(
        version=version,
        python=project["requires-python"].removeprefix(">="),
        name=name,
        first=name[0],
        digest=hashlib.sha256(archive.read_bytes()).hexdigest(),
        entries=_lines(entries, 6),
        host=_lines([*map(_requirement, whole["build-system"]["requires"])], 4),
        run=_lines([*map(_requirement, project["dependencies"])], 4),
        summary=project["description"].replace(";", ","),
        license=project["license"],
        license_file=project["license-files"][0],
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Write the recipe of a release for conda-forge.")
    parser.add_argument("archive", type=Path, help="the source archive of the release")
    print(recipe(parser.parse_args().archive), end="")
