"""Benchdog's own components: an ordinary plugin, with no door of its own."""

from __future__ import annotations

from benchdog.api import (
    IMAGE_SUFFIXES,
    MAX_ARRAY_BYTES,
    MAX_IMAGE_BYTES,
    AugmentationInfo,
    BackendInfo,
    DecoderInfo,
    ExporterInfo,
    ModelInfo,
    SourceInfo,
    TaskInfo,
    TrainerInfo,
    WriterInfo,
    hookimpl,
)

CONTRACT = 1


@hookimpl
def benchdog_sources() -> list[SourceInfo]:
    """Offer the sources."""
    here = "benchdog.builtin.sources"
    options = f"{here}.options"
    return [
        SourceInfo(
            name="digits",
            summary="1,797 hand-written digits, 8x8 pixels; comes with Benchdog.",
            target=f"{here}.images.digits:Digits",
            options=f"{options}:DigitsOptions",
            defaults={"loop.epochs": 15, "loop.batch_size": 64},
        ),
        SourceInfo(
            name="fashion-mnist",
            summary="70,000 images of clothes, 28x28 pixels, 10 classes.",
            target=f"{here}.images.fashion_mnist:FashionMnist",
            options=f"{options}:FashionMnistOptions",
            defaults={"loop.epochs": 5, "loop.batch_size": 128},
        ),
        SourceInfo(
            name="image-folder",
            summary="Your images: a folder per class, or a CSV of paths and labels.",
            target=f"{here}.images.folder:ImageFolder",
            options=f"{options}:ImageFolderOptions",
            named_by="path",
            defaults={"loop.epochs": 20, "loop.batch_size": 32},
        ),
        SourceInfo(
            name="image-pairs",
            summary="Your images with an image each as the target, or with themselves.",
            target=f"{here}.images.pairs:ImagePairs",
            options=f"{options}:ImagePairsOptions",
            named_by="path",
            defaults={"loop.epochs": 20, "loop.batch_size": 16},
        ),
        SourceInfo(
            name="csv",
            summary="Your table: numbers, categories and gaps are found by themselves.",
            target=f"{here}.table.csv:Csv",
            options=f"{options}:CsvOptions",
            named_by="path",
            defaults={"loop.epochs": 50, "loop.batch_size": 64},
        ),
        SourceInfo(
            name="shapes",
            summary="Made-up images or volumes with masks: discs among squares.",
            target=f"{here}.images.shapes:Shapes",
            options=f"{options}:ShapesOptions",
            defaults={"loop.epochs": 12, "loop.batch_size": 16},
        ),
        SourceInfo(
            name="text",
            summary="Your texts, for language modeling or each with a class or a number.",
            target=f"{here}.texts.text:Text",
            options=f"{options}:TextOptions",
            named_by="path",
            defaults={"loop.epochs": 5, "loop.batch_size": 32},
        ),
    ]


@hookimpl
def benchdog_models() -> list[ModelInfo]:
    """Offer the models."""
    here = "benchdog.builtin.models"
    options = f"{here}.options"
    return [
        ModelInfo(name="linear", summary="One linear layer: the yardstick.", target=f"{here}.linear:build"),
        ModelInfo(
            name="mlp",
            summary="Fully connected layers, for tables and small inputs.",
            target=f"{here}.mlp:build",
            options=f"{options}:MlpOptions",
        ),
        ModelInfo(
            name="cnn",
            summary="A small, quick convolutional net for images and volumes.",
            target=f"{here}.cnn:build",
            options=f"{options}:CnnOptions",
        ),
        ModelInfo(
            name="resnet",
            summary="A residual net of 10 to 50 layers for images and volumes; its stem suits their size.",
            target=f"{here}.resnet:build",
            options=f"{options}:ResnetOptions",
        ),
        ModelInfo(
            name="unet",
            summary="A U-Net for masks in two or three dimensions, and for images.",
            target=f"{here}.unet:build",
            options=f"{options}:UnetOptions",
        ),
        ModelInfo(
            name="vit",
            summary="A small vision transformer for images of one size.",
            target=f"{here}.vit:build",
            options=f"{options}:VitOptions",
        ),
        ModelInfo(
            name="gpt",
            summary="A transformer that guesses the next token.",
            target=f"{here}.gpt:build",
            options=f"{options}:GptOptions",
        ),
        ModelInfo(
            name="transformer",
            summary="A transformer that reads a whole text, for a class or numbers.",
            target=f"{here}.transformer:build",
            options=f"{options}:TransformerOptions",
        ),
        ModelInfo(
            name="tabular",
            summary="A residual net for tables, with an embedding for each category column.",
            target=f"{here}.tabular:build",
            options=f"{options}:TabularOptions",
            codes=True,
        ),
    ]


