"""Start and shutdown: what is opened, in which order, and what happens to work in hand.

Start: settings, plugins and names, schemes (checked), database, schema, presence, schemes (stored), workers, clockwork, recovery.
Shutdown: ``draining``, clockwork, workers within ``shutdown_grace``, presence, database.
"""

from __future__ import annotations

import logging
import os
import random
import secrets
import shutil
import tempfile
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import chain, repeat
from types import TracebackType
from typing import Self

from workflow_runtime.catalogue import Catalogue, Source, gather
from workflow_runtime.core.problems import problems
from workflow_runtime.core.reading import Format
from workflow_runtime.core.scheme import Scheme
from workflow_runtime.core.scheme_words import SchemeKey
from workflow_runtime.core.unsupported import unsupported
from workflow_runtime.engine.bystander import Bystander
from workflow_runtime.engine.calling import Caller
from workflow_runtime.engine.clock import SystemClock
from workflow_runtime.engine.clockwork import Clockwork
from workflow_runtime.engine.cron import cron_next
from workflow_runtime.engine.engine import Engine
from workflow_runtime.engine.executor import Executor
from workflow_runtime.engine.nudging import Messages
from workflow_runtime.engine.operator import Operator
from workflow_runtime.engine.presence import Presence
from workflow_runtime.engine.recovery import Recovery
from workflow_runtime.engine.retention import Retention
from workflow_runtime.engine.schemes import SchemeCache
from workflow_runtime.engine.timers import TimerLoop
from workflow_runtime.engine.workers import Workers
from workflow_runtime.errors import ClientCannotExecute, Problem, RuntimeNotStarted, SchemeError, SchemeNotFound
from workflow_runtime.plugin_loading import PluginRecord, Plugins
from workflow_runtime.runtime.build import Builder
from workflow_runtime.runtime.sources import TEXTS, Loaded, SchemeSource, load
from workflow_runtime.settings import Settings
from workflow_runtime.store.network import Bounds
from workflow_runtime.store.reads import Reader
from workflow_runtime.store.writes import Store
from workflow_runtime.version import VERSION

log = logging.getLogger("workflow_runtime.runtime")

MEMORY = ("sqlite:///:memory:", "sqlite://")


@dataclass(frozen=True, slots=True, kw_only=True)
class Started:
    """The parts of a runtime between ``start`` and ``shutdown``. A client has no workers, timers or recovery."""

    pid: int
    engine: Engine
    reader: Reader
    executor: Executor
    operator: Operator
    messages: Messages
    workers: Workers | None = None
    recovery: Recovery | None = None
    clockwork: Clockwork | None = None


