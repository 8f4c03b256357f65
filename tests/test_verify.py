"""Signatures by real keys of SSH, and folders compared with versions."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

import art
from art import document as documents
from art.catalog import NOTES, tag_log
from art.cloning import clone
from art.errors import ArtError, DeniedError, UsageError
from art.model import new_uid, now
from art.repo import Repo
from tests.conftest import Runner

needs_ssh = pytest.mark.skipif(
    shutil.which("ssh-keygen") is None, reason="ssh-keygen is not installed"
)


@pytest.fixture
def key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], str]:
    """Return a function that makes a key and returns its public part. No agent is asked."""
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    (tmp_path / "keys").mkdir()

    def make(name: str) -> str:
        path = tmp_path / "keys" / name
        words = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", str(path)]
        subprocess.run(words, check=True)
        return " ".join(path.with_suffix(".pub").read_text().split()[:2])

    return make


@pytest.fixture
def signers(tmp_path: Path) -> Path:
    """Return the file of those whose signatures count."""
    return tmp_path / "keys" / "allowed"


@pytest.fixture
def signing(repo: Repo, key: Callable[[str], str], signers: Path, tmp_path: Path) -> Repo:
    """Return a repository where ana may sign, and does."""
    signers.write_text(f"ana@example.org {key('ana')}\n")
    repo.config.set("signers", str(signers))
    repo.config.set("signing_key", str(tmp_path / "keys" / "ana.pub"))
    return repo


def as_signer(repo: Repo, tmp_path: Path, name: str) -> None:
    repo.config.set("signing_key", str(tmp_path / "keys" / name))


def edit_head(repo: Repo, key: str, tag: str, **changes: object) -> None:
    """Change the last move of a tag as somebody would who can write there."""
    folder = repo.root / ".art" / "refs" / key / "_tags" / tag
    last = max(folder.iterdir())
    fields = documents.decode(last.read_bytes(), last.name) | changes
    last.chmod(0o644)
    last.write_bytes(documents.encode(fields))
    (repo.root / ".art" / "index.sqlite").unlink()


def replay(repo: Repo, source: tuple[str, str], target: tuple[str, str], **changes: object) -> None:
    """Append the last signed move of one tag to the log of another."""
    entries = repo._store.catalog.entries(source[0], tag_log(source[1]))
    fields = entries[-1].document | changes
    folder = repo.root / ".art" / "refs" / target[0] / "_tags" / target[1]
    folder.mkdir(parents=True, exist_ok=True)
    number = len(list(folder.iterdir())) + 1
    (folder / f"{number:08}.yaml").write_bytes(documents.encode(fields))


def append_note(repo: Repo, ref: str, signature: object) -> None:
    """Note a signature of a version as somebody would who can write there."""
    version = repo.version(ref)
    said = {"art": 1, "key": version.key, "created": now(), "author": "eve"}
    entry = {**said, "uid": new_uid(), "id": version.id, "signature": signature}
    repo._store.catalog.append(version.key, NOTES, lambda _: entry, [])


# -- versions --------------------------------------------------------------------------------------


@needs_ssh
def test_a_signed_version_says_who_signed_it(signing: Repo) -> None:
    signing.value("k", 1)
    assert signing.sign("k")
    assert not signing.sign("k@v1")
    signed = signing.signed_by("k")
    assert (signed.ref, signed.by) == ("k@v1", "ana@example.org")
    assert signed.key.startswith("SHA256:")
    assert signing.version("k").title is None


@needs_ssh
def test_what_is_not_signed_is_said_to_be_so(signing: Repo) -> None:
    signing.value("k", 1)
    with pytest.raises(DeniedError, match="k@v1 is not trusted: it is not signed"):
        signing.signed_by("k")


@needs_ssh
def test_the_signature_of_another_version_does_not_do(signing: Repo) -> None:
    signing.value("k", 1)
    signing.sign("k")
    signing.value("k", 2)
    note = signing.version("k@v1").notes[0].document
    append_note(signing, "k@v2", note["signature"])
    with pytest.raises(DeniedError, match=r"in the name of ana@example.org is wrong"):
        signing.signed_by("k@v2")


@needs_ssh
def test_a_stranger_does_not_count_and_says_who_it_is(
    signing: Repo, key: Callable[[str], str], tmp_path: Path
) -> None:
    key("eve")
    as_signer(signing, tmp_path, "eve")
    signing.value("k", 1)
    signing.sign("k")
    with pytest.raises(DeniedError, match=r"SHA256:.* is not in .*allowed"):
        signing.signed_by("k")
    as_signer(signing, tmp_path, "ana")
    signing.sign("k")
    assert signing.signed_by("k").by == "ana@example.org"


@needs_ssh
@pytest.mark.parametrize("junk", ["x", {"format": "ssh", "data": "AAAA"}, {"format": "gpg"}, None])
def test_junk_is_no_signature(junk: object, signing: Repo) -> None:
    signing.value("k", 1)
    entry = {"art": 1, "uid": new_uid(), "key": "k", "created": "2026-11-21T08:30:00.000000Z"}
    entry |= {"author": "eve", "id": signing.version("k").id, "number": 1, "signature": junk}
    signing._store.catalog.append("k", "_notes", lambda _: entry)
    with pytest.raises(DeniedError, match="not trusted"):
        signing.signed_by("k")


@needs_ssh
def test_signers_change_expire_and_are_revoked(
    signing: Repo, key: Callable[[str], str], signers: Path, tmp_path: Path
) -> None:
    signing.value("k", 1)
    signing.sign("k")
    before = signers.read_text()
    public = before.split(" ", 1)[1]
    signers.write_text(f'ana@example.org valid-before="20200101" {public}')
    with pytest.raises(DeniedError):
        signing.signed_by("k")
    signers.write_text(f'ana@example.org namespaces="git" {public}')
    with pytest.raises(DeniedError):
        signing.signed_by("k")
    signers.write_text(f"ben@example.org {key('ben')}\n")
    with pytest.raises(DeniedError, match="is not in"):
        signing.signed_by("k")
    signers.write_text(before)
    revoked = tmp_path / "keys" / "revoked"
    revoked.write_text(public)
    assert signing.signed_by("k")
    signing.config.set("revoked_signers", str(revoked))
    with pytest.raises(DeniedError, match=r"in the name of ana@example.org is wrong"):
        signing.signed_by("k")
    revoked.unlink()
    with pytest.raises(DeniedError, match="there is no"):
        signing.signed_by("k")


@needs_ssh
def test_without_signers_or_key_it_says_what_to_set(repo: Repo, key: Callable[[str], str]) -> None:
    repo.value("k", 1)
    with pytest.raises(UsageError) as error:
        repo.sign("k")
    assert "signing_key" in str(error.value.hint)
    with pytest.raises(UsageError) as error:
        repo.signed_by("k")
    assert "art config set signers" in str(error.value.hint)


def test_without_ssh_keygen_it_says_so(repo: Repo, monkeypatch: pytest.MonkeyPatch) -> None:
    repo.value("k", 1)
    repo.config.set("signing_key", "key")
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(DeniedError, match="there is no ssh-keygen"):
        repo.sign("k")


# -- tags ------------------------------------------------------------------------------------------


@needs_ssh
def test_a_signed_tag_vouches_for_its_version(signing: Repo) -> None:
    signing.value("k", 1)
    signing.tag("k", "prod", sign=True)
    assert not signing.tag("k", "prod", sign=True).changed
    assert signing.signed_by("k@prod").ref == "k@prod"
    with pytest.raises(DeniedError):
        signing.signed_by("k@v1")
    signing.value("k", 2)
    signing.tag("k", "prod")
    with pytest.raises(DeniedError, match="k@prod is not trusted: it is not signed"):
        signing.signed_by("k@prod")
    assert signing.tag("k", "prod", sign=True).changed
    assert signing.signed_by("k@prod")


@needs_ssh
def test_what_a_stranger_signed_can_be_signed_again(
    signing: Repo, run: Runner, key: Callable[[str], str], tmp_path: Path
) -> None:
    signing.value("k", 1)
    key("eve")
    as_signer(signing, tmp_path, "eve")
    run("tag", "set", "k", "prod", "--sign")
    assert "unchanged" in run("tag", "set", "k", "prod", "--sign").out
    run("verify", "--signature", "k@prod", code=7)
    as_signer(signing, tmp_path, "ana")
    signing.set_settings("k", protected_tags="prod")  # it stays where it is
    assert "unchanged" not in run("tag", "set", "k", "prod", "--sign").out
    run("verify", "--signature", "k@prod")
    assert "unchanged" in run("tag", "set", "k", "prod", "--sign").out


@needs_ssh
def test_who_is_only_said_to_have_signed_can_sign(signing: Repo) -> None:
    signing.value("k", 1)
    signing.sign("k")
    ana = signing.version("k").notes[0].document["signature"]["by"]
    for junk in ({"format": "ssh", "by": ana, "data": "AAAA"}, {"by": ana}):
        signing.value("k", str(junk))
        append_note(signing, "k", junk)
        assert signing.sign("k")
        assert not signing.sign("k")
        assert signing.signed_by("k")
    signing.tag("k", "prod", sign=True)
    edit_head(signing, "k", "prod", message="another")
    with art.open() as repo:
        assert repo.tag("k", "prod", sign=True).changed
        assert repo.signed_by("k@prod")


@needs_ssh
def test_a_move_back_is_signed_where_that_is_wanted(signing: Repo, run: Runner) -> None:
    for number in (1, 2, 3):
        signing.value("k", number)
        signing.tag("k", "prod", sign=True)
    run("tag", "back", "k", "prod", "--sign")
    assert signing.version("k@prod").number == 2
    assert signing.signed_by("k@prod").by == "ana@example.org"
    run("tag", "back", "k", "prod")
    with pytest.raises(DeniedError, match="it is not signed"):
        signing.signed_by("k@prod")


@needs_ssh
@pytest.mark.parametrize(
    "change", [{"number": 7}, {"message": "other"}, {"after": None}, {"author": "eve"}, {"x": 1}]
)
def test_a_changed_move_is_not_signed(change: dict[str, object], signing: Repo) -> None:
    signing.value("k", 1)
    signing.tag("k", "prod")
    signing.value("k", 2)
    signing.tag("k", "prod", sign=True)
    edit_head(signing, "k", "prod", **change)
    with art.open() as repo, pytest.raises(DeniedError):
        if change == {"after": None}:  # then it has no effect, and the one before is not signed
            assert repo.version("k@prod").number == 1
        repo.signed_by("k@prod")


@needs_ssh
def test_a_move_is_not_replayed_for_another_tag_or_key(signing: Repo) -> None:
    for name in ("k", "other"):
        signing.value(name, 1)
    signing.tag("k", "staging", sign=True)
    replay(signing, ("k", "staging"), ("k", "prod"), tag="prod", uid=new_uid())
    replay(signing, ("k", "staging"), ("other", "staging"), key="other", uid=new_uid())
    id = signing.version("other").id
    replay(signing, ("k", "staging"), ("other", "prod"), key="other", tag="prod", id=id)
    with art.open() as repo:
        for ref in ("k@prod", "other@prod"):
            with pytest.raises(DeniedError, match="is wrong"):
                repo.signed_by(ref)
        with pytest.raises(ArtError):  # it names a version that this key does not have
            repo.signed_by("other@staging")
        assert repo.signed_by("k@staging")


@needs_ssh
def test_a_move_does_not_stand_behind_another_one_than_it_was_made_behind(signing: Repo) -> None:
    for number in (1, 2, 3):
        signing.value("k", number)
        signing.tag("k", "prod", sign=True)
    first, _, last = signing._store.catalog.entries("k", tag_log("prod"))
    folder = signing.root / ".art/refs/k/_tags/prod"
    (folder / "00000003.yaml").unlink()  # somebody leaves out what was between them
    behind = documents.encode(last.document | {"after": first.uid})
    (folder / "00000002.yaml").write_bytes(behind)
    signing.close()
    (signing.root / ".art/index.sqlite").unlink()
    with art.open() as repo:
        assert repo.version("k@prod").number == 3
        with pytest.raises(DeniedError, match="is wrong"):
            repo.signed_by("k@prod")


@needs_ssh
def test_a_move_is_not_replayed_at_a_later_place(signing: Repo) -> None:
    signing.value("k", 1)
    signing.tag("k", "prod", sign=True)
    old = signing._store.catalog.entries("k", tag_log("prod"))[0].document
    signing.value("k", 2)
    signing.tag("k", "prod", sign=True)
    head = signing._store.catalog.entries("k", tag_log("prod"))[-1].document
    replay(signing, ("k", "prod"), ("k", "prod"), **old)  # as it was: it has no effect
    with art.open() as repo:
        assert repo.signed_by("k@prod")
        assert repo.version("k@prod").number == 2
    replay(signing, ("k", "prod"), ("k", "prod"), **{**old, "uid": new_uid(), "after": head["uid"]})
    with art.open() as repo:
        assert repo.version("k@prod").number == 1
        with pytest.raises(DeniedError, match="is wrong"):
            repo.signed_by("k@prod")


@needs_ssh
def test_clones_can_check_and_another_repository_refuses(
    signing: Repo, workplace: Path, signers: Path
) -> None:
    signing.value("k", 1)
    signing.tag("k", "prod", sign=True)
    signing.remotes.add("origin", str(workplace / "shared"))
    signing.push()
    with clone(str(workplace / "shared"), workplace / "copy") as copy:
        assert copy.id != signing.id
        assert copy.history_id == signing.history_id == signing.id
        copy.config.set("signers", str(signers))
        assert copy.signed_by("k@prod").by == "ana@example.org"
        copy.remotes.add("second", str(workplace / "mirror"))
        copy.push(remote="second")
    with clone(str(workplace / "mirror"), workplace / "copy2") as copy:
        copy.config.set("signers", str(signers))
        assert copy.signed_by("k@prod")
    with art.init(workplace / "foreign", nested=True) as foreign:
        for part in ("manifests", "refs", "layouts", "packs"):
            if (signing.root / ".art" / part).exists():
                shutil.copytree(signing.root / ".art" / part, foreign.root / ".art" / part)
        foreign.config.set("signers", str(signers))
        with pytest.raises(DeniedError, match="is wrong"):
            foreign.signed_by("k@prod")


@needs_ssh
def test_who_joins_a_remote_takes_its_history(
    signing: Repo, workplace: Path, tmp_path: Path, signers: Path
) -> None:
    signing.value("k", 1)
    signing.remotes.add("origin", str(workplace / "shared"))
    signing.push()
    with art.init(workplace / "joins", nested=True) as joins:
        joins.remotes.add("origin", str(workplace / "shared"))
        joins.config.set("signing_key", str(tmp_path / "keys" / "ana"))
        joins.fetch()
        joins.tag("k", "prod", sign=True)
        joins.push()
    signing.fetch()
    assert signing.signed_by("k@prod").by == "ana@example.org"


# -- required --------------------------------------------------------------------------------------


@needs_ssh
def test_what_is_not_signed_is_not_taken_out_where_that_is_required(
    signing: Repo, files: Path, run: Runner, workplace: Path
) -> None:
    run("create", "k", "data", "--sign")
    run("create", "k", "data", "--always", "-t", "prod")
    run("config", "set", "require_signature", "true")
    run("get", "k@v1", "out")
    assert (workplace / "out" / "README.txt").exists()
    for words in (["get", "k@v2", "out2"], ["get", "k@prod", "out2"], ["cat", "k/README.txt"]):
        words = [word.replace("k/", "k@v2/") for word in words]
        result = run(*words, code=7)
        assert "is not trusted: it is not signed" in result.error
    assert not (workplace / "out2").exists()
    run("tag", "set", "k@v1", "prod", "--sign")
    run("get", "k@prod", "out")
    run("ls")
    run("log", "k")


@needs_ssh
def test_a_key_can_require_it_and_only_the_signed_can_take_that_back(
    signing: Repo, run: Runner
) -> None:
    signing.value("k", 1)
    signing.value("free", 1)
    run("settings", "k", "require_signature:=true", "--sign")
    run("cat", "k", code=7)
    run("cat", "free")
    for words in (["--unset", "require_signature"], ["require_signature=no"]):
        assert "only a signed one takes that back" in run("settings", "k", *words, code=5).error
    signing._settings().change("k", {"require_signature": None})  # as who does not ask may do it
    run("cat", "k", code=7)
    run("settings", "k", "type=value", "--sign")
    assert run("settings", "k", "--json").json["settings"]["require_signature"] is True
    run("cat", "k", code=7)
    assert "signed settings say so" in run("settings", "k").out
    run("settings", "k", "--unset", "require_signature", "--sign")
    assert run("settings", "k", "--json").json["signature_required"] is None
    run("cat", "k")


@needs_ssh
def test_what_a_stranger_signed_of_a_key_is_signed_again_by_who_counts(
    signing: Repo, run: Runner, key: Callable[[str], str], tmp_path: Path
) -> None:
    signing.value("k", 1)
    key("eve")
    as_signer(signing, tmp_path, "eve")
    run("settings", "k", "require_signature:=true", "--sign")
    assert "signatures are required: the settings say so" in run("settings", "k").out
    as_signer(signing, tmp_path, "ana")
    assert run("settings", "k", "require_signature:=true", "--sign", "--json").json["changed"]
    assert not run("settings", "k", "require_signature:=true", "--sign", "--json").json["changed"]
    run("settings", "k", "require_signature:=false", code=5)
    run("cat", "k", code=7)


@needs_ssh
def test_why_signatures_are_required_is_shown(signing: Repo, run: Runner) -> None:
    signing.value("k", 1)
    assert "required" not in run("settings", "k").out
    signing.config.set("require_signature", "true")
    assert "require_signature is set in this place" in run("settings", "k").out


@needs_ssh
def test_a_remote_by_name_is_trusted_as_this_repository_says(
    signing: Repo, workplace: Path, run: Runner
) -> None:
    signing.value("k", 1)
    signing.remotes.add("origin", str(workplace / "shared"))
    signing.push()
    signing.config.set("require_signature", "true")
    run("cat", "k", "--remote", "origin", code=7)
    run("tag", "set", "k", "prod", "--sign")
    signing.push()
    assert run("cat", "k@prod", "--remote", "origin").out == "1"


@needs_ssh
def test_required_without_signers_refuses(repo: Repo, run: Runner) -> None:
    repo.value("k", 1)
    repo.config.set("require_signature", "true")
    assert "art config set signers" in run("cat", "k", code=2).err


@needs_ssh
def test_the_command_line_signs_and_tells(signing: Repo, run: Runner, files: Path) -> None:
    run("create", "k", "data", "--sign", "-t", "prod")
    assert (
        "k@prod  signed by ana@example.org  SHA256:" in run("verify", "--signature", "k@prod").out
    )
    assert run("verify", "--signature", "k@v1", "--json").json["by"] == "ana@example.org"
    run("verify", "--signature", "k", "data", code=2)
    run("create", "--anonymous", "data", "--sign")


@needs_ssh
def test_a_version_of_parts_is_signed_also_at_the_remote(
    signing: Repo, run: Runner, files: Path, workplace: Path, signers: Path, tmp_path: Path
) -> None:
    signing.remotes.add("origin", str(workplace / "shared"))
    run("part", "k", "data", "--draft", "7", "--name", "a")
    seal = ("seal", "k", "--draft", "7", "--expect", "1", "-t", "prod", "--sign")
    as_signer(signing, tmp_path, "nobody")
    run(*seal, code=2)
    assert signing.keys() == []  # nothing is made that cannot be signed
    as_signer(signing, tmp_path, "ana")
    run(*seal)
    run(*seal)
    with art.clone(str(workplace / "shared"), workplace / "other") as other:
        other.config.set("signers", str(signers))
        for ref in ("k@v1", "k@prod"):
            assert other.signed_by(ref).by == "ana@example.org"


@needs_ssh
def test_parts_that_were_sealed_are_signed_later(signing: Repo, run: Runner, files: Path) -> None:
    run("part", "k", "data", "--draft", "7", "--name", "a")
    seal = ("seal", "k", "--draft", "7", "--expect", "1")
    run(*seal)
    run("verify", "--signature", "k", code=7)
    run(*seal, "--sign")
    run("verify", "--signature", "k@v1")


@needs_ssh
def test_what_a_tag_stands_against_is_told_before_anything_is_made(
    signing: Repo, run: Runner, files: Path
) -> None:
    run("create", "k", "data", "--sign", "-t", "prod")
    signing.set_settings("k", protected_tags="prod")
    result = run("create", "k", "data", "--always", "--sign", "-t", "prod", code=5)
    assert "hint: art tag set k@VERSION prod --force, afterwards" in result.err
    run("create", "k", "data", "--always", "--sign", "-t", "v7", code=2)
    run("create", "--anonymous", "data", "--sign", "-t", "prod", code=2)
    assert [record.ref for record in signing.history("k")] == ["k@v1"]
    assert not list((signing.root / ".art").glob("anonymous/*"))
    run("create", "k", "data", "--always", "--sign", "-t", "other")


# -- files -----------------------------------------------------------------------------------------


def test_a_folder_is_compared_with_a_version(repo: Repo, files: Path, run: Runner) -> None:
    repo.create("sales/data", "data")
    assert run("verify", "sales/data").out == "data: 3 files as in sales/data@v1\n"
    (files / "README.txt").write_text("other\n")
    (files / "eu" / "part-0.csv").rename(files / "eu" / "moved.csv")
    (files / "eu" / "part-1.csv").chmod(0o755)
    result = run("verify", "sales/data", "data", code=1)
    assert result.out.splitlines() == [
        "changed  README.txt",
        "changed  eu/part-1.csv",
        "missing  eu/part-0.csv",
        "extra    eu/moved.csv",
        "data: 0 files as in sales/data@v1",
    ]
    document = run("verify", "sales/data", "data", "--json", code=1).json
    assert (document["same"], document["is_same"]) == (0, False)


def test_links_and_empty_folders_are_compared(repo: Repo, files: Path, run: Runner) -> None:
    (files / "link").symlink_to("README.txt")
    (files / "empty").mkdir()
    repo.create("k", "data")
    assert run("verify", "k", "data").out == "data: 5 files as in k@v1\n"
    run("get", "k", "out")
    run("verify", "k", "out")
    (files / "link").unlink()
    (files / "link").symlink_to("eu")
    (files / "empty").rmdir()
    result = run("verify", "k", "data", code=1)
    assert result.out.splitlines()[:2] == ["changed  link", "missing  empty"]


def test_a_single_file_is_compared_wherever_it_lies(repo: Repo, run: Runner) -> None:
    Path("f.txt").write_text("f")
    repo.create("k", "f.txt")
    run("verify", "k")
    Path("other").mkdir()
    Path("f.txt").rename("other/f.txt")
    run("verify", "k", "other")
    run("verify", "k", "other/f.txt")
    assert run("verify", "k", code=4).error == "there is no 'f.txt'"
    Path("other/f.txt").write_text("g")
    run("verify", "k", "other", code=1)


def test_what_has_no_files_is_not_compared(repo: Repo, run: Runner) -> None:
    repo.value("k", 1)
    run("verify", "k", code=2)
