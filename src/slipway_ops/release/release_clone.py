"""A clone for a release: where a version is found and its commit made, apart from the checkout.

It is a temporary folder that borrows the commits of this repository and asks `origin` for branches
and tags. Nothing of it is seen in the checkout, and a killed run leaves nothing else behind.
"""

from __future__ import annotations

import base64
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from slipway_ops import shell
from slipway_ops.errors import SlipwayError
from slipway_ops.images import tags
from slipway_ops.release import markdown

BRANCHES = ("main", "hotfix/*")  # what versions are made of, the first that holds a commit
# Who makes the release commit and the tag where git knows nobody: GitHub's own name in Actions.
ROBOT = {
    f"GIT_{role}_{part}": value
    for role in ("AUTHOR", "COMMITTER")
    for part, value in (
        ("NAME", "github-actions[bot]"),
        ("EMAIL", "41898282+github-actions[bot]@users.noreply.github.com"),
    )
}


@dataclass(frozen=True)
class ReleaseClone:
    """A clone in which one commit is checked out as `main`.

    Attributes:
        path: its folder; gone at the end.
        commit: the commit in question, in full.
        branch: the branch of `origin` that holds it; "" if none does.
        root: the checkout that it was made for.
    """

    path: Path
    commit: str
    branch: str
    root: Path

    def git(self, *words: str) -> str:
        """`git …` there; returns the output.

        Raises:
            SlipwayError: it failed.
        """
        done = git(self.path, *words)
        if done.returncode:
            raise SlipwayError(f"`git {' '.join(words[:3])}` failed: {shell.last_line(done)}")
        return done.stdout.strip()

    def commit_of(self, reference: str) -> str:
        """The commit of a tag or branch, in full; "" if there is none."""
        words = ["rev-parse", "--verify", "--quiet", f"{reference}^{{commit}}"]
        return git(self.path, *words).stdout.strip()

    def file(self, branch: str, name: str) -> str:
        """The text of a file on a branch of `origin`; "" if there is none."""
        return git(self.path, "show", f"refs/remotes/origin/{branch}:{name}").stdout

    def versions(self, *words: str) -> list[str]:
        """The tags that are versions, the greatest first; `words` are options of `git tag`."""
        listed = self.git("tag", "--list", "--sort=-version:refname", "v*", *words).splitlines()
        return [tag for tag in listed if tags.RELEASE.fullmatch(tag)]

    def next(self, *, pre: bool = False) -> str:
        """The next version of the commit; "" when there is nothing to release.

        Args:
            pre: a release candidate, such as `v1.2.0-rc.1`.

        Raises:
            SlipwayError: the version that comes next is the tag of another commit already.
        """
        words = ["--as-prerelease", "--prerelease-token", "rc"] if pre else []
        done = self._decide("--strict", "version", "--print-tag", *words)
        version = (done.stdout.split() or [""])[-1]
        if done.returncode not in (0, 2) or not tags.RELEASE.fullmatch(version):
            raise SlipwayError(f"The next version cannot be found:\n{done.stderr.strip()}")
        taken = self.commit_of(f"refs/tags/{version}")
        if taken and git(self.path, "merge-base", "--is-ancestor", taken, "HEAD").returncode:
            raise SlipwayError(
                f"{version} comes next, and that tag is on another commit ({taken[:12]}), which is "
                f"not in {self.commit[:12]}. If nobody uses it, an administrator deletes it: "
                f"git push origin :refs/tags/{version}; else merge it, and release what is after."
            )
        return version if done.returncode == 0 else ""

    def changelog(self, version: str) -> str:
        """The whole changelog up to a version of the commit, which is tagged here if need be.

        Candidates are left out, but for the version itself: what was in them is in the versions.
        """
        for tag in self.versions():
            if "-" in tag and tag != version:
                self.git("tag", "--delete", tag)
        if not self.commit_of(f"refs/tags/{version}"):
            self.git("tag", "--annotate", "--message", version, version, self.commit)
        self.git("checkout", "--quiet", "--force", "-B", "main", self.commit)
        done = self._decide("changelog")
        file = self.path / "CHANGELOG.md"
        if done.returncode or not file.exists():
            raise SlipwayError(f"The changelog cannot be written:\n{done.stderr.strip()}")
        text = re.sub(r"\n{3,}", "\n\n", file.read_text(encoding="utf-8")).rstrip() + "\n"
        file.unlink()
        return markdown.defused(text)

    def _decide(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Runs semantic-release without the variables of CI, where it writes outputs of its own."""
        program = Path(sys.executable).with_name("semantic-release")
        env = {k: v for k, v in os.environ.items() if not k.startswith(("GITHUB_", "CI"))}
        return shell.ask(program, *words, cwd=self.path, env=env)


@contextmanager
def clone_for(root: Path, commit: str = "HEAD") -> Iterator[ReleaseClone]:
    """Makes a clone for a release of a commit, with the branches and tags that `origin` has now.

    Tags that are only here do not count: they are nobody's versions yet. Without an `origin` those
    that are here do, as does the branch `main`.

    Raises:
        SlipwayError: there is no such commit, or `origin` does not answer.
    """
    found = git(root, "rev-parse", "--verify", "--quiet", f"{commit}^{{commit}}").stdout.strip()
    if not found:
        raise SlipwayError(f"There is no commit {commit} here. Type `git fetch --tags`, or commit.")
    with tempfile.TemporaryDirectory(prefix="release-") as folder:
        path = Path(folder)
        shell.git(path, "init", "--quiet")
        _borrow(root, path)
        named = git(root, "remote", "get-url", "origin").returncode == 0
        source = "origin" if named else str(root)
        refs = [f"+refs/heads/{b}:refs/remotes/origin/{b}" for b in BRANCHES]
        shallow = ["--unshallow"] if (path / ".git" / "shallow").exists() else []
        refs.append("+refs/tags/*:refs/tags/*")
        fetched = git(path, "fetch", "--quiet", "--no-tags", *shallow, source, *refs)
        if fetched.returncode:
            if "couldn't find remote ref" in fetched.stderr:
                raise SlipwayError("origin has no branch main yet. Type: git push origin main")
            raise SlipwayError(
                f"origin does not answer: {fetched.stderr.strip()}\nLook at the network and at "
                "`git remote get-url origin`, then type the command again; nothing was changed."
            )
        git(path, "checkout", "--quiet", "--force", "-B", "main", found)
        yield ReleaseClone(path, found, _branch_of(path, found), root)


def git(root: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Runs `git …`, with the token of `GITHUB_TOKEN` where `origin` is reached over https.

    The token is in the environment of the process alone, where no list of processes shows it.

    Returns the process, whatever its status.
    """
    env = dict(os.environ)
    for variable in ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"):
        env.pop(variable, None)  # of a hook that this runs in
    if not _has_identity(root, env):
        env |= ROBOT
    env |= _login(root, env) | {"GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C"}  # messages are read
    return shell.ask("git", *words, cwd=root, env=env)


def _has_identity(root: Path, env: Mapping[str, str]) -> bool:
    """Whether git has a name and an address to put into commits."""
    if env.get("GIT_COMMITTER_NAME") and env.get("GIT_COMMITTER_EMAIL"):
        return True
    return shell.ask("git", "config", "user.email", cwd=root, env=env).returncode == 0


def _login(root: Path, env: Mapping[str, str]) -> dict[str, str]:
    """Settings of git, as variables, that log in to GitHub over https with a token."""
    token = env.get("GITHUB_TOKEN") or env.get("GH_TOKEN")
    if not token:
        return {}
    url = shell.ask("git", "remote", "get-url", "origin", cwd=root).stdout.strip()
    address = re.match(r"https://(?:[^@/]*@)?([^/]+)/", url)
    if not address:
        return {}
    login = base64.b64encode(f"x-access-token:{token}".encode()).decode()
    number = int(env.get("GIT_CONFIG_COUNT") or 0)
    return {
        "GIT_CONFIG_COUNT": str(number + 1),
        f"GIT_CONFIG_KEY_{number}": f"http.https://{address[1]}/.extraheader",
        f"GIT_CONFIG_VALUE_{number}": f"AUTHORIZATION: basic {login}",
    }


def _borrow(root: Path, path: Path) -> None:
    """Gives a new repository the commits of another one, without a copy, and its settings."""
    for name in ("objects", "shallow", "config"):
        found = git(root, "rev-parse", "--git-path", name).stdout.strip()
        source = (root / found).resolve()
        if name == "objects":
            alternates = path / ".git" / "objects" / "info" / "alternates"
            alternates.write_text(f"{source}\n", encoding="utf-8")
        elif source.exists():
            (path / ".git" / name).write_bytes(source.read_bytes())
    url = git(root, "remote", "get-url", "origin").stdout.strip()
    if url and not re.match(r"[\w+.-]+:|/|[^/]+@", url):  # a path, seen from that folder
        git(path, "remote", "set-url", "origin", str((root / url).resolve()))
    for key in ("core.bare", "core.worktree", "core.hooksPath"):
        git(path, "config", "--unset-all", key)


def _branch_of(path: Path, commit: str) -> str:
    for pattern in BRANCHES:
        words = ["for-each-ref", "--format=%(refname)", "--contains", commit]
        listed = git(path, *words, f"refs/remotes/origin/{pattern}").stdout.split()
        if listed:
            return listed[0].removeprefix("refs/remotes/origin/")
    return ""
