"""Objects saved as versions and loaded again, at once, in the background, and whenever they change."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import textwrap
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from pathlib import Path
from typing import Any, NamedTuple

import pytest

import art
from art.errors import ConflictError, DeniedError, NotFoundError, UsageError
from art.materialize import Stream
from art.repo import Repo
from art.version import Version
from tests.support_processes import run_together

np = pytest.importorskip("numpy")


class Point(NamedTuple):
    x: int
    y: int


class Broken(Stream):
    """Fails after so many bytes were written."""

    name = "broken"
    types = (io.StringIO,)

    def filename(self, value: Any) -> str:
        return "content.bin"

    def write(self, value: Any, stream: Any) -> dict[str, Any]:
        stream.write(bytes(3_000_000))
        raise UsageError("this cannot be written to its end")

    def read(self, stream: Any, format: dict[str, Any]) -> Any:
        raise AssertionError("nothing was saved")


@pytest.fixture
def broken(monkeypatch: pytest.MonkeyPatch) -> Broken:
    from art.materialize import registry

    monkeypatch.setattr(registry, "_registered", [])
    return registry.register(Broken())  # type: ignore[return-value]


@pytest.mark.parametrize(
    "value",
    [None, True, 3, 2.5, "text", "x" * 9000, b"\0\1", [1, (2, {3})], {1: "a"}, {"a": [1, None]}],
    ids=lambda value: repr(value)[:20],
)
def test_what_was_saved_comes_back_equal(repo: Repo, value: object) -> None:
    made = repo.save(value, "k")
    found = made.version.load()
    assert found == value
    assert type(found) is type(value)


def test_an_array_comes_back_from_a_file_that_numpy_reads(repo: Repo, tmp_path: Path) -> None:
    array = np.arange(1000.0).reshape(10, 100)
    made = repo.save(array, "k")
    assert np.array_equal(made.version.load(), array)
    got = made.version.get(tmp_path / "out.npy")
    assert np.array_equal(np.load(got.path), array)
    assert made.version.preview is not None
    assert made.version.preview["shape"] == [10, 100]


def test_equal_objects_make_no_second_version(repo: Repo) -> None:
    assert repo.save({"a": np.arange(3)}, "k").created
    assert not repo.save({"a": np.arange(3)}, "k").created
    assert repo.save({"a": np.arange(4)}, "k").created


def test_no_preview_is_stored_where_none_is_wanted(repo: Repo) -> None:
    assert repo.save(np.arange(3), "k", preview=False).version.preview is None
    assert not list((repo.root / ".art").glob("previews/*/*"))


def test_a_preview_that_is_damaged_is_not_shown(repo: Repo) -> None:
    version = repo.save(np.arange(3), "k").version
    (file,) = (repo.root / ".art").glob("previews/*/*")
    file.chmod(0o644)
    file.write_bytes(file.read_bytes().replace(b"int64", b"int32"))
    with pytest.raises(art.CorruptError, match=file.name):
        _ = version.preview


def test_what_cannot_be_written_to_its_end_makes_no_version(repo: Repo, broken: Broken) -> None:
    with pytest.raises(UsageError, match="to its end"):
        repo.save(io.StringIO(), "k")
    assert repo.keys() == []


def test_a_materializer_that_is_not_installed_is_named(
    repo: Repo, monkeypatch: pytest.MonkeyPatch
) -> None:
    from art.materialize import registry

    class Odd(Stream):
        name = "odd"
        types = (io.StringIO,)

        def filename(self, value: Any) -> str:
            return "odd.txt"

        def write(self, value: Any, stream: Any) -> dict[str, Any]:
            stream.write(value.getvalue().encode())
            return {}

        def read(self, stream: Any, format: dict[str, Any]) -> Any:
            return io.StringIO(stream.read().decode())

    monkeypatch.setattr(registry, "_registered", [])
    art.register_materializer(Odd())
    made = repo.save(io.StringIO("hello"), "k")
    assert made.version.load().getvalue() == "hello"
    monkeypatch.setattr(registry, "_registered", [])
    with pytest.raises(NotFoundError, match="'odd'"):
        made.version.load()


def test_pickles_are_made_and_loaded_only_where_both_ends_say_so(repo: Repo) -> None:
    value = threading.Event.__init__  # nobody can save a function
    with pytest.raises(UsageError, match="no materializer") as caught:
        repo.save(value, "k")
    assert "pickle=True" in str(caught.value.hint)
    with pytest.warns(UserWarning, match="pickle"):
        made = repo.save(value, "k", pickle=True)
    with pytest.raises(DeniedError, match="runs code"):
        made.version.load()
    with pytest.warns(UserWarning, match="pickle"):
        assert made.version.load(pickle=True) is value


def test_what_is_no_image_is_not_saved_as_something_else(repo: Repo) -> None:
    for other in ([1, 2], np.zeros((2, 2)), {"a": 1}, b"\x89PNG"):
        with pytest.raises(UsageError, match="neither an image nor a figure"):
            repo.image("k", other)
    assert repo.keys() == []


def test_columns_are_not_given_to_what_has_its_own(repo: Repo, tmp_path: Path) -> None:
    pd = pytest.importorskip("pandas")
    with pytest.raises(UsageError, match="rows that come without"):
        repo.table("k", pd.DataFrame({"a": [1], "b": [2]}), columns=["a"])
    (tmp_path / "t.csv").write_text("a,b\n1,2\n")
    with pytest.raises(UsageError, match=r"t\.csv is a file"):
        repo.table("k", tmp_path / "t.csv", columns=["a"])
    assert repo.keys() == []


def test_a_path_of_a_loaded_folder_can_be_used(repo: Repo, tmp_path: Path) -> None:
    (tmp_path / "data" / "deep").mkdir(parents=True)
    (tmp_path / "data" / "deep" / "x").write_text("x")
    (tmp_path / "file.txt").write_text("hello")
    folder = repo.save(tmp_path / "data", "folder").version.load()
    file = repo.save(tmp_path / "file.txt", "file").version.load()
    assert folder.name == "data"
    assert (folder / "deep" / "x").read_text() == "x"
    assert (file.name, file.read_text()) == ("file.txt", "hello")
    with pytest.raises(NotFoundError):
        repo.save(tmp_path / "nothing", "k")


def test_versions_that_were_made_otherwise_load_as_what_they_are(
    repo: Repo, tmp_path: Path
) -> None:
    (tmp_path / "a.csv").write_text("x,y\n1,2\n")
    assert repo.markdown("m", "# hi").version.load() == "# hi"
    assert repo.value("v", 3).version.load() == 3
    assert repo.json("j", {"a": [1.5]}).version.load() == {"a": [1.5]}
    assert repo.table("t", tmp_path / "a.csv").version.load().columns == ["x", "y"]
    assert repo.create("f", tmp_path / "a.csv").version.load().read_text() == "x,y\n1,2\n"
    assert repo.progress("p", 40).version.load() == 40


def test_versions_can_be_named_as_inputs_themselves(repo: Repo) -> None:
    raw = repo.save(1, "raw").version
    made = repo.save(2, "out", inputs=[raw, "raw@v1"]).version
    assert [each["key"] for each in made.inputs][:1] == ["raw"]
    with pytest.raises(UsageError, match="no version"):
        repo.save(3, "out", inputs=[7])  # type: ignore[list-item]


# -- in the background -----------------------------------------------------------------------------


def test_an_object_saved_in_the_background_is_the_one_of_that_moment(repo: Repo) -> None:
    value = {"a": 1}
    future = repo.save(value, "k", wait=False)
    value["a"] = 2
    repo.flush()
    assert future.result().version.load() == {"a": 1}


def test_a_picture_that_is_saved_in_the_background_keeps_its_size(
    repo: Repo, tmp_path: Path
) -> None:
    images = pytest.importorskip("PIL.Image")
    images.effect_noise((800, 400), 50).convert("RGB").save(tmp_path / "large.jpg")
    with images.open(tmp_path / "large.jpg") as image:
        made = repo.save(image, "k", wait=False).result().version
        assert made.load().size == image.size == (800, 400)
    with images.open(tmp_path / "large.jpg") as image:
        assert made.load().tobytes() == image.tobytes()
    assert made.preview is not None
    assert made.preview["width"] == 800


def test_what_goes_wrong_in_the_background_is_raised_by_flush(repo: Repo) -> None:
    hook = repo.root / ".art" / "hooks" / "pre-create"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\nexit 1\n")
    hook.chmod(0o755)
    future = repo.save(1, "k", wait=False)
    with pytest.raises(DeniedError, match="pre-create"):
        repo.flush()
    assert isinstance(future.exception(), DeniedError)
    repo.flush()  # said once
    assert repo.keys() == []


def run(script: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )


def test_nothing_is_lost_when_a_process_ends(repo: Repo) -> None:
    script = """
        import art

        repo = art.open()
        for number in range(30):
            repo.save(f"text {number}", "later", wait=False)
        state = {"a": 1}
        repo.track(state, "state", interval=1000)
        state["a"] = 2
    """
    done = run(script, repo.root)
    assert (done.returncode, done.stderr) == (0, "")
    assert [repo.version(f"later@v{n}").load() for n in (1, 30)] == ["text 0", "text 29"]
    assert repo.version("state").load() == {"a": 2}


def test_what_is_saved_in_the_background_cannot_be_cancelled(repo: Repo) -> None:
    futures = [repo.save(number, "k", wait=False) for number in range(9)]
    assert not any(future.cancel() for future in futures)
    repo.flush()
    assert [repo.version(f"k@v{n}").load() for n in range(1, 10)] == list(range(9))


def test_a_repository_that_is_closed_leaves_no_thread(repo: Repo) -> None:
    def ours() -> set[threading.Thread]:
        return {each for each in threading.enumerate() if each.name.startswith("art-")}

    before = ours()
    with art.open() as other:
        other.save(1, "k", wait=False)
        other.track({"a": 1}, "state", interval=1000)
        others = ours() - before
        assert len(others) == 2
    for thread in others:
        thread.join()
    other.save(2, "k", wait=False)  # it may go on all the same
    other.flush()
    assert repo.version("k").load() == 2


def test_all_that_is_tracked_is_saved_whatever_else_goes_wrong(repo: Repo) -> None:
    bad: dict[str, object] = {"a": 1}
    good = {"a": 1}
    trackers = [repo.track(bad, "bad", interval=1000), repo.track(good, "good", interval=1000)]
    bad["f"] = open
    good["a"] = 2
    with pytest.raises(UsageError, match="no materializer"):
        repo.flush()
    assert repo.version("good").load() == {"a": 2}
    del bad["f"]
    for tracker in trackers:
        tracker.stop()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="nothing is forked here")
def test_a_process_that_is_forked_ends_and_leaves_what_waits_to_its_parent(repo: Repo) -> None:
    script = """
        import multiprocessing

        import art

        def job():
            state["a"] = 3
            art.open().save("child", "child", wait=False)
            repo.save("child", "shared", wait=False)
            assert repo.tracked() == {}

        repo = art.open()
        state = {"a": 1}
        tracker = repo.track(state, "state", interval=1000)
        for number in range(10):
            repo.save(f"text {number}", "later", wait=False)
        with tracker.lock:
            child = multiprocessing.get_context("fork").Process(target=job)
            child.start()
            child.join()
        state["a"] = 2
        assert child.exitcode == 0
    """
    done = run(script, repo.root)
    assert done.returncode == 0, done.stderr
    assert [repo.version(f"later@v{n}").load() for n in range(1, 11)] == [
        f"text {n}" for n in range(10)
    ]
    assert [repo.version(f"state@v{n}").load() for n in (1, 2)] == [{"a": 1}, {"a": 2}]
    assert len(repo.history("state")) == 2
    assert repo.version("child").load() == repo.version("shared").load() == "child"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="nothing is forked here")
def test_an_object_is_saved_while_a_process_lives_that_was_forked_meanwhile(repo: Repo) -> None:
    script = """
        import multiprocessing
        import threading

        import art
        from art.materialize import Stream

        class Slow(Stream):
            name = "slow"
            types = (threading.Event,)
            def filename(self, value):
                return "content.bin"
            def write(self, value, stream):
                stream.write(b"1")
                begun.set()
                value.wait()
                return {}
            def read(self, stream, format):
                return stream.read()

        begun, go = threading.Event(), threading.Event()
        context = multiprocessing.get_context("fork")
        end = context.Event()
        repo = art.open()
        art.register_materializer(Slow())
        saving = threading.Thread(target=repo.save, args=(go, "k"))
        saving.start()
        begun.wait()
        child = context.Process(target=end.wait)
        child.start()
        go.set()
        saving.join()
        assert child.is_alive()
        end.set()
    """
    done = run(script, repo.root)
    assert done.returncode == 0, done.stderr
    assert repo.version("k").read() == b"1"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="nothing is forked here")
def test_a_process_that_is_forked_while_a_thread_writes_the_index_can_write_it(
    tmp_path: Path,
) -> None:
    script = """
        import multiprocessing
        import threading
        import time

        from art.database import Database

        index = Database("index.sqlite", "repository")
        begun = threading.Event()

        def slowly():
            with index.transaction():
                index.execute("INSERT INTO keys (key) VALUES ('parent')")
                begun.set()
                time.sleep(0.5)

        def job():
            Database("index.sqlite", "repository").execute("INSERT INTO keys (key) VALUES ('child')")

        threading.Thread(target=slowly).start()
        begun.wait()
        child = multiprocessing.get_context("fork").Process(target=job)
        child.start()
        child.join()
        assert child.exitcode == 0
        assert len(index.execute("SELECT key FROM keys WHERE key IS NOT NULL")) == 2
    """
    done = run(script, tmp_path)
    assert done.returncode == 0, done.stderr


def test_one_panic_at_the_end_of_a_process_loses_nothing_else(repo: Repo) -> None:
    script = """
        import art
        from art.materialize import Stream

        class PanicError(BaseException):
            pass

        class Panics(Stream):
            name = "panics"
            types = (range,)
            def filename(self, value):
                return "content.bin"
            def write(self, value, stream):
                raise PanicError("this panics")
            def read(self, stream, format):
                return range(0)

        art.register_materializer(Panics())
        repo = art.open()
        states = [{"a": 1} for _ in range(6)]
        for number, state in enumerate(states):
            repo.track(state, f"k{number}", interval=1000)
            state["a"] = 2 if number % 2 else range(3)
    """
    done = run(script, repo.root)
    assert "this panics" in done.stderr
    assert [repo.version(f"k{n}").load() for n in (1, 3, 5)] == [{"a": 2}] * 3


def test_what_is_saved_in_the_background_while_the_process_ends_is_not_lost(repo: Repo) -> None:
    script = """
        import atexit
        import threading

        import art

        repo = art.open()
        repo.save(1, "before", wait=False)
        atexit.register(lambda: late("exit"))

        def late(key):
            repo.save(bytes(3_000_000), key, wait=False)

        def thread():
            main.join()
            late("thread")

        main = threading.main_thread()
        threading.Thread(target=thread).start()
    """
    done = run(script, repo.root)
    assert done.stderr == ""
    assert sorted(repo.keys()) == ["before", "exit", "thread"]
    assert repo.version("thread").load() == bytes(3_000_000)


def test_what_goes_wrong_at_the_end_of_a_process_is_said(repo: Repo) -> None:
    script = """
        import art

        state = {"a": 1}
        repo = art.open()
        repo.track(state, "state", interval=1000)
        state["f"] = open
    """
    done = run(script, repo.root)
    assert "no materializer" in done.stderr


# -- tracking --------------------------------------------------------------------------------------


def test_a_tracked_object_makes_a_version_when_it_changed_and_only_then(repo: Repo) -> None:
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame({"x": [1, 2]}, index=["a", "b"])
    tracker = repo.track(frame, "k", interval=1000)
    assert not tracker.flush().created
    frame.loc["a", "x"] = 7
    assert tracker.flush().created
    frame.index = ["a", "c"]
    assert tracker.flush().created
    frame["x"] = frame["x"].astype("int32")
    assert tracker.flush().created
    frame.columns = ["y"]
    assert tracker.stop().created  # type: ignore[union-attr]
    assert len(repo.history("k")) == 5
    assert repo.version("k").load().equals(frame)
    assert repo.tracked() == {}


def test_a_tracked_object_is_looked_at_at_its_interval(repo: Repo) -> None:
    state = {"a": 1}
    tracker = repo.track(state, "k", interval=0.02)
    with tracker.lock:
        state["a"] = 2
        state["b"] = 3
    while len(repo.history("k")) < 2:
        pass
    tracker.stop()
    assert repo.version("k@v2").load() == {"a": 2, "b": 3}


def test_a_key_is_tracked_once_and_another_object_can_take_its_place(repo: Repo) -> None:
    tracker = repo.track({"a": 1}, "k", interval=1000)
    with pytest.raises(ConflictError, match="tracked already"):
        repo.track({"a": 2}, "k")
    tracker.set({"a": 3})
    repo.flush()
    assert repo.version("k").load() == {"a": 3}
    assert list(repo.tracked()) == ["k"]
    tracker.stop()
    assert tracker.stop() is None


def test_what_went_wrong_while_tracking_is_raised_and_the_object_saved_all_the_same(
    repo: Repo,
) -> None:
    state: dict[str, object] = {"a": 1}
    tracker = repo.track(state, "k", interval=0.02)
    state["bad"] = open
    while tracker._failed is None:
        pass
    del state["bad"]
    state["a"] = 2
    with pytest.raises(UsageError, match="no materializer"):
        tracker.stop()
    assert repo.version("k").load() == {"a": 2}


def test_what_cannot_be_saved_when_tracking_stops_is_not_let_go_of(repo: Repo) -> None:
    state: dict[str, object] = {"a": 1}
    tracker = repo.track(state, "k")
    state |= {"a": 2, "bad": open}
    for _ in range(2):
        with pytest.raises(UsageError, match=r"at \['bad'\]: there is no materializer"):
            tracker.stop()
        assert tracker.is_running
        assert list(repo.tracked()) == ["k"]
    with pytest.raises(UsageError, match="no materializer"):
        repo.close()
    del state["bad"]
    repo.flush()
    assert repo.version("k").load() == {"a": 2}
    state["a"] = 3
    made = tracker.stop()
    assert made is not None
    assert made.version.load() == {"a": 3}
    assert repo.tracked() == {}
    assert tracker.stop() is None


def test_tracking_goes_on_after_whatever_goes_wrong(
    repo: Repo, monkeypatch: pytest.MonkeyPatch
) -> None:
    from art.materialize import registry

    class PanicError(BaseException):
        """What libraries in Rust raise is no Exception."""

    class Panics(Broken):
        def write(self, value: Any, stream: Any) -> dict[str, Any]:
            raise PanicError

    monkeypatch.setattr(registry, "_registered", [])
    registry.register(Panics())
    state: dict[str, object] = {"a": 1}
    tracker = repo.track(state, "k", interval=0.02)
    state["bad"] = io.StringIO()
    while tracker._failed is None:
        pass
    with tracker.lock:
        del state["bad"]
        state["a"] = 2
    while len(repo.history("k")) < 2:
        pass
    with pytest.raises(PanicError):
        tracker.stop()
    assert repo.version("k").load() == {"a": 2}


def test_an_interval_must_be_a_time(repo: Repo) -> None:
    with pytest.raises(UsageError, match="interval"):
        repo.track({}, "k", interval=0)


# --- many at once ---------------------------------------------------------------------------------


def test_twenty_threads_and_eight_processes_save_to_one_key_and_lose_nothing(
    repo: Repo, tmp_path: Path
) -> None:
    with ThreadPoolExecutor(20) as threads:
        made = list(threads.map(lambda n: repo.save({"thread": n, "x": 1.5}, "k"), range(20)))
    assert {each.version.number for each in made} == {*range(1, 21)}

    script = "say(number=repo.save({'process': number}, 'k').version.number)"
    said = run_together(tmp_path / "all", *[script] * 8)
    assert {lines[0]["number"] for lines in said} == {*range(21, 29)}

    kept = [repo.version(f"k@v{n}").load() for n in range(1, 29)]
    assert sorted(each["thread"] for each in kept[:20]) == [*range(20)]
    assert sorted(each["process"] for each in kept[20:]) == [*range(8)]


def test_of_many_that_get_or_create_one_creates_and_all_get_the_same(
    repo: Repo, tmp_path: Path
) -> None:
    gate = threading.Barrier(20)

    def get(number: int) -> tuple[Version, bool]:
        def make() -> list[int]:
            gate.wait()  # none of them has found a version
            return [number]

        return repo.get_or_create("k", make, tags=["first"])

    with ThreadPoolExecutor(20) as threads:
        found = list(threads.map(get, range(20)))
    assert [is_new for _, is_new in found].count(True) == 1
    assert {version.ref for version, _ in found} == {"k@v1"}
    [(first, _)] = [each for each in found if each[1]]
    assert {tuple(version.load()) for version, _ in found} == {tuple(first.load())}
    assert repo.version("k@first").load() == first.load()

    script = """
