"""Making and checking the tables, also by several at once and with a database of another version."""

from __future__ import annotations

import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier
from uuid import UUID

import pytest
import sqlalchemy as sa
from stored import ON_SERVERS, ONLY_MYSQL, ONLY_SQLITE, everything, execute

from workflow_runtime.errors import SchemaTooNew, StoreUnavailable
from workflow_runtime.store import migrating, migrations, tables
from workflow_runtime.store.writes import Store

OpenStore = Callable[..., Store]


def test_an_empty_database_is_upgraded_once(open_store: OpenStore) -> None:
    store = open_store()
    assert [store.upgrade(), store.upgrade()] == [True, False]
    assert store.schema_revision() == migrations.HEAD
    store.check()


def test_four_threads_upgrade_one_empty_database(open_store: OpenStore) -> None:
    stores, together = [open_store() for _ in range(4)], Barrier(4)

    def upgrade(store: Store) -> bool:
        together.wait()
        return store.upgrade()

    with ThreadPoolExecutor(4) as pool:
        assert sorted(pool.map(upgrade, stores)) == [False, False, False, True]
    assert len({store.epoch() for store in stores}) == 1
    stores[0].check()


def test_the_epoch_is_a_uuid_that_stays(open_store: OpenStore) -> None:
    store = open_store()
    store.upgrade()
    epoch = store.epoch()
    store.upgrade()
    assert open_store().epoch() == epoch
    assert UUID(epoch).version == 4


def test_before_the_upgrade_every_verb_says_what_to_do(open_store: OpenStore) -> None:
    store = open_store()
    for ask in (store.servers, store.epoch) if store.path is None else (store.schema_revision, store.check, store.servers):
        with pytest.raises(StoreUnavailable, match="wfr db upgrade"):
            ask()
    with pytest.raises(StoreUnavailable, match="run wfr db upgrade"):
        store.check()
    assert store.schema_revision() is None


@ONLY_SQLITE
def test_looking_at_a_file_does_not_create_it(open_store: OpenStore) -> None:
    store = open_store()
    for ask in (store.check, store.schema_revision):
        with pytest.raises(StoreUnavailable, match="wfr db upgrade"):
            ask()
    assert store.path is not None
    assert not store.path.exists()


def test_a_newer_schema_is_refused_and_left_as_it_is(open_store: OpenStore) -> None:
    store = open_store()
    store.upgrade()
    _set_revision(store, "9999")
    before = everything(store)
    for ask in (store.check, store.upgrade):
        with pytest.raises(SchemaTooNew, match="upgrade this installation") as caught:
            ask()
        assert caught.value.revision == "9999"
    assert everything(store) == before


def test_a_schema_that_is_behind_asks_for_the_upgrade() -> None:
    with pytest.raises(StoreUnavailable, match="has schema revision 0001, this version needs 0003; run wfr db upgrade"):
        migrating.check("0001", "the database", known=("0001", "0002", "0003"))


@pytest.mark.parametrize("database", ["sqlite", "postgresql"], indirect=True)
def test_an_upgrade_that_breaks_off_leaves_nothing(open_store: OpenStore, monkeypatch: pytest.MonkeyPatch) -> None:
    store = open_store()
    with monkeypatch.context() as broken:
        broken.setattr(tables.meta, "name", "wf_scheme")  # so that the epoch, which comes last, cannot be written
        with pytest.raises(StoreUnavailable, match="has not the tables"):
            store.upgrade()
    assert store.schema_revision() is None
    assert open_store().upgrade()


UNDONE = {
    "all steps were taken": [],
    "a table is missing": ["DROP TABLE wf_idempotency"],
    "an index and a table are missing": ["DROP INDEX wf_decision_recovery ON wf_decision", "DROP TABLE wf_meta"],
}


@ONLY_MYSQL
def test_an_upgrade_that_broke_off_between_two_steps_is_completed(open_store: OpenStore) -> None:
    store = open_store()
    store.upgrade()
    whole = _described(store.dialect.engine)
    for state, undone in UNDONE.items():
        for text in ("DELETE FROM wf_meta", "DELETE FROM wf_alembic_version", *undone):
            execute(store, text)
        assert [store.upgrade(), store.upgrade()] == [True, False], state
        assert _described(store.dialect.engine) == whole, state
        assert UUID(store.epoch())
    store.check()


