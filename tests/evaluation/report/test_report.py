"""The report: result first, names escaped, no external resources, missing or damaged files."""

import base64
import json
import re
from html import unescape
from html.parser import HTMLParser

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from benchdog.api import Field
from benchdog.evaluation import report
from benchdog.evaluation.report import facts, figures
from benchdog.evaluation.report.formatting import Html, percent, seconds, short
from benchdog.evaluation.report.headline import headline
from benchdog.evaluation.report.rendering import render
from benchdog.evaluation.sample_images import save_sample

EVIL = "<script>alert(1)</script>\"'&$x$"
DIGIT = Field(kind="image", shape=(1, 8, 8), dtype="uint8", range=(0, 16))


def epoch(number, **values):
    return {"kind": "epoch", "epoch": number, "step": number * 10, "time": 1.0, **values}


def put(folder, name, value):
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    text = value if isinstance(value, str) else json.dumps(value)
    path.write_text(text, encoding="utf-8")


def write_run(folder, *, classes=("cat", "dog"), accuracy=0.9, linear=0.8, samples=1000, word="digits"):
    """Write the files of a finished classification run."""
    right = round(accuracy * 50)
    counts = [[right if i == j else 0 for j in range(len(classes))] for i in range(len(classes))]
    counts[0][1] += 50 - right
    per_class = {
        name: {"precision": 0.9, "recall": 0.8, "f1": 0.85 - i / 100, "support": 50} for i, name in enumerate(classes)
    }
    metrics = {"loss": 0.3, "accuracy": accuracy, "confusion": counts, "per_class": per_class}
    lines = [
        {"name": "majority class", "metrics": {"accuracy": 0.5, "loss": 0.7}},
        {"name": "linear model", "metrics": {"accuracy": linear, "loss": 0.5}},
    ]
    save_sample(np.arange(64, dtype=np.uint8).reshape(1, 8, 8) % 17, DIGIT, folder / "worst/0.png")
    worst = [
        {"id": f"{word}-7", "loss": 3.2, "answer": {"label": classes[0], "probability": 0.98},
         "target": classes[1], "picture": "worst/0.png"}
    ]  # fmt: skip
    best = {"epoch": 2, "metric": "accuracy", "value": accuracy}
    run = {"format": 1, "name": folder.name, "status": "finished", "created": "2026-01-02T03:04:05+00:00",
           "seconds": 200.0, "error": None, "epochs_done": 3, "parameters": 1234, "best": best, "source": word,
           "samples": {"train": 700, "valid": 150, "test": 150}, "model": "cnn", "task": "classification",
           "trainer": "supervised", "monitor": "accuracy", "better": "max"}  # fmt: skip
    log = [{"kind": "step", "step": s, "epoch": 1, "loss": 2.0 / s, "time": 0.1} for s in range(1, 31)]
    log += [epoch(e, **{"train.loss": 1 / e, "valid.loss": 1.1 / e, "valid.accuracy": accuracy - abs(e - 2) / 10})
            for e in (1, 2, 3)]  # fmt: skip
    put(folder, "run.json", run)
    put(folder, "metrics.jsonl", "\n".join(map(json.dumps, log)) + "\n")
    put(folder, "recipe.toml", f'seed = 0\n\n[source]\nname = "{word}"\n\n[loop]\nepochs = 3\n')
    put(folder, "environment.json", {"python": "3.11.9", "packages": {"torch": "2.13.0"}, "threads": 1})
    put(folder, "baseline.json", {"format": 0, "split": "test", "lines": lines, "splits": {"test": lines}})
    for split in ("valid", "test"):
        target = {"kind": "class", "name": "label"}
        put(folder, f"evaluation-{split}.json",
            {"split": split, "samples": samples, "metrics": metrics, "classes": list(classes), "target": target,
             "worst": worst})  # fmt: skip
    check = {"batch": 16, "max_abs_diff": 3e-6, "max_rel_diff": 1e-5, "labels_equal": True, "ok": True}
    put(folder, "exports/onnx/export.json", {"exporter": "onnx", "program": False, "verification": [check]})
    return folder


