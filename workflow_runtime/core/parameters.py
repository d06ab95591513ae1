"""Which values a process has, and where a new value goes.

Law: a declared purpose wins over the way a value came in; system names are read-only.

=====================================  ============================================================
a value that came                      goes
=====================================  ============================================================
at creation, undeclared                to the process (persistent)
with a command, undeclared             to the walk (temporary: lives for the run)
from an action, undeclared             to the process at arrival
declared Persistence                   to the process: at creation at once, later at arrival
declared Temporary                     to the walk; refused where an operator sets it, outside of a walk
None                                   removes the value
=====================================  ============================================================

From an action comes what it assigned, even if the value is the same, and what it changed in its depth.

What a name means is looked up in this order: changes of this walk, command inputs, temporary values,
the process's values, system parameters, external providers.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from decimal import Decimal
from types import MappingProxyType
from typing import Any, Self

from workflow_runtime.core import types
from workflow_runtime.core.frozen import EMPTY, FrozenDict
from workflow_runtime.core.process import Parameters, Process, TriggerKind, Walk
from workflow_runtime.core.scheme import Scheme
from workflow_runtime.core.scheme_elements import Command, CommandInput
from workflow_runtime.core.scheme_words import Purpose
from workflow_runtime.core.values import Limits, check_name, check_parameters
from workflow_runtime.errors import ParameterError

Lookup = Callable[[str], Any]
Split = tuple[Parameters, Parameters]  #: (persistent, temporary)


def _run_name(kind: TriggerKind) -> Callable[[Process, Walk | None], Any]:
    return lambda process, walk: walk.run.name if walk and walk.run.kind is kind else None


#: The system parameters of the vocabulary: name -> value for a process and the walk under way.
SYSTEM: Mapping[str, Callable[[Process, Walk | None], Any]] = MappingProxyType(
    {
        "ProcessId": lambda process, walk: process.id,
        "PreviousState": lambda process, walk: process.previous_state,
        "CurrentState": lambda process, walk: process.state,
        "PreviousStateForDirect": lambda process, walk: process.previous_state_for_direct,
        "PreviousStateForReverse": lambda process, walk: process.previous_state_for_reverse,
        "PreviousActivity": lambda process, walk: process.previous_activity,
        "CurrentActivity": lambda process, walk: process.activity,
        "PreviousActivityForDirect": lambda process, walk: process.previous_activity_for_direct,
        "PreviousActivityForReverse": lambda process, walk: process.previous_activity_for_reverse,
        "SchemeCode": lambda process, walk: process.scheme_code,
        "SchemeId": lambda process, walk: process.scheme_version,
        "IsPreExecution": lambda process, walk: False,
        "ParentProcessId": lambda process, walk: process.parent_id,
        "RootProcessId": lambda process, walk: process.root_id,
        "TenantId": lambda process, walk: process.tenant_id,
        "SubprocessName": lambda process, walk: None,
        "CreationDate": lambda process, walk: process.created_at,
        "LastTransitionDate": lambda process, walk: process.activity_since,
        "CalendarName": lambda process, walk: process.pinned.calendar,
        "IdentityId": lambda process, walk: walk.identity if walk else None,
        "ImpersonatedIdentityId": lambda process, walk: walk.impersonated_identity if walk else None,
        "CurrentCommand": _run_name(TriggerKind.COMMAND),
        "ExecutedTimer": _run_name(TriggerKind.TIMER),
        "StartTransitionTime": lambda process, walk: walk.started_at if walk else None,
        "LogEnabled": lambda process, walk: process.pinned.log_enabled,
    }
)


class View(Mapping[str, Any]):
    """The values an action, a condition or an expression sees; ``changes`` are those of this walk so far."""

    def __init__(self, process: Process, walk: Walk | None, changes: Mapping[str, Any] = EMPTY, external: Lookup | None = None) -> None:
        self._process, self._walk, self._external = process, walk, external
        self._layers = (changes, walk.inputs, walk.temporary, process.parameters) if walk else (changes, process.parameters)

    def values(self) -> Any:
        """The values of ``plain()``."""
        return self.plain().values()

    def plain(self) -> dict[str, Any]:
        """The process's own values, without system and external ones, as a fresh dictionary."""
        merged: dict[str, Any] = {}
        for layer in reversed(self._layers):
            merged.update(layer)
        return {name: value for name, value in merged.items() if value is not None}

    def __getitem__(self, name: str) -> Any:
        value = next((layer[name] for layer in self._layers if name in layer), None)
        if value is not None:  # None: removed by this walk
            return value
        if name in SYSTEM:
            return SYSTEM[name](self._process, self._walk)
        if self._external is not None:
            return self._external(name)
        raise KeyError(name)

    def __iter__(self) -> Iterator[str]:
        return iter(self.plain())

    def __len__(self) -> int:
        return len(self.plain())

    def lookup(self, name: str) -> Any:
        """As ``view[name]``; a declared parameter without a value is None. KeyError for an unknown name."""
        try:
            return self[name]
        except KeyError:
            if self._process.pinned.parameter(name) is None:
                raise
            return None