class Life(Builder):
    """Everything between ``start`` and ``shutdown``. Thread-safe."""

    _started: Started | None = None
    _plugin_manager: Plugins | None = None
    _folder: str | None = None

    # ------------------------------------------------------------------ start

    def start(self) -> Self:
        """Opens the database, checks every name, begins beats, timers and recovery.

        Errors: SettingsError, PluginError, RegistrationError, SchemeError, SchemaTooNew, StoreUnavailable,
        ServerAlreadyRunning. Nothing is left behind by a start that fails.
        """
        if self._started is not None and self._started.pid == os.getpid():
            return self
        settings = Settings.build(os.environ, url=self._url, **self._given)
        catalogue = self._gather()
        store = self._open_store(settings)
        try:
            self._started = self._begin(store, settings, catalogue)
        except BaseException:
            store.close()
            self._remove_folder()
            raise
        self._sealed = True
        self._run()
        return self

    def _begin(self, store: Store, settings: Settings, catalogue: Catalogue) -> Started:
        client = self._mode == "client"
        if client:
            store.check()
        presence = Bystander(store) if client else self._absent(store, settings)
        engine = self._engine(store, settings, catalogue, presence)
        if isinstance(presence, Presence):
            schemes = self._checked(engine, [loaded for source, code in self._sources for loaded in load(source, code)])  # before others wait for beats
            self._appear(presence, engine, schemes)
        executor = Executor(engine)
        parts = Started(
            pid=os.getpid(), engine=engine, reader=Reader(store), executor=executor, operator=Operator(engine, executor), messages=self._messages(engine, None)
        )
        return parts if isinstance(presence, Bystander) else self._as_server(parts, presence)

    def _messages(self, engine: Engine, clockwork: Clockwork | None) -> Messages:
        """With a clock that a test moves there are no threads, and so no messages."""
        carried = engine.store.carries_messages and not hasattr(self._clock, "on_advance")
        return Messages(engine, clockwork, carried=carried, chance=random.random)

    def _absent(self, store: Store, settings: Settings) -> Presence:
        """Not started."""
        return Presence(store=store, settings=settings, clock=self._clock, name=self._name, mode=self._mode, new_id=new_id, version=VERSION)

    def _appear(self, presence: Presence, engine: Engine, schemes: list[Loaded]) -> None:
        for weakness in engine.store.health():
            log.warning("%s", weakness)
        engine.store.upgrade()
        presence.start()
        try:
            self._store_between_beats(presence, engine, schemes)
        except BaseException:
            presence.stop(clean=True)
            raise

    def _store_between_beats(self, presence: Presence, engine: Engine, schemes: list[Loaded]) -> None:
        """The clockwork does not run yet, and there may be many schemes: others would take this server for dead."""
        due = self._clock.monotonic() + presence.beat_every
        for each in schemes:
            _make_current(engine, each)
            if self._clock.monotonic() >= due:
                presence.beat()
                due = self._clock.monotonic() + presence.beat_every

    def _engine(self, store: Store, settings: Settings, catalogue: Catalogue, presence: Presence | Bystander) -> Engine:
        plugins = self._plugins_loaded
        return Engine(
            store=store,
            catalogue=catalogue,
            schemes=SchemeCache(lambda key: _stored_scheme(store, key)),
            settings=settings,
            presence=presence,
            clock=self._clock,
            caller=Caller(self._loop),
            new_id=new_id,
            new_token=new_token,
            notify=plugins.notify,
            hears=lambda event: bool(plugins.listeners(event)),
            ask_error=plugins.ask_error,
        )

    def _as_server(self, parts: Started, presence: Presence) -> Started:
        engine, settings = parts.engine, parts.engine.settings
        by_hand = hasattr(self._clock, "on_advance")
        workers = Workers(settings.workers, on_free=lambda: timers.freed())
        engine.on_cleared = workers.clear
        timers = TimerLoop(engine, parts.executor, workers, wait=by_hand)
        recovery = Recovery(engine, parts.executor, workers, wait=by_hand)
        causes, retention = chain(["start"], repeat("sweep")), Retention(engine)
        clockwork = Clockwork(
            beat=presence.beat,
            sweep=lambda: _sweep(presence, recovery, clockwork, retention, next(causes)),
            poll=timers.poll,
            settings=settings,
            clock=self._clock,
            now=engine.now,
            on_trouble=lambda job, error: None,
            beat_every=presence.beat_every,
        )
        presence.on_fenced = lambda old, new: clockwork.sweep_now()  # what it held is orphaned, but for what is still in hand
        return Started(
            pid=parts.pid,
            engine=engine,
            reader=parts.reader,
            executor=parts.executor,
            operator=parts.operator,
            messages=self._messages(engine, clockwork),
            workers=workers,
            recovery=recovery,
            clockwork=clockwork,
        )

    def _run(self) -> None:
        parts = self._parts
        if parts.workers and parts.clockwork:
            parts.workers.start()
            parts.clockwork.start()
        parts.messages.start()
        parts.engine.notify("runtime_started", runtime=self)

    # ------------------------------------------------------------------ names, plugins, schemes

    def _gather(self) -> Catalogue:
        plugins = Plugins(allow=os.environ.get("WORKFLOW_RUNTIME_PLUGINS_ALLOW"), block=os.environ.get("WORKFLOW_RUNTIME_PLUGINS_BLOCK"))
        for plugin in self._plugins:
            plugins.add_object(plugin)
        for folder in self._folders:
            plugins.add_folder(folder)
        plugins.add_entry_points()
        plugins.add_builtin()
        self._plugin_manager = plugins
        given = Source(registry=self._registry, restorers=tuple(self._restorers), external_parameters=tuple(self._providers))
        return gather([given, *plugins.sources()])

    @property
    def _plugins_loaded(self) -> Plugins:
        if self._plugin_manager is None:
            raise RuntimeNotStarted()
        return self._plugin_manager

    def get_plugins(self) -> list[PluginRecord]:
        """Every plugin that was met, with what is wrong with it."""
        return self._plugins_loaded.report()

    def _checked(self, engine: Engine, loaded: list[Loaded]) -> list[Loaded]:
        """The same, if they may be stored. SchemeError with every problem of all of them."""
        said = [problem for each in loaded for problem in check(each.scheme, engine)]
        if any(problem.severity == "error" for problem in said):
            raise SchemeError(problems=tuple(said))
        for problem in said:
            log.warning("%s", problem)
        return loaded

    def add_scheme(self, source: SchemeSource, code: str | None = None) -> Scheme:
        """One scheme from a path, a Scheme or a text. Before ``start`` it is read, after it checked and made current too.

        SchemeError, SchemeNotFound. For folders there is ``with_schemes``.
        """
        found = list(load(source, code))
        if len(found) != 1:
            raise SchemeNotFound(f"{source!r} holds {len(found)} schemes; add_scheme takes one, with_schemes a folder", path=str(source))
        if self._started is None:
            self._sources.append((source, code))
        else:
            engine = self._parts.engine
            for each in self._checked(engine, found):
                _make_current(engine, each)
        return found[0].scheme

    # ------------------------------------------------------------------ shutdown

    def shutdown(self) -> None:
        """Hands work back between steps, waits ``shutdown_grace`` seconds for steps in flight, lets go. Idempotent."""
        parts = self._started
        self._sealed = False
        if parts is None or parts.pid != os.getpid() or parts.engine.draining:
            return
        engine, presence = parts.engine, parts.engine.presence
        engine.notify("runtime_stopping", runtime=self)
        engine.draining = True
        engine.pauses.close()
        with ExitStack() as last_first:  # each of these happens, whatever became of the one before
            last_first.callback(self._remove_folder)
            last_first.callback(self._forget)
            last_first.callback(engine.store.close)
            last_first.callback(engine.caller.close)
            if isinstance(presence, Presence):
                last_first.callback(presence.stop, clean=True)
            if parts.clockwork:  # not before: work in hand lives by the beat
                last_first.callback(parts.clockwork.stop)
            last_first.callback(parts.messages.stop)
            last_first.callback(self._await_work, parts)
            if isinstance(presence, Presence):
                presence.drain()

    def _forget(self) -> None:
        """Only now: until it has ended, an action in flight may call the runtime's verbs."""
        self._started = None

    def _await_work(self, parts: Started) -> None:
        grace = parts.engine.settings.shutdown_grace
        deadline = self._clock.monotonic() + grace
        handed_back = parts.workers is None or parts.workers.close(grace)
        if not (parts.engine.live.close(max(0.0, deadline - self._clock.monotonic())) and handed_back):
            log.warning("steps are still in flight after %s s; recovery decides about them", grace)
        if parts.recovery is not None:  # its report is written last
            parts.recovery.wait_for_passes(max(0.0, deadline - self._clock.monotonic()))

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None) -> None:
        self.shutdown()

    # ------------------------------------------------------------------ common

    @property
    def _parts(self) -> Started:
        """RuntimeNotStarted before ``start``, after ``shutdown``, and in a forked child."""
        parts = self._started
        if parts is None:
            raise RuntimeNotStarted()
        if parts.pid != os.getpid():
            raise RuntimeNotStarted(f"this runtime was started in process {parts.pid}; after a fork build and start a new one in the child", pid=parts.pid)
        return parts

    @property
    def _server(self) -> Started:
        """The parts, where there is a server. ClientCannotExecute."""
        parts = self._parts
        if parts.workers is None:
            raise ClientCannotExecute()
        return parts

    def _open_store(self, settings: Settings) -> Store:
        url = settings.url
        if url in MEMORY:
            self._folder = tempfile.mkdtemp(prefix="workflow-runtime-")
            url = f"sqlite:///{self._folder}/workflow.db"
        own_time = isinstance(self._clock, SystemClock)  # then a server database's clock counts, aged by ours; else the clock that was given
        monotonic = self._clock.monotonic if own_time else None
        bounds = Bounds(lease=settings.lease, connections=settings.connections)
        return Store.open(url, clock=self._clock.now, new_token=new_token, monotonic=monotonic, synchronous=settings.sqlite_synchronous, bounds=bounds)

    def _remove_folder(self) -> None:
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None


