"""Reads and writes JSON files that several runs may use at the same time."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any


def write(path: Path, content: object, *, readable: bool = False) -> None:
    """Writes a JSON file atomically: a reader finds the old file or the new one.

    Args:
        path: the file; its folder is created.
        content: the new content.
        readable: sort the keys and put each value on its own line, so that diffs are easy to read.

    Raises:
        OSError: the file cannot be written; the old one is unchanged.
    """
    new = path.with_name(f".{path.name}.{os.getpid()}.swp")  # a name that counts in no key
    if readable:
        text = json.dumps(content, indent=2, sort_keys=True, ensure_ascii=False) + "\n"
    else:
        text = json.dumps(content, separators=(",", ":"))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        new.write_text(text, encoding="utf-8")
        os.replace(new, path)
    except OSError:
        new.unlink(missing_ok=True)
        raise


def read(path: Path) -> dict[str, Any]:
    """Returns the content of a JSON file; {} if it cannot be read."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
