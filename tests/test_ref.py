"""References: what they mean, how they print, and which version they find."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

import art
from art import NotFoundError, UsageError
from art.ref import Ref, likely_selector
from art.repo import Repo
from tests.conftest import Runner
from tests.test_model import keys, tags

digits = "0123456789abcdef"


selectors = st.one_of(
    tags,
    st.just("latest"),
    st.integers(0, 10**17).map("latest-{}".format),
    st.integers(0, 10**17).map("v{}".format),
    st.text(digits, min_size=8, max_size=64).map("b3:{}".format),
)
parts = st.text(st.characters(exclude_characters="/\0"), min_size=1).filter(
    lambda part: part not in (".", "..")
)
paths = st.lists(parts, min_size=1, max_size=3).map("/".join)


@given(keys, selectors, paths | st.just(""))
def test_a_reference_reads_back_as_it_prints(key: str, selector: str, path: str) -> None:
    ref = Ref(key, selector, path)
    assert Ref.parse(str(ref)) == ref


@given(st.text(digits, min_size=8, max_size=64), paths | st.just(""))
def test_an_id_alone_reads_back_as_it_prints(prefix: str, path: str) -> None:
    ref = Ref("", f"b3:{prefix}", path)
    assert Ref.parse(str(ref)) == ref


@given(keys, selectors)
def test_a_url_means_what_the_reference_in_it_means(key: str, selector: str) -> None:
    assert Ref.parse(f"art://{key}@{selector}") == Ref.parse(f"{key}@{selector}")


@given(st.text(max_size=30))
def test_any_text_is_a_reference_or_a_usage_error(text: str) -> None:
    try:
        ref = Ref.parse(text)
    except UsageError:
        return
    assert Ref.parse(str(ref)) == ref


def test_a_key_alone_means_its_latest_version() -> None:
    assert Ref.parse("sales/report") == Ref("sales/report", "latest", "")


def test_a_path_may_hold_what_keys_must_not() -> None:
    ref = Ref.parse("a@v1/x@y/100% sure?/*.csv")
    assert (ref.key, ref.selector, ref.path) == ("a", "v1", "x@y/100% sure?/*.csv")


@pytest.mark.parametrize(
    "text",
    ["", "@v1", "a@", "a@/x", "a@latest-", "a@latest-x", "a@latestx", "a@v", "b3:1234567"]
    + ["a@b3:1234567", "a@b3:ABCDEF01", "a@v1/../x", "a@v1//x", "a@v1/./x", "a@v1\n", "a@v1 "]
    + ["a@v" + "9" * 19, "b3:" + "a" * 65],
)
def test_what_is_no_reference_is_a_usage_error(text: str) -> None:
    if text == "a@v":  # `v` alone may be a tag
        assert Ref.parse(text).selector == "v"
        return
    with pytest.raises(UsageError):
        Ref.parse(text)


@pytest.mark.parametrize(
    ("selector", "number", "back", "is_exact"),
    [
        ("latest", None, 0, False),
        ("latest-3", None, 3, False),
        ("v12", 12, None, True),
        ("prod", None, None, False),
        ("b3:01234567", None, None, True),
    ],
)
def test_a_selector_says_number_distance_and_whether_it_can_move(
    selector: str, number: int | None, back: int | None, is_exact: bool
) -> None:
    ref = Ref("a", selector)
    assert (ref.number, ref.back, ref.is_exact) == (number, back, is_exact)


# -- partitions ------------------------------------------------------------------------------------

names = st.from_regex(r"[A-Za-z_][A-Za-z0-9_.-]{0,5}", fullmatch=True)
partitions = st.dictionaries(names, st.text(max_size=6), max_size=3)


@given(keys, selectors, paths | st.just(""), partitions)
def test_a_reference_to_partitions_reads_back_as_it_prints(
    key: str, selector: str, path: str, wanted: dict[str, str]
) -> None:
    ref = Ref(key, selector, path).within(wanted)
    assert Ref.parse(str(ref)) == ref


@pytest.mark.parametrize(
    "text",
    ["sales?region=eu", "art://sales?region=eu", "sales@latest?region=eu"]
    + ["art://sales@latest?region=%65u"],
)
def test_partitions_stand_behind_a_question_mark(text: str) -> None:
    assert Ref.parse(text) == Ref("sales", partitions=(("region", "eu"),))


def test_a_value_may_hold_what_selectors_and_paths_begin_with() -> None:
    ref = Ref.parse("art://sales?path=a/b@c&x=1%2C2")
    assert dict(ref.partitions) == {"path": "a/b@c", "x": "1,2"}
    ref = Ref.parse("art://sales@prod/eu/what?.csv?region=eu")
    assert (ref.path, ref.partitions) == ("eu/what?.csv", (("region", "eu"),))


@pytest.mark.parametrize("text", ["k?region", "k?", "k?=eu", "k?a=1&a=2", "k?a b=1", "k?a=\ud800"])
def test_what_is_no_partition_is_a_usage_error(text: str) -> None:
    with pytest.raises(UsageError):
        Ref.parse(text)


@pytest.fixture
def sales(repo: Repo) -> Repo:
    """Return a repository in which `sales` has versions eu 1, us 2, eu 3, us 4, and one of none."""
    for number, region in enumerate(("eu", "us", "eu", "us"), 1):
        repo.value("sales", number, partitions={"region": region, "kind": "day"})
    repo.value("sales", 5)
    return repo


def test_the_newest_version_that_matches_wins(sales: Repo, run: Runner) -> None:
    assert sales.version("sales").number == 5
    assert sales.version("sales", region="eu").number == 3
    assert sales.version("sales", region="us", kind="day").number == 4
    assert sales.version("sales@latest-1", region="us").number == 2
    assert sales.version("art://sales?region=eu").number == 3
    sales.delete("sales@v3")
    assert sales.version("sales", region="eu").number == 1

    assert run("cat", "sales", "-p", "region=eu").out == "1"
    assert run("get", "sales?region=us").err.startswith("sales@v4")
    assert run("resolve", "sales", "-p", "region=us", "-p", "kind=day").out.startswith("sales@v4")
    assert run("inspect", "sales", "-p", "region=us", "--json").json["number"] == 4
    diff = run("diff", "sales", "-p", "region=us", "--json").json
    assert (diff["left"], diff["right"]) == ("sales@v2", "sales@v4")
    assert run("tag", "set", "sales", "best", "-p", "region=us").out.startswith("sales@best → v4")


def test_what_is_named_exactly_must_match_too(sales: Repo) -> None:
    sales.tag("sales@v2", "prod")
    assert sales.version("sales@prod", region="us").number == 2
    with pytest.raises(NotFoundError, match=r"sales@v2 is not region=eu: it is of"):
        sales.version("sales@prod", region="eu")
    with pytest.raises(NotFoundError, match="it is of no partition"):
        sales.version("sales@v5?region=eu")


def test_a_partition_that_is_not_there_comes_with_those_that_are(sales: Repo, run: Runner) -> None:
    failed = run("cat", "sales", "-p", "region=asia", code=4)
    assert failed.error == "sales has no version of region=asia"
    assert "hint: there are region=eu, region=us" in failed.err
    with pytest.raises(NotFoundError, match="has 2 live versions of region=eu, no latest-2"):
        sales.version("sales@latest-2", region="eu")


def test_a_deleted_partition_says_so(sales: Repo) -> None:
    sales.delete("sales@v1", "sales@v3")
    with pytest.raises(NotFoundError, match="sales@v3 was deleted") as caught:
        sales.version("sales", region="eu")
    assert caught.value.hint == "art restore sales@v3"


def test_partitions_are_followed_to_where_a_key_moved(sales: Repo) -> None:
    sales.move("sales", "shop/sales")
    assert sales.version("sales", region="eu").ref == "shop/sales@v3"
    sales.value("shop/sales", 6, partitions={"region": "eu"})
    assert sales.version("sales", region="eu").ref == "shop/sales@v6"


def test_a_damaged_newer_version_is_not_passed_over(sales: Repo) -> None:
    path = sales.root / ".art/manifests/sales/v00000005.yaml"
    path.write_bytes(path.read_bytes().replace(b"sales", b"salfs"))
    sales.close()
    (sales.root / ".art/index.sqlite").unlink()
    with pytest.raises(art.CorruptError):
        art.open().version("sales", region="eu")


def test_inputs_name_partitions(sales: Repo) -> None:
    made = sales.value("sum", 1, inputs=["sales?region=eu"])
    assert made.version.inputs[0]["number"] == 3


@pytest.mark.parametrize("verb", ["delete", "restore"])
def test_a_partition_of_a_key_is_not_taken_for_the_whole_key(
    sales: Repo, run: Runner, verb: str
) -> None:
    failed = run(verb, "sales?region=eu", code=2)
    assert "hint: sales@latest?region=eu is the latest of them" in failed.err
    assert len(sales.history("sales")) == sum(r.is_live for r in sales.history("sales"))
    run("delete", "sales@latest?region=eu")
    assert [r.number for r in sales.history("sales") if not r.is_live] == [3]


def test_listings_show_the_newest_match_of_each_key(sales: Repo, run: Runner) -> None:
    sales.value("other", 1, labels=["kept"], partitions={"region": "us"})
    sales.value("other", 2)

    def shown(*words: str) -> list[str]:
        return run("ls", "--columns", "ref", *words).out.split()[1:]

    assert shown() == ["other@v2", "sales@v5"]
    assert shown("-p", "region=us") == ["other@v1", "sales@v4"]
    assert shown("-p", "region=eu") == ["sales@v3"]
    assert shown("-l", "kept") == ["other@v1"]
    assert shown("-a", "-p", "region=eu") == ["sales@v3", "sales@v1"]
    sales.delete("sales@v3")
    assert shown("-p", "region=eu") == ["sales@v1"]


# -- what was meant --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("word", "meant"),
    [("V2", "v2"), ("2", "v2"), ("v.2", "v2"), ("-1", "latest-1"), ("HEAD~3", "latest-3")]
    + [("latest1", "latest-1"), ("Latest", "latest"), ("last", "latest"), ("head", "latest")]
    + [("0123abcd", "b3:0123abcd"), ("B3:0123ABCD", "b3:0123abcd"), ("prod", None), ("b3:1", None)],
)
def test_a_near_miss_of_a_selector_is_recognised(word: str, meant: str | None) -> None:
    assert likely_selector(word) == meant


@pytest.mark.parametrize(
    ("ref", "hint"),
    [("sales@V2", "did you mean sales@v2?"), ("sales@latest~1", "did you mean @latest-1?")]
    + [("sales@head", "did you mean sales@latest?"), ("sales@-1", "did you mean @latest-1?")]
    + [("sales@2", "did you mean sales@v2?"), ("sales@b3:ABCDEF01", "did you mean @b3:abcdef01?")],
)
def test_a_near_miss_comes_with_what_was_meant(
    sales: Repo, run: Runner, ref: str, hint: str
) -> None:
    failed = run("resolve", ref, code=2 if "did you mean @" in hint else 4)
    assert f"hint: {hint}" in failed.err
