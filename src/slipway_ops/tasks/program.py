"""The command line of `inv`: words instead of flags, tasks by purpose, examples, suggestions.

invoke only accepts a word after a task for a required parameter. So `run`, the last line of a
project's tasks.py, passes the command line to our own program: docs/decisions/0027.
"""

from __future__ import annotations

import fnmatch
import functools
import inspect
import shlex
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from invoke import main
from invoke.collection import Collection
from invoke.exceptions import Exit, ParseError
from invoke.parser import Parser, ParseResult
from invoke.parser.argument import Argument
from invoke.parser.context import ParserContext, to_flag
from invoke.program import Program as Invoke
from invoke.util import helpline

from slipway_ops import project
from slipway_ops.errors import did_you_mean

PURPOSES = {  # in the order of `inv --list`; the project's own tasks come last
    "Every day": ("dev", "up", "status", "logs", "down", "why", "doctor"),
    "Deployments": ("deploy", "smoke", "rollback", "kube.*"),
    "Variables of the environments": ("env.*",),
    "Databases": ("db.*",),
    "Images": ("image.*",),
    "Releases": ("tag", "release"),
    "Members and upkeep": ("adopt", "add", "remove", "enable", "capabilities", "upgrade")
    + ("protect",),
    "Your own tasks": ("*",),
}


# Words that people know from docker and systemctl, and the tasks that they mean.
MEANT = {"start": "up", "stop": "down", "restart": "up", "ps": "status"}


def _environments(_: Path) -> Iterable[str]:
    from slipway_ops.environments import environment_files

    return environment_files.NAMES


def _members(root: Path) -> Iterable[str]:
    return [member.name for member in project.members(root)]


def _services(root: Path) -> Iterable[str]:
    return [m.name for m in project.members(root) if m.kind not in ("library", "repo")]


# The values of parameters, by name, for completion. A word that is one of them, or close to one, is
# for that parameter, so that the order of the words in `inv logs staging backend` does not matter.
CHOICES: dict[str, Callable[[Path], Iterable[str]]] = {
    "environment": _environments,
    "other": _environments,
    "service": _services,
    "member": _members,
    "stage": lambda _: ("lint", "test", "scan", "build"),
    "kind": lambda _: ("api", "worker", "app", "library"),
    "capability": lambda _: project.CAPABILITIES,
}


def run(tasks: Collection) -> None:
    """Runs the command line of invoke, which has loaded tasks.py, and exits.

    If invoke did not start the process, such as in a test that imports tasks.py, it does nothing.

    Args:
        tasks: all tasks of the project.
    """
    if main.program.argv:
        Program(tasks).run(main.program.argv)
        sys.exit()


