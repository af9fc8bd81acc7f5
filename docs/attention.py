"""Bidirectional encoder, and a decoder that attends to its outputs: one of the nets of docs/guides/explorer.md."""

import rnngraph as rg

words = rg.placeholder("words", shape=(None, None, 6))
(ahead, back), _ = rg.bidirectional_dynamic_rnn(rg.LSTMCell(4), rg.LSTMCell(4), words)
attention = rg.BahdanauAttention(5, rg.concat([ahead, back], axis=2))
table = rg.parameter("letters", (7, 7))
start = rg.state_placeholder("start", rg.GRUCell(7))
letters, _, lengths = rg.dynamic_decode(
    rg.AttentionWrapper(rg.GRUCell(7), attention, attention_layer_size=7, initial_cell_state=start),
    table[0] + 0.0 * start,
    lambda scores, _: rg.gather(table, rg.argmax(scores)),
    9,
    stop=lambda scores: rg.equal(rg.argmax(scores), 0),
)
program = rg.compile({"letters": rg.argmax(letters), "lengths": lengths}, target="x86-64-v3")
