"""Random schemes for Hypothesis: everything a Scheme can hold, in the normal form that reading gives."""

from __future__ import annotations

import unicodedata
from typing import Any

from hypothesis import strategies as st

from workflow_runtime.core.frozen import FrozenDict
from workflow_runtime.core.reading.builder import PROVENANCE
from workflow_runtime.core.scheme import Scheme
from workflow_runtime.core.scheme_elements import (
    ActionRef,
    Activity,
    Actor,
    CodeAction,
    CodeActionParameter,
    Command,
    CommandInput,
    Comment,
    Condition,
    ExceptionHandler,
    Fork,
    Localization,
    ParameterSpec,
    Recovery,
    Restriction,
    RetryPolicy,
    Timeout,
    TimerSpec,
    Transition,
    TriggerSpec,
)
from workflow_runtime.core.scheme_words import (
    Classifier,
    CodeActionType,
    Combine,
    ConditionType,
    CopyStrategy,
    Effect,
    ForkDirection,
    LocalizeType,
    MergeStrategy,
    Missed,
    Purpose,
    ReactionType,
    RecoveryKind,
    RestrictionType,
    Startup,
    TimerType,
    TriggerType,
)

NASTY = [
    "no",
    "on",
    "null",
    "true",
    "1",
    "1.50",
    "12:30:45",
    "<<",
    "action",
    "name",
    "- a",
    "a: b",
    "#x",
    "@x",
    "]]>",
    "&amp;",
    '{"b":1,"a":[1.50]}',
    "{@x}",
    "a\r\nb",
    " x ",
    "\t",
]

texts = st.one_of(
    st.sampled_from(NASTY),
    st.text(
        st.characters(
            blacklist_categories=("Cs",), blacklist_characters="\0\x01\x02\x03\x04\x05\x06\x07\x08\x0b\x0c" + "".join(map(chr, range(14, 32))) + "\ufffe\uffff"
        ),
        max_size=12,
    ),
)
names = st.one_of(
    st.sampled_from([name for name in NASTY if not any(sign in name for sign in "\r\n\t")]),
    st.text(st.characters(whitelist_categories=("L", "N", "P", "S")), min_size=1, max_size=10).map(lambda text: unicodedata.normalize("NFC", text)),
).filter(lambda name: ".." not in name and name.strip() != "")
words = names.map(lambda name: name.replace(",", ".").strip())
lines = texts.filter(lambda text: not text.startswith(("{", "[", " {")) or text == '{"b":1,"a":[1.50]}')  # parameters are kept in normal form
seconds = st.one_of(st.integers(0, 10**6).map(float), st.floats(0, 1e9, allow_subnormal=False))
extras = st.dictionaries(names.map(lambda name: "{urn:other}a" + str(len(name))), texts, max_size=2).map(FrozenDict)
drawn = st.dictionaries(
    st.sampled_from(["X", "Y", "Color", "Hidden", "x", "fontSIZE", "OverwriteActivityTo", "Value", "Name2", "{urn:other}b"]), texts, max_size=3
).map(FrozenDict)
combines = st.sampled_from(Combine)


def built(kind: Any, **fields: Any) -> Any:
    return st.builds(kind, **fields)


def some(item: Any, most: int = 2) -> Any:
    return st.lists(item, max_size=most).map(tuple)


def maybe(item: Any) -> Any:
    return st.none() | item


def provenance(known: tuple[str, ...]) -> Any:
    return st.dictionaries(st.sampled_from(known), texts, max_size=2).map(FrozenDict)


recoveries = st.one_of(
    st.sampled_from([kind for kind in RecoveryKind if kind is not RecoveryKind.ACTIVITY]).map(lambda kind: Recovery(kind=kind)),
    names.map(lambda name: Recovery(kind=RecoveryKind.ACTIVITY, activity=name)),
)
retries = built(
    RetryPolicy,
    attempts=st.integers(1, 99),
    delay=seconds,
    factor=st.floats(0, 100),
    max_delay=seconds,
    jitter=st.floats(0, 1),
    total=maybe(seconds),
    final=some(words),
    extra=extras,
)


