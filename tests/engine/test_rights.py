"""Who may give a command: Allow and Restrict, combined; undeclared actors; in whose name; and what is on offer."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest
from bench import Bench, history

from workflow_runtime import Process
from workflow_runtime.errors import CommandNotAllowed, RuleFailed

PEOPLE = {"boss": {"ann"}, "clerk": {"ann", "bob"}, "author": {"bob", "carl"}}


def text(allow: str = "", deny: str = "", extra: str = "") -> str:
    rights = "".join(f", {word}: {given}" for word, given in (("allow", allow), ("deny", deny)) if given)
    return f"""
scheme: S
actors:
  Boss: {{rule: Role, value: boss}}
  Clerk: {{rule: Role, value: clerk}}
  Author: {{rule: Role, value: author}}
  Owner: {{rule: Named, value: "@Owner"}}
commands: {{go: {{}}, back: {{}}}}
activities: {{A: {{initial: true}}, B: {{}}, End: {{final: true}}}}
transitions:
  - {{from: A, to: B, on: {{command: go}}{rights}}}
{extra}
  - {{from: B, to: A, on: {{command: back}}}}
  - {{from: B, to: End, on: {{command: go}}}}
"""


asked: list[tuple[str, str | None, str | None]] = []


def role(process: Process, identity: str | None, parameter: str | None) -> bool:
    asked.append(("Role", identity, parameter))
    return identity in PEOPLE.get(parameter or "", ())


def named(process: Process, identity: str | None, parameter: str | None) -> bool:
    return identity == parameter


async def predefined(process: Process, identity: str | None, parameter: str | None) -> bool:
    asked.append(("Guest", identity, parameter))
    return identity == "gil"


RULES: dict[str, Any] = {"Role": role, "Named": named, "Guest": predefined}


def may(bench: Bench, scheme: str, identity: str | None, **given: Any) -> bool:
    runtime = bench.opened[0] if bench.opened else bench(scheme, rules=RULES)
    process = runtime.create_instance("S", parameters={"Owner": "olga"})
    offered = [] if identity is None else [command.name for command in runtime.get_available_commands(process.id, identity)]
    with suppress(CommandNotAllowed):
        assert runtime.execute_command(process.id, "go", identity=identity, check_restrictions=True, **given).was_executed
        assert given or identity is None or offered == ["go"]
        return True
    with pytest.raises(CommandNotAllowed) as caught:
        runtime.execute_command(process.id, "go", identity=identity, check_restrictions=True, **given)
    error = caught.value
    assert (error.process_id, error.command, error.identity) == (process.id, "go", given.get("impersonated_identity") or identity)
    assert (runtime.get_process(process.id), len(history(runtime, process.id))) == (process, 1)
    assert given or offered == []
    return False


@pytest.mark.parametrize(
    ("allow", "deny", "allowed"),
    [
        ("", "", "ann bob carl zoe"),
        ("[Boss]", "", "ann"),
        ("{all: [Boss, Author]}", "", ""),
        ("{all: [Clerk, Author]}", "", "bob"),
        ("{any: [Boss, Author]}", "", "ann bob carl"),
        ("", "[Author]", "ann zoe"),
        ("", "{all: [Clerk, Author]}", "ann carl zoe"),
        ("", "{any: [Clerk, Author]}", "zoe"),
        ("[Clerk]", "[Author]", "ann"),
        ("{any: [Clerk, Author]}", "{all: [Clerk, Author]}", "ann carl"),
        ("[Owner]", "", "olga"),
        ("[Guest]", "", "gil"),
    ],
)
def test_allowed_is_no_allow_or_the_allowed_and_not_the_restricted(bench: Bench, allow: str, deny: str, allowed: str) -> None:
    everybody = ("ann", "bob", "carl", "zoe", "olga", "gil") if allow in ("[Owner]", "[Guest]") else ("ann", "bob", "carl", "zoe")
    assert [who for who in everybody if may(bench, text(allow, deny), who)] == allowed.split()


def test_rights_are_not_looked_at_unless_the_caller_asks(bench: Bench) -> None:
    runtime = bench(text("[Boss]"), rules=RULES)
    process = runtime.create_instance("S")
    asked.clear()
    assert runtime.execute_command(process.id, "go", identity="zoe").was_executed
    assert asked == []
    assert [command.name for command in runtime.get_available_commands(process.id)] == ["back", "go"]


def test_an_undeclared_actor_is_a_rule_of_its_name_without_a_parameter(bench: Bench) -> None:
    asked.clear()
    assert may(bench, text("[Guest]"), "gil")
    assert asked[-1] == ("Guest", "gil", None)


def test_rights_are_those_of_the_impersonated(bench: Bench) -> None:
    assert may(bench, text("[Boss]"), "zoe", impersonated_identity="ann")
    assert not may(bench, text("[Boss]"), "ann", impersonated_identity="zoe")


def test_nobody_may_what_is_restricted(bench: Bench) -> None:
    assert not may(bench, text("[Boss]"), None)
    assert may(bench, text("[Boss]"), "ann")


def test_rights_filter_the_candidate_transitions(bench: Bench) -> None:
    extra = "  - {from: A, to: End, on: {command: go}, allow: [Author]}"
    runtime = bench(text("[Boss]", extra=extra), rules=RULES)
    for who, target in (("ann", "B"), ("carl", "End")):
        process = runtime.create_instance("S")
        assert runtime.execute_command(process.id, "go", identity=who, check_restrictions=True).process.activity == target


def test_an_otherwise_is_the_alternative_of_what_one_may(bench: Bench) -> None:
    extra = "  - {from: A, to: End, on: {command: go}, otherwise: true}"
    scheme = text("[Boss]", extra=extra).replace("to: B, on: {command: go}, allow", 'to: B, on: {command: go}, when: "1 = 1", allow')
    runtime = bench(scheme, rules=RULES)
    for who, target in (("ann", "B"), ("zoe", "End")):
        process = runtime.create_instance("S")
        assert runtime.execute_command(process.id, "go", identity=who, check_restrictions=True).process.activity == target


def test_nobody_is_asked_twice_for_one_command(bench: Bench) -> None:
    runtime = bench(text("[Boss]"), rules=RULES)
    process = runtime.create_instance("S")
    asked.clear()
    runtime.execute_command(process.id, "go", identity="ann", check_restrictions=True)
    assert asked == [("Role", "ann", "boss")]


def test_not_here_is_said_before_not_you(bench: Bench) -> None:
    runtime = bench(text("[Boss]"), rules=RULES)
    process = runtime.create_instance("S")
    assert not runtime.execute_command(process.id, "back", identity="zoe", check_restrictions=True).was_executed


@pytest.mark.parametrize("kind", ["allow", "deny"])
def test_a_rule_that_raises_reaches_the_caller_and_changes_nothing(bench: Bench, kind: str) -> None:
    def broken(process: Process, identity: str | None, parameter: str | None) -> bool:
        raise LookupError("no directory")

    runtime = bench(text(**{kind: "[Boss]"}), rules={**RULES, "Role": broken})
    process = runtime.create_instance("S")
    for ask in (
        lambda: runtime.execute_command(process.id, "go", identity="ann", check_restrictions=True),
        lambda: runtime.get_available_commands(process.id, "ann"),
    ):
        with pytest.raises(RuleFailed, match=r"rule 'Role' of actor 'Boss'.*LookupError: no directory") as caught:
            ask()
        error = caught.value
        assert (error.process_id, error.transition, error.actor, error.rule) == (process.id, "A_B_1", "Boss", "Role")
        assert isinstance(error.__cause__, LookupError)
    assert (runtime.get_process(process.id), len(history(runtime, process.id))) == (process, 1)


def test_an_actor_whose_value_cannot_be_filled_in_is_no_silent_no(bench: Bench) -> None:
    def unreachable(process: Process, name: str) -> Any:
        raise OSError("no network")

    runtime = bench(text("[Owner]"), rules=RULES, external=unreachable)
    process = runtime.create_instance("S")
    with pytest.raises(RuleFailed, match=r"'Named' of actor 'Owner'.*no network"):
        runtime.execute_command(process.id, "go", identity="olga", check_restrictions=True)


# ------------------------------------------------------------------ what is on offer


OFFER = """
scheme: S
commands: {go: {inputs: {why: {parameter: Why, required: true}}}, stay: {}, never: {}}
parameters: {Why: {type: string}}
activities: {A: {initial: true}, End: {final: true}}
transitions:
  - {from: A, to: End, on: {command: go}, when: {action: Asked}, classifier: direct}
  - {from: A, to: A, on: {command: go}, when: "1 = 2", classifier: reverse}
  - {from: A, to: A, on: {command: stay}, when: "1 = 2"}
