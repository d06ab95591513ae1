"""How a plugin's code comes in: which files of a folder count, and how one of them is imported.

Law: what was only found may be broken, it is reported and the others load; what was named by the host
may not, it raises PluginError.

==============================  ===================================================================
found in a plugins folder       is
==============================  ===================================================================
``name.py``, ``name/__init__``  a plugin, in sorted order
``_name``, ``.name``            left alone (templates, caches, editors' files)
anything else                   left alone
a link that leads out           refused: its real path must lie inside the folder
writable by everybody           refused: whoever may write it would run code as this server
==============================  ===================================================================

A file is imported under a parent package that exists in memory only, one per folder and loading, so that
relative imports work and two runtimes never exchange modules.
"""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import itertools
import logging
import os
import stat
import sys
import traceback
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import pluggy

from workflow_runtime.catalogue import Level, Source, read_answers
from workflow_runtime.core.nearness import did_you_mean
from workflow_runtime.core.process import Process
from workflow_runtime.errors import PluginError, WorkflowError
from workflow_runtime.hooks import PROJECT, ErrorDecision, HookSpecs
from workflow_runtime.registry import GIVEN

__all__ = ["Found", "PluginRecord", "Plugins", "broke_at", "find", "loader_of", "new_parent", "single_file"]

BUILT_IN = "workflow_runtime.plugins"  #: the package of this project's own plugins

log = logging.getLogger(__name__)
_MARK = f"{PROJECT}_impl"  #: what @hookimpl leaves on a function
_KNOWN = tuple(name for name in vars(HookSpecs) if not name.startswith("_"))

_numbers = itertools.count(1)  # a name is never used twice, whichever runtime asks


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """One plugin of a folder: ``file`` is what Python executes, ``refused`` why it must not."""

    name: str
    file: Path
    refused: str = ""


def find(folder: Path, *, trusted: bool = False) -> list[Found]:
    """The plugins of a folder, sorted by name. PluginError where the folder itself cannot be used.

    ``trusted`` leaves out the question who may write: for the folder of this package, whose writers need no plugin.
    """
    real = _real_folder(folder)
    if not trusted:
        _refuse_shared(folder, real)
    return [_examined(entry, file, real, trusted) for entry in sorted(real.iterdir()) if (file := _entry_file(entry)) is not None]


def single_file(path: Path) -> Found:
    """A file that was named itself, underscore or not. PluginError where it may not be used."""
    if path.suffix != ".py" or not path.is_file():
        raise PluginError(f"{path} is no plugin; expected a folder or a file that ends with .py", path=str(path))
    real = path.resolve()
    for place in (real, real.parent):
        if _anyone_may_write(place):
            raise PluginError(f"{place} can be written by everybody; take that right away (chmod o-w {place})", path=str(path))
    return Found(name=path.stem, file=real)


def new_parent(folder: Path) -> str:
    """An empty parent package for the files of one folder; its name is new."""
    name = f"workflow_runtime_plugins_{next(_numbers)}"
    parent = ModuleType(name, f"Plugins of {folder}.")
    parent.__path__ = []
    sys.modules[name] = parent
    return name


def loader_of(found: Found, parent: str) -> Callable[[], Any]:
    """A function that imports the file and returns the module, or raises what the file raised."""

    def load() -> ModuleType:
        if found.refused:
            raise PluginError(found.refused, path=str(found.file))
        return _import_file(f"{parent}.{found.name}", found.file)

    return load


def broke_at(error: BaseException, file: Path | None) -> str:
    """The message of an error in one line, with the plugin's file and the line of it that is to blame, where they are known."""
    text = error.message if isinstance(error, WorkflowError) else f"{type(error).__name__}: {' '.join(_message(error).split())}"
    line = _line_in(error, file)
    if file is None or (not line and str(file) in text):
        return text
    return f"{text} ({file}:{line})" if line else f"{text} ({file})"


def _message(error: BaseException) -> str:
    return error.msg if isinstance(error, SyntaxError) else str(error)


def _line_in(error: BaseException, file: Path | None) -> int:
    if isinstance(error, SyntaxError) and error.filename == str(file):
        return error.lineno or 0
    lines = [number for frame, number in traceback.walk_tb(error.__traceback__) if frame.f_code.co_filename == str(file)]
    return lines[-1] if lines else getattr(error, "line", 0)


