"""Execution of other processors' object code: linked with a small C program, or loaded by node, in an emulator.

The program reads a file with the argument block and the memory that it references, calls both entries, and writes the
results' memory. It needs a cross compiler and an emulator, which ``NEEDS`` lists for each target.
"""

from __future__ import annotations

import shutil
import struct
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from rnngraph.codegen.compile import ObjectCode
from rnngraph.ir.types import evaluate

Arrays = dict[str, np.ndarray]
GIVEN, RESULT, SCRATCH = 0, 1, 2
MEMORY = 48 << 20


@dataclass(frozen=True)
class Machine:
    """Commands that link and run a program for one target. They contain ``{folder}``."""

    linker: tuple[str, ...]
    emulator: tuple[str, ...]

    @property
    def needs(self) -> tuple[str, str]:
        return self.linker[0], self.emulator[0]

    @property
    def missing(self) -> list[str]:
        return [tool for tool in self.needs if not shutil.which(tool)]


_C = ("-O1", "-Wall", "-Werror", "-o", "{folder}/program", "{folder}/runner.c", "{folder}/entry.o")
_CORTEX = (
    "arm-none-eabi-gcc",
    "-mthumb",
    "-mfloat-abi=hard",
    "--specs=rdimon.specs",
    "-T",
    "{folder}/memory.ld",
    "{folder}/start.S",
    "-lc",
    "-lrdimon",
)
_BOARD = (
    "-nographic",
    "-monitor",
    "none",
    "-semihosting-config",
    "enable=on,target=native",
    "-kernel",
    "{folder}/program",
)
_WASM = (
    "wasm-ld",
    "--no-entry",
    "--export=entry",
    "--export=entry_pack",
    "--export=__heap_base",
    f"--initial-memory={MEMORY}",
    "-o",
    "{folder}/program",
    "{folder}/entry.o",
)
_NODE = Machine(_WASM, ("node", "{folder}/runner.cjs"))
MACHINES: dict[str, Machine] = {
    "aarch64-linux": Machine(("aarch64-linux-gnu-gcc", "-static", *_C), ("qemu-aarch64", "{folder}/program")),
    "aarch64-linux-dotprod": Machine(
        ("aarch64-linux-gnu-gcc", "-static", *_C), ("qemu-aarch64", "-cpu", "neoverse-n1", "{folder}/program")
    ),
    "armv7-linux": Machine(
        ("arm-linux-gnueabihf-gcc", "-static", *_C), ("qemu-arm", "-cpu", "cortex-a8", "{folder}/program")
    ),
    "riscv64": Machine(("riscv64-linux-gnu-gcc", "-static", *_C), ("qemu-riscv64", "{folder}/program")),
    "thumbv7em-none-eabihf": Machine(
        (*_CORTEX, "-mcpu=cortex-m4", "-mfpu=fpv4-sp-d16", *_C), ("qemu-system-arm", "-M", "mps2-an386", *_BOARD)
    ),
    "thumbv7em-none-eabihf on M7": Machine(
        (*_CORTEX, "-mcpu=cortex-m7", "-mfpu=fpv5-d16", *_C), ("qemu-system-arm", "-M", "mps2-an500", *_BOARD)
    ),
    "wasm32": _NODE,
    "wasm32-simd128": _NODE,
}


