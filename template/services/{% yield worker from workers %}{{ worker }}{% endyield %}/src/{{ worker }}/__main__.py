"""Run the worker, or ask it something: `python -m` and the name of this package."""

import argparse
import asyncio
import sys

from psycopg import Error
from pydantic import TypeAdapter, ValidationError
from runtime import program
from runtime.database import address
from runtime.questions import QuestionText
from runtime.settings import SettingsError

from .settings import Settings


def main(arguments: list[str] | None = None) -> None:
    """Run the worker until SIGTERM or SIGINT; with `ask`, ask a question and print the answer."""
    parser = argparse.ArgumentParser(prog=f"python -m {__package__}", description=__doc__)
    commands = parser.add_subparsers(dest="command")
    asking = commands.add_parser("ask", help="ask a running worker a question")
    asking.add_argument("text", help="the question")
    asking.add_argument("--wait", type=float, default=300, help="seconds to wait (default 300)")
    chosen = parser.parse_args(arguments)
    if chosen.command != "ask":
        program.run(Settings, _work)
        return
    try:
        print(_answer(Settings.load(), chosen.text, chosen.wait))
    except SettingsError as error:
        sys.exit(str(error))


def _work(settings: Settings) -> None:
    from . import worker  # imported here, so that errors in it are logged

    asyncio.run(worker.run(settings))


def _answer(settings: Settings, text: str, wait: float) -> str:
    """Return the answer to a question, or exit with an error message."""
    from . import worker

    try:
        valid: str = TypeAdapter(QuestionText).validate_python(text)
    except ValidationError:
        sys.exit("A question has 1 to 2000 characters and no NUL characters. Correct it.")
    try:
        question = asyncio.run(worker.ask(settings, valid, wait))
    except Error as error:
        sys.exit(
            f"The database {address(settings.database_url)} cannot be used "
            f"({str(error).splitlines()[0]}). Start it, or run python -m runtime.migrate."
        )
    if question.status == "waiting":
        sys.exit(
            f"Question {question.id} is still waiting after {wait:g} seconds. "
            f"Is a worker running? Start one with python -m {__package__}."
        )
    if question.answer is None:
        sys.exit(f"Question {question.id} has failed; the worker's log says why.")
    return question.answer


if __name__ == "__main__":
    main()
