"""Gathering names: who wins, who may not be equal, and what is answered for a name nobody knows."""

from __future__ import annotations

from dataclasses import FrozenInstanceError
from typing import Any

import pytest

from workflow_runtime.catalogue import Catalogue, Level, Restorer, Source, gather, read_answers
from workflow_runtime.core.problems import Names
from workflow_runtime.core.restoring import IProcessRestorer
from workflow_runtime.errors import ActionNotFound, PluginError, RegistrationError
from workflow_runtime.registry import ActionSpec, Registry

NOBODY: Any = None  #: stands for a process where none is looked at


def action(ctx: Any, parameter: str | None) -> None:
    pass


def other(ctx: Any, parameter: str | None) -> None:
    pass


def check(process: Any, identity: Any, parameter: Any) -> bool:
    return True


def source(level: Level, *, actions: dict[str, Any], origin: str = "") -> Source:
    registry = Registry(origin or level.name)
    for name, function in actions.items():
        registry.add_action(name, function)
    return Source(level=level, origin=registry.origin, registry=registry)


class Plain(IProcessRestorer):
    pass


class Named(IProcessRestorer):
    name = "the careful one"
    version = "2"


def test_nothing_gathered_is_an_empty_catalogue() -> None:
    assert gather([]) == Catalogue()
    assert gather([]).names() == Names()


@pytest.mark.parametrize("order", [1, -1])
def test_the_higher_level_wins_whatever_the_order(order: int) -> None:
    sources = [source(level, actions={"Mail": action, level.name: other}) for level in Level][::order]
    catalogue = gather(sources)
    assert catalogue.action("Mail").origin == "RUNTIME"
    assert {name: spec.origin for name, spec in catalogue.actions.items() if name != "Mail"} == {level.name: level.name for level in Level}


@pytest.mark.parametrize("level", Level)
def test_two_equals_on_one_level_are_an_error_that_names_both(level: Level) -> None:
    sources = [source(level, actions={"Mail": action}, origin="a.py"), source(level, actions={"Mail": other}, origin="b.py")]
    with pytest.raises(RegistrationError, match="the action 'Mail' is registered twice") as caught:
        gather(sources)
    assert f"{__name__}.action at {__file__}" in caught.value.message
    assert "(a.py)" in caught.value.message
    assert f"{__name__}.other at {__file__}" in caught.value.message
    assert "(b.py)" in caught.value.message


def test_two_equals_do_no_harm_below_a_level_that_has_settled_the_name() -> None:
    below = [source(Level.ENTRY_POINT, actions={"Mail": other}, origin=origin) for origin in ("a", "b")]
    assert gather([*below, source(Level.RUNTIME, actions={"Mail": action})]).action("Mail").function is action


def test_conditions_and_rules_follow_the_same_law() -> None:
    registries = [Registry("a"), Registry("b")]
    for registry in registries:
        registry.add_condition("IsLarge", action)
        registry.add_rule("Manager", check)
    winner, loser = registries
    catalogue = gather([Source(level=Level.BUILT_IN, registry=loser), Source(level=Level.FOLDER, registry=winner)])
    assert (catalogue.condition("IsLarge").origin, catalogue.rule("Manager").origin) == ("a", "a")
    with pytest.raises(RegistrationError, match="the condition 'IsLarge' is registered twice"):
        gather([Source(registry=winner), Source(registry=loser)])


def test_an_unknown_name_is_told_with_the_near_one() -> None:
    registry = Registry()
    registry.add_action("NotifyManager", action)
    registry.add_condition("IsLarge", action)
    registry.add_rule("Manager", check)
    catalogue = gather([Source(registry=registry)])
    with pytest.raises(ActionNotFound, match=r"the action 'notifymanger' is not registered on this server; did you mean 'NotifyManager'\?") as caught:
        catalogue.action("notifymanger")
    assert (caught.value.kind, caught.value.wanted, caught.value.suggestion) == ("action", "notifymanger", "NotifyManager")
    with pytest.raises(ActionNotFound, match=r"the condition 'Islarge'.*'IsLarge'"):
        catalogue.condition("Islarge")
    with pytest.raises(ActionNotFound, match="the rule 'Boss' is not registered on this server; register it and start again"):
        catalogue.rule("Boss")


def test_the_names_are_those_a_scheme_is_checked_against() -> None:
    registry = Registry()
    registry.add_action("A", action)
    registry.add_condition("C", action)
    registry.add_rule("R", check)
    expected = Names(actions=frozenset({"A"}), conditions=frozenset({"C"}), rules=frozenset({"R"}), activities=frozenset())
    assert gather([Source(registry=registry)]).names() == expected


def test_a_catalogue_never_changes() -> None:
    registry = Registry()
    registry.add_action("A", action)
    catalogue = gather([Source(registry=registry)])
    registry.add_action("B", action)
    assert list(catalogue.actions) == ["A"]
    with pytest.raises(FrozenInstanceError):
        catalogue.actions = {}  # type: ignore[misc]
    with pytest.raises(TypeError):
        catalogue.actions["B"] = catalogue.actions["A"]  # type: ignore[index]


def test_restorers_stay_in_order_with_name_and_version() -> None:
    first, second, third = Plain(), Named(), Plain()
    catalogue = gather(
        [
            Source(level=Level.ENTRY_POINT, version="1.4", restorers=(third,)),
            Source(level=Level.RUNTIME, restorers=(first, second)),
        ]
    )
    assert catalogue.restorers == (Restorer("Plain", "", first), Restorer("the careful one", "2", second), Restorer("Plain", "1.4", third))


