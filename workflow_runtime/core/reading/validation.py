"""The neutral document to its model: unknown keys with the near name, wrong values with what was expected, all at once."""

from __future__ import annotations

import types
from functools import lru_cache
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError

from workflow_runtime.core.reading.document import SchemeDoc
from workflow_runtime.core.reading.findings import Findings, near, quoted
from workflow_runtime.core.reading.limits import MAX_ACTIVITIES, MAX_TRANSITIONS
from workflow_runtime.core.reading.neutral import Neutral, Path, canonical_json

# What pydantic calls a mistake -> our code and what was expected. The rest keeps pydantic's words.
_EXPECTED = {
    "string_type": "a text; put it in quotes",
    "bool_type": "true or false",
    "int_type": "a whole number",
    "float_type": "a number",
    "list_type": "a list",
    "dict_type": "a mapping",
    "model_type": "a mapping",
}


def validated(neutral: Neutral, findings: Findings) -> SchemeDoc | None:
    """The document, or None when there are errors; they stand in the findings."""
    if not isinstance(neutral.data, dict):
        findings.fatal("wrong_type", f"found {_shown(neutral.data)}, expected a mapping with the keys of a scheme", neutral.place(()))
    _check_counts(neutral, findings)
    _Sift(neutral, findings).model(neutral.data, SchemeDoc, (), neutral.data)
    try:
        return SchemeDoc.model_validate(neutral.data)
    except ValidationError as error:
        for mistake in error.errors(include_url=False):
            _report(dict(mistake), neutral, findings)
    return None


def _check_counts(neutral: Neutral, findings: Findings) -> None:
    for key, most in (("activities", MAX_ACTIVITIES), ("transitions", MAX_TRANSITIONS)):
        section = neutral.data.get(key)
        if isinstance(section, dict | list) and len(section) > most:
            findings.fatal("too_many", f"found {len(section):,} {key}, expected at most {most:,}", neutral.place((key,)))


def described(path: Path) -> str:
    """A path as messages show it: activities.Review.actions[1]."""
    text = "".join(f"[{part + 1}]" if isinstance(part, int) else f".{part[:80]}" for part in path)
    return text.lstrip(".") or "the scheme"


def _shown(value: Any) -> str:
    if value is None:
        return "nothing"
    return "a mapping" if isinstance(value, dict) else "a list" if isinstance(value, list) else quoted(value)


def _report(mistake: dict[str, Any], neutral: Neutral, findings: Findings) -> None:
    path = _existing(mistake["loc"], neutral)
    place = neutral.place(path)
    found, kind, context = mistake["input"], mistake["type"], mistake.get("ctx", {})
    if kind == "missing":
        findings.error("missing_key", f"found no {mistake['loc'][-1]!r} in {described(path)}, expected it here", place)
        return
    expected = _EXPECTED.get(kind) or context.get("expected") or str(mistake["msg"]).removeprefix("expected ")
    hint = near(found, _words(str(expected))) if kind == "literal_error" and isinstance(found, str) else ""
    code = "wrong_type" if kind in _EXPECTED or kind == "wrong_type" else "bad_value"
    findings.error(code, f"found {_shown(found)} in {described(path)}, expected {expected}", place, hint)


def _words(expected: str) -> list[str]:
    return expected.replace(" or ", ", ").replace("'", "").split(", ")


def _existing(loc: tuple[str | int, ...], neutral: Neutral) -> Path:
    """The part of an error's path that stands in the text; tags of unions and missing keys do not."""
    path: Path = ()
    value = neutral.data
    for part in loc:
        inside = part in value if isinstance(value, dict) else isinstance(value, list) and isinstance(part, int)
        if inside:
            value, path = value[part], (*path, part)
    return path


@lru_cache(maxsize=64)
def _keys(model: type[BaseModel]) -> dict[str, Any]:
    return {info.alias or name: info.annotation for name, info in model.model_fields.items()}


@lru_cache(maxsize=256)
def _members(annotation: Any) -> tuple[Any, ...]:
    """The members of a union, unwrapped; the annotation itself when it is none."""
    origin = get_origin(annotation)
    if origin is Annotated:
        return _members(get_args(annotation)[0])
    if origin in (Union, types.UnionType):
        return tuple(member for argument in get_args(annotation) for member in _members(argument))
    return (annotation,)


def _meant(annotation: Any, value: Any) -> Any:
    """The member that a mapping or list is meant to be; a model with a marker that is present comes first."""
    members = _members(annotation)
    if isinstance(value, list):
        return next((member for member in members if get_origin(member) is list), None)
    models = [member for member in members if isinstance(member, type) and issubclass(member, BaseModel)]
    marked = [model for model in models if getattr(model, "markers", frozenset()) & value.keys()]
    plain = [member for member in members if get_origin(member) is dict] + [model for model in models if not getattr(model, "markers", None)]
    return next(iter([*marked, *plain]), None)


class _Sift:
    """Takes unknown keys out before the model sees them: strict reading refuses them, soft reading keeps them in ``extra``."""

    def __init__(self, neutral: Neutral, findings: Findings) -> None:
        self.neutral = neutral
        self.findings = findings

    def value(self, value: Any, annotation: Any, path: Path, keeper: dict[str, Any]) -> None:
        if not isinstance(value, dict | list):
            return
        meant = _meant(annotation, value)
        if isinstance(value, list):
            for index, item in enumerate(value if meant else ()):
                self.value(item, get_args(meant)[0], (*path, index), keeper)
        elif get_origin(meant) is dict:
            for key, item in value.items():
                self.value(item, get_args(meant)[1], (*path, key), keeper)
        elif meant is not None:
            self.model(value, meant, path, value if "extra" in _keys(meant) else keeper)

    def model(self, value: dict[str, Any], model: type[BaseModel], path: Path, keeper: dict[str, Any]) -> None:
        keys = _keys(model)
        for key in list(value):
            if key in keys:
                self.value(value[key], keys[key], (*path, key), keeper)
            elif model.model_config.get("extra") != "allow":
                self.unknown(key, value.pop(key), path, keys, keeper)

    def unknown(self, key: str, value: Any, path: Path, keys: dict[str, Any], keeper: dict[str, Any]) -> None:
        message = f"found the unknown key {quoted(key)} in {described(path)}, expected one of {', '.join(sorted(keys))}"
        self.findings.unknown("unknown_key", message, self.neutral.place((*path, key)), near(key, keys))
        extra = keeper.get("extra")
        if not isinstance(extra, dict):
            extra = keeper["extra"] = {}
        extra.setdefault(key, value if isinstance(value, str) else canonical_json(value))
