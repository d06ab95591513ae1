"""Compiled schemes: read from the store once, kept by version, shared by all threads."""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict
from collections.abc import Callable, Collection, Iterator
from contextlib import suppress
from dataclasses import dataclass, field

from workflow_runtime.core.expression import Expression, compile_expression
from workflow_runtime.core.machine import Machine
from workflow_runtime.core.reachability import quiet_timers
from workflow_runtime.core.scheme import Scheme
from workflow_runtime.core.scheme_elements import ActionRef, Condition
from workflow_runtime.core.scheme_words import ConditionType, SchemeKey
from workflow_runtime.errors import SchemeError, SchemeNotFound, StoreError

logging.getLogger("transitions").setLevel(logging.WARNING)  # it tells of every decision at INFO

MOST_KEPT = 256  #: versions in memory


@dataclass(frozen=True, slots=True, kw_only=True)
class Compiled:
    """One version, ready to run."""

    scheme: Scheme
    machine: Machine
    expressions: dict[str, Expression]  #: by source text
    dotted_names: frozenset[str]
    quiet_timers: frozenset[str]  #: behind which nothing is executed

    @classmethod
    def of(cls, scheme: Scheme) -> Compiled:
        """SchemeError and ExpressionError have been found before, by ``problems``."""
        dotted = frozenset(spec.name for spec in scheme.parameters if not spec.name.isidentifier())
        sources = {condition.expression for condition in conditions(scheme) if condition.type is ConditionType.EXPRESSION}
        compiled = {source: compile_expression(source, dotted_names=dotted) for source in sources}
        return cls(scheme=scheme, machine=Machine(scheme), expressions=compiled, dotted_names=dotted, quiet_timers=quiet_timers(scheme))


def conditions(scheme: Scheme) -> Iterator[Condition]:
    for transition in scheme.transitions:
        yield from transition.conditions


def actions(scheme: Scheme) -> Iterator[ActionRef]:
    for activity in scheme.activities:
        yield from activity.implementation


def unbound(scheme: Scheme, known_actions: Collection[str] | None, known_conditions: Collection[str]) -> list[str]:
    """The actions and conditions a version needs and this server lacks: it neither adopts nor fires for it.

    ``known_actions`` None: missing actions do not matter, they do nothing.
    """
    wanted = set() if known_actions is None else {ref.name for ref in actions(scheme)} - set(known_actions)
    named = {condition.name for condition in conditions(scheme) if condition.type is ConditionType.ACTION}
    return sorted(wanted | (named - set(known_conditions)))


@dataclass(slots=True)
class SchemeCache:
    """``load`` reads a version from the store: SchemeNotFound, SchemeError. Thread-safe."""

    load: Callable[[SchemeKey], Scheme]
    _kept: OrderedDict[SchemeKey, Compiled] = field(default_factory=OrderedDict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def get(self, key: SchemeKey) -> Compiled:
        kept = self._kept.get(key)
        if kept is not None:
            self._used(key)
            return kept
        try:
            return self._keep(key, Compiled.of(self.load(key)))
        except (SchemeNotFound, SchemeError, StoreError):
            raise
        except Exception as error:
            raise SchemeError(f"the scheme {key.code!r} in version {key.version[:12]} cannot be read: {error}") from error

    def _used(self, key: SchemeKey) -> None:
        """Noted only where some version may soon have to go."""
        if len(self._kept) > MOST_KEPT // 2:
            with self._lock, suppress(KeyError):
                self._kept.move_to_end(key)

    def quiet_timers(self, versions: Collection[str]) -> set[tuple[str, str]]:
        """Version and name; of versions that are in memory. Nothing is read."""
        with self._lock:
            kept = [(key.version, self._kept[key]) for key in self._kept if key.version in versions]
        return {(version, name) for version, compiled in kept for name in compiled.quiet_timers}

    def put(self, scheme: Scheme) -> Compiled:
        return self._keep(scheme.key, Compiled.of(scheme))

    def _keep(self, key: SchemeKey, compiled: Compiled) -> Compiled:
        """Under the key it was stored with: a later release may compute another digest for an old text."""
        with self._lock:
            kept = self._kept.setdefault(key, compiled)
            while len(self._kept) > MOST_KEPT:
                self._kept.popitem(last=False)
            return kept

    def readable(self, key: SchemeKey) -> Scheme | None:
        """The scheme, or None where it cannot be read: for showing a process that nothing else can be done with."""
        try:
            return self.get(key).scheme
        except (SchemeNotFound, SchemeError):
            return None
