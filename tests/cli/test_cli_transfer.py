"""``wfr export`` and ``wfr import``: from one database into another, by file and by pipe."""

from __future__ import annotations

import hashlib
import io
import json
import os
import stat
import sys
from pathlib import Path

import pytest
from rich.console import Console
from wfr_calls import Shop, Terminal, dump, wfr

from workflow_runtime import WorkflowRuntime


@pytest.fixture
def other(shop: Shop) -> str:
    """The URL of an empty database."""
    url = f"sqlite:///{shop.folder / 'other.db'}"
    assert wfr("db", "upgrade", "--url", url).code == 0
    return url


def piped(text: str) -> io.StringIO:
    """stdin as a program gets it: bytes behind a text, and no way back."""

    class Pipe(io.BytesIO):
        def seekable(self) -> bool:
            return False

    return io.TextIOWrapper(Pipe(text.encode()))  # type: ignore[return-value]


def test_by_file_there_and_back(shop: Shop, other: str) -> None:
    written = wfr("export", "--out", "orders.jsonl", "-o", "json")
    assert (written.code, written.json["processes"], written.json["failed"]) == (0, 3, {})
    assert "export: 3 processes and 1 scheme versions exported" in written.err
    stored = wfr("import", "orders.jsonl", "--url", other, "-o", "json")
    assert (stored.code, stored.json["processes"], stored.json["digest"]) == (0, 3, written.json["digest"])
    shown = [wfr("process", "list", "-o", "json", *url).json for url in ((), ("--url", other))]
    assert shown[0] == shown[1]
    told = [wfr("process", "history", shop.declined, "-o", "json", *url).json for url in ((), ("--url", other))]
    assert [{**row, "id": 0} for row in told[0]] == [{**row, "id": 0} for row in told[1]]


def test_by_pipe(shop: Shop, other: str) -> None:
    written = wfr("export")
    assert (written.code, len(written.lines)) == (0, 7)
    assert [json.loads(line)["kind"] for line in written.lines] == ["header", "scheme", "current", "process", "process", "process", "end"]
    stored = wfr("import", "-", "--url", other, stdin=piped(written.out))
    assert (stored.code, "import: 3 processes and 1 scheme versions imported" in stored.err) == (0, True)
    assert wfr("process", "show", shop.resting, "--url", other, "-o", "ids").lines == [shop.resting]


def test_processes_go_on_where_they_came_to(shop: Shop, other: str, monkeypatch: pytest.MonkeyPatch) -> None:
    wfr("export", "--out", "orders.jsonl")
    wfr("import", "orders.jsonl", "--url", other)
    monkeypatch.setenv("WORKFLOW_RUNTIME_URL", other)
    done = wfr("process", "execute", shop.resting, "Cancel", "--app", "shopapp:runtime", "-o", "json")
    assert (done.code, done.json["process"]["status"], done.json["process"]["activity"]) == (0, "Finalized", "Cancelled")
    monkeypatch.delenv("WORKFLOW_RUNTIME_URL")
    assert shop.status(shop.resting) == "Idled"


def test_a_filter_chooses(shop: Shop, other: str) -> None:
    assert wfr("export", "--out", "some.jsonl", "--where", "status=Error,Finalized", "-o", "json").json["processes"] == 2
    assert wfr("import", "some.jsonl", "--url", other).code == 0
    assert sorted(wfr("process", "list", "--url", other, "-o", "ids").lines) == sorted([shop.declined, shop.delivered])
    refused = wfr("export", "--where", "colour=red")
    assert (refused.code, refused.out) == (2, "")


def test_a_dry_run_tells_and_stores_nothing(shop: Shop, other: str) -> None:
    wfr("export", "--out", "orders.jsonl")
    before = dump(shop.folder / "other.db")
    told = wfr("import", "orders.jsonl", "--url", other, "--dry-run")
    assert (told.code, "3 processes and 1 scheme versions would be imported (dry run, nothing was changed)" in told.err) == (0, True)
    assert dump(shop.folder / "other.db") == before


