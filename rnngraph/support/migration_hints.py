"""Replacements for names and keywords of Keras, torch, TensorFlow, JAX and NumPy.

For a name or keyword that is in no table, the error lists the valid ones.
"""

from __future__ import annotations

_RNN = "outputs, state = rg.dynamic_rnn(rg.BasicRNNCell(units), x)"
_LSTM = "outputs, state = rg.dynamic_rnn(rg.LSTMCell(units), x)"
_GRU = "outputs, state = rg.dynamic_rnn(rg.GRUCell(units, reset_after=True), x)"
_DENSE = "rg.dense(x, units)"
_STACK = "rg.MultiRNNCell([rg.GRUCell(units) for _ in range(layers)])"
_BOTH_WAYS = "(forward, backward), states = rg.bidirectional_dynamic_rnn(cell_fw, cell_bw, x)"
_DROP = "rg.DropoutWrapper(cell, input_keep_prob=0.8), with the probability to keep, which is 1 - dropout"
_DROP_STATE = "rg.DropoutWrapper(cell, state_keep_prob=0.8, variational_recurrent=True), with the probability to keep"
_DROPOUT = "rg.dropout(x, keep_prob), with the probability to keep, which is 1 - rate"
_LENGTHS = "rg.dynamic_rnn(cell, x, sequence_length=lengths)"
_MASK = "rg.dynamic_rnn(cell, x, mask=rg.reduce_any(rg.not_equal(x, 0), axis=2))"
_BACKWARDS = "reverse=True of rg.dynamic_rnn, whose outputs stay beside their inputs; Keras' are outputs[:, ::-1]"
_SPARSE = "rg.sparse_softmax_cross_entropy(labels, logits)"
_HEADS = "rg.matmul(rg.softmax(rg.matmul(q, rg.transpose(k, (0, 2, 1))) / width**0.5), v) of each head's columns"
_BATCH_NORM = "rg.batch_normalization(x)"
_OWN = "a subclass of rg.Cell with state() and step(p, x, state)"
_MODEL = "functions of Tensors, and program = rg.compile(outputs, loss=loss)"
_FIT = "rg.Trainer(program, rg.Adam(1e-3)).fit({x: inputs, y: labels})"
_INITIAL = "program.parameters[name] = array once the program is compiled, or initializer= of rg.parameter"
_PENALTY = "rg.reduce_sum(rg.square(weights)) added to the loss, or weight_decay= of an optimizer"
_ADAMS = "rg.Adam(1e-3), rg.AdamW(1e-3), rg.RMSProp(1e-3), rg.Adagrad(1e-2) or rg.SGD(0.1)"
_CLIP = "rg.Trainer(program, optimizer, clip_norm=1.0)"
_CLIP_VALUE = "rg.Trainer(program, optimizer, clip_value=0.5)"
_MAX_POOL = "rg.max_pool1d(x, pool_size, strides, padding) of x [batch, time, width]"
_MEAN_POOL = "rg.average_pool1d(x, pool_size, strides, padding) of x [batch, time, width]"
_PAD = "rg.pad(x, paddings, mode), with (before, after) of every axis"
_DTYPE = 'dtype="float32" of rg.placeholder; what is computed of it has that dtype'
_ON_CPU = "it runs on the CPU, and threads= of rg.compile says on how many cores"
_CPU = f"nothing; {_ON_CPU}"
_SKLEARN = "rnngraph.sklearn.SequenceClassifier(cell=..., units=...)"
_ENGINES = "nothing; programs pickle, and Ray, Dask, joblib and pools of processes take them as they are"
_PROFILE = "program.inference.profile(feeds), of training and of a Trainer too"
_PLOT = 'program.plot("net.svg")'
_MEASURE = "metrics={name: a Tensor, or a function of (result, feeds)} of the fit of an rg.Trainer"
_CALLBACKS = "callbacks= of the fit of an rg.Trainer: functions of (trainer, row)"
_INFERENCE = "program.inference(x=batch), without gradients"
_SEED = "seed= of rg.compile, and seed= of program.training"

