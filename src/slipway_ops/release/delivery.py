"""Runs the stages of CI after the gate: publish, deploy, smoke, release.

Sessions run `python -m slipway_ops.release.delivery publish|deploy|smoke|release`. These do the
same as `inv`. A person has a login of the registry, the variables of an environment and an SSH key.
A job gets them from environment variables:

- `REGISTRY_LOGIN`: user and password of the registry, with a colon in between;
- `DOTENV`: the text of `.env.<environment>`, because the file does not exist there;
- `DEPLOY_KEY` and `DEPLOY_KNOWN_HOSTS`: an SSH key, and the lines of `ssh-keyscan` of the hosts;
- `VERSION`: the version to deploy or release, instead of the commit at HEAD.
"""

from __future__ import annotations

import io
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from dotenv import dotenv_values

from slipway_ops import shell
from slipway_ops.deploy import deployment, smoke_test, version_rules
from slipway_ops.environments import environment_files
from slipway_ops.errors import SlipwayError
from slipway_ops.github import actions, rest_api
from slipway_ops.images import bake, publishing, registry, tags
from slipway_ops.project import find_root
from slipway_ops.release import transaction

SUBJECTS = Path(".nox", "subjects.sha256")  # relative to the root


def publish(root: Path) -> dict[str, str]:
    """Ensures that every image of the commit is in the registry; returns {member: digest}.

    Existing images stay, so that a commit is built once. Names and digests are also written to a
    file for `actions/attest`, in the form of `sha256sum`.
    """
    own = tags.of_commit(root)
    names = [member.name for member in bake.images(root)]
    there = registry.client(root).digest_of
    missing = [name for name in names if there(f"{bake.repository(root, name)}:{own}") is None]
    if missing:
        publishing.push(root, only=missing)
    found = tags.digests(root, own)
    lines = [f"{d.removeprefix('sha256:')}  {bake.repository(root, n)}" for n, d in found.items()]
    file = root / SUBJECTS
    file.parent.mkdir(exist_ok=True)
    file.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    print(*(f"{own} of {name} is {digest}" for name, digest in found.items()), sep="\n")
    return found


def run(root: Path, stage: str, *words: str) -> None:
    """Runs one stage of the delivery, with the job's environment variables.

    Raises:
        SlipwayError: the stage is unknown, a variable is missing, or the operation failed.
    """
    version = os.environ.get("VERSION") or None
    with ExitStack() as given:
        match stage, words:
            case "publish", []:
                given.enter_context(_registry(root))
                publish(root)
            case ("deploy" | "smoke"), [environment]:
                given.enter_context(_variables(root, environment))
                given.enter_context(ssh_access())
                if stage == "smoke":
                    smoke_test.check(deployment.find(root, environment))
                    return
                given.enter_context(_registry(root))
                chosen, digests, revision = version_rules.resolve(root, environment, version)
                found = deployment.find(root, environment)
                deployment.deploy(found, digests, version=chosen, revision=revision)
            case "release", ([] | ["--pre"]):
                given.enter_context(_registry(root))
                made = transaction.release(
                    root, rest_api.connect(root), version=version or "", pre="--pre" in words
                )
                actions.output("version", made)
            case _:
                raise SlipwayError(
                    "Type one of: nox -s publish; nox -s release (-- --pre); "
                    "nox -s deploy -- ENVIRONMENT; nox -s smoke -- ENVIRONMENT"
                )


@contextmanager
def _registry(root: Path) -> Iterator[None]:
    """Logs in to the registry of the images if the job has a login; logs out at the end."""
    user, _, password = os.environ.pop("REGISTRY_LOGIN", "").partition(":")
    host = bake.repository(root, "x").partition("/")[0]
    if not password:
        yield
        return
    try:
        shell.run("docker", "login", "--username", user, "--password-stdin", host, text=password)
    except shell.CommandError as error:
        raise SlipwayError(
            f"{host} does not accept the login: {error.reason}. Correct the secret REGISTRY_LOGIN: "
            "see docs/releases.md."
        ) from error
    try:
        yield
    finally:
        shell.ask("docker", "logout", host)


@contextmanager
def _variables(root: Path, environment: str) -> Iterator[None]:
    """Sets the variables of an environment from the secret with the text of its file."""
    text = os.environ.pop("DOTENV", "")
    if (
        not text
        and actions.is_actions()
        and not environment_files.file_of(root, environment).exists()
    ):
        raise SlipwayError(
            f"The GitHub environment {environment} has no secret DOTENV. Type: gh secret set "
            f"DOTENV --env {environment} < .env.{environment}"
        )
    given = dotenv_values(stream=io.StringIO(text), interpolate=False)
    os.environ.update({key: value for key, value in given.items() if value})
    yield


@contextmanager
def ssh_access() -> Iterator[None]:
    """Lets docker reach hosts over SSH with the job's key; writes nothing to the home folder.

    Programs in the `with` block share one connection to each host, which ends with the block.

    Raises:
        SlipwayError: ssh or the variable with the keys of the hosts is missing.
    """
    key, hosts = os.environ.pop("DEPLOY_KEY", ""), os.environ.get("DEPLOY_KNOWN_HOSTS", "")
    program = shutil.which("ssh")
    if not key:
        yield
        return
    if not hosts or program is None:
        raise SlipwayError(
            "DEPLOY_KNOWN_HOSTS is not set, and unknown hosts are not trusted. Compare the output "
            "of `ssh-keyscan HOST` with the host's own key, and set the variable to that output."
            if program
            else "ssh is not on this machine: install openssh-client."
        )
    with tempfile.TemporaryDirectory(prefix="ssh-") as name:
        folder = Path(name)
        for file, text in (("key", key), ("hosts", hosts)):
            (folder / file).touch(0o600)
            (folder / file).write_text(f"{text.strip()}\n", encoding="utf-8")
        # docker runs the first `ssh` on the PATH, without options, for each of its requests. They
        # share one connection. Its socket is named from `folder`, because long paths are refused.
        (folder / "ssh").write_text(
            f"#!/bin/sh\ncd {folder} && exec {program} -F /dev/null -i key -o IdentitiesOnly=yes "
            "-o BatchMode=yes -o StrictHostKeyChecking=yes -o UserKnownHostsFile=hosts "
            '-o ControlMaster=auto -o ControlPath=%C.socket -o ControlPersist=60 "$@"\n',
            encoding="utf-8",
        )
        (folder / "ssh").chmod(0o700)
        before = os.environ["PATH"]
        os.environ["PATH"] = f"{folder}{os.pathsep}{before}"
        try:
            yield
        finally:
            os.environ["PATH"] = before
            for socket in folder.glob("*.socket"):
                end = ("-F", "/dev/null", "-S", socket.name, "-O", "exit", "host")
                shell.ask(program, *end, cwd=folder)


def main() -> None:
    """Runs the stage in the arguments; exits with status 1 and a message if it fails."""
    try:
        run(find_root(), *(sys.argv[1:] or ["-"]))
    except SlipwayError as error:
        actions.summary(f"**{sys.argv[1] if sys.argv[1:] else 'delivery'}**: {error}\n")
        sys.exit(str(error))


if __name__ == "__main__":
    main()
