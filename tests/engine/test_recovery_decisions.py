"""What restorers and schemes decide, what becomes of it, and what the plan says beforehand."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from uuid import UUID

import pytest
from orphanage import FINISHING, GREETING, PAYING, SCHEME, SENDING, Answer, Orphanage

from workflow_runtime.core.process import EntryKind, ProcessStatus, TriggerKind
from workflow_runtime.core.restoring import DecisionKind, RecoveryPlan, RestoreDecision
from workflow_runtime.errors import ProcessNotFound
from workflow_runtime.runtime import WorkflowRuntime

ERROR, TERMINATED, IDLED = ProcessStatus.ERROR, ProcessStatus.TERMINATED, ProcessStatus.IDLED
RESUME, RERUN = RestoreDecision.resume(), RestoreDecision.run_from_current_activity()


def test_resume_goes_on_at_the_first_unfinished_step_with_the_same_key(tmp_path: Path) -> None:
    with Orphanage(tmp_path, Answer(RESUME.because("safe to repeat", attempts=2))) as home:
        one = home.orphan(PAYING, step=1)
        walk = home.runtime.get_process(one).walk
        seen: list[int] = []
        home.act["Mail"] = lambda ctx: seen.append(ctx.attempt)
        [decision] = home.recover().decisions
        assert home.names_done == ["Mail", "Send"]
        assert seen == [2]
        assert walk is not None
        assert home.done[0][1].startswith(walk.id)
        assert home.stands(one) == (IDLED, "Waiting")
        assert (decision.decision, decision.reason, dict(decision.evidence), decision.decided_by) == ("resume", "safe to repeat", {"attempts": 2}, "Answer")
        assert decision.status_after is ProcessStatus.RUNNING
        assert [entry.kind for entry in home.runtime.get_history(one)] == [EntryKind.RECOVERED] + [EntryKind.MOVED] * 3


def test_resume_has_what_finished_actions_changed_and_rerun_has_not(tmp_path: Path) -> None:
    answers = {PAYING: RESUME, ("Waiting", "Paid"): RERUN}
    with Orphanage(tmp_path, Answer(lambda process: answers[process.activity, process.interrupted.activity])) as home:
        ids = [home.orphan(way) for way in answers]
        for one in ids:
            home.journaled(one, 0, Amount=5)
        home.recover()
        assert [dict(home.runtime.get_parameters(one)) for one in ids] == [{"Amount": 5}, {}]


def test_rerun_enters_the_last_committed_activity_again_as_new_work(tmp_path: Path) -> None:
    with Orphanage(tmp_path, Answer(RERUN)) as home:
        one = home.orphan(SENDING)
        old = home.runtime.get_process(one).walk
        home.recover()
        assert old is not None
        assert home.names_done == ["Charge", "Mail", "Send"]
        assert not any(key.startswith(old.id) for _, key in home.done)
        [_, entered, *_] = home.runtime.get_history(one)
        assert (entered.from_activity, entered.to_activity, entered.trigger.kind) == ("Paid", "Paid", TriggerKind.RECOVERY)


def test_rerun_of_a_creation_enters_the_initial_activity(tmp_path: Path) -> None:
    with Orphanage(tmp_path, Answer(RERUN)) as home:
        one = home.orphan(GREETING)
        home.recover()
        assert (home.stands(one), home.names_done) == ((IDLED, "New"), ["Greet"])


def test_rerun_arms_the_timers_anew(tmp_path: Path) -> None:
    with Orphanage(tmp_path, Answer(RERUN)) as home:
        one = home.orphan(FINISHING)
        home.clock.advance(600)
        home.recover()
        [timer] = home.runtime.get_timers(one)
        assert (home.stands(one), (timer.due - home.clock.now()).total_seconds()) == ((IDLED, "Waiting"), 3600)


def test_jump_enters_another_activity(tmp_path: Path) -> None:
    with Orphanage(tmp_path, Answer(RestoreDecision.run_from_new_activity("Done"))) as home:
        one = home.orphan(PAYING)
        home.recover()
        assert (home.stands(one), home.names_done) == ((ProcessStatus.FINALIZED, "Done"), ["Finish"])


def test_delete_leaves_a_tombstone(tmp_path: Path) -> None:
    with Orphanage(tmp_path, Answer(RestoreDecision.delete().because("worthless"))) as home:
        one = home.orphan(FINISHING)
        report = home.recover()
        with pytest.raises(ProcessNotFound):
            home.runtime.get_process(one)
        assert home.runtime.get_timers(one) == []
        [entry], [decision] = home.runtime.get_history(one), report.decisions
        assert (entry.kind, entry.reason) == (EntryKind.DELETED, "worthless")
        assert (decision.decision, decision.status_after) == ("delete", None)
        assert home.recover().owned == 0


def test_default_of_a_restorer_is_the_status_rule_with_its_name(tmp_path: Path) -> None:
    with Orphanage(tmp_path, Answer(RestoreDecision.default().because("let a person look"))) as home:
        one = home.orphan(SENDING)
        [decision] = home.recover().decisions
        assert (home.status(one), decision.decided_by, decision.reason) == (TERMINATED, "Answer", "let a person look")


@pytest.mark.parametrize("decision", [RESUME, RERUN, RestoreDecision.run_from_new_activity("Sent"), RestoreDecision.default()])
def test_persistent_parameters_stay_and_temporary_ones_live_for_the_run(tmp_path: Path, decision: RestoreDecision) -> None:
    values = {"Price": Decimal("1.10"), "At": datetime(2031, 5, 1, tzinfo=UTC), "Id": UUID(int=3)}
    for name, value in values.items():
        decision = decision.add_persistent_parameter(name, value)
    decision = decision.add_persistent_parameter("Amount", 7).add_persistent_parameter("Old", None).add_temporary_parameter("Once", 1)
    with Orphanage(tmp_path, Answer(decision)) as home:
        one = home.orphan(("Waiting", "Sent"), parameters={"Old": 1})
        seen: list[object] = []
        home.act["Send"] = lambda ctx: seen.append(ctx.parameters["Once"])
        home.recover()
        stored = home.runtime.get_parameters(one)
        assert dict(stored) == {**values, "Amount": 7}
        assert {name: type(stored[name]) for name in values} == {name: type(value) for name, value in values.items()}
        assert seen == ([] if decision.kind in (DecisionKind.DEFAULT, DecisionKind.RERUN) else [1])


def test_what_a_restorer_is_shown(tmp_path: Path) -> None:
    restorer = Answer(RestoreDecision.default())
    with Orphanage(tmp_path, restorer) as home:
        one = home.orphan(PAYING, deaths=1, deaths_step="Paid#1")
        home.journaled(one, 0, Amount=5)
        home.recover()
        [seen] = restorer.asked
        assert (seen.id, seen.preliminary_status, seen.activity, seen.deaths) == (one, ERROR, "New", 1)
        assert seen.interrupted == ("", "Paid", "Mail", 1)
        assert [(step.activity, step.action) for step in seen.finished_steps] == [("Paid", "Charge")]
        assert seen.pending_parameters == {"Amount": 5}
        assert seen.server is not None
        assert seen.server.name == "dead"
        assert seen.pinned.code == "Order"


def test_each_pair_is_asked_once_and_the_first_that_wants_it_decides(tmp_path: Path) -> None:
    nobody = Answer(RestoreDecision.delete(), name="nobody", wants=lambda scheme, status: False)
    first = Answer(RestoreDecision.default().because("first"), name="first", wants=lambda scheme, status: status is ERROR)
    second = Answer(RestoreDecision.default().because("second"), name="second")
    with Orphanage(tmp_path, nobody, first, second) as home:
        errors, others = [home.orphan(PAYING) for _ in range(3)], [home.orphan(SENDING) for _ in range(3)]
        made = {decision.process_id: decision.decided_by for decision in home.recover().decisions}
        assert made == {**dict.fromkeys(errors, "first"), **dict.fromkeys(others, "second")}
        pairs = [("Order", ERROR), ("Order", TERMINATED)]
        assert (sorted(nobody.needs), sorted(first.needs), second.needs) == (pairs, pairs, pairs[1:])
        home.orphan(PAYING)
        home.recover()
        assert nobody.needs[2:] == pairs[:1]


@pytest.mark.parametrize(
    ("process", "activity", "action", "expected"),
    [
        ("resume", "", "", "resume"),
        ("resume", "rerun", "", "run_from_current_activity"),
        ("resume", "rerun", "delete", "delete"),
        ("terminated", "", "", "default"),
        ("terminated", "", "activity:Waiting", "run_from_new_activity"),
        ("", "error", "", "default"),
    ],
)
def test_the_nearest_declaration_decides_where_nobody_wants_to(tmp_path: Path, process: str, activity: str, action: str, expected: str) -> None:
    charge = f"{{action: Charge, recovery: {action}}}" if action else "Charge"
    paid = f"Paid: {{state: Paid, actions: [{charge}, Mail]{f', recovery: {activity}' if activity else ''}}}"
    scheme = SCHEME.replace("Paid: {state: Paid, actions: [Charge, Mail]}", paid) + (f"recovery: {process}\n" if process else "")
    nobody = Answer(RestoreDecision.default(), wants=lambda scheme, status: False)
    with Orphanage(tmp_path, nobody, scheme=scheme) as home:
        one = home.orphan(PAYING)
        plan = home.runtime.plan_recovery().decisions
        [decision] = home.recover().decisions
        assert (decision.decision, decision.decided_by, decision.reason) == (expected, "declared", f"declared: recovery {action or activity or process}")
        assert [(planned.process_id, planned.decision) for planned in plan] == [(one, expected)]
        if expected == "default":
            assert home.status(one) is (TERMINATED if process == "terminated" else ERROR)


def test_a_restorer_wins_over_a_declaration(tmp_path: Path) -> None:
    with Orphanage(tmp_path, Answer(RestoreDecision.default()), scheme=SCHEME + "recovery: delete\n") as home:
        one = home.orphan(PAYING)
        home.recover()
        assert home.status(one) is ERROR


def test_an_action_that_is_not_resumable_ends_by_the_status_rule_and_is_named(tmp_path: Path) -> None:
    scheme = SCHEME.replace("[Charge, Mail]", "[Charge, {action: Mail, resumable: false}]")
    with Orphanage(tmp_path, Answer(RESUME), scheme=scheme) as home:
        charging, mailing = home.orphan(PAYING), home.orphan(PAYING, step=1)
        made = {decision.process_id: decision for decision in home.recover().decisions}
        assert (home.status(charging), home.status(mailing)) == (IDLED, ERROR)
        for word in (str(mailing), "'Paid'", "'Mail'", "not resumable"):
            assert word in made[mailing].error
        assert made[mailing].decided_by == "Answer, then status rule"


def test_the_registration_may_say_that_an_action_is_not_resumable(tmp_path: Path) -> None:
    home = Orphanage(tmp_path, Answer(RESUME), actions=("Greet", "Mail", "Send", "Finish"))
    home.runtime.action("Charge", resumable=False)(lambda ctx, parameter: None)
    with home:
        one = home.orphan(PAYING)
        [decision] = home.recover().decisions
        assert (home.status(one), "'Charge'" in decision.error) == (ERROR, True)


def test_the_plan_changes_nothing_and_is_what_the_pass_then_does(tmp_path: Path) -> None:
    answers = {"New": RESUME, "Paid": RESUME, "Waiting": RestoreDecision.run_from_new_activity("Nowhere"), "": RestoreDecision.delete()}
    with Orphanage(tmp_path, Answer(lambda process: answers[process.activity])) as home:
        ways = (PAYING, SENDING, FINISHING, GREETING)
        ids = [home.orphan(way, step=0) for way in ways] + [home.orphan(PAYING, deaths=5, deaths_step="Paid#0"), home.orphan(PAYING, adoptions=6)]
        before = [home.runtime.get_process(one) for one in ids]
        planned = home.runtime.plan_recovery()
        assert [home.runtime.get_process(one) for one in ids] == before
        assert (list(home.runtime.get_recoveries()), home.done) == ([], [])
        made = {decision.process_id: decision for decision in home.recover().decisions}
        assert made.keys() == {plan.process_id for plan in planned.decisions} == set(ids)
        for plan in planned.decisions:
            done = made[plan.process_id]
            assert (plan.decision, plan.decided_by, plan.status_after) == (done.decision, done.decided_by, done.status_after)
            assert (plan.reason, plan.error, plan.activity, plan.step) == (done.reason, done.error, done.activity, done.step)


def test_a_client_plans_without_actions_and_says_so(tmp_path: Path) -> None:
    with Orphanage(tmp_path) as home:
        one = home.orphan(PAYING)
        with WorkflowRuntime(home.url).as_client() as client:
            plan = client.plan_recovery()
        assert [decision.process_id for decision in plan.decisions] == [one]
        assert any("no restorers" in note for note in plan.notes)
        assert any("'Charge'" in note for note in plan.notes)


def test_where_nothing_is_orphaned_a_plan_has_nothing_to_say(tmp_path: Path) -> None:
    with Orphanage(tmp_path) as home:
        for runtime in (home.runtime, WorkflowRuntime(home.url).as_client()):
            with runtime:
                assert runtime.plan_recovery() == RecoveryPlan()
