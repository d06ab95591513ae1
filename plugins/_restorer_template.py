"""A restorer to start from. Copy this file into your plugins folder under a name without the underscore.

Recovery asks it about every process that a dead server left in Running. It is asked without an open
transaction, within ``restorer_timeout`` seconds, by dry runs too: look, decide, change nothing.
"""

from __future__ import annotations

from collections.abc import Iterable

from workflow_runtime import InterruptedProcess, IProcessRestorer, ProcessStatus, RestoreDecision, hookimpl


class MyRestorer(IProcessRestorer):
    version = "1"  # shown beside the name in history: raise it when the answers change

    def need_custom_restore(self, scheme_code: str, status: ProcessStatus) -> bool:
        # Asked once per scheme and preliminary status. Say False quickly: what nobody wants is decided in batches.
        return scheme_code == "Order" and status is ProcessStatus.TERMINATED

    def get_custom_restore_decision(self, process: InterruptedProcess) -> RestoreDecision:
        # What was under way, and what of it was finished: process.interrupted, process.finished_steps,
        # process.pending_parameters, process.parameters, process.server, process.deaths.
        if process.deaths > 1:
            return RestoreDecision.default().because("it took two servers down; a person should look")
        if process.interrupted is not None and process.interrupted.action == "Charge":
            return RestoreDecision.resume().because("charging is deduplicated by the bank")
        # The others: run_from_current_activity(), run_from_new_activity("Name"), delete().
        return RestoreDecision.run_from_current_activity().add_persistent_parameter("WasInterrupted", True).because("nothing was paid yet")


@hookimpl
def register_process_restorers() -> Iterable[IProcessRestorer]:
    return [MyRestorer()]
