"""Text to Scheme and back: one reader per format, one document, one builder.

Nothing here touches the disk. ``import`` is cheap: the machinery of a format is loaded by the first
text that needs it.
"""

from __future__ import annotations

from workflow_runtime.core.reading.front import Format, json_schema, read, write

__all__ = ["Format", "json_schema", "read", "write"]
