"""Groups of workloads: the measurements of each, and the cells of its table."""

from __future__ import annotations

from . import (
    alone,
    beside,
    compiling,
    convolutions,
    few_units,
    large,
    pictures,
    pools,
    products,
    profiles,
    quantized,
    real_engines,
    recomputing,
    recurrences,
    sparse,
)
from .basis import Group, Options, Record

__all__ = ["GROUPS", "Group", "Options", "Record"]

GROUPS = (
    Group("inference", "Inference", beside.inference, beside.time_cells),
    Group("cells", "Inference of the further cells", beside.cells, beside.time_cells),
    Group(
        "reduced",
        "Inference with narrow weights: speedup over float32",
        alone.reduced,
        alone.reduced_cells,
    ),
    Group("sparse", "A step with weights that are zero by blocks", sparse.sparse, sparse.sparse_cells),
    Group(
        "quantized",
        "int8 weights and activations, compared with onnxruntime's dynamic quantization",
        quantized.quantized,
        quantized.quantized_cells,
    ),
    Group("convolutions", "Convolutions over time", convolutions.convolutions, beside.time_cells),
    Group("pictures", "Text in pictures: processor seconds of CRNNs", pictures.pictures, pictures.pictures_cells),
    Group("training", "Training: the loss and all gradients", beside.training, beside.time_cells),
    Group("products", "Batched matrix products", products.products, beside.time_cells),
    Group("onestep", "One step that carries its state", beside.one_step, beside.one_step_cells),
    Group(
        "few-units",
        "Layers of few units, one row: scans that share a loop, compared with scans in turn",
        few_units.few_units,
        few_units.few_units_cells,
    ),
    Group("threads", "Two threads, or --threads, also for peers", beside.threads, beside.threads_cells),
    Group(
        "lengths",
        "Rows that end early: ratios to a call without lengths; peers at a mean length of 50 %",
        beside.lengths,
        beside.lengths_cells,
    ),
    Group("step", "A trainer's step: gradients, clipping by their norm, Adam", alone.step, alone.step_cells),
    Group("calls", "Calls from Python, and the native calls that they make", alone.from_python, alone.calls_cells),
    Group("pools", "A step of some of 1,024 streams", pools.pools, pools.pools_cells),
    Group("profile", "Profiles, compared with the profiled calls", profiles.profiles, profiles.profiles_cells),
    Group(
        "recurrences",
        "Recurrences with matrix states and diagonal states: CPU seconds, and memory of training's temporaries",
        recurrences.recurrences,
        recurrences.recurrences_cells,
    ),
    Group("memory", "Memory that a training call reports", alone.memory, alone.memory_cells),
    Group(
        "recompute",
        "Gradients over long sequences with stored or recomputed steps, and their temporaries",
        recomputing.recomputing,
        recomputing.recomputing_cells,
    ),
    Group("compile", "Compiling in a fresh process, seconds", compiling.compiling, compiling.compiling_cells),
    Group(
        "large",
        "A language model of 190 million weights: CPU seconds per token",
        large.large,
        large.large_cells,
    ),
    Group("engines", "Trained nets, compared with their own engines", real_engines.engines, real_engines.engines_cells),
    Group("sweep", "Inference over sizes", beside.over_sizes, beside.time_cells),
)
