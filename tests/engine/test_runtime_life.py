"""Start, shutdown and start again; what is refused; what a failing start leaves behind."""

from __future__ import annotations

import logging
import os
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from bench import NOW, WHO, Bench, engine_of, path_of
from guarded import run_guarded
from waiting import until

from workflow_runtime import ProcessStatus, Registry, WorkflowRuntime
from workflow_runtime.core.reading import read
from workflow_runtime.errors import (
    ActionNotFound,
    ClientCannotExecute,
    RegistrationError,
    RuntimeNotStarted,
    SchemeError,
    SchemeNotFound,
    ServerAlreadyRunning,
    SettingsError,
    StoreUnavailable,
)
from workflow_runtime.store.writes import Store
from workflow_runtime.testing.clock import FakeClock

TEXT = """
scheme: S
commands: {go: {}}
activities:
  A: {initial: true}
  B: {final: true, actions: [Note]}
transitions:
  - {from: A, to: B, on: {command: go}}
"""
OTHER = TEXT.replace("B: {final: true", "B: {state: Finished, final: true")


def threads() -> set[str]:
    return {thread.name for thread in threading.enumerate() if "workflow" in thread.name}


# ------------------------------------------------------------------ start and shutdown


def test_a_runtime_starts_again_and_finds_what_it_left(bench: Bench) -> None:
    runtime = bench(TEXT)
    process = runtime.create_instance("S")
    for _ in range(3):
        runtime.shutdown()
        runtime.shutdown()
        assert runtime.start() is runtime
        assert runtime.start() is runtime
        assert runtime.get_process(process.id) == process
    assert runtime.execute_command(process.id, "go").process.status is ProcessStatus.FINALIZED
    runtime.shutdown()
    until(lambda: not threads())


def test_every_verb_but_building_needs_a_start(bench: Bench) -> None:
    runtime = bench.built(TEXT)
    some = "00000000-0000-0000-0000-000000000000"
    calls: list[Callable[[], Any]] = [
        lambda: runtime.create_instance("S"),
        lambda: runtime.execute_command(some, "go"),
        lambda: runtime.get_process(some),
        lambda: runtime.find_processes(),
        lambda: runtime.get_history(some),
        lambda: runtime.get_scheme("S"),
        lambda: runtime.cancel_process(some, **WHO),
        lambda: runtime.recover(),
        lambda: runtime.get_servers(),
        lambda: runtime.get_plugins(),
    ]
    for call in calls:
        with pytest.raises(RuntimeNotStarted, match=r"start\(\)"):
            call()
    with runtime:
        assert runtime.get_scheme_codes() == ["S"]
    for call in calls[:3]:
        with pytest.raises(RuntimeNotStarted):
            call()


def test_everything_is_registered_before_the_start(bench: Bench) -> None:
    runtime = bench(TEXT)
    late: list[Callable[[], Any]] = [
        lambda: runtime.with_actions({"X": bench.note}),
        lambda: runtime.with_registry(Registry()),
        lambda: runtime.action("X")(bench.note),
        lambda: runtime.condition("X"),
        lambda: runtime.rule("X"),
        lambda: runtime.with_settings(workers=1),
        lambda: runtime.as_client(),
        lambda: runtime.with_plugin(object()),
        lambda: runtime.with_schemes("x.yaml"),
    ]
    for register in late:
        with pytest.raises(RegistrationError, match="before start"):
            register()
    runtime.shutdown()
    runtime.with_actions({"X": bench.note}).start()


def test_a_memory_database_is_private_and_leaves_no_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    one, two = (
        WorkflowRuntime("sqlite:///:memory:", clock=FakeClock(NOW)).with_schemes(TEXT).with_actions({"Note": lambda ctx, parameter: None}) for _ in range(2)
    )
    with one, two:
        one.create_instance("S")
        assert (one.count_processes(), two.count_processes()) == (1, 0)
        assert len(list(tmp_path.iterdir())) == 2
    assert list(tmp_path.iterdir()) == []
    with one:
        assert one.count_processes() == 0, "what was in it is gone"


