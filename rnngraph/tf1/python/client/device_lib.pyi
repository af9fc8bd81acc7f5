"""``tf.python.client.device_lib``, written by tools/write_tf1_stubs.py."""

from rnngraph.tf1.platform.devices import list_local_devices as list_local_devices