class Seen(HTMLParser):
    """Collect tags, links and text of a page; check that elements are closed in order."""

    def __init__(self):
        super().__init__()
        self.tags: list[str] = []
        self.text: list[str] = []
        self.open: list[str] = []
        self.links: list[tuple[str, str | None]] = []
        self.ids: list[str | None] = []
        self.prose = ""

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        for key, value in attributes:
            if key in ("src", "href", "srcset", "action", "data") or key.startswith("on"):
                self.links.append((key, value))
            if key == "id":
                self.ids.append(value)
        if tag not in ("meta", "img", "br", "hr"):
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.handle_starttag(tag, attributes)
        self.open.pop()

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open[-1:] != ["style"]:
            self.text.append(data)


def look(text):
    seen = Seen()
    seen.feed(text)
    assert not seen.open
    seen.prose = re.sub(r"[ \n]+", " ", " ".join(seen.text)).strip()
    return seen


def page_of(folder):
    return look(report.write(folder).read_text(encoding="utf-8"))


@pytest.fixture
def run(tmp_path):
    return write_run(tmp_path / "run-1")


def test_report_begins_with_the_result(run):
    seen = page_of(run)
    assert seen.prose.index("90.0\u202f% of the held-out test images are classified correctly.") < 200
    assert "A linear model reaches 80.0\u202f%, the majority class 50.0\u202f%." in seen.prose
    assert "Deep learning is worth it here: 50.0\u202f% fewer errors than a linear model." in seen.prose


def test_report_of_a_complete_run_has_every_section(run):
    prose = page_of(run).prose
    for part in ("Learning curves", "The ring marks the best epoch, 2", "Confusion matrix, test split",
                 "Metrics by class", "Highest-loss samples", "predicted cat (98.0\u202f%) , actual dog",
                 "digits-7 · loss 3.2", "Exports", "onnx", "3·10^−6", "passed", "Recipe", 'name = "digits"',
                 "Environment", "torch 2.13.0", "3\u202fmin 20\u202fs", "1\u202f234", "700 / 150 / 150"):  # fmt: skip
        assert part in prose, part


def test_report_loads_nothing_and_has_no_script(run):
    text = report.write(run).read_text(encoding="utf-8")
    seen = look(text)
    assert "script" not in seen.tags
    assert "link" not in seen.tags
    assert all(value.startswith(("data:image/png;base64,", "#")) for _, value in seen.links)
    assert "@import" not in text
    assert not re.search(r"url\((?!#)", text)
    assert "default-src 'none'" in unescape(text)
    assert len(seen.ids) == len(set(seen.ids))
    assert "prefers-color-scheme:dark" in text
    assert "@media print" in text


def test_report_figures_use_the_colors_of_the_page(run):
    text = report.write(run).read_text(encoding="utf-8")
    assert "var(--s0)" in text
    assert not re.search("#0a0b[0-9a-f]{2}", text)


def test_report_says_what_the_source_skipped(run):
    stored = json.loads((run / "run.json").read_text(encoding="utf-8"))
    put(run, "run.json", {**stored, "read": {"unit": "files", "found": 9, "used": 6, "skipped": {"hidden": 3}}})
    assert "6 of 9 files: 3 hidden" in page_of(run).prose
    put(run, "run.json", {**stored, "read": {"unit": "files", "found": "many"}})
    assert "files" not in page_of(run).prose


def test_report_is_deterministic(run):
    first = report.write(run).read_bytes()
    assert report.write(run).read_bytes() == first


