"""XML as production writes it: tolerant where files differ, exact about names, text and places."""

from __future__ import annotations

import pytest

from workflow_runtime.core.reading import Format, read, write
from workflow_runtime.core.scheme import Scheme
from workflow_runtime.core.scheme_elements import Activity, Fork, Recovery, RetryPolicy, TriggerSpec
from workflow_runtime.core.scheme_words import (
    Combine,
    ConditionType,
    ForkDirection,
    Place,
    ReactionType,
    RecoveryKind,
    TimerType,
    TriggerType,
)
from workflow_runtime.errors import Problem, SchemeError


def process(inside: str, **arguments: object) -> Scheme:
    return read(f'<Process Name="x" xmlns:wfr="urn:workflow-runtime">{inside}</Process>', **arguments)  # type: ignore[arg-type]


def activity(attributes: str = "", inside: str = "") -> Activity:
    return process(f'<Activities><Activity Name="A" {attributes}>{inside}</Activity></Activities>').activities[0]


def transitions(text: str) -> Scheme:
    return process(f"<Transitions>{text}</Transitions>")


@pytest.mark.parametrize(("text", "value"), [("True", True), ("true", True), ("TRUE", True), ("False", False), ("false", False), (" fAlse ", False)])
def test_booleans_are_read_in_any_case(text: str, value: bool) -> None:
    assert activity(f'IsFinal="{text}"').is_final is value


def test_a_scheme_without_a_name_takes_the_code_of_its_registration() -> None:
    assert read("<Process />", code="old_one").code == "old_one"
    assert read('<Process Name="mine" />', code="old_one").code == "mine"


def test_missing_attributes_mean_their_defaults() -> None:
    transition = transitions('<Transition From="A" To="B" />').transitions[0]
    assert transition.name == "A_B_1"
    assert transition.trigger == TriggerSpec()
    assert transition.is_unconditional
    assert (transition.allow_combine, transition.conditions_combine, transition.fork) == (Combine.AND, Combine.AND, None)


def test_transitions_without_a_name_are_counted_between_their_ends() -> None:
    found = transitions('<Transition From="A" To="B" /><Transition From="A" To="C" /><Transition Name="n" From="A" To="B" /><Transition From="A" To="B" />')
    assert [transition.name for transition in found.transitions] == ["A_B_1", "A_C_1", "n", "A_B_3"]


def test_an_empty_name_on_always_and_auto_is_fine() -> None:
    report: list[Problem] = []
    condition = '<Condition Type="Always" NameRef="" ConditionInversion="false" ResultOnPreExecution="null" />'
    inside = f'<Triggers><Trigger Type="Auto" NameRef="" /></Triggers><Conditions>{condition}</Conditions>'
    scheme = process(f'<Transitions><Transition From="A" To="B">{inside}</Transition></Transitions>', report=report)
    assert scheme.transitions[0].is_unconditional
    assert report == []


def test_is_fork_false_is_no_fork_whatever_else_stands_there() -> None:
    attributes = 'MergeViaSetState="false" DisableParentStateControl="false" SubprocessStartupType="AnotherThread"'
    assert transitions(f'<Transition From="A" To="B" IsFork="False" {attributes} />').transitions[0].fork is None
    assert transitions(f'<Transition From="A" To="B" {attributes} />').transitions[0].fork is None


def test_is_fork_true_alone_is_a_fork_with_all_defaults() -> None:
    assert transitions('<Transition From="A" To="B" IsFork="true" />').transitions[0].fork == Fork(direction=ForkDirection.AUTO)


def test_several_conditions_combine_and_several_rights_too() -> None:
    inside = """<Restrictions><Restriction Type="Restrict" NameRef="C" />
    <Restriction Type="Allow" NameRef="A" /><Restriction Type="Allow" NameRef="B" /></Restrictions>
    <Conditions><Condition Type="Action" NameRef="One" /><Condition Type="Expression"><Expression>@X &gt; 1</Expression></Condition></Conditions>"""
    attributes = 'AllowConcatenationType="Or" RestrictConcatenationType="Or" ConditionsConcatenationType="Or"'
    found = transitions(f'<Transition From="A" To="B" {attributes}>{inside}</Transition>').transitions[0]
    assert [(c.type, c.name, c.expression) for c in found.conditions] == [(ConditionType.ACTION, "One", ""), (ConditionType.EXPRESSION, "", "@X > 1")]
    assert (found.allow_combine, found.restrict_combine, found.conditions_combine) == (Combine.OR, Combine.OR, Combine.OR)
    assert [(r.type.value, r.actor) for r in found.restrictions] == [("Allow", "A"), ("Allow", "B"), ("Restrict", "C")]


def test_actions_run_in_ascending_order_and_gaps_are_closed() -> None:
    found = activity("", '<Implementation><ActionRef Order="20" NameRef="b" /><ActionRef Order="3" NameRef="a" /><ActionRef NameRef="c" /></Implementation>')
    assert [(action.name, action.order) for action in found.implementation] == [("a", 1), ("c", 2), ("b", 3)]


