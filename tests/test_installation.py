"""The tests run the installed package: the built wheel, which contains every file and one version number."""

from __future__ import annotations

import hashlib
import importlib.metadata
import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest
from installation import NAME, ROOT, editable, files, is_installed, package

import rnngraph as rg

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
LOCATE = "import pathlib, rnngraph; print(pathlib.Path(rnngraph.__file__).resolve().parent)"
needs_installation = pytest.mark.skipif(not is_installed(), reason="the package is on the path and not installed")


@needs_installation
def test_the_installed_package_is_tested() -> None:
    """Tests import the installed package, not the checkout in which pytest starts, unless it is editable."""
    installed = Path(str(importlib.metadata.distribution(NAME).locate_file(NAME))).resolve()
    assert package() == (ROOT / NAME if editable() else installed)


@pytest.mark.parametrize("words", [("-c", LOCATE), ("locate.py",), ("-m", "locate")], ids=["text", "script", "module"])
def test_processes_that_tests_start_import_the_same_package(words: tuple[str, ...], tmp_path: Path) -> None:
    (tmp_path / "locate.py").write_text(LOCATE)
    folder = tmp_path if words[-1] != LOCATE else None  # most tests start processes in the current folder
    done = subprocess.run([sys.executable, *words], cwd=folder, check=True, capture_output=True, text=True)
    assert Path(done.stdout.strip()) == package()


def test_every_file_of_the_checkout_is_installed() -> None:
    """If this test fails after an edit, install the package again."""
    here, there = files(ROOT / NAME), files(package())
    assert "py.typed" in here
    assert there.keys() == here.keys()
    assert [name for name in here if there[name] != here[name]] == []


def build(target: str, source: Path, folder: Path) -> Path:
    """Return the archive that the build backend makes of a source tree, without a network."""
    command = [sys.executable, "-m", "hatchling", "build", "-t", target, "-d", str(folder)]
    subprocess.run(command, cwd=source, check=True, capture_output=True, timeout=120)
    (wheel,) = folder.iterdir()
    return wheel


def test_the_source_archive_makes_the_same_wheel(tmp_path: Path) -> None:
    """The wheel of the source archive equals that of the checkout. Builds run in copies, where they leave files."""
    (tmp_path / "copy").mkdir()
    shutil.copytree(ROOT / NAME, tmp_path / "copy" / NAME, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", PROJECT["project"]["readme"], *PROJECT["project"]["license-files"], ".gitignore"):
        shutil.copy(ROOT / name, tmp_path / "copy" / name)
    archive = build("sdist", tmp_path / "copy", tmp_path / "sdist")
    with tarfile.open(archive) as opened:
        opened.extractall(tmp_path / "unpacked", filter="data")
    (unpacked,) = (tmp_path / "unpacked").iterdir()
    wheels = [
        zipfile.ZipFile(build("wheel", source, tmp_path / f"wheel{number}"))
        for number, source in enumerate((tmp_path / "copy", unpacked))
    ]
    contents = [{name: wheel.read(name) for name in wheel.namelist()} for wheel in wheels]
    assert contents[0] == contents[1]
    code = {name.removeprefix(f"{NAME}/"): data for name, data in contents[0].items() if ".dist-info/" not in name}
    assert code == files(ROOT / NAME)


@needs_installation
def test_one_file_defines_the_version() -> None:
    assert PROJECT["project"]["dynamic"] == ["version"]
    assert "version" not in PROJECT["project"]
    assert importlib.metadata.version(NAME) == rg.__version__  # after an edit, install again if this fails
    saying = re.compile(r"""version\w*\s*=\s*["']\d+\.\d+""", re.IGNORECASE)
    said = [path for path in (ROOT / NAME).rglob("*.py") if saying.search(path.read_text())]
    assert [path.relative_to(ROOT).as_posix() for path in said] == [PROJECT["tool"]["hatch"]["version"]["path"]]


def test_the_pages_have_the_version() -> None:
    """The change log has a section for the version, and the README names its first two numbers."""
    assert f"\n## [{rg.__version__}]\n" in (ROOT / "CHANGELOG.md").read_text()
    assert f"Version {rg.__version__.rpartition('.')[0]}," in (ROOT / "README.md").read_text()


KINDS = {".c", ".css", ".html", ".in", ".js", ".json", ".py", ".pyi", ".txt", ".typed"}
"""Suffixes of all installed files."""


def test_users_install_code_texts_and_templates_only() -> None:
    names = [*files(ROOT / NAME)]
    assert {Path(name).suffix for name in names} == KINDS
    assert not [name for name in names if re.search(r"(^|/)(tests/|\.|conftest)", name)]


def test_the_recipe_for_conda_has_the_projects_metadata(tmp_path: Path) -> None:
    """If rattler-build is installed, it validates the recipe."""
    sys.path.insert(0, str(ROOT / "tools"))
    try:
        from conda_recipe import recipe
    finally:
        sys.path.pop(0)
    archive = tmp_path / f"{NAME}-1.2.3.tar.gz"
    archive.write_bytes(b"an archive")
    text = recipe(archive)
    assert 'version: "1.2.3"' in text
    assert hashlib.sha256(b"an archive").hexdigest() in text
    for requirement in PROJECT["project"]["dependencies"]:
        assert f"    - {requirement.replace('>=', ' >=')}\n" in text
    rattler = pytest.importorskip("rattler_build", reason="rattler-build is not installed")
    (variant,) = rattler.Stage0Recipe.from_yaml(text).render()
    assert (variant.recipe.package.name, str(variant.recipe.package.version)) == (NAME, "1.2.3")
