"""Write the page: ``python -m benchmarks.studies.gate docs/studies/gate.md [--only NAME] [--workers N]``."""

from __future__ import annotations

import argparse
from pathlib import Path

from benchmarks.studies.gate.page import write_page
from benchmarks.studies.gate.registry import STUDIES


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.studies.gate", description=__doc__)
    parser.add_argument("page", type=Path)
    parser.add_argument("--only", action="append", default=[], choices=[study.name for study in STUDIES])
    parser.add_argument("--workers", type=int, default=2)
    asked = parser.parse_args()
    write_page(asked.page, asked.only, asked.workers)


if __name__ == "__main__":
    main()