@pytest.mark.parametrize(
    ("written", "parameter"),
    [
        ("<![CDATA[ kept to the letter ]]>", " kept to the letter "),
        ("\n   <![CDATA[ a ]]>\n  ", " a "),
        ("\n   layout around plain text \n", "layout around plain text"),
        ('{"b" : 1.50,\n "a": [true]}', '{"b":1.50,"a":[true]}'),
        ('{"a": @Amount}', '{"a": @Amount}'),
        ('{"a": 1, "a": 2}', '{"a": 1, "a": 2}'),
        ("", ""),
        ("a<![CDATA[<b>]]>c", "a<b>c"),
    ],
)
def test_the_parameter_of_an_action_arrives_as_text(written: str, parameter: str) -> None:
    found = activity("", f'<Implementation><ActionRef NameRef="a"><ActionParameter>{written}</ActionParameter></ActionRef></Implementation>')
    assert found.implementation[0].parameter == parameter


def test_an_action_without_a_parameter_has_none() -> None:
    assert activity("", '<Implementation><ActionRef NameRef="a" /></Implementation>').implementation[0].parameter is None


def test_our_additions_are_read_from_their_namespace() -> None:
    retry = '<wfr:Retry attempts="2" delay="500ms" total="1h 30m" final="A, b.C" />'
    action = f'<ActionRef NameRef="Pay" wfr:journal="False" wfr:resumable="false" wfr:effect="at_most_once" wfr:recovery="activity:B">{retry}</ActionRef>'
    found = activity('wfr:recovery="resume"', f"<Implementation>{action}</Implementation><wfr:Retry />")
    pay = found.implementation[0]
    assert (pay.journal, pay.resumable, pay.effect) == (False, False, "at_most_once")
    assert pay.recovery == Recovery(kind=RecoveryKind.ACTIVITY, activity="B")
    assert pay.retry == RetryPolicy(attempts=2, delay=0.5, total=5400.0, final=("A", "b.C"))
    assert (found.recovery, found.retry) == (Recovery(kind=RecoveryKind.RESUME), RetryPolicy())


def test_foreign_attributes_and_drawing_attributes_are_kept_and_written_again() -> None:
    instance = 'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:noNamespaceSchemaLocation="file:///x.xsd"'
    text = f'<Process Name="x" xmlns:o="urn:other" o:mark="1" {instance}><Designer X="1" fooBar="2" o:Z="3" Größe="4" xmlish="5" /></Process>'
    scheme = read(text)
    assert scheme.extra == {"{urn:other}mark": "1", "{http://www.w3.org/2001/XMLSchema-instance}noNamespaceSchemaLocation": "file:///x.xsd"}
    assert scheme.designer == {"X": "1", "fooBar": "2", "{urn:other}Z": "3", "Größe": "4", "xmlish": "5"}
    assert read(write(scheme, Format.XML)) == scheme
    assert 'xsi:noNamespaceSchemaLocation="file:///x.xsd"' in write(scheme, Format.XML)


def test_inside_designer_and_comments_everything_is_drawing() -> None:
    scheme = process('<Designer><Grid Size="3" /></Designer><Comments><Comment Name="c" Value="v" FontSize="14" Shape="round"><Shadow /></Comment></Comments>')
    assert scheme.designer == {"<Grid>": '<Grid Size="3" />'}
    assert scheme.comments[0].style == {"FontSize": "14", "Shape": "round", "<Shadow>": "<Shadow />"}
    for step in Format:
        assert read(write(scheme, step)) == scheme


def test_provenance_is_kept_without_effect() -> None:
    plain, inlined = activity(), activity('WasInlined="True" NestingLevel="2" OriginalName="B"')
    assert inlined.provenance == {"WasInlined": "True", "NestingLevel": "2", "OriginalName": "B"}
    assert Scheme(code="x", activities=(plain,)).version == Scheme(code="x", activities=(inlined,)).version


def test_the_old_single_disable_persist_sets_all_three() -> None:
    found = activity('DisablePersist="true"')
    assert (found.disable_persist_state, found.disable_persist_transition_history, found.disable_persist_parameters) == (True, True, True)


def test_an_activity_type_that_is_not_inline_is_kept_without_effect() -> None:
    assert activity('ActivityType="Inline" SchemeCode="other"').inline == "other"
    decision = activity('ActivityType="Decision"')
    assert (decision.inline, decision.provenance) == ("", {"ActivityType": "Decision"})


def test_code_actions_keep_their_source_and_may_share_a_name() -> None:
    inside = """<CodeActions><CodeAction Name="Boss" Type="RuleCheck"><ActionCode><![CDATA[ a <b> ]]></ActionCode><Usings>System;</Usings>
      <Parameters><Parameter name="p" type="Text" isRequired="True" title="P"><DefaultValue>1</DefaultValue></Parameter></Parameters></CodeAction>
      <CodeAction Name="Boss" Type="RuleGet" /></CodeActions><CodeActionsCommonUsings>System;System.Linq</CodeActionsCommonUsings>"""
    scheme = process(inside)
    boss, getter = scheme.code_actions
    assert (boss.source, boss.usings, boss.parameters[0].required, boss.parameters[0].default) == (" a <b> ", "System;", True, "1")
    assert (getter.name, getter.type.value, scheme.usings) == ("Boss", "RuleGet", "System;System.Linq")


