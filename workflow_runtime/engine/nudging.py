"""Between the engine and its alarm: who is to look at due rows, and when. Here servers tell each other, and listen.

Law: a message is a courtesy; see store/nudges.py. One is sent only for what others would find later than they should:

====================================================  ==============================================================
written here, and                                     what is done
====================================================  ==============================================================
a timer that falls due after the next regular look    nothing: every server will have looked by then
a timer earlier than anything known here              the own alarm is set; where other servers live, they are told
the same, by a client                                 told: it has no alarm of its own
a row that is due now, by a server                    its own loop looks
the same, by a client or a server that drains         told: only others can take it up
====================================================  ==============================================================

What is to be told within one ``BREATH`` travels as one message, of the earliest; the first is never held up. What is
heard sets the own alarm and is not told on. After every connection, and so after every break, there is one look.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta

from workflow_runtime.engine.clockwork import Clockwork
from workflow_runtime.engine.engine import Engine
from workflow_runtime.errors import StoreError
from workflow_runtime.store.nudges import Listener

log = logging.getLogger("workflow_runtime.engine")

BREATH = 0.05  #: seconds between two messages of one server
FIRST_PAUSE, LONGEST_PAUSE = 0.1, 5.0  #: seconds before a broken connection is opened again, twice as long each time
SILENCE = 60.0  #: seconds for which one call listens
LAST_WORDS = 1.0  #: seconds that the end waits for these threads
AT_ONCE = datetime.fromtimestamp(0, UTC)  #: long due

Tell = Callable[[datetime], object]


class Voice:
    """Tells other servers of due times, in a thread of its own: no commit waits for it. Nothing that goes wrong matters."""

    def __init__(self, tell: Tell, *, breath: float = BREATH) -> None:
        self._tell, self._breath = tell, breath
        self._gate = threading.Condition()
        self._due: datetime | None = None  #: the earliest that was not told yet
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._serve, name="workflow-runtime-voice", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def say(self, due: datetime) -> None:
        """Told soon, together with what others say meanwhile."""
        with self._gate:
            self._due = due if self._due is None else min(due, self._due)
            self._gate.notify()

    def stop(self) -> None:
        """What was said before is told before this returns, unless the database does not answer."""
        with self._gate:
            self._ending.set()
            self._gate.notify()
        if self._thread.is_alive():
            self._thread.join(LAST_WORDS)

    def _serve(self) -> None:
        while (due := self._next()) is not None:
            try:
                self._tell(due)
            except StoreError as error:
                log.debug("other servers could not be told of a row due at %s: %s", due, error)
            except Exception:
                log.exception("other servers could not be told of a row due at %s", due)
            self._ending.wait(self._breath)

    def _next(self) -> datetime | None:
        with self._gate:
            self._gate.wait_for(lambda: self._due is not None or self._ending.is_set())
            due, self._due = self._due, None
            return due


class Ear:
    """Listens to other servers in a thread of its own, and goes on listening whatever becomes of its connection.

    ``heard(due)`` is called for each message, ``missed()`` whenever listening begins: what was said before was not heard.
    ``chance`` gives numbers from 0 to 1: servers that lost one database shall not all come back at one moment.
    """

    def __init__(self, listen: Callable[[], Listener | None], *, heard: Tell, missed: Callable[[], None], chance: Callable[[], float]) -> None:
        self._listen, self._heard, self._missed, self._chance = listen, heard, missed, chance
        self._gate = threading.Lock()
        self._ending = threading.Event()
        self._listener: Listener | None = None
        self._thread = threading.Thread(target=self._serve, name="workflow-runtime-ear", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        with self._gate:
            self._ending.set()
            listener = self._listener
        if listener is not None:
            listener.close()
        if self._thread.is_alive():
            self._thread.join(LAST_WORDS)

    def _serve(self) -> None:
        pause = FIRST_PAUSE
        while not self._ending.is_set():
            try:
                if (listener := self._listen()) is None:
                    return
                pause = FIRST_PAUSE
                with closing(listener):
                    self._hear(listener)
            except StoreError as error:
                log.debug("messages of other servers are not heard just now: %s", error)
            except Exception:
                log.exception("messages of other servers are not heard just now")
            self._ending.wait(pause * (0.5 + self._chance() / 2))
            pause = min(2 * pause, LONGEST_PAUSE)

    def _hear(self, listener: Listener) -> None:
        with self._gate:  # either it is seen here that the end has come, or ``stop`` sees the listener
            self._listener = listener
        self._missed()
        while not self._ending.is_set():
            for due in listener.wait(SILENCE):
                self._heard(due)


class Messages:
    """What the engine of one runtime calls when it has written rows; ``clockwork`` is its alarm, None for a client's.

    ``carried``: the database carries messages, and this runtime has threads. Otherwise every server finds out when it looks.
    """

    def __init__(self, engine: Engine, clockwork: Clockwork | None, *, carried: bool, chance: Callable[[], float]) -> None:
        self._engine, self._clockwork, self._carried = engine, clockwork, carried
        self._voice = Voice(engine.store.tell_due)
        self._ear = Ear(engine.store.listen, heard=clockwork.wake_at, missed=clockwork.nudge, chance=chance) if clockwork else None
        engine.wake_at, engine.nudge = self.wake_at, self.nudge

    def start(self) -> None:
        if self._carried:
            self._voice.start()
            if self._ear is not None:
                self._ear.start()

    def stop(self) -> None:
        """Behind the last write of work in hand, and before the database is closed."""
        if self._ear is not None:
            self._ear.stop()
        self._voice.stop()

    def wake_at(self, when: datetime) -> None:
        """A timer was armed that is due then."""
        if self._is_news(when):
            self._voice.say(when)

    def nudge(self) -> None:
        """Something may be due now."""
        if self._clockwork is not None:
            self._clockwork.nudge()
        if self._clockwork is None or self._engine.draining:
            self._voice.say(AT_ONCE)

    def _is_news(self, when: datetime) -> bool:
        """Whether others would find it too late; the own alarm is set, which a server that shuts down does not heed any more."""
        if self._clockwork is not None:
            sooner = self._clockwork.wake_at(when)
            return (sooner or self._engine.draining) and len(self._engine.presence.peers) > 1
        return self._carried and when < self._engine.now() + timedelta(seconds=self._engine.settings.poll)
