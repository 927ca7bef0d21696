"""JSON files that are kept from one run to the next, beside other runs."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any


def write(path: Path, content: object, *, readable: bool = False) -> None:
    """Writes JSON so that a reader finds the old file or the new one, never a half.

    Args:
        path: the file; its folder is made.
        content: what it will hold.
        readable: for people, who see a difference line by line: sorted, a line for each value.

    Raises:
        OSError: it cannot be written; the old one is as it was.
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
    """What such a file holds; nothing where it cannot be read."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
