"""A schema of its own in somebody's PostgreSQL database."""

from __future__ import annotations

from contextlib import suppress

import databases
import pytest
import sqlalchemy as sa

from workflow_runtime import SettingsError, WorkflowRuntime
from workflow_runtime.runtime.places import Schema, own_schema

_SCHEMATA = sa.table("schemata", sa.column("schema_name"), schema="information_schema")


def is_there(postgresql: databases.Places, name: str) -> bool:
    engine = sa.create_engine(postgresql.url, poolclass=sa.NullPool)
    with engine.connect() as connection:
        return connection.execute(sa.select(_SCHEMATA).where(_SCHEMATA.c.schema_name == name)).first() is not None


def url(postgresql: databases.Places) -> str:
    return postgresql.url.render_as_string(hide_password=False)


def test_it_is_dropped_with_all_that_it_holds(postgresql: databases.Places) -> None:
    with own_schema(url(postgresql), "wf_test_own") as place:
        client = WorkflowRuntime(place.url).as_client()
        assert client.upgrade_database()
        with client:
            assert client.count_processes() == 0
        assert is_there(postgresql, place.name)
    assert not is_there(postgresql, place.name)


def test_it_is_dropped_when_something_goes_wrong(postgresql: databases.Places) -> None:
    places: list[Schema] = []
    with suppress(KeyboardInterrupt), own_schema(url(postgresql), "wf_test_own") as place:
        places.append(place)
        raise KeyboardInterrupt
    assert not is_there(postgresql, places[0].name)


def test_it_may_be_kept_and_two_do_not_meet(postgresql: databases.Places) -> None:
    with own_schema(url(postgresql), "wf_test_own", keep=True) as kept, own_schema(url(postgresql), "wf_test_own") as other:
        WorkflowRuntime(kept.url).as_client().upgrade_database()
        assert kept.name != other.name
        assert WorkflowRuntime(other.url).as_client().upgrade_database(), "the tables of the one are not seen in the other"
    assert is_there(postgresql, kept.name)
    engine = sa.create_engine(postgresql.url, poolclass=sa.NullPool)
    with engine.begin() as connection:
        connection.execute(sa.schema.DropSchema(kept.name, cascade=True))


def test_the_options_of_the_url_stay(postgresql: databases.Places) -> None:
    given = postgresql.url.update_query_dict({"options": "-csynchronous_commit=off"}).render_as_string(hide_password=False)
    with own_schema(given, "wf_test_own") as place:
        assert sa.make_url(place.url).query["options"] == f"-csynchronous_commit=off -csearch_path={place.name}"


@pytest.mark.parametrize("url", ["sqlite:///workflow.db", "mysql+pymysql://root@127.0.0.1/test", "no url at all"])
def test_other_databases_are_refused(url: str) -> None:
    with pytest.raises(SettingsError, match=r"expected .*postgresql"), own_schema(url, "wf_test_own"):
        pass
