"""TensorFlow 1.x's names that ``tf1`` does not have, each with what to use instead."""

from __future__ import annotations

from ..declare.functions import activations
from ..declare.functions import basic as functions
from ..errors import NotOfferedError

_RUN = 'a program runs without a session: program = rg.compile({"y": y}), then program.inference({X: batch})["y"]'
_COMPILED = "program = rg.compile(outputs, loss=loss), then "
_TRAIN = f"{_COMPILED}rg.Trainer(program, rg.Adam(1e-3)), whose step({{X: batch, y: labels}}) and fit train it"
_GRADIENTS = f"{_COMPILED}program.training.gradients({{X: batch, y: labels}}); rg.Trainer(program) uses them itself"
_CLIP = f"{_COMPILED}rg.Trainer(program, clip_norm=1.0)"
_RATE = "give the optimizer a function from the update's number to a number, as in rg.Adam(lambda update: …)"
_COUNT = "the updates attribute of an rg.Trainer counts them; leave it out"
_BATCHES = "the fit method of an rg.Trainer makes batches of arrays and of lists of sequences"
_VARIABLES = "parameters have their values when rg.compile returns, and program.parameters holds them; leave it out"
_PARAMETER = 'use tf.get_variable(name, shape) or rg.parameter("name", shape)'
_NO_GRAPH = "there is no default graph, and what is not handed to rg.compile is not compiled; leave it out"
_DROPOUT = "use tf.nn.dropout(x, keep_prob=…), which the training graph has"
_OWN_CELL = "write its equations as a class with state() and step(p, x, state), a subclass of rg.Cell"
_DRIVER = "use tf.nn.dynamic_rnn"
_SCOPE = "give scope= to tf.nn.dynamic_rnn and name= to tf.layers.dense"
_LOOP = "write one step as a subclass of rg.Cell and run it with tf.nn.dynamic_rnn"
_PYTHON = "it has no part in a declaration; use Python's own means"
_SAVE = "use program.parameters.save(path) and program.parameters.load(path)"
_BY_STEP = "use program.inference.stream() and feed each output back"
_DECODER = "decode program.inference({X: batch}) in Python: argmax over classes, drop repeats, then blanks"
_SEED = "give seed= to rg.compile for initial values, and to program.training for dropout"
_SHAPE = (
    "sizes are open by themselves: None or -1 in tf.reshape keeps them, and without initial_state "
    "a driver starts from zeros of any batch"
)
_DTYPE = "use tf.float32, tf.float64, tf.int32, tf.int64 or tf.bool"
_PENALTY = "add the penalty to the loss, from tf.reduce_sum(tf.square(w))"
_BATCH_NORM = "use tf.layers.batch_normalization(x, training=True)"
_RANDOM = "feed random numbers as a tf.placeholder"
_INITIALIZER = "use tf.glorot_uniform_initializer(), or any function of (shape, generator)"

