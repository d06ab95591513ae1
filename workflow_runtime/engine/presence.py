"""This server among others: one incarnation from start to stop. Here single and multi server differ.

Law: an incarnation is registered once, under a random id, and its death is for ever: who finds itself
declared dead drops what it holds and goes on as a new incarnation, unless somebody runs by now beside whom it
cannot be: then it is a server no more. The name is a label and proves nothing.

=========================  ==============================  ===============================================
                           single server                   multi server
=========================  ==============================  ===============================================
who else may be            see rivals.py                   see rivals.py
SQLite                     a file lock                     refused
other databases            a session with a lock: others   the same, and it looks over that session who
                           can see it; it watches nobody   has died (see core/watching.py)
may execute while          SQLite: the file lock holds     three quarters of a lease since the last beat
                           others: as multi                that was sent and arrived
=========================  ==============================  ===============================================

A session that breaks is opened again at once, with a new lock key that the next beat tells: until then others
see a free lock. The beat and the look take turns at it. A call on it that is not answered for half a lease is
ended by the watchdog, as every call that hangs; see watchdog.py.
"""

from __future__ import annotations

import logging
import os
import socket
import threading
from collections.abc import Callable
from datetime import timedelta

from workflow_runtime.core.restoring import Server
from workflow_runtime.core.watching import Judgement, Watch
from workflow_runtime.engine import filelock
from workflow_runtime.engine.clock import Clock
from workflow_runtime.engine.filelock import FileLock
from workflow_runtime.engine.rivals import Mode, Rivals, declare_dead, pause
from workflow_runtime.engine.watchdog import Watchdog
from workflow_runtime.errors import RuntimeNotStarted, ServerAlreadyRunning, SettingsError, StoreUnavailable
from workflow_runtime.settings import Settings
from workflow_runtime.store.sessions import Session
from workflow_runtime.store.writes import Store

__all__ = ["Mode", "Presence"]

_log = logging.getLogger(__name__)

_REMEMBERED = timedelta(days=7)  #: how long the row of a dead server that owns nothing is shown to people
_TRUSTED = 0.75  #: of a lease: what stays is the time in which a write that was begun may still arrive
_PATIENCE = 0.5  #: of a lease, for one call over the session: then there is still time to connect again
_WATCHED = 0.25  #: of a lease, between two looks of the watchdog: so much longer a call may hang