class Draft(dict[str, Any]):
    """The copy of the values that an action works on. It notes what is assigned; copies of it are plain dictionaries.

    ``check`` raises where nothing may be assigned any more.
    """

    def __init__(self, values: Mapping[str, Any], check: Callable[[], None] = lambda: None) -> None:
        super().__init__(values)
        self.assigned: set[str] = set()
        self._check = check

    def __setitem__(self, name: str, value: Any) -> None:
        self._check()
        self.assigned.add(name)
        super().__setitem__(name, value)

    def setdefault(self, name: str, default: Any = None) -> Any:
        if name not in self:
            self[name] = default
        return self[name]

    def update(self, *values: Any, **named: Any) -> None:
        for name, value in dict(*values, **named).items():
            self[name] = value

    def __ior__(self, values: Any) -> Self:  # type: ignore[override,misc]
        self.update(values)
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        return dict, (dict(self),)


def at_creation(scheme: Scheme, given: Mapping[str, Any], limits: Limits) -> Split:
    """Initial values, then what was passed. ParameterError for system names, wrong types, limits."""
    initial = {spec.name: types.read_written(spec.initial, spec.type) for spec in scheme.parameters if spec.initial is not None}
    values = {**initial, **_accepted(scheme, given, limits)}
    return split(scheme, {name: value for name, value in values.items() if value is not None})


def of_command(scheme: Scheme, command: Command, given: Mapping[str, Any], limits: Limits, *, present: Parameters = EMPTY) -> Split:
    """The inputs of a command: required ones must be there, declared ones are renamed, converted and sorted.

    ``present`` are the values of the process: what becomes its own must fit the limits together with them.
    """
    if not given and not command.inputs:
        return EMPTY, EMPTY
    inputs = {wanted.name for wanted in command.inputs}
    renamed: dict[str, Any] = {name: value for name, value in given.items() if name not in inputs}
    for wanted in command.inputs:
        value = given.get(wanted.name)
        if value is None:
            value = _default(scheme, wanted)
        if value is None and wanted.required:
            raise ParameterError(
                f"the command {command.name!r} needs the input {wanted.name!r}", code="missing_input", parameter=wanted.name, command=command.name
            )
        if value is not None:
            renamed[wanted.parameter] = value
    return _temporary_unless_declared(scheme, renamed, limits, present)


def of_operator(scheme: Scheme, given: Mapping[str, Any], limits: Limits, *, present: Parameters = EMPTY) -> Split:
    """Values an operator hands in with set_activity or set_state: undeclared ones are temporary."""
    return _temporary_unless_declared(scheme, given, limits, present)


def _temporary_unless_declared(scheme: Scheme, given: Mapping[str, Any], limits: Limits, present: Parameters) -> Split:
    lasting, passing = split(scheme, _accepted(scheme, given, limits), undeclared=Purpose.TEMPORARY)
    _check_together(present, lasting, limits)
    return lasting, passing


def split(scheme: Scheme, values: Mapping[str, Any], *, undeclared: Purpose = Purpose.PERSISTENCE) -> Split:
    """Persistent and temporary values, by declaration, else by ``undeclared``."""
    persistent: dict[str, Any] = {}
    temporary: dict[str, Any] = {}
    for name, value in values.items():
        spec = scheme.parameter(name)
        lasting = (spec.purpose if spec else undeclared) is Purpose.PERSISTENCE
        (persistent if lasting else temporary)[name] = value
    return FrozenDict(persistent), FrozenDict(temporary)


