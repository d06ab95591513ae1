"""What an application does with processes. Synchronous and thread-safe; ``runtime.aio`` has the awaitable twins.

Actions of a verb run in the caller's thread. Ids are UUIDs or their texts.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

from workflow_runtime.catalogue import Catalogue
from workflow_runtime.core import keys
from workflow_runtime.core.answers import AvailableCommand, CommandResult, CreationReport, DueTimer, Match, Progress
from workflow_runtime.core.filters import ProcessFilter
from workflow_runtime.core.pages import Page
from workflow_runtime.core.problems import problems
from workflow_runtime.core.process import HistoryEntry, Process, Timer, TimerKind
from workflow_runtime.core.restoring import RecoveryPlan, RecoveryReport, Server
from workflow_runtime.core.scheme import Scheme
from workflow_runtime.core.scheme_words import SchemeKey
from workflow_runtime.core.unsupported import unsupported
from workflow_runtime.engine import recovery
from workflow_runtime.engine.creating import Creator, Item
from workflow_runtime.engine.cron import cron_next
from workflow_runtime.engine.judging import Asker
from workflow_runtime.engine.keyring import Keyring
from workflow_runtime.errors import ParameterError, Problem, SchemeNotFound
from workflow_runtime.plugin_loading import PluginRecord
from workflow_runtime.runtime import given
from workflow_runtime.runtime.life import Life
from workflow_runtime.settings import Settings


class Verbs(Life):
    # ------------------------------------------------------------------ processes

    def create_instance(
        self,
        scheme_code: str,
        *,
        process_id: UUID | str | None = None,
        parameters: Mapping[str, Any] | None = None,
        identity: str | None = None,
        impersonated_identity: str | None = None,
        tenant_id: str | None = None,
        idempotency_key: str | None = None,
        wait: float = 0.0,
    ) -> Process:
        """A new process of the current version of the scheme, driven until it rests.

        ``idempotency_key``: sent again within its retention, by the same tenant, the call creates nothing and returns the first
        process as it stands now; where that is still under way it waits up to ``wait`` seconds. See how-to/send-once.

        Errors: SchemeNotFound, ProcessAlreadyExists, ParameterError, ActionFailed (the process stays). With a key also
        IdempotencyConflict, CommandInProgress, ProcessNotFound (deleted since).
        """
        tenant, asker, values = given.identity(tenant_id), _asker(identity, impersonated_identity), given.values(parameters)
        code, name = given.name(scheme_code, "a scheme code"), given.key(idempotency_key)
        return self._keyring.create(
            lambda: self.get_scheme(code),
            process_id=uuid4() if process_id is None else given.process_id(process_id),
            given=values,
            asker=asker,
            tenant_id=tenant,
            key=None if name is None else keys.of_creation(name, tenant, code, values, (asker.identity, asker.impersonated_identity)),
            wait=keys.checked_wait(wait),
        )

    def create_instances(
        self,
        scheme_code: str,
        instances: int | Iterable[Mapping[str, Any] | None],
        *,
        process_ids: Iterable[UUID | str] | None = None,
        identity: str | None = None,
        impersonated_identity: str | None = None,
        tenant_id: str | None = None,
        batch: int = 500,
        on_created: Callable[[Sequence[UUID]], object] | None = None,
        progress: Progress | None = None,
    ) -> CreationReport:
        """Many new processes of the version that is current now, ``batch`` of them (1 to 10,000) in one transaction. For clients too.

        ``instances``: how many, or the parameters of each; ``process_ids``: the id of each. Both are read batch by batch.
        Each is stored as ``create_instance`` would leave it, if it comes to rest without an action; else it is queued: any
        server takes it up. ``on_created(ids)`` after each commit, in their order; then ``progress("created", done, of)``.

        The first that cannot be created ends the call: the error has ``index`` (from 0), nothing of its batch is stored, and
        ``created`` before it stay. SchemeNotFound, ParameterError, ProcessAlreadyExists, StoreUnavailable, RuntimeNotStarted.
        """
        parts, asker, tenant = self._parts, _asker(identity, impersonated_identity), given.identity(tenant_id)
        values, of = given.instances(instances)
        scheme, size = self.get_scheme(given.name(scheme_code, "a scheme code")), given.batch(batch)
        creator = Creator(parts.engine, scheme, asker=asker, tenant_id=tenant)
        report = CreationReport(scheme_code=scheme.code, scheme_version=scheme.version)
        for stored in creator.create(map(Item, map(given.values, values), given.process_ids(process_ids)), size):
            report = replace(report, created=report.created + len(stored.ids), queued=report.queued + stored.queued)
            if on_created is not None:
                on_created(stored.ids)
            if progress is not None:
                progress("created", report.created, of)
        return report

    def get_available_commands(
        self, process_id: UUID | str, identity: str | None = None, *, check_conditions: bool = False, culture: str | None = None
    ) -> list[AvailableCommand]:
        """The commands that lead out of where the process stands. Without ``identity`` rights are not looked at."""
        parts = self._parts
        process = parts.engine.load(given.process_id(process_id))
        asker = None if identity is None else _asker(identity)
        return parts.executor.available(process, asker, check_conditions=check_conditions, culture=culture)

    def execute_command(
        self,
        process_id: UUID | str,
        name: str,
        *,
        identity: str | None = None,
        impersonated_identity: str | None = None,
        parameters: Mapping[str, Any] | None = None,
        check_restrictions: bool = False,
        idempotency_key: str | None = None,
        wait: float = 0.0,
        expected_revision: int | None = None,
    ) -> CommandResult:
        """Gives a command and drives the process until it rests.

        ``idempotency_key``: sent again within its retention, the command is not executed again and returns the answer of the first;
        where that is still under way it waits up to ``wait`` seconds. See how-to/send-once.

        Errors: ProcessNotFound, CommandNotFound, CommandNotAllowed, ProcessBusy, StatusNotAllowed, StaleRevision,
        ParameterError, ActionFailed, ConditionFailed, LoopLimitExceeded, Fenced, StoreUnavailable. With a key also
        IdempotencyConflict and CommandInProgress.
        """
        target, asker, values = given.process_id(process_id), _asker(identity, impersonated_identity), given.values(parameters)
        command, key = given.name(name, "a command"), given.key(idempotency_key)
        return self._keyring.command(
            target,
            command,
            asker=asker,
            given=values,
            check_restrictions=check_restrictions,
            expected_revision=given.revision(expected_revision),
            key=None if key is None else keys.of_command(key, target, command, values, (asker.identity, asker.impersonated_identity)),
            wait=keys.checked_wait(wait),
        )

    @property
    def _keyring(self) -> Keyring:
        parts = self._server
        return Keyring(parts.engine, parts.executor)

    def get_process(self, process_id: UUID | str) -> Process:
        """The process as stored now; its ``scheme`` is None where that cannot be read. ProcessNotFound, RowUnreadable."""
        return self._parts.engine.look(given.process_id(process_id))

    def find_processes(self, filter: ProcessFilter | None = None, *, limit: int = 100, after: str | None = None) -> Page[Process]:
        """Newest first; ``page.next`` is the cursor of the next page, ``page.unreadable`` the ids of rows that cannot be read."""
        parts = self._parts
        page = parts.reader.find(filter or ProcessFilter(), limit=limit, after=after)
        return Page([parts.engine.show(process) for process in page], page.next, page.unreadable)

    def count_processes(self, filter: ProcessFilter | None = None) -> int:
        """How many match; without a filter, all."""
        return self._parts.reader.count(filter or ProcessFilter())

    def find_matches(self, filter: ProcessFilter | None = None, *, limit: int = 1_000, after: str | None = None) -> Page[Match]:
        """As ``find_processes``, but ids and revisions only: for what is to be done with many, also with rows that cannot be read."""
        return self._parts.reader.matches(filter or ProcessFilter(), limit=limit, after=after)

    def find_ids(self, prefix: str) -> list[UUID]:
        """The ids that begin with these characters (6 or more), for people who type."""
        return self._parts.reader.ids_by_prefix(prefix)

    def get_history(self, process_id: UUID | str, *, after: int = 0, limit: int = 200) -> Page[HistoryEntry]:
        """Oldest first, behind the row id ``after``. It stays when a process is deleted."""
        return self._parts.reader.history(given.process_id(process_id), after=after, limit=limit)

    def get_timers(self, process_id: UUID | str) -> list[Timer]:
        """The timers that are set for the process, the earliest first."""
        parts = self._parts
        return [timer for timer in parts.engine.store.timers(given.process_id(process_id)) if timer.kind is TimerKind.TIMER]

    def find_timers(self, *, overdue: bool = False, limit: int = 100) -> list[DueTimer]:
        """The rows of all processes, retries and queued starts too, the earliest first; ``overdue``: only those that are due."""
        parts = self._parts
        return parts.reader.due_timers(limit=limit, overdue_only=overdue, now=parts.engine.now())

    def get_parameters(self, process_id: UUID | str) -> Mapping[str, Any]:
        """The persistent values of the process."""
        return self.get_process(process_id).parameters

    def get_parameter(self, process_id: UUID | str, name: str) -> Any:
        """One persistent value. ParameterError where there is none."""
        values = self.get_parameters(process_id)
        if name not in values:
            raise ParameterError(f"process {process_id} has no parameter {name!r}", code="unknown_parameter", parameter=name)
        return values[name]

    def get_available_states(self, process_id: UUID | str) -> list[str]:
        """The states that ``set_state`` takes, in the order of the document."""
        scheme = self._parts.engine.load(given.process_id(process_id)).pinned
        return list(dict.fromkeys(a.state for a in scheme.activities if a.is_for_set_state and a.state))

    # ------------------------------------------------------------------ schemes and servers

    def get_scheme(self, code: str, version: str | None = None) -> Scheme:
        """The current version, or the one named. SchemeNotFound says which codes there are."""
        engine = self._parts.engine
        wanted = version or engine.store.current_version(given.name(code, "a scheme code"))
        if wanted is None:
            known = ", ".join(map(repr, engine.store.scheme_codes())) or "none"
            raise SchemeNotFound(f"there is no scheme {code!r}; there are: {known}", code=code)
        return engine.schemes.get(SchemeKey(code, wanted)).scheme

    def get_scheme_codes(self) -> list[str]:
        """Every code there is a version of, sorted."""
        return self._parts.engine.store.scheme_codes()

    def get_missing_names(self, scheme_code: str) -> list[str]:
        """The actions and conditions that the current version of a scheme needs and this runtime lacks, sorted.

        It neither adopts such processes nor fires for them. SchemeNotFound, SchemeError.
        """
        return list(self._parts.engine.unbound(self.get_scheme(scheme_code).key))

    def get_servers(self) -> list[Server]:
        """Every incarnation that has a row, also of dead ones."""
        return self._parts.engine.store.servers()

    def get_time(self) -> datetime:
        """The database's clock, aware UTC: what due times and leases are compared with. On SQLite that of this machine."""
        return self._parts.engine.now()

    # ------------------------------------------------------------------ without a start

    def upgrade_database(self) -> bool:
        """Creates the tables or brings them to this version, also where a client could not start. False: nothing was to do."""
        store = self._open_store(Settings.build(os.environ, url=self._url, **self._given))
        try:
            return store.upgrade()
        finally:
            store.close()

    def check_scheme(self, scheme: Scheme, *, names: bool = True) -> list[Problem]:
        """What ``start()`` would find wrong with it, warnings too; ``names=False`` leaves out what is registered."""
        known = self._gather_once().names()
        found = problems(scheme, known if names else None, cron=cron_next)
        return [*found, *unsupported(scheme, known)]

    def inspect_plugins(self) -> list[PluginRecord]:
        """The plugins that ``start()`` would meet, with what is wrong with them; needs no database."""
        self._gather_once()
        return self.get_plugins()

    def _gather_once(self) -> Catalogue:
        return self._started.engine.catalogue if self._started else self._gather()

    # ------------------------------------------------------------------ recovery

    def plan_recovery(self) -> RecoveryPlan:
        """What recovery would do now and why; asks restorers, changes nothing."""
        return recovery.plan(self._parts.engine)

    def recover(self, *, wait: bool = False) -> RecoveryReport:
        """Runs a pass, or joins the one under way; returns when all is decided. Nothing owned: nothing was to do.

        ``wait``: also until the work that follows is done. An action or a listener, for which others wait, gets
        the report of a pass that goes on in the background.
        """
        parts = self._server
        assert parts.recovery is not None
        report = parts.recovery.run("manual")
        if wait:
            parts.recovery.wait_for_work()
        return report or RecoveryReport(id="", cause="manual", server=parts.engine.me)

    def get_recoveries(self, *, limit: int = 100, after: str | None = None) -> Page[RecoveryReport]:
        """Newest first, each with its decisions."""
        return self._parts.reader.recoveries(limit=limit, after=after)


def _asker(identity: str | None, impersonated_identity: str | None = None) -> Asker:
    return Asker(identity=given.identity(identity), impersonated_identity=given.identity(impersonated_identity))