localization:
  de-DE: {command: {go: Los}}
  en: {default: true, command: {go: Go on}}
"""


def test_an_offer_has_label_inputs_and_classifiers(bench: Bench) -> None:
    runtime = bench(OFFER, conditions={"Asked": lambda ctx, parameter: True})
    process = runtime.create_instance("S")
    go, stay = runtime.get_available_commands(process.id, culture="de-DE")
    assert (go.name, go.localized_name, go.classifiers, [wanted.name for wanted in go.parameters]) == ("go", "Los", ("Direct", "Reverse"), ["why"])
    assert (stay.name, stay.localized_name) == ("stay", "stay")
    assert runtime.get_available_commands(process.id)[0].localized_name == "Go on"


def test_conditions_of_an_offer_see_who_asks_and_the_command(bench: Bench) -> None:
    seen: list[tuple[str | None, str | None]] = []

    def condition(ctx: Any, parameter: str | None) -> bool:
        seen.append((ctx.identity, ctx.command))
        return True

    runtime = bench(OFFER, conditions={"Asked": condition})
    process = runtime.create_instance("S")
    assert [command.name for command in runtime.get_available_commands(process.id, "ann")] == ["go", "stay"]
    assert seen == [], "conditions are not looked at unless the caller asks"
    assert [command.name for command in runtime.get_available_commands(process.id, "ann", check_conditions=True)] == ["go"]
    assert seen == [("ann", "go")]
    assert len(history(runtime, process.id)) == 1
