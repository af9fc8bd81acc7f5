"""Cache sizes, and processor features that LLVM does not report, from the operating system."""

from __future__ import annotations

import ctypes
import platform
import sys
from collections.abc import Mapping
from itertools import takewhile
from pathlib import Path

if sys.platform == "win32":
    from .windows import cache_records

CPU_INFO, CACHES = Path("/proc/cpuinfo"), "/sys/devices/system/cpu/cpu0/cache/index*"
_DESCRIPTION = ("vendor_id", "cpu family", "model", "stepping", "flags")
_LINUX_FEATURES = {"asimddp": "dotprod", "i8mm": "i8mm", "bf16": "bf16"}
_APPLE_FEATURES = {"FEAT_DotProd": "dotprod", "FEAT_I8MM": "i8mm", "FEAT_BF16": "bf16"}
"""LLVM's names of features of ARM processors, by macOS's names."""
_APPLE_CACHES = {
    1: ("hw.perflevel0.l1dcachesize", "hw.l1dcachesize"),
    2: ("hw.perflevel0.l2cachesize", "hw.l2cachesize"),
    3: ("hw.l3cachesize",),
}
"""macOS's names of cache sizes, by level. Names for the fast cores come first."""


def cache_sizes() -> Mapping[int, int]:
    """Return {level, 1 to 3: bytes of that data cache}, without levels that the system does not report."""
    if sys.platform == "win32":
        return cache_records()
    if sys.platform == "darwin":
        sizes = {level: next(filter(None, map(_sysctl, names)), 0) for level, names in _APPLE_CACHES.items()}
        return {level: size for level, size in sizes.items() if size}
    return _of_linux(CACHES)


def _of_linux(pattern: str) -> Mapping[int, int]:
    """Return {level, 1 to 3: bytes of that data cache} from Linux' cache folders."""
    sizes: dict[int, int] = {}
    folders = Path(pattern)
    for folder in folders.parent.glob(folders.name):
        try:
            level, kind = int(_text(folder / "level")), _text(folder / "type")
            size = _text(folder / "size")
            if kind != "Instruction" and level in (1, 2, 3):
                sizes[level] = int(size.rstrip("KM")) * {"K": 1 << 10, "M": 1 << 20}.get(size[-1:], 1)
        except (OSError, ValueError):
            continue
    return sizes


def arm_features() -> frozenset[str]:
    """Return which of ``dotprod``, ``i8mm`` and ``bf16`` an ARM processor has on every core.

    LLVM does not report them on Linux. Every core must have a feature, because threads move between cores.
    """
    if sys.platform == "darwin":
        return frozenset(ours for name, ours in _APPLE_FEATURES.items() if _sysctl(f"hw.optional.arm.{name}"))
    if sys.platform == "linux":
        return _features_of_linux(CPU_INFO)
    return frozenset()


def permits_amx() -> bool:
    """Ask the system for the tile registers of AMX, for this process and its children. Return True if it permits them.

    Linux grants them on request, because they make a thread's saved state larger.
    """
    if sys.platform != "linux" or platform.machine() != "x86_64":
        return False
    request, tile_data = 0x1023, 18  # ARCH_REQ_XCOMP_PERM; state component XFEATURE_XTILEDATA
    arch_prctl = 158
    return bool(ctypes.CDLL(None).syscall(arch_prctl, request, tile_data) == 0)


def described_processor() -> str:
    """Return the lines of an x86-64 processor's model and features in Linux; empty on other systems and processors."""
    if sys.platform != "linux" or platform.machine() != "x86_64":
        return ""
    with CPU_INFO.open(encoding="utf-8") as file:
        lines = takewhile(str.strip, file)  # those of the first core
        return "".join(line for line in lines if line.startswith(_DESCRIPTION))


def _features_of_linux(path: Path) -> frozenset[str]:
    """Return which features of ``_LINUX_FEATURES`` all cores have, from Linux' ``/proc/cpuinfo``."""
    try:
        lines = _text(path).splitlines()
    except OSError:
        return frozenset()
    cores = [{*line.partition(":")[2].split()} for line in lines if line.startswith("Features")]
    common = set.intersection(*cores) if cores else set()
    return frozenset(ours for name, ours in _LINUX_FEATURES.items() if name in common)


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8").strip()


def _sysctl(name: str) -> int:
    """Return a number from macOS's ``sysctl``; 0 if it has no such name."""
    number, size = ctypes.c_int64(), ctypes.c_size_t(8)
    error = ctypes.CDLL(None).sysctlbyname(name.encode(), ctypes.byref(number), ctypes.byref(size), None, 0)
    return 0 if error else number.value
