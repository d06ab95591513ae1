"""Building a runtime: what it is given before it starts. Each ``with_*`` and ``as_*`` returns the runtime."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Mapping
from typing import Any, Self, TypeVar

from workflow_runtime.core.restoring import IProcessRestorer
from workflow_runtime.engine.clock import Clock, SystemClock
from workflow_runtime.errors import RegistrationError
from workflow_runtime.hooks import ExternalParameters
from workflow_runtime.registry import AnyFunction, Registry
from workflow_runtime.runtime.sources import SchemeSource

F = TypeVar("F", bound=AnyFunction)

DEFAULT_URL = "sqlite:///workflow.db"


class Builder:
    """``url`` None: the environment's WORKFLOW_RUNTIME_URL, else ``sqlite:///workflow.db``. ``clock`` replaces all clocks, for tests."""

    def __init__(self, url: str | None = None, *, clock: Clock | None = None) -> None:
        self._url = url or os.environ.get("WORKFLOW_RUNTIME_URL") or DEFAULT_URL
        self._clock: Clock = clock or SystemClock()
        self._sources: list[tuple[SchemeSource, str | None]] = []
        self._registry = Registry()
        self._restorers: list[IProcessRestorer] = []
        self._providers: list[ExternalParameters] = []
        self._plugins: list[object] = []
        self._folders: list[str | os.PathLike[str]] = []
        self._given: dict[str, Any] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._mode = "single"
        self._name: str | None = None
        self._sealed = False

    # ------------------------------------------------------------------ with_*

    def with_schemes(self, *sources: SchemeSource) -> Self:
        """Files, folders (not recursive), texts or Schemes; read and checked in ``start()``."""
        self._open()
        self._sources.extend((source, None) for source in sources)
        return self

    def with_actions(self, actions: Mapping[str, AnyFunction]) -> Self:
        """Name -> ``action(ctx, parameter)`` or an ActionSpec."""
        return self._each(actions, self._registry.add_action)

    def with_conditions(self, conditions: Mapping[str, AnyFunction]) -> Self:
        """Name -> ``condition(ctx, parameter)``."""
        return self._each(conditions, self._registry.add_condition)

    def with_rules(self, rules: Mapping[str, AnyFunction | tuple[AnyFunction, AnyFunction | None]]) -> Self:
        """Name -> ``check(process, identity, parameter)`` or ``(check, identities)``."""
        return self._each(rules, self._registry.add_rule)

    def with_registry(self, registry: Registry) -> Self:
        """All names of a blueprint. RegistrationError where one is taken."""
        self._each(registry.actions, self._registry.add_action)
        self._each(registry.conditions, self._registry.add_condition)
        return self._each(registry.rules, self._registry.add_rule)

    def with_plugin(self, plugin: object) -> Self:
        """An object or module with hooks; PluginError in ``start()`` if it does not fit."""
        self._open()
        self._plugins.append(plugin)
        return self

    def with_plugins_folder(self, path: str | os.PathLike[str]) -> Self:
        """A folder of plugins, one file or package each; a broken one is reported and the others load."""
        self._open()
        self._folders.append(path)
        return self

    def with_process_restorer(self, restorer: IProcessRestorer) -> Self:
        """Asked before those of plugins, in the order given."""
        self._open()
        self._restorers.append(restorer)
        return self

    def with_external_parameters(self, provider: ExternalParameters) -> Self:
        """``provider(process, name)`` gives values that are never stored; LookupError: not mine."""
        self._open()
        self._providers.append(provider)
        return self

    def with_settings(self, **settings: Any) -> Self:
        """Settings by name; unknown ones are refused in ``start()``."""
        self._open()
        self._given.update(settings)
        return self

    def with_event_loop(self, loop: asyncio.AbstractEventLoop) -> Self:
        """Where async actions run that no ``runtime.aio`` call waits for."""
        self._open()
        self._loop = loop
        return self

    # ------------------------------------------------------------------ as_*

    def as_single_server(self, name: str | None = None) -> Self:
        """The only server of its database (the default). ``name`` is a label."""
        return self._as("single", name)

    def as_multi_server(self, name: str | None = None) -> Self:
        """One of any number of servers over one PostgreSQL, MariaDB or MySQL database: what one leaves behind the others take over. ``name`` is a label."""
        return self._as("multi", name)

    def as_client(self) -> Self:
        """Reads, plans recovery, does operator verbs; executes nothing. Needs no lock and changes no schema."""
        return self._as("client", None)

    # ------------------------------------------------------------------ decorators

    def action(self, name: str | None = None, **options: Any) -> Callable[[F], F]:
        """Registers an action; options as in ``Registry.action``: journal, resumable."""
        self._open()
        return self._registry.action(name, **options)

    def condition(self, name: str | None = None) -> Callable[[F], F]:
        """Registers a condition."""
        self._open()
        return self._registry.condition(name)

    def rule(self, name: str | None = None, *, identities: AnyFunction | None = None) -> Callable[[F], F]:
        """Registers a rule and, if given, who its people are."""
        self._open()
        return self._registry.rule(name, identities=identities)

    # ------------------------------------------------------------------ common

    def _as(self, mode: str, name: str | None) -> Self:
        self._open()
        self._mode, self._name = mode, name
        return self

    def _each(self, names: Mapping[str, Any], add: Callable[[str, Any], None]) -> Self:
        self._open()
        for name, value in names.items():
            add(name, value)
        return self

    def _open(self) -> None:
        if self._sealed:
            raise RegistrationError("the runtime has started; register everything before start()")
