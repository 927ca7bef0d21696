"""Runs the supervisor of `inv dev` with the programs in its argument.

The argument is JSON: the seconds that programs have to end (`grace`), and the `programs`, each
with its `name`, its `command`, and optionally `once`, `last`, `ready` (a file that the program
creates when it is ready) and `code` (the folder with its code).
"""

import json
import sys
from functools import partial
from pathlib import Path

from slipway_ops.dev import reaper, reload
from slipway_ops.dev.processes import Console, Died, Program, Stopped, Supervisor


def problem(file: str, _: int) -> str | None:
    """Returns why a program is not ready: its file does not exist."""
    return None if Path(file).exists() else "its file does not exist"


def main() -> int:
    """Starts all programs, prints when they are ready, and waits for the end."""
    wanted = json.loads(sys.argv[1])
    reaper.GRACE = wanted["grace"]
    console = Console([each["name"] for each in wanted["programs"]], sys.stdout)
    try:
        with Supervisor(console) as supervisor:
            if places := [Path(each["code"]) for each in wanted["programs"] if "code" in each]:
                supervisor.follow(partial(reload.changes, places))
            for each in wanted["programs"]:
                ready = partial(problem, each["ready"]) if "ready" in each else None
                program = Program(
                    each["name"],
                    each["command"],
                    Path.cwd(),
                    problem=ready,
                    last=each.get("last", False),
                    code=[Path(each["code"])] if "code" in each else [],
                )
                (supervisor.finish if each.get("once") else supervisor.start)(program)
            supervisor.until_ready()
            console.say("Ready")
            supervisor.until_end()
    except Died as error:
        print(error)
        return 1
    except Stopped as stopped:
        return stopped.status
    return 0


if __name__ == "__main__":
    sys.exit(main())
