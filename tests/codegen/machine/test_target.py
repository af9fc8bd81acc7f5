"""The host as LLVM and the system describe it, and target triples of code in memory and in files."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

import rnngraph as rg
from rnngraph.codegen.machine import host as hosts
from rnngraph.codegen.machine import target as targets
from rnngraph.codegen.machine.target import Target, for_files, host, host_equivalent


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    """Clear caches of the host's description before and after a test that replaces it."""
    host.cache_clear()
    targets.cache_bytes.cache_clear()
    yield monkeypatch
    monkeypatch.undo()
    host.cache_clear()
    targets.cache_bytes.cache_clear()


def made_up(machine: pytest.MonkeyPatch, triple: str, processor: str, told: frozenset[str], **has: bool) -> Target:
    features = ",".join(f"{'+' if value else '-'}{name}" for name, value in has.items())
    machine.setattr(hosts, "_facts", [hosts.HostFacts(triple, processor, features, "22.1.0")])
    machine.setattr(targets, "arm_features", lambda: told)
    machine.setattr(targets, "cache_sizes", dict)
    return host()


@pytest.mark.parametrize(
    ("processor", "caches"),
    [
        ("cortex-a76", (64, 512)),  # Raspberry Pi 5
        ("neoverse-v1", (64, 1024)),  # Graviton 3
        ("neoverse-v2", (64, 2048)),  # Graviton 4
        ("of next year", (32, 512)),
    ],
)
def test_arm_linux(machine: pytest.MonkeyPatch, processor: str, caches: tuple[int, int]) -> None:
    """The system reports ``sdot``, and LLVM does not. Cache sizes are from data sheets."""
    found = made_up(machine, "aarch64-unknown-linux-gnu", processor, frozenset({"dotprod"}), neon=True)
    assert (found.first_cache >> 10, found.second_cache >> 10) == caches
    assert found.signed_dots == "sdot"
    assert found.features.split(",") == ["+neon", "+dotprod"]
    assert (found.is_arm64, found.is_x86_64) == (True, False)


def test_arm_without_sdot(machine: pytest.MonkeyPatch) -> None:
    assert made_up(machine, "aarch64-unknown-linux-gnu", "cortex-a72", frozenset(), neon=True).signed_dots == ""


@pytest.mark.parametrize("triple", ["armv7l-unknown-linux-gnueabihf", "i686-pc-windows-msvc", "powerpc64le-linux-gnu"])
def test_another_processor_is_refused(machine: pytest.MonkeyPatch, triple: str) -> None:
    """For example a 32-bit system of a Raspberry Pi, whose pointers have another size than code assumes."""
    with pytest.raises(rg.ArgumentError, match=f"its Python is for {triple}, .* use a 64-bit system"):
        made_up(machine, triple, "generic", frozenset())


@pytest.mark.parametrize(
    ("process", "memory", "files"),
    [
        ("x86_64-pc-windows-msvc", "x86_64-pc-windows-msvc-elf", "x86_64-pc-windows-gnu"),
        ("arm64-apple-darwin23.1.0", "arm64-apple-darwin23.1.0", "arm64-apple-macosx11.0.0"),
        ("x86_64-apple-darwin22.1.0", "x86_64-apple-darwin22.1.0", "x86_64-apple-macosx10.15.0"),
        ("x86_64-unknown-linux-gnu", "x86_64-unknown-linux-gnu", "x86_64-unknown-linux-gnu"),
    ],
)
def test_triples_in_memory_and_in_files(machine: pytest.MonkeyPatch, process: str, memory: str, files: str) -> None:
    """On Windows, LLVM links only ELF in memory. The linker of a system accepts only the system's own object format."""
    here = made_up(machine, process, "generic", frozenset())
    assert here.triple == memory
    assert for_files(here).triple == files
    assert host_equivalent(for_files(here)) == here
    assert for_files(replace(here, vector_bits=64)).vector_bits == 64
