"""Steps that are to be done at most once: an intent is committed first, and what may have been started is not started again."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from bench import WHO, Bench, engine_of, last
from orphanage import PAYING, Answer, Orphanage
from retried import call, retries, text
from test_commits import costs

from workflow_runtime import Done, EntryKind, Process, ProcessStatus, WorkflowRuntime
from workflow_runtime.core import rules, stepping
from workflow_runtime.core.restoring import RestoreDecision
from workflow_runtime.errors import ActionFailed, JournalMismatch, OutcomeUnknown, ParameterError

S = ProcessStatus
RESUME = RestoreDecision.resume()
ONCE: dict[str, Any] = {"effect": "at_most_once"}


class Bank:
    """Pays, and fails as often as it is told after that; asked, it answers what it was told to."""

    def __init__(self, failures: int = 0, answer: Any = None) -> None:
        self.failures, self.answer = failures, answer
        self.paid, self.asked = list[int](), list[tuple[int, str]]()

    def pay(self, amount: int) -> str:
        self.paid.append(amount)
        if len(self.paid) <= self.failures:
            raise ConnectionError("no line")
        return f"receipt {len(self.paid)}"

    def find(self, ctx: Any, amount: int) -> Any:
        self.asked.append((amount, ctx.idempotency_key))
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


def paying(bank: Bank, *, checked: bool = False) -> Callable[[Any, str | None], None]:
    def act(ctx: Any, parameter: str | None) -> None:
        check = {"check_outcome": lambda amount: bank.find(ctx, amount)} if checked else {}
        ctx.parameters["Receipt"] = ctx.step("pay", bank.pay, 7, **ONCE, **check)

    return act


def told(bench: Bench, action: Any, scheme: str | None = None) -> tuple[WorkflowRuntime, Process]:
    runtime = bench(scheme or text("Call"), actions={"Call": action})
    return runtime, runtime.create_instance("S")


# ------------------------------------------------------------------ while nothing goes wrong


def test_it_costs_two_commits(bench: Bench) -> None:
    runtime, process = told(bench, paying(Bank()))
    with costs(runtime) as cost:
        runtime.execute_command(process.id, "go")
    assert cost.commits == 2 + 2


def test_the_intent_is_durable_before_the_function_is_called(bench: Bench) -> None:
    seen: list[list[tuple[str, int, bool]]] = []

    def look(ctx: Any) -> None:
        rows = engine_of(runtime).store.journal(ctx.process_id, ctx._walk.id)
        seen.append([(row.step, row.occurrence, row.intent) for row in rows])

    def act(ctx: Any, parameter: str | None) -> None:
        for _ in range(2):
            ctx.step("pay", look, ctx, **ONCE)
        look(ctx)

    runtime, process = told(bench, act)
    runtime.execute_command(process.id, "go")
    first, second = ("pay", 0), ("pay", 1)
    assert seen == [
        [(*first, True)],
        [(*first, True), (*first, False), (*second, True)],
        [(*first, True), (*first, False), (*second, True), (*second, False)],
    ]


@pytest.mark.parametrize("refusal", [{"effect": "twice"}, {"check_outcome": print}, {"effect": "at_most_once", "check_outcome": 5}], ids=str)
def test_what_is_no_such_step_is_refused_before_anything_is_done(bench: Bench, refusal: dict[str, Any]) -> None:
    bank = Bank()
    runtime, process = told(bench, lambda ctx, parameter: ctx.step("pay", bank.pay, 7, **refusal))
    with pytest.raises(ActionFailed) as caught:
        runtime.execute_command(process.id, "go")
    assert isinstance(caught.value.__cause__, ParameterError)
    assert "'pay'" in caught.value.__cause__.message
    assert bank.paid == []


# ------------------------------------------------------------------ after an exception


@pytest.mark.parametrize("more", ["", ", on_error: [{retry: 5}]"])
@pytest.mark.parametrize("action", ["Call", call("attempts: 5, delay: 0"), call("attempts: 5, delay: 60s")], ids=["plain", "policy", "long waits"])
def test_one_that_raised_is_not_repeated(bench: Bench, action: str, more: str) -> None:
    bank = Bank(failures=9)
    runtime, process = told(bench, paying(bank), text(action, activity=more))
    with pytest.raises(ActionFailed, match=r"no line; its step 'pay' is to be done at most once: outcome unknown") as caught:
        runtime.execute_command(process.id, "go")
    assert (caught.value.step, retries(runtime, process.id)) == ("pay", [])
    with pytest.raises(OutcomeUnknown) as unknown:
        runtime.resume_process(process.id, **WHO)
    for word in (str(process.id), "'pay'", "'Call'", "'Work'", "outcome unknown", "set_activity"):
        assert word in unknown.value.message
    assert (unknown.value.activity, unknown.value.action, unknown.value.step, unknown.value.occurrence) == ("Work", "Call", "pay", 0)
    assert (runtime.get_process(process.id).status, bank.paid) == (S.ERROR, [7])


def test_nor_is_one_whose_error_the_action_put_into_another(bench: Bench) -> None:
    bank = Bank(failures=9)

    def act(ctx: Any, parameter: str | None) -> None:
        try:
            paying(bank)(ctx, parameter)
        except ConnectionError as error:
            raise ValueError("the payment failed") from error

    runtime, process = told(bench, act, text(call("attempts: 5, delay: 0")))
    with pytest.raises(ActionFailed, match="outcome unknown"):
        runtime.execute_command(process.id, "go")
    assert (bank.paid, retries(runtime, process.id)) == ([7], [])


def test_another_error_of_its_action_is_repeated_and_the_step_is_not(bench: Bench) -> None:
    bank, other = Bank(), Bank(failures=2)

    def act(ctx: Any, parameter: str | None) -> None:
        paying(bank)(ctx, parameter)
        other.pay(1)

    runtime, process = told(bench, act, text(call("attempts: 5, delay: 0")))
    done = runtime.execute_command(process.id, "go").process
    assert (done.activity, done.parameters["Receipt"], bank.paid, len(other.paid)) == ("Next", "receipt 1", [7], 3)


def test_a_handler_may_ignore_it(bench: Bench) -> None:
    bank = Bank(failures=9)
    runtime, process = told(bench, paying(bank), text("Call", activity=", on_error: [{retry: 3}, {ignore: true}]"))
    assert (runtime.execute_command(process.id, "go").process.activity, bank.paid) == ("Next", [7])


def test_an_action_may_go_another_way_itself(bench: Bench) -> None:
    bank = Bank(failures=9)

    def act(ctx: Any, parameter: str | None) -> None:
        try:
            paying(bank)(ctx, parameter)
        except ConnectionError:
            raise LookupError("later") from None
        except OutcomeUnknown as error:
            ctx.parameters["Ask"] = error.step

    runtime, process = told(bench, act)
    with pytest.raises(ActionFailed):
        runtime.execute_command(process.id, "go")
    done = runtime.resume_process(process.id, **WHO)
    assert (done.activity, done.parameters["Ask"], bank.paid) == ("Next", "pay", [7])


def test_a_result_that_cannot_be_stored_leaves_the_outcome_unknown(bench: Bench) -> None:
    made: list[int] = []

    def make() -> set[int]:
        made.append(1)
        return {*made}

    runtime, process = told(bench, lambda ctx, parameter: ctx.step("pay", make, **ONCE), text(call("attempts: 5, delay: 0")))
    with pytest.raises(ActionFailed, match="outcome unknown") as caught:
        runtime.execute_command(process.id, "go")
    assert isinstance(caught.value.__cause__, ParameterError)
    with pytest.raises(OutcomeUnknown):
        runtime.resume_process(process.id, **WHO)
    assert made == [1]


@pytest.mark.parametrize(("answer", "paid", "receipt"), [(True, 1, None), (Done("found"), 1, "found"), (False, 2, "receipt 2")], ids=str)
def test_a_policy_repeats_it_where_a_check_tells(bench: Bench, answer: Any, paid: int, receipt: str | None) -> None:
    bank = Bank(failures=1, answer=answer)
    runtime, process = told(bench, paying(bank, checked=True), text(call("attempts: 5, delay: 0")))
    done = runtime.execute_command(process.id, "go").process
    assert (done.activity, done.parameters.get("Receipt"), len(bank.paid), len(bank.asked)) == ("Next", receipt, paid, 1)
    assert retries(runtime, process.id) != []


def test_without_a_word_in_its_code_an_intent_counts_all_the_same(bench: Bench) -> None:
    bank, words = Bank(failures=1), [ONCE, {}]
    runtime, process = told(bench, lambda ctx, parameter: ctx.step("pay", bank.pay, 7, **words.pop(0)))
    with pytest.raises(ActionFailed):
        runtime.execute_command(process.id, "go")
    with pytest.raises(OutcomeUnknown):
        runtime.resume_process(process.id, **WHO)
    assert bank.paid == [7]


def test_other_arguments_than_those_of_the_intent_are_a_mismatch(bench: Bench) -> None:
    bank, amounts = Bank(failures=1), [7, 8]
    runtime, process = told(bench, lambda ctx, parameter: ctx.step("pay", bank.pay, amounts.pop(0), **ONCE))
    with pytest.raises(ActionFailed):
        runtime.execute_command(process.id, "go")
    with pytest.raises(JournalMismatch):
        runtime.resume_process(process.id, **WHO)
    assert bank.paid == [7]


def test_nor_is_one_that_was_cancelled_because_it_took_too_long(bench: Bench) -> None:
    begun: list[int] = []

    async def hang() -> None:
        begun.append(1)
        await asyncio.Event().wait()

    async def act(ctx: Any, parameter: str | None) -> None:
        await asyncio.wait_for(ctx.step("pay", hang, **ONCE), 0.001)

    runtime, process = told(bench, act, text(call("attempts: 5, delay: 0")))
    with pytest.raises(ActionFailed, match="outcome unknown") as caught:
        runtime.execute_command(process.id, "go")
    assert isinstance(caught.value.__cause__, TimeoutError)
    assert (begun, retries(runtime, process.id)) == ([1], [])


# ------------------------------------------------------------------ after a crash


class Home(Orphanage):
    """The action Charge pays; ``started`` is a process whose server died between intent and result."""

    def __init__(self, folder: Path, bank: Bank, *restorers: Any, checked: bool = False) -> None:
        super().__init__(folder, *(restorers or (Answer(RESUME),)))
        self.act["Charge"] = lambda ctx: paying(bank, checked=checked)(ctx, None)

    def started(self) -> UUID:
        one = self.orphan(PAYING)
        process = self.store.load(one)
        assert process is not None
        assert process.walk is not None
        call = stepping.call_of(process.walk, "Charge", 0, "pay", 0, (7,), {})
        self.store.apply(rules.journal_step(process, call.intent(process.token, self.clock.now()), now=self.clock.now()))
        return one


def test_recovery_does_not_repeat_it(tmp_path: Path) -> None:
    with Home(tmp_path, bank := Bank()) as home:
        one = home.started()
        [decision] = home.recover().decisions
        row = last(home.runtime, one)
        assert (decision.decision, home.stands(one), bank.paid) == ("resume", (S.ERROR, "New"), [])
        assert (row.kind, row.error and row.error.type, row.error and row.error.action) == (
            EntryKind.FAILED,
            "workflow_runtime.errors.OutcomeUnknown",
            "Charge",
        )
        for word in (str(one), "'pay'", "'Charge'", "'Paid'", "outcome unknown"):
            assert row.error is not None
            assert word in row.error.message
        with pytest.raises(OutcomeUnknown):
            home.runtime.resume_process(one, **WHO)
        assert bank.paid == []


@pytest.mark.parametrize(("answer", "paid", "receipt"), [(True, [], None), (Done("found"), [], "found"), (False, [7], "receipt 1")], ids=str)
def test_its_check_tells_whether_it_was_done(tmp_path: Path, answer: Any, paid: list[int], receipt: str | None) -> None:
    with Home(tmp_path, bank := Bank(answer=answer), checked=True) as home:
        one = home.started()
        home.recover()
        done = home.runtime.get_process(one)
        assert (done.activity, done.parameters.get("Receipt"), bank.paid) == ("Waiting", receipt, paid)
        [(amount, key)] = bank.asked
        assert amount == 7
        assert key not in {effect for _, effect in home.done}, "the key of the step, not of its action"


@pytest.mark.parametrize("answer", [None, "yes", 1, Done, LookupError("no such payment")], ids=str)
def test_where_the_check_cannot_tell_the_outcome_stays_unknown(tmp_path: Path, answer: Any) -> None:
    with Home(tmp_path, bank := Bank(answer=answer), checked=True) as home:
        one = home.started()
        home.recover()
        error = last(home.runtime, one).error
        assert (home.status(one), bank.paid, error and error.type) == (S.ERROR, [], "workflow_runtime.errors.OutcomeUnknown")
        bank.answer = Done("found after all")
        assert home.runtime.resume_process(one, **WHO).parameters["Receipt"] == "found after all"
        assert (len(bank.asked), bank.paid) == (2, [])


def test_what_a_check_has_found_is_not_asked_again(tmp_path: Path) -> None:
    with Home(tmp_path, bank := Bank(answer=Done("found")), checked=True) as home:
        one = home.started()
        pay, receipts = home.act["Charge"], list[Any]()

        def fails_behind(ctx: Any) -> None:
            pay(ctx)
            receipts.append(ctx.parameters["Receipt"])
            if len(receipts) == 1:
                raise ValueError("behind the step")

        home.act["Charge"] = fails_behind
        home.recover()
        home.runtime.resume_process(one, **WHO)
        assert (receipts, len(bank.asked), bank.paid) == (["found", "found"], 1, [])


def test_a_restorer_is_not_told_that_it_was_finished(tmp_path: Path) -> None:
    restorer = Answer(RESUME)
    with Home(tmp_path, Bank(), restorer) as home:
        home.started()
        home.recover()
        assert [process.finished_steps for process in restorer.asked] == [()]


# ------------------------------------------------------------------ async


class AsyncBank(Bank):
    async def pay_later(self, amount: int) -> str:
        await asyncio.sleep(0)
        return self.pay(amount)

    async def find_later(self, ctx: Any, amount: int) -> Any:
        await asyncio.sleep(0)
        return self.find(ctx, amount)


def awaiting(bank: AsyncBank, receipts: list[Any], *, named: bool, checked: bool) -> Callable[[Any, str | None], Any]:
    """Fails behind its step the first time that it gets there."""

    async def act(ctx: Any, parameter: str | None) -> None:
        check = {"check_outcome": lambda amount: bank.find_later(ctx, amount)} if checked else {}
        function: Any = bank.pay_later if named else lambda amount: bank.pay_later(amount)
        receipts.append(await ctx.step("pay", function, 7, **ONCE, **check))
        if len(receipts) == 1:
            raise ValueError("behind the step")

    return act


NAMED = pytest.mark.parametrize("named", [True, False], ids=["async def", "behind a lambda"])


@NAMED
@pytest.mark.parametrize("checked", [True, False])
def test_awaited_steps_are_not_repeated_either(bench: Bench, named: bool, checked: bool) -> None:
    bank = AsyncBank(failures=1)
    runtime, process = told(bench, awaiting(bank, [], named=named, checked=checked))
    with pytest.raises(ActionFailed, match="no line"):
        runtime.execute_command(process.id, "go")
    with pytest.raises(OutcomeUnknown):
        runtime.resume_process(process.id, **WHO)
    assert (bank.paid, len(bank.asked)) == ([7], int(checked))


@NAMED
@pytest.mark.parametrize(("answer", "paid", "receipt"), [(Done("found"), 1, "found"), (True, 1, None), (False, 2, "receipt 2")])
def test_a_check_of_awaited_steps_is_awaited(bench: Bench, named: bool, answer: Any, paid: int, receipt: str | None) -> None:
    bank, receipts = AsyncBank(failures=1, answer=answer), list[Any]()
    runtime, process = told(bench, awaiting(bank, receipts, named=named, checked=True))
    with pytest.raises(ActionFailed, match="no line"):
        runtime.execute_command(process.id, "go")
    with pytest.raises(ActionFailed, match="behind the step"):
        runtime.resume_process(process.id, **WHO)
    runtime.resume_process(process.id, **WHO)
    assert (receipts, len(bank.paid), len(bank.asked)) == ([receipt] * 2, paid, 1)


def test_a_check_need_not_be_async_where_the_function_is_async_def(bench: Bench) -> None:
    bank = AsyncBank(failures=1, answer=Done("found"))

    async def act(ctx: Any, parameter: str | None) -> None:
        ctx.parameters["Receipt"] = await ctx.step("pay", bank.pay_later, 7, check_outcome=lambda amount: bank.find(ctx, amount), **ONCE)

    runtime, process = told(bench, act)
    with pytest.raises(ActionFailed):
        runtime.execute_command(process.id, "go")
    assert runtime.resume_process(process.id, **WHO).parameters["Receipt"] == "found"