NAMES: dict[str, str] = {
    # Inspection
    "profile": _PROFILE, "profiler": _PROFILE, "Profiler": _PROFILE, "record_function": _PROFILE,
    "start_trace": _PROFILE, "ProfilerActivity": _PROFILE,
    # Layers and cells
    "RNN": _RNN, "SimpleRNN": _RNN, "RNNBase": _RNN, "LSTM": _LSTM, "CuDNNLSTM": _LSTM, "GRU": _GRU, "CuDNNGRU": _GRU,
    "OptimizedLSTMCell": "rg.LSTMCell(units)", "SimpleCell": "rg.BasicRNNCell(units)", "MGUCell": _OWN,
    "SimpleRNNCell": "rg.BasicRNNCell(units)", "RNNCell": f"rg.BasicRNNCell(units), or {_OWN}",
    "RNNCellBase": _OWN, "AbstractRNNCell": _OWN, "Layer": _OWN, "LSTMBlockCell": "rg.LSTMCell(units)",
    "StackedRNNCells": _STACK, "StackedRNN": _STACK, "StackedLSTM": _STACK,
    "Bidirectional": _BOTH_WAYS, "BiLSTM": _BOTH_WAYS, "BiGRU": _BOTH_WAYS, "BiRNN": _BOTH_WAYS,
    "raw_rnn": "rg.dynamic_decode(cell, first_input, next_input, max_steps)",
    "TimeDistributed": "rg.dense(x, units), which works on the last axis of x [batch, time, width]",
    "ConvLSTM1D": f"{_OWN}, whose state is a flat width", "ConvLSTM2D": f"{_OWN}, whose state is a flat width",
    "scan": _OWN + ", run by rg.dynamic_rnn", "while_loop": _OWN + ", run by rg.dynamic_rnn",
    "Linear": _DENSE, "Dense": _DENSE, "fully_connected": _DENSE, "LazyLinear": _DENSE,
    "Embedding": "rg.embedding(ids, vocabulary, width)", "Embed": "rg.embedding(ids, vocabulary, width)",
    "Masking": f"{_MASK}, or {_LENGTHS}", "pack_padded_sequence": _LENGTHS, "pad_packed_sequence": _LENGTHS,
    "pack_sequence": _LENGTHS, "PackedSequence": _LENGTHS, "sequence_mask": "lengths= of a loss or sequence_length=",
    "pad_sequence": f"{_FIT}, which pads lists of sequences", "pad_sequences": f"{_FIT}, which pads lists of sequences",
    "Dropout": _DROPOUT, "SpatialDropout1D": _DROPOUT, "AlphaDropout": _DROPOUT, "GaussianDropout": _DROPOUT,
    "RNNDropout": _DROP, "Zoneout": "rg.ZoneoutWrapper(cell, state_keep_prob=0.9)",
    "GaussianNoise": "x + rg.by_graph(training=rg.random_normal(x, stddev=0.1), inference=0.0)",
    "LayerNormalization": "rg.layer_norm(x, gamma, beta)", "LayerNorm": "rg.layer_norm(x, gamma, beta)",
    "LayerNormLSTMCell": "rg.LayerNormBasicLSTMCell(units)", "embedding_lookup": "rg.gather(table, ids)",
    "BatchNormalization": _BATCH_NORM, "BatchNorm1d": f"{_BATCH_NORM}, whose momentum is 1 - torch's",
    "BatchNorm": _BATCH_NORM, "batch_norm": _BATCH_NORM, "moving_averages": "rg.with_update(x, average, value)",
    "assign": "rg.with_update(x, parameter, value)", "register_buffer": "rg.parameter(name, shape, trainable=False)",
    "Conv1D": "rg.conv1d(x, filters, kernel_size)", "Conv": "rg.conv1d(x, filters, kernel_size)",
    "MaxPooling1D": _MAX_POOL, "MaxPool1d": _MAX_POOL, "max_pooling1d": _MAX_POOL, "max_pool": _MAX_POOL,
    "AveragePooling1D": _MEAN_POOL, "AvgPool1d": _MEAN_POOL, "average_pooling1d": _MEAN_POOL, "avg_pool1d": _MEAN_POOL,
    "DepthwiseConv1D": "rg.conv1d(x, width, kernel_size, groups=width)",
    "ZeroPadding1D": _PAD, "ConstantPad1d": _PAD, "ReflectionPad1d": _PAD, "ReplicationPad1d": _PAD,
    "GlobalAveragePooling1D": "rg.reduce_mean(x, axis=1)", "GlobalMaxPooling1D": "rg.reduce_max(x, axis=1)",
    "GlobalAvgPool1D": "rg.reduce_mean(x, axis=1)", "GlobalMaxPool1D": "rg.reduce_max(x, axis=1)",
    "Convolution1D": "rg.conv1d(x, filters, kernel_size)", "unpad_sequence": _LENGTHS, "unpack_sequence": _LENGTHS,
    "Attention": "rg.matmul(rg.softmax(rg.matmul(q, rg.transpose(k, (0, 2, 1)))), v)",
    "AdditiveAttention": "rg.matmul(rg.softmax(rg.reduce_sum(scale * rg.tanh(q + k), -1)), v)",
    "MultiHeadAttention": _HEADS, "MultiheadAttention": _HEADS, "MultiHeadDotProductAttention": _HEADS,
    "Activation": "a function such as rg.relu(x)", "Lambda": "a Python function of Tensors",
    "Flatten": "rg.reshape(x, [None, -1])", "view": "rg.reshape(x, shape)", "Permute": "rg.transpose(x, perm)",
    "RepeatVector": "rg.tile(rg.expand_dims(x, 1), [1, n, 1])", "repeat_interleave": "rg.repeat(x, repeats, axis)",
    "concatenate": "rg.concat([a, b], axis=-1)", "cat": "rg.concat([a, b], axis=-1)",
    "Input": 'rg.placeholder("x", shape=(None, None, width))', "InputLayer": 'rg.placeholder("x", shape=(None, width))',
    # Functions
    "dot": "rg.matmul(a, b)", "bmm": "rg.matmul(a, b)", "batch_dot": "rg.matmul(a, b)",
    "batch_matmul": "rg.matmul(a, b)", "mm": "rg.matmul(a, b)",
    "sum": "rg.reduce_sum(x, axis)", "mean": "rg.reduce_mean(x, axis)",
    "max": "rg.reduce_max(x, axis), or rg.maximum(a, b)", "min": "rg.reduce_min(x, axis), or rg.minimum(a, b)",
    "amax": "rg.reduce_max(x, axis)", "amin": "rg.reduce_min(x, axis)",
    "prod": "rg.reduce_prod(x, axis)", "reduce_logsumexp": "rg.logsumexp(x, axis)", "topk": "rg.top_k(x, k)",
    "var": "rg.reduce_var(x, axis)", "std": "rg.reduce_std(x, axis)", "reduce_variance": "rg.reduce_var(x, axis)",
    "msort": "rg.sort(x, 0)", "kthvalue": "rg.sort(x)[..., k - 1]", "nanmedian": "rg.nanquantile(x, 0.5, axis)",
    "RMSNorm": "rg.rms_norm(x, gamma)", "GroupNorm": "rg.group_norm(x, groups, gamma, beta, axis=1)",
    "RMSNormalization": "rg.rms_norm(x, gamma)", "GroupNormalization": "rg.group_norm(x, groups, gamma, beta)",
    "cumulative_logsumexp": "rg.logcumsumexp(x, axis)",
    "any": "rg.reduce_any(x, axis)", "all": "rg.reduce_all(x, axis)",
    "tree_map": "rg.map_structure(function, nest)", "nest": "rg.map_structure(function, nest)",
    "Hardsigmoid": "rg.hard_sigmoid_keras3(x), that is clip(x / 6 + 0.5, 0, 1)",
    "add": "a + b", "subtract": "a - b", "multiply": "a * b", "mul": "a * b", "divide": "a / b", "pow": "a ** b",
    "negative": "-x", "greater_equal": "a >= b", "less_equal": "a <= b", "eq": "rg.equal(a, b)",
    "clip_by_value": "rg.clip(x, low, high)", "clamp": "rg.clip(x, low, high)", "silu": "rg.swish(x)",
    "astype": "rg.cast(x, dtype)", "to_float": 'rg.cast(x, "float32")', "unsqueeze": "rg.expand_dims(x, axis)",
    "permute": "rg.transpose(x, perm)", "movedim": "rg.moveaxis(x, source, destination)", "chunk": "rg.split(x, parts)",
    "unbind": "rg.unstack(x, axis)", "reverse": "rg.flip(x, axis)", "matrix_diag": "rg.diag_embed(x)",
    "take": "rg.gather(table, indices, axis)", "index_select": "rg.gather(table, indices, axis)",
    "take_along_dim": "rg.take_along_axis(x, indices, axis)", "scatter": "rg.put_along_axis(x, indices, values, axis)",
    "scatter_add": 'rg.put_along_axis(x, indices, values, axis, mode="add")', "diag_part": "rg.diagonal(x)",
    "zeros": "rg.constant(np.zeros(shape))", "ones": "rg.constant(np.ones(shape))", "tensor": "rg.constant(value)",
    "array": "rg.constant(value)", "as_tensor": "rg.constant(value)", "convert_to_tensor": "rg.constant(value)",
    "Variable": 'rg.parameter("name", shape)', "get_variable": 'rg.parameter("name", shape)',
    "Parameter": 'rg.parameter("name", shape)', "detach": "rg.stop_gradient(x)", "cond": "rg.where(condition, a, b)",
    "to_categorical": "rg.one_hot(indices, depth)", "rand": "rg.random_uniform(like)",
    "multinomial": "rg.sample(logits)",
    "randn": "rg.random_normal(like)", "arange": "rg.positions(x, axis)",
    "masked_fill": "rg.where(mask, value, x)",
    "glorot_uniform": _INITIAL, "xavier_uniform": _INITIAL, "orthogonal": _INITIAL, "xavier_uniform_": _INITIAL,
    "orthogonal_": _INITIAL, "L2": _PENALTY, "L1": _PENALTY,
    # Losses and metrics
    "CrossEntropyLoss": _SPARSE, "cross_entropy": _SPARSE, "NLLLoss": _SPARSE, "nll_loss": _SPARSE,
    "SparseCategoricalCrossentropy": _SPARSE, "sparse_categorical_crossentropy": _SPARSE,
    "sequence_loss": f"{_SPARSE}, with lengths=",
    "CategoricalCrossentropy": "rg.softmax_cross_entropy(labels, logits)",
    "categorical_crossentropy": "rg.softmax_cross_entropy(labels, logits)",
    "BinaryCrossentropy": "rg.sigmoid_cross_entropy(labels, logits)",
    "BCEWithLogitsLoss": "rg.sigmoid_cross_entropy(labels, logits)",
    "BCELoss": "rg.sigmoid_cross_entropy(labels, logits), of logits",
    "MSELoss": "rg.mean_squared_error(labels, predictions)", "mse_loss": "rg.mean_squared_error(labels, predictions)",
    "MeanSquaredError": "rg.mean_squared_error(labels, predictions)",
    "L1Loss": "rg.absolute_difference(labels, predictions)",
    "MeanAbsoluteError": "rg.absolute_difference(labels, predictions)",
    "SmoothL1Loss": "rg.huber_loss(labels, predictions)", "Huber": "rg.huber_loss(labels, predictions)",
    "CTCLoss": "rg.ctc_loss(labels, logits)", "CTC": "rg.ctc_loss(labels, logits)",
    "SparseCategoricalAccuracy": "rg.accuracy(labels, logits)", "Precision": _MEASURE, "Recall": _MEASURE,
    "AUC": _MEASURE, "F1Score": _MEASURE, "Metric": _MEASURE,
    # Training
    "Adadelta": _ADAMS, "Adamax": _ADAMS, "NAdam": _ADAMS, "Nadam": _ADAMS, "Lion": _ADAMS, "Ftrl": _ADAMS,
    "LBFGS": _ADAMS, "Adafactor": _ADAMS, "AdamOptimizer": "rg.Adam(1e-3)", "GradientDescentOptimizer": "rg.SGD(0.1)",
    "RMSPropOptimizer": "rg.RMSProp(1e-3)", "AdagradOptimizer": "rg.Adagrad(1e-2)",
    "MomentumOptimizer": "rg.SGD(0.1, momentum=0.9)", "optim": _ADAMS,
    "MultiStepLR": "rg.PiecewiseConstant(boundaries, values)", "LambdaLR": "rg.Adam(lambda update: rate)",
    "OneCycleLR": "rg.WarmUp(steps, rg.CosineDecay(initial, decay_steps))", "inference_mode": _INFERENCE,
    "set_num_threads": "threads= of rg.compile, or program.threads = n", "Callback": _CALLBACKS,
    "StepLR": "rg.ExponentialDecay(initial, decay_steps, decay_rate, staircase=True)",
    "ExponentialLR": "rg.ExponentialDecay(initial, decay_steps, decay_rate)",
    "CosineAnnealingLR": "rg.CosineDecay(initial, decay_steps)", "LinearLR": "rg.PolynomialDecay(initial, decay_steps)",
    "ReduceLROnPlateau": "rg.Adam(rg.ReduceOnPlateau(1e-3)) as the optimizer of an rg.Trainer",
    "LearningRateScheduler": "a schedule such as rg.CosineDecay(initial, decay_steps), or rg.Adam(lambda update: rate)",
    "EarlyStopping": "patience= of the fit of an rg.Trainer",
    "ModelCheckpoint": "checkpoint= of the fit of an rg.Trainer",
    "remat": "rg.Trainer(program, recompute=256)", "recompute_grad": "rg.Trainer(program, recompute=256)",
    "TensorBoard": _CALLBACKS, "TensorDataset": f"{_FIT}, which makes batches and shuffles",
    "clip_grad_norm_": _CLIP, "clip_grad_norm": _CLIP, "clip_by_global_norm": _CLIP, "clip_grad_value_": _CLIP_VALUE,
    "Sequential": _MODEL, "Model": _MODEL, "Module": _MODEL, "Session": 'program.inference(x=batch)["logits"]',
    "fit": _FIT, "train": _FIT, "minimize": _FIT, "DataLoader": f"{_FIT}, which makes batches and shuffles",
    "Dataset": f"{_FIT}, which makes batches and shuffles", "no_grad": _INFERENCE,
    "grad": "program.training.gradients(x=batch, y=labels)",
    "gradients": "program.training.gradients(x=batch, y=labels)",
    "GradientTape": "program.training.gradients(x=batch, y=labels)", "jit": "rg.compile(outputs, loss=loss)",
    "export_onnx": "rg.write_onnx(program, path)", "to_onnx": "rg.write_onnx(program, path)",
    "load_model": "rg.load(path); of Keras' own files rg.read_keras(path).program()",
    "function": "rg.compile(outputs, loss=loss)", "save": "program.save(path)",
    "plot_model": _PLOT, "model_to_dot": _PLOT, "make_dot": _PLOT, "draw_graph": _PLOT,
    "KerasClassifier": _SKLEARN, "NeuralNetClassifier": _SKLEARN, "DataParallel": _ENGINES, "distribute": _ENGINES,
    "KerasRegressor": _SKLEARN.replace("Classifier", "Regressor"),
    "manual_seed": _SEED, "set_random_seed": _SEED, "device": _CPU, "cuda": _CPU, "nn": "the same names, on rg itself",
    "functional": "the same names, on rg itself",
    "layers": "rg.dense, rg.conv1d and rg.embedding", "losses": _SPARSE, "optimizers": _ADAMS,
}  # fmt: skip
"""Replacements for ``rg.NAME``. Lookup ignores case and underscores."""

