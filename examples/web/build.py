"""Build a page that runs an audio effect as WebAssembly: the files that index.html needs.

    python examples/audio_effect/train.py --directory build/effect
    python examples/web/build.py build/effect/model --directory build/web
    python -m http.server --directory build/web        # and open http://localhost:8000
    python examples/web/build.py --quick               # an untrained net, without a useful sound

The model is any saved program whose input and output are sound [batch, samples, 1]; inputs without a time axis become
sliders. Building needs wasm-ld (of Debian's package lld, or of LLVM).
"""

import argparse
import json
import shutil
from pathlib import Path

import numpy as np
from rich.console import Console

import rnngraph as rg

PAGE = Path(__file__).parent
RATE, SECONDS = 48_000, 2.0
NAME = "effect"


def plucks(generator: np.random.Generator) -> np.ndarray:
    """Return the sound of a few plucked strings [samples], in -1..1 (Karplus & Strong 1983)."""
    samples = round(RATE * SECONDS)
    sound = np.zeros(samples)
    for begin, pitch in ((0.0, 110.0), (0.45, 146.8), (0.9, 164.8), (1.35, 220.0)):
        first, period = round(begin * RATE), round(RATE / pitch)
        string = generator.uniform(-1, 1, period)
        for at in range(first, samples):
            place = (at - first) % period
            sound[at] += 0.5 * string[place]
            string[place] = 0.498 * (string[place] + string[(place + 1) % period])
    return (0.8 * sound / np.abs(sound).max()).astype(np.float32)


def untrained() -> rg.Program:
    """Return a net with the shape of the audio effect, including its knob."""
    dry, drive = rg.placeholder("dry", shape=(None, None, 1)), rg.placeholder("drive", shape=(None, 1))
    knob = 0 * dry + rg.expand_dims(drive, 1)
    outputs, _ = rg.dynamic_rnn(rg.BasicLSTMCell(24), rg.concat([dry, knob], 2))
    return rg.compile({"out": dry + rg.dense(outputs, 1)}, seed=0)


def main() -> None:
    """Export the model, and write the samples that the page compares its output with."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path, nargs="?", help="directory of a saved program")
    parser.add_argument("--quick", action="store_true", help="an untrained net in place of a saved program")
    parser.add_argument("--directory", type=Path, default=Path("build/web"))
    parser.add_argument("--target", choices=("wasm32", "wasm32-simd128"), default="wasm32-simd128")
    options = parser.parse_args()
    console = Console(highlight=False)
    if options.quick == bool(options.model):
        parser.error("give the directory of a saved program, or --quick")
    program = untrained() if options.quick else rg.load(options.model)
    exported = program.inference.export(options.directory, NAME, target=options.target)
    if f"{NAME}.wasm" not in exported.files:
        raise SystemExit("wasm-ld is not found: apt-get install lld, and try again")
    about = json.loads(exported.files[f"{NAME}.json"].read_text())
    (sound,) = (port["name"] for port in about["inputs"] if "steps" in port["shape"])
    held_feeds = {
        port["name"]: np.full(port["shape"], 0.7, port["dtype"]) for port in about["inputs"] if port["name"] != sound
    }
    dry = plucks(np.random.default_rng(0))
    result = program.inference({sound: dry[None, :, None], **held_feeds})
    wet = result if isinstance(result, np.ndarray) else next(iter(result.values()))
    dry.tofile(options.directory / "dry.f32")
    np.ascontiguousarray(wet[0, :, 0]).tofile(options.directory / "expected.f32")
    for file in ("index.html", "main.js", "worklet.js"):
        shutil.copy(PAGE / file, options.directory / file)
    size = exported.files[f"{NAME}.wasm"].stat().st_size
    console.print(f"{exported.files[f'{NAME}.wasm']}: {size:,} bytes; serve {options.directory} and open index.html")


if __name__ == "__main__":
    main()
