"""Parameters of public functions that the functions never read: each needs a reason."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import rnngraph
import rnngraph as rg
import rnngraph.tf1 as tf

PACKAGE = Path(rnngraph.__file__).parent

REASONS = {
    "there is one processor, and one process": """caching_device device partitioner sharded master is_chief
        min_cuda_compute_capability cuda_only session_config colocate_gradients_with_ops colocate_with_first_write_call
        clear_devices""",
    "runs read data themselves, without threads and buffers": """capacity num_threads num_parallel_calls
        num_parallel_batches num_parallel_reads buffer_size max_queue sess coord daemon start collection close_op
        cancel_op cancel_pending_enqueues queue_closed_exception_types queue_runner_def stop_grace_secs
        stop_grace_period_secs recovery_wait_secs max_wait_secs local_init_run_options session_manager""",
    "runs are atomic, and their order is that of the program": """use_locking use_resource gate_gradients
        aggregation_method synchronization aggregation stateful control_inputs restore_sequentially
        reorder_tensor_arrays clear_after_read ready_op ready_for_local_init_op""",
    "it names an operation that programs don't look up": """name scope values shared_name summary_name
        tensor_array_name import_scope""",
    "shapes and structures are derived from the values": """shape shapes expected_shape element_shape validate_shape
        infer_shape output_classes sample_shape sample_dtype sample_ids_shape sample_ids_dtype
        expand_composites""",
    "nothing of TensorFlow's graph is stored, so that there is nothing to choose": """graph_def
        write_version strip_default_attrs save_debug_info filename session""",
    "it changes only printed text": "data summarize log_step_count_steps",
    "it is checked, or chooses an algorithm, and the result is the same": """exclusive validate_indices partition_info
        unique""",
    "it belongs to an option that is refused": "renorm_momentum renorm_decay",
    "TensorFlow ignores it, too": "initializers",
    "they contain keywords of these kinds": "options arguments",
}
"""Names of parameters without effect, by the reason."""


def unread_parameters() -> Iterator[tuple[str, str, str]]:
    """Yield (file, function, parameter) for each parameter of a guarded function that its body never reads."""
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef) and any(
                isinstance(decorator, ast.Name) and decorator.id in ("api", "gives_tensors")
                for decorator in node.decorator_list
            ):
                inner = [item for statement in node.body for item in ast.walk(statement)]
                read = {item.id for item in inner if isinstance(item, ast.Name)}
                if "locals" in read:
                    continue
                arguments = node.args
                extra = [item for item in (arguments.vararg, arguments.kwarg) if item is not None]
                for argument in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs, *extra):
                    if argument.arg not in read and argument.arg not in ("self", "cls"):
                        yield path.relative_to(PACKAGE).as_posix(), node.name, argument.arg


def test_unread_parameters_have_a_reason() -> None:
    known = {name for names in REASONS.values() for name in names.split()}
    unread = list(unread_parameters())
    assert [item for item in unread if item[2] not in known or not item[0].startswith("tf1/")] == []
    assert sorted(known - {name for _, _, name in unread}) == [], "reasons for parameters that are read"


def test_constraints_are_refused() -> None:
    for declare in (
        lambda option: tf.get_variable("w", [2], constraint=option),
        lambda option: tf.Variable([1.0], constraint=option),
        lambda option: tf.variable_scope("s", constraint=option).__enter__(),
        lambda option: tf.layers.Dense(3, kernel_constraint=option),
    ):
        with pytest.raises(rg.ArgumentError, match=r"constraint=.* is not offered; assign .* with tf.assign"):
            declare(tf.abs)


def test_empty_tensors() -> None:
    with tf.Session() as session:
        for value in (tf.zeros([0, 2]), tf.ones([0, 2]), tf.fill([0, 2], 3.0), tf.constant(1.0, shape=[0, 2])):
            assert session.run(value).shape == (0, 2)


def test_slices_outside_an_axis() -> None:
    x = tf.constant([1, 2, 3])
    with pytest.raises(rg.ShapeError, match=r"begin=-1 of tf.slice is outside an axis of size 3; give 0 to 3"):
        tf.slice(x, [-1], [-1])
    with pytest.raises(rg.ShapeError, match=r"reads 3 entries from 1 on, but .* read at most 2, or -1 for all"):
        tf.slice(x, [1], [3])