def call(
    machine: Machine,
    folder: Path,
    code: ObjectCode,
    parameters: Mapping[str, np.ndarray],
    feeds: Mapping[str, np.ndarray],
    sizes: Mapping[str, int],
) -> Arrays:
    """Call a program's code once, and return its outputs by name."""
    interface = code.interface
    assert (interface.main, interface.pack) == ("entry", "entry_pack")
    block = np.zeros(interface.slots, np.int64)
    memory: list[tuple[int, int, bytes | int]] = [
        (interface.arena, SCRATCH, max(1, evaluate(interface.arena_bytes, sizes))),
        (interface.panels, SCRATCH, max(1, interface.panel_bytes)),
    ]
    memory += [(slot, GIVEN, value.tobytes()) for slot, value in interface.constants]
    memory += [(slot, GIVEN, parameters[name].tobytes()) for name, slot in interface.parameters.items()]
    for name, (slot, strides) in interface.inputs.items():
        array = np.ascontiguousarray(feeds[name])
        memory.append((slot, GIVEN, array.tobytes()))
        for place, stride in zip(strides, array.strides, strict=False):
            block[place] = stride // array.itemsize
    for name, slot in interface.sizes.items():
        block[slot] = sizes[name]
    results = {}
    for item in interface.outputs:
        results[item.name] = np.empty([evaluate(dim, sizes) for dim in item.shape], item.dtype)
        memory.append((item.slot, RESULT, results[item.name].nbytes))
    parts = [struct.pack("<QQ", len(block), len(memory)), block.tobytes()]
    for slot, kind, data in memory:
        count = data if isinstance(data, int) else len(data)
        parts += [struct.pack("<QQQ", slot, kind, count), b"" if isinstance(data, int) else data]
    (folder / "call.bin").write_bytes(b"".join(parts))
    (folder / "entry.o").write_bytes(code.binary)
    for name, text in FILES.items():
        (folder / name).write_text(text)
    (folder / "results.bin").unlink(missing_ok=True)
    run(machine.linker, folder)
    run(machine.emulator, folder)
    given = (folder / "results.bin").read_bytes()
    place = 0
    for array in results.values():
        array[...] = np.frombuffer(given[place : place + array.nbytes], array.dtype).reshape(array.shape)
        place += array.nbytes
    assert place == len(given)
    return results


def self_test(machine: Machine, folder: Path, exported: Path, name: str, arguments: tuple[str, ...] = ()) -> str:
    """Return the output of an exported net's self-test."""
    for file, text in FILES.items():
        (folder / file).write_text(text)
    for source, there in ((f"{name}.h", f"{name}.h"), (f"{name}_test.c", "runner.c"), (f"{name}.o", "entry.o")):
        shutil.copy(exported / source, folder / there)
    run(machine.linker, folder)
    return run((*machine.emulator, *arguments), folder)


def exported_module(folder: Path, module: Path, name: str, steps: int, x: np.ndarray, size: int) -> Arrays:
    """Return the outputs of a WebAssembly module with one input and one output: step by step, and as one block."""
    (folder / "module.cjs").write_text(_MODULE)
    (folder / "x.bin").write_bytes(x.tobytes())
    run(("node", "{folder}/module.cjs", str(module), name, str(steps), str(size)), folder)
    actual = np.frombuffer((folder / "results.bin").read_bytes(), np.float32).reshape(2, -1)
    return {"steps": actual[0], "block": actual[1]}


_MODULE = r"""
const fs = require('fs');
const [module_file, name, steps_text, size_text] = process.argv.slice(2);
const {exports: net} = new WebAssembly.Instance(new WebAssembly.Module(fs.readFileSync(module_file)), {});
const steps = Number(steps_text), size = Number(size_text), x = fs.readFileSync(__dirname + '/x.bin');
const state = net[name + '_state_size'](), start = (net.__heap_base.value + 15) & ~15;
const input = start + state, one = input + x.length, block = one + size, end = block + size;
while (net.memory.buffer.byteLength < end) net.memory.grow(16);
const memory = Buffer.from(net.memory.buffer);
memory.fill(0xA5, start, end);
x.copy(memory, input);
if (net[name + '_init'](start) !== 0) process.exit(2);
for (let step = 0; step < steps; step++)
    net[name + '_step'](start, input + step * x.length / steps, one + step * size / steps);
net[name + '_reset'](start);
net[name + '_process'](start, steps, input, block);
fs.writeFileSync(__dirname + '/results.bin', memory.subarray(one, end));
"""


