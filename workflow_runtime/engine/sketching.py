"""A run that needs nobody's hands: what it would commit, without committing it.

Law: a sketch is the run itself, told to stop where it would act. What it gives is the one change that ``Run.drive`` would
have committed, so many of them can become true in one transaction, each guarded on its own. Nothing is written and no
listener hears of anything; conditions are asked, as by any run, and once more where the run is then driven after all.

=================================  ==========================================================
the run                            its sketch
=================================  ==========================================================
leads to rest without an action    the change
meets an action                    None: it is to be driven
fails, in whatever way             None: what becomes of a failure is for the run to say
=================================  ==========================================================
"""

from __future__ import annotations

from workflow_runtime.core.process import Change, Process, ProcessStatus
from workflow_runtime.engine.engine import Engine
from workflow_runtime.engine.run import Run


class _NotAtOnce(Exception):
    """It does not come to rest by itself."""


class _Sketch(Run):
    def _commit(self, *, heed_cancel: bool = True) -> None:
        """At rest everything is left pending: who asked commits it."""
        if self.process.status is ProcessStatus.RUNNING:
            raise _NotAtOnce

    def broken(self, error: BaseException) -> bool:
        raise _NotAtOnce from error


def sketch(engine: Engine, process: Process, begun: Change) -> Change | None:
    """What a run that begins with ``begun`` would commit as one change; None where it has to be driven."""
    run = _Sketch(engine, process, begun=begun)
    try:
        run.drive()
    except _NotAtOnce:
        return None
    return run.pending
