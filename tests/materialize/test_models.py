"""Tensors and estimators as files."""

from __future__ import annotations

import importlib.util
import io
import json
import struct
import warnings
import zipfile
from collections import OrderedDict

import numpy as np
import pytest
import safetensors.numpy
import skops.io
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import RandomForestClassifier, VotingClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.model_selection import GridSearchCV, KFold, RandomizedSearchCV
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from sklearn.tree import DecisionTreeClassifier

import art
from art.errors import ArtError, CorruptError, DeniedError, UsageError
from art.materialize import find, named
from tests.materialize.trips import assert_damage_is_told, back, restored, stored

needs_torch = pytest.mark.skipif(
    importlib.util.find_spec("torch") is None,
    reason="torch is not installed: it takes up to several GB, so it is no part of the group dev",
)

dtypes = (
    npst.boolean_dtypes()
    | npst.integer_dtypes(endianness="<")
    | npst.unsigned_integer_dtypes(endianness="<")
    | npst.floating_dtypes(endianness="<", sizes=(16, 32, 64))
)
states = st.dictionaries(
    st.text().filter(lambda name: name != "__metadata__"),
    dtypes.flatmap(lambda dtype: npst.arrays(dtype, npst.array_shapes(min_dims=0, min_side=0))),
    max_size=5,
)


def assert_same(one, other):
    assert list(one) == list(other)
    for name, array in one.items():
        assert array.dtype == other[name].dtype
        assert array.shape == other[name].shape
        assert array.tobytes() == other[name].tobytes()


@settings(deadline=None)
@given(states)
def test_every_dict_of_arrays_comes_back_as_safetensors(state):
    assert_same(back(state, "safetensors"), state)


def test_a_mapping_that_would_come_back_as_a_dict_is_refused():
    with pytest.raises(UsageError, match="come back as a dict"):
        stored(OrderedDict(a=np.ones(1)), "safetensors")


def test_the_library_reads_what_is_written_and_the_other_way_round():
    state = {
        "w": np.arange(6, dtype="f4").reshape(2, 3).T,
        "b": np.array([True]),
        "n": np.zeros((0, 2)),
    }
    found, format, data = stored(state, "safetensors")
    read = safetensors.numpy.load(data)
    assert_same({name: read[name] for name in state}, state)
    theirs = safetensors.numpy.save({"w": np.ones((2, 2))})
    assert_same(restored(found, format, theirs), {"w": np.ones((2, 2))})


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ([np.zeros(1)], "no dict of tensors"),
        ({1: np.zeros(1)}, "the name 1"),
        ({"__metadata__": np.zeros(1)}, "__metadata__"),
        ({"a": [1]}, "is a list"),
        ({"a": np.zeros(1, ">f8")}, "safetensors has not"),
        ({"a": np.array(["x"])}, "safetensors has not"),
        ({"a": np.array([None])}, "safetensors has not"),
        ({"a": np.ma.masked_array([1])}, "is a MaskedArray"),
    ],
    ids=range(8),
)
def test_other_dicts_are_refused(value, reason):
    with pytest.raises(UsageError, match=reason):
        stored(value, "safetensors")