class Program(Invoke):
    """invoke's program, with the tasks of a project.

    A task's parameters before `*` are flags and can also be words; those after `*` are only flags.

    Args:
        operations: all tasks.
    """

    def __init__(self, operations: Collection) -> None:
        theirs = main.program
        super().__init__(
            theirs.version, name=theirs.name, binary="inv", binary_names=theirs.binary_names
        )
        self.operations = operations

    def load_collection(self) -> None:
        """Uses the tasks that are already loaded, and reads invoke.yaml as invoke does."""
        self.config.set_project_location(str(project.find_root()))
        self.config.load_project()
        self.collection = self.operations

    def parse_tasks(self) -> None:
        """Adds the flag of each word; then invoke parses the command line.

        Raises:
            ParseError: a task or flag is unknown, or there are too many or too few words.
        """
        self.core.unparsed[:] = self.with_flags(self.core.unparsed)
        super().parse_tasks()

    @functools.cached_property
    def contexts(self) -> dict[str, ParserContext]:
        """The contexts of invoke's parser, by task."""
        # Made once, because a task only returns its help texts to the first caller.
        return {str(context.name): context for context in self.collection.to_contexts()}

    def with_flags(self, words: Sequence[str]) -> list[str]:
        """Returns a command line with a flag before each word: `logs --service backend`.

        Raises:
            ParseError: a task or flag is unknown, or there are too many or too few words.
        """
        words = list(words)
        while unread := (result := self._parsed(words)).unparsed:
            context, word = result[-1], unread[0]
            free = self.free(context)
            if word.startswith("-") or not free:
                raise ParseError(self._unknown(context, word))
            place = len(words) - len(unread)
            if words[place] != word:  # invoke split `--flag=value`
                raise ParseError(f"{words[place].partition('=')[0]} takes no value.")
            matching = [argument for argument in free if word in self.choices(argument)]
            close = [argument for argument in free if did_you_mean(word, self.choices(argument))]
            words.insert(place, to_flag((matching or close or free)[0].names[0]))
        return words

    def free(self, context: ParserContext) -> list[Argument]:
        """Returns the parameters of a task that can still be given as words, in order."""
        if context.name is None:
            return []
        task = self.collection[context.name]
        either = inspect.Parameter.POSITIONAL_OR_KEYWORD
        parameters = task.argspec(task.body).parameters.values()
        found = [context.args[each.name] for each in parameters if each.kind is either]
        return [a for a in found if a.takes_value and a.kind is not list and not a.got_value]

    def choices(self, argument: Argument) -> list[str]:
        """Returns the possible values of a parameter; empty if they are unknown."""
        known = CHOICES.get(str(argument.name))
        return list(known(project.find_root())) if known else []

    def _parsed(self, words: list[str]) -> ParseResult:
        """Returns what invoke can parse, up to the first unknown word."""
        parser = Parser(self.contexts.values(), self.initial_context, ignore_unknown=True)
        try:
            return parser.parse_argv(words)
        except ValueError as error:
            raise ParseError(f"An option needs a number: {error}") from error
        except ParseError as error:
            context = error.context
            if not context or not context.missing_positional_args:
                raise
            missing = " and ".join(str(each.name) for each in context.missing_positional_args)
            text = f"{context.name} needs: {missing}. Examples: inv --help {context.name}"
            raise ParseError(text, context) from error

    def _unknown(self, context: ParserContext, word: str) -> str:
        if word.startswith("-"):
            suggestion = did_you_mean(word, (n for n in context.flag_names() if n[1] == "-"))
            name = context.name or "inv"
            return f"{name} has no option {word}.{suggestion} All options: inv --help {name}"
        if word in self.collection.collections:
            return f"{word} has several tasks: inv --list {word}"
        known = self.collection.task_names
        meant = [name for name in known if name.endswith(f".{word}") or name == MEANT.get(word)]
        suggestion = did_you_mean(word, known)
        if meant:
            suggestion = f" Did you mean {' or '.join(sorted(meant))}?"
        more = f"{context.name} does not accept another word. " if context.name else ""
        return f"{more}There is no task {word!r}.{suggestion} All tasks: inv --list"

    def parse_cleanup(self) -> None:
        """Handles --complete for values and an unknown name for --help; invoke does the rest."""
        name = self.args.help.value
        if isinstance(name, str) and name not in self.parser.contexts:
            raise ParseError(self._unknown(self.initial_context, name))
        if self.args.complete.value and (found := self.completions(self.core.remainder)):
            print(*found, sep="\n")
            raise Exit
        super().parse_cleanup()

    def completions(self, line: str) -> list[str]:
        """Returns completions for a command line: values for the next or the last word.

        It is empty if invoke itself has to complete the line.

        Args:
            line: the text typed so far, including the name of the program.
        """
        words = shlex.split(line)[1:]
        if not words or words[-1].startswith("-"):
            return []
        instead = [each for each in self._next(words[:-1]) if each.startswith(words[-1])]
        longer = (name for name in self.collection.task_names if name.startswith(words[-1]))
        found = self._next(words) + instead
        return [*found, *(name for name in longer if name != words[-1])] if found else []

    def _next(self, words: list[str]) -> list[str]:
        """Returns the possible values of the word after these."""
        try:
            context = self._parsed(self.with_flags(words))[-1]
        except ParseError as error:
            if not error.context:
                return []
            context = error.context
        following = context.missing_positional_args[:1] or self.free(context)
        return [choice for argument in following for choice in self.choices(argument)]

    def print_task_help(self, name: str) -> None:
        """Prints a task's usage, its docstring with examples, and its options."""
        context = self.contexts[self.parser.contexts[name].name]
        required = context.positional_args
        words = [
            str(arg.name) if arg in required else f"[{arg.name}]" for arg in self.free(context)
        ]
        options = context.help_tuples()
        print(" ".join(["Usage: inv", name, *words, *["[--options]"] * bool(options)]))
        print(f"\n{inspect.getdoc(self.collection[name]) or ''}\n")
        if options:
            print("Options, which can also be given as flags:" if words else "Options:")
            self.print_columns(options)

    def list_flat(self) -> None:
        """Prints the tasks by purpose; with a namespace or a depth, as invoke does."""
        if self.list_root or self.list_depth:
            super().list_flat()
            return
        tasks = self.collection.task_names
        width = max(map(len, tasks))
        left = sorted(tasks)
        for purpose, patterns in PURPOSES.items():
            found = [name for each in patterns for name in fnmatch.filter(left, each)]
            left = [name for name in left if name not in found]
            if found:
                print(f"{purpose}:")
                self.print_columns(
                    [(name.ljust(width), helpline(self.collection[name])) for name in found]
                )
        print("Help for a task, with examples: inv --help NAME. The stages: nox -l")

    def no_tasks_given(self) -> None:
        """Prints the tasks for `inv` alone, instead of invoke's options."""
        self.list_tasks()
        raise Exit
