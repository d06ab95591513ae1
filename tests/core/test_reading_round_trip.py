"""Every format says the same: XML == YAML for each section of the vocabulary, and writing then reading loses nothing."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from scheme_fragments import FRAGMENTS
from scheme_strategies import activities, schemes, transitions

from workflow_runtime.core.reading import Format, json_schema, read, spelling, write
from workflow_runtime.core.scheme import Scheme
from workflow_runtime.core.scheme_elements import Activity, CodeAction
from workflow_runtime.core.scheme_words import CodeActionType
from workflow_runtime.errors import SchemeError

SCHEMA = Path(__file__).parents[2] / "schemes" / "schema" / "workflow-scheme.schema.json"


@pytest.mark.parametrize("section", FRAGMENTS)
def test_xml_and_yaml_of_a_section_are_the_same_scheme(section: str) -> None:
    xml, yaml = FRAGMENTS[section]
    assert read(xml, code="part") == read(yaml, code="part")
    assert read(xml, code="part").version == read(yaml, code="part").version


@pytest.mark.parametrize("section", FRAGMENTS)
@pytest.mark.parametrize("source", [0, 1], ids=["from xml", "from yaml"])
def test_a_section_survives_a_journey_through_all_formats(section: str, source: int) -> None:
    start = read(FRAGMENTS[section][source], code="part")
    scheme = start
    for step in (Format.YAML, Format.XML, Format.JSON, Format.XML, Format.YAML):
        scheme = read(write(scheme, step), format=step)
        assert scheme == start


@pytest.mark.parametrize("section", FRAGMENTS)
def test_yaml_that_was_written_is_written_the_same_again(section: str) -> None:
    text = write(read(FRAGMENTS[section][0], code="part"), Format.YAML)
    assert write(read(text), Format.YAML) == text


BRIEF = settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True, phases=[Phase.generate, Phase.explicit])


def survives(scheme: Scheme) -> None:
    for step in Format:
        text = write(scheme, step)
        try:
            found = read(text, format=step)
        except SchemeError as error:
            raise AssertionError(f"{error}\n{text}") from error
        assert found == scheme, text


@BRIEF
@given(st.builds(Scheme, code=st.just("x"), activities=st.lists(activities, min_size=1, max_size=2).map(tuple)))
def test_any_activities_read_back_as_they_were_written(scheme: Scheme) -> None:
    survives(scheme)


@BRIEF
@given(st.builds(Scheme, code=st.just("x"), transitions=st.lists(transitions, min_size=1, max_size=2).map(tuple)))
def test_any_transitions_read_back_as_they_were_written(scheme: Scheme) -> None:
    survives(scheme)


@BRIEF
@given(schemes.map(lambda scheme: replace(scheme, activities=(), transitions=())))
def test_any_other_sections_read_back_as_they_were_written(scheme: Scheme) -> None:
    survives(scheme)


@given(st.floats(0, 1e12))
@settings(deadline=None, derandomize=True)
def test_durations_never_lose_a_digit(value: float) -> None:
    assert spelling.seconds(spelling.duration(value)) == value


@given(st.text(alphabet="aZ_0.@Xy", min_size=1, max_size=8))
@settings(deadline=None, derandomize=True)
def test_a_kept_attribute_finds_its_spelling_again(name: str) -> None:
    assert spelling.xml_name(spelling.yaml_key(name)) == name


@pytest.mark.parametrize(
    ("value", "text"), [(1.0, "1s"), (60.0, "1m"), (5400.0, "90m"), (3600.0, "1h"), (86400.0, "1d"), (0.25, "250ms"), (1.5, "1.5s"), (0.0, "0s")]
)
def test_durations_are_written_in_the_largest_unit(value: float, text: str) -> None:
    assert spelling.duration(value) == text


def test_names_that_repeat_are_written_as_a_list() -> None:
    twins = Scheme(
        code="twins",
        code_actions=(CodeAction(name="Boss", type=CodeActionType.RULE_CHECK), CodeAction(name="Boss", type=CodeActionType.RULE_GET)),
        activities=(Activity(name="A"), Activity(name="A", state="x")),
    )
    survives(twins)
    assert "- {name: Boss, type: rule_check}" in write(twins, Format.YAML)


def test_a_text_that_no_xml_can_hold_is_refused_by_every_format() -> None:
    for step in Format:
        with pytest.raises(SchemeError) as caught:
            write(Scheme(code="x", activities=(Activity(name="A", state="\x07"),)), step)
        assert [problem.code for problem in caught.value.problems] == ["bad_character"]


def test_the_schema_for_editors_is_up_to_date() -> None:
    """WF_REWRITE=1 writes it anew."""
    text = json.dumps(json_schema(), indent=2, ensure_ascii=False) + "\n"
    if os.environ.get("WF_REWRITE") == "1":
        SCHEMA.write_text(text, encoding="utf-8")
    assert SCHEMA.read_text(encoding="utf-8") == text, "run this test with WF_REWRITE=1"
