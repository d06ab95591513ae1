"""The bugs that the tests must catch, and which test catches which. ``run.py`` beside this plants them, one at a time.

Law: a bug is one snippet of one file in place of another, and says in one sentence what goes wrong. It is named for the
layer that must catch it: what two layers guard is tested at each of them, since the outer one hides the inner. Where only
one database can show it, the test is named with its case: without that database the bug is not tried, and not missed.
"""

from __future__ import annotations

from dataclasses import dataclass

GUARDS = "tests/store/test_store_guards.py"
WAITING = "tests/store/test_store_waiting.py"
SERVERS = "tests/store/test_store_servers.py"
UNKNOWN = "tests/store/test_store_unknown.py"
MATRIX = "tests/crash/test_crash_matrix.py"
WATCHING = "tests/core/test_watching.py"
LANES = "tests/engine/test_recovery_lanes.py"
HANDING = "tests/engine/test_recovery_handing_over.py"
SILENCE = "tests/engine/test_silent_network.py"
AT_MOST_ONCE = "tests/engine/test_steps_at_most_once.py"
PAYMENTS = "tests/crash/test_crash_payments.py"
STORE = "tests/store/test_planted_store.py"
ENGINE = "tests/engine/test_planted_engine.py"
TIMEOUTS = "tests/engine/test_execution_timeouts.py"
GROUPING = "tests/store/test_grouping.py"
DEADLINES = "tests/engine/test_execution_timeouts_waits.py"


@dataclass(frozen=True, slots=True, kw_only=True)
class PlantedBug:
    """``old`` stands exactly once in ``file``; every test in ``caught_by`` fails when ``new`` stands there instead."""

    name: str
    sentence: str
    file: str
    old: str
    new: str
    caught_by: tuple[str, ...]


