"""``tf.test``, written by tools/write_tf1_stubs.py."""

from rnngraph.tf1.platform.devices import gpu_device_name as gpu_device_name
from rnngraph.tf1.platform.devices import is_gpu_available as is_gpu_available
