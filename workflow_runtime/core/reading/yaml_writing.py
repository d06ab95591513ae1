"""The document to YAML: small things on one line, larger ones in blocks, long texts as literal blocks."""

from __future__ import annotations

import re
from typing import Any

import yaml

_LINE = 110  #: what is shorter stays on one line
_WIDTH = 160
_ODD_BREAKS = re.compile("[\r\x85\u2028\u2029]")  #: line breaks to YAML 1.1, which folds them outside double quotes


class _Dumper(yaml.SafeDumper):
    """Writes no anchors. ``on`` is a key of ours and a string here, so it needs no quotes."""

    def ignore_aliases(self, data: Any) -> bool:
        return True

    def resolve(self, kind: Any, value: Any, implicit: Any) -> Any:
        if value == "on" and implicit == (True, False):
            return "tag:yaml.org,2002:str"
        return super().resolve(kind, value, implicit)  # type: ignore[no-untyped-call]

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        """Items of a list stand to the right of its key."""
        super().increase_indent(flow, False)


def emit(document: dict[str, Any]) -> str:
    return yaml.serialize(_node(document, 0), Dumper=_Dumper, allow_unicode=True, width=_WIDTH)


def _node(value: Any, depth: int) -> Any:
    if isinstance(value, dict):
        pairs = [(_scalar(key), _node(item, depth + 1)) for key, item in value.items()]
        return yaml.MappingNode("tag:yaml.org,2002:map", pairs, flow_style=_is_short(value, depth))
    if isinstance(value, list):
        return yaml.SequenceNode("tag:yaml.org,2002:seq", [_node(item, depth + 1) for item in value], flow_style=_is_short(value, depth))
    return _scalar(value)


def _scalar(value: Any) -> Any:
    if isinstance(value, str):
        return yaml.ScalarNode("tag:yaml.org,2002:str", value, style='"' if _ODD_BREAKS.search(value) else "|" if "\n" in value else None)
    if value is None:
        return yaml.ScalarNode("tag:yaml.org,2002:null", "null")
    if isinstance(value, bool):
        return yaml.ScalarNode("tag:yaml.org,2002:bool", "true" if value else "false")
    return yaml.ScalarNode(f"tag:yaml.org,2002:{'int' if isinstance(value, int) else 'float'}", repr(value))


def _is_short(value: Any, depth: int) -> bool:
    """Sections and what is directly in them may be one line only when that line is short and holds no line breaks."""
    return (depth > 1 or not value or not _has_mappings(value)) and _length(value, _LINE) <= _LINE


def _has_mappings(value: Any) -> bool:
    return any(isinstance(item, dict) for item in (value.values() if isinstance(value, dict) else value))


def _length(value: Any, most: int) -> int:
    """About how long the value is on one line; stops counting beyond ``most``."""
    if isinstance(value, dict):
        return _sum([part for key, item in value.items() for part in (key, item)], most)
    if isinstance(value, list):
        return _sum(value, most)
    if isinstance(value, str) and "\n" in value:
        return most + 1
    return len(str(value)) + 2


def _sum(parts: list[Any], most: int) -> int:
    total = 2
    for part in parts:
        total += _length(part, most)
        if total > most:
            break
    return total