INSTEAD: dict[str, str] = {
    "AUTO_REUSE": "for one set of parameters at several places use rg.shared(cell)",
    "ConfigProto": "give threads= to rg.compile",
    "Graph": _NO_GRAPH,
    "InteractiveSession": _RUN,
    "Print": "make it an output of rg.compile, or print(program.inference.graph)",
    "Session": _RUN,
    "TensorShape": "give a shape as a list, None for an open size",
    "Variable": _PARAMETER,
    "add_to_collection": _NO_GRAPH,
    "GraphKeys": "a step of rg.Trainer updates moving averages by itself; leave it out",
    "all_variables": "use program.parameters",
    "app": _PYTHON,
    "assign": "use rg.with_update(x, parameter, value), by which a step of rg.Trainer sets a parameter",
    "assert_equal": "sizes that meet are checked at each call; leave it out",
    "clip_by_average_norm": _CLIP,
    "clip_by_global_norm": _CLIP,
    "clip_by_norm": _CLIP,
    "cond": "use tf.where",
    "contrib.cudnn_rnn": "use tf.nn.rnn_cell.LSTMCell, or rg.GRUCell(units, reset_after=True) for cuDNN's GRU",
    "contrib.layers.batch_norm": _BATCH_NORM,
    "contrib.layers.dropout": _DROPOUT,
    "contrib.layers.embed_sequence": "use rg.embedding(ids, vocabulary, width)",
    "contrib.layers.l1_regularizer": _PENALTY,
    "contrib.layers.l2_regularizer": _PENALTY,
    "contrib.layers.variance_scaling_initializer": _INITIALIZER,
    "contrib.layers.optimize_loss": _TRAIN,
    "contrib.legacy_seq2seq": _BY_STEP,
    "contrib.opt": f"{_COMPILED}rg.Trainer(program, rg.AdamW(rate, weight_decay=weight_decay)) or another optimizer",
    "contrib.rnn.BasicRNN": "use tf.contrib.rnn.BasicRNNCell",
    "contrib.rnn.DeviceWrapper": "there are no devices to choose; leave it out",
    "contrib.rnn.GRUBlockCell": "use tf.contrib.rnn.GRUCell, which is compiled to the same fused code",
    "contrib.rnn.GRUBlockCellV2": "use tf.contrib.rnn.GRUCell, which is compiled to the same fused code",
    "contrib.rnn.LSTMBlockCell": "use tf.contrib.rnn.LSTMCell, which is compiled to the same fused code",
    "contrib.rnn.LSTMBlockFusedCell": "use tf.contrib.rnn.LSTMCell with tf.nn.dynamic_rnn(…, time_major=True)",
    "contrib.rnn.LSTMBlockWrapper": "use tf.contrib.rnn.LSTMCell",
    "contrib.rnn.EmbeddingWrapper": "apply rg.embedding(ids, vocabulary, width) to the inputs",
    "contrib.rnn.stack_bidirectional_rnn": "use tf.contrib.rnn.stack_bidirectional_dynamic_rnn",
    "contrib.rnn.static_bidirectional_rnn": "use tf.nn.bidirectional_dynamic_rnn",
    "contrib.rnn.static_state_saving_rnn": _DRIVER,
    "contrib.rnn": _OWN_CELL,
    "contrib.seq2seq.sequence_loss": "use rg.sparse_softmax_cross_entropy(labels, logits, lengths=lengths)",
    "contrib.seq2seq": _BY_STEP,
    "contrib.training": _BATCHES,
    "control_dependencies": "nodes have values and no side effects; leave it out",
    "data": f"feed NumPy arrays: program.inference({{X: batch}}); {_BATCHES}",
    "device": "there are no devices to choose; leave it out",
    "estimator": _TRAIN,
    "flags": _PYTHON,
    "float16": _DTYPE,
    "get_collection": _NO_GRAPH,
    "get_default_graph": _NO_GRAPH,
    "get_default_session": _RUN,
    "get_variable_scope": _SCOPE,
    "gfile": _PYTHON,
    "global_norm": _CLIP,
    "global_variables": "use program.parameters",
    "global_variables_initializer": _VARIABLES,
    "gradients": _GRADIENTS,
    "half": _DTYPE,
    "initialize_all_variables": _VARIABLES,
    "initialize_variables": _VARIABLES,
    "int8": _DTYPE,
    "int16": _DTYPE,
    "keras": "use the cells of tf.nn.rnn_cell and tf.layers.dense",
    "layers.BatchNormalization": _BATCH_NORM,
    "layers.dropout": _DROPOUT,
    "layers.Dense": "use tf.layers.dense",
    "local_variables_initializer": _VARIABLES,
    "logging": _PYTHON,
    "losses": "write it with tf.reduce_mean and the functions of tf",
    "map_fn": _LOOP,
    "nn.batch_normalization": _BATCH_NORM,
    "nn.fused_batch_norm": _BATCH_NORM,
    "nn.conv1d": "use tf.layers.conv1d, which owns its kernel",
    "nn.ctc_beam_search_decoder": _DECODER,
    "nn.ctc_greedy_decoder": _DECODER,
    "nn.ctc_loss": (
        "use rg.ctc_loss(labels, logits, label_lengths, logit_lengths, blank_index=classes - 1) with labels that are "
        "padded ints and logits [batch, time, classes]"
    ),
    "nn.l2_loss": "write tf.reduce_sum(tf.square(t)) / 2",
    "nn.raw_rnn": _LOOP,
    "nn.rnn": _DRIVER,
    "nn.rnn_cell.DeviceWrapper": "there are no devices to choose; leave it out",
    "nn.rnn_cell": _OWN_CELL,
    "nn.static_bidirectional_rnn": "use tf.nn.bidirectional_dynamic_rnn",
    "nn.static_state_saving_rnn": _DRIVER,
    "no_op": "nodes have values and no side effects; leave it out",
    "placeholder_v2": "use tf.placeholder",
    "random_normal": _RANDOM,
    "random_uniform": _RANDOM,
    "report_uninitialized_variables": _VARIABLES,
    "reset_default_graph": _NO_GRAPH,
    "rnn": _DRIVER,
    "scan": _LOOP,
    "sequence_mask": "give lengths= to a loss such as rg.sparse_softmax_cross_entropy",
    "set_random_seed": _SEED,
    "shape": _SHAPE,
    "sparse_placeholder": "use tf.placeholder with dense arrays",
    "string": _DTYPE,
    "summary": "take the value as an output of rg.compile and log it in Python",
    "test": _PYTHON,
    "train": _TRAIN,
    "train.AdagradOptimizer": (
        f"{_COMPILED}rg.Trainer(program, rg.Adagrad(rate, initial_accumulator=0.1, epsilon=0.0)), which is TensorFlow's"
    ),
    "train.AdamOptimizer": f"{_COMPILED}rg.Trainer(program, rg.Adam(rate)); its epsilon is added to the corrected root",
    "train.GradientDescentOptimizer": f"{_COMPILED}rg.Trainer(program, rg.SGD(rate))",
    "train.MomentumOptimizer": f"{_COMPILED}rg.Trainer(program, rg.SGD(rate, momentum=0.9, nesterov=False))",
    "train.Optimizer": "write its equations as a subclass of rg.Optimizer with slots() and update()",
    "train.RMSPropOptimizer": (
        f"{_COMPILED}rg.Trainer(program, rg.RMSProp(rate, epsilon=1e-10, initial_square=1.0, epsilon_in_root=True, "
        "rate_in_momentum=True)), which is TensorFlow's; by itself its mean of squares begins with 0, not with 1, and "
        "epsilon is added to the root"
    ),
    "train.Saver": f"{_SAVE}; to resume training, the save and load methods of an rg.Trainer",
    "train.Checkpoint": "use the save and load methods of an rg.Trainer",
    "train.CheckpointManager": "give checkpoint= to the fit method of an rg.Trainer",
    "train.batch": _BATCHES,
    "train.cosine_decay": "use rg.CosineDecay(initial, decay_steps) as an optimizer's learning rate",
    "train.create_global_step": _COUNT,
    "train.exponential_decay": (
        "use rg.ExponentialDecay(initial, decay_steps, decay_rate) as an optimizer's learning rate"
    ),
    "train.get_global_step": _COUNT,
    "train.get_or_create_global_step": _COUNT,
    "train.global_step": _COUNT,
    "train.inverse_time_decay": _RATE,
    "train.natural_exp_decay": _RATE,
    "train.piecewise_constant": "use rg.PiecewiseConstant(boundaries, values) as an optimizer's learning rate",
    "train.polynomial_decay": (
        "use rg.PolynomialDecay(initial, decay_steps, final, power) as an optimizer's learning rate"
    ),
    "train.shuffle_batch": _BATCHES,
    "trainable_variables": "use program.parameters",
    "truncated_normal": "use tf.truncated_normal_initializer() with tf.get_variable",
    "variable_scope": _SCOPE,
    "variables_initializer": _VARIABLES,
    "while_loop": _LOOP,
}
"""Of a path or of all paths under it, whichever is longer."""

OFFERED = (functions, activations)
"""Modules whose functions rnngraph has under their own names."""


def not_offered(path: str) -> NotOfferedError:
    """The error for ``tf.<path>``: it names what to use instead."""
    return NotOfferedError(f"tf.{path} is not offered; {remedy(path)}")


def remedy(path: str) -> str:
    known = path
    while known:
        if known in INSTEAD:
            return INSTEAD[known]
        known = known.rpartition(".")[0]
    name = path.rpartition(".")[2]
    if any(getattr(getattr(module, name, None), "__module__", "") == module.__name__ for module in OFFERED):
        return f"use rg.{name}, from import rnngraph as rg"
    return "write it with the functions of rnngraph that dir(rnngraph) lists, such as rg.where, rg.matmul and rg.exp"
