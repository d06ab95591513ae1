"""What every part of the builder needs: places, names, kept attributes."""

from __future__ import annotations

from typing import Any

from workflow_runtime.core.frozen import EMPTY, FrozenDict
from workflow_runtime.core.nearness import nearest
from workflow_runtime.core.reading import document as doc
from workflow_runtime.core.reading import spelling, xml_text
from workflow_runtime.core.reading.findings import Findings, quoted
from workflow_runtime.core.reading.limits import check_name
from workflow_runtime.core.reading.neutral import Neutral, Path
from workflow_runtime.core.scheme_elements import Recovery, Texts
from workflow_runtime.core.scheme_words import Place


class Building:
    def __init__(self, neutral: Neutral, findings: Findings) -> None:
        self.neutral = neutral
        self.findings = findings

    def place(self, path: Path) -> Place | None:
        return self.neutral.place(path)

    def name(self, name: str, what: str, path: Path) -> str:
        return check_name(name, what, self.place(path), self.findings)

    def element(self, given: doc.Extended, path: Path) -> dict[str, Any]:
        """The fields that all elements share."""
        return {"place": self.place(path), "extra": FrozenDict(given.extra) if given.extra else EMPTY}

    def drawing(self, given: Any, path: Path) -> dict[str, Any]:
        return {**self.element(given, path), "designer": self.drawn(given.designer or {}, (*path, "designer"))}

    def drawn(self, given: dict[str, str], path: Path) -> Texts:
        """Drawing attributes in their XML spelling. What XML could not hold would be lost there, so it is refused here."""
        kept = {spelling.xml_name(key): text for key, text in given.items()}
        for name, text in kept.items():
            if not xml_text.is_attribute(name) and xml_text.kept_element(name, text) is None:
                message = f"found the drawing attribute {quoted(name)}, expected a name that XML can spell; rename it"
                self.findings.error("bad_name", message, self.place(path))
        return FrozenDict(kept) if kept else EMPTY

    def provenance(self, given: dict[str, str] | None, path: Path, known: tuple[str, ...]) -> Texts:
        kept = {spelling.xml_name(key): text for key, text in (given or {}).items()}
        for name in kept.keys() - set(known):
            keys = [spelling.yaml_key(attribute) for attribute in known]
            message = f"found {quoted(spelling.yaml_key(name))} in provenance, expected one of {', '.join(keys)}"
            self.findings.error("unknown_key", message, self.place((*path, "provenance")), nearest(spelling.yaml_key(name), keys))
        return FrozenDict(kept) if kept else EMPTY

    def recovery(self, written: str | None, path: Path) -> Recovery | None:
        if written is None:
            return None
        try:
            return spelling.recovery(written)
        except ValueError:
            message = f"found the recovery {quoted(written)}, expected {', '.join(spelling.RECOVERIES)}"
            self.findings.error("bad_value", message, self.place(path), nearest(written, spelling.RECOVERIES, cutoff=0.3))
            return None

    def words(self, items: list[str] | None, path: Path) -> tuple[str, ...]:
        """A list that is a comma list in XML: its items can hold no comma."""
        kept = tuple(item.strip() for item in items or ())
        for item in kept:
            if not item or "," in item:
                self.findings.error("bad_value", f"found {quoted(item)} in a list, expected a word without a comma", self.place(path))
        return kept
