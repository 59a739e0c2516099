"""Training state on disk: bit-identical round trip with the same memory layout, or an error."""

import math
import signal
import struct
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors import safe_open
from torch import nn

from benchdog.errors import BadData, BadUsage, BenchdogError
from benchdog.runs import state
from benchdog.runs.checkpoints import Checkpoints

DTYPES = [
    torch.float32, torch.float64, torch.float16, torch.bfloat16, torch.int64, torch.int32, torch.int16,
    torch.int8, torch.uint8, torch.bool, torch.complex64,
]  # fmt: skip


@st.composite
def tensors(draw):
    """Draw dense tensors of 0 to 4 axes, possibly empty, with axes in any order in memory, sliced or not."""
    dtype = draw(st.sampled_from(DTYPES))
    shape = draw(st.lists(st.integers(0, 4), max_size=4))
    raw = torch.from_numpy(np.frombuffer(draw(st.binary(min_size=64, max_size=64)), np.uint8).copy())
    count = math.prod(shape)
    flat = raw.repeat(1 + count).view(torch.uint8)[: max(1, count) * 8].to(torch.float64)[: max(count, 0)]
    tensor = flat.to(dtype).reshape(shape)
    tensor = tensor.permute(draw(st.permutations(range(tensor.dim()))))
    return tensor[..., ::2] if tensor.dim() and draw(st.booleans()) else tensor


plain = st.none() | st.booleans() | st.integers(-(2**80), 2**80) | st.floats() | st.text()
trees = st.recursive(
    plain | tensors(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.lists(inner, max_size=3).map(tuple)
        | st.dictionaries(st.text(max_size=5) | st.integers(), inner, max_size=3)
    ),
    max_leaves=8,
)


def same(a, b):
    """Compare trees: types, order of keys, bits of tensors and the order of their axes in memory."""
    if isinstance(a, torch.Tensor):
        assert (a.dtype, a.shape) == (b.dtype, b.shape)
        bits = [x.clone(memory_format=torch.contiguous_format).reshape(-1) for x in (a, b)]
        assert not a.numel() or torch.equal(*(x.view(torch.uint8) for x in bits))
        real = [(s, t) for n, s, t in zip(a.shape, a.stride(), b.stride(), strict=True) if n > 1]
        if a.numel():
            assert all((s < u) == (t < v) for s, t in real for u, v in real)
        return
    assert type(a) is type(b)
    if isinstance(a, dict):
        assert list(a) == list(b)
        assert list(map(type, a)) == list(map(type, b))
        for key in a:
            same(a[key], b[key])
    elif isinstance(a, list | tuple):
        assert len(a) == len(b)
        for x, y in zip(a, b, strict=True):
            same(x, y)
    elif isinstance(a, float):
        assert math.isnan(b) if math.isnan(a) else struct.pack("d", a) == struct.pack("d", b)
    else:
        assert a == b


def stored(tree, folder):
    state.write(folder / "x.safetensors", tree)
    return state.read(folder / "x.safetensors")


@settings(max_examples=80, deadline=None)
@given(tree=trees)
def test_state_round_trip(tmp_path_factory, tree):
    folder = tmp_path_factory.getbasetemp()
    same(tree, stored(tree, folder))
    same(tree, stored(state.snapshot(tree), folder))


def test_channels_last_strides_are_preserved(tmp_path):
    for shape in [(2, 3, 4, 5), (2, 1, 4, 5), (2, 3, 1, 1), (1, 1, 1, 1)]:
        x = torch.randn(shape).to(memory_format=torch.channels_last)
        back = stored(x, tmp_path)
        assert torch.equal(back, x)
        assert back.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("copied", [False, True])
def test_shared_memory_is_stored_once_and_restored_shared(tmp_path, copied):
    x = torch.randn(1000)
    tree = {"a": x, "b": [x], "view": x.view(10, 100)}
    back = stored(state.snapshot(tree) if copied else tree, tmp_path)
    assert back["a"].data_ptr() == back["b"][0].data_ptr()
    assert torch.equal(back["view"].reshape(-1), x)
    assert (tmp_path / "x.safetensors").stat().st_size < 2.5 * x.nbytes


def test_single_element_with_a_large_stride(tmp_path):
    x = torch.arange(8.0)[::8]
    assert x.stride() == (8,)
    assert torch.equal(stored(x, tmp_path), x)


