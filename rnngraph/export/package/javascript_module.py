"""A JavaScript module that runs exported WebAssembly: in browsers, audio worklets and Node.js."""

from __future__ import annotations

from typing import Any

from ...ir.sizes.polynomial import Dim, Floor, terms_of
from .description import Description, filled

_HEAD = """\
// {name}: a recurrent net as WebAssembly, exported by rnngraph {version}.
//
//     const module = await WebAssembly.compile(bytesOf("{name}.wasm"));
//     const net = new Net(module);
{usage}
//
// Nothing here waits, and memory does not grow after the first {unit} of a size: it can run in an AudioWorklet.

export const description = {description};

const ARRAYS = {{
  float32: Float32Array, float64: Float64Array, int32: Int32Array, int64: BigInt64Array, bool: Uint8Array,
}};
const PAGE = 65536;
"""

_STREAM_USAGE = """\
//     net.step({x: [0.5]});             // {output: Float32Array}, a view that the next call writes over
//     net.process({x: samples});        // a block of steps, the same bits"""

_SEQUENCE_USAGE = """\
//     net.run({x: samples});            // {output: Float32Array}, a view that the next call writes over
//     net.run({x: samples}, {batch: 2});"""

_STREAM = """
/** One instance. Its state goes on from call to call. */
export class Net {{
  /**
   * module: the compiled WebAssembly. start: by name, what the state begins with, where the net asks for that.
   * weights: bytes of a safetensors file, where the net has none of its own.
   */
  constructor(module, {{ start = {{}}, weights = null }} = {{}}) {{
    this.load(module);
    this.memory = this.place(this.code.{name}_state_size());
    const given = [this.memory];
    if (description.weights === "external") {{
      given.push(this.pack(weights));
    }}
    this.start = this.given(description.initial_inputs, start, 1);
    this.code.{name}_init(...given, ...this.start);
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
    const outputs = this.outputs(1);
    this.code.{name}_step(this.memory, ...inputs, ...outputs);
    return this.results(1);
  }}

  /** A table of the states of so many streams for `stepRows`, each as it is here now: after `reset` the initial one. */
  states(capacity) {{
    const bytes = description.states.reduce(
      (sum, port) => sum + count(port, 1) * ARRAYS[port.dtype].BYTES_PER_ELEMENT, 0);
    const place = this.place(capacity * bytes);
    for (let row = 0; row < capacity; row++) {{
      this.code.{name}_get_state(this.memory, place + row * bytes);
    }}
    return {{ place, capacity }};
  }}

  /**
   * One time step of the streams `rows` of a table: feeds and results are as of `step`, of one stream after the other.
   * The state of this instance is lost.
   */
  stepRows(states, rows, feeds) {{
    if (new Set(rows).size < rows.length || rows.some((row) => !(row >= 0 && row < states.capacity))) {{
      throw new Error("rows must be different ones of " + states.capacity);
    }}
    const many = (port) => ({{ ...port, symbol: "rows of " + port.symbol, shape: [rows.length, ...port.shape] }});
    const ports = description.inputs.map(many), results = description.outputs.map(many);
    const named = {{ name: "rows", symbol: "rows", dtype: "int32", shape: [rows.length] }};
    for (const port of ports.filter((port) => port.default !== undefined && !(port.name in feeds))) {{
      const one = typeof port.default === "number" ? [port.default] : [port.default].flat(Infinity);
      feeds = {{ ...feeds, [port.name]: Array.from({{ length: rows.length }}, () => one).flat() }};
    }}
    const inputs = this.given(ports, feeds, 1), outputs = results.map((port) => this.room(port, 1));
    const table = this.fill(named, {{ rows }}, 1);
    this.code.{name}_step_rows(this.memory, states.place, table, rows.length, ...inputs, ...outputs);
    return Object.fromEntries(results.map((port) => [port.name, this.view(port, 1)]));
  }}

  /** A block of steps: feeds and results with their axis of steps. */
  process(feeds) {{
    const steps = this.steps(feeds);
    const inputs = this.given(description.inputs, feeds, steps);
    const outputs = this.outputs(steps);
    this.code.{name}_process(this.memory, steps, ...inputs, ...outputs);
    return this.results(steps);
  }}

{flush}  steps(feeds) {{
    for (const port of description.inputs) {{
      if (port.shape.some((dim) => typeof dim === "string") && port.name in feeds) {{
        const steps = feeds[port.name].length / count(port, 1);
        if (!Number.isInteger(steps)) {{
          throw new Error(port.name + " has " + feeds[port.name].length + " elements, and a step " + count(port, 1));
        }}
        return steps;
      }}
    }}
    return 1;
  }}
"""