def test_report_escapes_names(tmp_path):
    folder = write_run(tmp_path / "run-1", classes=(EVIL, "dog"), word="digits")
    log = (folder / "run.json").read_text(encoding="utf-8")
    put(
        folder,
        "run.json",
        json.dumps(json.loads(log) | {"model": EVIL, "error": EVIL, "status": "failed", "name": EVIL}),
    )
    put(folder, "environment.json", {EVIL: EVIL})
    put(folder, "recipe.toml", f"name = '''{EVIL}'''")
    put(folder, "exports/onnx/export.json", {"exporter": EVIL})
    for seen in (page_of(folder), look(report.html_summary(folder))):
        assert "script" not in seen.tags
        assert EVIL in seen.prose


def test_report_and_comparison_accept_names_in_any_script(tmp_path):
    folder = write_run(tmp_path / "ラン-1", classes=("猫", "собака"))
    assert "猫" in page_of(folder).prose
    out = report.compare([folder, write_run(tmp_path / "$b_")], tmp_path / "both.html")
    assert "ラン-1" in out.read_text(encoding="utf-8")
    assert report.compare([folder, tmp_path / "$b_"], tmp_path / "both.png").stat().st_size > 5000


PARTS = ("run.json", "metrics.jsonl", "recipe.toml", "environment.json", "baseline.json", "evaluation-test.json",
         "evaluation-valid.json", "worst/0.png", "exports/onnx/export.json")  # fmt: skip


@pytest.mark.parametrize("part", PARTS)
def test_report_without_one_file(run, part):
    (run / part).unlink()
    assert page_of(run).prose
    assert look(report.html_summary(run)).prose


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize(
    "damage", ["", "{", "[]", "null", '{"best": 3, "lines": 4, "metrics": [], "worst": 5}', "\x00"]
)
def test_report_with_a_damaged_file(run, part, damage):
    put(run, part, damage)
    assert page_of(run).prose


def test_report_of_an_empty_folder(tmp_path):
    seen = page_of(tmp_path)
    assert "has no results" in seen.prose
    assert "run.json is missing" in seen.prose


def test_report_of_a_failed_run_shows_the_error(tmp_path):
    put(
        tmp_path,
        "run.json",
        {"name": "r", "status": "failed", "error": "The loss is nan at step 3.", "epochs_done": 0},
    )
    put(tmp_path, "metrics.jsonl", '{"kind": "step", "step": 1, "epoch": 1, "loss": 2.0}\n{"kind": "st')
    prose = page_of(tmp_path).prose
    assert "Run r failed before its first epoch ended." in prose
    assert "The loss is nan at step 3." in prose
    assert "line 2 is not JSON" in prose


# --- the headline


def headline_of(folder, **values):
    return headline(facts.read(write_run(folder, **values)))


def test_headline_reports_a_better_linear_model(tmp_path):
    assert (
        headline_of(tmp_path, accuracy=0.7, linear=0.9).verdict
        == "Deep learning isn't worth it here: a linear model is better."
    )


def test_headline_within_the_sampling_error_claims_no_difference(tmp_path):
    verdict = headline_of(tmp_path, accuracy=0.92, linear=0.9, samples=50).verdict
    assert verdict.startswith("Deep learning isn't clearly worth it here: a difference of 2.0 points")
    assert headline_of(tmp_path, accuracy=0.92, linear=0.9, samples=50_000).verdict.startswith(
        "Deep learning is worth it"
    )


def test_headline_compares_baselines_on_their_split(tmp_path):
    write_run(tmp_path)
    baseline = json.loads((tmp_path / "baseline.json").read_text(encoding="utf-8"))
    put(tmp_path, "baseline.json", {"split": "valid", "lines": baseline["lines"]})
    top = headline(facts.read(tmp_path))
    assert top.others.startswith("On the validation split it is 90.0\u202f%; a linear model reaches")


def test_headline_of_a_classical_model(tmp_path):
    put(write_run(tmp_path), "artifact/artifact.json", {"runner": "benchdog_sklearn.runner:Runner"})
    top = headline(facts.read(tmp_path))
    assert top.verdict.startswith("The classical model is worth it here")
    assert top.bars[0].name == "supervised"
    assert "1\u202f234" not in page_of(tmp_path).prose  # parameters of a model that was not used


