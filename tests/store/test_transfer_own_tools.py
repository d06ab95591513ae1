"""Databases that have tools of their own for a backup: the command is named, without a password, and nothing is done."""

from __future__ import annotations

from pathlib import Path

import pytest
import sqlalchemy as sa
from stored import ON_SERVERS
from transferred import ignored

from workflow_runtime.errors import SettingsError
from workflow_runtime.store.backup import backup, own_tool
from workflow_runtime.store.writes import Store

TOOLS = {"postgresql": "pg_dump", "mysql": "mariadb-dump"}


@ON_SERVERS
def test_other_databases_name_their_own_tool(store: Store, tmp_path: Path) -> None:
    with pytest.raises(SettingsError) as caught:
        backup(store.dialect, tmp_path / "copy.db", force=False, progress=ignored)
    assert caught.value.command.split()[0] == TOOLS[store.dialect.engine.dialect.name]
    assert caught.value.command in caught.value.message
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("url", "command"),
    [
        (
            "postgresql+psycopg://anna:secret@db:5433/shop?options=-csearch_path%3Dx&password=secret",
            "pg_dump --format=custom '--file=/b/my copy' --host=db --port=5433 --username=anna shop",
        ),
        ("postgresql+psycopg:///shop?host=/run/pg", "pg_dump --format=custom '--file=/b/my copy' --host=/run/pg shop"),
        ("mysql+pymysql://anna:secret@db/shop", "mariadb-dump --single-transaction --password --host=db --user=anna shop > '/b/my copy'"),
        ("mariadb+pymysql://u@/shop?unix_socket=/run/m.sock", "mariadb-dump --single-transaction --password --user=u --socket=/run/m.sock shop > '/b/my copy'"),
    ],
)
def test_commands_show_no_password(url: str, command: str) -> None:
    assert own_tool(sa.make_url(url), Path("/b/my copy")) == command
