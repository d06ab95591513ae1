"""``wfr scheme``: files without a database, stored schemes with one."""

from __future__ import annotations

from pathlib import Path

import pytest
from wfr_calls import ORDER, Shop, wfr

from workflow_runtime.core.reading import read

BROKEN = """
scheme: Broken
activities:
  Start: {initial: true, actions: [Shipp]}
  End: {final: true}
transitions:
  - {from: Start, to: Endd}
"""


@pytest.fixture
def broken(here: Path) -> str:
    (here / "broken.yaml").write_text(BROKEN)
    return "broken.yaml"


def test_check_of_sound_files(here: Path) -> None:
    checked = wfr("scheme", "check", ORDER, ORDER.replace(".yaml", ".xml"))
    assert (checked.code, checked.out) == (0, "")
    assert checked.err.splitlines()[-1] == "2 files, 0 errors, 0 warnings"


def test_check_tells_every_problem_with_its_place(broken: str) -> None:
    checked = wfr("scheme", "check", ORDER, broken)
    assert checked.code == 1
    assert "broken.yaml:7:" in checked.out
    assert "(did you mean 'End'?)" in checked.out
    assert checked.err.splitlines()[-1].startswith("2 files, 1 error, ")
    found = wfr("scheme", "check", broken, "-o", "json").json
    assert [(problem["line"], problem["suggestion"]) for problem in found if problem["code"] == "unknown_activity"] == [(7, "End")]


def test_check_of_names_needs_to_know_where_they_come_from(shop: Shop) -> None:
    Path("ship.yaml").write_text(BROKEN.replace("Endd", "End").replace("Shipp", "ShipOrdr"))
    assert wfr("scheme", "check", "ship.yaml").code == 0
    checked = wfr("scheme", "check", "ship.yaml", "--app", "shopapp:runtime")
    assert checked.code == 1
    assert "(did you mean 'ShipOrder'?)" in checked.out


def test_strict_counts_warnings(here: Path) -> None:
    Path("idle.yaml").write_text(BROKEN.replace("Endd", "End").replace("activities:", "commands: {Never: {}}\nactivities:"))
    assert wfr("scheme", "check", "idle.yaml").code == 0
    strict = wfr("scheme", "check", "idle.yaml", "--strict")
    assert strict.code == 1
    assert "unused_command" in strict.out


def test_check_of_what_is_no_file_or_no_scheme(here: Path) -> None:
    assert wfr("scheme", "check", "nowhere.yaml").code == 2
    Path("noise.yaml").write_text("{")
    assert wfr("scheme", "check", "noise.yaml").code == 1


@pytest.mark.parametrize("form", ["xml", "yaml", "json"])
def test_convert_keeps_the_meaning(here: Path, form: str) -> None:
    converted = wfr("scheme", "convert", ORDER, "--to", form)
    assert converted.code == 0
    scheme = read(Path(ORDER).read_bytes(), path=ORDER)
    assert read(converted.out, path=f"order.{form}").key == scheme.key


def test_convert_into_a_file(here: Path) -> None:
    done = wfr("scheme", "convert", ORDER, "--to", "xml", "-O", "order.xml")
    assert (done.code, done.out, done.err) == (0, "", "written: order.xml\n")
    assert Path("order.xml").read_text() == wfr("scheme", "convert", ORDER, "--to", "xml").out
    assert wfr("scheme", "convert", ORDER, "--to", "xml", "-O", "no/such/folder.xml").code == 2


def test_convert_of_what_cannot_be_read_fails_with_its_problems(here: Path) -> None:
    Path("odd.yaml").write_text(BROKEN.replace("final: true", "finl: true"))
    failed = wfr("scheme", "convert", "odd.yaml", "--to", "xml", "-o", "json")
    assert (failed.code, failed.problem["code"]) == (1, "SchemeError")
    assert "odd.yaml:5:" in failed.problem["detail"]


def test_list_and_show_what_is_stored(shop: Shop) -> None:
    listed = wfr("scheme", "list", "-o", "json").json
    assert listed == [{"code": "Order", "version": listed[0]["version"], "activities": 7, "commands": ["Approve", "RetryPayment", "Cancel"]}]
    shown = wfr("scheme", "show", "Order", "--to", "xml", "--version", listed[0]["version"])
    assert read(shown.out, path="x.xml").key.version == listed[0]["version"]
    assert wfr("scheme", "ls").lines[1].split()[0] == "Order"


def test_a_scheme_that_is_not_there(shop: Shop) -> None:
    missing = wfr("scheme", "show", "Ordr")
    assert missing.code == 4
    assert "wfr scheme list" in missing.err
    assert wfr("scheme", "show", "Order", "--version", "0000").code == 4


def test_an_empty_database_says_how_schemes_come_in(here: Path) -> None:
    wfr("db", "upgrade")
    listed = wfr("scheme", "list")
    assert (listed.code, listed.out) == (0, "")
    assert "wfr server run --schemes" in listed.err


def test_diagram_of_a_file_and_of_a_stored_scheme(shop: Shop) -> None:
    drawn = wfr("scheme", "diagram", ORDER)
    assert drawn.lines[0] == "stateDiagram-v2"
    assert wfr("scheme", "diagram", "Order").out == drawn.out
    assert wfr("scheme", "diagram", "Order", "--format", "dot").out.startswith('digraph "Order" {')
    assert wfr("scheme", "diagram", "Order", "--format", "text", "-O", "order.txt").code == 0
    assert Path("order.txt").read_text().startswith("Order\n")


def test_a_word_of_xml_that_is_misspelled_is_answered_with_the_word(here: Path) -> None:
    triggers = '<Triggers><Trigger Type="Comand" NameRef="c"/></Triggers>'
    activities = '<Activities><Activity Name="A" IsInitial="true"/></Activities>'
    Path("x.xml").write_text(f'<Process Name="x">{activities}<Transitions><Transition Name="t" From="A" To="A">{triggers}</Transition></Transitions></Process>')
    (found,) = wfr("scheme", "check", "x.xml", "-o", "json").json
    assert found["suggestion"] == "Command"
    assert "(did you mean 'Command'?)" in wfr("scheme", "check", "x.xml").out
