"""``wfr db``: tables, copies, and the new life of a database."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from wfr_calls import Shop, Terminal, dump, wfr

from workflow_runtime import WorkflowRuntime

BECAUSE = ("--reason", "restored the copy of last night")


def tokens(path: Path) -> list[tuple[int, int]]:
    connection = sqlite3.connect(path)
    try:
        return connection.execute("SELECT token, revision FROM wf_process ORDER BY id").fetchall()
    finally:
        connection.close()


# ------------------------------------------------------------------ backup


def test_a_copy_is_a_database_with_the_same_rows(shop: Shop) -> None:
    done = wfr("db", "backup", "copy.db", "-o", "json")
    assert (done.code, done.json) == (0, {"file": "copy.db", "bytes": Path("copy.db").stat().st_size})
    assert dump(Path("copy.db")) == dump(shop.folder / "workflow.db")
    assert wfr("db", "check", "--url", "sqlite:///copy.db").code == 0


def test_a_copy_is_made_beside_a_server(shop: Shop) -> None:
    with WorkflowRuntime(shop.url).with_settings(auto_recover=False):
        assert wfr("db", "backup", "copy.db").code == 0


def test_a_file_that_is_there_needs_force(shop: Shop) -> None:
    Path("copy.db").write_text("the last good copy")
    refused = wfr("db", "backup", "copy.db")
    assert (refused.code, "is there; name another file" in refused.err) == (1, True)
    assert Path("copy.db").read_text() == "the last good copy"
    assert wfr("db", "backup", "copy.db", "--force").code == 0


def test_it_needs_no_upgrade_first(here: Path) -> None:
    """A copy is made before the tables are changed."""
    assert wfr("db", "upgrade").code == 0
    connection = sqlite3.connect("workflow.db")
    connection.execute("UPDATE wf_alembic_version SET version_num = '0001'")
    connection.commit()
    connection.close()
    assert wfr("db", "check").code == 1
    assert wfr("db", "backup", "copy.db").code == 0


def test_where_nothing_is_nothing_is_made(here: Path) -> None:
    assert wfr("db", "backup", "copy.db").code == 1
    assert list(here.iterdir()) == []
    wfr("db", "upgrade")
    assert wfr("db", "backup", "nowhere/copy.db").code == 2


@pytest.mark.parametrize(
    ("url", "command"),
    [
        ("postgresql+psycopg://anna:secret@db/shop", "pg_dump --format=custom --file=copy.db --host=db --username=anna shop"),
        ("mysql+pymysql://anna:secret@db/shop", "mariadb-dump --single-transaction --password --host=db --user=anna shop > copy.db"),
    ],
)
def test_other_databases_have_a_tool_of_their_own(here: Path, url: str, command: str) -> None:
    told = wfr("db", "backup", "copy.db", "--url", url)
    assert (told.code, command in told.err, "secret" in told.err) == (2, True, False)
    assert list(here.iterdir()) == []


# ------------------------------------------------------------------ renew


def test_a_renewal_changes_every_token_and_says_how_many(shop: Shop) -> None:
    before = tokens(shop.folder / "workflow.db")
    done = wfr("db", "renew", *BECAUSE, "--actor", "olga", "--yes", "-o", "json")
    assert (done.code, done.json["processes"], done.json["servers"]) == (0, 3, 0)
    after = tokens(shop.folder / "workflow.db")
    assert [new[1] - old[1] for new, old in zip(after, before, strict=True)] == [1, 1, 1]
    assert all(new[0] != old[0] for new, old in zip(after, before, strict=True))


def test_it_asks_first(shop: Shop) -> None:
    before = dump(shop.folder / "workflow.db")
    nobody = wfr("db", "renew", *BECAUSE)
    assert (nobody.code, "--yes" in nobody.err) == (2, True)
    no = wfr("db", "renew", *BECAUSE, stdin=Terminal("n\n"))
    assert (no.code, "every server registers anew" in no.err) == (1, True)
    assert dump(shop.folder / "workflow.db") == before
    assert wfr("db", "renew", *BECAUSE, stdin=Terminal("y\n")).code == 0
    assert dump(shop.folder / "workflow.db") != before


def test_a_reason_is_required(shop: Shop) -> None:
    refused = wfr("db", "renew", "--yes")
    assert (refused.code, "--reason" in refused.err) == (2, True)
    blank = wfr("db", "renew", "--yes", "--reason", " ", "-o", "json")
    assert (blank.code, blank.problem["subcode"]) == (1, "bad_reason")


def test_backup_restore_renew_and_go_on(shop: Shop) -> None:
    """The whole way, as the page describes it."""
    assert wfr("db", "backup", "copy.db").code == 0
    assert wfr("process", "cancel", shop.resting, "--reason", "after the copy", "--yes").code == 0
    Path("copy.db").replace(shop.folder / "workflow.db")
    for ending in ("-wal", "-shm"):
        (shop.folder / f"workflow.db{ending}").unlink(missing_ok=True)
    assert wfr("db", "renew", *BECAUSE, "--yes").code == 0
    assert shop.status(shop.resting) == "Idled"
    done = wfr("process", "execute", shop.resting, "Cancel", "--app", "shopapp:runtime")
    assert (done.code, shop.status(shop.resting)) == (0, "Finalized")
