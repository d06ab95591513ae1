from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from textwrap import dedent

import pytest

from workflow_runtime.engine import filelock
from workflow_runtime.engine.filelock import FileLock
from workflow_runtime.errors import ServerAlreadyRunning, StoreUnavailable

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="needs POSIX locks"),
    pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning"),
]

HOLDER = dedent("""
    import sys
    from workflow_runtime.engine import filelock
    lock = filelock.acquire(sys.argv[1])
    print("held", flush=True)
    sys.stdin.readline()
    lock.release()
    print("released", flush=True)
    sys.stdin.readline()
""")


@pytest.fixture
def database(tmp_path: Path) -> Path:
    return tmp_path / "workflow.db"


@pytest.fixture
def take() -> Iterator[Callable[[Path], FileLock]]:
    """Take a lock that is released after the test."""
    with ExitStack() as stack:

        def taken(path: Path) -> FileLock:
            lock = filelock.acquire(path)
            stack.callback(lock.release)
            return lock

        yield taken


@contextmanager
def holder(database: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that holds the lock, until it reads a line."""
    with subprocess.Popen([sys.executable, "-c", HOLDER, str(database)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert heard(process) == "held"
            yield process
        finally:
            process.kill()


def heard(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def tell(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()


def refusal(database: Path) -> ServerAlreadyRunning:
    with pytest.raises(ServerAlreadyRunning) as caught:
        filelock.acquire(database)
    return caught.value


def in_child(work: Callable[[], object]) -> str:
    """What this says in a forked child."""
    reader, writer = os.pipe()
    if (pid := os.fork()) == 0:
        try:
            os.write(writer, repr(work()).encode())
        except BaseException as error:
            os.write(writer, type(error).__name__.encode())
        finally:
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as pipe:
        said = pipe.read()
    os.waitpid(pid, 0)
    return said


def test_a_lock_is_held_until_it_is_released(database: Path, take: Callable[[Path], FileLock]) -> None:
    lock = take(database)
    assert lock.held()
    assert lock.path == database.with_name("workflow.db.lock")
    assert lock.path.read_text() == f"{os.getpid()}\n"
    lock.release()
    assert not lock.held()
    assert lock.path.read_text() == ""


def test_the_database_itself_is_not_touched(database: Path, take: Callable[[Path], FileLock]) -> None:
    take(database)
    assert not database.exists()


def test_a_released_lock_can_be_taken_again_and_released_only_once(database: Path, take: Callable[[Path], FileLock]) -> None:
    first = take(database)
    first.release()
    second = take(database)
    first.release()
    assert second.held()
    assert not first.held()


def test_a_second_process_is_refused_with_the_pid_of_the_first(database: Path) -> None:
    with holder(database) as process:
        error = refusal(database)
        assert error.pid == process.pid
        assert error.path == str(database)
        assert f"the process {process.pid}" in error.message
        assert "as_client()" in error.message


def test_this_process_is_named_to_others(database: Path, take: Callable[[Path], FileLock]) -> None:
    lock = take(database)
    script = dedent("""
        import sys
        from workflow_runtime.engine import filelock
        from workflow_runtime.errors import ServerAlreadyRunning
        try:
            filelock.acquire(sys.argv[1])
        except ServerAlreadyRunning as error:
            print(error.pid)
    """)
    for _ in range(2):  # the refused one must not have dropped anything
        answer = subprocess.run([sys.executable, "-c", script, str(database)], capture_output=True, text=True, timeout=60, check=True)
        assert answer.stdout.strip() == str(os.getpid())
    assert lock.held()


def test_after_kill_9_the_lock_is_free_at_once(database: Path, take: Callable[[Path], FileLock]) -> None:
    with holder(database) as process:
        refusal(database)
        process.send_signal(signal.SIGKILL)
        process.wait(timeout=30)
        assert take(database).held()


def test_after_a_release_others_may_take_it(database: Path, take: Callable[[Path], FileLock]) -> None:
    with holder(database) as process:
        tell(process)
        assert heard(process) == "released"
        assert take(database).held()


def test_a_second_runtime_in_this_process_is_refused(database: Path, take: Callable[[Path], FileLock]) -> None:
    first = take(database)
    error = refusal(database)
    assert error.pid == os.getpid()
    assert "another runtime in this process" in error.message
    assert first.held()
    assert in_other_process_is_refused(database)


def in_other_process_is_refused(database: Path) -> bool:
    """The kernel's view: the lock of this process still stands."""
    script = "import sys; from workflow_runtime.engine import filelock; filelock.acquire(sys.argv[1])"
    ended = subprocess.run([sys.executable, "-c", script, str(database)], capture_output=True, text=True, timeout=60, check=False)
    return ended.returncode == 1 and "ServerAlreadyRunning" in ended.stderr


def test_of_many_threads_one_gets_it(database: Path, take: Callable[[Path], FileLock]) -> None:
    taken: list[FileLock] = []
    refused: list[ServerAlreadyRunning] = []

    def try_it() -> None:
        try:
            taken.append(take(database))
        except ServerAlreadyRunning as error:
            refused.append(error)

    threads = [threading.Thread(target=try_it) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(taken), len(refused)) == (1, 7)
    assert in_other_process_is_refused(database)


def test_a_symbolic_link_finds_the_same_lock(tmp_path: Path, database: Path, take: Callable[[Path], FileLock]) -> None:
    link, folder = tmp_path / "link.db", tmp_path / "folder"
    link.symlink_to(database)
    folder.symlink_to(tmp_path, target_is_directory=True)
    lock = take(link)
    assert lock.path == database.with_name("workflow.db.lock")
    for name in (database, link, folder / "workflow.db", folder / "link.db", tmp_path / "x" / ".." / "workflow.db"):
        assert refusal(name).path == str(database)


def test_another_process_finds_it_through_a_link_too(tmp_path: Path, database: Path) -> None:
    link = tmp_path / "link.db"
    link.symlink_to(database)
    with holder(link) as process:
        assert refusal(database).pid == process.pid


def test_two_names_of_one_lock_file_are_one_lock(tmp_path: Path, database: Path, take: Callable[[Path], FileLock]) -> None:
    """As with one folder mounted in two places: the paths differ, device and inode do not."""
    lock = take(database)
    elsewhere = tmp_path / "mounted"
    elsewhere.mkdir()
    os.link(lock.path, elsewhere / "workflow.db.lock")
    refusal(elsewhere / "workflow.db")
    assert in_other_process_is_refused(database)


def test_different_databases_do_not_disturb_each_other(tmp_path: Path, take: Callable[[Path], FileLock]) -> None:
    one, other = take(tmp_path / "one.db"), take(tmp_path / "other.db")
    one.release()
    assert other.held()
    assert not one.held()


def test_a_forked_child_does_not_have_the_lock(database: Path, take: Callable[[Path], FileLock]) -> None:
    lock = take(database)
    assert in_child(lock.held) == "False"
    assert in_child(lambda: filelock.acquire(database)) == "ServerAlreadyRunning"
    assert in_child(lock.release) == "None"
    assert lock.held()
    assert in_other_process_is_refused(database)


def test_a_forked_child_may_take_it_when_the_parent_let_go(database: Path, take: Callable[[Path], FileLock]) -> None:
    take(database).release()
    assert in_child(lambda: filelock.acquire(database).held()) == "True"


def test_a_fork_while_another_thread_takes_a_lock_does_not_hang(database: Path) -> None:
    with filelock._REGISTRY._lock:
        assert in_child(lambda: filelock.acquire(database).held()) == "True"


def test_a_lock_file_that_was_replaced_is_no_longer_held(database: Path, take: Callable[[Path], FileLock]) -> None:
    lock = take(database)
    lock.path.unlink()
    assert not lock.held()
    lock.path.touch()
    assert not lock.held()
    refusal(database)  # and this process does not open a second one of that name


def test_what_the_file_held_before_does_not_matter(database: Path, take: Callable[[Path], FileLock]) -> None:
    database.with_name("workflow.db.lock").write_text("99999999999 left by somebody\n")
    assert take(database).path.read_text() == f"{os.getpid()}\n"


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailable, match="cannot be opened") as caught:
        filelock.acquire(tmp_path / "missing" / "workflow.db")
    assert caught.value.path == str(tmp_path / "missing" / "workflow.db.lock")


def test_whether_it_is_free_can_be_asked(database: Path, take: Callable[[Path], FileLock]) -> None:
    assert filelock.is_free(database)
    assert list(database.parent.iterdir()) == []
    with holder(database) as process:
        assert not filelock.is_free(database)
        process.send_signal(signal.SIGKILL)
        process.wait(timeout=30)
        assert filelock.is_free(database)
    lock = take(database)
    assert not filelock.is_free(database)
    assert lock.held()
    assert in_other_process_is_refused(database)  # asking has not dropped it


def test_asking_does_not_get_in_the_way_of_a_start(database: Path, take: Callable[[Path], FileLock]) -> None:
    take(database).release()  # so that there is a file to ask about
    script = dedent("""
        import sys
        from workflow_runtime.engine import filelock
        print("asking", flush=True)
        while True:
            filelock.is_free(sys.argv[1])
    """)
    with subprocess.Popen([sys.executable, "-c", script, str(database)], stdout=subprocess.PIPE, text=True) as asker:
        try:
            assert heard(asker) == "asking"
            for _ in range(5_000):  # one in some hundreds meets the other
                filelock.acquire(database).release()
        finally:
            asker.kill()
