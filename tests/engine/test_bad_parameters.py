"""Bad inputs B67, B68, B71 to B77 and B80 to B83 through the public verbs: a typed error, nothing stored, the next good one works."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from bench import WHO, Bench, engine_of
from guarded import run_guarded

from workflow_runtime import Process, ProcessStatus, WorkflowRuntime
from workflow_runtime.errors import (
    CommandNotFound,
    ConditionFailed,
    ParameterError,
    ProcessNotFound,
    SchemeError,
    StatusNotAllowed,
    TimerValueError,
    WorkflowError,
)

TEXT = """
scheme: S
parameters: {X: {type: any, purpose: persistence}, Y: {type: any, purpose: persistence}}
timers: {t: {interval: 1h}}
commands: {go: {inputs: {x: {parameter: X}}}, other: {}, out: {}}
activities: {A: {initial: true}, B: {}, End: {final: true}}
transitions:
  - {from: A, to: B, on: {command: go}}
  - {from: B, to: A, on: {command: go}}
  - {from: A, to: End, on: {command: out}}
  - {from: A, to: B, on: {timer: t}}
  - {from: B, to: End, on: {command: other}}
"""


class Foreign:
    pass


cyclic: list[Any] = []
cyclic.append(cyclic)


def nested(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return value


VALUES: dict[str, tuple[Any, str]] = {
    "B71 large": ("x" * (256 * 1024 + 1), "too_large"),
    "B72 deep": (nested(33), "too_deep"),
    "B73 nan": (float("nan"), "number_out_of_range"),
    "B73 infinity": (float("inf"), "number_out_of_range"),
    "B73 1e999": (1e999, "number_out_of_range"),
    "B73 1e131071": (Decimal("1e131071"), "number_out_of_range"),
    "B73 2**63": (2**63, "number_out_of_range"),
    "B73 5000 digits": (10**5000, "number_out_of_range"),
    "B74 null": ("a\x00b", "bad_character"),
    "B74 surrogate": ("\ud800", "bad_character"),
    "B74 surrogate key": ({"\ud800": 1}, "bad_character"),
    "B76 set": ({1, 2}, "type_error"),
    "B76 naive": (datetime(2030, 1, 1), "type_error"),
    "B76 class": (Foreign(), "type_error"),
    "B76 key": ({1: 2}, "type_error"),
    "B76 cyclic": (cyclic, "type_error"),
}
NAMES: dict[str, tuple[Any, str]] = {
    "B71 proto": ("__proto__", "bad_name"),
    "B71 constructor": ("constructor", "bad_name"),
    "B71 empty": ("", "bad_name"),
    "B71 long": ("x" * 201, "bad_name"),
    "B71 no text": (5, "bad_name"),
    "B71 control": ("a\nb", "bad_name"),
    "system": ("CurrentState", "bad_name"),
}

Bring = Callable[[WorkflowRuntime, Process, Any, Any], Any]
DOORS: dict[str, Bring] = {
    "create": lambda runtime, process, name, value: runtime.create_instance("S", parameters={name: value}),
    "command": lambda runtime, process, name, value: runtime.execute_command(process.id, "go", parameters={name: value}),
    "set_activity": lambda runtime, process, name, value: runtime.set_activity(process.id, "B", parameters={name: value}, **WHO),
    "stand": lambda runtime, process, name, value: runtime.set_activity(process.id, "B", execute=False, parameters={name: value}, **WHO),
    "set_parameter": lambda runtime, process, name, value: runtime.set_parameter(process.id, name, value, **WHO),
}


def everything(runtime: WorkflowRuntime) -> dict[str, list[Any]]:
    tables = ("wf_process", "wf_history", "wf_timer", "wf_journal")
    with engine_of(runtime).store.dialect.read() as transaction:
        return {table: transaction.driver.execute(f"SELECT * FROM {table}").fetchall() for table in tables}


def refused(runtime: WorkflowRuntime, act: Callable[[], Any], error: type[WorkflowError] = ParameterError) -> WorkflowError:
    """Nothing was stored, nothing is in hand, and the error can be shown."""
    before = everything(runtime)
    with pytest.raises(error) as caught:
        act()
    assert everything(runtime) == before
    assert len(engine_of(runtime).live) == 0
    assert len(str(caught.value)) < 1_000
    return caught.value


@pytest.fixture
def runtime(bench: Bench) -> WorkflowRuntime:
    return bench(TEXT)


@pytest.mark.parametrize("door", DOORS)
def test_bad_values_are_refused_at_every_door(runtime: WorkflowRuntime, door: str) -> None:
    process = runtime.create_instance("S")
    for case, (value, code) in VALUES.items():
        error = refused(runtime, lambda value=value: DOORS[door](runtime, process, "X", value))  # type: ignore[misc]
        assert error.code == code, case
    DOORS[door](runtime, process, "X", {"good": [1, Decimal("1.50")]})


@pytest.mark.parametrize("door", DOORS)
def test_bad_names_are_refused_at_every_door(runtime: WorkflowRuntime, door: str) -> None:
    process = runtime.create_instance("S")
    for case, (name, code) in NAMES.items():
        error = refused(runtime, lambda name=name: DOORS[door](runtime, process, name, 1))  # type: ignore[misc]
        assert error.code == code, case
    DOORS[door](runtime, process, "Größe", 1)


@pytest.mark.parametrize("door", ["create", "command", "set_activity"])
def test_too_many_parameters_are_refused(runtime: WorkflowRuntime, door: str) -> None:
    """B71: a thousand of them."""
    process, many = runtime.create_instance("S"), {f"p{number}": 1 for number in range(1_000)}
    calls: dict[str, Callable[[], Any]] = {
        "create": lambda: runtime.create_instance("S", parameters=many),
        "command": lambda: runtime.execute_command(process.id, "go", parameters=many),
        "set_activity": lambda: runtime.set_activity(process.id, "B", parameters=many, **WHO),
    }
    assert refused(runtime, calls[door]).code == "too_many"


@pytest.mark.parametrize("given", [[1], "text", 5, {1, 2}], ids=str)
def test_parameters_that_are_no_mapping_are_refused(runtime: WorkflowRuntime, given: Any) -> None:
    process = runtime.create_instance("S")
    for act in (lambda: runtime.create_instance("S", parameters=given), lambda: runtime.execute_command(process.id, "go", parameters=given)):
        assert refused(runtime, act).code == "type_error"


def test_parameters_of_one_process_may_not_grow_over_its_limit_call_by_call(bench: Bench) -> None:
    runtime = bench(TEXT, max_value_bytes=1024, max_process_bytes=2048)
    process = runtime.create_instance("S", parameters={"X": "x" * 900, "Z": "z" * 900})
    for act in (
        lambda: runtime.execute_command(process.id, "go", parameters={"Y": "y" * 900}),
        lambda: runtime.set_parameter(process.id, "Y", "y" * 900, **WHO),
        lambda: runtime.set_activity(process.id, "B", parameters={"Y": "y" * 900}, **WHO),
    ):
        assert refused(runtime, act).code == "too_large"
    assert runtime.set_parameter(process.id, "X", "y" * 900, **WHO).parameters["X"] == "y" * 900


def test_json_with_a_key_twice_is_refused_where_a_scheme_brings_it(runtime: WorkflowRuntime) -> None:
    """B75: a default of an input is the way JSON text comes in."""
    before = everything(runtime)
    with pytest.raises(SchemeError, match="'a'"):
        runtime.add_scheme(TEXT.replace("parameter: X", 'parameter: X, default: \'{"a": 1, "a": 2}\''))
    assert everything(runtime) == before


def test_dangerous_values_end_quickly_and_harm_nobody(tmp_path: Path) -> None:
    """B72 and B76 at their worst: 200,000 levels, a cycle of dictionaries, a repr that raises, a wide one."""
    code = f"""
        from workflow_runtime import ParameterError, WorkflowRuntime
        deep = []
        for _ in range(200_000):
            deep = [deep]
        loop = {{}}
        loop["loop"] = {{"again": loop}}
        class Rude:
            def __repr__(self): raise RuntimeError("no repr")
            __str__ = __hash__ = __eq__ = None
        wide = [[[["x"] * 30] * 30] * 30] * 30
        with WorkflowRuntime("sqlite:///{tmp_path}/w.db").with_schemes({TEXT!r}) as runtime:
            process = runtime.create_instance("S")
            codes = []
            for value in (deep, loop, Rude(), wide):
                for bring in (
                    lambda: runtime.create_instance("S", parameters={{"X": value}}),
                    lambda: runtime.execute_command(process.id, "go", parameters={{"x": value}}),
                ):
                    try:
                        bring()
                    except ParameterError as error:
                        codes.append(error.code)
            assert runtime.get_process(process.id) == process
            assert runtime.execute_command(process.id, "go", parameters={{"x": 1}}).process.parameters == {{"X": 1}}
            print(codes)
            while deep:
                deep = deep[0]
    """
    done = run_guarded(code, seconds=30, memory=3 << 30)
    assert done.returncode == 0, done.stderr[-2_000:]
    assert done.stdout.strip() == str(["too_deep"] * 2 + ["type_error"] * 4 + ["too_large"] * 2)


# ------------------------------------------------------------------ expressions


def test_an_unknown_name_is_an_error_at_load_and_else_a_failed_condition(bench: Bench) -> None:
    """B67."""
    scheme = TEXT.replace("to: B, on: {command: go}}", 'to: B, on: {command: go}, when: "@Missing = 1"}')
    with pytest.raises(SchemeError, match="Missing"):
        bench.built(scheme).start()

    def knows_nothing(process: Process, name: str) -> Any:
        raise KeyError(name)

    runtime = bench(scheme, external=knows_nothing)
    process = runtime.create_instance("S")
    with pytest.raises(ConditionFailed, match="Missing"):
        runtime.execute_command(process.id, "go")
    assert runtime.get_process(process.id).status is ProcessStatus.ERROR
    assert runtime.execute_command(process.id, "out").was_executed


@pytest.mark.parametrize("expression", ["@X / @Y > 1", "@X < 1", "@Y < 'text'", "@X = 1 and @X < 1"])
def test_what_cannot_be_computed_is_a_failed_condition(bench: Bench, expression: str) -> None:
    """B68."""
    runtime = bench(TEXT.replace("to: B, on: {command: go}}", f'to: B, on: {{command: go}}, when: "{expression}"}}'))
    values = {"X": 1, "Y": 0} if "/" in expression else {"Y": 0}
    process = runtime.create_instance("S", parameters=values)
    if "and" in expression:
        assert not runtime.execute_command(process.id, "go").was_executed  # the left side decides
        return
    with pytest.raises(ConditionFailed):
        runtime.execute_command(process.id, "go")
    assert runtime.get_process(process.id).status is ProcessStatus.ERROR


# ------------------------------------------------------------------ commands, ids, revisions, times


def test_a_command_that_is_not_declared_or_leads_nowhere_changes_nothing(runtime: WorkflowRuntime) -> None:
    """B77."""
    process = runtime.create_instance("S")
    error = refused(runtime, lambda: runtime.execute_command(process.id, "othr"), CommandNotFound)
    assert error.suggestion == "other"
    before = everything(runtime)
    assert not runtime.execute_command(process.id, "other").was_executed
    assert everything(runtime) == before


@pytest.mark.parametrize("name", ["", " ", "x" * 10_000, "a\nb", None, 5, b"go", "\ud800"], ids=repr)
def test_a_command_that_is_no_name_is_refused(runtime: WorkflowRuntime, name: Any) -> None:
    process = runtime.create_instance("S")
    assert refused(runtime, lambda: runtime.execute_command(process.id, name)).code == "bad_name"


BAD_IDS = ["", "abc", "' OR 1=1--", "x" * 10_240, "0" * 36, "-" * 36, 5, None, b"\x00" * 16, "00000000-0000-0000-0000-00000000000\ud800"]


@pytest.mark.parametrize("bad", BAD_IDS, ids=lambda bad: repr(bad)[:30])
def test_what_is_no_id_is_refused(runtime: WorkflowRuntime, bad: Any) -> None:
    """B80."""
    calls: list[Callable[[], Any]] = [
        lambda: runtime.get_process(bad),
        lambda: runtime.execute_command(bad, "go"),
        lambda: runtime.get_history(bad),
        lambda: runtime.get_timers(bad),
        lambda: runtime.get_available_commands(bad),
        lambda: runtime.set_activity(bad, "A", **WHO),
        lambda: runtime.cancel_process(bad, **WHO),
        lambda: runtime.delete_process(bad, **WHO),
        lambda: runtime.resume_process(bad, **WHO),
        lambda: runtime.set_parameter(bad, "X", 1, **WHO),
        lambda: runtime.set_timer(bad, "t", timedelta(1), **WHO),
    ]
    for call in calls if bad is None else [*calls, lambda: runtime.create_instance("S", process_id=bad)]:
        assert refused(runtime, call).code == "bad_id"


def test_an_id_in_capitals_is_an_id(runtime: WorkflowRuntime) -> None:
    process = runtime.create_instance("S")
    assert runtime.get_process(str(process.id).upper()) == process


@pytest.mark.parametrize("bad", [-1, 0, 2**63, "1", 1.0, True], ids=repr)
def test_what_is_no_revision_is_refused(runtime: WorkflowRuntime, bad: Any) -> None:
    """B81."""
    process = runtime.create_instance("S")
    for call in (
        lambda: runtime.execute_command(process.id, "go", expected_revision=bad),
        lambda: runtime.cancel_process(process.id, expected_revision=bad, **WHO),
        lambda: runtime.delete_process(process.id, expected_revision=bad, **WHO),
    ):
        assert refused(runtime, call).code == "bad_revision"


BAD_TIMES = [
    datetime(2030, 1, 1),
    datetime(1, 1, 1, tzinfo=UTC),
    datetime(9999, 12, 31, 23, tzinfo=timezone(timedelta(hours=-12))),
    timedelta.max,
    timedelta.min,
    "2030-01-01",
    5,
    None,
]


@pytest.mark.parametrize("bad", BAD_TIMES, ids=str)
def test_what_is_no_due_time_is_refused(runtime: WorkflowRuntime, bad: Any) -> None:
    """B82."""
    process = runtime.create_instance("S")
    error = refused(runtime, lambda: runtime.set_timer(process.id, "t", bad, **WHO), WorkflowError)
    assert isinstance(error, ParameterError | TimerValueError)
    assert error.code == "bad_time"
    runtime.set_timer(process.id, "t", timedelta(minutes=1), **WHO)


@pytest.mark.parametrize("bad", ["", " ", "x" * 201, "a\nb", 5, "\ud800", b"ann"], ids=lambda bad: repr(bad)[:20])
def test_who_is_no_identity_is_refused(runtime: WorkflowRuntime, bad: Any) -> None:
    process = runtime.create_instance("S")
    for call in (
        lambda: runtime.create_instance("S", identity=bad),
        lambda: runtime.create_instance("S", tenant_id=bad),
        lambda: runtime.execute_command(process.id, "go", impersonated_identity=bad),
        lambda: runtime.get_available_commands(process.id, bad),
        lambda: runtime.cancel_process(process.id, actor=bad, reason="x"),
    ):
        assert refused(runtime, call).code == "bad_identity"


def test_a_command_to_what_has_ended_or_gone_is_refused(runtime: WorkflowRuntime) -> None:
    """B83."""
    ended, stopped, gone = (runtime.create_instance("S") for _ in range(3))
    runtime.execute_command(ended.id, "out")
    runtime.cancel_process(stopped.id, **WHO)
    runtime.delete_process(gone.id, **WHO)
    for process, status in ((ended, ProcessStatus.FINALIZED), (stopped, ProcessStatus.TERMINATED)):
        assert refused(runtime, lambda one=process: runtime.execute_command(one.id, "go"), StatusNotAllowed).status is status  # type: ignore[misc]
    assert refused(runtime, lambda: runtime.execute_command(gone.id, "go"), ProcessNotFound).process_id == gone.id