@hookimpl
def benchdog_tasks() -> list[TaskInfo]:
    """Offer the tasks."""
    here = "benchdog.builtin.tasks"
    options = f"{here}.options"
    models = {"image": "cnn", "table": "mlp", "volume": "cnn", "audio": "mlp", "tokens": "transformer"}
    return [
        TaskInfo(
            name="classification",
            summary="Name the class of a sample.",
            target=f"{here}.classification:Classification",
            options=f"{options}:ClassificationOptions",
            answer=f"{here}.answers:classification",
            targets=("class",),
            models=models,
        ),
        TaskInfo(
            name="multi-label",
            summary="Predict which of several labels are true.",
            target=f"{here}.multilabel:MultiLabel",
            options=f"{options}:LabelsOptions",
            answer=f"{here}.answers:multi_label",
            targets=("labels",),
            models=models,
        ),
        TaskInfo(
            name="ordinal",
            summary="Name the class of a sample, where classes have an order.",
            target=f"{here}.ordinal:Ordinal",
            options=f"{options}:OrdinalOptions",
            answer=f"{here}.answers:ordinal",
            models=models,
        ),
        TaskInfo(
            name="embedding",
            summary="Embed samples so that those of the same class are close.",
            target=f"{here}.embedding:Embedding",
            options=f"{options}:EmbeddingOptions",
            answer=f"{here}.answers:embedding",
            together=f"{here}.answers:neighbors",
            models=models,
        ),
        TaskInfo(
            name="regression",
            summary="Predict one or several numbers.",
            target=f"{here}.regression:Regression",
            options=f"{options}:RegressionOptions",
            answer=f"{here}.answers:regression",
            targets=("number",),
            models=models,
        ),
        TaskInfo(
            name="segmentation",
            summary="Name the class of every pixel.",
            target=f"{here}.segmentation:Segmentation",
            options=f"{options}:SegmentationOptions",
            answer=f"{here}.answers:segmentation",
            targets=("mask",),
            values={"mask": "mask"},
            models={"image": "unet", "volume": "unet"},
        ),
        TaskInfo(
            name="image-to-image",
            summary="Predict an image: denoise, restore, reconstruct.",
            target=f"{here}.image_to_image:ImageToImage",
            options=f"{options}:ImageToImageOptions",
            answer=f"{here}.answers:image_to_image",
            targets=("image",),
            models={"image": "unet"},
            values={"image": "image"},
        ),
        TaskInfo(
            name="next-token",
            summary="Go on with a text.",
            target=f"{here}.language:NextToken",
            options=f"{options}:NextTokenOptions",
            answer=f"{here}.answers:next_token",
            asked=("length", "temperature", "seed"),
            targets=("next-token",),
            models={"tokens": "gpt"},
        ),
    ]


@hookimpl
def benchdog_trainers() -> list[TrainerInfo]:
    """Offer the trainers."""
    return [
        TrainerInfo(
            name="supervised",
            summary="The plain training loop.",
            target="benchdog.builtin.trainers.supervised:Supervised",
            options="benchdog.builtin.trainers.options:Supervised",
        )
    ]


@hookimpl
def benchdog_exporters() -> list[ExporterInfo]:
    """Offer the exporters."""
    here = "benchdog.builtin.exporters"
    return [
        ExporterInfo(
            name="safetensors",
            summary="The weights alone; using them needs Benchdog and the model's plugin.",
            target=f"{here}.safetensors:Safetensors",
            runner="benchdog.model.rebuild:Rebuilt",
        ),
        ExporterInfo(
            name="torch-export",
            summary="The whole graph as .pt2, for torch without Benchdog.",
            target=f"{here}.torch_export:TorchExport",
            runner=f"{here}.torch_export:TorchExportRunner",
        ),
        ExporterInfo(
            name="torchscript",
            summary="A TorchScript program, for libtorch in C++ and older tools.",
            target=f"{here}.torchscript:TorchScript",
            runner=f"{here}.torchscript:TorchScriptRunner",
            options=f"{here}.options:TorchScriptOptions",
            program=True,
        ),
    ]


@hookimpl
def benchdog_backends() -> list[BackendInfo]:
    """Offer the hardware."""
    here = "benchdog.builtin.backends"
    options = f"{here}.options"
    return [
        BackendInfo(name="cpu", summary="The processor.", target=f"{here}.cpu:Cpu", options=f"{options}:Cpu"),
        BackendInfo(
            name="cuda",
            summary="NVIDIA GPUs, and AMD's with a ROCm build of torch.",
            target=f"{here}.gpu:Cuda",
            options=f"{options}:Cuda",
        ),
        BackendInfo(
            name="mps",
            summary="Apple's graphics processor.",
            target=f"{here}.gpu:Mps",
            options=f"{options}:Mps",
        ),
    ]


