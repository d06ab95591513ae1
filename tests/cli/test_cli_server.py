"""``wfr server``: ready, draining, ending by signals; and what may be said of a server from outside."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import pytest
from wfr_calls import Shop, wfr

from workflow_runtime import Server
from workflow_runtime.cli.server import Listed, condition, death, lock

NOW = datetime(2031, 5, 6, 7, 8, 9, tzinfo=UTC)

#: Its action tells that it has begun, and takes longer than anybody waits.
SLOW = """
import threading
from workflow_runtime import WorkflowRuntime

runtime = WorkflowRuntime().with_schemes({order!r}).as_single_server("slow")


@runtime.action("ChargePayment")
def charge(ctx, amount):
    print("charging", flush=True)
    threading.Event().wait(60)


@runtime.action("ShipOrder")
def ship(ctx, parameter):
    ...
"""


@contextmanager
def server(shop: Shop, *arguments: str, said: tuple[str, ...] = ()) -> Iterator[subprocess.Popen[str]]:
    """``wfr server run`` that has said that it is ready, and this, in whatever order; killed at the end, if it still lives."""
    command = [sys.executable, "-m", "workflow_runtime", "server", "run", *arguments]
    with subprocess.Popen(command, cwd=shop.folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert {process.stdout.readline().partition(":")[0].strip() for _ in ("ready", *said)} == {"ready", *said}
            yield process
        finally:
            process.kill()


def test_a_server_takes_up_what_an_operator_left_and_ends_on_sigterm(shop: Shop) -> None:
    wfr("process", "set-activity", shop.resting, "--to", "Ship", "--reason", "INC-77", "--yes")
    with server(shop, "--app", "shopapp:runtime", "--single", "--name", "till") as process:
        (row,) = wfr("server", "list", "-o", "json").json
        assert (row["name"], row["mode"], row["pid"]) == ("till", "single", process.pid)
        assert (row["condition"], row["declared_by_name"]) == ("alive", "")
        assert wfr("server", "list").lines[1].split()[-1] == "alive"
        while shop.status(shop.resting) == "Running":
            assert process.poll() is None
        process.send_signal(signal.SIGTERM)
        _, words = process.communicate(timeout=60)
    assert process.returncode == 0, words
    assert "SIGTERM: handing work back" in words
    assert shop.status(shop.resting) == "Finalized"
    assert wfr("server", "list", "-o", "ids").lines == []


def test_ctrl_c_drains_and_then_ends_by_the_signal(shop: Shop) -> None:
    with server(shop) as process:
        process.send_signal(signal.SIGINT)
        _, words = process.communicate(timeout=60)
    assert process.returncode == -signal.SIGINT
    assert words.rstrip().endswith("stopped")
    assert wfr("server", "list", "-o", "ids").lines == []


@pytest.mark.parametrize(("application", "warned"), [((), 1), (("--app", "shopapp:runtime"), 0)], ids=["without", "with"])
def test_a_server_says_what_it_cannot_execute(shop: Shop, application: tuple[str, ...], warned: int) -> None:
    with server(shop, *application) as process:
        process.send_signal(signal.SIGTERM)
        _, words = process.communicate(timeout=60)
    assert words.count("warning: this server has no 'ChargePayment', 'ShipOrder', which scheme 'Order' needs") == warned


@pytest.mark.skipif(os.name != "posix", reason="signals")
def test_a_second_signal_ends_at_once(shop: Shop) -> None:
    from wfr_calls import ORDER

    (shop.folder / "slowapp.py").write_text(SLOW.format(order=ORDER))
    wfr("process", "set-activity", shop.resting, "--to", "Charge", "--reason", "INC-77", "--yes")
    with server(shop, "--app", "slowapp", said=("charging",)) as process:
        assert process.stderr is not None
        process.send_signal(signal.SIGTERM)
        while "handing work back" not in process.stderr.readline():
            assert process.poll() is None
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=5)
    assert process.returncode == -signal.SIGTERM
    assert shop.status(shop.resting) == "Running"
    (left,) = wfr("recovery", "plan", "-o", "ids", "--app", "shopapp").lines
    assert left == shop.resting


def test_a_name_needs_to_know_the_mode_of_an_application(shop: Shop) -> None:
    assert wfr("server", "run", "--app", "shopapp", "--name", "till").code == 2


def seen(**more: object) -> Server:
    facts: dict[str, object] = {"lease_until": NOW + timedelta(seconds=5), "last_beat_at": NOW, "started_at": NOW} | more
    return Server(id="a", name="n", host="h", pid=1, version="0", mode="multi", **facts)  # type: ignore[arg-type]


DEAD = {"dead_at": NOW + timedelta(seconds=0.62), "lock_key": "7"}


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({}, "alive"),
        ({"draining": True}, "draining"),
        ({"lease_until": NOW - timedelta(seconds=1)}, "silent"),
        ({"dead_at": NOW, "lease_until": NOW - timedelta(seconds=1)}, "dead"),
    ],
)
def test_conditions(more: dict[str, object], expected: str) -> None:
    assert condition(seen(**more), NOW) == expected


@pytest.mark.parametrize(
    ("more", "expected"),
    [({}, ""), ({"lock_key": "7"}, "held"), ({"lock_key": "7", "lock_ok": False}, "not held"), ({"lock_ok": False}, "not held"), (DEAD, "")],
    ids=["none, as on SQLite", "held", "behind a pooler", "none to be had", "dead"],
)
def test_locks(more: dict[str, object], expected: str) -> None:
    assert lock(seen(**more)) == expected


@pytest.mark.parametrize(
    ("more", "by", "expected"),
    [
        ({}, "", ""),
        (DEAD | {"death": "lock"}, "eu-2", "its lock was freed: declared dead by eu-2 0.62 s after its last beat"),
        (DEAD | {"death": "lease"}, "", "its lease expired: declared dead 0.62 s after its last beat"),
        (DEAD | {"death": "start"}, "", "it was gone when a server started: declared dead 0.62 s after its last beat"),
        (DEAD, "", "how it was noticed is not known: declared dead 0.62 s after its last beat"),
    ],
    ids=["alive", "lock", "lease", "start", "not noted"],
)
def test_deaths(more: dict[str, object], by: str, expected: str) -> None:
    assert death(Listed(server=seen(**more), now=NOW, declared_by=by)) == expected