class Half:
    def need_custom_restore(self, scheme_code: str, status: str) -> bool:
        return True


class Asynchronous(IProcessRestorer):
    async def need_custom_restore(self, scheme_code: str, status: str) -> bool:  # type: ignore[override]
        return True


@pytest.mark.parametrize(
    ("restorer", "message"),
    [
        (Plain, r"the restorer Plain is a class; expected an object: Plain\(\.\.\.\)"),
        (Half(), "get_custom_restore_decision of the restorer 'Half' is None"),
        (Asynchronous(), "need_custom_restore of the restorer 'Asynchronous' is async"),
        ("Rerun", "need_custom_restore of the restorer 'str' is None"),
    ],
)
def test_what_is_no_restorer_is_refused(restorer: Any, message: str) -> None:
    with pytest.raises(RegistrationError, match=message):
        Source(restorers=(restorer,))


def test_external_parameters_come_from_the_first_provider_that_knows_them() -> None:
    rates, names = {"Vat": 19}, {"Vat": 7, "Boss": None}
    providers = (lambda process, name: [][1], lambda process, name: rates[name], lambda process, name: names[name])
    catalogue = gather([Source(external_parameters=providers)])
    assert catalogue.external(NOBODY, "Vat") == 19
    assert catalogue.external(NOBODY, "Boss") is None
    with pytest.raises(KeyError, match="Unknown"):
        catalogue.external(NOBODY, "Unknown")


def test_a_provider_that_breaks_is_not_passed_over() -> None:
    def broken(process: Any, name: str) -> Any:
        raise ConnectionError("no directory")

    catalogue = gather([Source(external_parameters=(broken, lambda process, name: 1))])
    with pytest.raises(ConnectionError, match="no directory"):
        catalogue.external(NOBODY, "Vat")


def test_timer_values_come_from_the_first_translator_that_knows_them() -> None:
    def shifts(process: Any, timer: str, value: str) -> str | None:
        return f"{timer} 8h" if value == "shift" else None

    catalogue = gather([Source(timer_values=(shifts, lambda process, timer, value: "0" if value in ("shift", "now") else None))])
    assert [catalogue.timer_value(NOBODY, "remind", value) for value in ("shift", "now", "never")] == ["remind 8h", "0", None]


def test_a_translation_must_be_a_text() -> None:
    catalogue = gather([Source(timer_values=(lambda process, timer, value: 5,))])  # type: ignore[arg-type, return-value]
    with pytest.raises(PluginError, match="the value 'soon' of timer 'remind' was translated to 5; expected a text"):
        catalogue.timer_value(NOBODY, "remind", "soon")


@pytest.mark.parametrize("part", ["external_parameters", "timer_values"])
def test_providers_and_translators_are_checked_when_they_are_given(part: str) -> None:
    with pytest.raises(RegistrationError, match="expected a callable"):
        Source(**{part: (lambda: None,)})  # type: ignore[arg-type]


def answered(hook: str, answer: Any) -> Source:
    return read_answers([(hook, answer)], level=Level.FOLDER, origin="a.py", version="3")


def test_answers_of_a_plugin_become_a_source() -> None:
    restorer = Plain()
    answers = [("register_actions", {"Mail": ActionSpec(name="Mail", function=action, journal=False)}), ("register_process_restorers", iter([restorer]))]
    read = read_answers(answers, level=Level.FOLDER, origin="a.py", version="3")
    assert (read.level, read.origin, read.version, read.restorers) == (Level.FOLDER, "a.py", "3", (restorer,))
    assert (read.registry.actions["Mail"].journal, read.registry.actions["Mail"].origin) == (False, "a.py")


def test_one_provider_or_several_may_be_answered() -> None:
    def provider(process: Any, name: str) -> Any:
        return None

    assert answered("register_external_parameters", provider).external_parameters == (provider,)
    assert answered("register_external_parameters", [provider, provider]).external_parameters == (provider, provider)


def test_translators_may_be_answered_by_timer() -> None:
    (translate,) = answered("register_timer_values", {"remind": lambda process, value: value.upper()}).timer_values
    assert (translate(NOBODY, "remind", "soon"), translate(NOBODY, "other", "soon")) == ("SOON", None)


@pytest.mark.parametrize(
    ("hook", "answer", "message"),
    [
        ("register_actions", ["Mail"], r"register_actions\(\) returned \['Mail'\]; expected a mapping"),
        ("register_actions", {"Mail": 5}, "the action 'Mail' is 5"),
        ("register_rules", {"Manager": action}, "the rule 'Manager' takes"),
        ("register_process_restorers", Plain(), r"register_process_restorers\(\) returned .*; expected a list"),
        ("register_process_restorers", "Plain", "expected a list"),
        ("register_process_restorers", [Plain], "is a class"),
        ("register_external_parameters", {"Vat": 19}, "expected a list"),
        ("register_external_parameters", [lambda name: 1], "takes"),
        ("register_timer_values", {"remind": "1d"}, "the translator of the timer 'remind' is '1d'"),
        ("register_timer_values", 5, "expected a mapping"),
    ],
)
def test_an_answer_that_does_not_fit_is_refused(hook: str, answer: Any, message: str) -> None:
    with pytest.raises(RegistrationError, match=message):
        answered(hook, answer)