def test_transposed_view_with_its_base(tmp_path):
    x = torch.randn(3, 4)
    back = stored({"a": x, "b": x.t(), "c": x[1:]}, tmp_path)
    assert torch.equal(back["a"], x)
    assert torch.equal(back["b"], x.t())
    assert torch.equal(back["c"], x[1:])


def test_tensors_at_a_reused_address_are_not_deduplicated(tmp_path):
    tree = [torch.full((64,), float(i)) * 1 for i in range(50)]
    back = stored([x + 0 for x in tree], tmp_path)
    assert [float(x[0]) for x in back] == list(map(float, range(50)))


def test_numpy_arrays_and_scalars(tmp_path):
    frozen = np.arange(6).reshape(2, 3)
    frozen.setflags(write=False)
    arrays = {"frozen": frozen, "reversed": np.arange(4.0)[::-1], "none": np.zeros((0, 2))}
    back = stored({**arrays, "number": np.float32(0.1)}, tmp_path)
    for key, array in arrays.items():
        assert isinstance(back[key], np.ndarray)
        assert back[key].dtype == array.dtype
        assert np.array_equal(back[key], array)
    assert back["number"] == float(np.float32(0.1))


def test_snapshot_is_independent_of_its_original():
    tree: dict[str, Any] = {"t": torch.zeros(2), "n": np.zeros(2), "list": [1]}
    copy = state.snapshot(tree)
    tree["t"] += 1
    tree["n"] += 1
    tree["list"].append(2)
    assert copy["t"].tolist() == [0, 0]
    assert copy["n"].tolist() == [0, 0]
    assert copy["list"] == [1]


class Unsupported:
    """An object that a state can't contain."""


@pytest.mark.parametrize(
    ("tree", "message"),
    [
        ({"optimizer": {"state": [0, {"what": Unsupported()}]}}, "state['optimizer']['state'][1]['what']"),
        ({"a": (1, {2: {3, 4}})}, "state['a'][1][2]"),
        ({"a": {("tuple", "key"): 1}}, "state['a']"),
        ({"f": print}, "state['f']"),
        ({"o": np.array([None])}, "state['o']"),
        ({"s": torch.eye(2).to_sparse()}, "state['s']"),
        ({"c": [torch.zeros(2, dtype=torch.complex128)]}, "state['c'][0]"),
        ({"b": b"bytes"}, "state['b']"),
    ],
)
def test_unsupported_value_is_reported_by_its_path(tmp_path, tree, message):
    with pytest.raises(BadUsage) as caught:
        state.write(tmp_path / "x.safetensors", tree)
    assert message in caught.value.message
    assert list(tmp_path.iterdir()) == []


# --- damage


TREE = {"step": 120, "best": 0.25, "model": {"w": torch.arange(40.0), "e": torch.empty(0, 3)}, "name": "a run"}


def test_truncated_file_is_bad_data(tmp_path):
    path = tmp_path / "x.safetensors"
    state.write(path, TREE)
    whole = path.read_bytes()
    for length in (0, 1, 7, 8, 40, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:length])
        with pytest.raises(BadData, match=r"x\.safetensors"):
            state.read(path)
    path.unlink()
    with pytest.raises(BadData):
        state.read(path)


@settings(max_examples=100, deadline=None)
@given(data=st.data())
def test_flipped_bit_is_detected_or_harmless(tmp_path_factory, data):
    """Either the file is refused, or the bit makes no difference (in a space, for example)."""
    path = tmp_path_factory.getbasetemp() / "flipped.safetensors"
    state.write(path, TREE)
    whole = bytearray(path.read_bytes())
    place = data.draw(st.integers(0, len(whole) - 1))
    whole[place] ^= 1 << data.draw(st.integers(0, 7))
    path.write_bytes(whole)
    try:
        back = state.read(path)
    except BadData:
        return
    same(TREE, back)


def test_other_file_or_format_is_refused(tmp_path):
    from safetensors.torch import save_file

    path = tmp_path / "x.safetensors"
    save_file({"w": torch.zeros(1)}, path)
    with pytest.raises(BadData):
        state.read(path)
    save_file({"w": torch.zeros(1)}, path, metadata={"format": "99", "state": "{}", "crc32": "0"})
    with pytest.raises(BadData, match="format 99"):
        state.read(path)


# --- checkpoints


