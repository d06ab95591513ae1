"""The YAML form and its JSON twin: short forms, long forms, places, and what is written."""

from __future__ import annotations

import json
import sys
from textwrap import dedent

import pytest
from guarded import run_guarded
from scheme_fragments import FRAGMENTS

from workflow_runtime.core.reading import Format, read, write
from workflow_runtime.core.scheme import Scheme
from workflow_runtime.core.scheme_elements import Activity, Command, CommandInput, Condition, Restriction, Transition
from workflow_runtime.core.scheme_words import Combine, ConditionType, CopyStrategy, MergeStrategy, Place, RestrictionType
from workflow_runtime.errors import SchemeError


def yaml(text: str) -> Scheme:
    return read("scheme: x\n" + dedent(text), format=Format.YAML)


def transition(keys: str) -> Transition:
    return yaml(f"transitions: [{{from: A, to: B, {keys}}}]").transitions[0]


@pytest.mark.parametrize("section", FRAGMENTS)
def test_yaml_from_xml_is_as_concise_as_by_hand(section: str) -> None:
    xml, by_hand = FRAGMENTS[section]
    written = write(read(xml, code="part"), Format.YAML)
    assert len(written.removeprefix("scheme: part\n").split()) <= len(by_hand.split()) * 1.1 + 3


def test_the_whole_form_of_a_small_scheme() -> None:
    text = dedent("""\
        scheme: leave
        actors:
          Boss: {rule: CheckRole, value: boss}
        commands:
          approve: {inputs: {note: {parameter: Note, required: true}}}
          reject: {}
        activities:
          Draft: {state: Draft, initial: true, set_state: true}
          Done:
            final: true
            actions:
              - {Notify: {channel: mail, days: 3}}
              - StampDate
              - {action: Pay, journal: false, retry: {attempts: 3, delay: 10s}}
            designer: {x: 10, y: 20.5}
        transitions:
          - {from: Draft, to: Done, on: {command: approve}, when: '@Days <= 10', allow: [Boss]}
          - {name: late, from: Draft, to: Done, on: {timer: remind}, otherwise: true}
        """)
    assert write(read(text), Format.YAML) == text


@pytest.mark.parametrize(
    ("written", "conditions", "combine"),
    [
        ("when: '@A > 1'", (Condition(type=ConditionType.EXPRESSION, expression="@A > 1"),), Combine.AND),
        ("when: ['@A > 1']", (Condition(type=ConditionType.EXPRESSION, expression="@A > 1"),), Combine.AND),
        ("when: {action: Check, not: true}", (Condition(type=ConditionType.ACTION, name="Check", inverted=True),), Combine.AND),
        ("otherwise: true", (Condition(type=ConditionType.OTHERWISE),), Combine.AND),
        ("when: {otherwise: true, pre_execution: false}", (Condition(type=ConditionType.OTHERWISE, result_on_pre_execution=False),), Combine.AND),
        ("when: {any: [{action: C, with: {b: 1}}]}", (Condition(type=ConditionType.ACTION, name="C", parameter='{"b":1}'),), Combine.OR),
        ("when: {all: [a, b]}", tuple(Condition(type=ConditionType.EXPRESSION, expression=e) for e in "ab"), Combine.AND),
        ("when: {any: []}", (Condition(),), Combine.OR),
        ("classifier: direct", (Condition(),), Combine.AND),
    ],
)
def test_the_forms_of_conditions(written: str, conditions: tuple[Condition, ...], combine: Combine) -> None:
    found = transition(written)
    assert (found.conditions, found.conditions_combine) == (conditions, combine)


def test_the_forms_of_rights() -> None:
    found = transition("allow: {any: [A, {actor: B, extra: {k: v}}]}, deny: C")
    allowed, denied = RestrictionType.ALLOW, RestrictionType.RESTRICT
    assert [(r.type, r.actor) for r in found.restrictions] == [(allowed, "A"), (allowed, "B"), (denied, "C")]
    assert (found.allow_combine, found.restrict_combine) == (Combine.OR, Combine.AND)
    assert found.restrictions[0] == Restriction(type=allowed, actor="A")


@pytest.mark.parametrize("keys", ["allow: [A, B]", "deny: [A, B]", "when: [a, b]", "when: {any: [a], all: [b]}", "allow: {}"])
def test_two_or_more_must_say_any_or_all(keys: str) -> None:
    with pytest.raises(SchemeError) as caught:
        transition(keys)
    assert {problem.code for problem in caught.value.problems} == {"any_or_all"}


@pytest.mark.parametrize(
    ("written", "copy", "merge", "names"),
    [
        ("fork: start", CopyStrategy.ALL, MergeStrategy.MISSING, ()),
        ("fork: start, subprocess: {copy: none, merge: all}", CopyStrategy.NONE, MergeStrategy.ALL, ()),
        ("fork: start, subprocess: {copy: [A, B]}", CopyStrategy.SPECIFIED, MergeStrategy.MISSING, ("A", "B")),
        ("fork: start, subprocess: {copy: {except: [A]}, merge: [A]}", CopyStrategy.EXCEPT, MergeStrategy.SPECIFIED, ("A",)),
        ("fork: start, subprocess: {merge: {except: [A]}}", CopyStrategy.ALL, MergeStrategy.EXCEPT, ("A",)),
    ],
)
def test_the_words_for_parameters_of_subprocesses(written: str, copy: CopyStrategy, merge: MergeStrategy, names: tuple[str, ...]) -> None:
    fork = transition(written).fork
    assert fork is not None
    assert (fork.copy, fork.merge, fork.parameters) == (copy, merge, names)


