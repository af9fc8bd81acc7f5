"""Descriptions of processors: their vectors, registers and caches, which determine the shapes of tiles."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

from ...support.errors import ArgumentError
from ...support.records import dataclass
from ...support.system.processor import arm_features, cache_sizes, permits_amx
from .host import HostFacts, host_facts

_LEVELS = {
    "x86-64-v2": ("x86-64-v2", "", 128, 16, False),
    "x86-64-v3": ("x86-64-v3", "", 256, 16, True),
    "x86-64-v4": ("x86-64-v4", "-prefer-256-bit", 512, 32, True),
}
_SIGNED_DOTS = {128: "maddubs", 256: "maddubs", 512: "maddwd"}
"""Implementations of products of signed bytes on x86-64, by vector width.

The instruction that applies signs to bytes has vectors of at most 256 bits.
"""
_NEEDS = {
    "x86-64-v2": ("sse4.2", "popcnt"),
    "x86-64-v3": ("avx2", "fma", "bmi2"),
    "x86-64-v4": ("avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl"),
}
_RUNS_ON = ("x86_64", "amd64", "aarch64", "arm64")
"""Beginnings of the triples of processors on which compiled code can run without an export."""
_WINDOWS, _MACOS, _MACOS_ARM = "x86_64-pc-windows-gnu", "x86_64-apple-macosx10.15.0", "arm64-apple-macosx11.0.0"
_ARM_CACHES = {
    "cortex-a53": (32, 512),  # Raspberry Pi 3
    "cortex-a72": (32, 1024),  # Raspberry Pi 4
    "cortex-a76": (64, 512),  # Raspberry Pi 5
    "neoverse-n1": (64, 1024),  # Graviton 2, Ampere Altra
    "neoverse-v1": (64, 1024),  # Graviton 3
    "neoverse-n2": (64, 1024),
    "neoverse-v2": (64, 2048),  # Graviton 4
    "ampere1": (64, 2048),  # AmpereOne
    "ampere1a": (64, 2048),
    "apple-m1": (128, 12288),
}
"""KiB of the L1 data cache and of L2, from data sheets, by LLVM's names of processors.