_FLUSH = """\
  /** What is still owed when the sequences end, and back to the initial state. feeds: those without steps. */
  flush(feeds = {{}}) {{
    const ports = description.inputs.filter((port) => port.shape.every((dim) => typeof dim === "number"));
    const inputs = this.given(ports, feeds, 1);
    const owed = description.owed.map((port) => ({{ ...port, symbol: "owed " + port.symbol }}));
    this.code.{name}_flush(this.memory, ...inputs, ...owed.map((port) => this.room(port, 1)));
    this.reset();
    return Object.fromEntries(owed.map((port) => [port.name, this.view(port, 1)]));
  }}

"""

_SEQUENCE = """
/** By symbol of an array its shape at sizes. */
const SHAPES = {{
{shapes}
}};

/** The net. It keeps nothing between calls but its memory. */
export class Net {{
  /** module: the compiled WebAssembly. weights: bytes of a safetensors file, where the net has none of its own. */
  constructor(module, {{ weights = null }} = {{}}) {{
    this.load(module);
    this.weights = description.weights === "external" ? this.pack(weights) : 0;
    this.scratch = {{ place: 0, bytes: 0 }};
  }}

  /** Other packed weights from the next call on. */
  use(packed) {{
    this.weights = packed;
  }}

  /**
   * Results for whole sequences. sizes: by name, those of `description.sizes` that don't follow from how many elements
   * feeds have; without others a batch is one row.
   */
  run(feeds, sizes = {{}}) {{
    const known = this.sizes(feeds, sizes), counts = description.sizes.map((size) => known[size.name]);
    const bytes = this.code.{name}_scratch_size(...counts) >>> 0;
    if (bytes === 0xffffffff) {{
      throw new Error("{name} can't take the sizes " + JSON.stringify(known));
    }}
    const inputs = this.given(description.inputs, feeds, known), outputs = this.outputs(known);
    if (bytes > this.scratch.bytes) {{
      this.scratch = {{ place: this.place(bytes), bytes }};
    }}
    this.code.{name}_run(this.weights, ...counts, ...inputs, ...outputs, this.scratch.place);
    return this.results(known);
  }}

  /** All sizes: fixed ones, those given, and those that follow. */
  sizes(feeds, given) {{
    const known = {{}}, open = [];
    for (const {{ name, fixed }} of description.sizes) {{
      known[name] = given[name] ?? fixed;
      if (known[name] === undefined) {{
        open.push(name);
        known[name] = 1;
      }}
    }}
    for (const name of open.reverse()) {{
      known[name] = this.counted(name, feeds, {{ ...known, [name]: 1 }});
    }}
    return known;
  }}

  /** A size by the elements of a feed that has it as an axis, which are so many at 1; 1 where none has. */
  counted(name, feeds, sizes) {{
    const port = description.inputs.find((port) => port.shape.includes(name) && feeds[port.name]?.length !== undefined);
    const found = port === undefined ? 1 : feeds[port.name].length / count(port, sizes);
    if (!Number.isInteger(found)) {{
      throw new Error(port.name + " has " + feeds[port.name].length + " elements, which makes " + name + " " + found);
    }}
    return found;
  }}
"""

