"""Sessions for people; `pytest` alone runs what every change must pass."""

from __future__ import annotations

from pathlib import Path

import nox

nox.options.sessions = ["tests", "lint"]

ORDERS_ARE_FINE = "orders 12 · finished 12 · lost 0 · paid twice 0"


@nox.session(python=["3.11", "3.12", "3.13", "3.14"])
def tests(session: nox.Session) -> None:
    """Everything that `pytest` runs, on every version of Python that is installed."""
    session.install("-q", "-e", ".[dev]")
    session.run("pytest", *session.posargs)


@nox.session
def lint(session: nox.Session) -> None:
    """The tools alone."""
    session.install("-q", "-e", ".[dev]")
    session.run("ruff", "check")
    session.run("ruff", "format", "--check")
    session.run("mypy", "--strict")
    session.run("lint-imports")


@nox.session
def slow(session: nox.Session) -> None:
    """The tests that take minutes."""
    session.install("-q", "-e", ".[dev]")
    session.run("pytest", "-m", "slow", "--timeout", "3600", *session.posargs)


@nox.session
def planted(session: nox.Session) -> None:
    """Plants each bug of the list in a copy: the tests that are named for it must catch it."""
    session.install("-q", "-e", ".[dev]")
    session.run("python", "tests/planted/run.py", *session.posargs)


@nox.session
def demo20(session: nox.Session) -> None:
    """The demo, twenty times; each must end with the same line."""
    session.install("-q", "-e", ".")
    for number in range(1, 21):
        output = session.run("wfr", "demo", silent=True)
        last = str(output).strip().splitlines()[-1]
        if last != ORDERS_ARE_FINE:
            session.error(f"run {number} ended with {last!r}")
        session.log(f"run {number}: {last}")


@nox.session
def wheel(session: nox.Session) -> None:
    """The wheel, installed far from the repository, runs its demo."""
    out = Path(session.create_tmp())
    session.run("python", "-m", "pip", "wheel", "-q", "--no-deps", "-w", str(out), ".")
    built = sorted(out.glob("workflow_runtime-*.whl"))[-1]
    session.install("-q", str(built))
    session.chdir(out)
    session.run("wfr", "--version")
    session.run("wfr", "demo")