version, is_new = repo.get_or_create("p", lambda: number)
say(ref=version.ref, value=version.load(), is_new=is_new)
"""
    said = [lines[0] for lines in run_together(tmp_path / "all", *[script] * 8)]
    assert [each["is_new"] for each in said].count(True) == 1
    assert {each["ref"] for each in said} == {"p@v1"}
    assert len({each["value"] for each in said}) == 1


def test_what_was_deleted_is_created_again(repo: Repo) -> None:
    repo.get_or_create("k", lambda: 1)
    repo.delete("k")
    version, is_new = repo.get_or_create("k", lambda: 2)
    assert (version.ref, version.load(), is_new) == ("k@v2", 2, True)


def test_a_small_object_shows_its_values_and_where_a_class_is_not_there_how_it_is_stored(
    repo: Repo,
) -> None:
    from art.loading import preview_or_derived

    version = repo.save({"day": date(2020, 1, 1), (1, 2): 3}, "k").version
    assert (preview_or_derived(version) or {})["value"] == {"day": "2020-01-01", "(1, 2)": 3}
    point = repo.save([Point(1, 2)], "point").version
    with pytest.MonkeyPatch.context() as patch:
        patch.delitem(sys.modules, Point.__module__)
        assert '"namedtuple"' in (preview_or_derived(point) or {})["text"]