_TAIL = """
  load(module) {{
    this.code = new WebAssembly.Instance(module, {{}}).exports;
    if (this.code.{name}_abi_version() !== description.abi_version) {{
      throw new Error("{name}.wasm is of another version of the interface than {name}.mjs");
    }}
    this.top = this.code.__heap_base.value;
    this.places = new Map();
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

  /** Copies feeds to where the net reads them: by name, and no others. */
  given(ports, feeds, sizes) {{
    for (const name in feeds) {{
      if (!ports.some((port) => port.name === name)) {{
        const taken = ports.map((port) => port.name).join(", ") || "nothing";
        throw new Error("{name} has no input " + name + "; it takes " + taken);
      }}
    }}
    return ports.map((port) => this.fill(port, feeds, sizes));
  }}

  /** Copies a feed to where the net reads it. */
  fill(port, feeds, sizes) {{
    const place = this.room(port, sizes), array = feeds[port.name] ?? port.default;
    if (array === undefined) {{
      throw new Error("{name} needs " + port.name);
    }}
    const flat = typeof array === "number" ? [array] : array;
    if (flat.length !== count(port, sizes)) {{
      throw new Error(port.name + " has " + flat.length + " elements, not " + count(port, sizes));
    }}
    this.view(port, sizes).set(flat);
    return place;
  }}

  /** Where an array of such sizes lies. */
  room(port, sizes) {{
    const bytes = count(port, sizes) * ARRAYS[port.dtype].BYTES_PER_ELEMENT, known = this.places.get(port.symbol);
    if (known !== undefined && known.bytes >= bytes) {{
      return known.place;
    }}
    const place = this.place(bytes);
    this.places.set(port.symbol, {{ place, bytes, view: null }});
    return place;
  }}

  /** The array there, made again only where its length or the memory is another one. */
  view(port, sizes) {{
    const place = this.room(port, sizes), length = count(port, sizes), known = this.places.get(port.symbol);
    if (known.view === null || known.view.length !== length || known.view.buffer !== this.code.memory.buffer) {{
      known.view = new ARRAYS[port.dtype](this.code.memory.buffer, place, length);
    }}
    return known.view;
  }}

  outputs(sizes) {{
    return description.outputs.map((port) => this.room(port, sizes));
  }}

  results(sizes) {{
    return Object.fromEntries(description.outputs.map((port) => [port.name, this.view(port, sizes)]));
  }}
}}

"""

_STREAM_COUNT = """\
/** Elements of an array of so many steps; "2*steps" is an axis that has two entries for each. */
function count(port, steps) {{
  const sizes = port.shape.map((dim) => (typeof dim === "number" ? dim : steps * (parseInt(dim) || 1)));
  return sizes.reduce((product, size) => product * size, 1);
}}
"""

_SEQUENCE_COUNT = """\
/** Elements of an array at such sizes. */
function count(port, sizes) {{
  return SHAPES[port.symbol](sizes).reduce((product, dim) => product * dim, 1);
}}
"""


def javascript_module(net: Description, described: dict[str, Any]) -> str:
    """``NAME.mjs``."""
    parts = (_HEAD, _STREAM, _TAIL, _STREAM_COUNT) if net.is_stream else (_HEAD, _SEQUENCE, _TAIL, _SEQUENCE_COUNT)
    usage, unit = (_STREAM_USAGE, "block") if net.is_stream else (_SEQUENCE_USAGE, "call")
    shapes = "" if net.is_stream else _shapes(net)
    return filled("".join(parts), net, described, _FLUSH, usage=usage, unit=unit, shapes=shapes)


def _shapes(net: Description) -> str:
    """Shapes of all arrays as functions of sizes."""
    sizes = ", ".join(size.name for size in net.sequence.sizes)
    ports = (*net.sequence.inputs, *net.sequence.outputs)
    dims = {port.symbol: ", ".join(map(_size_in_javascript, port.shape)) for port in ports}
    return "\n".join(f"  {symbol}: ({{ {sizes} }}) => [{inside}]," for symbol, inside in dims.items())


def _size_in_javascript(dim: Dim) -> str:
    """A size as an expression, in which divisions have no floor of their own."""
    terms = []
    for names, factor in terms_of(dim):
        floors = [f"Math.floor(({_size_in_javascript(n.dim)}) / {n.by})" if isinstance(n, Floor) else n for n in names]
        terms.append(" * ".join([str(factor), *floors] if factor != 1 or not names else floors))
    return " + ".join(terms) or "0"
