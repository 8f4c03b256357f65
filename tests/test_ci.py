"""The action of GitHub and the components of GitLab, run as those services would; the recipes name what is there."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

import art

ROOT = Path(__file__).parent.parent
ACTION = yaml.safe_load((ROOT / "action.yml").read_text(encoding="utf-8"))
PAGE = (ROOT / "docs" / "ci.md").read_text(encoding="utf-8")

pytestmark = pytest.mark.skipif(shutil.which("bash") is None, reason="the scripts need bash")


@pytest.fixture
def tools(tmp_path: Path) -> Path:
    """Return a folder with the command `art`."""
    folder = tmp_path / "bin"
    folder.mkdir()
    script = folder / "art"
    script.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m art "$@"\n')
    script.chmod(0o755)
    return folder


def surroundings(tools: Path, **more: str) -> dict[str, str]:
    kept = {name: os.environ[name] for name in ("HOME", "PYTHONPATH") if name in os.environ}
    path = f"{tools}:/usr/bin:/bin"
    return {**kept, "PATH": path, "PYTHONPATH": str(ROOT), "ART_AUTHOR": "ci@runner", **more}


class Runner:
    """Does with an action what a runner of GitHub does: conditions, expressions, files for answers."""

    def __init__(self, workplace: Path, tools: Path, **github: str) -> None:
        self.workplace = workplace
        self.files = workplace.parent / "runner"
        self.files.mkdir(exist_ok=True)
        self.environment = surroundings(tools, RUNNER_TEMP=str(self.files), GITHUB_ACTIONS="true")
        defaults = {"RUN_ID": "77", "RUN_ATTEMPT": "1", "JOB": "build", "REPOSITORY": "me/x"}
        for name, value in {**defaults, **github}.items():
            self.environment[f"GITHUB_{name}"] = value
        self.summary = ""
        self.failed = False
        self.log = ""

    def use(self, **given: str) -> str:
        """Use the action with these inputs; return its output."""
        inputs = {name: str(about["default"]) for name, about in ACTION["inputs"].items()}
        for name, value in {"install": "false", **given}.items():
            assert name.replace("_", "-") in inputs
            inputs[name.replace("_", "-")] = value
        found: dict[str, Mapping[str, str]] = {}
        inputs = {name: self._filled(value, inputs, found) for name, value in inputs.items()}
        for step in ACTION["runs"]["steps"]:
            if self._holds(step.get("if", "true"), inputs):
                outputs = self._run(step, inputs, found)
                found[step.get("id", "")] = outputs
        value = ACTION["outputs"]["versions"]["value"]
        return self._filled(value, inputs, found)

    def _filled(
        self, text: str, inputs: Mapping[str, str], found: Mapping[str, Mapping[str, str]]
    ) -> str:
        def one(match: re.Match[str]) -> str:
            kind, _, rest = match[1].partition(".")
            if kind == "inputs":
                return inputs[rest]
            if kind == "github":
                return self.environment[f"GITHUB_{rest.upper()}"]
            step, _, name = rest.partition(".outputs.")
            return found.get(step, {}).get(name, "")

        return re.sub(r"\$\{\{ ([\w.-]+) \}\}", one, text)

    def _holds(self, condition: str, inputs: Mapping[str, str]) -> bool:
        """Understand `inputs.x == 'y'`, joined by && or ||, and always()."""
        results = []
        for part in condition.split(" || "):
            terms = [term for term in part.split(" && ") if term not in ("always()", "true")]
            tests = [re.fullmatch(r"inputs\.([\w-]+) (==|!=) '(.*)'", term) for term in terms]
            assert all(tests), condition
            results.append(all((inputs[t[1]] == t[3]) == (t[2] == "==") for t in tests if t))
        return any(results) and (not self.failed or "always()" in condition)

    def _run(
        self, step: Mapping[str, Any], inputs: Mapping[str, str], found: Mapping[str, Any]
    ) -> dict[str, str]:
        assert step["shell"] == "bash"
        answers = {}
        for name in ("ENV", "PATH", "OUTPUT", "STEP_SUMMARY"):
            answers[name] = self.files / name
            answers[name].write_text("")
        own = {name: self._filled(value, inputs, found) for name, value in step["env"].items()}
        files = {f"GITHUB_{name}": str(path) for name, path in answers.items()}
        script = self.files / "script.sh"
        script.write_text(step["run"])
        done = subprocess.run(
            ["bash", "--noprofile", "--norc", "-eo", "pipefail", str(script)],
            cwd=self.workplace,
            env={**self.environment, **own, **files},
            capture_output=True,
            text=True,
            check=False,
        )
        self.log += done.stdout + done.stderr
        self.failed = self.failed or done.returncode != 0
        self.environment.update(assignments(answers["ENV"].read_text()))
        for line in answers["PATH"].read_text().splitlines():
            self.environment["PATH"] = f"{line}:{self.environment['PATH']}"
        self.summary += answers["STEP_SUMMARY"].read_text()
        return assignments(answers["OUTPUT"].read_text())


def assignments(text: str) -> dict[str, str]:
    """Read NAME=VALUE, and NAME<<END with lines up to END."""
    found = {}
    lines = iter(text.splitlines())
    for line in lines:
        name, mark, end = line.partition("<<")
        if mark and "=" not in name:
            taken = []
            for each in lines:
                if each == end:
                    break
                taken.append(each)
            else:
                raise AssertionError("an answer does not end")
            found[name] = "\n".join(taken)
        else:
            name, _, value = line.partition("=")
            found[name] = value
    return found


@pytest.fixture
def job(tmp_path: Path, tools: Path) -> Runner:
    place = tmp_path / "job"
    place.mkdir()
    (place / "report.md").write_text("# Fine\n")
    (place / "my data").mkdir()
    (place / "my data" / "a.csv").write_text("day,price\n1,2.5\n")
    return Runner(place, tools)


def test_the_action_publishes_takes_out_and_shows(job: Runner, tmp_path: Path, tools: Path) -> None:
    remote = str(tmp_path / "remote")
    versions = job.use(
        remote=remote,
        publish="sales/report=report.md\n\nsales/data=my data\n",
        tags="main\nci",
    )
    assert not job.failed, job.log
    refs = [line.split()[0] for line in versions.splitlines()]
    assert refs == ["sales/report@v1", "sales/data@v1"]
    assert all(re.fullmatch(r"\S+  b3:[0-9a-f]{64}", line) for line in versions.splitlines())
    assert job.summary.startswith("## Published with art\n")
    assert "| `sales/data@v1` | folder | 16 B | `ci`, `main` | at the remote |" in job.summary
    assert "run `77`" in job.summary
    other = Runner(tmp_path / "job", tools, RUN_ID="78")
    other.workplace = tmp_path / "other"
    other.workplace.mkdir()
    other.use(remote=remote, get="sales/data@main=in/my data\nsales/report", summary="true")
    assert not other.failed, other.log
    assert (other.workplace / "in" / "my data" / "a.csv").read_text() == "day,price\n1,2.5\n"
    assert (other.workplace / "report.md").read_text() == "# Fine\n"
    assert other.summary == ""  # nothing was published
    with art.clone(remote, tmp_path / "clone") as clone:
        version = clone.version("sales/data@ci")
        assert version.run is not None
        assert version.run["ci"]["service"] == "github"
        assert version.run["id"] == "github-77-build"


def test_jobs_of_a_matrix_make_one_version(tmp_path: Path, tools: Path) -> None:
    remote = str(tmp_path / "remote")
    for name in ("linux", "mac", "linux"):  # one of them runs again
        place = tmp_path / name
        place.mkdir(exist_ok=True)
        (place / "reports").mkdir(exist_ok=True)
        (place / "reports" / "r.txt").write_text(name)
        one = Runner(place, tools, JOB="test")
        one.use(remote=remote, part="tests/reports=reports", name=name)
        assert not one.failed, one.log
        assert one.summary == ""
    ids = set()
    for number in range(2):
        place = tmp_path / f"seal-{number}"
        place.mkdir()
        last = Runner(place, tools, JOB="seal", RUN_ATTEMPT=str(number))
        versions = last.use(remote=remote, seal="tests/reports", expect="2", tags="main")
        assert not last.failed, last.log
        ids.add(versions.split()[1])
        assert "`tests/reports@v1`" in last.summary  # in the second attempt, too
        assert re.search(r"5 B +linux/r.txt", last.summary), last.summary
    assert len(ids) == 1
    with art.clone(remote, tmp_path / "clone") as clone:
        paths = [node.path for node in clone.version("tests/reports@main").files]
        assert paths == ["linux/r.txt", "mac/r.txt"]


def test_a_job_that_runs_again_replaces_what_it_added_until_the_seal(
    tmp_path: Path, tools: Path
) -> None:
    remote = str(tmp_path / "remote")

    def part(attempt: int, content: str) -> Runner:
        place = tmp_path / "test"
        place.mkdir(exist_ok=True)
        (place / "r.txt").write_text(content)
        one = Runner(place, tools, JOB="test", RUN_ATTEMPT=str(attempt))
        one.use(remote=remote, part="tests/reports=r.txt", name="linux")
        return one

    assert not part(1, "first").failed
    assert part(1, "another's").failed  # two jobs with one name
    again = part(2, "second")
    assert not again.failed, again.log
    last = Runner(tmp_path / "test", tools, JOB="seal")
    last.use(remote=remote, seal="tests/reports", expect="1")
    late = part(3, "third")
    assert late.failed
    assert "is sealed" in late.log
    with art.clone(remote, tmp_path / "clone") as clone:
        assert clone.version("tests/reports").read("linux/r.txt") == b"second"


def test_partitions_are_taken_out(tmp_path: Path, job: Runner) -> None:
    with art.init(job.workplace) as repo:
        for region in ("eu", "us"):
            repo.value("rides", region, partitions={"region": region, "day": "2026-11-01"})
    job.use(get="rides?region=eu=eu.json\nrides?region=us&day=2026-11-01=a=b.json\nrides")
    assert not job.failed, job.log
    assert (job.workplace / "eu.json").read_text() == '"eu"'
    assert (job.workplace / "a=b.json").read_text() == '"us"'
    job.use(get="rides?=x")
    assert job.failed
    assert "not of the form" in job.log


def test_a_missing_part_fails_the_job(tmp_path: Path, job: Runner) -> None:
    assert job.use(remote=str(tmp_path / "remote"), seal="tests/reports", expect="2") == ""
    assert job.failed
    assert "2 were expected" in job.log
    assert job.summary == ""


def test_what_was_published_before_something_failed_is_told(job: Runner) -> None:
    versions = job.use(publish="a=report.md\nb=nowhere\n")
    assert job.failed
    assert versions.startswith("a@v1")
    assert "`a@v1`" in job.summary
    assert "only here" not in job.summary  # there is no remote


@pytest.mark.parametrize(
    "given",
    [
        {"publish": "$(touch hacked)=report.md"},
        {"publish": "a=`touch hacked`"},
        {"publish": "a='; touch hacked; '"},
        {"publish": "--help=report.md"},
        {"publish": "a=report.md", "tags": "$(touch hacked)"},
        {"publish": "a=report.md", "tags": "x --force"},
        {"get": "a;touch hacked=x"},
        {"seal": "$(touch hacked)", "expect": '"; touch hacked; "'},
        {"part": "a=report.md", "name": "$(touch hacked)"},
        {"part": "a=report.md"},
        {"publish": "no path"},
        {"remote": "$(touch hacked)://x", "publish": "a=report.md"},
    ],
)
def test_no_input_is_ever_run(given: dict[str, str], job: Runner) -> None:
    job.use(**given)
    assert job.failed
    assert not list(job.workplace.rglob("hacked"))


def test_inputs_reach_scripts_through_the_environment_only() -> None:
    for step in ACTION["runs"]["steps"]:
        assert "${{" not in step["run"]
        for name, value in step["env"].items():
            assert name.startswith("ART_ACTION_")
            assert re.fullmatch(r"\$\{\{ inputs\.[\w-]+ \}\}", value)
    for name in ("setup", "publish"):
        (body,) = component(name, raw=True).values()
        for line in body.get("script", []) + body.get("before_script", []):
            assert "$[[" not in line


def test_the_action_installs_what_is_asked_for(job: Runner, tools: Path) -> None:
    python = tools / "python3"
    python.write_text(
        '#!/bin/sh\nmkdir -p "$3/bin"\n'
        'printf \'#!/bin/sh\\necho "$@" > "%s/pip"\\n\' "$RUNNER_TEMP" > "$3/bin/python"\n'
        'chmod +x "$3/bin/python"\n'
    )
    python.chmod(0o755)
    job.use(install="true", version="1.2.3", extras="s3,gcs")
    assert not job.failed, job.log
    said = (job.files / "pip").read_text()
    assert said.split()[-1] == "art-vcs[s3,gcs]==1.2.3"
    assert job.environment["PATH"].startswith(str(job.files / "art-venv" / "bin"))


# -- GitLab ----------------------------------------------------------------------------------------


def component(name: str, *, raw: bool = False, **given: Any) -> dict[str, Any]:
    """Return a component with its inputs filled in, as GitLab does it."""
    text = (ROOT / "templates" / f"{name}.yml").read_text(encoding="utf-8")
    spec, body = yaml.safe_load_all(text)
    about = spec["spec"]["inputs"]
    assert set(given) <= set(about), "an input that is not declared"
    values = {key: each.get("default") for key, each in about.items()} | given
    assert raw or None not in values.values(), "an input that is needed is missing"

    def filled(value: Any) -> Any:
        if isinstance(value, dict):
            return {filled(key): filled(item) for key, item in value.items()}
        if isinstance(value, list):
            return [filled(item) for item in value]
        if not isinstance(value, str):
            return value
        return re.sub(r"\$\[\[ inputs\.([\w-]+) \]\]", lambda m: str(values[m[1]]), value)

    found = body if raw else filled(body)
    assert isinstance(found, dict)
    return found


def run_gitlab(
    place: Path, tools: Path, definition: Mapping[str, Any], *script: str, **more: str
) -> subprocess.CompletedProcess[str]:
    """Run a job in a folder: before_script, then script, in one shell that ends at the first error."""
    place.mkdir(exist_ok=True)
    known = surroundings(tools, GITLAB_CI="true", CI_PIPELINE_ID="9", CI_JOB_ID=place.name, **more)
    for name, value in definition["variables"].items():
        known[name] = re.sub(r"\$(CI_\w+)", lambda m: known[m[1]], value)
    lines = [*definition.get("before_script", []), *(script or definition["script"])]
    command = ["sh", "-e", "-c", "\n".join(lines)]
    return subprocess.run(
        command, cwd=place, env=known, capture_output=True, text=True, check=False
    )


def test_the_components_of_gitlab_publish_and_join_a_matrix(tmp_path: Path, tools: Path) -> None:
    remote = str(tmp_path / "remote")
    hidden = component("setup", remote=remote, install="false")[".art"]
    for shard in ("a", "b"):
        place = tmp_path / f"shard-{shard}"
        (place / "reports").mkdir(parents=True)
        (place / "reports" / "r.txt").write_text(shard)
        script = "art part tests/reports --draft run-$CI_PIPELINE_ID --name $SHARD reports"
        done = run_gitlab(place, tools, hidden, script, SHARD=shard)
        assert done.returncode == 0, done.stderr
    given = {"remote": remote, "install": "false", "tags": "main\n"}
    jobs = component(
        "publish",
        seal="tests/reports",
        expect="a,b",
        publish="sales/report=my report.md\n",
        job="release",
        **given,
    )
    assert list(jobs) == ["release"]
    place = tmp_path / "release"
    place.mkdir()
    (place / "my report.md").write_text("# Fine\n")
    done = run_gitlab(place, tools, jobs["release"])
    assert done.returncode == 0, done.stderr
    page = (place / "art-report.md").read_text()
    assert "`tests/reports@v1`" in page
    assert "`sales/report@v1`" in page
    assert "service `gitlab`" in page
    with art.clone(remote, tmp_path / "clone") as clone:
        for key in ("sales/report", "tests/reports"):
            assert clone.version(f"{key}@main").number == 1


@pytest.mark.parametrize(
    "given",
    [
        {"publish": "$(touch hacked)=x"},
        {"publish": "nothing"},
        {"publish": "a=`touch hacked`\n"},
        {"seal": '"; touch hacked; "', "expect": "1"},
        {"seal": "k", "expect": "2"},
        {"publish": "a=x", "tags": "$(touch hacked)"},
    ],
)
def test_no_input_of_a_component_is_run_and_failures_are_told(
    given: dict[str, str], tmp_path: Path, tools: Path
) -> None:
    place = tmp_path / "job"
    place.mkdir()
    (place / "x").write_text("x")
    jobs = component("publish", remote=str(tmp_path / "remote"), install="false", **given)
    done = run_gitlab(place, tools, jobs["art-publish"])
    assert done.returncode != 0
    assert not list(tmp_path.rglob("hacked"))


# -- the page --------------------------------------------------------------------------------------


def recipes(kind: str) -> list[str]:
    return re.findall(rf"^```{kind}\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)


def steps_in(value: Any) -> list[dict[str, Any]]:
    """Return all mappings in a document."""
    if isinstance(value, dict):
        return [value, *(step for item in value.values() for step in steps_in(item))]
    if isinstance(value, list):
        return [step for item in value for step in steps_in(item)]
    return []


def test_recipes_use_inputs_that_there_are() -> None:
    used = 0
    for recipe in recipes("yaml"):
        for step in steps_in(yaml.safe_load(recipe)):
            if str(step.get("uses", "")).startswith("OWNER/art@"):
                assert set(step["with"]) <= set(ACTION["inputs"])
                used += 1
            if "component" in step:
                name = re.search(r"/art/(\w+)@", step["component"])[1]  # type: ignore[index]
                component(name, **step["inputs"])
                used += 1
    assert used == 5


def test_recipes_name_commands_and_options_that_there_are(tools: Path) -> None:
    blocks = re.findall(r"^```\w+\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
    code = "\n".join([*blocks, *re.findall(r"`(art [^`]+)`", PAGE)])
    commands = re.findall(r"\bart ((?:remote add|draft drop|draft ls)|[a-z]+)( [^\n|&)]*)?", code)
    helps: dict[str, str] = {}
    for command, rest in commands:
        if command not in helps:
            words = [sys.executable, "-m", "art", *command.split(), "--help"]
            done = subprocess.run(words, capture_output=True, text=True, check=False)
            assert done.returncode == 0, command
            helps[command] = done.stdout
        for option in re.findall(r"(?<=\s)--[a-z-]+", rest):
            assert option in helps[command], f"{command} {option}"
    assert {"part", "seal", "report", "create", "prune", "gc"} <= set(helps)