def test_newest_intact_checkpoint_is_loaded(tmp_path):
    saved = Checkpoints(tmp_path, keep=3)
    for step in (10, 20, 30, 40):
        saved.write(step, {"step": step})
    saved.wait()
    assert [path.name for path in saved.all()] == [f"step-0000000{n}.safetensors" for n in (20, 30, 40)]
    newest = saved.all()[-1]
    newest.write_bytes(newest.read_bytes()[:-1] + b"!")
    older = saved.all()[-2]
    older.write_bytes(b"")
    tree, skipped = Checkpoints(tmp_path, keep=3).newest()
    assert tree == {"step": 20}
    assert len(skipped) == 2
    assert newest.name in skipped[0]


def test_newest_without_checkpoints_is_none_and_best_is_separate(tmp_path):
    saved = Checkpoints(tmp_path, keep=1)
    assert saved.newest() == (None, [])
    assert saved.best() is None
    saved.write(1, {"step": 1}, best={"model": 1})
    saved.write(2, {"step": 2})
    saved.wait()
    assert saved.newest()[0] == {"step": 2}
    assert saved.best() == {"model": 1}


def test_write_error_of_the_background_thread_is_raised_by_wait(tmp_path):
    saved = Checkpoints(tmp_path, keep=2)
    saved.write(1, {"x": Unsupported()})
    with pytest.raises(BenchdogError):
        saved.wait()
    saved.wait()
    assert saved.all() == []


# --- optimizers


def learner(fused):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 16, 2))
    model = model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # missing in the annotations
    return model, torch.optim.Adam(model.parameters(), lr=0.01, fused=fused)


def steps(model, optimizer, first, last):
    for step in range(first, last):
        generator = torch.Generator().manual_seed(step)
        x = torch.randn(2, 3, 6, 6, generator=generator).to(memory_format=torch.channels_last)
        model(x).square().mean().backward()
        optimizer.step()
        optimizer.zero_grad()


@pytest.mark.parametrize("fused", [True, False])
def test_adam_on_channels_last_parameters_resumes_bit_identical(tmp_path, fused):
    model, optimizer = learner(fused)
    steps(model, optimizer, 0, 5)
    tree = {"model": model.state_dict(), "optimizer": optimizer.state_dict()}
    back = stored(state.snapshot(tree), tmp_path)
    steps(model, optimizer, 5, 10)
    other, restored = learner(fused)
    other.load_state_dict(back["model"])
    restored.load_state_dict(back["optimizer"])
    moment = restored.state[other[0].weight]["exp_avg"]
    assert moment.is_contiguous(memory_format=torch.channels_last)
    assert moment.data_ptr() % 16 == 0
    steps(other, restored, 5, 10)
    for a, b in zip(model.parameters(), other.parameters(), strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize(
    "name", ["SGD", "AdamW", "RMSprop", "Adagrad", "Adadelta", "NAdam", "RAdam", "Rprop", "LBFGS", "ASGD", "Adamax"]
)
def test_torch_optimizers_resume_bit_identical(tmp_path, name):
    def fresh():
        torch.manual_seed(0)
        layer = nn.Linear(3, 2)
        return layer, getattr(torch.optim, name)(layer.parameters(), lr=0.01)

    def step(layer, optimizer, number):
        x = torch.randn(4, 3, generator=torch.Generator().manual_seed(number))

        def closure():
            optimizer.zero_grad()
            loss = layer(x).square().sum()
            loss.backward()
            return loss

        optimizer.step(closure)

    layer, optimizer = fresh()
    for number in range(3):
        step(layer, optimizer, number)
    back = stored(state.snapshot({"m": layer.state_dict(), "o": optimizer.state_dict()}), tmp_path)
    other, restored = fresh()
    other.load_state_dict(back["m"])
    restored.load_state_dict(back["o"])
    for number in range(3, 6):
        step(layer, optimizer, number)
        step(other, restored, number)
    assert torch.equal(layer.weight, other.weight)


def test_signal_while_reading_a_file_is_not_bad_data(tmp_path, monkeypatch):
    state.write(tmp_path / "a.safetensors", {"x": torch.ones(3)})

    def interrupted(path, framework):
        signal.raise_signal(signal.SIGINT)  # raised inside, it would be reported as a damaged file
        return safe_open(path, framework=framework)

    monkeypatch.setattr(state, "safe_open", interrupted)
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        state.read(tmp_path / "a.safetensors")
    assert signal.getsignal(signal.SIGINT) is before
