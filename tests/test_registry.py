"""Registering names: what is accepted, and how a mistake is told at once."""

from __future__ import annotations

import functools
from typing import Any

import pytest

from workflow_runtime.core.scheme_elements import RetryPolicy
from workflow_runtime.core.scheme_words import Effect
from workflow_runtime.errors import RegistrationError
from workflow_runtime.registry import ActionSpec, ConditionSpec, Registry, RuleSpec, place_of


def mail(ctx: Any, parameter: str | None) -> None:
    pass


async def mail_later(ctx: Any, parameter: str | None) -> None:
    pass


def check(process: Any, identity: Any, parameter: Any) -> bool:
    return True


class Callable:
    def __call__(self, ctx: Any, parameter: str | None) -> None:
        pass


class AsyncCallable:
    async def __call__(self, ctx: Any, parameter: str | None) -> None:
        pass


def test_decorators_return_the_function_and_take_its_name() -> None:
    registry = Registry()
    assert registry.action()(mail) is mail
    assert registry.condition("IsMailed")(mail) is mail
    assert registry.rule("Manager", identities=lambda process, parameter: ["bob"])(check) is check
    assert registry.actions == {"mail": ActionSpec(name="mail", function=mail)}
    assert registry.conditions == {"IsMailed": ConditionSpec(name="IsMailed", function=mail)}
    assert registry.rules["Manager"].check is check
    assert registry.rules["Manager"].function is check


def test_options_of_an_action_are_kept() -> None:
    registry = Registry()
    registry.action("Mail", resumable=False, journal=False, effect="at_least_once")(mail)
    assert registry.actions["Mail"] == ActionSpec(name="Mail", function=mail, resumable=False, journal=False, effect=Effect.AT_LEAST_ONCE)


def test_a_spec_keeps_its_options_under_another_name() -> None:
    registry = Registry("the plugin mails")
    registry.add_action("Other", ActionSpec(name="Mail", function=mail, journal=False))
    registry.add_condition("Other", ConditionSpec(name="Mail", function=mail))
    registry.add_rule("Other", RuleSpec(name="Mail", check=check))
    assert registry.actions["Other"] == ActionSpec(name="Other", function=mail, journal=False)
    assert {spec.origin for spec in (registry.actions["Other"], registry.conditions["Other"], registry.rules["Other"])} == {"the plugin mails"}


@pytest.mark.parametrize(
    ("function", "is_async"),
    [(mail, False), (mail_later, True), (functools.partial(mail_later), True), (Callable(), False), (AsyncCallable(), True)],
)
def test_async_is_seen_whatever_the_callable_is(function: Any, is_async: bool) -> None:
    assert ActionSpec(name="Mail", function=function).is_async is is_async


@pytest.mark.parametrize("function", [mail, Callable(), lambda *args: None, lambda ctx, parameter=None, *, extra=1: None, functools.partial(check, None)])
def test_whatever_can_be_called_with_two_arguments_is_an_action(function: Any) -> None:
    Registry().add_action("Mail", function)


def without_arguments() -> None: ...


def with_a_required_third(ctx: Any, parameter: Any, more: Any) -> None: ...


def with_a_required_keyword(ctx: Any, parameter: Any, *, more: Any) -> None: ...


@pytest.mark.parametrize("function", [without_arguments, with_a_required_third, with_a_required_keyword, lambda ctx: None])
def test_another_signature_is_refused_with_the_expected_one(function: Any) -> None:
    with pytest.raises(RegistrationError, match=r"the action 'Mail' takes \(.*expected a callable \(ctx, parameter\)"):
        Registry().add_action("Mail", function)
    with pytest.raises(RegistrationError, match=r"the condition 'Mail' takes \(.*expected a callable \(ctx, parameter\)"):
        Registry().add_condition("Mail", function)


def test_rules_have_a_signature_of_their_own() -> None:
    with pytest.raises(RegistrationError, match=r"the rule 'Manager' takes \(ctx.*expected a callable \(process, identity, parameter\)"):
        Registry().add_rule("Manager", mail)
    with pytest.raises(RegistrationError, match=r"identities of the rule 'Manager' takes .*expected a callable \(process, parameter\)"):
        Registry().add_rule("Manager", (check, check))
    with pytest.raises(RegistrationError, match=r"tuple of 3; expected \(check, identities\)"):
        Registry().add_rule("Manager", (check, None, None))  # type: ignore[arg-type]


