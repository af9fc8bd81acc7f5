// Runs the net on the audio thread, in blocks of 128 samples, without waiting and without allocating memory.

import { Net, description } from "./effect.mjs";

const sound = description.inputs.find((port) => port.shape.includes("steps")).name;
const result = description.outputs[0].name;

class Effect extends AudioWorkletProcessor {
  constructor(options) {
    super();
    this.net = new Net(options.processorOptions.module);
    this.feeds = { ...options.processorOptions.held };
    this.port.onmessage = (message) => Object.assign(this.feeds, message.data);
  }

  process(inputs, outputs) {
    const dry = inputs[0][0], wet = outputs[0];
    if (dry !== undefined) {
      this.feeds[sound] = dry;
      const made = this.net.process(this.feeds)[result];
      for (const channel of wet) {
        channel.set(made);
      }
    }
    return true;
  }
}

registerProcessor("effect", Effect);
