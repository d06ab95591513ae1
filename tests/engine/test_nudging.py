"""What is told to other servers, how often, and how one goes on listening whatever happens."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from queue import SimpleQueue
from typing import Any

import pytest
from bench import NOW, WHO, Bench, engine_of
from timed import text
from waiting import until

from workflow_runtime import WorkflowRuntime
from workflow_runtime.engine import nudging
from workflow_runtime.engine.nudging import AT_ONCE, FIRST_PAUSE, LONGEST_PAUSE, Ear, Voice
from workflow_runtime.engine.presence import Presence
from workflow_runtime.errors import StoreUnavailable

FAR = 3_600.0
PATIENCE = 20.0
MINUTE = timedelta(minutes=1)

# ------------------------------------------------------------------ the voice


class Told:
    """What was told; ``act`` is done each time."""

    def __init__(self) -> None:
        self.dues: list[datetime] = []
        self.act: Callable[[], object] = lambda: None

    def __call__(self, due: datetime) -> None:
        self.dues.append(due)
        self.act()


@pytest.fixture
def told() -> Told:
    return Told()


class Breaths(threading.Event):
    """The end that is waited for between two messages: notes for how long."""

    def __init__(self) -> None:
        super().__init__()
        self.seconds: list[float | None] = []

    def wait(self, timeout: float | None = None) -> bool:
        self.seconds.append(timeout)
        return super().wait(timeout)


@pytest.fixture
def voice(told: Told) -> Iterator[Voice]:
    """Breathes once an hour."""
    voice = Voice(told, breath=FAR)
    voice._ending = Breaths()
    voice.start()
    yield voice
    voice.stop()


def test_the_first_is_told_at_once_and_those_of_one_breath_together_as_the_earliest(voice: Voice, told: Told) -> None:
    voice.say(NOW)
    until(lambda: voice._ending.seconds == [FAR])  # type: ignore[attr-defined]
    assert told.dues == [NOW]
    for minutes in (5, 3, 4):
        voice.say(NOW + minutes * MINUTE)
    voice.stop()
    assert told.dues == [NOW, NOW + 3 * MINUTE]


def test_what_is_said_while_one_is_being_told_is_not_lost(voice: Voice, told: Told) -> None:
    def meanwhile() -> None:
        told.act = lambda: None
        voice.say(NOW + MINUTE)

    told.act = meanwhile
    voice.say(NOW)
    until(lambda: told.dues)
    voice.stop()
    assert told.dues == [NOW, NOW + MINUTE]


def test_it_speaks_again_after_each_breath(told: Told) -> None:
    voice = Voice(told, breath=0.001)
    voice.start()
    for minutes in range(5):
        voice.say(NOW + minutes * MINUTE)
        until(lambda count=minutes + 1: len(told.dues) == count)  # type: ignore[misc]
    voice.stop()


@pytest.mark.parametrize(("error", "level"), [(StoreUnavailable("gone"), logging.DEBUG), (ValueError("a bug"), logging.ERROR)])
def test_what_cannot_be_told_is_left_and_the_next_is_told(told: Told, caplog: pytest.LogCaptureFixture, error: Exception, level: int) -> None:
    def fails() -> None:
        told.act = lambda: None
        raise error

    caplog.set_level(logging.DEBUG, "workflow_runtime.engine")
    told.act = fails
    voice = Voice(told, breath=0.001)
    voice.start()
    voice.say(NOW)
    until(lambda: told.dues)
    voice.say(NOW + MINUTE)
    until(lambda: len(told.dues) == 2)
    voice.stop()
    assert [record.levelno for record in caplog.records] == [level]


def test_the_end_does_not_wait_for_a_database_that_does_not_answer(told: Told, voice: Voice, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nudging, "LAST_WORDS", 0.01)
    go_on = threading.Event()
    told.act = lambda: go_on.wait(PATIENCE)
    voice.say(NOW)
    until(lambda: told.dues)
    voice.stop()
    assert voice._thread.is_alive()
    go_on.set()
    voice._thread.join(PATIENCE)
    assert not voice._thread.is_alive()


def test_one_that_never_began_ends_too(told: Told) -> None:
    voice = Voice(told)
    voice.say(NOW)
    voice.stop()
    assert told.dues == []


# ------------------------------------------------------------------ the ear


class Line:
    """A listener into which the test speaks: a list of due times, or an error."""

    def __init__(self) -> None:
        self.said: SimpleQueue[list[datetime] | Exception] = SimpleQueue()
        self.closed = 0

    def wait(self, timeout: float) -> list[datetime]:
        said = self.said.get(timeout=PATIENCE)
        if isinstance(said, Exception):
            raise said
        return said

    def close(self) -> None:
        self.closed += 1
        self.said.put([])


class Pauses(threading.Event):
    """The end that is waited for between two attempts: notes how long, and does not wait."""

    def __init__(self) -> None:
        super().__init__()
        self.seconds: list[float] = []

    def wait(self, timeout: float | None = None) -> bool:
        assert timeout is not None
        self.seconds.append(timeout)
        return self.is_set()


class Listening:
    """An ear; each attempt to listen takes the next of ``answers``: a line, an error, or None."""

    def __init__(self, *answers: Any, chance: float = 1.0) -> None:
        self._answers = list(answers)
        self.heard: list[datetime] = []
        self.missed = 0
        self.ear = Ear(self._listen, heard=self.heard.append, missed=self._miss, chance=lambda: chance)
        self.ear._ending = self.pauses = Pauses()
        self.ear.start()

    def _listen(self) -> Any:
        answer = self._answers.pop(0) if self._answers else None
        if isinstance(answer, Exception):
            raise answer
        return answer

    def _miss(self) -> None:
        self.missed += 1

    def end(self) -> None:
        self.ear._thread.join(PATIENCE)
        assert not self.ear._thread.is_alive()


def test_what_is_said_is_heard_and_what_was_said_before_is_looked_for_once() -> None:
    line = Line()
    listening = Listening(line)
    line.said.put([NOW, NOW + MINUTE])
    line.said.put([])
    line.said.put([NOW])
    until(lambda: len(listening.heard) == 3)
    assert (listening.heard, listening.missed) == ([NOW, NOW + MINUTE, NOW], 1)
    listening.ear.stop()
    listening.end()
    assert line.closed


@pytest.mark.parametrize("error", [StoreUnavailable("cut"), ValueError("a bug")])
def test_after_a_break_it_listens_anew_and_looks_once_for_what_it_missed(error: Exception) -> None:
    first, second = Line(), Line()
    first.said.put(error)
    listening = Listening(first, second)
    until(lambda: listening.missed == 2)
    second.said.put([NOW])
    until(lambda: listening.heard == [NOW])
    assert (first.closed, second.closed) == (1, 0)
    listening.ear.stop()
    listening.end()


def test_between_attempts_it_waits_longer_each_time_and_begins_anew_once_it_has_heard() -> None:
    line = Line()
    line.said.put(StoreUnavailable("cut"))
    listening = Listening(*[StoreUnavailable("away")] * 8, line)
    listening.end()
    doubled = [min(FIRST_PAUSE * 2**number, LONGEST_PAUSE) for number in range(8)]
    assert listening.pauses.seconds == [*doubled, FIRST_PAUSE]


def test_servers_do_not_all_come_back_at_one_moment() -> None:
    listening = Listening(StoreUnavailable("away"), StoreUnavailable("away"), chance=0.0)
    listening.end()
    assert listening.pauses.seconds == [FIRST_PAUSE / 2, FIRST_PAUSE]


def test_where_no_messages_are_carried_it_ends() -> None:
    listening = Listening(None)
    listening.end()
    assert (listening.missed, listening.pauses.seconds) == (0, [])


def test_the_end_comes_also_while_the_line_is_being_opened() -> None:
    line, opening, go_on = Line(), threading.Event(), threading.Event()

    def listen() -> Any:
        opening.set()
        assert go_on.wait(PATIENCE)
        return line

    ear = Ear(listen, heard=print, missed=lambda: None, chance=lambda: 0.0)
    ear.start()
    assert opening.wait(PATIENCE)
    stopping = threading.Thread(target=ear.stop)
    stopping.start()
    until(ear._ending.is_set)
    go_on.set()
    stopping.join(PATIENCE)
    ear._thread.join(PATIENCE)
    assert not ear._thread.is_alive()
    assert line.closed


# ------------------------------------------------------------------ what is told


@pytest.fixture
def peers(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    living = ["me", "other"]
    monkeypatch.setattr(Presence, "peers", property(lambda presence: tuple(living)))
    return living


def listened_to(runtime: WorkflowRuntime) -> list[datetime]:
    """What it says from now on."""
    said: list[datetime] = []
    runtime._parts.messages._voice.say = said.append  # type: ignore[method-assign]
    return said


def arm(runtime: WorkflowRuntime, minutes: float) -> None:
    runtime.create_instance("S", parameters={"TimerValue_t": f"{minutes}m"})


SCHEME = text("{interval: 1m}", head="parameters: {TimerValue_t: {type: string, purpose: persistence}}")


def test_told_is_only_what_is_earlier_than_all_that_is_known_and_than_the_next_look(bench: Bench, peers: list[str]) -> None:
    said = listened_to(runtime := bench(SCHEME, poll=FAR))
    for minutes in (120, 30, 40, 30, 20):
        arm(runtime, minutes)
    assert said == [NOW + 30 * MINUTE, NOW + 20 * MINUTE]


def test_where_no_other_server_lives_nothing_is_told(bench: Bench, peers: list[str]) -> None:
    said = listened_to(runtime := bench(SCHEME, poll=FAR))
    del peers[1:]
    arm(runtime, 30)
    assert said == []


def test_what_this_server_looks_at_itself_is_not_told(bench: Bench, peers: list[str]) -> None:
    """A change that keeps rows nudges the own loop, and nobody else."""
    said = listened_to(runtime := bench(SCHEME, poll=FAR))
    arm(runtime, 120)
    (process,) = runtime.find_processes()
    runtime.set_parameter(process.id, "Note", 1, **WHO)
    assert said == []


def test_a_server_that_drains_tells_what_it_hands_back(bench: Bench, peers: list[str]) -> None:
    said = listened_to(runtime := bench(SCHEME, poll=FAR))
    engine_of(runtime).draining = True
    engine_of(runtime).nudge()
    engine_of(runtime).draining = False
    assert said == [AT_ONCE]


def test_a_server_that_drains_tells_of_every_timer_because_its_own_alarm_rings_for_nobody(bench: Bench, peers: list[str]) -> None:
    said = listened_to(runtime := bench(SCHEME, poll=FAR))
    arm(runtime, 20)
    said.clear()
    engine_of(runtime).draining = True
    engine_of(runtime).wake_at(NOW + 40 * MINUTE)
    engine_of(runtime).draining = False
    assert said == [NOW + 40 * MINUTE]


def test_a_client_tells_what_only_servers_can_take_up(bench: Bench) -> None:
    arm(bench(SCHEME, poll=FAR), 30)
    said = listened_to(client := bench(client=True, poll=FAR))
    (process,) = client.find_processes()
    client.set_activity(process.id, "C", **WHO)
    assert said == [AT_ONCE]


def test_without_messages_there_are_no_threads_for_them(bench: Bench) -> None:
    messages = bench(SCHEME, real_time=True)._parts.messages
    assert messages._ear is not None
    assert not messages._voice._thread.is_alive()
    assert not messages._ear._thread.is_alive()