@hookimpl
def benchdog_augmentations() -> list[AugmentationInfo]:
    """Offer the augmentations."""
    here = "benchdog.builtin.augmentations"
    options = f"{here}.options"
    return [
        AugmentationInfo(
            name="flip",
            summary="Flip images.",
            target=f"{here}.geometry:Flip",
            options=f"{options}:FlipOptions",
        ),
        AugmentationInfo(
            name="crop",
            summary="Shift images by a few pixels: pad, then crop.",
            target=f"{here}.geometry:Crop",
            options=f"{options}:CropOptions",
        ),
        AugmentationInfo(
            name="affine",
            summary="Rotate, translate, scale and shear images.",
            target=f"{here}.geometry:Affine",
            options=f"{options}:AffineOptions",
        ),
        AugmentationInfo(
            name="color",
            summary="Change brightness, contrast and saturation.",
            target=f"{here}.values:Color",
            options=f"{options}:ColorOptions",
        ),
        AugmentationInfo(
            name="noise",
            summary="Add normal noise.",
            target=f"{here}.values:Noise",
            options=f"{options}:NoiseOptions",
        ),
        AugmentationInfo(
            name="cut-out",
            summary="Blank a square of each image.",
            target=f"{here}.values:CutOut",
            options=f"{options}:CutOutOptions",
        ),
        AugmentationInfo(
            name="mix-up",
            summary="Blend each sample, and its target, with another of its batch.",
            target=f"{here}.mixing:MixUp",
            options=f"{options}:MixUpOptions",
            mixes=True,
        ),
    ]


@hookimpl
def benchdog_writers() -> list[WriterInfo]:
    """Offer the writers of predictions; the first of a kind is the default."""
    here = "benchdog.builtin.writers"
    return [
        WriterInfo(
            name="png",
            summary="Images without loss, 8 bits or 16 bits gray.",
            target=f"{here}.images:Png",
            writes="image",
            suffix=".png",
            media_type="image/png",
        ),
        WriterInfo(
            name="jpeg",
            summary="Small images, with loss.",
            target=f"{here}.images:Jpeg",
            options=f"{here}.options:JpegOptions",
            writes="image",
            suffix=".jpg",
            media_type="image/jpeg",
        ),
        WriterInfo(
            name="palette-png",
            summary="Masks as images: a pixel is its class, in a color of its own.",
            target=f"{here}.images:PalettePng",
            writes="mask",
            suffix=".png",
            media_type="image/png",
        ),
        WriterInfo(
            name="wav",
            summary="Audio of 16 bits, uncompressed.",
            target=f"{here}.audio:Wav",
            writes="audio",
            suffix=".wav",
            media_type="audio/wav",
        ),
        WriterInfo(
            name="npy",
            summary="Any array of numbers, as NumPy reads it.",
            target=f"{here}.arrays:Npy",
            writes="array",
            suffix=".npy",
        ),
    ]


@hookimpl
def benchdog_decoders() -> list[DecoderInfo]:
    """Offer the decode operations. Their code is in benchdog.data.decode, which splits and ranges use, too."""
    here, options = "benchdog.data.decode", "benchdog.data.decode.options"
    examples = "benchdog.builtin.decode_examples"
    return [
        DecoderInfo(
            name="image",
            summary="An image file's bytes, or an array (C, H, W), to uint8 (C, H, W).",
            target=f"{here}.operations:image",
            options=f"{options}:ImageOptions",
            suffixes=IMAGE_SUFFIXES,
            media_types=("image/*",),
            called="images",
            max_bytes=MAX_IMAGE_BYTES,
            examples=f"{examples}:images",
        ),
        DecoderInfo(
            name="array",
            summary="A .npy file's bytes, an array or nested lists to an array.",
            target=f"{here}.operations:array",
            options=f"{options}:ArrayOptions",
            suffixes=(".npy",),
            media_types=("application/x-npy",),
            called="arrays",
            max_bytes=MAX_ARRAY_BYTES,
            examples=f"{examples}:arrays",
        ),
        DecoderInfo(
            name="row",
            summary="A table's row to float32 (columns,): numbers (NaN: missing), codes of categories (0: unseen).",
            target=f"{here}.row:row",
            options=f"{options}:RowOptions",
            takes="row",
            suffixes=(".csv", ".tsv"),
            called="tables",
            examples=f"{examples}:rows",
        ),
        DecoderInfo(
            name="tokens",
            summary="A text, or an array of codes, to int64 (T,).",
            target=f"{here}.text:tokens",
            options=f"{options}:TokensOptions",
            takes="text",
            suffixes=(".txt",),
            called="texts",
            examples=f"{examples}:texts",
        ),
    ]
