"""A client's place among the servers: it has none. It reads, plans recovery and does operator verbs."""

from __future__ import annotations

from workflow_runtime.engine import filelock
from workflow_runtime.store.writes import Store


class Bystander:
    """Stands where a server has its ``Presence``: no incarnation, no lock, no beat."""

    incarnation: str | None = None
    peers: tuple[str, ...] = ()

    def __init__(self, store: Store) -> None:
        self._store = store

    def may_execute(self) -> bool:
        """Its writes are guarded by revision alone."""
        return True

    def nobody_lives(self) -> bool:
        """Whether every server that ever had this database is gone, as a free file lock proves."""
        return self._store.path is not None and filelock.is_free(self._store.path)