BUGS = (
    # ---- who may write
    PlantedBug(
        name="no token in the guard",
        sentence="A write asks for owner and revision only.",
        file="workflow_runtime/store/changes.py",
        old='owner, c.token == bindparam("g_token"), c.revision',
        new="owner, c.revision",
        caught_by=(
            f"{GUARDS}::test_an_executed_process_is_lost_to_any_difference",
            f"{GUARDS}::test_a_process_at_rest_is_lost_to_any_difference",
        ),
    ),
    PlantedBug(
        name="no revision in the guard",
        sentence="A write asks for owner and token only: an adoption writes back a row that has moved on.",
        file="workflow_runtime/store/changes.py",
        old=', c.revision == bindparam("g_revision")]',
        new="]",
        caught_by=(f"{GUARDS}::test_an_executed_process_is_lost_to_any_difference",),
    ),
    PlantedBug(
        name="the dead may claim",
        sentence="A claim does not ask whether my server row is dead.",
        file="workflow_runtime/store/changes.py",
        old="tables.server.c.dead_at.is_(None))\n        parts.append(mine.exists())",
        new="sa.true())\n        parts.append(mine.exists())",
        caught_by=(f"{GUARDS}::test_without_a_living_server_row_nothing_is_taken",),
    ),
    PlantedBug(
        name="a lost row of a batch counts as written",
        sentence="Verdicts are written many at once, and nobody looks which of them the guard refused.",
        file="workflow_runtime/store/changes.py",
        old="outcomes[number] = _outcome(transaction, plan, row)",
        new="outcomes[number] = Applied(Outcome.APPLIED)",
        caught_by=(f"{GUARDS}::test_in_a_batch_a_lost_row_takes_nothing_from_the_others",),
    ),
    PlantedBug(
        name="followers without the guard",
        sentence="Journal, history and timers are written whether the guard has matched a row or not.",
        file="workflow_runtime/store/portable.py",
        old="        if found is not None:\n            transaction.follow(followers.steps(change.followers",
        new="        if True:\n            transaction.follow(followers.steps(change.followers",
        caught_by=(f"{GUARDS}::test_an_executed_process_is_lost_to_any_difference",),
    ),
    PlantedBug(
        name="followers without the guard, in one statement",
        sentence="On PostgreSQL the rows that follow do not hang on the guarded one.",
        file="workflow_runtime/store/one_statement.py",
        old="sa.select(*given.c).select_from(given.join(guarded, sa.true()))",
        new="sa.select(*given.c)",
        caught_by=(f"{STORE}::test_a_refused_change_leaves_nothing_behind[postgresql]",),
    ),
    PlantedBug(
        name="Fenced swallowed",
        sentence="A server that was taken over goes on as if its write had been made.",
        file="workflow_runtime/engine/inhand.py",
        old="            raise self._lost(change)\n        if outcome is Outcome.TAKEN:",
        new="            pass\n        if outcome is Outcome.TAKEN:",
        caught_by=(f"{ENGINE}::test_who_was_taken_over_does_and_writes_nothing_more",),
    ),
    PlantedBug(
        name="an earlier incarnation goes on",
        sentence="A server that was declared dead and registered anew writes about what it held before.",
        file="workflow_runtime/engine/engine.py",
        old="if (executing and owner not in (None, me)) or",
        new="if",
        caught_by=("tests/engine/test_store_away_runs.py::test_a_run_of_an_earlier_incarnation_does_and_writes_nothing_more",),
    ),
    PlantedBug(
        name="token reset at creation",
        sentence="Each process begins with the same token, so that one created anew could meet an old one.",
        file="workflow_runtime/engine/executor.py",
        old="token=engine.new_token(),",
        new="token=1,",
        caught_by=(f"{ENGINE}::test_the_first_token_is_random",),
    ),
    # ---- who is an orphan
    PlantedBug(
        name="no self-orphan sweep",
        sentence="What my own server has lost by an error is nobody's business.",
        file="workflow_runtime/store/waiting.py",
        old='        _process.c.owner == bindparam("me"),\n    ),',
        new='        sa.and_(_process.c.owner == bindparam("me"), sa.false()),\n    ),',
        caught_by=(f"{WAITING}::test_what_is_an_orphan", f"{HANDING}::test_a_lost_connection_leaves_an_orphan_of_a_living_server_which_it_finds_itself"),
    ),
    PlantedBug(
        name="a waiting retry taken for an orphan",
        sentence="A Running process without an owner is an orphan, whether a row will bring it back or not.",
        file="workflow_runtime/store/waiting.py",
        old="sa.and_(_process.c.owner.is_(None), ~_COMES_BACK)",
        new="_process.c.owner.is_(None)",
        caught_by=(f"{WAITING}::test_what_is_an_orphan", f"{ENGINE}::test_what_waits_for_a_server_is_no_orphan"),
    ),
    PlantedBug(
        name="the living have orphans",
        sentence="What belongs to another server is taken over whether that one is dead or not.",
        file="workflow_runtime/store/waiting.py",
        old="_server.c.id == _process.c.owner, _server.c.dead_at.is_(None)",
        new="_server.c.id == _process.c.owner, _server.c.dead_at.is_not(None)",
        caught_by=(f"{WAITING}::test_what_is_an_orphan",),
    ),
    PlantedBug(
        name="id registered after its claim",
        sentence="Between the claim and its registration the server's own sweep takes the process for lost.",
        file="workflow_runtime/engine/executor.py",
        old="        with engine.live.hold(process_id):\n            return Run(engine, change.after, begun=change).drive()",
        new="        return Run(engine, change.after, begun=change).drive()",
        caught_by=(f"{ENGINE}::test_what_is_in_hand_is_no_orphan",),
    ),
    PlantedBug(
        name="id of a command registered after its claim",
        sentence="The same for a command.",
        file="workflow_runtime/engine/executor.py",
        old="        with self.engine.live.hold(process_id):\n            try:\n                return decide(load(process_id))\n"
        "            except KeyTaken:\n                raise\n            except LostRace:\n                pass\n",
        new="        try:\n            return decide(load(process_id))\n        except KeyTaken:\n            raise\n"
        "        except LostRace:\n            pass\n        if True:\n",
        caught_by=(f"{ENGINE}::test_what_is_in_hand_is_no_orphan",),
    ),
    # ---- operators
    PlantedBug(
        name="a client's resume is not looked at again",
        sentence="A server takes up what a client has left it, though its own code says that the action must not be begun again.",
        file="workflow_runtime/engine/executor.py",
        old="        if row.kind is TimerKind.START:\n            try:",
        new="        if False:\n            try:",
        caught_by=("tests/engine/test_resuming.py::test_what_is_not_resumable_is_refused_though_a_client_knows_no_actions",),
    ),
    PlantedBug(
        name="a filter acts on what has changed",
        sentence="What a filter has found is acted upon, whatever has become of it since.",
        file="workflow_runtime/runtime/operators.py",
        old="after = operator.carry_out(process_id, deed, revision)",
        new="after = operator.carry_out(process_id, deed, None)",
        caught_by=("tests/engine/test_operators_foreseen.py::test_what_has_changed_since_it_was_found_is_left_alone",),
    ),
    PlantedBug(
        name="history forgets the request",
        sentence="A row of history does not name the key of the request whose run it belongs to.",
        file="workflow_runtime/core/entries.py",
        old="return walk.key.name if walk and walk.key else None",
        new="return None",
        caught_by=("tests/engine/test_history_keys.py::test_the_database_shows_that_each_key_had_at_most_one_effect",),
    ),
    # ---- deaths
    PlantedBug(
        name="deaths counted at adoption",
        sentence="A death is counted when the process is adopted, and again if the adopter dies before it decides.",
        file="workflow_runtime/core/recovering.py",
        old="token=process.token + 1, adoptions=process.adoptions + 1, updated_at=now)",
        new="token=process.token + 1, adoptions=process.adoptions + 1, deaths=process.deaths + 1, updated_at=now)",
        caught_by=(f"{LANES}::test_a_death_is_counted_by_the_transaction_that_sends_it_back_and_forgotten_when_the_step_is_done",),
    ),
    PlantedBug(
        name="a database restart taken for deaths",
        sentence="Locks that were seen held before one's own connection broke still count.",
        file="workflow_runtime/core/watching.py",
        old="        self._held.clear()\n",
        new="",
        caught_by=(
            f"{WATCHING}::test_what_an_earlier_session_of_mine_saw_counts_no_more",
            "tests/engine/test_presence_sessions.py::test_a_restart_of_the_database_kills_nobody",
        ),
    ),
    PlantedBug(
        name="a new key is not asked for",
        sentence="That a lock of it was seen held counts also for the key of its next connection.",
        file="workflow_runtime/core/watching.py",
        old="return before if before == one.server.lock_key else None",
        new="return before",
        caught_by=(f"{WATCHING}::test_a_new_key_must_be_seen_held_again",),
    ),
    PlantedBug(
        name="the lease is watched by the row alone",
        sentence="A lease that has passed by the database's clock is a death, without a lease of the observer's own time.",
        file="workflow_runtime/core/watching.py",
        old="if _is_expired(one) and at - self._still[one.server.id][1] >= _lease(one.server):",
        new="if _is_expired(one):",
        caught_by=(f"{WATCHING}::test_a_lease_that_passed_before_i_looked_is_not_enough",),
    ),
    PlantedBug(
        name="own beats do not matter",
        sentence="The lease of another is watched on though one's own beats do not arrive.",
        file="workflow_runtime/core/watching.py",
        old="if self._beaten is None or at - self._beaten > GAP * self._beat_every:",
        new="if self._beaten is None:",
        caught_by=(f"{WATCHING}::test_a_gap_of_more_than_two_of_my_beats_begins_the_watch_anew",),
    ),
    PlantedBug(
        name="a beat that was not asked for",
        sentence="A death is declared without comparing the beat that was seen.",
        file="workflow_runtime/store/servers.py",
        old='.where(_THIS, _LIVES, _server.c.beat == bindparam("seen"))',
        new='.where(_THIS, _LIVES, bindparam("seen", type_=sa.Integer()) >= sa.literal_column("0"))',
        caught_by=(f"{STORE}::test_who_has_beaten_since_is_not_declared_dead",),
    ),
    PlantedBug(
        name="a heartbeat that revives the dead",
        sentence="A beat does not ask whether its server was declared dead.",
        file="workflow_runtime/store/servers.py",
        old="_BEAT = sa.update(_server).where(_THIS, _LIVES)",
        new="_BEAT = sa.update(_server).where(_THIS)",
        caught_by=(f"{SERVERS}::test_the_dead_do_not_beat_and_death_is_declared_once",),
    ),
    PlantedBug(
        name="a heartbeat of a session that revives the dead",
        sentence="The same over the connection that holds the lock.",
        file="workflow_runtime/store/sessions.py",
        old='.where(_server.c.id == bindparam("this"), _server.c.dead_at.is_(None))',
        new='.where(_server.c.id == bindparam("this"))',
        caught_by=("tests/store/test_store_sessions.py::test_the_dead_do_not_beat_and_are_not_seen[postgresql]",),
    ),
    PlantedBug(
        name="nobody watches",
        sentence="Calls that a silent network holds up are ended by nobody.",
        file="workflow_runtime/engine/presence.py",
        old='if self._is_alone or hasattr(self._clock, "on_advance"):',
        new="if self._store is not None:",
        caught_by=(f"{SILENCE}::test_a_sweep_and_a_beat_that_are_not_answered_are_ended[postgresql-single]",),
    ),
    PlantedBug(
        name="a transaction that is undone out of sight",
        sentence="A connection that is given back is watched no more, though what was begun on it is still to be undone.",
        file="workflow_runtime/store/network.py",
        old="""        usable = not interrupted and self._rests(driver)
        held = self._out.pop(id(driver))
""",
        new="""        held = self._out.pop(id(driver))
        usable = not interrupted and self._rests(driver)
""",
        caught_by=("tests/store/test_store_silence.py::test_what_is_undone_behind_a_transaction_is_ended_too[postgresql]",),
    ),
    PlantedBug(
        name="now() for clock_timestamp()",
        sentence="A statement takes the time at which its transaction began, not the time at which it got its lock.",
        file="workflow_runtime/store/clock.py",
        old="CAST(extract(epoch FROM clock_timestamp()) * 1000000 AS bigint)",
        new="CAST(extract(epoch FROM now()) * 1000000 AS bigint)",
        caught_by=(f"{STORE}::test_the_time_of_a_write_is_that_behind_its_wait_for_the_lock[postgresql]",),
    ),
    PlantedBug(
        name="now(6) for sysdate(6)",
        sentence="The same on MariaDB: the time at which the statement began.",
        file="workflow_runtime/store/clock.py",
        old="sysdate(6)))",
        new="now(6)))",
        caught_by=(f"{STORE}::test_the_time_of_a_write_is_that_behind_its_wait_for_the_lock[mysql]",),
    ),
    # ---- cancelling
    PlantedBug(
        name="cancel raising the revision",
        sentence="A request to cancel counts as a write, so that the server which executes the process is refused.",
        file="workflow_runtime/store/changes.py",
        old='.values(cancel_requested=bindparam("request"))',
        new='.values(cancel_requested=bindparam("request"), revision=_process.c.revision + 1)',
        caught_by=(f"{GUARDS}::test_only_what_is_executed_can_be_flagged_and_the_revision_stays",),
    ),
    PlantedBug(
        name="many at once do not look for an earlier life",
        sentence="Of a batch that is created an id may be that of a deleted process, whose history is then taken for that of the new one.",
        file="workflow_runtime/store/portable.py",
        old="if found := transaction.row(had_life, ids):",
        new="if (found := transaction.row(had_life, ids)) and len(creations) == 1:",
        caught_by=(f"{GUARDS}::test_of_a_batch_with_an_id_that_is_in_use_nothing_is_written",),
    ),
    PlantedBug(
        name="coming to rest does not heed the flag",
        sentence="A request that comes just before rest is accepted and forgotten.",
        file="workflow_runtime/store/changes.py",
        old="        parts.append(c.cancel_requested.is_(None))",
        new="        pass",
        caught_by=(
            f"{GUARDS}::test_an_arrival_to_rest_is_stopped_by_a_cancel_request",
            "tests/engine/test_cancelling.py::test_a_request_that_comes_just_before_rest_is_not_lost",
        ),
    ),
    # ---- commits without an answer
    PlantedBug(
        name="retry on unknown commit",
        sentence="The answer of a commit is lost, and the same change is made again without looking.",
        file="workflow_runtime/store/looking.py",
        old="    return _applied(row) if _landed(transaction, change, row) else None\n",
        new="    return None\n",
        caught_by=(f"{UNKNOWN}::test_a_change_whose_answer_was_lost_becomes_true_once",),
    ),
    PlantedBug(
        name="looking without the lock",
        sentence="The trace is looked for while the old connection may still commit.",
        file="workflow_runtime/store/looking.py",
        old="    row = transaction.row(_LOCKED_ROW,",
        new="    row = transaction.row(_ROW,",
        caught_by=(f"{UNKNOWN}::test_a_backend_that_is_still_at_work_ends_before_we_look[postgresql]",),
    ),
    # ---- timers
    PlantedBug(
        name="timer removed before the command",
        sentence="The row of a due timer goes in a transaction of its own, before the walk is claimed.",
        file="workflow_runtime/engine/executor.py",
        old="        if timer.name == arming.IDLE_TIMEOUT and (target",
        new="        process = self.commit(Change(kind=ChangeKind.OPERATE, before=process, after=evolve(process), drop=(timer.name,)))\n"
        "        if timer.name == arming.IDLE_TIMEOUT and (target",
        caught_by=(f"{MATRIX}::test_killed_and_resumed[life-claim.before:2]",),
    ),
    PlantedBug(
        name="timer row kept at the claim",
        sentence="The claim of a due timer leaves its row, which is due again if the server dies.",
        file="workflow_runtime/core/rules.py",
        old="drop = (walk.trigger.name,) if walk.trigger.kind is TriggerKind.TIMER else ()",
        new="drop = ()",
        caught_by=("tests/core/test_rules_begin.py::test_firing_a_timer_removes_its_row_with_the_claim",),
    ),
    PlantedBug(
        name="a batch without the beat",
        sentence="Timers that fall due together are fired by a server whose beat does not arrive.",
        file="workflow_runtime/engine/engine.py",
        old="        self._require_beat()\n        return [applied.outcome",
        new="        return [applied.outcome",
        caught_by=("tests/engine/test_firing.py::test_without_the_right_to_write_nothing_is_fired",),
    ),
    PlantedBug(
        name="a batch with actions",
        sentence="Timers behind which an action may follow are decided together, and wait for each other's actions.",
        file="workflow_runtime/core/reachability.py",
        old="acting = _closure([a.name for a in scheme.activities if a.implementation], _neighbours(automatic))",
        new="acting = {a.name for a in scheme.activities if a.implementation}",
        caught_by=("tests/engine/test_firing.py::test_where_an_action_may_follow_each_has_a_worker_of_its_own[one step further]",),
    ),
    PlantedBug(
        name="local clock in the due check",
        sentence="Whether a timer is due is asked of the server's own clock.",
        file="workflow_runtime/engine/timers.py",
        old="        now, wait = self.engine.now(), ",
        new="        now, wait = self.engine.clock.now(), ",
        caught_by=(f"{ENGINE}::test_whether_a_timer_is_due_is_asked_of_the_database_alone",),
    ),
    # ---- effects
    PlantedBug(
        name="key without the walk",
        sentence="The key of an effect does not name the walk, so that new work is taken for a repetition.",
        file="workflow_runtime/core/stepping.py",
        old='return f"{walk.id}-{what[:16]}"',
        new='return f"{what[:16]}"',
        caught_by=("tests/engine/test_steps.py::test_an_effect_key_is_that_of_the_step_while_it_runs",),
    ),
    PlantedBug(
        name="key with the attempt",
        sentence="The key of an effect changes from one attempt to the next, so that a repetition is taken for new work.",
        file="workflow_runtime/core/stepping.py",
        old="values.digest([walk.activity, index, action, step, occurrence])",
        new="values.digest([walk.activity, index, action, step, occurrence, walk.tries])",
        caught_by=(f"{MATRIX}::test_killed_and_resumed[life-effect.after:1]",),
    ),
    PlantedBug(
        name="at most once without an intent",
        sentence="Nothing is committed before the function of a step that is to be done at most once is called.",
        file="workflow_runtime/engine/steps.py",
        old="            if once:\n",
        new="            if once and check is not None:\n",
        caught_by=(
            f"{AT_MOST_ONCE}::test_the_intent_is_durable_before_the_function_is_called",
            f"{PAYMENTS}::test_a_payment[once-no dedup-effect.after:1]",
        ),
    ),
    PlantedBug(
        name="an unknown outcome is taken for a failure",
        sentence="A step that may have been started is called again where no check was given.",
        file="workflow_runtime/engine/steps.py",
        old="        if check is None:\n            raise stepping.outcome_unknown(self.process, call)\n        try:",
        new="        if check is None:\n            return self._start(call, run)\n        try:",
        caught_by=(f"{AT_MOST_ONCE}::test_recovery_does_not_repeat_it", f"{PAYMENTS}::test_a_payment[once-no dedup-step.before:1]"),
    ),
    PlantedBug(
        name="a policy repeats what must not be",
        sentence="After a step at most once has raised, its action is begun again by the retry policy.",
        file="workflow_runtime/engine/acting.py",
        old='    return f"its step {step!r} is to be done at most once" if step else ""',
        new='    return ""',
        caught_by=(f"{AT_MOST_ONCE}::test_one_that_raised_is_not_repeated[policy-]",),
    ),
    PlantedBug(
        name="a retry forgets the steps before it",
        sentence="An attempt that follows in the same run does not know what the one before it has journaled.",
        file="workflow_runtime/engine/trying.py",
        old="            self.journal.add(entry)\n",
        new="",
        caught_by=("tests/engine/test_steps.py::test_a_retry_knows_the_steps_of_the_attempts_before_it[at once]",),
    ),
    PlantedBug(
        name="an intent of another is taken for mine",
        sentence="After a lost answer the row of who took the walk over is found, and the function is called by both.",
        file="workflow_runtime/core/stepping.py",
        old="values.encode(token), now, intent=True)",
        new='"null", now, intent=True)',
        caught_by=("tests/core/test_stepping.py::test_an_intent_tells_the_claim_under_which_it_was_made",),
    ),
    # ---- deadlines
    PlantedBug(
        name="abandon without raising the token",
        sentence="An action that was given up may still store what it does: its token is good.",
        file="workflow_runtime/core/expiring.py",
        old="token=process.token + 1, walk=walk, last_error=error",
        new="walk=walk, last_error=error",
        caught_by=(f"{TIMEOUTS}::test_the_token_is_raised_before_anything_else_happens",),
    ),
    PlantedBug(
        name="a deadline that no row has",
        sentence="The deadline of an activity is known to the server that set it, and begins anew on every other.",
        file="workflow_runtime/store/rows.py",
        old='for name in ("due", "deadline"):\n        if (instant',
        new='for name in ("due",):\n        if (instant',
        caught_by=(f"{DEADLINES}::test_a_shutdown_between_two_actions_does_not_move_it",),
    ),
    PlantedBug(
        name="at most once until the deadline",
        sentence="An action at most once that was given up is begun again where its check says that it was not done so far.",
        file="workflow_runtime/engine/trying.py",
        old="raise late if leads_on else acting.unknown(self.process, action)",
        new="raise late",
        caught_by=(f"{DEADLINES}::test_what_is_to_be_done_at_most_once_is_not_begun_again",),
    ),
    PlantedBug(
        name="too late and yet done",
        sentence="What an action comes to after it was given up counts all the same.",
        file="workflow_runtime/engine/deadlines.py",
        old="            if self.is_open:\n                self._outcome",
        new="            if True:\n                self._outcome",
        caught_by=(f"{TIMEOUTS}::test_what_was_given_up_does_not_count_however_soon_it_ends",),
    ),
    PlantedBug(
        name="a wait beyond the deadline",
        sentence="The wait of a retry policy goes on behind the deadline of the activity.",
        file="workflow_runtime/engine/trying.py",
        old="is_cut = deadline is not None and deadline < next_at",
        new="is_cut = False",
        caught_by=(f"{DEADLINES}::test_a_long_wait_counts_and_ends_at_the_deadline",),
    ),
    # ---- recovery
    PlantedBug(
        name="a restorer without a time limit",
        sentence="A restorer that hangs holds up the pass for ever.",
        file="workflow_runtime/engine/asking.py",
        old="    thread.join(timeout)\n",
        new="    thread.join()\n",
        caught_by=("tests/engine/test_recovery_bad_restorers.py::test_one_that_hangs_while_asked_whom_it_wants_leaves_the_status_rule",),
    ),
    PlantedBug(
        name="history outside the transaction",
        sentence="A change is committed, and its history after it.",
        file="workflow_runtime/store/portable.py",
        old="        if found is not None:\n            transaction.follow(",
        new="        if found is not None:\n            transaction.driver.commit()\n            transaction.follow(",
        caught_by=("tests/store/test_store_atomic.py::test_when_a_later_statement_fails_nothing_was_written",),
    ),
    PlantedBug(
        name="timers of the activity that was left",
        sentence="An arrival deletes no timers, whether or not the activity that is left has some.",
        file="workflow_runtime/store/followers.py",
        old="    return process.scheme is None or has_timers(process.scheme, process.activity)\n",
        new="    return False\n",
        caught_by=("tests/engine/test_timers_live.py::test_a_timer_goes_with_its_activity",),
    ),
    PlantedBug(
        name="a request that is not read back",
        sentence="A write of what stays Running does not look whether strangers wrote to the row.",
        file="workflow_runtime/store/changes.py",
        old="shape.takes_over, before.status is ProcessStatus.RUNNING)",
        new="shape.takes_over, False)",
        caught_by=("tests/engine/test_cancelling.py::test_what_was_cancelled_can_be_resumed",),
    ),
    # ---- group commit
    PlantedBug(
        name="told before the commit",
        sentence="A follower returns when its work is done, and the COMMIT of the group is still to come.",
        file="workflow_runtime/store/grouping.py",
        old="            waiter.answer = waiter.work(transaction)\n",
        new="            waiter.answer = waiter.work(transaction)\n            waiter.tell(Word.STORED)\n",
        caught_by=(f"{GROUPING}::test_nobody_returns_before_the_commit_has[sqlite]",),
    ),
    PlantedBug(
        name="given up and yet taken",
        sentence="A waiter that loses patience does not look whether a leader has taken its change.",
        file="workflow_runtime/store/grouping.py",
        old="        if self._goes(waiter):\n            raise busy",
        new="        if True:\n            raise busy",
        caught_by=(f"{GROUPING}::test_who_loses_patience_when_a_leader_has_its_change_looks_behind_it[sqlite]",),
    ),
)