@st.composite
def actions(draw: Any) -> tuple[ActionRef, ...]:
    fields = {
        "parameter": maybe(lines),
        "journal": maybe(st.booleans()),
        "resumable": maybe(st.booleans()),
        "effect": maybe(st.sampled_from(Effect)),
        "recovery": maybe(recoveries),
        "retry": maybe(retries),
    }
    rich = built(ActionRef, name=names, extra=extras, **fields)
    plain = built(ActionRef, name=names, parameter=maybe(lines))
    found = draw(st.lists(plain | rich, max_size=3))
    return tuple(draw(built(ActionRef, **{**_fields(action), "order": st.just(index)})) for index, action in enumerate(found, 1))


def _fields(element: Any) -> dict[str, Any]:
    return {name: st.just(getattr(element, name)) for name in type(element).__dataclass_fields__}


def reactions(kind: Any, **fields: Any) -> Any:
    return st.one_of(
        built(kind, type=st.just(ReactionType.SET_ACTIVITY), target=names, extra=extras, **fields),
        built(kind, type=st.just(ReactionType.SET_STATE), target=names, extra=extras, **fields),
        built(kind, type=st.just(ReactionType.RETRY), retries=st.integers(0, 9), extra=extras, **fields),
    )


@st.composite
def handlers(draw: Any) -> tuple[ExceptionHandler, ...]:
    ignored = {"type": st.just(ReactionType.IGNORE)}
    caught = st.lists(words, min_size=1, max_size=2).map(tuple)
    count = draw(st.integers(0, 2))
    return tuple(
        draw(reactions(ExceptionHandler, order=st.just(index), exceptions=caught) | built(ExceptionHandler, order=st.just(index), exceptions=caught, **ignored))
        for index in range(1, count + 1)
    )


activities = built(
    Activity,
    name=names,
    state=texts,
    is_initial=st.booleans(),
    is_final=st.booleans(),
    is_for_set_state=st.booleans(),
    is_auto_scheme_update=st.booleans(),
    disable_persist_state=st.booleans(),
    disable_persist_transition_history=st.booleans(),
    disable_persist_parameters=st.booleans(),
    inline=st.just("") | names,
    implementation=actions(),
    pre_execution=actions(),
    annotations=st.dictionaries(st.just("__customtype") | names, texts, max_size=2).map(FrozenDict),
    execution_timeout=maybe(reactions(Timeout, timer=texts)),
    idle_timeout=maybe(reactions(Timeout, timer=texts)),
    handlers=handlers(),
    recovery=maybe(recoveries),
    retry=maybe(retries),
    comment=texts,
    provenance=provenance(PROVENANCE[:-2]),
    designer=drawn,
    extra=extras,
)
conditions = st.one_of(
    built(
        Condition,
        type=st.sampled_from([ConditionType.ALWAYS, ConditionType.OTHERWISE]),
        inverted=st.booleans(),
        result_on_pre_execution=maybe(st.booleans()),
        extra=extras,
    ),
    built(Condition, type=st.just(ConditionType.EXPRESSION), expression=texts, inverted=st.booleans(), extra=extras),
    built(
        Condition,
        type=st.just(ConditionType.ACTION),
        name=names,
        parameter=maybe(lines),
        inverted=st.booleans(),
        result_on_pre_execution=maybe(st.booleans()),
    ),
    st.just(Condition(type=ConditionType.OTHERWISE)),
)
triggers = st.one_of(
    built(TriggerSpec, extra=extras),
    built(TriggerSpec, type=st.sampled_from([TriggerType.COMMAND, TriggerType.TIMER]), name=names, extra=extras),
)
forks = built(
    Fork,
    direction=st.sampled_from(ForkDirection),
    name=texts,
    id=texts,
    startup=st.sampled_from(Startup),
    copy=st.sampled_from(CopyStrategy),
    merge=st.sampled_from(MergeStrategy),
    parameters=some(words),
    via_set_state=st.booleans(),
    disable_parent_state_control=st.booleans(),
)