@pytest.mark.parametrize(
    ("metrics", "line", "answer", "verdict"),
    [
        ({"mae": 0.5, "rmse": 1.0}, {"mae": 1.0}, "held-out test samples are off by 0.5 on average", "is 50.0"),
        ({"iou": 0.8, "pixel_accuracy": 0.9}, {"iou": 0.5}, "actual masks overlap by 0.8 (IoU)", "here: 0.3 more"),
        ({"loss": 1.0, "perplexity": 2.718, "accuracy": 0.6}, {"loss": 2.0}, "1 nats per token", "loss is 50.0"),
        ({"mae": 0.995}, {"mae": 1.0}, "off by 0.995", "hardly worth it here"),
        ({"loss": 2.5}, {"loss": 1.0}, "The loss is 2.5", "isn't worth it here"),
    ],
)  # fmt: skip
def test_headline_of_other_tasks(tmp_path, metrics, line, answer, verdict):
    put(tmp_path, "evaluation-test.json", {"samples": 100, "metrics": metrics, "monitor": "loss", "better": "min"})
    put(tmp_path, "baseline.json", {"split": "test", "lines": [{"name": "linear model", "metrics": line}]})
    top = headline(facts.read(tmp_path))
    assert answer in top.answer
    assert verdict in top.verdict


def test_headline_without_evaluation_is_the_best_epoch(tmp_path):
    put(tmp_path, "run.json", {"monitor": "accuracy", "better": "max", "best": {"epoch": 4, "value": 0.75}})
    answer = headline(facts.read(tmp_path)).answer
    assert answer == "The best validation accuracy is 75.0\u202f%, at epoch 4. It has not been evaluated yet."


# --- other tasks' sections


def test_report_of_regression_has_a_scatter_plot(tmp_path):
    pairs = [[float(i), i + 0.5] for i in range(3001)]
    metrics = {"mae": 0.5, "per_target": {"width": {"mae": 0.2, "r2": 0.9}, "height": {"mae": 0.8, "r2": 0.5}}}
    put(tmp_path, "evaluation-test.json", {"metrics": metrics, "pairs": pairs})
    seen = page_of(tmp_path)
    assert "Predicted vs. actual" in seen.prose
    assert "1\u202f501 of 3\u202f001 points are drawn." in seen.prose
    assert "height 0.8 0.5" in seen.prose


def test_report_of_segmentation_shows_actual_and_predicted_masks(tmp_path):
    field = Field(kind="image", shape=(3, 16, 16), dtype="uint8")
    mask, predicted = np.zeros((2, 16, 16), np.int64)
    mask[4:8], predicted[5:9] = 1, 1
    save_sample(np.zeros((3, 16, 16), np.uint8), field, tmp_path / "worst/0.png", mask, predicted)
    worst = [{"id": "s", "loss": 1.0, "picture": "worst/0.png", "answer": {"classes": {"disc": 0.2}}, "target": None}]
    put(tmp_path, "evaluation-test.json", {"metrics": {"iou": 0.5}, "target": {"kind": "mask"},
                                           "classes": ["background", "disc"], "worst": worst})  # fmt: skip
    prose = page_of(tmp_path).prose
    assert "image · actual · predicted" in prose
    assert "disc" in prose


def test_report_leaves_out_images_outside_the_run_and_damaged_ones(tmp_path):
    run = write_run(tmp_path / "run")
    (tmp_path / "secret.png").write_bytes((run / "worst/0.png").read_bytes())
    (run / "worst/1.png").write_text("not an image", encoding="utf-8")
    worst = [{"id": "w", "picture": p} for p in ("../secret.png", str(tmp_path / "secret.png"), "worst/1.png", 7)]
    put(run, "evaluation-test.json", {"metrics": {"accuracy": 0.5}, "worst": worst})
    assert "img" not in page_of(run).tags


# --- comparison and summary


