"""Built-in models: output shapes, gradients, refusals, export and tracing."""

import io
import subprocess
import sys
import warnings
from contextlib import redirect_stdout
from dataclasses import replace

import pytest
import torch
from torch import nn

from benchdog.api import BadUsage, Batch, Column, Field, Preprocess, Spec, Target
from benchdog.builtin.models import cnn, gpt, linear, mlp, resnet, tabular, transformer, unet, vit
from benchdog.builtin.models.options import (
    CnnOptions,
    GptOptions,
    MlpOptions,
    ResnetOptions,
    TabularOptions,
    TransformerOptions,
    UnetOptions,
    VitOptions,
)
from benchdog.builtin.tasks.segmentation import Segmentation
from benchdog.data.transform.transform import Deployed, Transform
from benchdog.model.auxiliary_outputs import AuxiliaryLossTask

CLASS = Target(kind="class", classes=("a", "b", "c"))


def image_field(*shape, kind="image", dtype="uint8"):
    return Field(kind=kind, shape=shape, dtype=dtype)


ROW = Field(kind="table", shape=(6,), dtype="float32")
TOKENS = Field(kind="tokens", shape=(12,), dtype="int64", range=(0, 10))
COLUMNS = (
    Column(name="age"),
    Column(name="town", kind="category", categories=("Rome", "Oslo")),
    Column(name="income"),
    Column(name="sign", kind="category", categories=tuple("abcdefg")),
)
PEOPLE = Field(kind="table", shape=(4,), dtype="float32", columns=COLUMNS)
FREE_TOKENS = replace(TOKENS, shape=(None,))


def spec_of(field, *output):
    return Spec(fields=(field,), target=CLASS, output=output)


def example(field, n, free=(21, 19)):
    rest = iter(free)
    shape = [n, *(next(rest) if axis is None else axis for axis in field.shape)]
    if field.kind == "tokens":
        return torch.randint(0, 11, shape)
    if field.columns:
        tops = [len(column.categories) + 1 for column in field.columns]
        return torch.stack([torch.randint(0, top if top > 1 else 90, (n,)).float() for top in tops], 1)
    return torch.randint(0, 256, shape).to(getattr(torch, field.dtype))


NETS = {
    "linear": (linear, None, ROW, (3,)),
    "mlp": (mlp, MlpOptions(hidden=(16, 8), dropout=0.1), image_field(2, 5, 4), (3,)),
    "cnn of 8x8": (cnn, CnnOptions(width=4, hidden=8), image_field(1, 8, 8), (3,)),
    "cnn of 28x28": (cnn, CnnOptions(width=4, hidden=8, dropout=0.1), image_field(1, 28, 28), (3,)),
    "cnn of 90x33": (cnn, CnnOptions(width=4, hidden=8), image_field(3, 90, 33), (3,)),
    "cnn of batches": (cnn, CnnOptions(widths=(4, 6, 8), norm="batch", hidden=8), image_field(1, 28, 28), (3,)),
    "cnn of groups": (cnn, CnnOptions(widths=(4, 6), norm="group", hidden=8), image_field(3, None, None), (3,)),
    "cnn of any size": (cnn, CnnOptions(width=4, hidden=8), image_field(3, None, None), (3,)),
    "cnn of a volume": (cnn, CnnOptions(width=4, hidden=8), image_field(1, 9, 12, 8, kind="volume"), (3,)),
    "resnet, small": (resnet, ResnetOptions(width=4), image_field(3, 32, 32), (3,)),
    "resnet, large": (resnet, ResnetOptions(width=4), image_field(3, 96, 96), (3,)),
    "unet": (unet, UnetOptions(width=4), image_field(1, 16, 16), (3, 16, 16)),
    "unet, padded": (unet, UnetOptions(width=4, norm="batch"), image_field(1, 13, 22), (3, 13, 22)),
    "unet of any size": (unet, UnetOptions(width=4, norm="none"), image_field(1, None, None), (3, None, None)),
    "unet of a volume": (unet, UnetOptions(width=4), image_field(1, 9, 12, 8, kind="volume"), (3, 9, 12, 8)),
    "resnet of 50 layers": (resnet, ResnetOptions(width=2, depth=50), image_field(1, 16, 16), (3,)),
    "resnet of a volume": (resnet, ResnetOptions(width=2, depth=10), image_field(1, 9, 12, 8, kind="volume"), (3,)),
    "resnet of a large volume": (
        resnet,
        ResnetOptions(width=2, depth=10),
        image_field(1, 9, 40, 8, kind="volume"),
        (3,),
    ),
    "vit": (vit, VitOptions(width=16, dropout=0.1), image_field(3, 33, 20), (3,)),
    "gpt": (gpt, GptOptions(width=16, heads=2, layers=2, dropout=0.1), TOKENS, (12, 11)),
    "gpt, rotary": (gpt, GptOptions(width=16, heads=2, layers=2, positions="rotary"), TOKENS, (12, 11)),
    "gpt, tied": (gpt, GptOptions(width=16, heads=2, layers=1, tied=True), TOKENS, (12, 11)),
    "gpt of any length": (gpt, GptOptions(width=16, heads=2, layers=2), FREE_TOKENS, (None, 11)),
    "transformer": (transformer, TransformerOptions(width=16), TOKENS, (3,)),
    "tabular": (tabular, TabularOptions(width=16), PEOPLE, (3,)),
    "tabular of numbers": (tabular, TabularOptions(width=16, blocks=1), ROW, (3,)),
}
SLOW_TO_EXPORT = ("unet of any size", "resnet of 50 layers", "resnet, large")
"""Networks whose structure smaller ones have too."""


