"""Conditions: which transition is taken, and that one which raises is an error of the process and never a no."""

from __future__ import annotations

from typing import Any

import pytest
from bench import NOW, WHO, Bench, history, last, path_of

from workflow_runtime import ErrorDecision, ProcessStatus, hookimpl
from workflow_runtime.errors import ConditionFailed, LoopLimitExceeded, SchemeError


def text(*ways: str, head: str = "") -> str:
    lines = "\n".join(f"  - {way}" for way in ways)
    return f"""
scheme: S
{head}
commands: {{go: {{}}, out: {{}}}}
activities: {{A: {{initial: true}}, B: {{}}, C: {{}}, End: {{final: true}}}}
transitions:
{lines}
  - {{from: A, to: End, on: {{command: out}}}}
  - {{from: B, to: End, on: {{command: out}}}}
  - {{from: C, to: End, on: {{command: out}}}}
"""


def go(bench: Bench, scheme: str, values: dict[str, Any] | None = None, **given: Any) -> str:
    """Where the command leads from A; '-' when it is not executed."""
    runtime = bench.opened[0] if bench.opened else bench(scheme, **given)
    result = runtime.execute_command(runtime.create_instance("S", parameters=values).id, "go")
    return str(result.process.activity) if result.was_executed else "-"


# ------------------------------------------------------------------ which is taken


HEAD = "parameters: {X: {type: int, purpose: persistence}, Y: {type: int, purpose: persistence}}"


@pytest.mark.parametrize(
    ("when", "values", "taken"),
    [
        ('"@X > 1"', {"X": 2}, "B"),
        ('"@X > 1"', {"X": 1}, "-"),
        ('{expression: "@X > 1", not: true}', {"X": 1}, "B"),
        ('{all: ["@X = 1", "@Y = 1"]}', {"X": 1, "Y": 1}, "B"),
        ('{all: ["@X = 1", "@Y = 1"]}', {"X": 1, "Y": 2}, "-"),
        ('{any: ["@X = 1", "@Y = 1"]}', {"X": 2, "Y": 1}, "B"),
        ('{any: ["@X = 1", "@Y = 1"]}', {"X": 2, "Y": 2}, "-"),
        ('{any: ["@X = 1", {expression: "@Y = 1", not: true}]}', {"X": 2, "Y": 2}, "B"),
        ('{all: [{action: Even, with: "@X"}, {action: Even, with: "@Y", not: true}]}', {"X": 2, "Y": 3}, "B"),
        ('{all: [{action: Even, with: "@X"}, {action: Even, with: "@Y", not: true}]}', {"X": 2, "Y": 4}, "-"),
        ('{action: LaterEven, with: "@X"}', {"X": 2}, "B"),
        ('{action: LaterEven, with: "@X"}', {"X": 3}, "-"),
    ],
)
def test_expressions_and_actions_combine_and_invert(bench: Bench, when: str, values: dict[str, int], taken: str) -> None:
    async def later(ctx: Any, parameter: str) -> bool:
        return int(parameter) % 2 == 0

    conditions = {"Even": lambda ctx, parameter: int(parameter) % 2 == 0, "LaterEven": later}
    assert go(bench, text(f"{{from: A, to: B, on: {{command: go}}, when: {when}}}", head=HEAD), values, conditions=conditions) == taken


def test_the_first_in_document_order_is_taken_and_otherwise_last(bench: Bench) -> None:
    scheme = text(
        "{from: A, to: End, on: {command: go}, otherwise: true}",
        '{from: A, to: B, on: {command: go}, when: "@X > 1"}',
        '{from: A, to: C, on: {command: go}, when: "@X > 0"}',
        head=HEAD,
    )
    assert [go(bench, scheme, {"X": value}) for value in (2, 1, 0)] == ["B", "C", "End"]


def test_the_second_of_two_alternatives_is_not_asked_when_the_first_decides(bench: Bench) -> None:
    asked: list[str] = []

    def ask(ctx: Any, parameter: str) -> bool:
        asked.append(parameter)
        return parameter == "yes"

    scheme = text("{from: A, to: B, on: {command: go}, when: {any: [{action: Ask, with: 'yes'}, {action: Ask, with: second}]}}")
    assert go(bench, scheme, conditions={"Ask": ask}) == "B"
    assert asked == ["yes"]


def test_a_condition_sees_the_inputs_and_the_trigger_and_cannot_change_values(bench: Bench) -> None:
    seen: dict[str, Any] = {}

    def look(ctx: Any, parameter: str | None) -> bool:
        seen.update(command=ctx.command, identity=ctx.identity, activity=ctx.activity, transition=ctx.transition, parameter=parameter)
        seen.update(given=ctx.parameters["Given"], kept=ctx.parameters["Kept"], system=ctx.parameters["CurrentActivity"], plain=dict(ctx.parameters))
        with pytest.raises(TypeError):
            ctx.parameters["Kept"] = 2
        return True

    runtime = bench(text("{from: A, to: B, on: {command: go}, when: {action: Look, with: 'at @CurrentActivity'}}"), conditions={"Look": look})
    process = runtime.create_instance("S", parameters={"Kept": 1})
    runtime.execute_command(process.id, "go", identity="ann", parameters={"Given": [1]})
    assert seen == {
        "command": "go",
        "identity": "ann",
        "activity": "B",
        "transition": "A_B_1",
        "parameter": "at A",
        "given": [1],
        "kept": 1,
        "system": "A",
        "plain": {"Kept": 1, "Given": [1]},
    }