def test_dates_are_iso_inside_and_american_in_xml() -> None:
    scheme = process(
        '<Timers><Timer Name="a" Type="DateAndTime" Value="12/24/2031 09:00:00" />'
        '<Timer Name="b" Type="Date" Value="2031-12-24" /><Timer Name="c" Type="Interval" Value="0" /></Timers>'
    )
    assert [(timer.type, timer.value) for timer in scheme.timers] == [
        (TimerType.DATE_AND_TIME, "2031-12-24 09:00:00"),
        (TimerType.DATE, "2031-12-24"),
        (TimerType.INTERVAL, "0"),
    ]
    assert 'Value="12/24/2031 09:00:00"' in write(scheme, Format.XML)
    assert 'Value="12/24/2031"' in write(scheme, Format.XML)


def test_types_are_ours_inside_and_keep_their_spelling_in_xml() -> None:
    report: list[Problem] = []
    text = '<Parameters><Parameter Name="a" Type="System.Decimal" /><Parameter Name="b" Type="Acme.Order" /><Parameter Name="c" /></Parameters>'
    scheme = process(text, report=report)
    assert [(p.type, p.written_type) for p in scheme.parameters] == [("decimal", "System.Decimal"), ("any", "Acme.Order"), ("any", "")]
    assert [(problem.code, problem.severity) for problem in report] == [("unknown_type", "warning")]
    assert 'Type="System.Decimal"' in write(scheme, Format.XML)
    assert 'Type="Acme.Order"' in write(read(write(scheme, Format.YAML)), Format.XML)


def test_timeouts_and_handlers() -> None:
    found = activity(
        "",
        '<ExecutionTimeout Type="Retry" Timer="30s" /><ExceptionsHandlers><ExceptionsHandler Order="2" Type="Ignore" />'
        '<ExceptionsHandler Order="1" Type="SetActivity" NameForSet="B" Exceptions="ValueError" /></ExceptionsHandlers>',
    )
    assert found.execution_timeout is not None
    assert (found.execution_timeout.type, found.execution_timeout.retries) == (ReactionType.RETRY, 1)
    assert [(h.order, h.type, h.target, h.exceptions) for h in found.handlers] == [
        (1, ReactionType.SET_ACTIVITY, "B", ("ValueError",)),
        (2, ReactionType.IGNORE, "", ("*",)),
    ]


def test_every_element_knows_its_place() -> None:
    moves = '   <Transition From="A" To="A"><Triggers>\n<Trigger Type="Command" NameRef="c"/></Triggers></Transition>'
    text = f'<Process Name="x">\n  <Activities>\n    <Activity Name="A"/>\n  </Activities>\n  <Transitions>\n{moves}\n  </Transitions>\n</Process>'
    scheme = read(text, path="x.xml")
    assert (scheme.place, scheme.activities[0].place, scheme.transitions[0].place) == (Place(1, 1), Place(3, 5), Place(6, 4))
    assert scheme.transitions[0].trigger.place == Place(7, 1)
    assert scheme.transitions[0].conditions[0].place == Place(6, 4)
    assert scheme.path == "x.xml"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_bytes_are_read_in_both_encodings(encoding: str) -> None:
    declared = "" if encoding == "utf-8-sig" else f'<?xml version="1.0" encoding="{encoding}"?>'
    assert read(f'{declared}<Process Name="Größe"/>'.encode(encoding)).code == "Größe"


def test_a_comment_between_elements_is_fine_and_one_in_a_text_is_not() -> None:
    assert process("<!-- a --><Activities><!-- b --></Activities>").activities == ()
    parameter = "<ActionParameter>ad<!-- -->min</ActionParameter>"
    with pytest.raises(SchemeError) as caught:
        activity("", f'<Implementation><ActionRef NameRef="a">{parameter}</ActionRef></Implementation>')
    assert [problem.code for problem in caught.value.problems] == ["comment_in_text"]


@pytest.mark.parametrize("kind", ["CommandAndTimer", "TimerExpired"])
def test_rumoured_triggers_are_refused_in_clear_words(kind: str) -> None:
    with pytest.raises(SchemeError, match=f"found the trigger type {kind}, expected Auto, Command or Timer"):
        transitions(f'<Transition From="A" To="B"><Triggers><Trigger Type="{kind}" NameRef="c" /></Triggers></Transition>')


def test_two_triggers_are_refused() -> None:
    with pytest.raises(SchemeError, match="found 2 triggers, expected one"):
        transitions('<Transition From="A" To="B"><Triggers><Trigger Type="Auto" /><Trigger Type="Command" NameRef="c" /></Triggers></Transition>')


def test_the_command_of_a_trigger() -> None:
    found = transitions('<Transition From="A" To="B"><Triggers><Trigger Type="Command" NameRef="c" /></Triggers></Transition>').transitions[0]
    assert found.trigger == TriggerSpec(type=TriggerType.COMMAND, name="c")
