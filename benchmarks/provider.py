"""Whom the steps of the takeover benchmark ask, and what watches the tables of the runtime without its knowledge.

Both live in a schema of their own. Times are microseconds of the database's clock. A request is ready some time after
it was made; asked again with the same key it is the same request, so a step that is repeated elsewhere waits for the rest only.

==========  ==================================================================================
table       one row per
==========  ==================================================================================
arrival     call, also of one that repeats a key
request     key: when it is ready
owned       change of the owner of a process, written by a trigger
journaled   row of the journal, written by a trigger: the connection's name tells the server
refused     process that a server found taken from it
==========  ==================================================================================
"""

from __future__ import annotations

from contextlib import ExitStack
from hashlib import sha256
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

_metadata = sa.MetaData()
_NOW: sa.ColumnElement[int] = sa.cast(sa.func.extract("epoch", sa.func.clock_timestamp()) * 1_000_000, sa.BigInteger)


def _log(name: str, *columns: sa.Column[Any]) -> sa.Table:
    """What happened one after the other, each with its moment."""
    number, moment = sa.Column("number", sa.BigInteger, primary_key=True), sa.Column("at", sa.BigInteger, nullable=False, server_default=_NOW)
    return sa.Table(name, _metadata, number, *columns, moment)


def _text(name: str) -> sa.Column[Any]:
    return sa.Column(name, sa.Text)


arrival = _log("arrival", _text("key"), _text("process"), _text("server"))
request = sa.Table("request", _metadata, sa.Column("key", sa.Text, primary_key=True), sa.Column("ready_at", sa.BigInteger, nullable=False))
owned = _log("owned", _text("process"), _text("before"), _text("after"))
journaled = _log("journaled", _text("process"), _text("walk"), sa.Column("action_index", sa.Integer), _text("connection"))
refused = _log("refused", _text("server"))

#: Each finds its table by the search path of whoever made it: this schema first, then that of the runtime.
_WATCHERS = (
    """
    CREATE FUNCTION note_owner() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
    BEGIN
        INSERT INTO owned (process, before, after) VALUES (NEW.id, OLD.owner, NEW.owner);
        RETURN NULL;
    END $$
    """,
    """
    CREATE FUNCTION note_journal() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
    BEGIN
        INSERT INTO journaled (process, walk, action_index, connection)
        VALUES (NEW.process_id, NEW.walk_id, NEW.action_index, current_setting('application_name'));
        RETURN NULL;
    END $$
    """,
    """
    CREATE TRIGGER note_owner AFTER UPDATE OF owner ON wf_process
    FOR EACH ROW WHEN (OLD.owner IS DISTINCT FROM NEW.owner) EXECUTE FUNCTION note_owner()
    """,
    "CREATE TRIGGER note_journal AFTER INSERT ON wf_journal FOR EACH ROW EXECUTE FUNCTION note_journal()",
)

_asked = sa.insert(arrival).values(key=sa.bindparam("of_key"), process=sa.bindparam("of_process"), server=sa.bindparam("of_server")).cte("asked")
_made = insert(request).values(key=sa.bindparam("of_key"), ready_at=_NOW + sa.bindparam("lasts", type_=sa.BigInteger))
_kept = _made.on_conflict_do_update(index_elements=["key"], set_={"key": _made.excluded.key}).returning(request.c.ready_at).cte("kept")
_ASK = sa.select(_kept.c.ready_at - _NOW).add_cte(_asked)


def engine(url: str, **more: Any) -> sa.Engine:
    """Each statement commits by itself."""
    return sa.create_engine(sa.make_url(url).set(drivername="postgresql+psycopg"), isolation_level="AUTOCOMMIT", **more)


class Provider:
    """``url`` leads to both schemas, this one first. Thread-safe."""

    def __init__(self, url: str, *, connections: int = 4) -> None:
        self.engine = engine(url, pool_size=connections, max_overflow=0, pool_timeout=60)
        with ExitStack() as opened:  # all of them now: what is tested is not whether a provider can be reached
            for _ in range(connections):
                opened.enter_context(self.engine.connect())

    def create(self) -> None:
        """Its tables, and the triggers on those of the runtime."""
        with self.engine.connect() as connection:
            _metadata.create_all(connection, checkfirst=False)
            for watcher in _WATCHERS:
                connection.exec_driver_sql(watcher)

    def ask(self, key: str, process: str, server: str, seconds: float) -> float:
        """Makes a request or finds the one of this key; how long until it is ready, at most 0 if it is. ``seconds`` on average, at most twice as long.

        Some are ready at once: else a server that has just begun with its work would have nothing that could progress elsewhere.
        """
        span = 2 * seconds * int.from_bytes(sha256(key.encode()).digest()[:4]) / 2**32
        values = {"of_key": key, "of_process": process, "of_server": server, "lasts": round(span * 1_000_000)}
        with self.engine.connect() as connection:
            left: int = connection.execute(_ASK, values).scalar_one()
        return left / 1_000_000

    def note_refusal(self, server: str) -> None:
        with self.engine.connect() as connection:
            connection.execute(sa.insert(refused).values(server=server))

    def close(self) -> None:
        self.engine.dispose()
