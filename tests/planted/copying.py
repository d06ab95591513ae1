"""A copy of the package and its tests, in which bugs are planted and the tests for them are run."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from enum import StrEnum
from pathlib import Path
from typing import NamedTuple

from planted_bugs import PlantedBug

ROOT = Path(__file__).parent.parent.parent
COPIED = ("workflow_runtime", "plugins", "schemes", "tests", "docs", "setup.cfg", "pyproject.toml")  # tests read the documentation too
INSIDE = ("plugins", "schemes")  #: folders that an installed package has inside; see setup.cfg
WHERE = "import workflow_runtime, workflow_runtime.plugins as p; print(workflow_runtime.__file__, *p.__path__)"


class Unusable(Exception):
    """The list is behind the code, or the copy is not what the tests would import."""


class Verdict(StrEnum):
    """Of a test with several cases the first of these that one of them has."""

    FAILED = "failed"
    HUNG = "hung"
    PASSED = "passed"
    SKIPPED = "skipped"


class Found(NamedTuple):
    """What became of one test."""

    verdict: Verdict
    message: str = ""  #: of its failure


class Copy:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name in COPIED:
            source = ROOT / name
            if source.is_dir():
                shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(source, folder / name)
        for name in INSIDE:
            (folder / "workflow_runtime" / name).symlink_to(folder / name)
        self._require_itself()

    @contextmanager
    def planted(self, bug: PlantedBug) -> Iterator[None]:
        path = self.folder / bug.file
        honest = path.read_text()
        if (times := honest.count(bug.old)) != 1:
            raise Unusable(f"{bug.name}: the snippet stands {times} times in {bug.file} instead of once; mend planted_bugs.py")
        path.write_text(honest.replace(bug.old, bug.new))
        try:
            yield
        finally:
            path.write_text(honest)

    def test(self, tests: Iterable[str], seconds: float) -> dict[str, Found]:
        """What became of each, by a run of its own; HUNG where they were not through after ``seconds``."""
        wanted, report = list(tests), self.folder / "report.xml"
        report.unlink(missing_ok=True)
        command = [sys.executable, "-m", "pytest", "-n0", "-q", "-p", "no:cacheprovider", f"--junitxml={report}", *wanted]
        if not self._run(command, seconds):
            return dict.fromkeys(wanted, Found(Verdict.HUNG))
        cases = list(_cases(report)) if report.exists() else []
        return {test: _of(test, [found for case, found in cases if case == _plain(test)]) for test in wanted}

    def _run(self, command: list[str], seconds: float) -> bool:
        """False when it had to be ended; then with all that it has started."""
        with subprocess.Popen(
            command, cwd=self.folder, env=self._environment(), start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        ) as run:
            try:
                run.wait(seconds)
            except subprocess.TimeoutExpired:
                return False
            finally:
                with suppress(ProcessLookupError):
                    os.killpg(run.pid, signal.SIGKILL)
        return True

    def _require_itself(self) -> None:
        """What is imported there is this copy, and nothing that is installed."""
        done = subprocess.run([sys.executable, "-c", WHERE], cwd=self.folder, env=self._environment(), capture_output=True, text=True, check=True)
        if any(not Path(path).is_relative_to(self.folder) for path in done.stdout.split()):
            raise Unusable(f"in the copy {self.folder} something else is imported: {done.stdout}")

    def _environment(self) -> Mapping[str, str]:
        return {**os.environ, "PYTHONPATH": str(self.folder), "PYTHONDONTWRITEBYTECODE": "1"}


def _plain(test: str) -> str:
    """``tests/store/test_x.py::test_y[case]`` as a report names it, without its case."""
    path, _, name = test.partition("::")
    return f"{path.removesuffix('.py').replace('/', '.')}.{name.partition('[')[0]}"


def _cases(report: Path) -> Iterator[tuple[str, Found]]:
    for case in ElementTree.parse(report).getroot().iter("testcase"):
        outcomes = {child.tag: child.get("message") or "" for child in case}
        if failed := outcomes.keys() & {"failure", "error"}:
            found = Found(Verdict.FAILED, outcomes[failed.pop()])
        else:
            found = Found(Verdict.SKIPPED if "skipped" in outcomes else Verdict.PASSED)
        yield f"{case.get('classname')}.{case.get('name', '').partition('[')[0]}", found


def _of(test: str, cases: list[Found]) -> Found:
    if not cases:
        raise Unusable(f"{test} was not run: there is no such test, or its file cannot be imported")
    return min(cases, key=lambda found: list(Verdict).index(found.verdict))