def test_a_start_that_fails_leaves_nothing_behind(bench: Bench) -> None:
    good, bad = TEXT.replace("scheme: S", "scheme: Good"), TEXT.replace("from: A", "from: Nowhere")
    broken = bench.built(good, bad)
    with pytest.raises(SchemeError):
        broken.start()
    with pytest.raises(RuntimeNotStarted):
        broken.get_scheme_codes()
    assert threads() == set()
    broken.with_settings(workers=2)  # still open
    with bench.built() as runtime:  # the lock was let go
        assert runtime.get_scheme_codes() == [], "not even the schemes without a fault"
        assert len(runtime.get_servers()) == 1


@pytest.mark.parametrize(
    ("prepare", "error"),
    [
        (lambda bench: bench.built(TEXT, wrokers=1), SettingsError),
        (lambda bench: bench.built("no/such/scheme.yaml"), SchemeNotFound),
        (lambda bench: bench.built(TEXT, plugin=object()), Exception),
        (lambda bench: WorkflowRuntime("sqlite:////no/such/folder/x.db"), StoreUnavailable),
        (lambda bench: bench.built(TEXT).as_multi_server(), SettingsError),
    ],
    ids=["setting", "file", "plugin", "folder", "multi"],
)
def test_each_failing_start_lets_the_next_one_in(bench: Bench, prepare: Callable[[Bench], WorkflowRuntime], error: type[Exception]) -> None:
    with pytest.raises(error):
        prepare(bench).start()
    with bench.built(TEXT) as runtime:
        assert runtime.create_instance("S").activity == "A"


def test_in_a_forked_child_the_parents_runtime_is_refused(tmp_path: Path) -> None:
    code = f"""
        import os, sys, warnings
        warnings.simplefilter("ignore")
        from workflow_runtime import WorkflowRuntime
        from workflow_runtime.errors import RuntimeNotStarted
        runtime = WorkflowRuntime("sqlite:///{tmp_path}/w.db").with_schemes({TEXT.replace("[Note]", "[]")!r}).start()
        child = os.fork()
        if child == 0:
            try:
                runtime.get_scheme_codes()
            except RuntimeNotStarted as error:
                runtime.shutdown()
                os._exit(7 if "fork" in str(error) and str(os.getppid()) in str(error) else 8)
            os._exit(9)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
        assert runtime.create_instance("S").activity == "A"
        runtime.shutdown()
        print("fine")
    """
    done = run_guarded(code, seconds=30)
    assert (done.returncode, done.stdout.strip()) == (0, "fine"), done.stderr


# ------------------------------------------------------------------ one server, and clients beside it


def test_a_second_server_on_one_file_is_refused_with_the_process_of_the_first(bench: Bench) -> None:
    first = bench(TEXT)
    with pytest.raises(ServerAlreadyRunning, match=r"in this process.*as_client"):
        bench.built(TEXT).start()
    code = f"""
        from workflow_runtime import ServerAlreadyRunning, WorkflowRuntime
        try:
            WorkflowRuntime({bench.url!r}).start()
        except ServerAlreadyRunning as error:
            print(error)
    """
    assert f" {os.getpid()}" in run_guarded(code, seconds=30).stdout
    assert first.create_instance("S").activity == "A"
    first.shutdown()
    bench.built(TEXT).start()


def test_a_client_reads_and_refuses_to_execute(bench: Bench) -> None:
    server = bench(TEXT)
    process = server.create_instance("S")
    client = bench(client=True)
    assert (client.get_process(process.id), client.count_processes(), len(client.get_servers())) == (process, 1, 1)
    assert [command.name for command in client.get_available_commands(process.id)] == ["go"]
    for execute in (
        lambda: client.execute_command(process.id, "go"),
        lambda: client.create_instance("S"),
        lambda: client.recover(),
    ):
        with pytest.raises(ClientCannotExecute, match="as_single_server"):
            execute()
    assert client.plan_recovery().decisions == ()
    client.shutdown()
    assert server.execute_command(process.id, "go").was_executed