def slow(name):
    return pytest.param(name, marks=pytest.mark.slow)


def deployed_of(name):
    module, options, field, output = NETS[name]
    spec = spec_of(field)
    ops = [{"op": "identity"} if field.kind == "tokens" else {"op": "standardise", "axes": "channel"}]
    ops = [{"op": "table", "categories": "codes"}] if module is tabular else ops
    transform = Transform(Preprocess(decode={}, transform={"input": ops}), spec)
    transform.fit([(example(field, 9),)])
    model = module.build(transform.spec(spec).with_output(*output), options)
    head = nn.Softmax(-1)
    return Deployed(transform, model, head).eval(), field, output


@pytest.mark.parametrize("name", NETS)
def test_models_output_task_shape_and_every_weight_gets_a_gradient(name):
    torch.manual_seed(0)
    deployed, field, output = deployed_of(name)
    deployed.train()
    _, score = deployed(example(field, 5))
    free = iter(field.shape[-len(output) + 1 :] if len(output) > 1 else ())
    assert score.dtype == torch.float32
    assert score.shape[0] == 5
    assert len(score.shape) == len(output) + 1
    assert all(want in (None, got) for want, got in zip(output, score.shape[1:], strict=True)), list(free)
    score.square().sum().backward()
    missing = [name for name, weight in deployed.model.named_parameters() if weight.grad is None]
    assert missing == []


@pytest.mark.parametrize("name", [slow(name) if name in SLOW_TO_EXPORT else name for name in NETS])
def test_models_export_and_trace_with_dynamic_batch(name):
    torch.manual_seed(0)
    deployed, field, _ = deployed_of(name)
    free = {i + 1: torch.export.Dim.DYNAMIC for i, axis in enumerate(field.shape) if axis is None}
    axes = {0: torch.export.Dim("b", max=64), **free}
    given = example(field, 4)
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        program = torch.export.export(deployed, (given,), dynamic_shapes=((axes,),))
        traced = torch.jit.trace(deployed, (given,))
        for n in (1, 7, 64):
            x = example(field, n, free=(24, 17))
            for form in (program.module(), traced):
                torch.testing.assert_close(form(x)[1], deployed(x)[1], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    "name",
    [
        slow("cnn of 28x28"),
        "tabular",
        slow("resnet, small"),
        slow("unet, padded"),
        slow("gpt of any length"),
        slow("transformer"),
        slow("vit"),
    ],
)
def test_models_export_to_onnx_with_dynamic_batch(name):
    pytest.importorskip("onnxscript")
    runtime = pytest.importorskip("onnxruntime")
    torch.manual_seed(0)
    deployed, field, _ = deployed_of(name)
    free = {i + 1: torch.export.Dim.DYNAMIC for i, axis in enumerate(field.shape) if axis is None}
    axes = {0: torch.export.Dim("b", max=64), **free}
    with torch.no_grad(), warnings.catch_warnings(), redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        program = torch.onnx.export(deployed, (example(field, 4),), dynamo=True, dynamic_shapes=((axes,),))
        assert program is not None
        session = runtime.InferenceSession(program.model_proto.SerializeToString())
        for n in (1, 7):
            x = example(field, n, free=(24, 17))
            _, score = session.run(None, {session.get_inputs()[0].name: x.numpy()})
            torch.testing.assert_close(torch.from_numpy(score), deployed(x)[1], rtol=1e-3, atol=1e-4)


def test_mlp_concatenates_several_fields():
    spec = Spec(fields=(ROW, replace(image_field(1, 2, 2), name="photo")), target=CLASS, output=(3,))
    model = mlp.build(spec, MlpOptions(hidden=()))
    assert model(torch.rand(2, 6), torch.rand(2, 1, 2, 2)).shape == (2, 3)
    assert sum(weight.numel() for weight in model.parameters()) == 10 * 3 + 3


def test_weight_initialization_uses_only_the_default_generator():
    for module, options, field, output in NETS.values():
        weights = []
        for _ in range(2):
            torch.manual_seed(7)
            weights.append(module.build(spec_of(field, *output), options).state_dict())
        assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])


def test_cnn_depth_follows_image_size():
    def convolutions(*shape):
        model = cnn.build(spec_of(image_field(*shape), 3), CnnOptions())
        return sum(isinstance(layer, nn.Conv2d) for layer in model), model

    assert convolutions(1, 8, 8)[0] == 2
    assert convolutions(1, 28, 28)[0] == 2
    assert convolutions(3, 224, 224)[0] == 5
    count, model = convolutions(1, 1, 300)
    assert count == 6
    assert model(torch.rand(2, 1, 1, 300)).shape == (2, 3)


