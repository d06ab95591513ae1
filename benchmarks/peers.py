"""Other engines on the same work: create, then five steps that do nothing, each remembered. P2 beside them.

Each runs the way its own documentation says, in a process of its own, so that its threads and imports disturb nobody; it works
only while it is asked. What is not installed is a row that says so.

=================  ==========  ==========================================================================================
engine             databases   what runs
=================  ==========  ==========================================================================================
DBOS               both        a workflow function of five steps, called one after the other
SpiffWorkflow      both        a BPMN process of five script tasks; its serialized state is committed after each
procrastinate      PostgreSQL  a job that defers the next one, five in a row; one worker, until none is left
=================  ==========  ==========================================================================================

``python -m benchmarks.peers NAME URL SCHEMA`` is such a process: it says ``ready``; a number makes so many workflows, and is answered
with the microseconds of one.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import version
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path

import click
import sqlalchemy as sa

from benchmarks.floor import Kind

STEPS = 5
PATIENCE = 30.0  #: seconds for its end

Many = Callable[[int], object]  #: so many workflows, from creation to end
BOTH = frozenset(Kind)


@dataclass(frozen=True, slots=True)
class Peer:
    """``package`` is what pip calls it, ``module`` what is imported. ``opened`` takes a URL and the schema of its own on PostgreSQL."""

    package: str
    module: str
    kinds: frozenset[Kind]
    opened: Callable[[str, str], AbstractContextManager[Many]]

    def absence(self, kind: Kind) -> str:
        """Why it does not run; empty: it does."""
        if kind not in self.kinds:
            return f"{self.package} does not run on this database"
        return "" if find_spec(self.module) else f"{self.package} is not installed: pip install 'workflow-runtime[peers]'"


class Running:
    """One peer at work in its process. ``per_workflow`` gives the microseconds of one."""

    def __init__(self, name: str, url: str, schema: str) -> None:
        command, root = [sys.executable, "-m", "benchmarks.peers", name, url, schema], Path(__file__).parent.parent
        self._popen = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=root)
        self._words: deque[str] = deque(maxlen=40)
        try:
            self.title = self._answer()
        except BaseException:
            self.close()
            raise

    def per_workflow(self, number: int) -> float:
        assert self._popen.stdin is not None
        self._popen.stdin.write(f"{number}\n")
        self._popen.stdin.flush()
        return float(self._answer())

    def _answer(self) -> str:
        """Whatever else it prints is kept for the case that it ends."""
        assert self._popen.stdout is not None
        for line in self._popen.stdout:
            if line.startswith(_MARK):
                return line.removeprefix(_MARK).strip()
            self._words.append(line)
        raise click.ClickException(f"a peer has ended:\n{''.join(self._words)}")

    def close(self) -> None:
        try:
            self._popen.communicate(timeout=PATIENCE)  # the end of its input is its end
        except subprocess.TimeoutExpired:
            self._popen.kill()
            self._popen.communicate()


_MARK = "measured "


# ------------------------------------------------------------------ DBOS


@contextmanager
def _dbos(url: str, schema: str) -> Iterator[Many]:
    dbos = import_module("dbos")
    config = {"name": "benchmark", "system_database_url": url, "log_level": "ERROR", "run_admin_server": False}
    dbos.DBOS(config={**config, **({"dbos_system_schema": schema} if schema else {})})

    @dbos.DBOS.step()  # type: ignore[untyped-decorator]
    def nothing() -> None:
        pass

    @dbos.DBOS.workflow()  # type: ignore[untyped-decorator]
    def five() -> None:
        for _ in range(STEPS):
            nothing()

    dbos.DBOS.launch()
    try:
        yield _repeated(five)
    finally:
        dbos.DBOS.destroy()


def _repeated(work: Callable[[], object]) -> Many:
    def many(number: int) -> None:
        for _ in range(number):
            work()

    return many


# ------------------------------------------------------------------ SpiffWorkflow

_NODES = ["begin", *(f"step{number}" for number in range(STEPS)), "end"]
_TASKS = "".join(f'<scriptTask id="{name}"><script>pass</script></scriptTask>' for name in _NODES[1:-1])
_FLOWS = "".join(f'<sequenceFlow id="to_{to}" sourceRef="{one}" targetRef="{to}"/>' for one, to in pairwise(_NODES))
BPMN = f"""<?xml version="1.0"?>
<definitions xmlns="http://www.omg.org/spec/BPMN/20100524/MODEL" id="definitions" targetNamespace="urn:benchmark">
<process id="five" isExecutable="true"><startEvent id="begin"/>{_TASKS}<endEvent id="end"/>{_FLOWS}</process>
</definitions>
"""


@contextmanager
def _spiff(url: str, schema: str) -> Iterator[Many]:
    parsing, flow, states, storing = (import_module(f"SpiffWorkflow.{name}") for name in ("bpmn.parser", "bpmn.workflow", "util.task", "bpmn.serializer"))
    parser, serializer = parsing.BpmnParser(), storing.BpmnWorkflowSerializer()
    parser.add_bpmn_str(BPMN.encode())
    spec = parser.get_spec("five")
    with closing(Shelf(url)) as shelf:

        def five() -> None:
            workflow = flow.BpmnWorkflow(spec)
            key = shelf.add(serializer.serialize_json(workflow))
            while not workflow.completed:
                task = workflow.get_next_task(state=states.TaskState.READY)
                task.run()
                if type(task.task_spec).__name__ == "ScriptTask" or workflow.completed:
                    shelf.put(key, serializer.serialize_json(workflow))

        yield _repeated(five)


class Shelf:
    """A table of serialized states, each write a commit with the default durability of the runtime."""

    def __init__(self, url: str) -> None:
        self._engine = sa.create_engine(url, isolation_level="AUTOCOMMIT")
        self._table = sa.Table("state", sa.MetaData(), sa.Column("id", sa.Integer, primary_key=True), sa.Column("dump", sa.Text, nullable=False))
        self._connection = self._engine.connect()
        if self._engine.dialect.name == "sqlite":
            for setting in ("journal_mode=WAL", "synchronous=FULL"):
                self._connection.exec_driver_sql(f"PRAGMA {setting}")
        self._table.create(self._connection)

    def add(self, dump: str) -> int:
        (key,) = self._connection.execute(sa.insert(self._table), {"dump": dump}).inserted_primary_key or (0,)
        return int(key)

    def put(self, key: int, dump: str) -> None:
        self._connection.execute(sa.update(self._table).where(self._table.c.id == sa.bindparam("key")), {"key": key, "dump": dump})

    def close(self) -> None:
        self._connection.close()
        self._engine.dispose()


# ------------------------------------------------------------------ procrastinate


@contextmanager
def _procrastinate(url: str, schema: str) -> Iterator[Many]:
    module, asyncio = import_module("procrastinate"), import_module("asyncio")
    conninfo = str(sa.make_url(url).set(drivername="postgresql").render_as_string(hide_password=False))
    app = module.App(connector=module.PsycopgConnector(conninfo=conninfo))

    @app.task(name="step")  # type: ignore[untyped-decorator]
    async def step(left: int) -> None:
        if left:
            await step.defer_async(left=left - 1)

    async def begin() -> None:
        await app.open_async()
        await app.schema_manager.apply_schema_async()

    async def many(number: int) -> None:
        for _ in range(number):
            await step.defer_async(left=STEPS - 1)
        await app.run_worker_async(wait=False, install_signal_handlers=False, listen_notify=False)

    async def end() -> None:
        await app.close_async()

    with asyncio.Runner() as runner:
        runner.run(begin())
        try:
            yield lambda number: runner.run(many(number))
        finally:
            runner.run(end())


PEERS: Mapping[str, Peer] = {
    "DBOS": Peer("dbos", "dbos", BOTH, _dbos),
    "SpiffWorkflow": Peer("SpiffWorkflow", "SpiffWorkflow", BOTH, _spiff),
    "procrastinate": Peer("procrastinate", "procrastinate", frozenset({Kind.POSTGRESQL}), _procrastinate),
}


def main(name: str, url: str, schema: str) -> None:
    peer = PEERS[name]
    with peer.opened(url, schema) as many:
        _say(f"{name} {version(peer.package)}")
        for line in sys.stdin:
            began = time.perf_counter()
            many(int(line))
            _say(json.dumps((time.perf_counter() - began) / int(line) * 1e6))


def _say(text: str) -> None:
    click.echo(f"\n{_MARK}{text}")
    sys.stdout.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])
