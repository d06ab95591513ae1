"""Actions that are to be done at most once: never begun again within their walk, whoever wants to go on with it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from bench import WHO, Bench, last
from orphanage import PAYING, SCHEME, Answer, Orphanage
from retried import Flaky, text
from test_commits import costs

from workflow_runtime import ProcessStatus
from workflow_runtime.core.restoring import RestoreDecision
from workflow_runtime.errors import ActionFailed, NotResumable, OutcomeUnknown

S = ProcessStatus
RESUME = RestoreDecision.resume()
ONCE = text("{action: Call, effect: at_most_once}")
ORDER = SCHEME.replace("[Charge, Mail]", "[Charge, {action: Mail, effect: at_most_once}]")
BEHIND = SCHEME.replace("[Charge, Mail]", "[{action: Charge, journal: false}, {action: Mail, effect: at_most_once}]")
FOUR = ("Greet", "Charge", "Send", "Finish")


def test_it_costs_what_any_action_costs(bench: Bench) -> None:
    runtime = bench(text("{action: Call, effect: at_most_once, journal: false}, Note"), actions={"Call": Flaky()})
    process = runtime.create_instance("S")
    with costs(runtime) as cost:
        runtime.execute_command(process.id, "go")
    assert cost.commits == 3, "journal: false does not count: without its row nobody would know that it was done"


@pytest.mark.parametrize("where", ["scheme", "registration"])
@pytest.mark.parametrize("more", [", retry: {attempts: 5, delay: 0}", ", on_error: [{retry: 5}]", ""])
def test_one_that_raised_is_not_repeated(bench: Bench, where: str, more: str) -> None:
    flaky = Flaky(9)
    runtime = bench.built(text("{action: Call, effect: at_most_once}" if where == "scheme" else "Call", activity=more))
    runtime.action("Call", effect="at_least_once" if where == "scheme" else "at_most_once")(flaky)
    process = runtime.start().create_instance("S")
    with pytest.raises(ActionFailed):
        runtime.execute_command(process.id, "go")
    before = runtime.get_process(process.id)
    with pytest.raises(NotResumable) as caught:
        runtime.resume_process(process.id, **WHO)
    for word in (str(process.id), "'Call'", "'Work'", "outcome unknown", "set_activity"):
        assert word in caught.value.message
    assert (runtime.get_process(process.id), flaky.attempts) == (before, [1])


def test_a_handler_may_ignore_it_or_lead_elsewhere(bench: Bench) -> None:
    flaky = Flaky(9)
    runtime = bench(text("{action: Call, effect: at_most_once}", activity=", on_error: [{retry: 3}, {ignore: true}]"), actions={"Call": flaky})
    process = runtime.create_instance("S")
    assert (runtime.execute_command(process.id, "go").process.activity, flaky.attempts) == ("Next", [1])


# ------------------------------------------------------------------ after a crash


@pytest.mark.parametrize("scheme", [ORDER, BEHIND], ids=["its predecessor is journaled", "its predecessor is not"])
def test_one_that_was_in_flight_is_not_begun_again(tmp_path: Path, scheme: str) -> None:
    with Orphanage(tmp_path, Answer(RESUME), scheme=scheme) as home:
        one = home.orphan(PAYING, step=1 if scheme == ORDER else 0)
        [decision] = home.recover().decisions
        assert (home.status(one), home.names_done) == (S.ERROR, [])
        for word in (str(one), "'Paid'", "'Mail'", "outcome unknown"):
            assert word in decision.error


def test_the_actions_before_it_are_resumed_and_it_is_begun_for_the_first_time(tmp_path: Path) -> None:
    with Orphanage(tmp_path, Answer(RESUME), scheme=ORDER) as home:
        one = home.orphan(PAYING, step=0)
        home.recover()
        assert (home.status(one), home.names_done) == (S.IDLED, ["Charge", "Mail", "Send"])


def test_work_anew_is_another_walk(tmp_path: Path) -> None:
    with Orphanage(tmp_path, Answer(RestoreDecision.run_from_new_activity("Paid")), scheme=ORDER) as home:
        one = home.orphan(PAYING, step=1)
        home.recover()
        assert (home.status(one), home.names_done) == (S.IDLED, ["Charge", "Mail", "Send"])


class Check:
    """Answers a question about the outcome, and notes the effect key by which it asks."""

    def __init__(self, answer: Any) -> None:
        self.answer, self.keys = answer, list[str]()

    def __call__(self, ctx: Any, parameter: str | None) -> Any:
        self.keys.append(ctx.idempotency_key)
        ctx.parameters["Amount"] = 7
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


def checked(folder: Path, check: Check, sent: list[str], *restorers: Any) -> Orphanage:
    home = Orphanage(folder, *restorers, scheme=SCHEME, actions=FOUR)
    home.runtime.action("Mail", effect="at_most_once", check_outcome=check)(lambda ctx, parameter: sent.append(ctx.idempotency_key))
    return home


@pytest.mark.parametrize(("answer", "mails"), [(True, 0), (False, 1)], ids=["it was done", "it was not"])
def test_the_check_tells_whether_it_was_done(tmp_path: Path, answer: bool, mails: int) -> None:
    check, sent = Check(answer), list[str]()
    with checked(tmp_path, check, sent, Answer(RESUME)) as home:
        one = home.orphan(PAYING, step=1)
        home.recover()
        done = home.runtime.get_process(one)
        assert (done.status, done.activity, len(check.keys), len(sent), home.names_done) == (S.IDLED, "Waiting", 1, mails, ["Send"])
        assert dict(done.parameters).get("Amount") == (7 if answer else None), "what the check sets counts where it was done"
        assert sent in ([], check.keys)


@pytest.mark.parametrize("answer", [None, "yes", 1, LookupError("no such letter")], ids=str)
def test_where_the_check_cannot_tell_the_outcome_stays_unknown(tmp_path: Path, answer: Any) -> None:
    check, sent = Check(answer), list[str]()
    with checked(tmp_path, check, sent, Answer(RESUME)) as home:
        one = home.orphan(PAYING, step=1)
        home.recover()
        left = home.runtime.get_process(one)
        assert (left.status, left.activity, sent) == (S.ERROR, "New", [])
        told = last(home.runtime, one)
        assert (told.kind, told.error and told.error.action, told.error and told.error.activity) == ("failed", "Mail", "Paid")
        with pytest.raises(OutcomeUnknown, match=r"'Mail' of activity 'Paid' .* outcome unknown") as caught:
            home.runtime.resume_process(one, **WHO)
        assert (caught.value.__cause__, len(check.keys)) == (answer if isinstance(answer, Exception) else None, 2)


def test_a_person_who_resumes_has_the_check_asked_too(tmp_path: Path) -> None:
    check, sent = Check(True), list[str]()
    with checked(tmp_path, check, sent) as home:
        one = home.orphan(PAYING, step=1)
        home.recover()
        assert home.status(one) is S.ERROR
        assert (home.runtime.resume_process(one, **WHO).activity, len(check.keys), sent) == ("Waiting", 1, [])


def test_the_next_one_is_not_in_doubt(tmp_path: Path) -> None:
    check = Check(None)
    home = Orphanage(tmp_path, Answer(RESUME), scheme=SCHEME, actions=("Greet", "Charge", "Mail", "Finish"))
    home.runtime.action("Send", effect="at_most_once", check_outcome=check)(lambda ctx, parameter: None)
    with home:
        one = home.orphan(PAYING, step=1)
        home.recover()
        assert (home.runtime.get_process(one).activity, check.keys) == ("Waiting", [])
