"""Caches and features of processors, from files like the system's."""

from __future__ import annotations

from pathlib import Path

from rnngraph.codegen.machine import target
from rnngraph.support.system import processor

CORE = """processor\t: {number}
BogoMIPS\t: 100.00
Features\t: fp asimd {features}
CPU part\t: 0xd0c
"""


def features_of(folder: Path, *cores: str) -> set[str]:
    text = "\n".join(CORE.format(number=number, features=features) for number, features in enumerate(cores))
    (folder / "cpuinfo").write_text(text)
    return {*processor._features_of_linux(folder / "cpuinfo")}


def test_features_of_arm_have_names_of_llvm(tmp_path: Path) -> None:
    assert features_of(tmp_path, "asimddp atomics i8mm bf16") == {"dotprod", "i8mm", "bf16"}
    assert features_of(tmp_path, "atomics") == set()
    assert processor._features_of_linux(tmp_path / "none") == set()


def test_a_feature_is_every_core_s(tmp_path: Path) -> None:
    """A feature counts only if every core has it, because threads move between small and large cores."""
    assert features_of(tmp_path, "asimddp i8mm", "asimddp") == {"dotprod"}


def test_caches_of_linux(tmp_path: Path) -> None:
    caches = (("1", "Data", "64K"), ("1", "Instruction", "16K"), ("2", "Unified", "1M"), ("3", "Unified", "what"))
    for number, facts in enumerate(caches):
        folder = tmp_path / f"index{number}"
        folder.mkdir()
        for name, text in zip(("level", "type", "size"), facts, strict=True):
            (folder / name).write_text(f"{text}\n")
    assert processor._of_linux(f"{tmp_path}/index*") == {1: 64 << 10, 2: 1 << 20}


def test_this_machine_has_caches() -> None:
    sizes = target.cache_bytes()
    assert 4 << 10 <= sizes[1] <= sizes[2]