def test_ids_in_use_are_partial_failure_or_skipped(shop: Shop, other: str) -> None:
    wfr("export", "--out", "one.jsonl", "--where", "status=Error")
    wfr("export", "--out", "all.jsonl")
    wfr("import", "one.jsonl", "--url", other)
    partly = wfr("import", "all.jsonl", "--url", other, "-o", "json")
    assert (partly.code, partly.json["processes"], list(partly.json["failed"])) == (6, 2, [shop.declined])
    assert f"failed: {shop.declined}: ProcessAlreadyExists: a process {shop.declined} exists already" in partly.err
    none = wfr("import", "all.jsonl", "--url", other)
    assert (none.code, "3 failed" in none.err) == (1, True)
    skipped = wfr("import", "all.jsonl", "--url", other, "--skip-existing", "-o", "json")
    assert (skipped.code, skipped.json["skipped"], skipped.json["processes"]) == (0, 3, 0)


def test_a_file_that_is_not_sound_is_refused_with_its_line(shop: Shop, other: str) -> None:
    wfr("export", "--out", "orders.jsonl")
    text = Path("orders.jsonl").read_text()
    Path("orders.jsonl").write_text(text.replace('"revision":', '"revision":1', 1))
    before = dump(shop.folder / "other.db")
    refused = wfr("import", "orders.jsonl", "--url", other, "-o", "json")
    assert (refused.code, refused.problem["code"], refused.problem["subcode"], refused.problem["line"]) == (1, "TransferError", "wrong_digest", 7)
    assert dump(shop.folder / "other.db") == before


def test_a_scheme_whose_text_is_another_is_refused(shop: Shop, other: str) -> None:
    """Though counts and digest are right: a process would be pinned to what it never was."""
    wfr("export", "--out", "orders.jsonl")
    lines = Path("orders.jsonl").read_bytes().splitlines(keepends=True)
    lines[1] = lines[1].replace(b"ShipOrder", b"SendOrder")
    end = json.loads(lines[-1]) | {"sha256": hashlib.sha256(b"".join(lines[:-1])).hexdigest()}
    Path("orders.jsonl").write_bytes(b"".join(lines[:-1]) + json.dumps(end).encode() + b"\n")
    refused = wfr("import", "orders.jsonl", "--url", other)
    assert (refused.code, "line 2: the text is not that of scheme 'Order' in version" in refused.err) == (1, True)


def test_files_that_are_not_there_are_usage(shop: Shop, other: str) -> None:
    assert wfr("import", "nowhere.jsonl", "--url", other).code == 2
    assert wfr("import", ".", "--url", other).code == 2
    assert wfr("export", "--out", "nowhere/orders.jsonl").code == 2


def test_an_export_replaces_a_file_only_when_it_is_whole(shop: Shop) -> None:
    Path("orders.jsonl").write_text("what was there")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("workflow_runtime.store.transfer_lines.Writer.end", lambda self: 1 / 0)
        assert wfr("export", "--out", "orders.jsonl").code == 1
    assert Path("orders.jsonl").read_text() == "what was there"
    assert wfr("export", "--out", "orders.jsonl").code == 0
    assert stat.S_IMODE(Path("orders.jsonl").stat().st_mode) == 0o600
    assert [path.name for path in Path().iterdir() if "partial" in path.name] == []


def test_a_device_is_written_and_not_replaced(shop: Shop) -> None:
    before = os.stat(os.devnull)
    assert wfr("export", "--out", os.devnull).code == 0
    assert os.stat(os.devnull).st_rdev == before.st_rdev != 0


def test_it_works_beside_a_server(shop: Shop, other: str) -> None:
    wfr("export", "--out", "orders.jsonl")
    with WorkflowRuntime(other).with_settings(auto_recover=False):
        assert wfr("import", "orders.jsonl", "--url", other).code == 0
        assert wfr("export", "--out", "again.jsonl", "--url", other).code == 0


def test_somebody_who_watches_sees_a_bar(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    from workflow_runtime.cli.transfer import progress_bar

    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    with progress_bar() as progress:
        assert progress is not None
        progress("checked", 1, 0)
        progress("imported", 1, 2)
        progress("imported", 2, 2)
    assert "imported" in terminal.getvalue()
    assert Console(file=io.StringIO()).is_terminal is False
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    with progress_bar() as progress:
        assert progress is None
