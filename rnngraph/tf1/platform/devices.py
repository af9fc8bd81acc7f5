"""Devices. The processor is the only one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ...support.api_guard import api


@dataclass(frozen=True)
class DeviceAttributes:
    """A device, as ``list_local_devices`` returns it."""

    name: str = "/device:CPU:0"
    device_type: str = "CPU"
    memory_limit: int = 1 << 28
    physical_device_desc: str = ""


@api
def list_local_devices(session_config: Any = None) -> list[DeviceAttributes]:
    """Return a list with one device, the processor."""
    return [DeviceAttributes()]


@api
def is_gpu_available(cuda_only: bool = False, min_cuda_compute_capability: Any = None) -> bool:
    """Return False: there is no GPU."""
    return False


@api
def gpu_device_name() -> str:
    """Return the empty string: there is no GPU."""
    return ""