class Presence:
    """One server's claim to be alive. ``name`` is a label (None: the host's name), ``new_id`` gives random hexadecimal ids.

    ``on_fenced(old, new)`` is called from ``beat`` when this server was declared dead and has registered again.
    ``pause(seconds)`` waits between two looks at others. SettingsError for many servers on SQLite. Thread-safe after ``start``.
    """

    def __init__(
        self,
        *,
        store: Store,
        settings: Settings,
        clock: Clock,
        name: str | None,
        mode: str,
        new_id: Callable[[], str],
        version: str,
        on_fenced: Callable[[str, str], None] = lambda old, new: None,
        pause: Callable[[float], None] = pause,
    ) -> None:
        self._store, self._settings, self._clock, self._new_id, self._version = store, settings, clock, new_id, version
        self._host = socket.gethostname()
        self._name, self._mode = name or self._host, Mode(mode)
        self._refuse_sqlite_with_many()
        self.on_fenced = on_fenced
        self._rivals = Rivals(store, self._mode, beat=settings.beat, wait=pause)
        self._gate = threading.Lock()
        self._pid: int | None = None
        self._incarnation: str | None = None
        self._attempts: list[str] = []  #: ids whose row may stand although registering them failed
        self._file: FileLock | None = None
        self._session: Session | None = None
        self._watchdog: Watchdog | None = None
        self._watch = Watch(settings.beat)
        self._peers: tuple[str, ...] = ()
        self._deadline = clock.monotonic()
        self._draining = False

    @property
    def incarnation(self) -> str | None:
        """The id of this incarnation; None before start, after stop, and once it gave way to another server."""
        return self._incarnation

    @property
    def peers(self) -> tuple[str, ...]:
        """The ids of the servers that live and take new work, sorted, as the last look found them; this one is among them."""
        return self._peers

    @property
    def beat_every(self) -> float:
        """Seconds between two beats: behind a file lock nobody's life hangs on them."""
        return self._settings.lease if self._is_alone else self._settings.beat

    # ------------------------------------------------------------------ start and stop

    def start(self) -> str:
        """Become a server of this database and return the id of the incarnation.

        ServerAlreadyRunning (pid and path, or server, host and pid) if that cannot be; on other databases than
        SQLite this may take a lease, when a server that is gone has left its row.
        """
        if self._pid == os.getpid() and self._incarnation is not None:
            return self._incarnation
        self._gate, self._pid, self._incarnation, self._draining = threading.Lock(), os.getpid(), None, False
        self._file = filelock.acquire(self._store.path) if self._store.path else None
        self._watchdog = self._set_watchdog()
        try:
            self._rivals.bury(lease=self._lease)
            self._store.forget_dead(kept=_REMEMBERED)
            self._connect()
            return self._register()
        except BaseException:
            self._incarnation = None
            self._let_go()
            self._dismiss_watchdog()
            raise

    def drain(self) -> None:
        """Say that this server takes nothing new: should it die now, its death counts against no process."""
        with self._gate:  # who registers anew after this drains too
            mine, self._draining = self._incarnation, True
        if mine is not None:  # not in turn, as this may hang: meanwhile the beats go on
            self._store.drain(mine)

    def stop(self, *, clean: bool) -> None:
        """Stop being a server. ``clean``: nothing of it is in flight, so its row goes; otherwise recovery decides about what it leaves.

        Nothing happens a second time, or in a forked child.
        """
        if self._pid != os.getpid():
            return
        with self._gate:  # no beat comes after this
            mine, self._incarnation = self._incarnation, None
        try:
            if mine is not None and clean:
                self._store.retire(mine)  # not in turn, as this may hang; before the lock goes, so that nobody sees it free
        finally:
            with self._gate:
                self._let_go()
            self._dismiss_watchdog()

    def check_fork(self) -> None:
        """RuntimeNotStarted in a child that was forked from the process that called ``start``."""
        if self._pid not in (None, os.getpid()):
            raise RuntimeNotStarted(
                f"this runtime was started in the process {self._pid} and this is {os.getpid()}, forked from it: "
                "threads, locks and connections stay behind; build and start a runtime in the child",
                pid=self._pid,
            )

    # ------------------------------------------------------------------ signs of life

    def beat(self) -> None:
        """Give a sign of life. Whoever was declared dead registers as a new incarnation, then ``on_fenced`` is called.

        Where another server runs beside which it cannot be, there is no new incarnation, and nothing happens from then on.
        StoreUnavailable where a new connection failed too; the next beat tries again.
        """
        with self._gate:  # a beat that overlaps the end must not register anew
            old = self._incarnation
            if old is None or self._beaten(old):
                return
            _log.warning("the server %s (%s) was declared dead by another; it drops what it holds and registers anew", self._name, old)
            new = self._registered_anew()  # until then writes go on in the old name, which the guard refuses
        if new is not None:
            self.on_fenced(old, new)

    def may_execute(self) -> bool:
        """To be asked before claims and effects. No proof (the guard of each write is that), but it keeps a zombie from most of them."""
        if self._incarnation is None:
            return False
        if self._file is not None:
            return self._file.held()
        return self._pid == os.getpid() and self._clock.monotonic() < self._deadline

    def _beaten(self, mine: str) -> bool:
        """Over the session; over a new one if that is broken. False: declared dead."""
        if self._session is not None:
            try:
                return self._beaten_once(mine)
            except StoreUnavailable as error:
                _log.warning("the server %s lost its session and opens another: %s", self._name, error)
        self._connect()
        return self._beaten_once(mine)

    def _beaten_once(self, mine: str) -> bool:
        sent = self._clock.monotonic()
        arrived = self._session.beat(mine, lease=self._lease) if self._session is not None else self._store.beat(mine, lease=self._lease)
        if arrived:
            self._trust_from(sent)
            self._watch.beaten(self._clock.monotonic())
        return arrived

    def _registered_anew(self) -> str | None:
        """None: another runs beside which it cannot be, and it has given way."""
        try:
            return self._registered_at_last()
        except ServerAlreadyRunning as rival:
            self._give_way(rival)
            return None

    def _registered_at_last(self) -> str:
        """Whoever declared it dead ends its connections, perhaps just now the one that this needs: so a second time, under yet another id."""
        try:
            return self._register()
        except StoreUnavailable as error:
            _log.warning("the server %s could not register anew and tries again: %s", self._name, error)
            return self._register()

    def _give_way(self, rival: ServerAlreadyRunning) -> None:
        """Its row is gone by now. Without an incarnation it claims nothing, and the guard refuses what is in hand."""
        self._incarnation, self._peers = None, ()
        self._let_go()
        todo = "shut it down, or stop the other and start this one again"
        _log.critical("the server %s was declared dead and another took its place; this one executes nothing more: %s (%s)", self._name, todo, rival)

    def _trust_from(self, sent: float) -> None:
        self._deadline = sent + _TRUSTED * self._lease.total_seconds()

    # ------------------------------------------------------------------ the others

    def look(self) -> float | None:
        """See who has died and declare it; seconds after which to look again, or None: at the next sweep.

        StoreUnavailable. A single server looks at nobody.
        """
        if self._mode is Mode.SINGLE:
            return None
        try:
            judgement = self._judgement()
        except StoreUnavailable:
            self.beat()  # at once, under a new key: until then others see a free lock
            judgement = self._judgement()
        for server, evidence in judgement.deaths if judgement else ():  # not in turn: this goes over another connection, which may hang
            declare_dead(self._store, server, evidence)
        return judgement.again if judgement else None

    def _judgement(self) -> Judgement | None:
        with self._gate:
            me = self._incarnation
            if me is None or self._session is None:
                return None
            sightings = self._session.look()
            judgement = self._watch.judge(sightings, me=me, at=self._clock.monotonic())
            self._peers = judgement.peers
            return judgement

    # ------------------------------------------------------------------ the session

    def _connect(self) -> None:
        """A new session in place of the one there was, if any."""
        self._disconnect()
        self._session = self._store.open_session(patience=_PATIENCE * self._lease.total_seconds())
        self._watch.began()

    def _disconnect(self) -> None:
        session, self._session = self._session, None
        if session is not None:
            session.close()

    def _set_watchdog(self) -> Watchdog | None:
        """None where no call can hang, behind a file, and where time stands still until a test moves it."""
        if self._is_alone or hasattr(self._clock, "on_advance"):
            return None
        watchdog = Watchdog(self._store.sever_hanging, every=_WATCHED * self._lease.total_seconds())
        watchdog.start()
        return watchdog

    def _dismiss_watchdog(self) -> None:
        """Last of all: until then something may hang."""
        watchdog, self._watchdog = self._watchdog, None
        if watchdog is not None:
            watchdog.stop()

    # ------------------------------------------------------------------ common

    @property
    def _is_alone(self) -> bool:
        return self._store.path is not None

    @property
    def _lease(self) -> timedelta:
        """Twice the pause between two beats where they come once per lease, so that the row of a live server never looks expired."""
        return timedelta(seconds=self._settings.lease * (2 if self._is_alone else 1))

    def _refuse_sqlite_with_many(self) -> None:
        if self._is_alone and self._mode is Mode.MULTI:
            message = "several servers cannot share a SQLite database; use as_single_server(), or a PostgreSQL, MariaDB or MySQL database"
            raise SettingsError(message, setting="url", value=self._settings.url)

    def _register(self) -> str:
        """A new row, under a new id, and from then on every claim is made in its name. ServerAlreadyRunning: then there is no row.

        The store stays bound to it even after the end: unbound, a late write would count as a client's and pass.
        """
        self._forget_attempts()
        sent, now = self._clock.monotonic(), self._store.now()
        me = Server(
            id=self._new_id(),
            name=self._name,
            host=self._host,
            pid=os.getpid(),
            version=self._version,
            mode=self._mode.value,
            started_at=now,
            last_beat_at=now,
            lease_until=now + self._lease,
            draining=self._draining,
            lock_key=self._session.key if self._session is not None else "",
            beat_every=timedelta(seconds=self.beat_every),
        )
        self._attempts.append(me.id)
        self._store.register(me)
        self._rivals.yield_to(me.id)
        self._attempts.clear()
        self._store.bind(me.id)
        self._trust_from(sent)
        self._watch = Watch(self._settings.beat)
        self._incarnation, self._peers = me.id, (me.id,)
        return me.id

    def _forget_attempts(self) -> None:
        """A commit whose answer was lost may have left a row, which nobody beats for: it would pass for another server."""
        while self._attempts:
            self._store.retire(self._attempts[-1])
            self._attempts.pop()

    def _let_go(self) -> None:
        self._disconnect()
        file, self._file = self._file, None
        if file is not None:
            file.release()
