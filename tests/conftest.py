"""Stands here so that this folder is on the path: tests of every room import ``guarded`` by its name.

And decides which tests share a worker: those of a file that starts many programs run one after the other, and begin first.
"""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Any

import pytest

TOGETHER = {"test_quality.py", "test_contracts.py", "test_packaging.py"}


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """With ``--dist loadgroup``. The marks of pytest-xdist 3.8 are written to a place where pytest 9.2 does not look."""
    from xdist.scheduler import LoadScopeScheduling  # type: ignore[import-untyped]

    class ByFile(LoadScopeScheduling):  # type: ignore[misc]
        def _split_scope(self, nodeid: str) -> str:
            path = nodeid.partition("::")[0]
            return path if PurePosixPath(path).name in TOGETHER else nodeid

    return ByFile(config, log) if config.getoption("dist") == "loadgroup" else None