def test_a_client_creates_no_database(tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailable, match="upgrade"):
        WorkflowRuntime(f"sqlite:///{tmp_path}/none.db").as_client().start()
    assert list(tmp_path.iterdir()) == []


# ------------------------------------------------------------------ schemes


def test_schemes_may_be_added_before_and_after_the_start(bench: Bench) -> None:
    runtime = bench(TEXT)
    assert runtime.add_scheme(TEXT.replace("scheme: S", "scheme: T")).code == "T"
    assert runtime.get_scheme_codes() == ["S", "T"]
    runtime.add_scheme(read(TEXT.replace("scheme: S", "scheme: U")))
    assert runtime.create_instance("U").scheme_code == "U"


def test_a_new_text_is_a_new_version_and_instances_stay_where_they_are(bench: Bench) -> None:
    runtime = bench(TEXT)
    old = runtime.create_instance("S")
    runtime.add_scheme(OTHER)
    new = runtime.create_instance("S")
    assert old.scheme_version != new.scheme_version
    assert [runtime.execute_command(one.id, "go").process.state for one in (old, new)] == ["", "Finished"]
    assert runtime.get_process(old.id).scheme_version == old.scheme_version
    assert runtime.get_scheme("S", old.scheme_version).activity("B").state == ""  # type: ignore[union-attr]


def test_an_old_text_added_again_is_current_again(bench: Bench) -> None:
    runtime = bench(TEXT)
    first = runtime.get_scheme("S").version
    bench.clock.advance(1)
    runtime.add_scheme(OTHER)
    assert runtime.get_scheme("S").version != first
    bench.clock.advance(1)
    runtime.add_scheme(TEXT)
    assert runtime.get_scheme("S").version == first
    assert engine_of(runtime).store.scheme_versions("S") == [first, read(OTHER).version]


def test_an_instance_of_an_old_version_lives_over_a_restart(bench: Bench) -> None:
    with bench.built(TEXT) as runtime:
        process = runtime.create_instance("S")
    with bench.built(OTHER) as later:
        after = later.execute_command(process.id, "go").process
        assert (after.status, after.state, path_of(later, process.id)) == (ProcessStatus.FINALIZED, "", ["A", "B"])


def test_all_problems_of_all_schemes_are_told_at_once(bench: Bench, tmp_path: Path) -> None:
    first, second = tmp_path / "first.yaml", tmp_path / "second.yaml"
    first.write_text(TEXT.replace("[Note]", "[Nte, Unheard]"))
    second.write_text(TEXT.replace("scheme: S", "scheme: T").replace("from: A", "from: Aa"))
    with pytest.raises(SchemeError) as caught:
        bench.built(tmp_path).start()
    said = [problem for problem in caught.value.problems if problem.severity == "error"]
    assert {Path(problem.path).name for problem in said} == {"first.yaml", "second.yaml"}
    assert len(said) >= 3
    assert next(problem for problem in said if "'Nte'" in problem.message).suggestion == "Note"
    assert all(problem.line > 0 for problem in said)


def test_schemes_are_checked_before_this_becomes_a_server(bench: Bench) -> None:
    """Reading and checking them may take long, and nothing beats meanwhile."""
    bench(TEXT)
    with pytest.raises(SchemeError):
        bench.built(TEXT.replace("[Note]", "[Unheard]")).start()
    with pytest.raises(SchemeNotFound):
        bench.built("no/such/scheme.yaml").start()
    with pytest.raises(ServerAlreadyRunning):
        bench.built(TEXT).start()


