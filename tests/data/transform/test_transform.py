"""The transform: correct values for any chunking of the training split, also exported and traced."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from benchdog.api import BadData, BadUsage, Column, Field, Preprocess, Spec, Target
from benchdog.data.transform.transform import Deployed, Transform

TARGET = Target(kind="class", classes=("no", "yes"))
COLUMNS = (
    Column(name="age"),
    Column(name="sex", kind="category", categories=("m", "f")),
    Column(name="height"),
)
TABLE = Field(kind="table", shape=(3,), dtype="float32", columns=COLUMNS)
IMAGE = Field(kind="image", shape=(3, 4, 5), dtype="uint8", range=(0, 255))
NAN = float("nan")


def transform_of(field, *ops):
    return Transform(Preprocess(decode={}, transform={field.name: ops}), Spec(fields=(field,), target=TARGET))


def spec_of(field):
    return Spec(fields=(field,), target=TARGET)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int16, torch.float32, torch.float64])
def test_standardise_scales_each_channel_to_mean_0_and_std_1(dtype):
    x = (torch.rand(50, 3, 4, 5) * 200).to(dtype)
    transform = transform_of(IMAGE, {"op": "standardise", "axes": "channel"})
    transform.fit([(x[:20],), (x[20:],)])
    (y,) = transform(x)
    assert y.dtype == torch.float32
    assert y.shape == x.shape
    torch.testing.assert_close(y.mean((0, 2, 3)), torch.zeros(3), atol=1e-5, rtol=0)
    torch.testing.assert_close(y.std((0, 2, 3), correction=0), torch.ones(3), atol=1e-5, rtol=0)


@pytest.mark.parametrize(("value", "dtype"), [(7, torch.uint8), (0.1, torch.float32), (123456.7, torch.float64)])
def test_standardise_maps_constant_channel_to_exactly_0(value, dtype):
    x = torch.full((13, 3, 4, 5), value, dtype=dtype)
    x[:, 1] = (torch.rand(13, 4, 5) * 9).to(dtype)
    transform = transform_of(IMAGE, {"op": "standardise"})
    transform.fit([(x[:5],), (x[5:],)])
    (y,) = transform(x)
    assert (y[:, 0] == 0).all()
    assert (y[:, 2] == 0).all()
    assert y[:, 1].std() > 0.5
    assert transform.fields[0][0].scale[0].item() == 1


def test_standardise_does_not_amplify_differences_below_float32_precision():
    x = torch.full((10, 3, 4, 5), 1e6, dtype=torch.float64)
    x[0] += 1e-6
    transform = transform_of(IMAGE, {"op": "standardise"})
    transform.fit([(x,)])
    assert transform(x)[0].abs().max() <= 1


@settings(deadline=None, max_examples=40)
@given(
    cuts=st.lists(st.integers(0, 40), max_size=6),
    seed=st.integers(0, 10),
    offset=st.sampled_from([0.0, -3.0, 1e4, 1e6]),
    kind=st.sampled_from(["uint8", "int16", "float32"]),
)
def test_standardise_fit_is_independent_of_chunking(cuts, seed, offset, kind):
    rng = np.random.default_rng(seed)
    values = rng.normal(100, 30, (40, 3, 4, 5)) + (offset if kind == "float32" else 0)
    x = torch.from_numpy(values.clip(0, 255).astype(kind) if kind == "uint8" else values.astype(kind))
    edges = [0, *sorted(cuts), 40]
    chunks = [(x[a:b],) for a, b in pairwise(edges)]  # some are empty
    whole, cut = (transform_of(IMAGE, {"op": "standardise"}) for _ in range(2))
    whole.fit([(x,)])
    cut.fit(chunks)
    for name, value in whole.state_dict().items():
        torch.testing.assert_close(cut.state_dict()[name], value, rtol=1e-6, atol=1e-6)
    exact = x.double().mean((0, 2, 3)), x.double().std((0, 2, 3), correction=0)
    torch.testing.assert_close(whole.fields[0][0].scale.flatten(), (1 / exact[1]).float(), rtol=1e-6, atol=0)


@settings(deadline=None, max_examples=30)
@given(cuts=st.lists(st.integers(0, 30), max_size=4), seed=st.integers(0, 5))
def test_table_fit_with_missing_values_is_independent_of_chunking(cuts, seed):
    rng = np.random.default_rng(seed)
    rows = np.stack([rng.normal(40, 9, 30), rng.integers(0, 3, 30), rng.normal(1e5, 3, 30)], 1)
    rows[rng.random(30) < 0.4, 0] = NAN
    x = torch.from_numpy(rows.astype(np.float32))
    edges = [0, *sorted(cuts), 30]
    whole, cut = (transform_of(TABLE, {"op": "table", "missing": ["age"]}) for _ in range(2))
    whole.fit([(x,)])
    cut.fit([(x[a:b],) for a, b in pairwise(edges)])
    for name, value in whole.state_dict().items():
        torch.testing.assert_close(cut.state_dict()[name], value, rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(whole.fields[0][0].mean[0], np.nanmean(rows[:, 0].astype(np.float32)), rtol=1e-5)


def test_table_imputes_flags_missing_standardises_and_one_hot_encodes():
    train = torch.tensor([[10.0, 1, 5], [20.0, 2, 5], [NAN, 0, 5], [30.0, 2, 5]])
    transform = transform_of(TABLE, {"op": "table", "missing": ["age"]})
    transform.fit([(train,)])
    (y,) = transform(torch.tensor([[NAN, 1, 5], [20 + 200**0.5, 0, 6], [20.0, 2, NAN]]))
    # age (deviation sqrt(200 / 3)), height (constant), "age is missing", "sex=m", "sex=f"
    torch.testing.assert_close(y, torch.tensor([[0, 0, 1, 1, 0], [3**0.5, 1, 0, 0, 0], [0, 0, 0, 0, 1]]))


def test_transform_output_spec_is_known_before_fit():
    transform = transform_of(TABLE, {"op": "table", "missing": ["age"]})
    (field,) = transform.spec(spec_of(TABLE)).fields
    assert field.shape == (5,)
    assert field.dtype == "float32"
    assert [c.name for c in field.columns] == ["age", "height", "age is missing", "sex=m", "sex=f"]
    assert transform(torch.zeros(2, 3))[0].shape == (2, 5)
    (field,) = transform_of(IMAGE, {"op": "standardise"}).spec(spec_of(IMAGE)).fields
    assert (field.shape, field.dtype, field.range) == ((3, 4, 5), "float32", None)


def test_table_of_categories_only_and_without_column_names():
    only = Field(kind="table", shape=(1,), dtype="float32", columns=COLUMNS[1:2])
    transform = transform_of(only, {"op": "table"})
    transform.fit([(torch.tensor([[1.0], [2.0]]),)])
    assert transform(torch.tensor([[1.0], [2.0], [0.0]]))[0].tolist() == [[1, 0], [0, 1], [0, 0]]
    plain = Field(kind="table", shape=(2,), dtype="float32")
    transform = transform_of(plain, {"op": "table"})
    transform.fit([(torch.tensor([[1.0, 0], [3.0, 0]]),)])
    assert transform(torch.tensor([[1.0, 0]]))[0].tolist() == [[-1, 0]]


def test_scale_maps_limits_to_0_and_1_and_combines_with_standardise():
    transform = transform_of(IMAGE, {"op": "scale", "low": 0, "high": 255})
    x = torch.tensor([0, 255], dtype=torch.uint8).view(2, 1, 1, 1).expand(2, 3, 4, 5)
    (y,) = transform(x)
    assert y[0].max() == 0
    assert y[1].min() == 1
    both = transform_of(IMAGE, {"op": "scale", "low": 0, "high": 255}, {"op": "standardise"})
    both.fit([(x,)])
    torch.testing.assert_close(both(x)[0][:, 0, 0, 0], torch.tensor([-1.0, 1.0]))


def test_identity_passes_tokens_and_fit_reads_no_data():
    tokens = Field(kind="tokens", shape=(7,), dtype="int64")
    transform = transform_of(tokens, {"op": "identity"})
    transform.fit(iter(lambda: pytest.fail("the training split was read"), None))
    x = torch.randint(0, 9, (2, 7))
    assert transform(x)[0] is x
    assert transform.spec(spec_of(tokens)) == spec_of(tokens)
    floats = transform_of(IMAGE)(torch.ones(1, 3, 4, 5, dtype=torch.uint8))[0]
    assert floats.dtype == torch.float32


def test_transform_of_several_fields_keeps_spec_order():
    spec = Spec(fields=(TABLE, Field(kind="image", shape=(1, 2, 2), dtype="uint8", name="photo")), target=TARGET)
    ops = {"photo": [{"op": "standardise"}], "input": [{"op": "table"}]}
    transform = Transform(Preprocess(decode={}, transform=ops), spec)
    transform.fit([(torch.rand(6, 3), torch.randint(0, 9, (6, 1, 2, 2), dtype=torch.uint8))])
    row, photo = transform(torch.rand(2, 3), torch.zeros(2, 1, 2, 2, dtype=torch.uint8))
    assert row.shape == (2, 4)
    assert photo.shape == (2, 1, 2, 2)


def test_transform_state_round_trips_and_refit_starts_over():
    x = torch.rand(9, 3, 4, 5) * 50
    first, second = (transform_of(IMAGE, {"op": "standardise"}) for _ in range(2))
    first.fit([(x * 3 + 1,)])
    first.fit([(x,)])
    second.load_state_dict(first.state_dict())
    assert torch.equal(first(x)[0], second(x)[0])
    assert first(x)[0].mean().abs() < 1e-5


@pytest.mark.parametrize(
    ("field", "op", "message"),
    [
        (IMAGE, {"op": "standardize"}, "'standardise'"),
        (IMAGE, {"op": "standardise", "axis": "channel"}, "'axes'"),
        (IMAGE, {"op": "standardise", "axes": "pixel"}, "'pixel'"),
        (IMAGE, {"op": "scale", "low": 0}, "high = None"),
        (IMAGE, {"op": "scale", "low": "0", "high": 1}, "low = '0'"),
        (IMAGE, {"op": "scale", "low": 0, "high": NAN}, "high = nan"),
        (IMAGE, {"op": "scale", "low": True, "high": 2}, "low = True"),
        (IMAGE, {"op": "scale", "low": 1, "high": 1}, "below"),
        (IMAGE, {"op": "table"}, "row of columns"),
        (IMAGE, {"op": "identity", "x": 1}, "'x'"),
        (IMAGE, "standardise", "'standardise'"),
        (TABLE, {"op": "table", "missing": ["agee"]}, "'age'"),
        (TABLE, {"op": "table", "missing": ["sex"]}, "not a column of numbers"),
        (TABLE, {"op": "table", "missing": "age"}, '["age"]'),
        (Field(kind="tokens", shape=(4,), dtype="int64"), {"op": "standardise"}, "tokens"),
        (Field(kind="tokens", shape=(4,), dtype="int64"), {"op": "scale", "low": 0, "high": 1}, "quantities"),
    ],
)
def test_invalid_transform_operation_is_refused(field, op, message):
    with pytest.raises(BadUsage, match=r".") as caught:
        transform_of(field, op)
    assert message in str(caught.value)


def test_unknown_field_and_two_fitted_operations_are_refused():
    with pytest.raises(BadUsage, match="imput") as caught:
        Transform(Preprocess(decode={}, transform={"imput": []}), spec_of(IMAGE))
    assert "'input'" in caught.value.hint
    with pytest.raises(BadUsage, match="two operations"):
        transform_of(IMAGE, {"op": "standardise"}, {"op": "standardise"})


def test_fit_on_empty_or_infinite_data_is_refused():
    transform = transform_of(IMAGE, {"op": "standardise"})
    with pytest.raises(BadData, match="is empty"):
        transform.fit([])
    bad = torch.ones(2, 3, 4, 5)
    bad[0, 0, 0, 0] = float("inf")
    with pytest.raises(BadData, match="'input'"):
        transform.fit([(bad,)])
    with pytest.raises(BadData, match="age, height"):
        transform_of(TABLE, {"op": "table"}).fit([(torch.tensor([[float("inf"), 0, 1]]),)])


class Named(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(5, 2)

    def forward(self, x):
        return {"score": self.linear(x), "other": x}


def test_deployed_module_exports_and_traces_with_dynamic_batch():
    transform = transform_of(TABLE, {"op": "table", "missing": ["age"]})
    rows = torch.tensor([[10.0, 1, 5], [NAN, 2, 6], [30.0, 0, 7]])
    transform.fit([(rows,)])
    deployed = Deployed(transform, Named(), nn.Softmax(1)).eval()
    answer, score = deployed(rows)
    torch.testing.assert_close(answer, score.softmax(1))
    program = torch.export.export(deployed, (rows,), dynamic_shapes=(({0: torch.export.Dim("b", max=64)},),))
    with pytest.warns(DeprecationWarning, match="torch.jit"):
        traced = torch.jit.trace(deployed, (rows,))
    for n in (1, 7, 64):
        more = rows.repeat(22, 1)[:n]
        for form in (program.module(), traced):
            torch.testing.assert_close(form(more)[1], deployed(more)[1])