Virtual machines and boards often do not report them. All these processors have vectors of 128 bits, or are no faster
with wider ones: Neoverse V1 has four units of 128 bits for NEON, which are used as two of 256 bits for SVE.
"""


@dataclass(frozen=True)
class Target:
    """A processor.

    Attributes:
        name: Name of the target.
        triple: LLVM's triple: architecture, vendor and operating system.
        processor: LLVM's name of the processor.
        features: Features of the processor, in LLVM's syntax.
        vector_bits: Width of a vector register.
        registers: Number of vector registers.
        has_fma: True if the processor has a fused multiply-add.
        first_cache: Bytes of a core's L1 data cache.
        second_cache: Bytes of L2.
        has_estimates: True if code may use the reciprocal estimates of AVX-512, which differ between vendors. False for
            levels such as ``x86-64-v4``, whose results have the same bits on all processors.
        dots: Dtypes, among ``int8`` and ``bfloat16``, for whose dot products the processor has instructions.
        signed_dots: Implementation of dot products of signed bytes, a key of ``SIGNED`` in ``llvm/dot_products.py``;
            empty if products of floats are as fast.
        has_tiles: True if products of bfloat16 matrices use AMX, which the system must permit.
        pointer_bits: Width of addresses and of index arithmetic.
        relocation: LLVM's relocation model.
        abi: ABI of object files, if the triple does not determine it.
        absent: Operations without an instruction, for which LLVM would call a library: ``float64``, or ``float64
            vectors``; ``rounding`` to an integral float; ``wide conversion``, between 64-bit integers and floats.
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
    signed_dots: str = ""
    has_tiles: bool = False
    pointer_bits: int = 64
    relocation: str = "pic"
    abi: str = ""
    absent: tuple[str, ...] = ()

    def lanes(self, item_bytes: int) -> int:
        """Return the number of elements of a vector; 1 if there are no vectors of such elements."""
        if item_bytes == 8 and "float64 vectors" in self.absent:
            return 1
        return max(1, self.vector_bits // 8 // item_bytes)

    def fits_first_cache(self, size_bytes: int) -> bool:
        """True if ``size_bytes`` fit into half of L1, which leaves the other half for other data."""
        return size_bytes <= self.first_cache // 2

    @property
    def byte_activations(self) -> str:
        """Dtype of 8-bit activations in products with int8 weights; empty if products use floats."""
        return "uint8" if "int8" in self.dots else "int8" if self.signed_dots else ""

    @property
    def takes_operands_from_memory(self) -> bool:
        """True if instructions can have an operand in memory, which needs no register."""
        return self.is_x86_64

    @property
    def is_x86_64(self) -> bool:
        """True for 64-bit x86."""
        return self.triple.startswith(("x86_64", "amd64"))

    @property
    def is_arm64(self) -> bool:
        """True for 64-bit ARM."""
        return self.triple.startswith(("aarch64", "arm64"))

    @property
    def has_scale(self) -> bool:
        """True if one instruction scales by a power of two and rounds once, as in AVX-512."""
        return self.takes_operands_from_memory and self.vector_bits == 512

    @property
    def has_masks(self) -> bool:
        """True if masked loads and stores are as fast as those of whole vectors, as in AVX-512."""
        return self.takes_operands_from_memory and self.vector_bits == 512

    @property
    def has_halves(self) -> bool:
        """True if an instruction converts float16 to float32."""
        has_f16c = self.is_x86_64 and self.vector_bits >= 256 and "-f16c" not in self.features
        return self.is_arm64 or has_f16c

    @property
    def prefetches(self) -> bool:
        """True if tiles prefetch weights that L3 may hold.

        AMD processors, whose L3 is fast, were up to 3 % slower with these prefetches.
        """
        return self.has_second_cache and not self.processor.startswith("znver")

    @property
    def has_second_cache(self) -> bool:
        """True for 64-bit processors. Others may be microcontrollers without L2, or unknown, as behind WebAssembly."""
        return self.pointer_bits == 64

    @property
    def grows_stack(self) -> bool:
        """True if a function must touch the pages of a large stack frame in order, as on Windows."""
        return "-windows" in self.triple


def _other_systems() -> list[Target]:
    """Return the x86-64 targets for object files of Windows and macOS."""
    targets = []
    for system, triple in (("windows", _WINDOWS), ("macos", _MACOS)):
        for level, facts in _LEVELS.items():
            if (system, level) != ("macos", "x86-64-v4"):  # hardly any Mac has AVX-512
                name = f"{level}-{system}".replace("-v2", "")
                targets.append(Target(name, triple, *facts, signed_dots=_SIGNED_DOTS[facts[2]]))
    return targets


_ARM32 = ("rounding", "wide conversion")
_WASM, _PLAIN = "wasm32-unknown-unknown", "+sign-ext,+nontrapping-fptoint"
_OTHERS = {
    target.name: target
    for target in (
        Target("aarch64-linux", "aarch64-unknown-linux-gnu", "generic", "+neon", 128, 32, True),
        # Most 64-bit ARM processors since 2018: Cortex-A76, Neoverse N1 and their successors.
        Target(
            "aarch64-linux-dotprod",
            "aarch64-unknown-linux-gnu",
            "generic",
            "+neon,+dotprod",
            128,
            32,
            True,
            signed_dots="sdot",
        ),
        Target("aarch64-macos", _MACOS_ARM, "apple-m1", "", 128, 32, True, signed_dots="sdot"),
        # The weakest of these processors, Cortex-A8 and A9, have 16 vector registers, but neither fused multiply-add
        # nor integer division.
        Target(
            "armv7-linux",
            "armv7-unknown-linux-gnueabihf",
            "generic",
            "+neon,-vfp4,-hwdiv,-hwdiv-arm",
            128,
            16,
            False,
            pointer_bits=32,
            absent=("float64 vectors", *_ARM32),
        ),
        # Cortex-M4F and M7: 32 single-precision registers, one float each. Small memories, and no L2.
        Target(
            "thumbv7em-none-eabihf",
            "thumbv7em-unknown-none-eabihf",
            "cortex-m4",
            "+strict-align",
            32,
            32,
            True,
            16 * 1024,
            128 * 1024,
            signed_dots="smlad",
            pointer_bits=32,
            relocation="static",
            absent=("float64", *_ARM32),
        ),
        Target("wasm32", _WASM, "mvp", _PLAIN, 32, 32, False, pointer_bits=32, relocation="static"),
        Target(
            "wasm32-simd128",
            _WASM,
            "mvp",
            f"{_PLAIN},+simd128",
            128,
            16,
            False,
            signed_dots="i32x4.dot",
            pointer_bits=32,
            relocation="static",
        ),
        Target("riscv64", "riscv64-unknown-linux-gnu", "generic-rv64", "+m,+a,+f,+d,+c", 32, 32, True, abi="lp64d"),
        *_other_systems(),
    )
}
NAMES = ("host", *_LEVELS, *_OTHERS)
"""Names of all targets."""


_SUGGESTIONS = {
    "arm64": "aarch64",
    "aarch64": "aarch64",
    "armv8": "aarch64",
    "apple": "aarch64-macos",
    "m1": "aarch64-macos",
    "macos": "macos",
    "darwin": "macos",
    "osx": "macos",
    "win": "windows",
    "arm": "armv7",
    "cortex-m": "thumb",
    "amd64": "x86-64",
    "x86_64": "x86-64",
    "x64": "x86-64",
    "avx2": "x86-64-v3",
    "avx512": "x86-64-v4",
    "wasm": "wasm",
    "riscv": "riscv",
}
"""Substrings of other tools' names for processors and systems, with the corresponding substring of ``NAMES``.

A longer substring precedes those that it contains, as ``arm64`` precedes ``arm``, because matches are removed in turn.
"""


def _suggestion(name: object) -> str:
    """Return a part of an error message: targets that another tool's ``name`` of a processor or system may mean.

    The text is empty if no target matches.
    """
    text, parts = str(name).lower(), []
    for theirs, ours in _SUGGESTIONS.items():
        if theirs in text:
            text = text.replace(theirs, " ")
            parts.append(ours)
    matches = [own for own in NAMES if parts and all(part in own for part in parts)]
    matches = matches or [own for own in NAMES if any(part in own for part in parts)]
    return f"{name} is {' or '.join(matches)} here; " if matches else ""


def target_of(name: str | None) -> Target:
    """Return the target with a name of ``NAMES``, such as ``x86-64-v3``. None means ``host``, this machine.

    Raises:
        ArgumentError: No target has this name; or it is ``host``, and code cannot be compiled for this machine.
    """
    known = name is None or isinstance(name, str)  # an array would be compared elementwise
    if known and name in (None, "host"):
        return host()
    if not known or name not in NAMES:
        raise ArgumentError(f"unknown target {name!r}; {_suggestion(name)}use {', '.join(NAMES)}")
    if name in _OTHERS:
        return _OTHERS[name]
    processor, features, bits, registers, fma = _LEVELS[name]
    triple = _process_triple()
    if not triple.startswith("x86_64"):
        triple = "x86_64-unknown-linux-gnu"
    return Target(name, triple, processor, features, bits, registers, fma, signed_dots=_SIGNED_DOTS[bits])


def _process_triple() -> str:
    """Return LLVM's triple of code that runs in this process."""
    triple = host_facts().triple
    return f"{triple}-elf" if "-windows" in triple else triple


def for_files(target: Target) -> Target:
    """Return ``target`` with the triple for object files that linkers and debuggers of the system read."""
    if target.triple.endswith("-elf"):
        return replace(target, triple=_WINDOWS if target.is_x86_64 else target.triple.removesuffix("-elf"))
    if "-apple-darwin" in target.triple:
        return replace(target, triple=_MACOS_ARM if target.is_arm64 else _MACOS)
    return target


@lru_cache(maxsize=1)
def host() -> Target:
    """Return the target of this machine, as LLVM and the operating system detect it.

    Raises:
        ArgumentError: The processor is neither x86-64 nor 64-bit ARM, or Python is a 32-bit program.
    """
    triple = _process_triple()
    if not triple.startswith(_RUNS_ON):
        raise ArgumentError(
            f"code can't be compiled on this machine: its Python is for {host_facts().triple}, and rnngraph "
            "needs x86-64 or 64-bit ARM; use a 64-bit system and Python, or export(target=…) on another machine"
        )
    facts, caches = host_facts(), (cache_bytes()[1], cache_bytes()[2])
    if triple.startswith(("x86_64", "amd64")):
        wide = all(map(facts.has, ("avx512f", "avx512vl", "avx512dq", "avx512bw")))
        bits = 512 if wide else 256 if facts.has("avx2") else 128
        return Target(
            "host",
            triple,
            facts.processor,
            f"{facts.features},-prefer-256-bit",
            bits,
            32 if wide else 16,
            facts.has("fma"),
            *caches,
            wide,
            _dots(facts, wide),
            _SIGNED_DOTS[bits] if facts.has("ssse3") else "",
        )
    also = arm_features()
    features = ",".join([facts.features, *(f"+{name}" for name in sorted(also) if not facts.has(name))])
    signed = "sdot" if facts.has("dotprod") or "dotprod" in also else ""
    return Target("host", triple, facts.processor, features, 128, 32, True, *caches, signed_dots=signed)


def _dots(facts: HostFacts, wide: bool) -> tuple[str, ...]:
    """Return the narrow dtypes for whose dot products this x86-64 processor has instructions, of AVX-512 or AVX-VNNI.

    bfloat16 is included only on AMD processors, where a dot product is as fast as a multiply-add. On Intel it takes
    four times as long, so that it is faster to convert weights to float32.
    """
    needed = {"int8": "avx512vnni" if wide else "avxvnni"}
    if wide and facts.processor.startswith("znver"):
        needed["bfloat16"] = "avx512bf16"
    return tuple(form for form, feature in needed.items() if facts.has(feature))


def with_tiles(target: Target) -> Target:
    """Return ``target`` with its matrix unit, if it is this machine and the system permits the unit's use.

    Otherwise, return ``target`` unchanged.
    """
    needed = ("amx-tile", "amx-bf16", "avx512bf16", "avx512bw", "avx512vl")
    is_host = target.name == "host" and target.is_x86_64
    permitted = is_host and all(map(host_facts().has, needed)) and permits_amx()
    return replace(target, has_tiles=True) if permitted else target


@lru_cache(maxsize=8)
def missing_features(target: Target) -> tuple[str, ...]:
    """Return the features that this machine lacks, of those that a level of x86-64 needs; empty for other targets."""
    return tuple(feature for feature in _NEEDS.get(target.name, ()) if not host_facts().has(feature))


def needed_processor(target: Target) -> str:
    """Return a description of the processors that can run code for ``target``."""
    if target.processor in _NEEDS:
        return f"a processor of {target.processor} or above, with {' '.join(_NEEDS[target.processor])}"
    if target.name != "host":
        return f"a processor of {target.triple.partition('-')[0]}: {target.processor} {target.features}".rstrip()
    has = {feature.removeprefix("+") for feature in target.features.split(",")}
    levels = [level for level, needed in _NEEDS.items() if has.issuperset(needed)]
    advice = f" ({levels[-1]} and more); a target such as x86-64-v2 is for others" if levels else ""
    return f"the processor of the machine that made it, {target.processor}, or one with all its instructions{advice}"


@lru_cache(maxsize=1)
def cache_bytes() -> dict[int, int]:
    """Return the bytes of L1 (data), L2 and, if known, L3, by the level's number.

    Sizes are those that the system reports. Otherwise they come from the processor's data sheet, or are guessed.
    """
    first, second = _ARM_CACHES.get(host_facts().processor, (32, 512))
    return {1: first << 10, 2: second << 10, **cache_sizes()}


def host_equivalent(target: Target) -> Target:
    """Return a target that runs on this machine with the vectors and the arithmetic of ``target``.

    Its results have the same bits as those of ``target``. It is used to pack weights for another processor, and to
    compute that processor's results on this machine.
    """
    here = host()
    if target.name == here.name:
        return replace(target, triple=here.triple)
    return replace(
        target,
        name=f"{target.name} on this machine",
        triple=here.triple,
        processor=here.processor,
        features=here.features,
        pointer_bits=64,
        relocation=here.relocation,
        abi=here.abi,
        signed_dots="plain" if target.signed_dots else "",
    )
