"""Run a folder of TensorFlow 1.x scripts under ``rnngraph run --tf1``, and print which of them finish.

    python tools/run_tf1_programs.py FOLDER [--expected FILE] [--seconds 600]

Every ``*.py`` of the folder whose name does not begin with ``_`` runs in a temporary copy of the folder, so its output
files are deleted. Each line of FILE has the name of a script that must finish. Texts that the script must print may
follow, in order, each after a tab. The exit code is 1 if one of these scripts fails or is missing.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path


def run(script: Path, seconds: float) -> tuple[str, str, float]:
    """Run a script. Return (error message, or ``""``; output; seconds)."""
    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as place:
        folder = Path(shutil.copytree(script.parent, Path(place) / "programs"))
        command = [sys.executable, "-m", "rnngraph", "run", "--tf1", script.name]
        try:
            done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=seconds)
        except subprocess.TimeoutExpired:
            return f"runs for more than {seconds:g} s", "", seconds
    elapsed = time.perf_counter() - began
    lines = done.stderr.strip().splitlines() or ["no message"]
    return ("" if done.returncode == 0 else lines[-1]), done.stdout, elapsed


def lacking(printed: str, texts: list[str]) -> str:
    """Return the first of ``texts`` that ``printed`` does not contain, in order; ``""`` if it contains all."""
    for text in texts:
        _, is_present, printed = printed.partition(text)
        if not is_present:
            return f"does not print {text!r}"
    return ""


def expected_of(path: Path | None) -> dict[str, list[str]]:
    """Return {name of a script: texts that it must print} from a file; {} without a file."""
    lines = [] if path is None else path.read_text().splitlines()
    return {name: texts for name, *texts in (line.split("\t") for line in lines if line.strip())}


def main(arguments: list[str] | None = None) -> int:
    """Run all scripts of a folder, print a line for each, and return the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--expected", type=Path, help="names of scripts that must finish, one a line")
    parser.add_argument("--seconds", type=float, default=600.0, help="for each script (default 600)")
    options = parser.parse_args(arguments)
    expected = expected_of(options.expected)
    scripts = sorted(path for path in options.folder.glob("*.py") if not path.name.startswith("_"))
    failed = sorted(expected.keys() - {script.name for script in scripts})
    for name in failed:
        print(f"{name}: there is no such script")
    whole = 0
    for script in scripts:
        wrong, printed, elapsed = run(script, options.seconds)
        wrong = wrong or lacking(printed, expected.get(script.name, []))
        whole += not wrong
        if wrong and script.name in expected:
            failed.append(script.name)
        print(f"{script.name}: {wrong or 'runs whole'} ({elapsed:.1f} s)", flush=True)
    print(f"{whole} of {len(scripts)} scripts finish")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