def run(command: tuple[str, ...], folder: Path) -> str:
    """Return a command's output. Fail with the output if the command fails."""
    filled = [part.format(folder=folder) for part in command]
    done = subprocess.run(filled, cwd=folder, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, f"{' '.join(filled)} gives {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout


FILES = {
    "runner.c": r"""
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void entry(void *, int64_t, int64_t);
void entry_pack(void *, int64_t, int64_t);

static uint64_t number(FILE *file) {
    uint64_t value = 0;
    if (fread(&value, 8, 1, file) != 1) exit(2);
    return value;
}

int main(void) {
    FILE *file = fopen("call.bin", "rb"), *results;
    if (!file) return 3;
    uint64_t slots = number(file), count = number(file), index;
    uint64_t *block = malloc(8 * slots);
    unsigned char **found = calloc(count, sizeof *found);
    uint64_t *bytes = calloc(count, 8);
    if (!block || !found || !bytes || fread(block, 8, slots, file) != slots) return 4;
    for (index = 0; index < count; index++) {
        uint64_t slot = number(file), kind = number(file), size = number(file);
        unsigned char *room = malloc(size + 64);
        if (!room) return 5;
        /* All bits set, so that a read before the first write yields NaN. */
        memset(room, 0xFF, size + 64);
        room += -(uintptr_t)room & 63;
        if (kind == 0 && fread(room, 1, size, file) != size) return 6;
        if (kind == 1) { found[index] = room; bytes[index] = size; }
        block[slot] = (uint64_t)(uintptr_t)room | (sizeof(void *) < 8 ? 0xA5A5A5A500000000u : 0);
    }
    fclose(file);
    entry_pack(block, 0, 1);
    entry(block, 0, 1);
    results = fopen("results.bin", "wb");
    if (!results) return 7;
    for (index = 0; index < count; index++)
        if (found[index] && fwrite(found[index], 1, bytes[index], results) != bytes[index]) return 8;
    fclose(results);
    return 0;
}
""",
    "runner.cjs": r"""
const fs = require('fs');
const module_ = new WebAssembly.Instance(new WebAssembly.Module(fs.readFileSync(__dirname + '/program')), {});
const data = fs.readFileSync(__dirname + '/call.bin');
const memory = Buffer.from(module_.exports.memory.buffer);
let at = 0, place = module_.exports.__heap_base.value;
const number = () => Number(data.readBigInt64LE((at += 8) - 8));
const room = (size) => { const start = (place + 63) & ~63; place = start + size; return start; };
const slots = number(), count = number(), block = room(8 * slots), results = [];
data.copy(memory, block, at, at += 8 * slots);
for (let index = 0; index < count; index++) {
    const slot = number(), kind = number(), size = number(), start = room(size);
    memory.fill(0xFF, start, start + size);
    if (kind === 0) data.copy(memory, start, at, at += size);
    if (kind === 1) results.push([start, size]);
    memory.writeUInt32LE(start, block + 8 * slot);
}
module_.exports.entry_pack(block, 0n, 1n);
module_.exports.entry(block, 0n, 1n);
fs.writeFileSync(__dirname + '/results.bin', Buffer.concat(results.map(([a, n]) => memory.subarray(a, a + n))));
""",
    "start.S": r"""
    .syntax unified
    .section .vectors, "a"
    .word 0x20400000
    .word reset
    .rept 14
    .word fault
    .endr
    .text
    .thumb_func
    .global reset
reset:
    ldr r0, =0xE000ED88 /* the coprocessor access register: the floating-point unit is off at first */
    ldr r1, [r0]
    orr r1, r1, #0xF00000
    str r1, [r0]
    dsb
    isb
    ldr r0, =0xE000ED14 /* the configuration register: trap unaligned accesses */
    ldr r1, [r0]
    orr r1, r1, #8
    str r1, [r0]
    b _start
    .thumb_func
fault:
    ldr r1, =0x20024 /* semihosting's reason for an exit: internal error */
    movs r0, #0x18
    bkpt 0xAB
    b fault
""",
    "memory.ld": r"""
MEMORY { code (rx) : ORIGIN = 0, LENGTH = 4M  data (rwx) : ORIGIN = 0x20000000, LENGTH = 4M }
ENTRY(reset)
SECTIONS {
    .text : { KEEP(*(.vectors)) *(.text*) *(.rodata*) KEEP(*(.init)) KEEP(*(.fini)) } > code
    .ARM.extab : { *(.ARM.extab*) } > code
    .ARM.exidx : { __exidx_start = .; *(.ARM.exidx*) __exidx_end = .; } > code
    .data : {
        *(.data*)
        . = ALIGN(4);
        __preinit_array_start = .; KEEP(*(.preinit_array)) __preinit_array_end = .;
        __init_array_start = .; KEEP(*(.init_array*)) __init_array_end = .;
        __fini_array_start = .; KEEP(*(.fini_array*)) __fini_array_end = .;
    } > data
    .bss : { __bss_start__ = .; *(.bss*) *(COMMON) . = ALIGN(8); __bss_end__ = .; } > data
    end = .; __end__ = .;
    __stack = 0x20400000;
}
""",
}
