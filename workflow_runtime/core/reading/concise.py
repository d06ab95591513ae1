"""The document as a person writes it: the shortest form of each part that reads back as the same."""

from __future__ import annotations

from collections import Counter
from typing import Any

from workflow_runtime.core import types
from workflow_runtime.core.reading.spelling import bare_value, generated_name, parameter_value

Values = dict[str, Any]

_SECTIONS = ("actors", "parameters", "commands", "timers", "comments", "activities", "code_actions")


def concise(document: Values) -> Values:
    short = dict(document)
    shorten = {"parameters": _parameter, "commands": _command, "comments": _comment, "activities": _activity, "code_actions": _code_action, "timers": _timer}
    for key in _SECTIONS:
        if key in short:
            short[key] = _section([shorten.get(key, dict)(item) for item in short[key]])
    if "transitions" in short:
        short["transitions"] = _transitions(short["transitions"])
    if "localization" in short:
        short["localization"] = _localization(short["localization"])
    if "designer" in short:
        short["designer"] = _bare(short["designer"])
    return short


def _section(items: list[Values]) -> Any:
    """By name; a list where a name repeats."""
    if len({item["name"] for item in items}) < len(items):
        return items
    return {item["name"]: {key: value for key, value in item.items() if key != "name"} for item in items}


def _bare(texts: Values) -> Values:
    return {key: bare_value(text) for key, text in texts.items()}


def _drawn(item: Values) -> Values:
    return {**item, "designer": _bare(item["designer"])} if "designer" in item else item


def _parameter(item: Values) -> Values:
    short = {**item, "type": types.type_name(item["type"]) or item["type"]}
    if short["type"] == "any":
        del short["type"]
    return {**short, "initial": bare_value(short["initial"])} if "initial" in short else short


def _command(item: Values) -> Values:
    return {**item, "inputs": _section(list(map(_input, item["inputs"])))} if "inputs" in item else item


def _input(item: Values) -> Values:
    short = {key: value for key, value in item.items() if not (key == "parameter" and value == item["name"])}
    return {**short, "default": bare_value(short["default"])} if "default" in short else short


def _timer(item: Values) -> Values:
    return {**item, "interval": bare_value(item["interval"])} if item.get("interval") in ("0", "-1") else item


def _comment(item: Values) -> Values:
    style = {key: bare_value(text) for key, text in item.items() if key not in ("name", "value", "designer", "extra")}
    return _drawn({**item, **style})


def _code_action(item: Values) -> Values:
    return {**item, "parameters": _section(item["parameters"])} if "parameters" in item else item


# ── activities ───────────────────────────────────────────────────────────────────────────────────────


def _activity(item: Values) -> Values:
    short = _drawn(dict(item))
    for key in ("actions", "pre_execution"):
        if key in short:
            short[key] = list(map(_action, short[key]))
    annotations = dict(short.get("annotations", {}))
    if "__customtype" in annotations:
        custom = annotations.pop("__customtype")
        short = {key: value for key, value in short.items() if key != "annotations"} | {"custom": custom}
        if annotations:
            short["annotations"] = annotations
    return short


def _action(item: Values) -> Any:
    short = {**item, "with": parameter_value(item["with"])} if "with" in item else item
    if short.keys() == {"action"}:
        return item["action"]
    if short.keys() == {"action", "with"} and item["action"] != "action":
        return {short["action"]: short["with"]}
    return short


# ── transitions ──────────────────────────────────────────────────────────────────────────────────────


def _transitions(items: list[Values]) -> list[Values]:
    seen: Counter[tuple[str, str]] = Counter()
    return [_transition(item, seen) for item in items]


def _transition(item: Values, seen: Counter[tuple[str, str]]) -> Values:
    short = _drawn(dict(item))
    ends = item["from"], item["to"]
    seen[ends] += 1
    if item["name"] == generated_name(*ends, seen[ends]):
        del short["name"]
    if "when" in short:
        short["when"] = _when(short["when"])
        if short["when"] == {"otherwise": True}:
            short = {("otherwise" if key == "when" else key): (True if key == "when" else value) for key, value in short.items()}
    for key in ("allow", "deny"):
        if key in short:
            short[key] = _rights(short[key])
    if not short.get("subprocess", True):
        del short["subprocess"]
    return short


def _when(given: Values) -> Any:
    short = {word: list(map(_condition, items)) for word, items in given.items()}
    return short["all"][0] if len(short.get("all", ())) == 1 else short


def _condition(item: Values) -> Any:
    if item.keys() == {"expression"}:
        return item["expression"]
    return {**item, "with": parameter_value(item["with"])} if "with" in item else item


def _rights(given: Values) -> Any:
    short = {word: [item["actor"] if item.keys() == {"actor"} else item for item in items] for word, items in given.items()}
    return short["all"] if len(short.get("all", ())) == 1 else short


# ── localization ─────────────────────────────────────────────────────────────────────────────────────


def _localization(items: list[Values]) -> Any:
    """By culture and type; a list where an entry repeats."""
    if len({(item["culture"], item["type"], item["name"]) for item in items}) < len(items):
        return items
    blocks: Values = {}
    for culture in dict.fromkeys(item["culture"] for item in items):
        mine = [item for item in items if item["culture"] == culture]
        default = 2 * sum(1 for item in mine if item.get("default")) > len(mine)
        blocks[culture] = {"default": True} if default else {}
        for item in mine:
            blocks[culture].setdefault(item["type"], {})[item["name"]] = _localized(item, default)
    return blocks


def _localized(item: Values, default: bool) -> Any:
    own = bool(item.get("default"))
    if own == default and "extra" not in item:
        return item["text"]
    extra = {"extra": item["extra"]} if "extra" in item else {}
    return {"text": item["text"], **({"default": own} if own != default else {}), **extra}