@ONLY_MYSQL
def test_an_upgrade_that_broke_off_before_the_epoch_is_completed(store: Store) -> None:
    execute(store, "DELETE FROM wf_meta")
    assert [store.upgrade(), store.upgrade()] == [True, False]
    assert UUID(store.epoch())


def test_the_revisions_are_those_of_the_migrations() -> None:
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    config = Config()
    config.set_main_option("script_location", str(Path(migrations.__file__).parent))
    config.set_main_option("path_separator", "os")
    script = ScriptDirectory.from_config(config)
    assert tuple(reversed([revision.revision for revision in script.walk_revisions()])) == migrations.REVISIONS


def test_the_migrations_make_the_tables_that_the_code_uses(store: Store) -> None:
    """Whoever changes tables.py adds a migration."""
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext

    with store.dialect.migration() as connection:
        options = {"version_table": migrations.VERSION_TABLE, "compare_type": True}
        assert compare_metadata(MigrationContext.configure(connection, opts=options), tables.metadata) == []


@ONLY_SQLITE
def test_the_migrated_tables_are_the_same_word_for_word(store: Store) -> None:
    """What a comparison of types does not see: collations, conditions of indexes, autoincrement."""
    master = sa.table("sqlite_master", sa.column("name"), sa.column("sql"))
    wanted = sa.select(master).where(master.c.name.like("wf~_%", escape="~"), master.c.name != migrations.VERSION_TABLE).order_by(master.c.name)
    engine = sa.create_engine("sqlite://")
    with engine.begin() as connection:
        tables.metadata.create_all(connection)
        written = connection.execute(wanted).all()
    engine.dispose()
    with store.dialect.read() as transaction:
        migrated = transaction.rows_built(wanted)
    assert [(name, _without_layout(sql)) for name, sql in migrated] == [(name, _without_layout(sql)) for name, sql in written]


@ON_SERVERS
def test_the_migrated_tables_are_described_the_same(store: Store, request: pytest.FixtureRequest, database: str) -> None:
    places = request.getfixturevalue(store.dialect.engine.dialect.name)
    engine = sa.create_engine(places.empty(), poolclass=sa.NullPool)
    tables.metadata.create_all(engine)
    assert _described(store.dialect.engine) == _described(engine)


def _described(engine: sa.Engine) -> list[str]:
    found = sa.inspect(engine)
    looks = (found.get_columns, found.get_pk_constraint, found.get_unique_constraints, found.get_foreign_keys, found.get_indexes)
    return [f"{table} {look(table)!r}" for table in tables.metadata.tables for look in looks]


@ON_SERVERS
def test_every_text_that_is_compared_is_compared_exactly(store: Store) -> None:
    exact = {"postgresql": {"C"}, "mysql": {"utf8mb4_nopad_bin", "utf8mb4_0900_bin"}}[store.dialect.engine.dialect.name]
    found = sa.inspect(store.dialect.engine)
    columns = [(column["name"], column["type"]) for table in tables.metadata.tables for column in found.get_columns(table)]
    assert {type_.collation for _, type_ in columns if isinstance(type_, sa.VARCHAR) and not isinstance(type_, sa.TEXT)} <= exact


def _without_layout(sql: str) -> list[str]:
    """Constraints of a table may come in any order, columns of an index may not. What was made anew has its name in quotation marks."""
    words = sql.replace('"', "").replace(",", " ").replace("(", " ( ").replace(")", " ) ").split()
    return sorted(words) if words[1] == "TABLE" else words


def test_nothing_takes_rows_of_history_away() -> None:
    """So SQLite gives no id twice, though it counts without AUTOINCREMENT."""
    deleting = re.compile(r"delete\((tables\.)?_?history\b")
    assert deleting.search("sa.delete(tables.history)")
    assert [path.name for path in Path(tables.__file__).parent.rglob("*.py") if deleting.search(path.read_text())] == []


def test_every_table_and_index_is_ours_by_name() -> None:
    names = [*tables.metadata.tables, *(str(index.name) for table in tables.metadata.tables.values() for index in table.indexes)]
    assert [name for name in names if not name.startswith("wf_")] == []


def _set_revision(store: Store, revision: str) -> None:
    versions = sa.table(migrations.VERSION_TABLE, sa.column("version_num"))
    with store.dialect.write() as transaction:
        assert transaction.run(sa.update(versions).values(version_num=revision), {}) == 1
