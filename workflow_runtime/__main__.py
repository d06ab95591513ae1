"""``python -m workflow_runtime`` is ``wfr``."""

from __future__ import annotations

from workflow_runtime.cli import main

if __name__ == "__main__":
    main()
