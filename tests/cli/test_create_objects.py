"""`art create --from-python`, and what is kept beside the content."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path

import pytest

from art.repo import Repo
from tests.conftest import Runner

_numbers = itertools.count()


@pytest.fixture
def module(workplace: Path) -> Callable[[str], str]:
    """Return what writes a module into the working folder and gives its name, new each time."""

    def write(text: str) -> str:
        name = f"made_by_a_test_{next(_numbers)}"
        (workplace / f"{name}.py").write_text(text)
        return name

    return write


def test_what_a_function_returns_is_saved(
    repo: Repo, run: Runner, module: Callable[[str], str]
) -> None:
    name = module("def rows():\n    print('loading')\n    return [{'day': 1}, (1, 2)]\n")

    result = run("create", "k", "--from-python", f"{name}:rows", "-M", "n:=1", "-t", "prod")

    assert result.out.startswith("k@v1  b3:")
    assert "loading" in result.err
    version = repo.version("k@prod")
    assert version.load() == [{"day": 1}, (1, 2)]
    assert version.metadata == {"n": 1}
    assert "unchanged" in run("create", "k", "--from-python", f"{name}:rows", "-M", "n:=1").out


def test_functions_in_classes_and_of_installed_modules(
    repo: Repo, run: Runner, module: Callable[[str], str]
) -> None:
    name = module("class A:\n    @staticmethod\n    def f():\n        return 'x'\n")

    run("create", "k", "--from-python", f"{name}:A.f")
    run("create", "home", "--from-python", "sysconfig:get_platform")
    assert repo.version("k").load() == "x"


def test_what_a_function_raises_is_told_with_the_last_line(
    repo: Repo, run: Runner, module: Callable[[str], str]
) -> None:
    name = module(
        "import sys\ndef f():\n    raise ValueError('no\\ndata')\ndef g():\n    sys.exit(0)\n"
    )
    broken = module("import nothing_of_that_name\n")
    wrong = module("def f(:\n")

    assert run("create", "k", "--from-python", f"{name}:f", code=1).error == (
        f"{name}:f failed: ValueError: no\\ndata"
    )
    assert "Traceback" in run("create", "k", "-v", "--from-python", f"{name}:f", code=1).err
    assert "SystemExit" in run("create", "k", "--from-python", f"{name}:g", code=1).error
    assert (
        "nothing_of_that_name" in run("create", "k", "--from-python", f"{broken}:f", code=1).error
    )
    assert "SyntaxError" in run("create", "k", "--from-python", f"{wrong}:f", code=1).error
    assert run("ls", "--json").json == []


def test_what_is_no_function_is_refused(
    repo: Repo, run: Runner, module: Callable[[str], str]
) -> None:
    name = module("f = 1\n")

    assert "expected a function" in run("create", "k", "--from-python", f"{name}:f", code=2).error
    assert "no 'g'" in run("create", "k", "--from-python", f"{name}:g", code=4).error
    missing = run("create", "k", "--from-python", "no_such_module:f", code=4)
    assert "no module 'no_such_module'" in missing.error
    assert "module:function" in run("create", "k", "--from-python", name, code=2).error
    assert "exclude" in run("create", "k", "x", "--from-python", f"{name}:f", code=2).error


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("async def f():\n    return 3\n", "is asynchronous"),
        ("class F:\n    async def __call__(self):\n        return 3\nf = F()\n", "is asynchronous"),
        ("async def f():\n    yield 3\n", "is a generator"),
        ("def f():\n    yield 3\n", "is a generator"),
    ],
    ids=["function", "object", "asynchronous-generator", "generator"],
)
def test_what_has_only_begun_to_run_when_it_returns_is_refused(
    repo: Repo, run: Runner, module: Callable[[str], str], text: str, word: str
) -> None:
    name = module(text)
    result = run("create", "k", "--from-python", f"{name}:f", code=2)
    assert f"{name}:f {word}, expected a function that returns its object" in result.error
    assert "hint: " in result.err
    assert "Warning" not in result.err
    assert repo.keys() == []


def test_a_pickle_is_only_made_when_it_is_asked_for_and_warns(
    repo: Repo, run: Runner, module: Callable[[str], str]
) -> None:
    name = module("class A: pass\ndef f():\n    return A()\n")

    run("create", "k", "--from-python", f"{name}:f", code=2)
    result = run("create", "k", "--from-python", f"{name}:f", "--pickle")

    assert "warning: an object is" in result.err
    assert repo.version("k").format["materializer"] == "pickle"
    assert "--from-python" in run("create", "k", "--value", "1", "--pickle", code=2).error
    assert "--from-python" in run("create", "k", "--materializer", "value", "x", code=2).error


def test_a_materializer_is_taken_by_its_name(
    repo: Repo, run: Runner, module: Callable[[str], str]
) -> None:
    name = module("def f():\n    return 1\n")

    run("create", "k", "--from-python", f"{name}:f", "--materializer", "value")
    run("create", "k", "--from-python", f"{name}:f", "--materializer", "nope", code=4)
    assert repo.version("k").load() == 1


def test_no_preview(repo: Repo, files: Path, run: Runner, module: Callable[[str], str]) -> None:
    name = module("def f():\n    return list(range(5000))\n")
    path = str(files / "eu" / "part-0.csv")

    for words in ([path], ["--table", path], ["--from-python", f"{name}:f"]):
        run("create", "with", *words)
        run("create", "without", *words, "--no-preview")
        assert repo.version("with").preview is not None
        assert repo.version("without").preview is None
    run("create", "piped", "-", "--no-preview", stdin=b"x")
    run("create", "value", "--value", "1", "--no-preview")