def at_arrival(process: Process, walk: Walk, changes: Parameters) -> Split:
    """The process's values and the run's values once the walk has arrived."""
    if not changes and not walk.inputs:
        return process.parameters, walk.temporary
    lasting, passing = split(process.pinned, changes)
    outlived = {name: value for name, value in walk.temporary.items() if name not in lasting}
    return _merged(process.parameters, walk.inputs, lasting), _merged(outlived, passing)


def changed(before: Mapping[str, Any], after: Mapping[str, Any], scheme: Scheme, limits: Limits) -> Parameters:
    """What an action changed in its copy: new values, and None for those it removed. ParameterError if it may not."""
    assigned = after.assigned if isinstance(after, Draft) else ()
    different = {name: value for name, value in after.items() if name in assigned or name not in before or not _same(before[name], value)}
    gone = {name: None for name in before if name not in after}
    if not different and not gone:
        return EMPTY
    accepted = _accepted(scheme, different, limits)
    _check_together(before, accepted, limits, without=gone)
    return FrozenDict({**accepted, **gone})


def for_good(process: Process, name: str, value: Any, limits: Limits) -> Parameters:
    """One value that an operator sets outside of a walk; None removes it. ParameterError if it may not be."""
    check_name(name)
    refuse_system_names([name])
    spec = process.pinned.parameter(name)
    if value is not None and spec is not None and spec.purpose is not Purpose.PERSISTENCE:
        text = f"{name!r} is declared temporary: it lives for a run and is not stored; hand it in with a command or set_activity, or declare it persistent"
        raise ParameterError(text, code="not_persistent", parameter=name)
    return changed(process.parameters, {**process.parameters, name: value}, process.pinned, limits)


def _same(one: Any, other: Any) -> bool:
    """Equal and of the same types all the way down: 1, 1.0 and True are three values, 1.0 and 1.00 two decimals."""
    if type(one) is not type(other):
        return False
    if isinstance(one, dict):
        return list(one) == list(other) and all(_same(one[key], other[key]) for key in one)
    if isinstance(one, list):
        return len(one) == len(other) and all(map(_same, one, other))
    return one.compare_total(other) == 0 if isinstance(one, Decimal) else bool(one == other)


def _check_together(present: Mapping[str, Any], new: Mapping[str, Any], limits: Limits, *, without: Collection[str] = ()) -> None:
    """The limits are those of the whole process: ParameterError before anything is written."""
    if new and present:
        merged = {name: value for name, value in {**present, **new}.items() if name not in without and value is not None}
        check_parameters(merged, limits=limits)


def _accepted(scheme: Scheme, given: Mapping[str, Any], limits: Limits) -> dict[str, Any]:
    if not given:
        return {}
    refuse_system_names(given)
    checked = check_parameters(given, limits=limits)
    return {name: _converted(scheme, name, value) for name, value in checked.items()}


def _converted(scheme: Scheme, name: str, value: Any) -> Any:
    spec = scheme.parameter(name)
    if spec is None or value is None:
        return value
    try:
        return types.convert(value, spec.type)
    except ParameterError as error:
        raise ParameterError(f"parameter {name!r}: {error.message}", **{**error.nouns, "parameter": name}) from error


def refuse_system_names(names: Collection[str]) -> None:
    """System parameters are the engine's: ParameterError when one is set from outside."""
    if taken := sorted(name for name in names if name in SYSTEM):
        raise ParameterError(f"{taken[0]!r} is a system parameter; it cannot be set", code="bad_name", parameter=taken[0])


def _default(scheme: Scheme, wanted: CommandInput) -> Any:
    if wanted.default is None:
        return None
    spec = scheme.parameter(wanted.parameter)
    return types.read_written(wanted.default, spec.type if spec else "any")


def _merged(*layers: Mapping[str, Any]) -> Parameters:
    merged: dict[str, Any] = {}
    for layer in layers:
        merged.update(layer)
    return FrozenDict({name: value for name, value in merged.items() if value is not None})