def test_while_many_schemes_are_stored_the_server_beats(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    beats: list[int] = []
    store_one = Store.add_scheme

    def slow(store: Store, *scheme: Any) -> Any:
        beats.extend(server.beat for server in store.servers())
        bench.clock.advance(4)
        return store_one(store, *scheme)

    monkeypatch.setattr(Store, "add_scheme", slow)
    runtime = bench(*(TEXT.replace("scheme: S", f"scheme: S{number}") for number in range(6)), lease=6.0)
    assert beats == [0, 0, 1, 1, 2, 2], "behind a file lock one beat per lease"
    assert len(runtime.get_scheme_codes()) == 6


def test_a_start_that_fails_while_it_stores_schemes_takes_its_row_along(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(store: Store, *scheme: Any) -> None:
        raise StoreUnavailable("the database went away")

    with monkeypatch.context() as broken:
        broken.setattr(Store, "add_scheme", away)
        with pytest.raises(StoreUnavailable):
            bench.built(TEXT).start()
    assert len(bench(TEXT).get_servers()) == 1


def test_a_scheme_that_is_refused_later_changes_nothing(bench: Bench) -> None:
    runtime = bench(TEXT)
    version = runtime.get_scheme("S").version
    with pytest.raises(SchemeError):
        runtime.add_scheme(OTHER.replace("[Note]", "[Unheard]"))
    assert runtime.get_scheme("S").version == version


def test_warnings_are_logged_and_do_not_stop_the_start(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        bench(TEXT.replace("final: true, ", ""))
    assert "no_final_activity" in caplog.text


def test_a_version_that_needs_what_this_server_lacks_is_not_executed_here(bench: Bench) -> None:
    with bench.built(TEXT.replace("[Note]", "[Rare]"), actions={"Rare": bench.note}) as first:
        process = first.create_instance("S")
    runtime = bench(TEXT)
    with pytest.raises(ActionNotFound, match="'Rare'"):
        runtime.execute_command(process.id, "go")
    with pytest.raises(ActionNotFound, match="'Rare'"):
        runtime.set_activity(process.id, "B", **WHO)
    assert runtime.get_process(process.id) == process
    assert runtime.set_activity(process.id, "B", execute=False, **WHO).status is ProcessStatus.FINALIZED  # type: ignore[union-attr]


# ------------------------------------------------------------------ with the clock of the machine


def test_with_a_real_clock_timers_fire_from_threads_and_shutdown_ends_them(bench: Bench) -> None:
    scheme = "scheme: T\ntimers: {t: {interval: 30ms}}\nactivities: {A: {initial: true}, B: {final: true, actions: [Note]}}\n"
    scheme += "transitions: [{from: A, to: B, on: {timer: t}}]"
    runtime = bench(scheme, real_time=True)
    processes = [runtime.create_instance("T") for _ in range(20)]
    until(lambda: all(runtime.get_process(process.id).status is ProcessStatus.FINALIZED for process in processes))
    assert len(bench.said) == 20
    runtime.shutdown()
    until(lambda: not threads())


def test_a_shutdown_hands_back_between_two_steps_and_the_next_start_goes_on(bench: Bench) -> None:
    entered, gate = threading.Event(), threading.Event()

    def wait(ctx: Any, parameter: str | None) -> None:
        bench.said.append("first")
        entered.set()
        assert gate.wait(20)

    runtime = bench(TEXT.replace("[Note]", "[Wait, Note]"), actions={"Wait": wait})
    process = runtime.create_instance("S")
    results: list[Any] = []
    worker = threading.Thread(target=lambda: results.append(runtime.execute_command(process.id, "go")))
    worker.start()
    assert entered.wait(20)
    engine = engine_of(runtime)
    stopping = threading.Thread(target=runtime.shutdown)
    stopping.start()
    until(lambda: engine.draining)
    gate.set()
    worker.join(20)
    stopping.join(20)
    (result,) = results
    assert (result.was_executed, result.process.status, result.process.owner, result.waiting_until) == (True, ProcessStatus.RUNNING, None, NOW)
    assert bench.said == ["first"]
    runtime.start()
    bench.clock.advance(0)
    assert (runtime.get_process(process.id).status, bench.said) == (ProcessStatus.FINALIZED, ["first", "B"])