def _import_file(name: str, file: Path) -> ModuleType:
    inside = [str(file.parent)] if file.name == "__init__.py" else None
    spec = importlib.util.spec_from_file_location(name, file, submodule_search_locations=inside)
    assert spec is not None, "a file that ends with .py has a loader"
    assert spec.loader is not None, "a file that ends with .py has a loader"
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:  # half a module must not be found by the next import
        for left in [known for known in sys.modules if known == name or known.startswith(f"{name}.")]:
            del sys.modules[left]
        raise
    return module


def _real_folder(folder: Path) -> Path:
    if not folder.is_dir():
        what = "is not a folder" if folder.exists() else "does not exist"
        raise PluginError(f"the plugins folder {folder} {what}; expected a folder with one .py file per plugin", path=str(folder))
    return folder.resolve()


def _refuse_shared(folder: Path, real: Path) -> None:
    for place in (real, real / "__pycache__"):  # Python would run a planted cache file too
        if place.exists() and _anyone_may_write(place, sticky_is_safe=False):
            raise PluginError(f"the plugins folder {place} can be written by everybody; take that right away (chmod o-w {place})", path=str(folder))


def _entry_file(entry: Path) -> Path | None:
    if entry.name.startswith(("_", ".")):
        return None
    if entry.is_dir():
        return entry / "__init__.py" if (entry / "__init__.py").is_file() else None
    return entry if entry.suffix == ".py" else None


def _examined(entry: Path, file: Path, folder: Path, trusted: bool) -> Found:
    refused = next((reason for place in _places(entry) if (reason := _objection(place, folder, trusted))), "")
    return Found(name=entry.stem if entry == file else entry.name, file=file if refused else file.resolve(), refused=refused)


def _places(entry: Path) -> Iterator[Path]:
    yield entry
    if entry.is_dir():
        yield from sorted(entry.rglob("*"))


def _objection(place: Path, folder: Path, trusted: bool) -> str:
    if not place.exists():
        return f"{place} is a link that leads nowhere; remove it"
    if not place.resolve().is_relative_to(folder):
        return f"{place} is a link that leads out of the plugins folder, to {place.resolve()}; put the file itself there"
    if not trusted and _anyone_may_write(place, sticky_is_safe=False):
        return f"{place} can be written by everybody; take that right away (chmod o-w {place})"
    return ""


def _anyone_may_write(place: Path, *, sticky_is_safe: bool = True) -> bool:
    """Under the sticky bit (/tmp) strangers may add files, but not replace this one."""
    if os.name != "posix":  # other systems do not tell it in the mode
        return False
    mode = place.stat().st_mode
    return bool(mode & stat.S_IWOTH) and not (sticky_is_safe and stat.S_ISDIR(mode) and mode & stat.S_ISVTX)


@dataclass(frozen=True, slots=True, kw_only=True)
class PluginRecord:
    """One plugin as ``wfr plugins`` shows it. It is in use where neither ``error`` nor ``left_out`` says why not."""

    name: str
    origin: str  #: no two are alike
    level: Level
    file: str = ""
    version: str = ""  #: of its distribution, where it has one
    hooks: tuple[str, ...] = ()  #: the hooks it implements
    error: str = ""  #: what broke, with file and line
    left_out: str = ""  #: the switch that keeps it out