def test_automatic_conditions_see_what_actions_have_changed(bench: Bench) -> None:
    def set_x(ctx: Any, parameter: str | None) -> None:
        ctx.parameters["X"] = 5

    scheme = text("{from: A, to: B, on: {command: go}}", '{from: B, to: C, when: "@X = 5"}', head=HEAD).replace("B: {}", "B: {actions: [Set]}")
    assert go(bench, scheme, {"X": 1}, actions={"Set": set_x}) == "C"


def test_an_external_parameter_is_used_and_never_stored(bench: Bench) -> None:
    def provider(process: Any, name: str) -> Any:
        return {"Rate": 3}[name]

    runtime = bench(text('{from: A, to: B, on: {command: go}, when: "@Rate = 3"}'), external=provider)
    result = runtime.execute_command(runtime.create_instance("S").id, "go")
    assert (result.process.activity, dict(result.process.parameters)) == ("B", {})


# ------------------------------------------------------------------ a condition that raises


class Trouble:
    """Answers workflow_error."""

    def __init__(self, decision: ErrorDecision | None = None) -> None:
        self.decision, self.errors, self.processes = decision, list[BaseException](), list[Any]()

    @hookimpl
    def workflow_error(self, process: Any, error: BaseException) -> ErrorDecision | None:
        self.errors.append(error)
        self.processes.append(process)
        return self.decision


def broken(ctx: Any, parameter: str | None) -> bool:
    raise LookupError("no such customer")


WITH_BROKEN = text("{from: A, to: B, on: {command: go}, when: {action: Broken}}")


@pytest.mark.parametrize(
    ("when", "cause"),
    [
        ("{action: Broken}", "LookupError"),
        ("{action: Broken, not: true}", "LookupError"),
        ('"1 / @X > 0"', "EvaluationError"),
        ('"@Y < 1"', "EvaluationError"),
        ('"@Text < 1"', "EvaluationError"),
        ('"@X"', "EvaluationError"),
        ('{any: ["@X = 7", {action: Broken}]}', "LookupError"),
    ],
)
def test_it_is_condition_failed_and_not_a_silent_no(bench: Bench, when: str, cause: str) -> None:
    head = HEAD[:-1] + ", Text: {type: string, purpose: persistence}}"
    scheme = text(f"{{from: A, to: B, on: {{command: go}}, when: {when}}}", "{from: A, to: C, on: {command: go}, otherwise: true}", head=head)
    runtime = bench(scheme, conditions={"Broken": broken})
    process = runtime.create_instance("S", parameters={"X": 0, "Text": "a"})
    with pytest.raises(ConditionFailed) as caught:
        runtime.execute_command(process.id, "go", identity="ann", impersonated_identity="bob")
    error = caught.value
    assert (error.process_id, error.scheme_code, error.activity, error.transition) == (process.id, "S", "A", "A_B_1")
    assert error.__cause__ is not None
    stored = runtime.get_process(process.id)
    assert (stored.status, stored.activity, stored.walk) == (ProcessStatus.ERROR, "A", None)
    assert stored.last_error is not None
    assert stored.last_error.type.endswith(cause)
    entry = last(runtime, process.id)
    assert (entry.kind, entry.status, entry.trigger, entry.identity, entry.impersonated_identity) == ("failed", "Error", ("Command", "go"), "ann", "bob")
    assert entry.error == stored.last_error
    assert "Traceback" in entry.error.traceback


def test_an_automatic_condition_that_raises_leaves_the_process_where_it_arrived(bench: Bench) -> None:
    runtime = bench(text("{from: A, to: B, on: {command: go}}", "{from: B, to: C, when: {action: Broken}}"), conditions={"Broken": broken})
    process = runtime.create_instance("S")
    with pytest.raises(ConditionFailed):
        runtime.execute_command(process.id, "go", identity="ann")
    assert [(entry.kind, entry.to_activity, entry.trigger.name, entry.identity, entry.status) for entry in history(runtime, process.id)[1:]] == [
        ("moved", "B", "go", "ann", "Running"),
        ("failed", "B", "go", "ann", "Error"),
    ]
    stored = runtime.get_process(process.id)
    assert (stored.activity, stored.status, stored.walk) == ("B", ProcessStatus.ERROR, None)
    assert runtime.execute_command(process.id, "out").process.status is ProcessStatus.FINALIZED


