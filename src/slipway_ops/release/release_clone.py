"""A temporary clone for a release, to find a version and make its commit.

It uses the commits of this repository, and gets branches and tags from `origin`. The checkout is
not changed, and a killed run only leaves the temporary folder.
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

BRANCHES = ("main", "hotfix/*")  # the branches of versions; the first that has a commit counts
# The author of the release commit and the tag if git has no identity: GitHub's name in Actions.
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
        path: its folder, which is removed at the end.
        commit: the full hash of the commit.
        branch: the branch of `origin` that has the commit; "" if none does.
        root: the checkout that the clone is for.
    """

    path: Path
    commit: str
    branch: str
    root: Path

    def git(self, *words: str) -> str:
        """Runs `git …` in the clone; returns the output.

        Raises:
            SlipwayError: git failed.
        """
        done = git(self.path, *words)
        if done.returncode:
            raise SlipwayError(f"`git {' '.join(words[:3])}` failed: {shell.last_line(done)}")
        return done.stdout.strip()

    def commit_of(self, reference: str) -> str:
        """Returns the full commit hash of a tag or branch; "" if it does not exist."""
        words = ["rev-parse", "--verify", "--quiet", f"{reference}^{{commit}}"]
        return git(self.path, *words).stdout.strip()

    def file(self, branch: str, name: str) -> str:
        """Returns the text of a file on a branch of `origin`; "" if it does not exist."""
        return git(self.path, "show", f"refs/remotes/origin/{branch}:{name}").stdout

    def versions(self, *words: str) -> list[str]:
        """Returns the tags that are versions, greatest first; `words` are options of `git tag`."""
        listed = self.git("tag", "--list", "--sort=-version:refname", "v*", *words).splitlines()
        return [tag for tag in listed if tags.RELEASE.fullmatch(tag)]

    def next(self, *, pre: bool = False) -> str:
        """Returns the next version of the commit; "" if there is nothing to release.

        Args:
            pre: a release candidate, such as `v1.2.0-rc.1`.

        Raises:
            SlipwayError: the next version is already the tag of another commit.
        """
        words = ["--as-prerelease", "--prerelease-token", "rc"] if pre else []
        done = self._decide("--strict", "version", "--print-tag", *words)
        version = (done.stdout.split() or [""])[-1]
        if done.returncode not in (0, 2) or not tags.RELEASE.fullmatch(version):
            raise SlipwayError(f"The next version cannot be found:\n{done.stderr.strip()}")
        taken = self.commit_of(f"refs/tags/{version}")
        if taken and git(self.path, "merge-base", "--is-ancestor", taken, "HEAD").returncode:
            raise SlipwayError(
                f"{version} comes next, but that tag is on another commit ({taken[:12]}), which is "
                f"not in {self.commit[:12]}. If nobody uses it, an administrator deletes it: "
                f"git push origin :refs/tags/{version}. Otherwise merge it and release again."
            )
        return version if done.returncode == 0 else ""

    def changelog(self, version: str) -> str:
        """Returns the whole changelog up to a version of the commit; adds the tag here if needed.

        Other release candidates are left out: the entries of versions include their changes.
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
        """Runs semantic-release without CI variables, because it would write its own outputs."""
        program = Path(sys.executable).with_name("semantic-release")
        env = {k: v for k, v in os.environ.items() if not k.startswith(("GITHUB_", "CI"))}
        return shell.ask(program, *words, cwd=self.path, env=env)


@contextmanager
def clone_for(root: Path, commit: str = "HEAD") -> Iterator[ReleaseClone]:
    """Yields a clone for a release of a commit, with the current branches and tags of `origin`.

    Tags that only exist here are ignored, because they are not released. Without an `origin`, local
    tags and the local branch `main` count.

    Raises:
        SlipwayError: the commit does not exist, or `origin` does not answer.
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
                f"origin does not answer: {fetched.stderr.strip()}\nCheck the network and "
                "`git remote get-url origin`, then type the command again; nothing was changed."
            )
        git(path, "checkout", "--quiet", "--force", "-B", "main", found)
        yield ReleaseClone(path, found, _branch_of(path, found), root)


def git(root: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Runs `git …`; if `origin` uses https, it logs in with `GITHUB_TOKEN`.

    The token is only in the environment of the process, so `ps` does not show it.

    Returns:
        The process, with any status.
    """
    env = dict(os.environ)
    for variable in ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"):
        env.pop(variable, None)  # set if this runs in a hook
    if not _has_identity(root, env):
        env |= ROBOT
    env |= _login(root, env) | {"GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C"}  # to parse messages
    return shell.ask("git", *words, cwd=root, env=env)


def _has_identity(root: Path, env: Mapping[str, str]) -> bool:
    """Returns whether git has a name and an address for commits."""
    if env.get("GIT_COMMITTER_NAME") and env.get("GIT_COMMITTER_EMAIL"):
        return True
    return shell.ask("git", "config", "user.email", cwd=root, env=env).returncode == 0


def _login(root: Path, env: Mapping[str, str]) -> dict[str, str]:
    """Returns git settings, as variables, to log in to GitHub over https with a token."""
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
    """Lets a new repository use the commits and settings of another one, without a copy."""
    for name in ("objects", "shallow", "config"):
        found = git(root, "rev-parse", "--git-path", name).stdout.strip()
        source = (root / found).resolve()
        if name == "objects":
            alternates = path / ".git" / "objects" / "info" / "alternates"
            alternates.write_text(f"{source}\n", encoding="utf-8")
        elif source.exists():
            (path / ".git" / name).write_bytes(source.read_bytes())
    url = git(root, "remote", "get-url", "origin").stdout.strip()
    if url and not re.match(r"[\w+.-]+:|/|[^/]+@", url):  # a path relative to the root
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
