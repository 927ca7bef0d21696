"""The package manager of a web member: npm, pnpm, yarn or bun, and its installation.

A member belongs to the nearest lock, from its folder upwards: its own lock, or the lock of the
workspace that it is a package of. Only the versions in that lock are installed.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from slipway_ops import file_lock, shell
from slipway_ops.errors import SlipwayError
from slipway_ops.node import manifests

if TYPE_CHECKING:
    from slipway_ops.node.lock_files import Locked

# If a folder has two locks of one manager, the first counts.
LOCKS = {
    "npm-shrinkwrap.json": "npm",
    "package-lock.json": "npm",
    "pnpm-lock.yaml": "pnpm",
    "yarn.lock": "yarn",
    "bun.lock": "bun",
    "bun.lockb": "bun",
}
# Files besides the lock and the manifests that affect an installation.
CONFIGURATIONS = (
    ".npmrc",
    ".pnpmfile.cjs",
    ".yarnrc",
    ".yarnrc.yml",
    "bunfig.toml",
    "pnpm-workspace.yaml",
)
# The manager's version for a lock, if `packageManager` does not name one: by the version number in
# the lock. Other versions would rewrite the lock, or refuse it.
VERSIONS = {
    "pnpm": {"9": "10.34.9", "6": "8.15.9", "5": "7.33.7"},
    "yarn": {"1": "1.22.22"},
    "berry": {"10": "4.18.1", "9": "4.14.1", "8": "4.12.0", "6": "3.8.7", "5": "3.1.1"},
    "bun": {"": "1.4.5"},
}
ANY_BERRY = VERSIONS["berry"]["10"]
FORM = {
    "pnpm": r"^lockfileVersion: '?(\d+)",
    "yarn": r"^# yarn lockfile v(\d+)",
    "berry": r"^__metadata:\n(?:.*\n)*?  version: (\d+)",
    "bun": r"()",
}
PACKAGES = {"berry": "@yarnpkg/cli-dist"}  # the others have their own name in the registry
INSTALL = {
    "npm": ("ci",),
    "pnpm": ("install", "--frozen-lockfile"),
    "yarn": ("install", "--frozen-lockfile", "--non-interactive"),
    "berry": ("install", "--immutable"),
    "bun": ("install", "--frozen-lockfile"),
}
STAMP = ".from-lock"


@dataclass(frozen=True)
class PackageManager:
    """The package manager of a member.

    Attributes:
        name: the program: `npm`, `pnpm`, `yarn` or `bun`.
        form: the form of its lock: the same as `name`, but `berry` for yarn 2 and later.
        version: the exact version to use; empty for the npm that comes with Node.
        lock: the path of the lock.
    """

    name: str
    form: str
    version: str
    lock: Path

    @property
    def folder(self) -> Path:
        """The folder to install in: that of the lock."""
        return self.lock.parent

    @property
    def plug_n_play(self) -> bool:
        """Whether yarn installed into .pnp.cjs instead of node_modules."""
        return self.form == "berry" and (self.folder / ".pnp.cjs").is_file()

    def files(self) -> list[Path]:
        """Returns all files that determine an installation: lock, manifests, configuration.

        Raises:
            SlipwayError: a manifest cannot be read.
        """
        configured = [self.folder / name for name in CONFIGURATIONS]
        listed = [path / "package.json" for path in manifests.packages(self.folder)]
        return [self.lock, *listed, *(path for path in configured if path.is_file())]

    def locked(self, root: Path, path: str) -> set[Locked]:
        """Returns the packages in the lock.

        Args:
            root: the root of the project.
            path: the PATH with node and npm, because only bun can read its binary lock.

        Raises:
            SlipwayError: the lock cannot be read.
        """
        from slipway_ops.node import lock_files  # late, because listing sessions does not need it

        try:
            if self.lock.suffix == ".lockb":
                bun = shutil.which("bun", path=provide(root, self, path)) or "bun"
                return lock_files.packages("yarn", shell.run(bun, self.lock))  # prints yarn's form
            return lock_files.packages(self.form, self.lock.read_text(encoding="utf-8"))
        except ValueError as error:
            raise SlipwayError(f"{self.lock} cannot be read: {error}. {self.remedy}") from error

    @property
    def remedy(self) -> str:
        """The sentence to show if the lock is missing or does not fit."""
        return f"Type `{self.name} install` in {self.folder}, then commit {self.lock.name}."

    def script(self, name: str, *words: str) -> list[str]:
        """Returns the command for a script of package.json; `words` go to its last program."""
        dashes = ["--"] if self.name == "npm" and words else []
        return [self.name, "run", name, *dashes, *words]

    def __str__(self) -> str:
        return f"{self.name} {self.version}".strip()


def of(root: Path, member: Path) -> PackageManager:
    """Returns the package manager of a web member.

    Args:
        root: the root of the project; the search ends there.
        member: the folder of the member.

    Raises:
        SlipwayError: there is no lock, there are locks of several managers, or the form of the lock
            is unknown.
    """
    for folder in (member, *member.parents):
        if not folder.is_relative_to(root):
            break
        found = {name: LOCKS[name] for name in LOCKS if (folder / name).is_file()}
        if found and member in manifests.packages(folder):
            return _chosen(root, member, folder, found)
    raise SlipwayError(
        f"{member.name} has no lock: none of {', '.join(LOCKS)} is in {member} or in a workspace "
        "that includes it. Install it with its package manager, such as `npm install`, and commit "
        "the lock."
    )


def install(root: Path, manager: PackageManager, path: str) -> None:
    """Installs node_modules as locked; does nothing if that was done from the same files.

    Args:
        root: the root of the project.
        manager: the member's package manager.
        path: the PATH with node and the manager.

    Raises:
        SlipwayError: the lock does not fit the manifests, or the manager failed.
    """
    place = manager.folder.relative_to(root).as_posix().replace("/", "-")
    content = [str(manager).encode(), *(file.read_bytes() for file in manager.files())]
    digest = hashlib.sha256(b"\0".join(content)).hexdigest()
    stamp = manager.folder / "node_modules" / STAMP
    with file_lock.hold(root, f"install-{place}"):
        if stamp.exists() and stamp.read_text(encoding="utf-8") == digest:
            return
        _check_classic(manager)
        words = INSTALL[manager.form]
        # With CI, the managers ask no questions. Without HUSKY=0, husky would change git's
        # settings.
        environment = {**os.environ, "PATH": path, "CI": "true", "HUSKY": "0"}
        environment |= {"npm_config_fund": "false", "npm_config_audit": "false"}
        # npm does not ask the registry about what it has, because the lock has the checksums. What
        # it has may be older than the lock.
        offline = environment | {"npm_config_prefer_offline": "true"}
        done = _run(manager.name, *words, folder=manager.folder, environment=offline)
        if "ETARGET" in done:
            done = _run(manager.name, *words, folder=manager.folder, environment=environment)
        if done:
            command = " ".join([manager.name, *words])
            raise SlipwayError(f"`{command}` failed in {manager.folder}:\n{done}")
        if stamp.parent.is_dir() and not manager.plug_n_play:
            stamp.write_text(digest, encoding="utf-8")


def provide(root: Path, manager: PackageManager, path: str) -> str:
    """Returns a PATH that has the member's package manager in its exact version.

    It is the machine's, if that has this version. Otherwise it is installed from the npm registry
    into `.nox`.

    Args:
        root: the root of the project.
        manager: the member's package manager.
        path: the PATH with node and npm.

    Raises:
        SlipwayError: the registry does not have it.
    """
    if not manager.version or _version(manager.name, path) == manager.version:
        return path
    folder = root / ".nox" / "package-managers" / f"{manager.name}-{manager.version}"
    with file_lock.hold(root, f"{manager.name}-{manager.version}"):
        if not folder.exists():
            made = folder.with_name(f"{folder.name}.new")
            shutil.rmtree(made, ignore_errors=True)
            made.mkdir(parents=True)
            if (manager.folder / ".npmrc").is_file():  # it may name another registry
                shutil.copy(manager.folder / ".npmrc", made)
            package = f"{PACKAGES.get(manager.form, manager.name)}@{manager.version}"
            words = ("install", "--no-save", "--no-package-lock", "--no-fund", "--no-audit")
            own = ("--ignore-scripts=false", "--prefix", str(made), package)
            environment = {**os.environ, "PATH": path}
            if said := _run("npm", *words, *own, folder=made, environment=environment):
                raise SlipwayError(
                    f"{manager} is not on this machine, and `npm install {package}` failed. Install"
                    f" it, or name another version in `packageManager` of package.json.\n{said}"
                )
            made.rename(folder)
    return os.pathsep.join([str(folder / "node_modules" / ".bin"), path])


def programs(manager: PackageManager, member: Path) -> list[Path]:
    """Returns the folders with the programs of a member's packages: its own, then its lock's."""
    return [folder / "node_modules" / ".bin" for folder in dict.fromkeys((member, manager.folder))]


def _chosen(root: Path, member: Path, folder: Path, found: Mapping[str, str]) -> PackageManager:
    """Returns the manager of a folder that has these locks."""
    managers = list(dict.fromkeys(found.values()))
    name, version = _named(root, member, folder, managers)
    if name not in managers:
        if name:
            raise SlipwayError(
                f"`packageManager` of {member.name} is {name}, but its lock is for "
                f"{' and '.join(managers)} ({', '.join(found)} in {folder}). Remove one of the two."
            )
        if len(managers) > 1:
            raise SlipwayError(
                f"{folder} has locks of {' and '.join(managers)}: {', '.join(found)}. Delete the "
                f'unused one, or name the manager: "packageManager": "{managers[0]}@…" in '
                "package.json."
            )
        name = managers[0]
    lock = folder / next(file for file, manager in found.items() if manager == name)
    form = name
    text = "" if lock.suffix == ".lockb" else lock.read_text(encoding="utf-8")
    if name == "yarn":
        later = version.partition(".")[0] not in ("", "1") or (folder / ".yarnrc.yml").is_file()
        form = "berry" if "__metadata:" in text or (later and not text.strip()) else "yarn"
        if form == "berry" and _keeps_yarn(folder):
            version = ANY_BERRY
    if not version and name != "npm":
        known = re.search(FORM[form], text, re.MULTILINE)
        version = VERSIONS[form].get(known[1] if known else "", "")
        if not version:
            raise SlipwayError(
                f"{lock} is from an unknown version of {name}. Name the version that you use in "
                f'package.json: "packageManager": "{name}@…"'
            )
    return PackageManager(name, form, version, lock)


def _named(root: Path, member: Path, folder: Path, managers: list[str]) -> tuple[str, str]:
    """Returns name and version in the nearest `packageManager`, from the member up to the root.

    Above the folder of the lock, only one of these managers counts, which would switch to it there.
    """
    for place in (member, *member.parents):
        named = str(manifests.read(place).get("packageManager") or "")
        name, _, version = named.partition("@")
        if name and (place.is_relative_to(folder) or name in managers):
            return name, version.partition("+")[0]
        if place == root:
            break
    return "", ""


def _keeps_yarn(folder: Path) -> bool:
    """Returns whether a folder has its own yarn (`yarnPath`), which any other yarn then runs."""
    file = folder / ".yarnrc.yml"
    text = file.read_text(encoding="utf-8") if file.is_file() else ""
    found = re.search(r"^yarnPath:\s*[\"']?([^\s\"']+)", text, re.MULTILINE)
    return found is not None and (folder / found[1]).is_file()


def _version(name: str, path: str) -> str:
    """Returns the version of a manager on a PATH; empty if there is none.

    It runs in the root folder of the system, because in a member's folder it may switch versions.
    """
    found = shutil.which(name, path=path)
    if found is None:
        return ""
    environment = {**os.environ, "PATH": path, "COREPACK_ENABLE_NETWORK": "0"}
    done = shell.ask(found, "--version", cwd=Path("/"), env=environment)
    return done.stdout.strip() if not done.returncode else ""


def _check_classic(manager: PackageManager) -> None:
    """Checks that a lock of yarn 1 has all dependencies; in workspaces yarn does not check this."""
    from slipway_ops.node import lock_files

    if manager.form != "yarn":
        return
    known = lock_files.descriptors(manager.lock.read_text(encoding="utf-8"))
    folders = manifests.packages(manager.folder)
    own = {manifests.read(folder).get("name") for folder in folders}
    overrides = manifests.read(manager.folder).get("resolutions") or {}
    for folder in folders:
        kinds = ("dependencies", "devDependencies", "optionalDependencies")
        for name, wanted in manifests.declared(manifests.read(folder), *kinds).items():
            foreign = name in own or wanted.startswith(("file:", "link:"))
            if not foreign and not overrides and f"{name}@{wanted}" not in known:
                raise SlipwayError(
                    f"yarn.lock does not fit {folder / 'package.json'}: {name}@{wanted} is "
                    f"missing. {manager.remedy}"
                )


def _run(name: str, *words: str, folder: Path, environment: Mapping[str, str]) -> str:
    """Runs a manager; returns its output if it failed, and "" if it did not."""
    program = shutil.which(name, path=environment["PATH"]) or name
    done = shell.ask(program, *words, cwd=folder, env=environment)
    if not done.returncode:
        return ""
    return f"{done.stdout.strip()}\n{done.stderr.strip()}".strip() or "it gave no reason"