def test_without_an_exit_it_is_terminated(bench: Bench) -> None:
    scheme = text("{from: A, to: B, on: {command: go}}", "{from: B, to: C, when: {action: Broken}}").replace("  - {from: B, to: End, on: {command: out}}\n", "")
    runtime = bench(scheme, conditions={"Broken": broken})
    process = runtime.create_instance("S")
    with pytest.raises(ConditionFailed):
        runtime.execute_command(process.id, "go")
    assert runtime.get_process(process.id).status is ProcessStatus.TERMINATED


def test_a_condition_at_creation_that_raises_leaves_the_process_there(bench: Bench) -> None:
    runtime = bench(text("{from: A, to: B, when: {action: Broken}}"), conditions={"Broken": broken})
    with pytest.raises(ConditionFailed) as caught:
        runtime.create_instance("S")
    stored = runtime.get_process(caught.value.process_id)
    assert (stored.activity, stored.status) == ("A", ProcessStatus.ERROR)


def test_the_hook_hears_the_original_error_and_may_choose_an_activity(bench: Bench) -> None:
    trouble = Trouble(ErrorDecision.set_activity("C"))
    runtime = bench(WITH_BROKEN, conditions={"Broken": broken}, plugin=trouble)
    process = runtime.create_instance("S")
    result = runtime.execute_command(process.id, "go", identity="ann")
    assert (result.was_executed, result.process.activity, result.process.status) == (True, "C", ProcessStatus.IDLED)
    assert [type(error) for error in trouble.errors] == [LookupError]
    assert trouble.processes[0].activity == "A"
    assert [(entry.kind, entry.to_activity, entry.identity) for entry in history(runtime, process.id)[1:]] == [("failed", "A", "ann"), ("moved", "C", "ann")]


def test_the_hook_may_keep_the_error_from_the_caller(bench: Bench) -> None:
    runtime = bench(WITH_BROKEN, conditions={"Broken": broken}, plugin=Trouble(ErrorDecision.suppressed()))
    process = runtime.create_instance("S")
    assert runtime.execute_command(process.id, "go").process.status is ProcessStatus.ERROR
    assert last(runtime, process.id).kind == "failed"


def test_a_hook_that_leads_round_in_a_circle_meets_the_loop_guard(bench: Bench) -> None:
    trouble = Trouble(ErrorDecision.set_activity("B"))
    scheme = text("{from: A, to: B, on: {command: go}}", "{from: B, to: C, when: {action: Broken}}")
    runtime = bench(scheme, conditions={"Broken": broken}, plugin=trouble, max_automatic_steps=7)
    process = runtime.create_instance("S")
    with pytest.raises((ConditionFailed, LoopLimitExceeded)):
        runtime.execute_command(process.id, "go")
    stored = runtime.get_process(process.id)
    assert (stored.status, stored.activity) == (ProcessStatus.ERROR, "B")
    assert path_of(runtime, process.id) == ["A", *["B"] * 8]


def test_an_answer_of_no_such_activity_is_as_if_nobody_had_answered(bench: Bench) -> None:
    runtime = bench(WITH_BROKEN, conditions={"Broken": broken}, plugin=Trouble(ErrorDecision.set_activity("nowhere")))
    process = runtime.create_instance("S")
    with pytest.raises(ConditionFailed):
        runtime.execute_command(process.id, "go")
    assert runtime.get_process(process.id).status is ProcessStatus.ERROR


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
def test_an_interruption_passes_through_and_changes_nothing(bench: Bench, error: type[BaseException]) -> None:
    def interrupted(ctx: Any, parameter: str | None) -> bool:
        raise error

    runtime = bench(WITH_BROKEN, conditions={"Broken": interrupted})
    process = runtime.create_instance("S")
    with pytest.raises(error):
        runtime.execute_command(process.id, "go")
    assert runtime.get_process(process.id) == process


# ------------------------------------------------------------------ names


def test_a_name_that_is_not_known_is_refused_at_load(bench: Bench) -> None:
    with pytest.raises(SchemeError, match="Amout"):
        bench(text('{from: A, to: B, on: {command: go}, when: "@Amout > 1"}', head="parameters: {Amount: {type: int, purpose: persistence}}"))


def test_a_name_that_no_provider_knows_is_condition_failed(bench: Bench) -> None:
    def provider(process: Any, name: str) -> Any:
        raise LookupError(name)

    runtime = bench(text('{from: A, to: B, on: {command: go}, when: "@Rate = 3"}'), external=provider)
    process = runtime.create_instance("S")
    with pytest.raises(ConditionFailed, match="Rate"):
        runtime.execute_command(process.id, "go")


def test_expressions_see_the_clock_of_the_database(bench: Bench) -> None:
    head = "parameters: {Due: {type: datetime, purpose: persistence}}"
    runtime = bench(text('{from: A, to: B, on: {command: go}, when: "@Due <= Now()"}', head=head))
    process = runtime.create_instance("S", parameters={"Due": NOW})
    assert runtime.execute_command(process.id, "go").was_executed
    runtime.set_activity(process.id, "A", execute=False, **WHO)
    runtime.set_parameter(process.id, "Due", "2030-01-02T00:00:00Z", **WHO)
    assert not runtime.execute_command(process.id, "go").was_executed
