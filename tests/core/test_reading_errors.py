"""What a person is told about a bad scheme: every problem at once, each with code, place, expectation and the near name."""

from __future__ import annotations

import contextlib
import random
import re
from textwrap import dedent

import pytest
from scheme_fragments import FRAGMENTS

from workflow_runtime.core.reading import Format, read, write
from workflow_runtime.core.scheme import Scheme
from workflow_runtime.core.scheme_words import Place
from workflow_runtime.errors import Problem, SchemeError

WFR = 'xmlns:wfr="urn:workflow-runtime"'


def problems(text: str, **arguments: object) -> list[Problem]:
    with pytest.raises(SchemeError) as caught:
        read(dedent(text), **arguments)  # type: ignore[arg-type]
    return list(caught.value.problems)


def softly(text: str) -> tuple[Scheme, list[Problem]]:
    report: list[Problem] = []
    return read(dedent(text), strict=False, report=report), report


def test_all_problems_are_told_at_once_in_the_order_of_the_text() -> None:
    found = problems(
        """\
        scheme: x
        activities:
          Draft: {initail: true}
          Review: {final: perhaps}
        transitions:
          - {from: Draft}
          - {from: Draft, to: Review, classifier: sideways}
        """,
        path="leave.yaml",
    )
    assert [(p.code, p.line, p.column, p.path) for p in found] == [
        ("unknown_key", 3, 11, "leave.yaml"),
        ("wrong_type", 4, 12, "leave.yaml"),
        ("missing_key", 6, 5, "leave.yaml"),
        ("bad_value", 7, 31, "leave.yaml"),
    ]
    assert found[0].suggestion == "initial"
    assert "found 'perhaps' in activities.Review.final, expected true or false" in found[1].message
    assert "found no 'to' in transitions[1]" in found[2].message
    assert "expected 'not_specified', 'direct' or 'reverse'" in found[3].message


def test_the_same_in_xml() -> None:
    found = problems(
        """\
        <Process Name="x">
          <Activities>
            <Activity Name="Draft" IsInitail="true" />
            <Activity Name="Review" IsFinal="perhaps" />
          </Activities>
          <Transitions><Transition From="Draft" />
            <Transition From="Draft" To="Review" Classifier="Directt" />
            <Transistion />
          </Transitions>
        </Process>
        """,
        path="leave.xml",
    )
    assert [(p.code, p.line, p.column, p.suggestion) for p in found] == [
        ("unknown_attribute", 3, 5, "IsInitial"),
        ("bad_value", 4, 5, ""),
        ("missing_attribute", 6, 16, ""),
        ("bad_value", 7, 5, "Direct"),
        ("unknown_element", 8, 5, "Transition"),
    ]


def test_the_text_of_a_problem_names_place_finding_and_hint() -> None:
    [found] = problems("scheme: x\nactivites: {}\n", path="a.yaml")
    assert str(found).startswith("a.yaml:2:1: error: found the unknown key 'activites' in the scheme, expected one of activities, actors,")
    assert str(found).endswith("(did you mean 'activities'?) [unknown_key]")


@pytest.mark.parametrize(
    "text", ["scheme: x\nrecovery: frobnicate", f'<Process Name="x" {WFR} wfr:recovery="frobnicate" />', '{"scheme": "x", "recovery": "frobnicate"}']
)
def test_an_unknown_recovery_is_refused_with_the_near_one(text: str) -> None:
    [found] = problems(text)
    assert (found.code, found.suggestion) == ("bad_value", "terminated")
    assert "expected error, terminated, resume, rerun, delete, activity:Name" in found.message


@pytest.mark.parametrize(
    ("word", "near"),
    [("terminate", "terminated"), ("activity", "activity:Name"), ("activity:", "activity:Name"), ("Resume", "resume"), ("resume:now", "resume")],
)
def test_the_near_recovery(word: str, near: str) -> None:
    assert [p.suggestion for p in problems(f"scheme: x\nactivities: {{A: {{recovery: '{word}'}}}}")] == [near]


def test_unknown_attributes_in_our_namespace_are_refused_with_the_near_one() -> None:
    [found] = problems(f'<Process Name="x" {WFR}><Activities><Activity Name="A" wfr:recovry="resume" /></Activities></Process>')
    assert (found.code, found.suggestion) == ("unknown_attribute", "wfr:recovery")
    [found] = problems(f'<Process Name="x" {WFR}><wfr:Retri attempts="2" /></Process>')
    assert (found.code, found.suggestion) == ("unknown_element", "wfr:Retry")


