"""Every format says the same: XML == YAML for each section of the vocabulary, and writing then reading loses nothing."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from scheme_fragments import FRAGMENTS
from scheme_strategies import schemes

from workflow_runtime.core.reading import Format, read, write
from workflow_runtime.core.scheme import Scheme
from workflow_runtime.errors import SchemeError


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


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
@given(schemes)
def test_any_scheme_reads_back_as_it_was_written(scheme: Scheme) -> None:
    for step in Format:
        text = write(scheme, step)
        try:
            found = read(text, format=step)
        except SchemeError as error:
            raise AssertionError(f"{error}\n{text}") from error
        assert found == scheme, text
