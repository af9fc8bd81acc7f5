// Runs the net over a whole sound, checks it, draws it; then plays it through the net in an audio worklet.

import { Net, description } from "./effect.mjs";

const RATE = 48000, BLOCK = 128;
const sound = description.inputs.find((port) => port.shape.includes("steps")).name;
const result = description.outputs[0].name;
const held = Object.fromEntries(description.inputs.filter((port) => port.name !== sound).map((port) => [port.name, [0.7]]));
const status = document.getElementById("status");

async function floats(file) {
  return new Float32Array(await (await fetch(file)).arrayBuffer());
}

/** Returns the whole sound, processed in blocks, as an audio thread would receive it. */
function inBlocks(net, dry) {
  const wet = new Float32Array(dry.length);
  for (let first = 0; first < dry.length; first += BLOCK) {
    wet.set(net.process({ ...held, [sound]: dry.subarray(first, first + BLOCK) })[result], first);
  }
  return wet;
}

/** Returns the largest difference of two sounds. */
function difference(one, other) {
  return one.reduce((most, value, at) => Math.max(most, Math.abs(value - other[at])), 0);
}

function draw(dry, wet) {
  const canvas = document.getElementById("picture"), pen = canvas.getContext("2d");
  const middle = canvas.height / 2, column = dry.length / canvas.width;
  for (const [samples, colour] of [[dry, "#9aa4ad"], [wet, "rgb(194 65 12 / 55%)"]]) {
    pen.fillStyle = colour;
    for (let x = 0; x < canvas.width; x++) {
      const part = samples.subarray(Math.floor(x * column), Math.floor((x + 1) * column));
      const high = Math.max(...part), low = Math.min(...part);
      pen.fillRect(x, middle - high * middle * 0.95, 1, Math.max(1, (high - low) * middle * 0.95));
    }
  }
}

/** Returns the sound, processed by the net in an audio worklet, rendered faster than real time. */
async function throughWorklet(module, dry) {
  const context = new OfflineAudioContext(1, dry.length, RATE);
  await context.audioWorklet.addModule("worklet.js");
  const rendered = play(context, module, dry);
  return (await context.startRendering()).getChannelData(0).slice(0, rendered);
}

function play(context, module, dry) {
  const buffer = context.createBuffer(1, dry.length, RATE);
  buffer.copyToChannel(dry, 0);
  const source = new AudioBufferSourceNode(context, { buffer });
  const effect = new AudioWorkletNode(context, "effect", { processorOptions: { module, held } });
  source.connect(effect).connect(context.destination);
  for (const slider of document.querySelectorAll("input")) {
    slider.oninput = () => effect.port.postMessage({ [slider.name]: [Number(slider.value)] });
  }
  source.start();
  return dry.length;
}

function sliders() {
  for (const name of Object.keys(held)) {
    const label = document.createElement("label");
    label.innerHTML = `${name} <input type="range" name="${name}" min="0" max="1" step="0.01" value="0.7">`;
    document.getElementById("sliders").append(label);
  }
}

async function main() {
  const bytes = await (await fetch("effect.wasm")).arrayBuffer();
  const module = await WebAssembly.compile(bytes);
  const dry = await floats("dry.f32"), expected = await floats("expected.f32");
  inBlocks(new Net(module), dry); // warm
  const begin = performance.now(), wet = inBlocks(new Net(module), dry);
  const nanoseconds = (performance.now() - begin) * 1e6 / dry.length;
  draw(dry, wet);
  sliders();
  const off = difference(wet, expected), heard = difference(await throughWorklet(module, dry), wet);
  const verdict = off < 1e-4 && heard === 0 ? "ok" : "wrong";
  status.textContent = `${verdict}: ${bytes.byteLength} bytes of WebAssembly, ${nanoseconds.toFixed(0)} ns a sample ` +
    `(${(1e9 / RATE / nanoseconds).toFixed(0)} times as fast as it plays), largest difference from Python ` +
    `${off.toExponential(1)}, of the worklet from that ${heard}`;
  const button = document.getElementById("play");
  button.disabled = false;
  button.onclick = async () => {
    const context = new AudioContext({ sampleRate: RATE });
    await context.audioWorklet.addModule("worklet.js");
    play(context, module, dry);
  };
}

main().catch((error) => {
  status.textContent = `failed: ${error}`;
});