def test_comparison_page(tmp_path):
    runs = [write_run(tmp_path / "a", accuracy=0.8), write_run(tmp_path / "b", word="other")]
    seen = look(report.compare(runs, tmp_path / "out" / "both.html").read_text(encoding="utf-8"))
    assert "b is best: its test accuracy is 0.9." in seen.prose
    assert "source.name digits other" in seen.prose
    assert "loop.epochs" not in seen.prose
    assert "test.accuracy 0.8 0.9" in seen.prose


def test_comparison_of_runs_without_curves(tmp_path):
    for name in "ab":
        (tmp_path / name).mkdir()
    page = report.compare([tmp_path / "a", tmp_path / "b"], tmp_path / "c.html").read_text(encoding="utf-8")
    assert "None of these runs has finished an epoch." in look(page).prose


def test_comparison_as_a_png(tmp_path):
    out = report.compare([write_run(tmp_path / "a"), write_run(tmp_path / "b")], tmp_path / "both.png")
    with Image.open(out) as image:
        assert image.format == "PNG"
        assert image.width > 1000


def test_notebook_summary_is_a_small_fragment(run):
    text = report.html_summary(run)
    assert type(text).__mro__[-2] is str
    assert len(text) < 60_000
    seen = look(text)
    assert "90.0\u202f% of the held-out test images" in seen.prose
    assert "svg" in seen.tags
    assert "html" not in seen.tags


# --- parts


@pytest.mark.parametrize("size", [2, 10, 30, 100])
def test_confusion_matrix_of_few_and_many_classes(size, tmp_path):
    counts = np.eye(size) * 9
    counts[0, 1] = 3
    labels = [f"class number {i}" for i in range(size)]
    put(tmp_path, "evaluation-test.json", {"metrics": {"confusion": counts.tolist()}, "classes": labels})
    page = report.write(tmp_path).read_text(encoding="utf-8")
    text = page[page.index("<svg viewBox") : page.index("</svg>")] + "</svg>"
    assert text.count("<rect") == size + 2
    assert "class number 0 predicted as class number 1: 3" in text
    width = re.search(r'viewBox="0 0 (\d+)', text)
    assert width
    assert float(width[1]) < 1100
    assert min(map(float, re.findall(r'font-size="([\d.]+)"', text))) >= 6.5
    look(text)


def test_confusion_matrix_of_too_many_classes_is_only_listed(tmp_path):
    counts = (np.eye(150) * 5).astype(int)
    counts[3, 4] = 2
    put(tmp_path, "evaluation-test.json", {"metrics": {"accuracy": 0.5, "confusion": counts.tolist()}})
    seen = page_of(tmp_path)
    assert "rect" not in seen.tags
    assert "3 4 2 28.6" in seen.prose


@given(st.text())
def test_render_escapes_any_text(text):
    page = render("page.html.j2", title=text, body=text)
    assert look(page).tags == look(render("page.html.j2", title="", body="")).tags
    assert "<b></main>" not in page
    assert "<p>a</p>" in render("page.html.j2", title=text, body=Html("<p>a</p>"))


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "–"), (float("nan"), "not a number"), (float("-inf"), "−∞"), (12345, "12\u202f345"), (-0.5, "−0.5"),
     (3.2e-6, "3.2·10^−6"), (12038.4, "12\u202f038"), (-3.25e7, "−32\u202f500\u202f000"), (1.5e-9, "1.5·10^−9"),
     (True, "True"), ("x", "x"), (2.0, "2")],
)  # fmt: skip
def test_short_value(value, text):
    assert short(value) == text


def test_percent_never_rounds_to_0_or_100():
    assert percent(0.9996) == "99.96\u202f%"
    assert percent(1.0) == "100.0\u202f%"
    assert percent(0.0004) == "0.04\u202f%"
    assert seconds(4.2) == "4.2\u202fs"
    assert seconds(7500) == "2\u202fh 5\u202fmin"


