"""What is known of a processor: its vectors, registers and caches. Tile shapes come from here alone."""

from __future__ import annotations

import glob
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache

import llvmlite.binding as llvm

from ..errors import ArgumentError

_LEVELS = {
    "x86-64-v2": ("x86-64-v2", "", 128, 16, False),
    "x86-64-v3": ("x86-64-v3", "", 256, 16, True),
    "x86-64-v4": ("x86-64-v4", "-prefer-256-bit", 512, 32, True),
}
_NEEDS = {
    "x86-64-v2": ("sse4.2", "popcnt"),
    "x86-64-v3": ("avx2", "fma", "bmi2"),
    "x86-64-v4": ("avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl"),
}


@dataclass(frozen=True)
class Target:
    """A processor.

    vector_bits: width of a vector register; registers: how many; has_fma: fused multiply-add in one
    rounding; first_cache, second_cache: bytes of a core's caches; has_estimates: code may use the processor's
    estimates of reciprocals (AVX-512's), which makers define each for themselves: levels, which stand for the same
    bits wherever they run, don't. dots: forms of narrow numbers, ``int8`` and ``bfloat16``, of which one instruction
    multiplies several and adds them up.
    """

    name: str
    triple: str
    processor: str
    features: str
    vector_bits: int
    registers: int
    has_fma: bool
    first_cache: int = 32 * 1024
    second_cache: int = 512 * 1024
    has_estimates: bool = False
    dots: tuple[str, ...] = ()
    pointer_bits: int = 64

    def lanes(self, item_bytes: int) -> int:
        return self.vector_bits // 8 // item_bytes


def target_of(name: str | None) -> Target:
    """The target ``name``: None or ``host`` for this machine, or a level such as ``x86-64-v3``."""
    known = name is None or isinstance(name, str)  # an array would be compared element by element
    if known and name in (None, "host"):
        return host()
    if not known or name not in _LEVELS:
        raise ArgumentError(f"target {name!r} is not known; use host, {', '.join(_LEVELS)}")
    processor, features, bits, registers, fma = _LEVELS[name]
    triple = llvm.get_process_triple()
    if not triple.startswith("x86_64"):
        triple = "x86_64-unknown-linux-gnu"
    return Target(name, triple, processor, features, bits, registers, fma)


@lru_cache(maxsize=1)
def host() -> Target:
    """This machine, as LLVM sees it."""
    triple = llvm.get_process_triple()
    has = llvm.get_host_cpu_features()
    features = has.flatten()
    caches = _cache_bytes()
    if triple.startswith(("x86_64", "amd64")):
        wide = all(has.get(name, False) for name in ("avx512f", "avx512vl", "avx512dq", "avx512bw"))
        bits = 512 if wide else 256 if has.get("avx2", False) else 128
        return Target(
            "host", triple, llvm.get_host_cpu_name(), f"{features},-prefer-256-bit", bits, 32 if wide else 16,
            bool(has.get("fma", False)), *caches, wide, _dots(has, wide),
        )  # fmt: skip
    return Target("host", triple, llvm.get_host_cpu_name(), features, 128, 32, True, *caches)


def _dots(has: Mapping[str, bool], wide: bool) -> tuple[str, ...]:
    """AVX-512's dot products, which there are at every width; of bytes AVX-VNNI's, where vectors are narrower."""
    needed = {"int8": "avx512vnni", "bfloat16": "avx512bf16"} if wide else {"int8": "avxvnni"}
    return tuple(form for form, feature in needed.items() if has.get(feature, False))


@lru_cache(maxsize=8)
def lacks(target: Target) -> tuple[str, ...]:
    """What ``target``'s code needs and this machine's processor has not."""
    has = llvm.get_host_cpu_features()
    return tuple(feature for feature in _NEEDS.get(target.name, ()) if not has.get(feature, False))


def _cache_bytes() -> tuple[int, int]:
    """Bytes of the first (data) and second cache, where the system tells; else a careful guess."""
    found = {1: 32 * 1024, 2: 512 * 1024}
    for folder in glob.glob("/sys/devices/system/cpu/cpu0/cache/index*"):
        try:
            with (
                open(f"{folder}/level") as level,
                open(f"{folder}/type") as kind,
                open(f"{folder}/size") as size,
            ):
                number, text = int(level.read()), size.read().strip()
                if kind.read().strip() != "Instruction" and number in found:
                    found[number] = int(text.rstrip("KM")) * {"K": 1024, "M": 1 << 20}.get(text[-1], 1)
        except (OSError, ValueError):
            continue
    return found[1], found[2]


def twin(target: Target) -> Target:
    """This machine as ``target`` sees it: the same vectors and the same arithmetic, so that the same bits come out.

    Packs weights for processors that are not here, and says what they will compute.
    """
    here = host()
    if target.name == here.name:
        return target
    return replace(
        target, name=f"{target.name} on this machine", triple=here.triple, processor=here.processor,
        features=here.features, pointer_bits=64,
    )  # fmt: skip
