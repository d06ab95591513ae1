"""Code in a process of its own, with an alarm and a memory limit: for inputs that must never harm the host."""

from __future__ import annotations

import subprocess
import sys
from subprocess import CompletedProcess
from textwrap import dedent

# The alarm keeps its default action: a process that does not end in time dies with SIGALRM (return code -14).
_LIMITS = """
import resource, signal
resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
resource.setrlimit(resource.RLIMIT_AS, ({memory}, {memory}))
signal.alarm({seconds})
"""


def run_guarded(code: str, *, seconds: int = 5, memory: int = 2 << 30) -> CompletedProcess[str]:
    """Run Python code under an alarm (wall time, seconds) and an address space limit (bytes).

    The caller asserts ``returncode`` (negative: killed by that signal) and what was printed.
    """
    script = _LIMITS.format(memory=memory, seconds=seconds) + dedent(code)
    return subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=seconds + 30, check=False)