def test_figures_leave_matplotlib_settings_unchanged():
    import matplotlib as mpl

    before = dict(mpl.rcParams)
    figures.scatter([0.0, 1.0], [0.0, 1.0], "x")
    assert dict(mpl.rcParams) == before


# --- images of samples


def opened(path):
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB")), image.mode


def test_sample_image_enlarges_by_whole_pixels(tmp_path):
    array = (np.arange(64) % 17).reshape(1, 8, 8).astype(np.uint8)
    assert save_sample(array, DIGIT, tmp_path / "d.png")
    pixels, _ = opened(tmp_path / "d.png")
    assert pixels.shape == (160, 160, 3)
    assert np.array_equal(pixels[::20, ::20, 0], np.rint(array[0] / 16 * 255))


def test_sample_image_keeps_colors_and_shrinks_large_images(tmp_path):
    array = np.zeros((3, 900, 1200), np.uint8)
    array[0] = 200
    assert save_sample(array, Field(kind="image", shape=array.shape, dtype="uint8"), tmp_path / "c.png")
    pixels, _ = opened(tmp_path / "c.png")
    assert pixels.shape == (480, 640, 3)
    assert (pixels == [200, 0, 0]).all()


@pytest.mark.parametrize("channels", [1, 2, 4, 5])
def test_sample_image_of_floats_is_scaled_to_the_full_range(tmp_path, channels):
    array = np.random.default_rng(0).normal(size=(channels, 5, 7)).astype(np.float32)
    array[0, 0, 0] = np.nan
    assert save_sample(array, Field(kind="image", shape=array.shape, dtype="float32"), tmp_path / "f.png")
    pixels, _ = opened(tmp_path / "f.png")
    assert pixels.max() == 255
    assert pixels.min() == 0


def test_sample_image_of_a_volume_is_the_slice_with_most_errors_or_the_middle(tmp_path):
    array = np.zeros((1, 5, 8, 8), np.float32)
    array[:, 2], array[:, 4] = 0.5, 1.0
    field = Field(kind="volume", shape=array.shape, dtype="float32", range=(0, 1))
    assert save_sample(array, field, tmp_path / "v.png")
    assert (opened(tmp_path / "v.png")[0] == 128).all()
    mask, predicted = np.zeros((2, 5, 8, 8), np.uint8)
    predicted[4, 0, 0] = 1
    assert save_sample(array, field, tmp_path / "w.png", mask=mask, predicted=predicted)
    pixels, mode = opened(tmp_path / "w.png")
    assert mode == "RGBA"
    assert (pixels[:, :160] == 255).all()
    assert pixels.shape == (160, 3 * 160 + 2 * 6, 3)


@pytest.mark.parametrize("kind", ["table", "tokens", "audio"])
def test_sample_image_of_other_fields_is_not_written(tmp_path, kind):
    assert not save_sample(np.zeros((1, 3)), Field(kind=kind, shape=(1, 3), dtype="float32"), tmp_path / "x.png")
    assert not (tmp_path / "x.png").exists()


def test_report_embeds_images_unchanged(run):
    (source,) = [value for key, value in page_of(run).links if key == "src"]
    assert base64.b64decode(source.partition(",")[2]) == (run / "worst/0.png").read_bytes()


def test_highest_loss_samples_are_misclassified_ones(tmp_path):
    entries = [{"id": "hit", "loss": 2.0, "answer": {"label": "cat"}, "target": 0},
               {"id": "miss", "loss": 1.0, "answer": {"label": "cat"}, "target": 1}]  # fmt: skip
    document = {"metrics": {"accuracy": 0.5}, "classes": ["cat", "dog"], "target": {"kind": "class"}}
    put(tmp_path, "evaluation-test.json", {**document, "worst": entries})
    page = report.write(tmp_path).read_text(encoding="utf-8")
    assert ">miss<" in page
    assert ">hit<" not in page
    put(tmp_path, "evaluation-test.json", {**document, "worst": entries[:1]})
    assert "None of the highest-loss samples is misclassified." in report.write(tmp_path).read_text(encoding="utf-8")