_DROP_CELL = f"wrap the cell: {_DROP}"
_LAYERS = f"stack cells: {_STACK}"
_INPUT_SIZE = "leave it out; the width of the input is found"
_BIAS = f"the cell has its biases; for one without write {_OWN}"
_NOT_HERE = "leave it out"
_SET = "set program.parameters[name] after compile"
_CONSTRAINT = "leave it out; after each step set program.parameters[name] to what the constraint makes of it"
_PLACES = "leave it out; outputs of all steps and the last state both come of rg.dynamic_rnn"

_COMMON = {
    "device": f"leave it out; {_ON_CPU}", "dtype": f"leave it out; write {_DTYPE}", "name": _NOT_HERE,
    "factory_kwargs": _NOT_HERE, "kernel_initializer": f"write {_INITIAL}", "bias_initializer": f"write {_INITIAL}",
    "recurrent_initializer": f"write {_INITIAL}", "initializer": f"write {_INITIAL}",
    "kernel_regularizer": f"write {_PENALTY}", "bias_regularizer": f"write {_PENALTY}",
    "recurrent_regularizer": f"write {_PENALTY}", "activity_regularizer": f"write {_PENALTY}",
    "kernel_constraint": _CONSTRAINT, "bias_constraint": _CONSTRAINT, "recurrent_constraint": _CONSTRAINT,
    "trainable": "write only= of rg.Trainer", "lora_rank": _NOT_HERE, "lora_alpha": _NOT_HERE,
    "quantization_config": "write weights=\"int8\", activations=\"int8\" of rg.compile",
    "sparsity": "write prune=rg.Prune(density) of rg.Trainer, and sparse=True of rg.compile",
    "training": "leave it out; program.training drops and program.inference does not", "seed": f"write {_SEED}",
    "keep_dims": "write keepdims", "dim": "write axis", "keepdim": "write keepdims",
}  # fmt: skip
_CELL = {
    "units": "write num_units", "hidden_size": "write num_units", "input_size": _INPUT_SIZE,
    "features": "write num_units", "num_layers": _LAYERS, "cells": _LAYERS, "dropout": _DROP_CELL,
    "dropout_rate": _DROP_CELL, "keep_prob": _DROP_CELL, "recurrent_dropout": f"wrap the cell: {_DROP_STATE}",
    "bidirectional": f"write {_BOTH_WAYS}",
    "batch_first": "leave it out; rg.dynamic_rnn takes [batch, time, width] unless time_major=True",
    "return_sequences": _PLACES, "return_state": _PLACES, "go_backwards": f"write {_BACKWARDS}",
    "stateful": "use program.inference.stream(), or carry=True of a Trainer's step",
    "unroll": "write unroll= of rg.compile", "time_major": "write time_major= of rg.dynamic_rnn", "use_bias": _BIAS,
    "bias": _BIAS, "nonlinearity": "write activation",
    "unit_forget_bias": "write forget_bias=1.0, which is added at each step",
    "reset_after": "write rg.GRUCell(units, reset_after=True)", "implementation": _NOT_HERE, "use_cudnn": _NOT_HERE,
    "proj_size": "write num_proj= of rg.LSTMCell", "zero_output_for_mask": "write it to rg.dynamic_rnn, with mask=",
    "cell": _STACK, "mask": f"write {_MASK}", "reuse": "write rg.shared(cell)",
}  # fmt: skip
_OPTIMIZER = {
    "lr": "write learning_rate", "beta_1": "write beta1", "beta_2": "write beta2", "betas": "write beta1 and beta2",
    "eps": "write epsilon", "rho": "write decay", "alpha": "write decay",
    "params": "leave it out; only= of rg.Trainer chooses parameters",
    "initial_accumulator_value": "write initial_accumulator", "lr_decay": "write rate_decay",
    "decay": "write a schedule for the learning rate, such as rg.ExponentialDecay(initial, decay_steps, decay_rate)",
    "clipnorm": f"write {_CLIP}", "global_clipnorm": f"write {_CLIP}", "clipvalue": f"write {_CLIP_VALUE}",
    "gradient_accumulation_steps": "write accumulate= of rg.Trainer", "amsgrad": f"use {_ADAMS}", "use_ema": _NOT_HERE,
    "ema_momentum": _NOT_HERE, "ema_overwrite_frequency": _NOT_HERE, "loss_scale_factor": _NOT_HERE,
    "dampening": _NOT_HERE, "maximize": "minimise -loss", "foreach": _NOT_HERE,
    "fused": "leave it out; updates are fused", "capturable": _NOT_HERE, "differentiable": _NOT_HERE,
    "decoupled_weight_decay": "use rg.AdamW", "name": _NOT_HERE, "momentum": "use rg.SGD(0.1, momentum=0.9)",
    "nesterov": "use rg.SGD(0.1, momentum=0.9, nesterov=True)", "use_locking": _NOT_HERE,
}  # fmt: skip
_TRAINER = {
    "loss": "write loss= of rg.compile", "metrics": "write metrics= of fit",
    "lr": "write rg.Adam(1e-3) as the optimizer", "learning_rate": "write rg.Adam(1e-3) as the optimizer",
    "max_norm": "write clip_norm", "clipnorm": "write clip_norm", "clipvalue": "write clip_value",
    "gradient_accumulation_steps": "write accumulate", "gradient_checkpointing": "write recompute",
    "model": "write program", "epochs": "write epochs= of fit", "batch_size": "write batch_size= of fit",
    "trainable": "write only",
}  # fmt: skip
_EXAMPLES = "write examples, as (x, y) or one mapping {x: inputs, y: labels} of placeholders, or of their names"
_READING = {
    "x": _EXAMPLES, "y": _EXAMPLES, "X": _EXAMPLES, "data": _EXAMPLES, "dataset": _EXAMPLES, "inputs": _EXAMPLES,
    "targets": _EXAMPLES, "sequence_length": "write lengths",
    "sample_weight": "feed a placeholder that is weights= of the loss",
    "workers": "write threads= of rg.compile", "use_multiprocessing": "write threads= of rg.compile",
    "num_workers": "write threads= of rg.compile", "max_queue_size": _NOT_HERE, "drop_last": _NOT_HERE,
    "collate_fn": "leave it out; lists of sequences are padded", "pin_memory": _NOT_HERE,
}  # fmt: skip
"""Keywords of every function that takes examples."""
_RUNNING = _READING | {
    "verbose": _NOT_HERE,
    "steps": "leave it out; all examples are run",
    "callbacks": _NOT_HERE,
    "shuffle": "leave it out; results do not depend on the order",
}
_FITTING = _READING | {
    "validation_data": "write validation", "validation_split": "write validation=0.2, the share of the examples",
    "class_weight": 'write class_weights={label: weight}, or class_weights="balanced"',
    "verbose": "write progress=True or progress=False",
    "initial_epoch": "leave it out; resume= goes on from a checkpoint", "validation_steps": _NOT_HERE,
    "validation_freq": _NOT_HERE, "validation_batch_size": "write batch_size", "num_epochs": "write epochs",
    "nb_epoch": "write epochs", "n_epochs": "write epochs", "early_stopping": "write patience=3",
    "restore_best_weights": "write keep_best", "save_best_only": "write keep_best", "filepath": "write checkpoint",
    "save_freq": "write checkpoint_every", "min_delta": _NOT_HERE, "baseline": _NOT_HERE,
    "sampler": "write shuffle=False and order the examples", "loss": "write loss= of rg.compile",
    "optimizer": "write rg.Trainer(program, optimizer)", "lr": "write rg.Trainer(program, rg.Adam(1e-3))",
    "clip_norm": f"write {_CLIP}",
}  # fmt: skip
_COMPILING = {
    "optimizer": "write rg.Trainer(program, optimizer)", "metrics": "write metrics= of a Trainer's fit",
    "inputs": "leave it out; inputs are the placeholders that outputs read",
    "loss_weights": "add up the losses, each times its weight", "weighted_metrics": "write weights= of rg.accuracy",
    "run_eagerly": "leave it out; check, taps and show look inside", "jit_compile": "leave it out; all is compiled",
    "steps_per_execution": _NOT_HERE, "mode": _NOT_HERE, "dynamic": "leave it out; sizes of None are open",
    "fullgraph": _NOT_HERE, "backend": "write target", "quantize": "write weights=\"int8\"",
    "recompute": "write recompute= of rg.Trainer and of training.gradients", "auto_scale_loss": _NOT_HERE,
    "num_threads": "write threads", "device": f"leave it out; {_ON_CPU}", "dtype": f"leave it out; write {_DTYPE}",
}  # fmt: skip
_DRIVER = {
    "lengths": "write sequence_length", "seq_lengths": "write sequence_length", "input": "write inputs",
    "hx": "write initial_state", "h0": "write initial_state", "initial_carry": "write initial_state",
    "x": "write inputs", "batch_first": "leave it out, or write time_major=True", "return_sequences": _PLACES,
    "return_state": _PLACES, "parallel_iterations": _NOT_HERE, "swap_memory": _NOT_HERE,
    "go_backwards": f"write {_BACKWARDS}", "unroll": "write unroll= of rg.compile",
    "merge_mode": "write rg.concat of both outputs, or their sum", "layer": "write cell_fw and cell_bw",
    "backward_layer": "write cell_bw", "enforce_sorted": "leave it out; rows may have any order",
    "total_length": "leave it out; outputs are as long as inputs",
    "stateful": "use program.inference.stream(), or carry=True of a Trainer's step",
}  # fmt: skip
_RATE = "write keep_prob, the probability to keep, which is 1 - rate"
_LOSS = {
    "y_true": "write labels", "y_pred": "write logits, or predictions", "target": "write labels",
    "input": "write logits, or predictions", "targets": "write labels",
    "from_logits": _NOT_HERE, "sample_weight": "write weights", "weight": "write weights=rg.gather(weights, labels)",
    "pos_weight": "write rg.sigmoid_cross_entropy(labels, logits, pos_weight=pos_weight)",
    "ignore_index": "write lengths, or weights of 0", "ignore_class": "write lengths, or weights of 0",
    "label_smoothing": "smooth the labels of rg.softmax_cross_entropy yourself",
    "size_average": 'write reduction="mean" or "sum"', "reduce": 'write reduction="none"',
    "axis": "leave it out; classes are the last axis", "mask": "write lengths, or weights of 0", "beta": "write delta",
    "blank": "write blank_index", "input_lengths": "write logit_lengths", "target_lengths": "write label_lengths",
    "zero_infinity": _NOT_HERE, "name": _NOT_HERE, "dtype": _NOT_HERE,
}  # fmt: skip

