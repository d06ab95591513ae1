"""The pass: orphans -> adopt -> ask -> restore -> the same executor. And the plan: the same without a write.

Law: one process that cannot be decided never stops the others, and one that must wait never holds up a pass.
Listeners are told while no lock is held. Who is waited for here waits for nobody: an action or a listener that asks
for recovery has it begun, and what must be decided one by one is decided behind its back.

=================  ============================================================================================
part of a pass     what is done
=================  ============================================================================================
sort               one thread at a time reads the orphans; where nobody wants to decide, adoption and verdict are
                   one guarded write, many in one transaction; the others are registered as work in hand
tell               listeners hear of the verdicts that were written while sorting
decide             one by one, the oldest first, suspects behind the others: wait for a free worker, adopt, ask
                   (no transaction is open while a restorer thinks), write the decision, hand over what goes on
=================  ============================================================================================

Nothing is adopted that no worker has time for: should this server die, nothing counts against what still waits.
"""

from __future__ import annotations

import logging
import threading
from dataclasses import replace
from functools import partial

from workflow_runtime.core import recovering
from workflow_runtime.core.process import Process
from workflow_runtime.core.recovering import Case, Ruling
from workflow_runtime.core.restoring import RecoveryPlan, RecoveryReport
from workflow_runtime.core.scheme_words import SchemeKey
from workflow_runtime.engine.asking import message_of
from workflow_runtime.engine.desk import Desk, Item, Verdict, damaged, id_of
from workflow_runtime.engine.engine import Engine
from workflow_runtime.engine.executor import Executor
from workflow_runtime.engine.failures import error_info
from workflow_runtime.engine.tally import Settled, Tally
from workflow_runtime.engine.workers import Place, Workers
from workflow_runtime.errors import ExecutionError, StoreError, StoreUnavailable
from workflow_runtime.store.writes import Outcome, UnreadableRow

log = logging.getLogger("workflow_runtime.recovery")

HEARD = ("process_recovered", "process_status_changed", "process_activity_changed")  #: what listeners hear of a pass


