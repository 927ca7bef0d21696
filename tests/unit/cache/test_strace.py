"""The accesses of programs are read from the output of strace."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from slipway_ops.cache import strace
from slipway_ops.cache.strace import Access, Accesses
from slipway_ops.errors import SlipwayError


def accesses(text: str) -> dict[tuple[str, str], str]:
    """The accesses in the output of strace for `tool`, which was started in /shop/api."""
    found = Accesses()
    found.read(text.strip().splitlines(), "/shop/api", "tool")
    return {(access.how, access.what): program for access, program in found.found.items()}


def test_reading_listing_looking_up_and_missing_files_are_distinguished() -> None:
    found = accesses("""
10 openat(AT_FDCWD</shop/api>, "one.json", O_RDONLY|O_CLOEXEC) = 3</shop/api/one.json>
10 newfstatat(3</shop/api/one.json>, "", {st_mode=S_IFREG|0644, ...}, AT_EMPTY_PATH) = 0
10 newfstatat(AT_FDCWD</shop/api>, "/shop/two.json", {st_mode=S_IFREG|0644, ...}, 0) = 0
10 openat(AT_FDCWD</shop/api>, "data", O_RDONLY|O_CLOEXEC|O_DIRECTORY) = 4</shop/api/data>
10 getdents64(4</shop/api/data>, 0x55 /* 3 entries */, 32768) = 80
10 access("none.cfg", R_OK) = -1 ENOENT (No such file or directory)
10 readlink("/shop/api/one.json", 0x7f, 1023) = -1 EINVAL (Invalid argument)
10 openat(AT_FDCWD</shop/api>, "secret", O_RDONLY) = -1 EACCES (Permission denied)
10 getcwd("/shop/elsewhere", 4096) = 16
""")
    assert set(found) == {
        ("read", "/shop/api/one.json"),
        ("looked up", "/shop/two.json"),
        ("looked up", "/shop/api/data"),
        ("listed", "/shop/api/data"),
        ("missed", "/shop/api/none.cfg"),
        ("looked up", "/shop/api/one.json"),
        ("looked up", "/shop/api/secret"),
    }


def test_relative_paths_belong_to_the_folder_of_the_process_or_the_descriptor() -> None:
    found = accesses("""
10 chdir("src") = 0
10 stat("a", {st_mode=S_IFREG|0644, ...}) = 0
10 vfork( <unfinished ...>
11 stat("b", {st_mode=S_IFREG|0644, ...}) = 0
11 chdir("..") = 0
11 stat("c", {st_mode=S_IFREG|0644, ...}) = 0
10 <... vfork resumed>) = 11
10 stat("d", {st_mode=S_IFREG|0644, ...}) = 0
10 openat(5</shop/libs>, "core/e", O_RDONLY) = 6</shop/libs/core/e>
10 fchdir(5</shop/libs>) = 0
10 stat("f", {st_mode=S_IFREG|0644, ...}) = 0
""")
    assert {what for how, what in found if what[-2] == "/"} == {
        *("/shop/api/src/a", "/shop/api/src/b", "/shop/api/c", "/shop/api/src/d"),
        *("/shop/libs/core/e", "/shop/libs/f"),
    }


def test_a_thread_has_the_working_directory_of_its_process() -> None:
    found = accesses("""
10 clone3({flags=CLONE_VM|CLONE_FS|CLONE_THREAD, stack_size=0x7f}, 88) = 11
11 chdir("/shop/web") = 0
10 stat("a", {st_mode=S_IFREG|0644, ...}) = 0
""")
    assert ("looked up", "/shop/web/a") in found


def test_calls_that_other_calls_interrupt_are_joined() -> None:
    found = accesses("""
10 openat(AT_FDCWD</shop/api>, "a", O_RDONLY <unfinished ...>
11 openat(AT_FDCWD</shop/api>, "b", O_RDONLY <unfinished ...>
10 <... openat resumed>) = 3</shop/api/a>
11 <... openat resumed>) = -1 ENOENT (No such file or directory)
""")
    assert set(found) == {("read", "/shop/api/a"), ("missed", "/shop/api/b")}


def test_an_access_has_the_command_and_the_program_that_it_started() -> None:
    found = accesses("""