class Plugins:
    """The plugins of one runtime. It owns its plugin manager: two runtimes in a process know nothing of each other.

    ``allow`` and ``block`` are plugin names, also as one text with commas. ``allow`` leaves out every other plugin of
    folders and entry points; ``block`` keeps out built-in ones too. What the host names itself obeys neither.
    """

    def __init__(self, *, allow: str | Collection[str] | None = None, block: str | Collection[str] | None = None) -> None:
        self._manager = pluggy.PluginManager(PROJECT)
        self._manager.add_hookspecs(HookSpecs)
        self._allow = None if allow is None else _names(allow)
        self._block = _names(block or ())
        self._records: dict[str, PluginRecord] = {}
        self._named: set[str] = set()  #: origins of those that the host named itself: they may not be broken
        self._order: dict[str, list[pluggy.HookImpl]] = {}

    def add_object(self, plugin: object, name: str | None = None) -> None:
        """An object with hooks, or a module. PluginError where it does not fit or has no hook."""
        own = name or str(getattr(plugin, "__name__", type(plugin).__name__))
        taken = sum(record.name.partition("#")[0] == own for record in self._records.values() if record.level is Level.RUNTIME)
        own = f"{own}#{taken + 1}" if taken else own
        self._add(PluginRecord(name=own, origin=f"{GIVEN}: {own}", level=Level.RUNTIME), lambda: _with_hooks(plugin), named=True)

    def add_folder(self, path: str | os.PathLike[str]) -> None:
        """Every plugin of a folder; a broken one is reported. A single file may be named too: then it may not be broken."""
        place = Path(path)
        if not place.is_dir() and place.exists():
            found = single_file(place)
            self._add(_of_folder(found), loader_of(found, new_parent(place.parent)), named=True)
            return
        everything = find(place)
        parent = new_parent(place)
        for found in everything:
            self._add(_of_folder(found), loader_of(found, parent))

    def add_entry_points(self) -> None:
        """The installed distributions that name a plugin under the entry-point group ``workflow_runtime``."""
        from importlib.metadata import entry_points  # it costs 20 ms, which clients without plugins need not pay

        for entry in sorted(entry_points(group=PROJECT), key=lambda entry: (entry.name, entry.value)):
            distribution = f" of {entry.dist.name} {entry.dist.version}" if entry.dist else ""
            origin = f"entry point {entry.name} = {entry.value}{distribution}"
            version = entry.dist.version if entry.dist else ""
            self._add(PluginRecord(name=entry.name, origin=origin, level=Level.ENTRY_POINT, version=version), entry.load)

    def add_builtin(self) -> None:
        """The plugins that come with this package, found as in any folder; imported under their own names."""
        spec = importlib.util.find_spec(BUILT_IN)
        for folder in (spec and spec.submodule_search_locations) or ():
            for found in find(Path(folder), trusted=True):
                record = PluginRecord(name=found.name, origin=f"built in: {found.name}", level=Level.BUILT_IN, file=str(found.file))
                self._add(record, partial(importlib.import_module, f"{BUILT_IN}.{found.name}"))

    def report(self) -> list[PluginRecord]:
        """Every plugin that was met, in the order in which they are asked."""
        return sorted(self._records.values(), key=lambda record: record.level)

    def sources(self) -> list[Source]:
        """What the gathering hooks of each plugin answer now. PluginError for a bad answer of a plugin named by the host."""
        working = [record for record in self.report() if not (record.error or record.left_out)]
        return [source for record in working if (source := self._gathered(record)) is not None]

    def notify(self, event: str, /, **arguments: Any) -> None:
        """Tell all listeners of an event. One that raises is logged; the others still hear it."""
        for listener in self.listeners(event):
            try:
                _call(listener, arguments)
            except Exception:
                log.exception("the plugin %r raised in %s", listener.plugin_name, event)

    def ask_error(self, process: Process, error: BaseException) -> ErrorDecision | None:
        """The first decision about a failure; None where nobody decides. What is no decision is logged and passed over."""
        for listener in self.listeners("workflow_error"):
            try:
                answer = _call(listener, {"process": process, "error": error})
            except Exception:
                log.exception("the plugin %r raised in workflow_error", listener.plugin_name)
                continue
            if isinstance(answer, ErrorDecision):
                return answer
            if answer is not None:
                log.error("the plugin %r answered workflow_error with %.200r; expected an ErrorDecision or None", listener.plugin_name, answer)
        return None

    def _add(self, record: PluginRecord, load: Callable[[], Any], *, named: bool = False) -> None:
        if record.origin in self._records:
            if named:
                raise PluginError(f"the plugin {record.name!r} is there already ({record.origin}); name it once", plugin=record.name)
            return
        left_out = "" if named else self._left_out(record)
        if left_out:
            self._records[record.origin] = replace(record, left_out=left_out)
            return
        try:
            hooks = self._register(load(), record.origin)
        except Exception as error:
            self._broken(record, error, named)
        else:
            self._records[record.origin] = replace(record, hooks=hooks)
            if named:
                self._named.add(record.origin)

    def _left_out(self, record: PluginRecord) -> str:
        if record.name in self._block:
            return "WORKFLOW_RUNTIME_PLUGINS_BLOCK names it"
        if self._allow is not None and record.level is not Level.BUILT_IN and record.name not in self._allow:
            return "WORKFLOW_RUNTIME_PLUGINS_ALLOW does not name it"
        return ""

    def _register(self, loaded: Any, key: str) -> tuple[str, ...]:
        plugin = getattr(loaded, "plugin", loaded)
        if isinstance(plugin, type):
            raise PluginError(f"{plugin.__name__} is a class; expected an object: {plugin.__name__}(...)")
        _refuse_unmarked(plugin)
        self._order.clear()
        self._manager.register(plugin, key)
        hooks = sorted((hook for hook in vars(self._manager.hook).values() if _of(hook, key)), key=lambda hook: hook.name)
        for hook in hooks:
            _check_hook(hook, _of(hook, key))
        return tuple(hook.name for hook in hooks)

    def _broken(self, record: PluginRecord, error: Exception, named: bool) -> None:
        self._order.clear()
        if self._manager.has_plugin(record.origin):
            self._manager.unregister(name=record.origin)
        file = Path(record.file) if record.file else None
        reason = broke_at(error, file)
        if named:
            raise PluginError(f"the plugin {record.name!r} cannot be used: {reason}", plugin=record.name, file=record.file) from error
        self._records[record.origin] = replace(record, error=reason)
        log.warning("the plugin %r (%s) is not in use: %s", record.name, record.origin, reason)

    def _gathered(self, record: PluginRecord) -> Source | None:
        try:
            hooks = [getattr(self._manager.hook, name) for name in record.hooks if name.startswith("register_")]
            answers = [(hook.name, answer) for hook in hooks for listener in _of(hook, record.origin) if (answer := _call(listener, {})) is not None]
            return read_answers(answers, level=record.level, origin=record.origin, version=record.version)
        except Exception as error:
            self._broken(record, error, record.origin in self._named)
            return None

    def listeners(self, event: str) -> list[pluggy.HookImpl]:
        if event not in self._order:
            rank = {record.origin: place for place, record in enumerate(self.report())}
            found = [listener for listener in getattr(self._manager.hook, event).get_hookimpls() if not _is_wrapper(listener)]
            self._order[event] = sorted(found, key=lambda listener: (listener.trylast - listener.tryfirst, rank[listener.plugin_name]))
        return self._order[event]


