"""The decorator for all tasks of this package."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from invoke.context import Context
from invoke.exceptions import Exit
from invoke.tasks import task

from slipway_ops.errors import SlipwayError
from slipway_ops.project import find_root


def operation(**options: Any) -> Callable[[Callable[..., None]], Callable[..., Any]]:
    """Turns a function that takes the root of a project into an invoke task.

    If it raises SlipwayError, the task prints the message and exits with status 1, without a
    traceback. The function imports what it needs in its body, because `inv --list` imports all
    tasks but runs none.

    Args:
        options: those of invoke's `task`, such as `name` and `help`.
    """

    def decorate(body: Callable[..., None]) -> Callable[..., Any]:
        @functools.wraps(body)
        def run(_: Context, *args: Any, **kwargs: Any) -> None:
            try:
                body(find_root(), *args, **kwargs)
            except SlipwayError as error:
                raise Exit(str(error), code=1) from error
            except EOFError as error:  # Ctrl-D in place of an answer
                raise Exit("\nNothing was changed.", code=1) from error

        return task(run, **options)

    return decorate