10 execve("/bin/tool", ["tool"], 0x7f /* 9 vars */) = 0
10 clone(child_stack=NULL, flags=CLONE_CHILD_SETTID|SIGCHLD, child_tidptr=0x7f) = 11
11 execve("/opt/cat", ["cat"], 0x7f /* 9 vars */) = -1 ENOENT (No such file or directory)
11 execve("/bin/cat", ["cat"], 0x7f /* 9 vars */ <unfinished ...>
11 <... execve resumed>) = 0
11 openat(AT_FDCWD</shop/api>, "a", O_RDONLY) = 3</shop/api/a>
10 openat(AT_FDCWD</shop/api>, "b", O_RDONLY) = 3</shop/api/b>
""")
    assert found == {
        ("run", "/bin/tool"): "tool",
        ("missed", "/opt/cat"): "tool",
        ("run", "/bin/cat"): "tool",
        ("read", "/shop/api/a"): "tool > cat",
        ("read", "/shop/api/b"): "tool",
    }


@pytest.mark.parametrize(
    "made",
    [
        'openat(AT_FDCWD</shop/api>, "out", O_WRONLY|O_CREAT|O_TRUNC, 0666) = 3</shop/api/out>',
        'openat(AT_FDCWD</shop/api>, "out", O_RDWR|O_CREAT|O_EXCL, 0600) = 3</shop/api/out>',
        'creat("out", 0666) = 3</shop/api/out>',
        'mkdir("out", 0777) = 0',
        'rename("new", "out") = 0',
        'renameat2(AT_FDCWD</shop/api>, "new", 4</shop/api>, "out", 0) = 0',
        'symlink("/shop/libs", "out") = 0',
        'unlink("out") = 0',
    ],
)
def test_files_that_a_session_makes_are_not_inputs(made: str) -> None:
    read = 'openat(AT_FDCWD</shop/api>, "out", O_RDONLY) = 3</shop/api/out>'
    below = 'stat("/shop/api/out/a/b", {st_mode=S_IFREG|0644, ...}) = 0'
    assert accesses(f"10 {made}\n10 {read}\n10 {below}") == {}
    assert ("read", "/shop/api/out") in accesses(f"10 {read}\n10 {made}"), "it was there before"


def test_the_target_of_a_link_that_a_session_makes_is_an_input() -> None:
    made = '10 symlink("/shop/libs/a", "out") = 0'
    read = '10 openat(AT_FDCWD</shop/api>, "/shop/libs/a", O_RDONLY) = 3</shop/libs/a>'
    assert set(accesses(f"{made}\n{read}")) == {("read", "/shop/libs/a")}


def test_a_file_opened_for_reading_and_writing_is_an_input_if_it_existed() -> None:
    both = '10 openat(AT_FDCWD</shop/api>, "db", O_RDWR|O_CREAT, 0644) = 3</shop/api/db>'
    missed = '10 stat("db", 0x7f) = -1 ENOENT (No such file or directory)'
    assert set(accesses(both)) == {("read", "/shop/api/db")}
    assert set(accesses(f"{missed}\n{both}")) == {("missed", "/shop/api/db")}


def test_names_that_are_not_ascii_are_decoded() -> None:
    found = accesses(r'10 stat("\303\251 \"x\".txt", {st_mode=S_IFREG|0644, ...}) = 0')
    assert set(found) == {("looked up", '/shop/api/é "x".txt')}


def test_addresses_count_except_those_of_this_machine() -> None:
    found = accesses("""
10 connect(5<socket:[1]>, {sa_family=AF_INET, sin_port=htons(443), \
sin_addr=inet_addr("192.0.2.1")}, 16) = -1 EINPROGRESS (Operation now in progress)
10 connect(5<socket:[1]>, {sa_family=AF_INET6, sin6_port=htons(53), sin6_flowinfo=htonl(0), \
inet_pton(AF_INET6, "2001:db8::1", &sin6_addr), sin6_scope_id=0}, 28) = 0
10 connect(5<socket:[1]>, {sa_family=AF_INET, sin_port=htons(80), \
sin_addr=inet_addr("127.0.0.1")}, 16) = 0
10 connect(5<socket:[1]>, {sa_family=AF_INET6, sin6_port=htons(80), sin6_flowinfo=htonl(0), \
inet_pton(AF_INET6, "::ffff:127.0.0.1", &sin6_addr), sin6_scope_id=0}, 28) = 0
10 connect(5<socket:[1]>, {sa_family=AF_UNIX, sun_path="/run/db/socket"}, 110) = 0
10 bind(6<socket:[2]>, {sa_family=AF_UNIX, sun_path="/srv/own/socket"}, 110) = 0
10 connect(5<socket:[1]>, {sa_family=AF_UNIX, sun_path="/srv/own/socket"}, 110) = 0
10 connect(5<socket:[1]>, {sa_family=AF_UNSPEC, sa_data="\\0\\0"}, 16) = 0
""")
    assert set(found) == {
        ("connected to", "192.0.2.1:443"),
        ("connected to", "2001:db8::1:53"),
        ("connected to", "/run/db/socket"),
    }


def test_a_link_that_is_only_looked_up_is_not_followed() -> None:
    found = Accesses()
    line = '10 newfstatat(AT_FDCWD</shop>, "a", {st_mode=S_IFLNK|0777}, AT_SYMLINK_NOFOLLOW) = 0'
    found.read([line], "/shop", "tool")
    assert set(found.found) == {Access("looked up", "/shop/a", follows=False)}


def test_lines_without_a_call_are_ignored() -> None:
    assert accesses("10 +++ exited with 0 +++\nnonsense\n10 <... read resumed>) = 1\n") == {}


def test_an_error_says_what_to_do_if_strace_is_missing_or_forbidden(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SlipwayError, match="apt-get install strace"):
        strace.ensure()
    fake = tmp_path / "strace"
    shell = shutil.which("sh", path="/usr/bin:/bin")
    fake.write_text(f"#!{shell}\necho 'PTRACE_TRACEME: Operation not permitted' >&2; exit 1\n")
    fake.chmod(0o755)
    with pytest.raises(SlipwayError, match="Operation not permitted.*SYS_PTRACE"):
        strace.ensure()
