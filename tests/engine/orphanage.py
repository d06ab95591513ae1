"""A server with a fake clock, and processes that an earlier server seems to have left in Running."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self
from uuid import UUID, uuid4

from factories import server as server_row

from workflow_runtime.core.frozen import FrozenDict
from workflow_runtime.core.process import Change, ChangeKind, JournalEntry, Process, ProcessStatus, Timer, Trigger, TriggerKind, Walk
from workflow_runtime.core.restoring import InterruptedProcess, IProcessRestorer, RecoveryReport, RestoreDecision
from workflow_runtime.engine.steps import ActionContext
from workflow_runtime.runtime import WorkflowRuntime
from workflow_runtime.store.writes import Store
from workflow_runtime.testing.clock import FakeClock

START = datetime(2031, 1, 1, tzinfo=UTC)

SCHEME = """\
scheme: Order
parameters: {Amount: {type: int, purpose: persistence}}
commands: {Pay: {}}
timers:
  remind: {interval: 1h}
activities:
  New: {state: New, initial: true, set_state: true, actions: [Greet]}
  Paid: {state: Paid, actions: [Charge, Mail]}
  Sent: {state: Sent, actions: [Send]}
  Waiting: {state: Waiting}
  Done: {state: Done, final: true, actions: [Finish]}
transitions:
  - {from: New, to: Paid, on: {command: Pay}}
  - {from: Paid, to: Sent}
  - {from: Sent, to: Waiting}
  - {from: Waiting, to: Done, on: {timer: remind}}
"""
ACTIONS = ("Greet", "Charge", "Mail", "Send", "Finish")

BY_COMMAND = Trigger(TriggerKind.COMMAND, "Pay")
#: how the walk to an activity was set going
TRIGGERS = {"Paid": BY_COMMAND, "Done": Trigger(TriggerKind.TIMER, "remind"), "New": Trigger(TriggerKind.CREATE)}

#: (stands at, on the way to): the status rule says Error, Error, Terminated, Terminated
PAYING, FINISHING, SENDING, GREETING = ("New", "Paid"), ("Waiting", "Done"), ("Paid", "Sent"), ("", "New")


class Answer(IProcessRestorer):
    """A restorer that answers what it was made with, or what that function returns; and remembers the questions."""

    def __init__(self, answer: Any, *, name: str = "Answer", wants: Callable[[str, ProcessStatus], bool] = lambda scheme, status: True) -> None:
        self.answer, self.name, self.wants = answer, name, wants
        self.needs: list[tuple[str, ProcessStatus]] = []
        self.asked: list[InterruptedProcess] = []

    def need_custom_restore(self, scheme_code: str, status: ProcessStatus) -> bool:
        self.needs.append((scheme_code, status))
        return self.wants(scheme_code, status)

    def get_custom_restore_decision(self, process: InterruptedProcess) -> RestoreDecision:
        self.asked.append(process)
        decision: RestoreDecision = self.answer(process) if callable(self.answer) else self.answer
        return decision


class Orphanage:
    """``start`` it, make orphans, ``recover``. ``done`` lists the actions that ran here, with their effect keys."""

    def __init__(self, folder: Path, *restorers: Any, scheme: str = SCHEME, actions: Iterable[str] = ACTIONS, url: str = "", **settings: Any) -> None:
        self.clock = FakeClock(START)
        self.done: list[tuple[str, str]] = []
        self.act: dict[str, Callable[[ActionContext], object]] = {}
        self.url = url or f"sqlite:///{folder}/orphans.db"
        self.runtime = WorkflowRuntime(self.url, clock=self.clock).with_settings(
            **{"workers": 2, "sqlite_synchronous": "NORMAL", "restorer_timeout": 0.2} | settings
        )
        self.runtime.with_schemes(scheme).with_actions({name: self._action(name) for name in actions})
        for restorer in restorers:
            self.runtime.with_process_restorer(restorer)

    def _action(self, name: str) -> Callable[[ActionContext, str | None], None]:
        def act(ctx: ActionContext, parameter: str | None) -> None:
            self.done.append((name, ctx.idempotency_key))
            if name in self.act:
                self.act[name](ctx)

        return act

    def __enter__(self) -> Self:
        self.runtime.start()
        self.store.register(server_row("dead", last_beat_at=START))
        self.store.declare_dead("dead", beat=0)
        return self

    def __exit__(self, *_: object) -> None:
        self.runtime.shutdown()

    @property
    def store(self) -> Store:
        return self.runtime._parts.engine.store

    @property
    def names_done(self) -> list[str]:
        return [name for name, _ in self.done]

    # ------------------------------------------------------------------ what a dead server left

    def orphan(self, way: tuple[str, str] = PAYING, *, step: int = 0, **fields: Any) -> UUID:
        """Running, on its way from an activity to the next, with ``step`` actions journaled."""
        birth = self.birth(way, **fields)
        self.store.apply(birth)
        for index in range(step):
            self.journaled(birth.result.id, index)
        return birth.result.id

    def birth(
        self,
        way: tuple[str, str] = PAYING,
        *,
        owner: str | None = "dead",
        arm: tuple[Timer, ...] = (),
        walk: dict[str, Any] | None = None,
        scheme: str = "Order",
        **fields: Any,
    ) -> Change:
        process_id = uuid4()
        version = self.store.current_version(scheme)
        assert version is not None
        under_way = self._walk(way[1], **walk or {})
        now = self.clock.now()
        usual: dict[str, Any] = {"activity": way[0], "state": way[0], "owner": owner, "walk": under_way, "token": 7, "root_id": process_id}
        times = dict.fromkeys(("created_at", "updated_at", "status_since", "activity_since"), now)
        process = Process(id=process_id, scheme_code=scheme, scheme_version=version, status=ProcessStatus.RUNNING, **usual | times | fields)
        return Change(kind=ChangeKind.CREATE, before=None, after=process, arm=arm)

    def _walk(self, activity: str, **fields: Any) -> Walk:
        trigger = TRIGGERS.get(activity, Trigger(TriggerKind.AUTO))
        usual: dict[str, Any] = {"id": uuid4().hex, "activity": activity, "trigger": trigger, "run": trigger, "started_at": self.clock.now()}
        return Walk(**usual | fields)

    def journaled(self, process_id: UUID, index: int, **changes: Any) -> None:
        """The dead server has finished that action of the walk."""
        process = self.runtime.get_process(process_id)
        walk, activity = process.walk, process.pinned.activity(process.walk.activity if process.walk else "")
        assert walk is not None
        assert activity is not None
        name = activity.implementation[index].name
        entry = JournalEntry(walk_id=walk.id, activity=activity.name, action=name, index=index, changes=FrozenDict(changes), at=self.clock.now())
        after = replace(process, walk=replace(walk, step=index + 1))
        self.store.apply(Change(kind=ChangeKind.JOURNAL, before=process, after=after, journal=(entry,)))

    # ------------------------------------------------------------------ what recovery made of it

    def recover(self) -> RecoveryReport:
        """Decides, waits for the work that follows, and answers with the decisions as stored."""
        report = self.runtime.recover(wait=True)
        if not report.owned:
            return report
        stored = self.runtime.get_recoveries(limit=1)[0]
        assert (stored.owned, stored.decided, stored.skipped) == (report.owned, report.decided, report.skipped)
        return stored

    def status(self, process_id: UUID) -> ProcessStatus:
        return self.runtime.get_process(process_id).status

    def stands(self, process_id: UUID) -> tuple[ProcessStatus, str]:
        process = self.runtime.get_process(process_id)
        return process.status, process.activity