def _names(given: str | Collection[str]) -> frozenset[str]:
    return frozenset(name.strip() for name in (given.split(",") if isinstance(given, str) else given) if name.strip())


def _of_folder(found: Found) -> PluginRecord:
    return PluginRecord(name=found.name, origin=f"plugins folder: {found.file}", level=Level.FOLDER, file=str(found.file))


def _with_hooks(plugin: object) -> object:
    offered = getattr(plugin, "plugin", plugin)
    if not isinstance(offered, type) and not any(hasattr(inspect.getattr_static(offered, name), _MARK) for name in dir(offered)):
        raise PluginError(f"{plugin!r} has no hook; mark its functions with @hookimpl")
    return plugin


def _refuse_unmarked(plugin: object) -> None:
    """A function that is named like a hook and not marked would never be called, and nobody would know why."""
    for name in _KNOWN:
        function = inspect.getattr_static(plugin, name, None)
        if inspect.isfunction(function) and not hasattr(function, _MARK):
            raise PluginError(f"{name}() has the name of a hook and no mark; did you forget @hookimpl?", hook=name, line=function.__code__.co_firstlineno)


def _of(hook: pluggy.HookCaller, key: str) -> list[pluggy.HookImpl]:
    """The implementations of one plugin; wrappers stand around nothing here and are passed over."""
    return [found for found in hook.get_hookimpls() if found.plugin_name == key and not _is_wrapper(found)]


def _is_wrapper(listener: pluggy.HookImpl) -> bool:
    return bool(listener.wrapper or listener.hookwrapper)


def _call(listener: pluggy.HookImpl, arguments: Mapping[str, Any]) -> Any:
    return listener.function(*(arguments[name] for name in listener.argnames))


def _check_hook(hook: pluggy.HookCaller, found: list[pluggy.HookImpl]) -> None:
    for function in (implementation.function for implementation in found if not (implementation.optionalhook and not hook.has_spec())):
        line = getattr(getattr(function, "__code__", None), "co_firstlineno", 0)
        if not hook.has_spec():
            raise PluginError(f"there is no hook {hook.name!r}{did_you_mean(hook.name, _KNOWN)}", hook=hook.name, line=line)
        if inspect.iscoroutinefunction(function):
            raise PluginError(f"the hook {hook.name!r} is async, but hooks are called synchronously; write it with def", hook=hook.name, line=line)