def test_resnet_stem_keeps_resolution_of_small_images():
    small = resnet.build(spec_of(image_field(3, 64, 64), 3), ResnetOptions(width=4))
    large = resnet.build(spec_of(image_field(3, 65, 65), 3), ResnetOptions(width=4, depth=34))
    assert small.stem(torch.rand(1, 3, 64, 64)).shape[2:] == (64, 64)
    assert large.stem(torch.rand(1, 3, 65, 65)).shape[2:] == (17, 17)


@pytest.mark.parametrize(("side", "levels"), [(8, 2), (16, 2), (32, 3), (64, 4), (512, 4), (None, 3)])
def test_unet_depth_follows_image_size(side, levels):
    model = unet.build(spec_of(image_field(1, side, side), 2, side, side), UnetOptions(width=2))
    assert len(model.up) == levels


@pytest.mark.parametrize(
    ("module", "options", "field", "output", "words"),
    [
        (linear, None, TOKENS, (3,), ("12", "transformer", "gpt")),
        (mlp, MlpOptions(), image_field(1, None, 8), (3,), ("1 x ? x 8", "cnn")),
        (mlp, MlpOptions(hidden=(4, 0)), ROW, (3,), ("[4, 0]",)),
        (mlp, MlpOptions(), image_field(1, 8, 8), (3, 8, 8), ("3 x 8 x 8", "unet")),
        (cnn, CnnOptions(), ROW, (3,), ("a table of 6", "linear, mlp and tabular")),
        (cnn, CnnOptions(), image_field(1, 8, 8), (3, 8, 8), ("unet",)),
        (resnet, ResnetOptions(), ROW, (3,), ("a table", "tabular")),
        (vit, VitOptions(), image_field(1, 8, None), (3,), ("one size", "1 x 8 x ?")),
        (vit, VitOptions(), image_field(1, 8, 8, 8, kind="volume"), (3,), ("a volume", "cnn")),
        (vit, VitOptions(patch=9), image_field(1, 8, 8), (3,), ("patch = 9", "8 x 8")),
        (vit, VitOptions(width=9), image_field(1, 8, 8), (3,), ("multiple of 2",)),
        (tabular, TabularOptions(), image_field(1, 8, 8), (3,), ("one table", "cnn")),
        (transformer, TransformerOptions(), ROW, (3,), ("tokens",)),
        (transformer, TransformerOptions(), FREE_TOKENS, (3,), ("fixed length", "?")),
        (transformer, TransformerOptions(), TOKENS, (12, 11), ("next-token", "gpt")),
        (transformer, TransformerOptions(), replace(TOKENS, range=None), (3,), ("range=",)),
        (unet, UnetOptions(), image_field(1, 8, 8), (3,), ("cnn",)),
        (unet, UnetOptions(), ROW, (3,), ("a table of 6",)),
        (gpt, GptOptions(), ROW, (3,), ("tokens",)),
        (gpt, GptOptions(), TOKENS, (3,), ("next-token", "transformer")),
        (gpt, GptOptions(width=20, heads=3, positions="rotary"), TOKENS, (12, 11), ("multiple of 6",)),
        (gpt, GptOptions(width=20, heads=3), TOKENS, (12, 11), ("multiple of 3",)),
        (gpt, GptOptions(positions="learned"), FREE_TOKENS, (None, 11), ("rotary",)),
    ],
)
def test_unsuitable_model_is_refused_and_alternatives_named(module, options, field, output, words):
    with pytest.raises(BadUsage, match="model") as caught:
        module.build(spec_of(field, *output), options)
    assert caught.value.hint
    for word in words:
        assert word in str(caught.value)


@pytest.mark.parametrize("shape", [(13, 22), (9, 12, 8)])
def test_deep_supervision_adds_auxiliary_losses_only_in_training(shape):
    torch.manual_seed(0)
    field = image_field(1, *shape, kind="image" if len(shape) == 2 else "volume")
    model = unet.build(spec_of(field, 3, *shape), UnetOptions(width=4, levels=3, deep_supervision=True))
    x = torch.randn(2, 1, *shape)
    output = model(x)
    assert [share for share, _ in output["auxiliary"]] == [0.5, 0.25]
    assert all(score.shape == output["score"].shape == (2, 3, *shape) for _, score in output["auxiliary"])
    task, batch = AuxiliaryLossTask(Segmentation()), Batch((x,), torch.randint(0, 3, (2, *shape)))
    total, weight = task.loss(output, batch)
    assert weight == batch.target.numel()
    each = [task.task.loss(score, batch)[0] for score in (output["score"], *(s for _, s in output["auxiliary"]))]
    torch.testing.assert_close(total, (each[0] + 0.5 * each[1] + 0.25 * each[2]) / 1.75)
    total.backward()
    assert all(weight.grad is not None for weight in model.parameters())
    assert isinstance(model.eval()(x), torch.Tensor)


def test_option_modules_import_no_heavy_packages():
    code = (
        "import sys, benchdog.builtin.models.options, benchdog.builtin.tasks.options;"
        "print(sorted({'torch', 'numpy', 'pydantic'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
