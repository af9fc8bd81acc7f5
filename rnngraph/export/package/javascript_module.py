"""A JavaScript module that runs exported WebAssembly: in browsers, audio worklets and Node.js."""

from __future__ import annotations

import json
from typing import Any

from ...version import __version__
from .description import Description

_TEXT = """\
// {name}: a recurrent net as WebAssembly, exported by rnngraph {version}.
//
//     const module = await WebAssembly.compile(bytesOf("{name}.wasm"));
//     const net = new Net(module);
//     net.step({{x: [0.5]}});             // {{output: Float32Array}}, a view that the next call writes over
//     net.process({{x: samples}});        // a block of steps, the same bits
//
// Nothing here waits, and memory does not grow after the first block of a size: it can run in an AudioWorklet.

export const description = {description};

const ARRAYS = {{
  float32: Float32Array, float64: Float64Array, int32: Int32Array, int64: BigInt64Array, bool: Uint8Array,
}};
const PAGE = 65536;

/** One instance. Its state goes on from call to call. */
export class Net {{
  /**
   * module: the compiled WebAssembly. start: by name, what the state begins with, where the net asks for that.
   * weights: bytes of a safetensors file, where the net has none of its own.
   */
  constructor(module, {{ start = {{}}, weights = null }} = {{}}) {{
    this.code = new WebAssembly.Instance(module, {{}}).exports;
    if (this.code.{name}_abi_version() !== description.abi_version) {{
      throw new Error("{name}.wasm is of another version of the interface than {name}.mjs");
    }}
    this.top = this.code.__heap_base.value;
    this.places = new Map();
    this.memory = this.place(this.code.{name}_state_size());
    const given = [this.memory];
    if (description.weights === "external") {{
      given.push(this.pack(weights));
    }}
    this.start = this.given(description.initial_inputs, start, 1);
    this.code.{name}_init(...given, ...this.start);
  }}

  /** Room for so many bytes, at a cache line. */
  place(bytes) {{
    const begin = Math.ceil(this.top / 64) * 64;
    this.top = begin + bytes;
    const missing = this.top - this.code.memory.buffer.byteLength;
    if (missing > 0) {{
      this.code.memory.grow(Math.ceil(missing / PAGE));
    }}
    return begin;
  }}

  /** Packs weights, and gives their place for `use`. */
  pack(weights) {{
    if (weights === null) {{
      throw new Error("{name} needs weights: the bytes of a safetensors file");
    }}
    const packed = this.place(this.code.{name}_weights_size());
    const image = this.place(weights.byteLength);
    new Uint8Array(this.code.memory.buffer, image, weights.byteLength).set(new Uint8Array(weights));
    if (this.code.{name}_set_weights(packed, image, weights.byteLength) !== 0) {{
      throw new Error("these are not {name}'s weights");
    }}
    this.top = image;
    return packed;
  }}

  /** Other packed weights from the next step on; the state stays. */
  use(packed) {{
    this.code.{name}_use_weights(this.memory, packed);
  }}

  /** Back to the initial state. */
  reset() {{
    this.code.{name}_reset(this.memory, ...this.start);
  }}

  /** One time step: feeds and results without their axis of steps. */
  step(feeds) {{
    const inputs = this.given(description.inputs, feeds, 1);
    const outputs = description.outputs.map((port) => this.room(port, 1));
    this.code.{name}_step(this.memory, ...inputs, ...outputs);
    return this.results(1);
  }}

  /** A block of steps: feeds and results with their axis of steps. */
  process(feeds) {{
    const steps = this.steps(feeds);
    const inputs = this.given(description.inputs, feeds, steps);
    const outputs = description.outputs.map((port) => this.room(port, steps));
    this.code.{name}_process(this.memory, steps, ...inputs, ...outputs);
    return this.results(steps);
  }}

  steps(feeds) {{
    for (const port of description.inputs) {{
      if (port.shape.includes("steps") && port.name in feeds) {{
        return feeds[port.name].length / count(port, 1);
      }}
    }}
    return 1;
  }}

  /** Copies feeds to where the net reads them: by name, and no others. */
  given(ports, feeds, steps) {{
    for (const name in feeds) {{
      if (!ports.some((port) => port.name === name)) {{
        const taken = ports.map((port) => port.name).join(", ") || "nothing";
        throw new Error("{name} has no input " + name + "; it takes " + taken);
      }}
    }}
    return ports.map((port) => this.fill(port, feeds, steps));
  }}

  /** Copies a feed to where the net reads it. */
  fill(port, feeds, steps) {{
    const place = this.room(port, steps), array = feeds[port.name] ?? port.default;
    if (array === undefined) {{
      throw new Error("{name} needs " + port.name);
    }}
    const flat = typeof array === "number" ? [array] : array;
    if (flat.length !== count(port, steps)) {{
      throw new Error(port.name + " has " + flat.length + " elements, not " + count(port, steps));
    }}
    this.view(port, steps).set(flat);
    return place;
  }}

  /** Where an array of so many steps lies. */
  room(port, steps) {{
    const bytes = count(port, steps) * ARRAYS[port.dtype].BYTES_PER_ELEMENT, known = this.places.get(port.symbol);
    if (known !== undefined && known.bytes >= bytes) {{
      return known.place;
    }}
    const place = this.place(bytes);
    this.places.set(port.symbol, {{ place, bytes, view: null }});
    return place;
  }}

  /** The array there, made again only where its length or the memory is another one. */
  view(port, steps) {{
    const place = this.room(port, steps), length = count(port, steps), known = this.places.get(port.symbol);
    if (known.view === null || known.view.length !== length || known.view.buffer !== this.code.memory.buffer) {{
      known.view = new ARRAYS[port.dtype](this.code.memory.buffer, place, length);
    }}
    return known.view;
  }}

  results(steps) {{
    return Object.fromEntries(description.outputs.map((port) => [port.name, this.view(port, steps)]));
  }}
}}

/** Elements of an array of so many steps. */
function count(port, steps) {{
  return port.shape.reduce((product, dim) => product * (dim === "steps" ? steps : dim), 1);
}}
"""


def javascript_module(net: Description, described: dict[str, Any]) -> str:
    """``NAME.mjs``."""
    return _TEXT.format(name=net.name, version=__version__, description=json.dumps(described, indent=1))