@st.composite
def rights(draw: Any) -> tuple[Restriction, ...]:
    kinds = sorted(draw(st.lists(st.sampled_from(RestrictionType), max_size=3)))
    return tuple(draw(built(Restriction, type=st.just(kind), actor=names, extra=extras)) for kind in kinds)


transitions = built(
    Transition,
    name=names,
    source=names,
    target=names,
    trigger=triggers,
    conditions=st.lists(conditions, min_size=1, max_size=3).map(tuple) | st.just((Condition(),)),
    conditions_combine=combines,
    restrictions=rights(),
    allow_combine=combines,
    restrict_combine=combines,
    classifier=st.sampled_from(Classifier),
    fork=maybe(forks),
    inlined_final_activity=st.just("") | names,
    designer=drawn,
    extra=extras,
)
inputs = built(CommandInput, name=names, parameter=names, required=st.booleans(), default=maybe(lines), extra=extras)
types = st.sampled_from(
    ["string", "int", "decimal", "float", "bool", "datetime", "timedelta", "uuid", "bytes", "any", "list[string]", "dict[int]", "optional[decimal]"]
)
timers = built(
    TimerSpec,
    name=names,
    type=st.sampled_from(TimerType),
    value=texts | st.sampled_from(["0", "-1", "1d 12h", "2031-12-24", "2031-12-24 09:00:00"]),
    keep_if_set=st.booleans(),
    time_zone=texts,
    missed=st.sampled_from(Missed),
    late_after=maybe(seconds),
    extra=extras,
)
form_parameters = built(CodeActionParameter, name=names, type=texts, required=st.booleans(), title=texts, comment=texts, default=texts, extra=extras)
code_actions = built(
    CodeAction,
    name=names,
    type=st.sampled_from(CodeActionType),
    is_global=st.booleans(),
    is_async=st.booleans(),
    source=texts,
    usings=texts,
    excluded_usings=texts,
    parameters=some(form_parameters),
    provenance=provenance(PROVENANCE[:3]),
    extra=extras,
)


@st.composite
def localizations(draw: Any) -> tuple[Localization, ...]:
    entry = built(
        Localization,
        type=st.sampled_from(LocalizeType),
        object_name=texts,
        culture=st.sampled_from(["en-US", "de", ""]),
        value=texts,
        is_default=st.booleans(),
        extra=extras,
    )
    found = draw(st.lists(entry, max_size=4))
    cultures, kinds = list(dict.fromkeys(item.culture for item in found)), list(LocalizeType)
    return tuple(sorted(found, key=lambda item: (cultures.index(item.culture), kinds.index(item.type))))


schemes = built(
    Scheme,
    code=names,
    activities=some(activities),
    transitions=some(transitions, 3),
    actors=some(built(Actor, name=names, rule=texts, value=texts, provenance=provenance(PROVENANCE[:3]), extra=extras)),
    commands=some(built(Command, name=names, inputs=some(inputs), comment=texts, extra=extras)),
    parameters=some(built(ParameterSpec, name=names, type=types, purpose=st.sampled_from(Purpose), initial=maybe(lines), extra=extras)),
    timers=some(timers),
    comments=some(
        built(
            Comment,
            name=texts,
            value=texts,
            style=drawn.map(lambda kept: FrozenDict({key: text for key, text in kept.items() if key not in ("Value", "{urn:other}b")})),
            designer=drawn,
            extra=extras,
        )
    ),
    code_actions=some(code_actions),
    usings=texts,
    localization=localizations(),
    tags=some(words),
    can_be_inlined=st.booleans(),
    log_enabled=st.booleans(),
    calendar=texts,
    recovery=maybe(recoveries),
    retry=maybe(retries),
    designer=drawn,
    extra=extras,
)
