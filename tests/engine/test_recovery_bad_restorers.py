"""Restorers that raise, hang or answer nonsense: the status rule, the cause in history, and the pass goes on."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from orphanage import PAYING, Answer, Orphanage

from workflow_runtime.core.frozen import FrozenDict
from workflow_runtime.core.process import ProcessStatus
from workflow_runtime.core.restoring import RestoreDecision

ERROR = ProcessStatus.ERROR
DEFAULT = RestoreDecision.default()
NEVER = threading.Event()


class Unspeakable(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no")


def raising(error: BaseException) -> Callable[[object], RestoreDecision]:
    def answer(process: object) -> RestoreDecision:
        raise error

    return answer


NONSENSE: dict[str, tuple[Any, str]] = {
    "raises": (raising(ValueError("bang")), "ValueError: bang"),
    "raises BaseException": (raising(BaseException("bang")), "BaseException: bang"),
    "raises SystemExit": (raising(SystemExit(3)), "SystemExit: 3"),
    "raises what cannot be shown": (raising(Unspeakable()), "Unspeakable"),
    "raises what cannot be stored": (raising(ValueError("\ud800\0")), "ValueError: ?"),
    "hangs": (lambda process: NEVER.wait(3), "no answer within 0.2 s"),
    "answers None": (lambda process: None, "expected a RestoreDecision"),
    "answers a text": ("resume", "expected a RestoreDecision"),
    "answers a huge text": ("x" * 10_000_000, "expected a RestoreDecision"),
    "names no activity": (RestoreDecision.run_from_new_activity("Nowhere"), "has no activity 'Nowhere'"),
    "names an activity that is no text": (RestoreDecision.run_from_new_activity([]), "named the activity []"),  # type: ignore[arg-type]
    "decides what there is not": (RestoreDecision("explode"), "'explode' is not a valid DecisionKind"),  # type: ignore[arg-type]
    "gives a reason that is no text": (RestoreDecision(reason=5), "named the reason 5"),  # type: ignore[arg-type]
    "gives a reason that cannot be stored": (DEFAULT.because("\ud800"), "ParameterError"),
    "sets a system parameter": (DEFAULT.add_persistent_parameter("ProcessId", 1), "ParameterError"),
    "sets a value that cannot be stored": (DEFAULT.add_temporary_parameter("X", object()), "ParameterError"),
    "sets a value of the wrong type": (DEFAULT.add_persistent_parameter("Amount", "much"), "'Amount'"),
    "sets a huge value": (DEFAULT.add_persistent_parameter("X", "x" * 1_000_000), "ParameterError"),
    "gives evidence that cannot be stored": (DEFAULT.because("so", what={1, 2}), "ParameterError"),
}


@pytest.mark.parametrize(("answer", "cause"), NONSENSE.values(), ids=NONSENSE)
def test_nonsense_is_the_status_rule_with_the_cause(tmp_path: Path, answer: Any, cause: str) -> None:
    with Orphanage(tmp_path, Answer(answer)) as home:
        ids = [home.orphan(PAYING), home.orphan(PAYING)]
        report = home.recover()
        assert [home.status(one) for one in ids] == [ERROR, ERROR]
        assert (report.owned, report.decided, report.by_decision) == (2, 2, {"default": 2})
        for decision in report.decisions:
            assert cause in decision.error
            assert "Answer" in decision.error or decision.decided_by == "Answer, then status rule"
            assert len(decision.error) <= 2_000
        assert dict(home.runtime.get_parameters(ids[0])) == {}


def test_a_plain_text_as_kind_means_the_same(tmp_path: Path) -> None:
    with Orphanage(tmp_path, Answer(RestoreDecision("delete"))) as home:  # type: ignore[arg-type]
        home.orphan(PAYING)
        assert home.recover().by_decision == {"delete": 1}


def test_a_long_reason_is_cut(tmp_path: Path) -> None:
    with Orphanage(tmp_path, Answer(DEFAULT.because("y" * 1_000_000))) as home:
        home.orphan(PAYING)
        assert len(home.recover().decisions[0].reason) == 2_000


def test_a_jump_to_a_final_activity_is_a_decision_like_any_other(tmp_path: Path) -> None:
    with Orphanage(tmp_path, Answer(RestoreDecision.run_from_new_activity("Done"))) as home:
        one = home.orphan(PAYING)
        home.recover()
        assert home.status(one) is ProcessStatus.FINALIZED


def test_one_that_runs_again_for_ever_is_stopped_as_poison(tmp_path: Path) -> None:
    """Each time the server dies at the same step."""
    with Orphanage(tmp_path, Answer(RestoreDecision.run_from_current_activity()), max_recovery_attempts=3) as home:
        one = home.orphan(PAYING, deaths=2, deaths_step="Paid#0")
        home.recover()
        assert home.status(one) is ProcessStatus.IDLED
        two = home.orphan(PAYING, deaths=3, deaths_step="Paid#0")
        [decision] = home.recover().decisions
        assert (home.status(two), decision.decided_by) == (ProcessStatus.TERMINATED, "poison")
        assert decision.reason == "poison: 4 servers in a row died with Paid#0 in flight"


@pytest.mark.parametrize("error", [ValueError("bang"), SystemExit(3), BaseException("bang")])
def test_trouble_while_asking_whom_it_wants_lets_the_next_one_decide(tmp_path: Path, error: BaseException) -> None:
    def wants(scheme: str, status: ProcessStatus) -> bool:
        raise error

    bad, good = Answer(DEFAULT, name="bad", wants=wants), Answer(RestoreDecision.resume(), name="good")
    with Orphanage(tmp_path, bad, good) as home:
        home.orphan(PAYING)
        [decision] = home.recover().decisions
        assert (decision.decision, decision.decided_by) == ("resume", "good")
        assert f"restorer bad: {type(error).__name__}" in decision.error
        assert len(bad.needs) == 1


def test_one_that_hangs_while_asked_whom_it_wants_leaves_the_status_rule(tmp_path: Path) -> None:
    with Orphanage(tmp_path, Answer(DEFAULT, name="slow", wants=lambda scheme, status: NEVER.wait(3))) as home:
        one = home.orphan(PAYING)
        [decision] = home.recover().decisions
        assert (home.status(one), decision.decided_by) == (ERROR, "status rule")
        assert decision.error == "restorer slow: TimeoutError: no answer within 0.2 s"


def test_one_that_deletes_others_is_refused_and_theirs_is_not_lost(tmp_path: Path) -> None:
    def delete_the_others(process: Any) -> RestoreDecision:
        for other in {*ids} - {process.id}:
            home.runtime.delete_process(other, actor="restorer", reason="tidy")
        return RestoreDecision.resume()

    with Orphanage(tmp_path, Answer(delete_the_others), restorer_timeout=5.0) as home:
        ids = [home.orphan(PAYING), home.orphan(PAYING)]
        report = home.recover()
        assert report.decided == 2
        assert all("ProcessBusy" in decision.error or decision.decision == "resume" for decision in report.decisions)
        assert "ProcessBusy" in report.decisions[0].error


def test_what_a_restorer_returned_cannot_be_changed_afterwards(tmp_path: Path) -> None:
    mutable: dict[str, Any] = {"list": [1]}
    decision = RestoreDecision.resume().add_persistent_parameter("X", mutable)
    seen: list[Any] = []
    with Orphanage(tmp_path, Answer(decision)) as home:
        home.act["Charge"] = lambda ctx: mutable["list"].append(2) or seen.append(ctx.parameters["X"])  # type: ignore[func-returns-value]
        one = home.orphan(PAYING)
        home.recover()
        assert seen == [{"list": [1]}]
        assert home.runtime.get_parameters(one) == FrozenDict({"X": {"list": [1]}})


@pytest.mark.parametrize("question", [1, 2])
def test_an_interruption_of_who_called_recover_is_not_taken_for_an_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, question: int) -> None:
    """Ctrl-C while a restorer thinks: it reaches the caller, and the process is decided by the next pass."""
    join, joins = threading.Thread.join, [0]

    def interrupted(thread: threading.Thread, timeout: float | None = None) -> None:
        joins[0] += 1
        if joins[0] == question:
            raise KeyboardInterrupt
        join(thread, timeout)

    with Orphanage(tmp_path, Answer(DEFAULT)) as home:
        one = home.orphan(PAYING)
        with monkeypatch.context() as patched:
            patched.setattr(threading.Thread, "join", interrupted)
            with pytest.raises(KeyboardInterrupt):
                home.runtime.recover()
        assert home.status(one) is ProcessStatus.RUNNING
        assert home.recover().decided == 1
