"""Net of three different layers, which docs/guides/deep_nets.md reads at every level."""

import rnngraph as rg

x = rg.placeholder("x", shape=(None, None, 8))
layers = [
    rg.DropoutWrapper(rg.BasicRNNCell(8), output_keep_prob=0.8),
    rg.DropoutWrapper(rg.GRUCell(8), output_keep_prob=0.8),
    rg.LSTMCell(8),
]
outputs, states = rg.dynamic_rnn(rg.MultiRNNCell(layers), x)
logits = rg.dense(states[-1].h, 4)
labels = rg.placeholder("labels", shape=(None,), dtype="int64")
loss = rg.sparse_softmax_cross_entropy(labels=labels, logits=logits)
program = rg.compile({"logits": logits}, loss=loss, target="x86-64-v3")
