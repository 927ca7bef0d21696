"""What every task of this package is made with."""

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
    """Makes a task of a function that takes the root of a project in place of invoke's context.

    A refusal ends the task with its sentence and exit status 1, without a traceback. What a task
    needs besides invoke is imported in its body: `inv --list` imports all tasks and runs none.

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

        return task(run, **options)

    return decorate