_SCHEDULE = {
    "optimizer": "leave it out; write rg.Adam(schedule)", "lr": "write initial", "alpha": "write final",
    "initial_learning_rate": "write initial", "gamma": "write decay_rate, or factor", "step_size": "write decay_steps",
    "T_max": "write decay_steps", "total_iters": "write decay_steps", "eta_min": "write final", "min_lr": "write final",
    "end_learning_rate": "write final", "milestones": "write boundaries", "threshold": "write min_delta",
    "threshold_mode": _NOT_HERE, "eps": _NOT_HERE, "start_factor": "write rg.WarmUp(steps, after)",
    "end_factor": "write final", "warmup_steps": "write rg.WarmUp(steps, after)", "last_epoch": _NOT_HERE,
    "verbose": _NOT_HERE,
}  # fmt: skip

KEYWORDS: dict[str, dict[str, str]] = {
    "estimator": {
        "hidden_size": "write units", "num_units": "write units", "num_layers": "write layers",
        "lr": "write learning_rate", "max_iter": "write epochs", "n_epochs": "write epochs",
        "early_stopping": "write patience",
    },
    "schedule": _SCHEDULE,
    "cell": _CELL, "optimizer": _OPTIMIZER, "driver": _DRIVER, "loss": _LOSS, "Trainer": _TRAINER, "fit": _FITTING,
    "compile": _COMPILING, "predict": _RUNNING, "evaluate": _RUNNING | {"return_dict": _NOT_HERE},
    "dense": {
        "bias": "write use_bias", "in_features": _INPUT_SIZE, "out_features": "write units", "features": "write units",
        "input_shape": _INPUT_SIZE, "input_dim": _INPUT_SIZE,
    },
    "embedding": {
        "input_dim": "write vocabulary", "num_embeddings": "write vocabulary", "output_dim": "write width",
        "embedding_dim": "write width", "features": "write width", "mask_zero": f"write {_LENGTHS}",
        "padding_idx": "write padding_id",
        "embeddings_initializer": "write rg.embedding(ids, table) of an rg.parameter",
        "embeddings_regularizer": f"write {_PENALTY}", "embeddings_constraint": _CONSTRAINT, "input_length": _NOT_HERE,
        "weights": "write rg.embedding(ids, table)", "_weight": "write rg.embedding(ids, table)",
        "_freeze": "write only= of rg.Trainer",
        "max_norm": _NOT_HERE, "norm_type": _NOT_HERE, "scale_grad_by_freq": _NOT_HERE, "sparse": _NOT_HERE,
    },
    "dropout": {"rate": _RATE, "p": _RATE, "noise_shape": "mask a slice, and multiply", "inplace": _NOT_HERE},
    "wrapper": {
        "rate": "write input_keep_prob, output_keep_prob or state_keep_prob, the probability to keep",
        "dropout": "write input_keep_prob, output_keep_prob or state_keep_prob, the probability to keep",
        "keep_prob": "write input_keep_prob, output_keep_prob or state_keep_prob",
        "recurrent_dropout": "write state_keep_prob, the probability to keep",
        "input_size": _INPUT_SIZE, "dtype": _NOT_HERE,
    },
    "conv1d": {
        "out_channels": "write filters", "features": "write filters", "in_channels": _INPUT_SIZE,
        "bias": "write use_bias", "dilation_rate": "write dilation", "stride": "write strides",
        "feature_group_count": "write groups",
        "data_format": "leave it out; x is [batch, time, width]",
        "padding_mode": 'leave it out; write padding="reflect", or rg.pad(x, paddings, mode) before it',
    },
    "max_pool1d": {
        "kernel_size": "write pool_size", "window_shape": "write pool_size", "stride": "write strides",
        "data_format": "leave it out; x is [batch, time, width]",
        "ceil_mode": 'write padding="same"', "dilation": "leave it out; the steps of a window stand side by side",
        "return_indices": "leave it out; rg.argmax tells which of several steps is largest",
    },
    "average_pool1d": {
        "kernel_size": "write pool_size", "window_shape": "write pool_size", "stride": "write strides",
        "data_format": "leave it out; x is [batch, time, width]", "ceil_mode": 'write padding="same"',
        "count_include_pad": "leave it out; steps of padding never count",
    },
    "pad": {
        "pad_width": "write paddings", "pad": "write paddings, (before, after) of every axis in order",
        "constant_values": "write value", "tensor": "write x", "input": "write x", "array": "write x",
    },
    "layer_norm": {
        "eps": "write epsilon", "weight": "write gamma", "bias": "write beta",
        "normalized_shape": "leave it out; it is the last axis",
        "axis": "leave it out; it is the last axis", "center": "leave beta out", "scale": "leave gamma out",
        "elementwise_affine": "leave gamma and beta out", "beta_initializer": "write beta, an rg.parameter",
        "gamma_initializer": "write gamma, an rg.parameter", "beta_regularizer": f"write {_PENALTY}",
        "gamma_regularizer": f"write {_PENALTY}", "beta_constraint": _CONSTRAINT, "gamma_constraint": _CONSTRAINT,
    },
    "batch_normalization": {
        "eps": "write epsilon", "num_features": "leave it out; it is x's size along axis",
        "affine": "write center and scale", "bias": "write center", "track_running_stats": _NOT_HERE,
        "synchronized": _NOT_HERE,
        "training": "leave it out; the training graph normalises by its batch, the inference graph by moving averages",
        "beta_initializer": _SET, "gamma_initializer": _SET, "moving_mean_initializer": _SET,
        "moving_variance_initializer": _SET, "beta_regularizer": f"write {_PENALTY}",
        "gamma_regularizer": f"write {_PENALTY}", "beta_constraint": _CONSTRAINT, "gamma_constraint": _CONSTRAINT,
        "fused": _NOT_HERE, "renorm": _NOT_HERE, "renorm_clipping": _NOT_HERE, "renorm_momentum": _NOT_HERE,
        "virtual_batch_size": _NOT_HERE,
    },
    "placeholder": {
        "batch_size": "write it as the first entry of shape", "batch_shape": "write shape", "size": "write shape",
        "sparse": _NOT_HERE, "ragged": f"write {_LENGTHS}", "tensor": _NOT_HERE, "optional": _NOT_HERE,
    },
    "export": {
        "batch_size": "write batch", "mode": "write form", "path": "write directory", "filepath": "write directory",
        "steps": 'leave it out; with form="sequence" each call says how many',
        "dynamic_axes": 'leave it out; with form="sequence" open sizes are arguments',
        "dynamic_shapes": 'leave it out; with form="sequence" open sizes are arguments',
    },
    "write_onnx": {
        "model": "write program", "f": "write path", "filepath": "write path", "output_path": "write path",
        "opset_version": "write opset", "target_opset": "write opset",
        "args": "leave it out; nothing is run", "input_names": "leave it out; inputs have the placeholders' names",
        "output_names": "leave it out; outputs have the program's names",
        "dynamic_axes": "leave it out; open sizes stay open", "dynamic_shapes": "leave it out; open sizes stay open",
        "input_signature": "leave it out; open sizes stay open",
    },
}  # fmt: skip
"""Replacements for keywords, by function or group of functions. ``_COMMON`` holds those of all functions."""

