"""Build an image for a Cortex-M4 that runs a recurrent net with weights in flash and prints its outputs.

    python examples/microcontroller/build.py                       # an untrained net, in QEMU
    python examples/microcontroller/build.py build/vad/model       # a saved program
    python examples/microcontroller/build.py --weights int8        # a quarter of the flash for weights

Needs arm-none-eabi-gcc to build (Debian's gcc-arm-none-eabi) and qemu-system-arm to run.
"""

import argparse
import platform
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
from rich.console import Console

import rnngraph as rg

HERE = Path(__file__).parent
STEPS = 8
FLAGS = (
    "-mcpu=cortex-m4",
    "-mthumb",
    "-mfloat-abi=hard",
    "-mfpu=fpv4-sp-d16",
    "-std=c11",
    "-O2",
    "-Wall",
    "-Wextra",
    "-ffreestanding",
    "-nostdlib",
    "-Wl,-z,noexecstack",
)


def level() -> str | None:
    """Return a target of this machine without narrow multiply-add instructions, which the microcontroller lacks too.

    None if no such target is available.
    """
    return "x86-64-v2" if platform.machine() in ("x86_64", "AMD64") else None


def untrained(weights: str) -> rg.Program:
    """Return an untrained net of typical size for such processors: from the features of a frame to a probability."""
    x = rg.placeholder("x", shape=(None, None, 20))
    outputs, _ = rg.dynamic_rnn(rg.GRUCell(24), x)
    return rg.compile({"y": rg.dense(outputs, 1, activation="sigmoid")}, seed=0, weights=weights, target=level())


def only(values: list[str], what: str) -> str:
    """Return the only input or output, which the image feeds or prints. Exit if there are several."""
    if len(values) != 1:
        raise SystemExit(
            f"the image supports a single {what}, but the program has {', '.join(values) or 'none'}; give another model"
        )
    return values[0]


def example(program: rg.Program, folder: Path) -> None:
    """Write example.h: a few steps of input, and the outputs of this machine's code for the same arithmetic."""
    ports = program.inference.graph.inputs
    name = only([str(node["label"]) for node in ports if node.op == "input"], "input")
    width = next(int(node.shape[-1]) for node in ports if node.get("label") == name)
    x = np.random.default_rng(0).standard_normal((1, STEPS, width)).astype(np.float32)
    result = program.inference({name: x})
    y = result if isinstance(result, np.ndarray) else result[only(list(result), "output")]
    lines = [f"#define EXAMPLE_STEPS {STEPS}", f"#define EXAMPLE_UNITS {y.shape[-1]}"]
    for array, values in (("x", x[0]), ("y", y[0])):
        rows = ",\n    ".join("{" + ", ".join(f"{value:.9e}f" for value in row) + "}" for row in values)
        lines.append(f"static const float example_{array}[{STEPS}][{values.shape[1]}] = {{\n    {rows}}};")
    (folder / "example.h").write_text("\n".join(lines) + "\n")


def main() -> None:
    """Export, compile, link, print the memory that the image takes, and run it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path, nargs="?", help="directory of a saved program (default: an untrained net)")
    parser.add_argument("--directory", type=Path, default=Path("build/microcontroller"))
    parser.add_argument("--weights", choices=("float32", "bfloat16", "int8"), default="float32")
    options = parser.parse_args()
    console = Console(highlight=False)
    if options.model:
        program = rg.load(options.model, weights=options.weights, target=level())
    else:
        program = untrained(options.weights)
    exported = program.inference.export(options.directory, "net", target="thumbv7em-none-eabihf")
    example(program, options.directory)
    console.print(f"net.o: {exported.object_size:,} bytes, {exported.state_size:,} bytes of memory an instance")
    if not shutil.which("arm-none-eabi-gcc"):
        raise SystemExit("arm-none-eabi-gcc is not found: apt-get install gcc-arm-none-eabi, to build the image")
    image = options.directory / "image.elf"
    sources = [str(HERE / "main.c"), str(options.directory / "net.o"), f"-T{HERE / 'link.ld'}"]
    subprocess.run(["arm-none-eabi-gcc", *FLAGS, f"-I{options.directory}", *sources, "-o", str(image)], check=True)
    sizes = subprocess.run(["arm-none-eabi-size", str(image)], check=True, capture_output=True, text=True).stdout
    text, data, bss = map(int, re.findall(r"\d+", sizes)[:3])
    console.print(f"image: {text + data:,} bytes of flash, {data + bss:,} bytes of RAM beside the stack")
    if not shutil.which("qemu-system-arm"):
        raise SystemExit("qemu-system-arm is not found: apt-get install qemu-system-arm, to run the image")
    machine = ["-M", "mps2-an386", "-cpu", "cortex-m4", "-nographic", "-semihosting-config", "enable=on,target=native"]
    command = ["qemu-system-arm", *machine, "-kernel", str(image)]
    done = subprocess.run(
        command, check=False, timeout=120, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    console.print(done.stdout.rstrip(), markup=False)
    raise SystemExit(done.returncode)


if __name__ == "__main__":
    main()