class Recovery:
    """One per started runtime. Thread-safe. ``wait``: a sweep ends only when all is decided, as a fake clock wants it."""

    def __init__(self, engine: Engine, executor: Executor, workers: Workers, *, wait: bool = False) -> None:
        self.engine, self.executor, self.workers, self.wait = engine, executor, workers, wait
        self._sorting = threading.Lock()
        self._changed = threading.Condition()
        self._open: dict[str, int] = {}  #: passes that have not decided everything yet, and the thread that has each in hand
        self._last: RecoveryReport | None = None  #: of the pass that was closed last
        self._closed = 0  #: passes so far
        self._working = 0  #: recovered processes that workers have in hand
        self._warned: set[SchemeKey] = set()  #: versions that were met and cannot be executed here

    # ------------------------------------------------------------------ the pass

    def run(self, cause: str) -> RecoveryReport | None:
        """Decides every orphan there is, and waits for passes under way; None where nothing was to do.

        The report is that of this pass, or if it found nothing, of the pass that was joined. Who is waited for
        gets the report of a pass that is only begun.
        """
        if self._is_waited_for():
            return self.begin(cause)
        closed_before, desk = self._closed, Desk(self.engine)
        tally = self._sort(cause, desk)
        with self._changed:
            joined = set(self._open)
        report = self._decide_all(tally) if tally else None
        with self._changed:
            self._changed.wait_for(lambda: joined.isdisjoint(self._open))
            return report or (self._last if self._closed > closed_before else None) or self._left_alone(cause, desk)

    def begin(self, cause: str) -> RecoveryReport | None:
        """As ``run``, but what waits for listeners, workers or restorers is done in the background; the report as far as it goes."""
        desk = Desk(self.engine)
        if (tally := self._sort(cause, desk)) is None:
            return self._left_alone(cause, desk)
        report = tally.result(None)
        threading.Thread(target=self._decide_behind, args=(tally,), name="workflow-runtime-recovery", daemon=True).start()
        return report

    def sweep(self, cause: str) -> None:
        """For the clockwork."""
        if self.wait:
            self.run(cause)
        else:
            self.begin(cause)

    def wait_for_work(self) -> None:
        """Until what recovery has sent back to work is at rest, or the workers' end has come; who is waited for goes on at once."""
        if not self._is_waited_for():
            self.workers.wait_until(lambda: not self._working)

    def wait_for_passes(self, timeout: float) -> bool:
        """True when no pass is under way, False when ``timeout`` seconds passed before; at once for who is waited for."""
        if self._is_waited_for():
            return False
        with self._changed:
            return self._changed.wait_for(lambda: not self._open, timeout)

    def _is_waited_for(self) -> bool:
        """Whether the caller is a worker's work, or a listener of a pass that goes on when it returns."""
        with self._changed:
            return self.workers.am_one or threading.get_ident() in self._open.values()

    def _left_alone(self, cause: str, desk: Desk) -> RecoveryReport | None:
        """Where all that was found is for other servers. Told and never recorded: each sweep finds it again."""
        if not (number := desk.set_aside.total()):
            return None
        return RecoveryReport(id="", cause=cause, server=self.engine.me, owned=number, skipped=number, notes=desk.notes())

    def _sort(self, cause: str, desk: Desk) -> Tally | None:
        """Reads the orphans, writes the verdicts that nobody is asked about and registers the others as work in hand."""
        if not self.engine.presence.may_execute():
            return None
        tally: Tally | None = None
        try:
            with self._sorting:
                for page in desk.pages(crowds=not self._is_heard()):
                    tally = tally or self._begin(cause, desk)
                    tally.found(page)
                    self._sort_page(page, tally)
                self._warn(desk)
        except BaseException:
            if tally is not None:
                self._give_up(tally)
                self._tell_all(tally)
            raise
        return tally

    def _warn(self, desk: Desk) -> None:
        """Once for each version, however often it is met."""
        for key in desk.set_aside.keys() - self._warned:
            self._warned.add(key)
            log.warning("%s", desk.note(key))

    def _begin(self, cause: str, desk: Desk) -> Tally:
        report = RecoveryReport(id=self.engine.new_id(), cause=cause, server=self.engine.me, noticed_at=self.engine.now())
        self.engine.store.open_recovery(report)
        with self._changed:
            self._open[report.id] = threading.get_ident()
        return Tally(report=report, desk=desk, is_heard=self._is_heard())

    def _is_heard(self) -> bool:
        return any(map(self.engine.hears, HEARD))

    def _sort_page(self, page: list[Item], tally: Tally) -> None:
        settled: list[Settled] = []
        for item in page:
            if isinstance(item, UnreadableRow):
                self._unreadable(item, tally)
            elif isinstance(item, Verdict):
                self._write_for_all(item, tally)
            elif (ruling := tally.desk.settled(item)) is not None:
                settled.append(self._verdict(item, ruling, tally))
            else:
                self.engine.live.take(item.process.id)
                tally.asked.append(item)
        self._write(settled, tally)

    def _write(self, settled: list[Settled], tally: Tally) -> None:
        """Verdicts that nobody was asked about: one transaction, each row guarded.

        If one of them cannot be written, each is by itself; what cannot be written even then is a row for a person.
        """
        if not settled:
            return
        try:
            outcomes = [applied.outcome for applied in self.engine.store.apply_all([change for change, _ in settled])]
        except StoreUnavailable:
            raise
        except Exception as error:
            for change, record in settled if len(settled) > 1 else ():
                self._write([(change, record)], tally)
            if len(settled) == 1 and (before := settled[0][0].before) is not None:
                self._unreadable(damaged(before, f"the verdict about process {before.id} cannot be stored: {message_of(error)}"), tally)
            return
        for (change, record), outcome in zip(settled, outcomes, strict=True):
            if tally.written(record, outcome):
                tally.adopted_at, tally.nudges = tally.adopted_at or record.at, True
                if tally.is_heard:
                    tally.untold.append((change, record))
                else:
                    self.engine.announce(change)  # nobody listens: it is not kept, and who waits for its answer hears it now

    def _write_for_all(self, verdict: Verdict, tally: Tally) -> None:
        """One transaction for a crowd. Where that fails, each is written as if it had been alone."""
        case, ruling, crowd = verdict.case, verdict.ruling, verdict.crowd
        change, record = self._verdict(case, ruling, tally)
        try:
            written = self.engine.store.apply_alike(crowd, change, lambda: [one for one, _ in self._each_of(verdict, tally)])
        except StoreUnavailable:
            raise
        except Exception:
            written = None
        if written is None:
            self._write(self._each_of(verdict, tally), tally)
            return
        if written:
            tally.decided(record.decision, record.at, len(written))
            tally.adopted_at, tally.nudges = tally.adopted_at or record.at, True
        tally.skipped += len(crowd.rows) - len(written)

    def _each_of(self, verdict: Verdict, tally: Tally) -> list[Settled]:
        each = [replace(one, scheme=verdict.case.process.scheme) for one in verdict.crowd.spelled() if isinstance(one, Process)]
        return [self._verdict(replace(verdict.case, process=process), verdict.ruling, tally) for process in each]

    def _unreadable(self, row: UnreadableRow, tally: Tally) -> None:
        now, process_id = self.engine.now(), id_of(row)
        record = tally.desk.record_of_damage(row, process_id, tally.report.id, now) if process_id else None
        if self.engine.store.mark_unreadable(row, error_info(row.cause), record):
            tally.decided("default", now)
            tally.damaged += [record] if record else []
        else:
            tally.skipped += 1

    # ------------------------------------------------------------------ what is asked about

    def _decide_all(self, tally: Tally) -> RecoveryReport:
        """All cases of a pass, those that may be poison behind the others; then its report."""
        with self._changed:
            self._open[tally.report.id] = threading.get_ident()
        try:
            self._tell_all(tally)
            tally.asked.sort(key=_is_suspect)
            tally.asked.reverse()
            while tally.asked and not self.engine.draining:
                self._decide(tally.asked.pop(), tally)
                self._tell_all(tally)
            tally.skipped += len(tally.asked)  # left to others by a server that shuts down
            return self._close(tally)
        finally:
            self._give_up(tally)

    def _decide_behind(self, tally: Tally) -> None:
        try:
            self._decide_all(tally)
        except StoreError as error:  # what it did not come to is found by the next pass
            log.warning("recovery %s was broken off: %s", tally.report.id[:8], error)

    def _decide(self, case: Case, tally: Tally) -> None:
        """Adopts one process, has it decided, and hands what goes on to the worker that was kept for it."""
        process_id, handed_over = case.process.id, False
        place: Place | None = None
        try:
            place = self.workers.reserve(suspect=_is_suspect(case), share=True)
            if place is not None and not self.engine.draining and (process := self._decided(case, tally)) is not None:
                handed_over = self._hand_over(process, place)
        except StoreError as error:  # its row is found again by the next pass
            tally.skipped += 1
            log.warning("process %s could not be decided: %s", process_id, error)
        except Exception as error:
            tally.skipped += 1
            log.exception("process %s could not be decided: %s", process_id, error)
        finally:
            if place is not None and not handed_over:
                place.leave()
            if not handed_over:  # behind it: timers that fall due now may wait for all workers
                self.engine.live.drop(process_id)

    def _decided(self, case: Case, tally: Tally) -> Process | None:
        """The process, if it is sent back to work."""
        adoption = recovering.adopt(case.process, owner=self.engine.me, now=self.engine.now())
        outcome, cancel = self.engine.apply(adoption)
        if outcome is not Outcome.APPLIED:
            tally.skipped += 1
            return None
        tally.adopted_at = tally.adopted_at or self.engine.now()
        case = tally.desk.adopted(case, replace(adoption.result, cancel_requested=cancel))
        change, record = self._verdict(case, recovering.by_request(case) or tally.desk.ask(case), tally)
        outcome, _ = self.engine.apply(change)
        if not tally.written(record, outcome):
            return None
        tally.untold.append((change, record))
        if change.after is None or change.after.owner is None:
            return None
        self._tell_all(tally)  # before the work begins; of what rests when nothing is kept for it any more
        return change.result

    def _hand_over(self, process: Process, place: Place) -> bool:
        self._count_work(1)
        taken = place.give(partial(self._go_on, process))
        if not taken:
            self._count_work(-1)
        return taken

    def _go_on(self, process: Process) -> None:
        try:
            self.executor.go_on(process)
        except (ExecutionError, StoreError) as error:
            log.warning("recovered process %s: %s", process.id, error)
        finally:
            self.engine.live.drop(process.id)
            self._count_work(-1)

    def _count_work(self, more: int) -> None:
        with self._changed:
            self._working += more

    # ------------------------------------------------------------------ records

    def _verdict(self, case: Case, ruling: Ruling, tally: Tally) -> Settled:
        now = self.engine.now()
        record = tally.desk.record(case, ruling, tally.report.id, now)
        return recovering.carry_out(case, ruling, record, walk_id=self.engine.new_id(), owner=self.engine.me, now=now), record

    def _tell_all(self, tally: Tally) -> None:
        untold, tally.untold = tally.untold, []
        for change, record in untold:
            self.engine.announce(change)
            process = change.result if change.after is not None else change.before
            self.engine.notify("process_recovered", process=process, decision=record)
        damaged, tally.damaged = tally.damaged, []
        for record in damaged:
            if (shown := self.engine.tell_of_damage(record.process_id)) is not None:
                self.engine.notify("process_recovered", process=shown, decision=record)
        if untold or tally.nudges:
            tally.nudges = False
            self.engine.nudge()  # once for all: what was kept of their timers may be due

    def _close(self, tally: Tally) -> RecoveryReport:
        report = tally.result(self.engine.now())
        if report.decided or report.adopted_at:
            self.engine.store.update_recovery(report)
            log.info("recovery %s: %d owned, %d decided %s", report.id[:8], report.owned, report.decided, dict(report.by_decision))
        else:  # all was left to others, or is locked: each sweep finds it again, and so many rows would tell nothing
            self.engine.store.forget_recovery(report.id)
        with self._changed:
            self._last, self._closed = report, self._closed + 1
        return report

    def _give_up(self, tally: Tally) -> None:
        """Nothing of this pass is in hand any more; what it did not come to is found again."""
        for case in tally.asked:
            self.engine.live.drop(case.process.id)
        tally.asked.clear()
        with self._changed:
            self._open.pop(tally.report.id, None)
            self._changed.notify_all()


def _is_suspect(case: Case) -> bool:
    return case.deaths >= recovering.SUSPECT_DEATHS


def plan(engine: Engine) -> RecoveryPlan:
    """What a pass would do now and why; asks restorers, changes nothing. Also for a client: it asks the restorers it has."""
    desk = Desk(engine)
    planned = [decision for page in desk.cases() for item in page if (decision := desk.planned(item)) is not None]
    asks_nobody = planned and not engine.catalogue.restorers
    notes = ["this program has no restorers of its own: a server with plugins may decide otherwise"] if asks_nobody else []
    return RecoveryPlan(decisions=tuple(planned), notes=(*notes, *desk.notes()))