_GROUPS = {
    "estimator": ("SequenceClassifier", "SequenceRegressor"),
    "schedule": ("ExponentialDecay", "PolynomialDecay", "CosineDecay", "PiecewiseConstant", "ReduceOnPlateau"),
    "optimizer": ("SGD", "RMSProp", "Adagrad", "Adam", "AdamW", "Optimizer"),
    "driver": (
        "dynamic_rnn", "static_rnn", "bidirectional_dynamic_rnn", "stack_bidirectional_dynamic_rnn", "dynamic_decode",
    ),
    "loss": (
        "sparse_softmax_cross_entropy", "softmax_cross_entropy", "sigmoid_cross_entropy", "mean_squared_error",
        "absolute_difference", "huber_loss", "ctc_loss", "accuracy",
    ),
}  # fmt: skip

_BY_NAME = {name.lower().replace("_", ""): remedy for name, remedy in NAMES.items()}


def name_instead(name: str) -> str | None:
    """Return the replacement for another framework's name; None if unknown."""
    return _BY_NAME.get(name.lower().replace("_", ""))


def keyword_instead(function: str, keyword: str) -> str | None:
    """Return the replacement for a keyword of another framework's equivalent function; None if unknown."""
    group = next((group for group, names in _GROUPS.items() if function in names), function)
    if function.endswith(("Cell", "Wrapper")):
        group = "cell" if function.endswith("Cell") else "wrapper"
    return KEYWORDS.get(group, {}).get(keyword) or _COMMON.get(keyword)
