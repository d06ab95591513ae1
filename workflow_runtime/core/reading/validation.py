"""The neutral document to its model: unknown keys with the near name, wrong values with what was expected, all at once."""

from __future__ import annotations

import types
from dataclasses import dataclass
from functools import lru_cache
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import ValidationError

from workflow_runtime.core.nearness import nearest
from workflow_runtime.core.reading.document import Doc, SchemeDoc
from workflow_runtime.core.reading.findings import Findings, quoted
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
    hint = nearest(found, _words(str(expected))) if kind == "literal_error" and isinstance(found, str) else ""
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


@dataclass(frozen=True, slots=True)
class _Forms:
    """What a value may be: the items of its list, the entries of its mapping, the models of a mapping with fixed keys."""

    item: _Forms | None = None
    entry: _Forms | None = None
    models: tuple[type[Doc], ...] = ()

    def model(self, value: dict[str, Any]) -> type[Doc] | None:
        """The model that a mapping is meant to be: one with a marker that is present, else the one without; None for free entries."""
        for model in self.models:
            if model.markers & value.keys():
                return model
        return None if self.entry else next((model for model in self.models if not model.markers), None)


@lru_cache(maxsize=64)
def _keys(model: type[Doc]) -> dict[str, _Forms]:
    """The keys of a model and what may stand under them."""
    return {info.alias or name: _forms(info.annotation) for name, info in model.model_fields.items()}


def _forms(annotation: Any) -> _Forms:
    members = _members(annotation)
    items = [get_args(member)[0] for member in members if get_origin(member) is list]
    entries = [get_args(member)[1] for member in members if get_origin(member) is dict]
    return _Forms(
        item=_forms(items[0]) if items else None,
        entry=_forms(entries[0]) if entries else None,
        models=tuple(member for member in members if isinstance(member, type) and issubclass(member, Doc)),
    )


def _members(annotation: Any) -> tuple[Any, ...]:
    """The members of a union, unwrapped; the annotation itself when it is none."""
    origin = get_origin(annotation)
    if origin is Annotated:
        return _members(get_args(annotation)[0])
    if origin in (Union, types.UnionType):
        return tuple(member for argument in get_args(annotation) for member in _members(argument))
    return (annotation,)


class _Sift:
    """Takes unknown keys out before the model sees them: strict reading refuses them, soft reading keeps them in ``extra``."""

    def __init__(self, neutral: Neutral, findings: Findings) -> None:
        self.neutral = neutral
        self.findings = findings

    def value(self, value: Any, forms: _Forms, path: Path, keeper: dict[str, Any]) -> None:
        if isinstance(value, list):
            for index, item in enumerate(value if forms.item else ()):
                self.value(item, forms.item or forms, (*path, index), keeper)
        elif isinstance(value, dict):
            model = forms.model(value)
            if model is not None:
                self.model(value, model, path, value if "extra" in _keys(model) else keeper)
            for key, item in value.items() if model is None and forms.entry else ():
                self.value(item, forms.entry or forms, (*path, key), keeper)

    def model(self, value: dict[str, Any], model: type[Doc], path: Path, keeper: dict[str, Any]) -> None:
        keys = _keys(model)
        for key in list(value):
            if key in keys:
                self.value(value[key], keys[key], (*path, key), keeper)
            elif model.model_config.get("extra") != "allow":
                self.unknown(key, value.pop(key), path, keys, keeper)

    def unknown(self, key: str, value: Any, path: Path, keys: dict[str, _Forms], keeper: dict[str, Any]) -> None:
        message = f"found the unknown key {quoted(key)} in {described(path)}, expected one of {', '.join(sorted(keys))}"
        self.findings.unknown("unknown_key", message, self.neutral.place((*path, key)), nearest(key, keys))
        extra = keeper.get("extra")
        if not isinstance(extra, dict):
            extra = keeper["extra"] = {}
        extra.setdefault(key, value if isinstance(value, str) else canonical_json(value))