def test_soft_reading_keeps_and_reports_what_is_unknown_in_xml() -> None:
    text = """\
        <Process Name="x" Flavour="sweet"><Activities Sorted="yes">
          <Activity Name="A" IsInitail="true"><Note Kind="1">read me</Note></Activity><Gap />
        </Activities></Process>
        """
    scheme, report = softly(text)
    assert scheme.extra == {"Flavour": "sweet", "Sorted": "yes", "<Gap>": "<Gap />"}
    assert scheme.activities[0].extra == {"IsInitail": "true", "<Note>": '<Note Kind="1">read me</Note>'}
    assert [(p.code, p.severity) for p in report] == [
        ("unknown_attribute", "warning"),
        ("unknown_attribute", "warning"),
        ("unknown_element", "warning"),
        ("unknown_attribute", "warning"),
        ("unknown_element", "warning"),
    ]
    for step in Format:
        assert read(write(scheme, step), strict=False) == scheme


def test_soft_reading_keeps_and_reports_what_is_unknown_in_yaml() -> None:
    scheme, report = softly("scheme: x\nflavour: sweet\ntransitions: [{from: A, to: B, fork: start, subprocess: {speed: 3}, odd key: {a: [1.50]}}]")
    assert scheme.extra == {"flavour": "sweet"}
    assert scheme.transitions[0].extra == {"speed": "3", "odd key": '{"a":[1.50]}'}
    assert [(p.code, p.line, p.severity) for p in report] == [("unknown_key", 2, "warning"), ("unknown_key", 3, "warning"), ("unknown_key", 3, "warning")]
    assert '<wfr:Extra name="odd key">{"a":[1.50]}</wfr:Extra>' in write(scheme, Format.XML)
    for step in Format:
        assert read(write(scheme, step), strict=False) == scheme


def test_soft_reading_still_refuses_wrong_values() -> None:
    assert [p.code for p in problems("scheme: x\nflavour: a\nlog_enabled: 7", strict=False)] == ["wrong_type"]


def test_warnings_reach_the_report_also_when_the_text_is_refused() -> None:
    report: list[Problem] = []
    assert [p.code for p in problems("scheme: x\nparameters: {a: {type: Foo}, '': {}}", report=report)] == ["bad_name"]
    assert [p.code for p in report] == ["unknown_type"]


def test_a_reference_that_differs_by_spaces_is_taken_for_its_definition() -> None:
    text = """\
        scheme: x
        activities: {"A ": {initial: true}, B: {recovery: "activity: B"}}
        commands: {go: {}}
        actors: {"Boss ": {}}
        transitions:
          - {from: A, to: "B ", on: {command: " go"}, allow: [Boss]}
          - {from: "A ", to: B}
        """
    report: list[Problem] = []
    scheme = read(dedent(text), report=report)
    first, second = scheme.transitions
    assert (first.source, first.target, first.trigger.name, first.restrictions[0].actor) == ("A ", "B", "go", "Boss ")
    assert (second.source, second.target) == ("A ", "B")
    assert scheme.activities[0].name == "A "
    assert [(p.code, p.line) for p in report] == [("trimmed_name", 2)] + [("trimmed_name", 6)] * 4
    assert report[1].suggestion in ("A ", "B", "go", "Boss ")


def test_an_exact_match_comes_before_a_trimmed_one() -> None:
    report: list[Problem] = []
    scheme = read('scheme: x\nactivities: {A: {}, "A ": {}}\ntransitions: [{from: "A ", to: A}, {from: " A", to: nowhere}]', report=report)
    assert scheme.transitions[0].source == "A "
    assert scheme.transitions[1].target == "nowhere"
    assert len(report) == 1


def test_names_become_nfc_on_both_sides_of_a_reference() -> None:
    scheme = read('scheme: x\nactivities: {"Pru\\u0308fung": {}}\ntransitions: [{from: "Pr\\u00fcfung", to: "Pru\\u0308fung"}]')
    assert {scheme.activities[0].name, scheme.transitions[0].source, scheme.transitions[0].target} == {"Pr\u00fcfung"}


@pytest.mark.parametrize("name", ["a b", "a.b:c", "Проверка", "x" * 200, "审批", "a..b", "no", "trailing "])
def test_names_that_are_fine(name: str) -> None:
    assert read(f'scheme: x\nactivities: {{"{name}": {{}}}}').activities[0].name == name


@pytest.mark.parametrize("name", ["", " ", "x" * 201, "a\\nb", "a\\u202eb", "a\\u0007b", "..", "../x", "a/../b", "..\\\\x"])
def test_names_that_deceive_are_refused(name: str) -> None:
    found = problems(f'scheme: x\nactivities: {{"{name}": {{}}}}')
    assert {p.code for p in found} <= {"bad_name", "bad_character"}
    assert found[0].line == 2