@pytest.mark.parametrize(("offered", "shown"), [("mail", "'mail'"), (None, "None"), (Callable, "the class Callable")])
def test_what_is_no_callable_is_refused(offered: Any, shown: str) -> None:
    with pytest.raises(RegistrationError, match=f"the action 'Mail' is {shown}; expected a callable"):
        Registry().add_action("Mail", offered)


def steps(ctx: Any, parameter: Any) -> Any:
    yield 1


async def steps_later(ctx: Any, parameter: Any) -> Any:
    yield 1


@pytest.mark.parametrize("generator", [steps, steps_later])
def test_a_generator_is_refused_because_it_would_never_run(generator: Any) -> None:
    with pytest.raises(RegistrationError, match="is a generator, which would never run"):
        Registry().add_action("Mail", generator)


@pytest.mark.parametrize("kind", ["action", "condition", "rule"])
def test_a_decorator_without_parentheses_is_told(kind: str) -> None:
    with pytest.raises(RegistrationError, match=rf"write @{kind}\(\) or @{kind}\('Name'\)"):
        getattr(Registry(), kind)(mail)


@pytest.mark.parametrize("name", ["", " Mail", "Mail ", 5])
def test_a_name_must_be_a_text(name: Any) -> None:
    with pytest.raises(RegistrationError, match=r"the action name .* cannot be used; expected a text"):
        Registry().add_action(name, mail)


def test_a_callable_without_a_name_needs_one() -> None:
    with pytest.raises(RegistrationError, match="the action name '' cannot be used"):
        Registry().action()(Callable())


def test_a_check_of_the_outcome_must_be_callable_like_the_action() -> None:
    registry = Registry()
    registry.action("Mail", effect="at_most_once", check_outcome=mail)(mail)
    assert (registry.actions["Mail"].effect, registry.actions["Mail"].check_outcome) == (Effect.AT_MOST_ONCE, mail)
    with pytest.raises(RegistrationError, match=r"the check_outcome of the action 'Post' takes .*; expected a callable \(ctx, parameter\)"):
        registry.action("Post", check_outcome=lambda ctx: True)(mail)


def test_a_retry_policy_is_kept() -> None:
    registry = Registry()
    registry.action("Mail", retry=RetryPolicy(attempts=3))(mail)
    assert registry.actions["Mail"].retry == RetryPolicy(attempts=3)


def test_a_retry_policy_with_a_number_that_cannot_be_is_refused() -> None:
    with pytest.raises(RegistrationError, match="the retry policy of the action 'Mail': attempts is 0; expected a whole number from 1"):
        Registry().action("Mail", retry=RetryPolicy(attempts=0))(mail)


def test_an_unknown_effect_is_told_with_the_known_ones() -> None:
    with pytest.raises(RegistrationError, match="the effect 'never'; expected one of 'at_least_once', 'at_most_once'"):
        Registry().action("Mail", effect="never")(mail)


@pytest.mark.parametrize(("kind", "one", "other"), [("action", mail, mail_later), ("condition", mail, mail_later), ("rule", check, functools.partial(check))])
def test_a_taken_name_is_refused_and_both_are_named(kind: str, one: Any, other: Any) -> None:
    registry = Registry("the blueprint")
    add = getattr(registry, f"add_{kind}")
    add("Mail", one)
    with pytest.raises(RegistrationError, match="is registered twice") as caught:
        add("Mail", other)
    assert f"{__name__}.{one.__name__} at {__file__}:" in caught.value.message
    assert caught.value.message.count("(the blueprint)") == 2
    assert getattr(registry, f"{kind}s")["Mail"].function is one, "the first one stays"


def test_the_place_of_a_callable_object_is_its_class() -> None:
    assert place_of(ActionSpec(name="Mail", function=Callable())) == f"{__name__}.Callable (given to the runtime)"


def test_one_name_may_be_an_action_a_condition_and_a_rule() -> None:
    registry = Registry()
    registry.add_action("Manager", mail)
    registry.add_condition("Manager", mail)
    registry.add_rule("Manager", check)
    assert (list(registry.actions), list(registry.conditions), list(registry.rules)) == (["Manager"],) * 3
