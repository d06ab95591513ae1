"""Whether a database can keep what the runtime promises: looked at once, at the start.

=============================  ===========================================  ======================================
what is found                  why it matters                               becomes
=============================  ===========================================  ======================================
a standby, or takes no writes  nothing can be stored here                   StoreUnavailable: name the primary
isolation                      a guard must see the newest row              SettingsError unless READ COMMITTED
sql_mode not strict            long texts would be cut, and stored          SettingsError
foreign keys off (SQLite)      timers of deleted processes would stay       SettingsError
fsync, synchronous_commit,     the last commits may be lost when the        a warning
innodb_flush_log_at_trx_...    machine goes down, though acknowledged
full_page_writes, sync_binlog  a crash may damage pages, or a replica
journal_mode (SQLite)          readers and the writer would wait for each   a warning unless WAL
                               other
=============================  ===========================================  ======================================
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping

from workflow_runtime.errors import SettingsError, StoreUnavailable, WorkflowError
from workflow_runtime.store.trouble import Trouble

log = logging.getLogger("workflow_runtime.store")

Facts = Mapping[str, str]  #: names of settings as the database has them -> values in lower case
Finding = tuple[str, Callable[[str], bool], str]  #: setting, is this value bad, what it means

_LOST = "a commit that was acknowledged may be lost when the machine of the database goes down"

_STANDBYS: tuple[Finding, ...] = (
    ("pg_is_in_recovery", lambda value: value == "on", "it is a standby"),
    ("default_transaction_read_only", lambda value: value == "on", "it takes no writes"),
    ("read_only", lambda value: value == "on", "it takes no writes"),
)
_BROKEN: tuple[Finding, ...] = (
    ("transaction_isolation", lambda value: value.replace("-", " ") != "read committed", "guards need READ COMMITTED"),
    ("tx_isolation", lambda value: value.replace("-", " ") != "read committed", "guards need READ COMMITTED"),
    ("sql_mode", lambda value: "strict_trans_tables" not in value, "texts that are too long would be cut; it must be strict"),
    ("foreign_keys", lambda value: value != "1", "what belongs to a deleted process would stay"),
)
_WARNINGS: tuple[Finding, ...] = (
    ("fsync", lambda value: value == "off", _LOST),
    ("synchronous_commit", lambda value: value == "off", _LOST),
    ("synchronous_commit", lambda value: value == "local", "a commit that was acknowledged may be missing on the standby after a failover"),
    ("full_page_writes", lambda value: value == "off", "a crash of the machine of the database may damage what was stored"),
    ("innodb_flush_log_at_trx_commit", lambda value: value != "1", _LOST),
    ("sync_binlog", lambda value: value == "0", "after a crash of the machine of the database its replicas may lack commits that were acknowledged"),
    ("journal_mode", lambda value: value != "wal", "readers and the writer wait for each other; is it a network file system?"),
)


def check(facts: Facts, place: str) -> tuple[str, ...]:
    """A sentence for each promise that this database weakens. StoreUnavailable, SettingsError where it cannot be used."""
    log.info("the database %s: %s", place, ", ".join(f"{name} {value}" for name, value in sorted(facts.items())))
    for name, meaning in _found(_STANDBYS, facts):
        text = f"the database {place} cannot be used: {meaning} ({name} = {facts[name]}); name the server that takes writes, or all of them in the URL"
        raise StoreUnavailable(text, outcome="known", reason=Trouble.READ_ONLY.value)
    for name, meaning in _found(_BROKEN, facts):
        raise _refusal(f"the database {place} has {name} = {facts[name]} on the connections of this program: {meaning}", name, facts[name])
    return tuple(f"the database {place} has {name} = {facts[name]}: {meaning}" for name, meaning in _found(_WARNINGS, facts))


def _found(findings: tuple[Finding, ...], facts: Facts) -> list[tuple[str, str]]:
    return [(name, meaning) for name, is_bad, meaning in findings if name in facts and is_bad(facts[name])]


def _refusal(text: str, name: str, value: str) -> WorkflowError:
    return SettingsError(f"{text}; correct the options of the URL, or whatever changes them on the way", setting=name, value=value)