def tensors(header, body=b""):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + body


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"abc",
        struct.pack("<Q", 2**60),
        tensors(b"[]"),
        tensors(b"{"),
        tensors(b"[" * 100_000),
        tensors({"a": 1}),
        tensors({"a": {"dtype": "F99", "shape": [], "data_offsets": [0, 0]}}),
        tensors({"a": {"dtype": "F32", "shape": [1.5], "data_offsets": [0, 4]}}, b"1234"),
        tensors({"a": {"dtype": "F32", "shape": [-1], "data_offsets": [0, 4]}}, b"1234"),
        tensors({"a": {"dtype": "F32", "shape": [1], "data_offsets": [4, 8]}}, b"12345678"),
        tensors({"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 4]}}, b"1234"),
        tensors({"a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}, b"123"),
        tensors({"a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}, b"12345"),
        tensors({"a": {"dtype": "F32", "shape": 7, "data_offsets": [0, 4]}}, b"1234"),
    ],
    ids=range(15),
)
def test_damaged_files_of_tensors_are_told(data):
    with pytest.raises(CorruptError, match="the file of tensors is damaged"):
        restored(named("safetensors"), {}, data)


def test_a_header_of_tensors_that_claims_too_much_costs_nothing():
    size = 2**40
    claim = tensors({"a": {"dtype": "U8", "shape": [size], "data_offsets": [0, size]}}, b"1")
    with pytest.raises(ArtError, match="no memory|ends after 1 of"):
        restored(named("safetensors"), {}, claim)


def test_a_changed_file_of_tensors_is_read_or_told():
    assert_damage_is_told({"a": np.arange(5), "b": np.zeros((2, 2))}, "safetensors")


def test_tensors_have_a_preview():
    found = named("safetensors").preview({"w": np.zeros((2, 3), "f4")})
    assert found["head"] == [["w", "float32", "2 x 3", 6]]


# --- torch --------------------------------------------------------------------------------------


def test_without_torch_the_error_says_what_to_install():
    if importlib.util.find_spec("torch"):
        pytest.skip("torch is installed")
    with pytest.raises(UsageError, match="torch, which is not installed") as caught:
        restored(named("torch"), {}, b"")
    assert "art-vcs[torch]" in caught.value.hint


@needs_torch
def test_tensors_of_every_type_come_back():
    import torch

    for dtype in (
        torch.bool,
        torch.uint8,
        torch.int64,
        torch.float16,
        torch.bfloat16,
        torch.float64,
        torch.complex64,
    ):
        for shape in ((), (0,), (3,), (2, 3)):
            tensor = torch.ones(shape, dtype=dtype)
            made = back(tensor)
            assert made.dtype == dtype
            assert made.shape == tensor.shape
            assert torch.equal(made, tensor)


@needs_torch
def test_tensors_that_look_at_the_same_memory_differently_come_back_as_two():
    import torch

    tensor = torch.tensor([1 + 2j], dtype=torch.complex64)
    made = back({"plain": tensor, "conjugate": tensor.conj()}, "torch")
    assert made["plain"].tolist() == [1 + 2j]
    assert made["conjugate"].tolist() == [1 - 2j]


@needs_torch
def test_a_state_dict_comes_back_with_its_tied_weights():
    import torch

    linear = torch.nn.Linear(3, 2)
    state = linear.state_dict()
    state["tied"] = state["weight"]
    state["last"] = torch.zeros(1)
    state["t"] = state["weight"].T
    made = back(state, "torch")
    assert type(made) is OrderedDict
    assert list(made) != []
    assert list(made) == list(state)
    assert made["tied"] is made["weight"]
    assert all(torch.equal(made[name], state[name]) for name in state)


@needs_torch
def test_the_state_of_a_module_is_found_by_what_it_holds_and_keeps_its_versions():
    import torch

    module = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.BatchNorm1d(3))
    state = module.state_dict()
    found, format, data = stored(state)
    made = restored(found, format, data)
    assert (found.name, format["of"]) == ("torch", "OrderedDict")
    assert vars(made) == vars(state)
    assert made._metadata["1"] == {"version": 2}
    assert safetensors.numpy.load(data).keys() == state.keys()
    other = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.BatchNorm1d(3))
    other.load_state_dict(made)
    assert torch.equal(other[0].weight, module[0].weight)
    assert find(dict(state)).name == "torch"
    for mixed in ({}, {"a": 1}, {**state, "epoch": 3}, {1: torch.ones(1)}):
        assert find(mixed).name == "value"


@needs_torch
def test_what_else_lies_on_a_state_dict_is_refused():
    import torch

    for name, value in (("_metadata", {"": {"version": {1}}}), ("mine", 1)):
        state = torch.nn.Linear(1, 1).state_dict()
        setattr(state, name, value)
        with pytest.raises(UsageError, match="attributes beyond its items"):
            stored(state)


@needs_torch
def test_a_checkpoint_of_states_and_numbers_comes_back(tmp_path):
    import torch

    module = torch.nn.Linear(2, 2)
    optimizer = torch.optim.Adam(module.parameters())
    module(torch.ones(1, 2)).sum().backward()
    optimizer.step()
    saved = {"model": module.state_dict(), "optimizer": optimizer.state_dict(), "epoch": 3}
    repo = art.init(tmp_path)
    made = repo.save(saved, "checkpoint").version.load()
    assert made["epoch"] == 3
    assert list(made["model"]) == ["weight", "bias"]
    optimizer.load_state_dict(made["optimizer"])
    assert torch.equal(
        made["optimizer"]["state"][0]["exp_avg"], saved["optimizer"]["state"][0]["exp_avg"]
    )


@needs_torch
def test_a_module_itself_is_refused_with_what_helps():
    import torch

    for whole in (torch.nn.Linear(1, 1), torch.optim.SGD(torch.nn.Linear(1, 1).parameters())):
        with pytest.raises(UsageError, match="no materializer for torch") as caught:
            find(whole)
        assert caught.value.hint == "save its state_dict()"


@needs_torch
@pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors")
def test_tensors_that_would_not_come_back_are_refused():
    import torch

    for wrong, hint in (
        (torch.ones(1, requires_grad=True), "tensor.detach()"),
        (torch.nn.Parameter(torch.ones(1)), "torch.as_tensor(…).detach()"),
        (torch.ones(1, device="meta"), "tensor.cpu()"),
        (torch.ones(2, 2).to_sparse(), "tensor.to_dense()"),
        (torch.ones(1, dtype=torch.complex128), "tensor.to(…)"),
        (torch.nested.nested_tensor([torch.ones(1), torch.ones(2)]), "tensor.unbind()"),
        ([1], "torch.as_tensor(…).detach()"),
    ):
        with pytest.raises(UsageError, match="'a'") as caught:
            stored({"a": wrong}, "torch")
        assert caught.value.hint == hint


# --- scikit-learn -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "estimator",
    [
        LinearRegression(),
        RandomForestClassifier(n_estimators=3, random_state=0),
        make_pipeline(StandardScaler(), LinearRegression()),
    ],
    ids=lambda estimator: type(estimator).__name__,
)
def test_fitted_estimators_predict_the_same(estimator):
    x = np.random.default_rng(0).random((30, 3))
    estimator.fit(x, x[:, 0] > 0.5)
    found, format, data = stored(estimator)
    made = restored(found, format, data)
    assert type(made) is type(estimator)
    assert np.array_equal(made.predict(x), estimator.predict(x))
    assert format["class"].startswith("sklearn.")


def test_a_decision_tree_that_leads_out_of_itself_is_damage():
    tree = DecisionTreeClassifier(random_state=0).fit([[0.0], [1.0]], [0, 1])
    found, format, _ = stored(tree)
    for place, wrong in (("left_child", 10**6), ("left_child", 0), ("feature", 5)):
        state = tree.tree_.__getstate__()
        nodes = state["nodes"].copy()
        nodes[place][0] = wrong
        changed = DecisionTreeClassifier(random_state=0).fit([[0.0], [1.0]], [0, 1])
        changed.tree_.__setstate__(state | {"nodes": nodes})
        with pytest.raises(CorruptError, match="a decision tree"):
            restored(found, format, skops.io.dumps(changed))


def test_an_estimator_with_a_function_is_refused():
    with pytest.raises(UsageError, match="does not trust|cannot be saved"):
        stored(FunctionTransformer(test_tensors_have_a_preview))


def test_an_estimator_of_ones_own_is_refused():
    class Mine(LinearRegression):
        pass

    with pytest.raises(UsageError, match="come back as its base sklearn"):
        find(Mine())


def test_types_that_are_not_trusted_are_not_loaded():
    data = skops.io.dumps(LinearRegression())
    changed = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(changed, "w") as new:
        for name in old.namelist():
            content = old.read(name)
            if name == "schema.json":
                content = content.replace(b'"LinearRegression"', b'"system"').replace(
                    b"sklearn.linear_model._base", b"os"
                )
            new.writestr(name, content)
    with pytest.raises((DeniedError, CorruptError)):
        restored(named("skops"), {}, changed.getvalue())


def test_a_damaged_estimator_is_told():
    found, format, data = stored(LinearRegression())
    for wrong in (b"", data[:100], b"PK" + b"\0" * 100):
        with pytest.raises(CorruptError, match="the estimator is damaged"):
            restored(found, format, wrong)


def test_an_estimator_has_its_parameters_as_a_preview():
    assert (
        named("skops").preview(LinearRegression(positive=True))["text"]
        == "LinearRegression(positive=True)"
    )


def fitted(estimator):
    """Return it, fitted, and what it was fitted with."""
    features = np.random.default_rng(0).random((40, 3))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that there were too few steps
        return estimator.fit(features, features[:, 0] > 0.5), features


@pytest.mark.parametrize(
    "estimator",
    [
        GridSearchCV(LogisticRegression(), {"C": [1, 2]}),
        RandomizedSearchCV(LogisticRegression(), {"C": [1, 2]}, n_iter=2, cv=KFold(3)),
        CalibratedClassifierCV(LogisticRegression()),
        VotingClassifier([("a", LogisticRegression())], voting="soft"),
        make_pipeline(SimpleImputer(), LogisticRegression()),
        MLPClassifier(max_iter=3),
    ],
    ids=lambda estimator: type(estimator).__name__,
)
def test_estimators_that_hold_more_than_arrays_come_back(estimator):
    made, features = fitted(estimator)
    again = restored(*stored(made))
    assert (again.predict_proba(features) == made.predict_proba(features)).all()