def _make_current(engine: Engine, loaded: Loaded) -> None:
    """The version that new instances of its code begin with."""
    engine.store.add_scheme(loaded.scheme.key, loaded.text, loaded.format)
    engine.schemes.put(loaded.scheme)


def check(scheme: Scheme, engine: Engine) -> list[Problem]:
    """All problems of a scheme against the names of this runtime."""
    names = engine.catalogue.names()
    found = problems(
        scheme,
        names,
        cron=cron_next,
        external_parameters=bool(engine.catalogue.external_parameters),
        ignore_missing_actions=engine.settings.ignore_missing_execution_items,
        custom_timer_values=bool(engine.catalogue.timer_values),
    )
    return [*found, *unsupported(scheme, names)]


def _sweep(presence: Presence, recovery: Recovery, clockwork: Clockwork, retention: Retention, cause: str) -> None:
    """Who has died, then what they left; behind it what is too old."""
    if recovery.engine.draining:
        return
    if (again := presence.look()) is not None:
        clockwork.sweep_in(again)
    if recovery.engine.settings.auto_recover:
        recovery.sweep(cause)
    retention.clear()


def new_id() -> str:
    """Random, hexadecimal: 128 bits."""
    return os.urandom(16).hex()


def new_token() -> int:
    """Random, 48 bits, so that delete and create cannot meet an old one."""
    return secrets.randbits(48)


def _stored_scheme(store: Store, key: SchemeKey) -> Scheme:
    found = store.scheme_text(key)
    if found is None:
        raise SchemeNotFound(f"the database has no scheme {key.code!r} in version {key.version[:12]}", code=key.code, version=key.version)
    text, format = found
    return TEXTS.read(text, Format(format), code=key.code)
