"""The hooks: what a plugin may bring, hear and decide. Each docstring is the contract of its hook.

Law: a hook is called with keyword arguments and outside every transaction; a plugin takes only the
arguments it wants. A new argument breaks no plugin, a removed one does.

==========  ====================================================================================
kind        when and how
==========  ====================================================================================
gathering   once per plugin in ``start()``, before names are checked; None means "nothing"
event       after the commit, at most once; a raising listener is logged, the others still hear it
deciding    after the failure was met, before it is committed; the first answer counts
==========  ====================================================================================

Order of plugins: given to the runtime, plugins folder (sorted), entry points (sorted), built in;
``tryfirst`` and ``trylast`` go before it. Hooks are ordinary functions: an ``async def`` is refused,
a wrapper is never called. This module imports nothing of the engine, so that plugins are cheap to import.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import pluggy

if TYPE_CHECKING:
    from workflow_runtime.core.process import Decision, Process, ProcessStatus
    from workflow_runtime.core.restoring import IProcessRestorer
    from workflow_runtime.registry import ActionSpec, ConditionSpec, RuleSpec

__all__ = ["PROJECT", "ErrorDecision", "ExternalParameters", "HookSpecs", "TimerValues", "hookimpl", "hookspec"]

PROJECT = "workflow_runtime"  #: pluggy's project name and the entry-point group

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)

#: ``provider(process, name)`` returns the value; LookupError says that it does not know the name.
ExternalParameters: TypeAlias = Callable[["Process", str], Any]

#: ``translate(process, timer, value)`` returns a value the timer's type understands, or None: not mine.
TimerValues: TypeAlias = Callable[["Process", str, str], "str | None"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorDecision:
    """What ``workflow_error`` wants done about a failure.

    ``activity``: the process goes on there instead of breaking off, and nothing is raised; None: the status rule.
    ``suppress``: where the process breaks off, the caller gets it instead of the exception. History keeps the error either way.
    """

    activity: str | None = None
    suppress: bool = False

    @classmethod
    def set_activity(cls, name: str) -> ErrorDecision:
        """Go on in this activity of the pinned version, as new work; where it has none of that name, as if nobody had answered."""
        return cls(activity=name)

    @classmethod
    def suppressed(cls) -> ErrorDecision:
        """Break off by the status rule, but do not raise."""
        return cls(suppress=True)


class HookSpecs:
    """Every hook there is. A plugin implements any of them, each marked with ``@hookimpl``."""

    # Gathering: read once, so that no step of a process ever waits for a hook.

    @hookspec
    def register_actions(self) -> Mapping[str, Callable[..., Any] | ActionSpec] | None:
        """Name -> ``action(ctx, parameter)``, or an ActionSpec where journal or resumable differ from their defaults.

        Called once per start. A function may be ``async def``. A name that the same level brings twice stops the start.
        """

    @hookspec
    def register_conditions(self) -> Mapping[str, Callable[..., Any] | ConditionSpec] | None:
        """Name -> ``condition(ctx, parameter)``, true or false. It sees the read-only part of the context.

        Called once per start. Conditions are evaluated before the transaction, possibly several times per walk.
        """

    @hookspec
    def register_rules(self) -> Mapping[str, Callable[..., Any] | tuple[Callable[..., Any], Callable[..., Any] | None] | RuleSpec] | None:
        """Name -> ``check(process, identity, parameter)``, or the pair of it and ``identities(process, parameter)``.

        Called once per start. ``identities`` lists who they are; a rule without it cannot be listed.
        """

    @hookspec
    def register_process_restorers(self) -> Iterable[IProcessRestorer] | None:
        """Objects that decide what becomes of processes a dead server left in Running, in the order they are asked.

        Called once per start. The objects are asked during each recovery pass, without an open transaction, within
        ``restorer_timeout``; dry runs ask them too, so they must have no side effects.
        """

    @hookspec
    def register_external_parameters(self) -> ExternalParameters | Iterable[ExternalParameters] | None:
        """One provider or several: ``provider(process, name)`` returns a value that expressions may use and nobody stores.

        Called once per start; the provider is called for each name that the process itself does not have.
        It raises LookupError for a name it does not know; any other exception is an error of the process.
        """

    @hookspec
    def register_timer_values(self) -> TimerValues | Mapping[str, Callable[[Process, str], str | None]] | None:
        """Translates custom timer values: ``translate(process, timer, value)``, or timer -> ``translate(process, value)``.

        Called once per start; the translator is called whenever a timer is armed, possibly several times, and must be quick. It
        answers a value that the timer's type understands, "0" (at once), "-1" (never), or None: the next translator is asked,
        in the end the value counts as written.
        """

    # Events: the commit has happened, nothing a listener does can undo it.

    @hookspec
    def process_status_changed(self, process: Process, old: ProcessStatus | None, new: ProcessStatus) -> None:
        """The status changed. After the commit, once per committed change; ``old`` is None for a new process."""

    @hookspec
    def process_activity_changed(self, process: Process, previous: str, current: str, transition: str | None) -> None:
        """The process arrived. After the commit, once per arrival, coalesced ones too; ``transition`` is None where none was taken."""

    @hookspec
    def before_activity_execution(self, process: Process, activity: str) -> None:
        """The actions of an activity are about to run. Once per attempt to run them, after the claim's commit, without a transaction."""

    @hookspec
    def process_recovered(self, process: Process, decision: Decision) -> None:
        """Recovery has decided: what, who and why. After the commit of decision and status, once per decided process."""

    @hookspec
    def runtime_started(self, runtime: Any) -> None:
        """The runtime takes work from now on. Once per ``start()``, in the thread that called it."""

    @hookspec
    def runtime_stopping(self, runtime: Any) -> None:
        """``shutdown()`` was called and nothing was given up yet. Once per ``shutdown()``, in the thread that called it."""

    # Deciding.

    @hookspec(firstresult=True)
    def workflow_error(self, process: Process, error: BaseException) -> ErrorDecision | None:
        """An action or a condition failed for good: retries and exception handlers of the scheme are exhausted.

        Called once per failure, without a transaction, before the failure is committed. ``process`` stands at its last committed
        activity, ``error`` is the original exception. None leaves it to the next plugin, in the end to the status rule. An
        implementation that raises or answers anything else is logged and passed over.
        """