def test_a_scheme_without_any_name_is_refused() -> None:
    for text in ("<Process />", "activities: {}", "{}"):
        assert [p.code for p in problems(text)] == ["missing_name"]


def test_a_document_that_is_no_mapping_is_refused() -> None:
    assert [p.code for p in problems("- a\n- b")] == ["wrong_type"]
    assert [p.code for p in problems("just words")] == ["wrong_type"]


@pytest.mark.parametrize(
    ("keys", "codes"),
    [
        ("timers: {t: {}}", ["bad_timer"]),
        ("timers: {t: {interval: 1d, cron: '* * * * *'}}", ["bad_timer"]),
        ("timers: {t: {cron: '* * * * *', late_after: soon}}", ["bad_value"]),
        ("retry: {attempts: 0}", ["bad_value"]),
        ("retry: {delay: '-1s'}", ["bad_value"]),
        ("tags: ['a,b']", ["bad_value"]),
        ("code_actions: {c: }", ["missing_key"]),
        ("activities: {A: {actions: [{a: 1, b: 2}]}}", ["bad_value"]),
        ("activities: {A: {actions: [5]}}", ["wrong_type"]),
        ("activities: {A: {idle_timeout: {after: 1d}}}", ["bad_value"]),
        ("activities: {A: {execution_timeout: {after: 1d, retry: 1, set_state: B}}}", ["bad_value"]),
        ("activities: {A: {execution_timeout: {after: 1d, retry: often}}}", ["wrong_type"]),
        ("activities: {A: {execution_timeout: {retry: 1}}}", ["missing_key"]),
        ("activities: {A: {execution_timeout: 30s}}", ["wrong_type"]),
        ("activities: {A: {on_error: [{set_state: a, retry: 1}]}}", ["bad_value"]),
        ("activities: {A: {provenance: {was_inlind: a}}}", ["unknown_key"]),
        ("activities: {A: {custom: a, annotations: {__customtype: b}}}", ["bad_value"]),
        ("activities: {A: {name: B}}", ["unknown_key"]),
        ("activities: {A: {designer: {'a b': 1}}}", ["bad_name"]),
        ("comments: {c: {'@<Grid>': '<Grid'}}", ["bad_name"]),
        ("activities: 5", ["wrong_type"]),
        ("transitions: {}", ["wrong_type"]),
        ("parameters: {a: {purpose: system}}", ["bad_value"]),
        ("transitions: [{from: 1, to: B}]", ["wrong_type"]),
    ],
)
def test_each_wrong_value_has_its_code(keys: str, codes: list[str]) -> None:
    found = problems(f"scheme: x\n{keys}")
    assert [p.code for p in found] == codes
    assert all(p.line == 2 and "expected" in p.message for p in found)


def test_a_hopeless_text_is_refused_with_its_first_hundred_problems() -> None:
    found = problems("scheme: x\n" + "".join(f"k{number}: 1\n" for number in range(500)))
    assert len(found) == 100


@pytest.mark.parametrize("section", FRAGMENTS)
@pytest.mark.parametrize("form", [Format.XML, Format.YAML])
def test_a_text_with_misplaced_parts_is_refused_or_survives_writing(section: str, form: Format) -> None:
    """Parts of the text are exchanged, doubled and dropped; nothing but a SchemeError may come of it."""
    chance = random.Random(f"{section} {form}")
    text = FRAGMENTS[section][0 if form is Format.XML else 1]
    for _ in range(40):
        parts = re.findall(r"\w+|[^\w\s]|\s+", text)
        for _ in range(chance.randint(1, 3)):
            first, second = chance.randrange(len(parts)), chance.randrange(len(parts))
            parts[first] = chance.choice(["", parts[second], parts[second] + parts[first]])
        for strict in (True, False):
            with contextlib.suppress(SchemeError):
                scheme = read("".join(parts), format=form, code="x", strict=strict)
                survivors = [read(write(scheme, step), format=step, strict=strict) for step in Format]
                assert survivors == [scheme] * 3


def test_long_values_are_cut_in_messages() -> None:
    [found] = problems("scheme: x\nlog_enabled: " + "y" * 100_000)
    assert len(found.message) < 400


def test_the_schema_place_of_an_error_in_json() -> None:
    [found] = problems('{"scheme": "x",\n  "log_enabled": "yes"}')
    assert Place(found.line, found.column) == Place(2, 3)
