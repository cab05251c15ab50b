"""What a run ran on: versions and device, no user, host or path."""

from __future__ import annotations

import os
import platform
import sys
from datetime import UTC, datetime
from importlib import metadata
from typing import Any

_PACKAGES = (
    "torch",
    "transformers",
    "peft",
    "tokenizers",
    "numpy",
    "scipy",
    "pyarrow",
    "datasets",
    "scikit-learn",
    "alt-profanity-check",
)


def tool() -> dict[str, str]:
    """Name and version of this tool."""
    return {"name": "fmaudit", "version": metadata.version("fmaudit")}


def now() -> str:
    """The wall clock, UTC, to the second."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def environment(plan_device: str) -> dict[str, Any]:
    """Versions, processor and device."""
    return {
        "python": platform.python_version(),
        "implementation": sys.implementation.name,
        "system": platform.system(),
        "machine": platform.machine(),
        "cpu": _instructions(),
        "cores": os.cpu_count(),
        "device": _device_name(plan_device),
        "packages": {name: version for name in _PACKAGES if (version := _version(name))},
    }


def _instructions() -> str:
    """The widest instructions that torch uses here; rounding differs with them."""
    import torch

    return str(torch.backends.cpu.get_cpu_capability())


def _device_name(device: str) -> str:
    if not device.startswith("cuda"):
        return device
    import torch

    return str(torch.cuda.get_device_name(device))


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None