@pytest.mark.parametrize(
    "keys", ["subprocess: {name: a}", "fork: start, subprocess: {copy: [A], merge: [B]}", "otherwise: true, when: a", "on: {command: a, timer: b}"]
)
def test_keys_that_contradict_each_other_are_refused(keys: str) -> None:
    with pytest.raises(SchemeError):
        transition(keys)


def test_a_parameter_may_be_text_number_mapping_or_nothing() -> None:
    found = yaml("""
        activities:
          A: {actions: [a, {b: text}, {c: 5}, {d: {x: 1.50, y: [null, true]}}, {e: }, {action: f, with: '{"z": 1}'}, {g: '@Name'}]}
        """).activities[0]
    parameters = [action.parameter for action in found.implementation]
    assert parameters == [None, "text", "5", '{"x":1.50,"y":[null,true]}', None, '{"z":1}', "@Name"]


def test_empty_entries_are_those_that_say_nothing() -> None:
    scheme = yaml("commands: {a: , b: {}}\nactivities: {A: }\ntransitions:\nactors:\n")
    assert scheme.commands == (Command(name="a"), Command(name="b"))
    assert scheme.activities == (Activity(name="A"),)


def test_an_input_fills_the_parameter_of_its_name() -> None:
    assert yaml("commands: {a: {inputs: {Note: {default: 1}}}}").commands[0].inputs == (CommandInput(name="Note", parameter="Note", default="1"),)


def test_initial_values_keep_their_spelling() -> None:
    scheme = yaml("parameters: {a: {initial: 1.50}, b: {initial: true}, c: {initial: ok}, d: {initial: {x: 1}}, e: {initial: '1.50'}, f: {}}")
    assert [parameter.initial for parameter in scheme.parameters] == ["1.50", "true", "ok", '{"x":1}', "1.50", None]


def test_localization_by_culture_and_by_entry() -> None:
    scheme = yaml("localization: {en: {default: true, state: {A: a, B: {text: b, default: false}}}, de: {command: {go: los}}}")
    assert [(e.culture, e.object_name, e.value, e.is_default) for e in scheme.localization] == [
        ("en", "A", "a", True),
        ("en", "B", "b", False),
        ("de", "go", "los", False),
    ]


def test_every_element_knows_its_place() -> None:
    scheme = yaml("""\
        activities:
          A:
            actions: [a,
              {action: b, retry: {attempts: 2}}]
        transitions:
          - from: A
            to: A
            when: {any: [x, {action: y}]}
        """)
    first, second = scheme.activities[0].implementation
    assert (scheme.place, scheme.activities[0].place, first.place, second.place) == (Place(1, 1), Place(3, 3), Place(4, 15), Place(5, 7))
    assert second.retry is not None
    assert second.retry.place == Place(5, 19)
    assert [scheme.transitions[0].place, *(c.place for c in scheme.transitions[0].conditions)] == [Place(7, 5), Place(9, 18), Place(9, 21)]


def test_json_is_the_same_document_with_the_same_places() -> None:
    text = '{"scheme": "x",\n "activities": {"A":\n {"initial": true, "actions": ["a"]}}}'
    scheme = read(text)
    assert scheme == yaml("activities: {A: {initial: true, actions: [a]}}")
    assert (scheme.activities[0].place, scheme.activities[0].implementation[0].place) == (Place(2, 17), Place(3, 32))
    assert json.loads(write(scheme, Format.JSON)) == json.loads(text)


@pytest.mark.parametrize(
    "text",
    [
        '{"scheme": "x",}',
        "{'scheme': 'x'}",
        '{"scheme": "x"} {}',
        '{"scheme" "x"}',
        '{"scheme": "a\nb"}',
        '{"scheme": tru}',
        '{"scheme": "\\q"}',
        '{"a": 01}',
        "{",
    ],
)
def test_bad_json_is_refused_with_its_place(text: str) -> None:
    with pytest.raises(SchemeError) as caught:
        read(text, format=Format.JSON)
    assert [(problem.code, problem.line > 0, problem.column > 0) for problem in caught.value.problems] == [("not_well_formed", True, True)]


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("a.YML", "scheme: x"),
        ("", "\ufeff scheme: x"),
        ("a.json", '{"scheme": "x"}'),
        ("", '\n {"scheme": "x"}'),
        ("", " <Process Name='x'/>".strip()),
        ("a.txt", "scheme: x"),
    ],
)
def test_the_format_is_told_by_suffix_or_first_character(path: str, text: str) -> None:
    assert read(text, path=path).code == "x"
    assert read(text.encode(), path=path).code == "x"


def test_importing_costs_neither_yaml_nor_pydantic_until_a_text_is_read() -> None:
    code = """
    import sys
    import workflow_runtime.core.reading as reading
    heavy = {"yaml", "pydantic", "xml.parsers.expat"}
    print(sorted(heavy & sys.modules.keys()))
    reading.read("<Process Name='x'/>")
    print(sorted(heavy & sys.modules.keys()))
    """
    done = run_guarded(code)
    assert done.stdout.split("\n")[:2] == ["[]", "['pydantic', 'xml.parsers.expat']"], done.stderr
    assert "yaml" in sys.modules  # here it is loaded: the check above is about a fresh process
