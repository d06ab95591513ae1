"""The command line: ``wfr NOUN VERB``. The only user of click and rich."""

from __future__ import annotations

import sys

__all__ = ["main"]


def main() -> None:
    """The entry point: runs ``sys.argv`` and ends this process with its outcome."""
    from workflow_runtime.cli.running import run

    sys.exit(run(sys.argv[1:]))
