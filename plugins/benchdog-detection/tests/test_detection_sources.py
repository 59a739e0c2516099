"""Boxes are read from COCO and YOLO files, and what is wrong with them is reported."""

import json

import numpy as np
import pytest
from PIL import Image

from benchdog.api import BadData
from benchdog_detection.coco import Coco
from benchdog_detection.options import CocoOptions, YoloOptions
from benchdog_detection.yolo import Yolo

CATEGORIES = [{"id": 7, "name": "dog"}, {"id": 3, "name": "cat"}]


def picture(path, size=(40, 20), level=100):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, (level % 256, level // 256, 0)).save(path)


def coco(folder, annotations, count=24, size=(40, 20), **options):
    for i in range(count):
        picture(folder / "images" / f"{i}.png", size, i)
    images = [{"id": i, "file_name": f"{i}.png", "width": size[0], "height": size[1]} for i in range(count)]
    document = {"images": images, "annotations": annotations, "categories": CATEGORIES}
    (folder / "a.json").write_text(json.dumps(document))
    return Coco(CocoOptions(path=folder / "a.json", **options))


def note(image, category, *box, **more):
    return {"id": 100 + image, "image_id": image, "category_id": category, "bbox": list(box), **more}


def everything(source):
    return {raw.id: raw.target for split in source.open().values() for raw in map(split.raw, range(len(split)))}


def test_coco_boxes_are_scaled_to_the_decoded_image(tmp_path):
    source = coco(tmp_path, [note(0, 7, 4, 2, 20, 10), note(0, 3, 0, 0, 40, 20)], size=(40, 20))
    assert source.spec().fields[0].shape == (3, 20, 40)
    source = coco(tmp_path, [note(0, 7, 4, 2, 20, 10), note(0, 3, 0, 0, 40, 20)], size=(40, 20))
    found = everything(source)
    assert source.spec().target.classes == ("cat", "dog")  # by id
    assert found["0.png"].tolist() == [[4, 2, 24, 12, 1], [0, 0, 40, 20, 0]]
    assert found["5.png"].shape == (0, 5)
    resized = coco(tmp_path, [note(0, 7, 4, 2, 20, 10)], size=(40, 20)).__class__(
        CocoOptions(path=tmp_path / "a.json", size=80)
    )
    assert everything(resized)["0.png"].tolist() == [[8, 8, 48, 48, 1]]
    assert resized.spec().fields[0].shape == (3, 80, 80)


def test_every_image_is_counted(tmp_path):
    picture(tmp_path / "images" / "other.png")
    source = coco(tmp_path, [note(0, 7, 4, 2, 20, 10), note(1, 7, 1, 1, 9, 9, iscrowd=1)])
    source.spec()
    assert source.counts is not None
    assert (source.counts.found, source.counts.used, source.counts.skipped) == (25, 24, {"not in the file": 1})
    assert "1 regions of crowds (iscrowd) are left out." in source.notes


def test_bad_boxes_are_listed_or_left_out(tmp_path):
    wrong = [
        note(0, 7, 4, 2, 0, 10), note(1, 7, 4, 2, 20, -1), note(2, 7, 50, 2, 5, 5), note(3, 9, 1, 1, 5, 5),
        note(99, 7, 1, 1, 5, 5), note(4, 7, 1, 1, 5, 5),
    ]  # fmt: skip
    with pytest.raises(BadData) as caught:
        coco(tmp_path, wrong).spec()
    for part in (
        "5 boxes or images", "0.png, box 1: width 0, height 10", "1.png, box 1: width 20, height -1",
        "2.png, box 1: outside the image", "annotation 103: there is no category 9",
        "annotation 199: there is no image 99",
    ):  # fmt: skip
        assert part in caught.value.message
    assert 'source.bad="skip"' in caught.value.hint
    source = coco(tmp_path, wrong, bad="skip")
    assert sum(len(boxes) for boxes in everything(source).values()) == 1
    assert any("Left out, 5 boxes or images" in each for each in source.notes)


def test_box_beyond_the_edge_is_cut_off_and_noted(tmp_path):
    source = coco(tmp_path, [note(0, 7, -5, 2, 20, 10), note(1, 7, 30, 2, 10.5, 10)])
    found = everything(source)
    assert found["0.png"].tolist() == [[0, 2, 15, 12, 1]]
    assert found["1.png"].tolist() == [[30, 2, 40, 12, 1]]
    assert [each for each in source.notes if "cut off" in each] == [
        "1 boxes reach beyond their image and are cut off: 0.png."
    ]


def test_missing_damaged_and_other_images_are_reported(tmp_path):
    source = coco(tmp_path, [note(0, 7, 4, 2, 20, 10)])
    (tmp_path / "images" / "1.png").unlink()
    (tmp_path / "images" / "2.png").write_bytes(b"no image")
    picture(tmp_path / "images" / "3.png", (20, 40))
    with pytest.raises(BadData) as caught:
        source.spec()
    assert "1.png: there is no such file" in caught.value.message
    assert "2.png: it can't be read as an image" in caught.value.message
    assert "3.png: it is (20, 40), the annotations say (40, 20)" in caught.value.message
    source = Coco(CocoOptions(path=tmp_path / "a.json", bad="skip"))
    source.spec()
    assert source.counts is not None
    assert (source.counts.found, source.counts.used, source.counts.skipped) == (24, 21, {"unusable": 3})


@pytest.mark.parametrize(
    ("text", "message"),
    [("[]", "holds a list"), ("{", "is not JSON"), ('{"images": []}', "it lacks 'categories'"),
     ('{"images": [], "annotations": [], "categories": []}', "has no categories")],
)  # fmt: skip
def test_other_files_are_refused(tmp_path, text, message):
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(BadData, match=message):
        Coco(CocoOptions(path=tmp_path / "a.json")).spec()


def test_exif_orientation_counts(tmp_path):
    source = coco(tmp_path, [note(0, 7, 2, 4, 10, 20)], size=(20, 40))
    image = Image.new("RGB", (40, 20))
    exif = image.getexif()
    exif[0x0112] = 6
    for i in range(24):
        image.save(tmp_path / "images" / f"{i}.png", exif=exif)
    assert source.spec().fields[0].shape == (3, 40, 20)


def yolo(folder, labels, names="cat\ndog\n", place="", **options):
    for i in range(24):
        picture(folder / "images" / place / f"{i}.png", (40, 20), i)
    (folder / "labels" / place).mkdir(parents=True, exist_ok=True)
    for i, text in labels.items():
        (folder / "labels" / place / f"{i}.txt").write_text(text)
    (folder / "classes.txt").write_text(names)
    return Yolo(YoloOptions(path=folder, **options))


def test_yolo_boxes_are_fractions_of_the_image(tmp_path):
    source = yolo(tmp_path, {0: "1 0.5 0.5 0.5 0.2\n0 0.25 0.5 0.1 1\n", 1: "\n"})
    found = everything(source)
    assert found["0.png"] == pytest.approx(np.array([[10, 8, 30, 12, 1], [8, 0, 12, 20, 0]]))
    assert found["1.png"].shape == (0, 5)
    assert source.spec().target.classes == ("cat", "dog")


def test_yolo_folders_are_the_splits(tmp_path):
    yolo(tmp_path, {0: "0 0.5 0.5 0.5 0.5"}, place="train")
    source = yolo(tmp_path, {0: "1 0.5 0.5 0.5 0.5"}, place="val", test=0.0)
    splits = source.open()
    assert {name: len(split) for name, split in splits.items()} == {"train": 24, "valid": 24}
    assert splits["valid"].raw(0).id.startswith("val/")


def test_yolo_lines_that_are_no_boxes_are_reported(tmp_path):
    with pytest.raises(BadData) as caught:
        yolo(tmp_path, {0: "0 0.5 0.5 0.5", 1: "2 0.5 0.5 0.5 0.5", 2: "0 0.5 0.5 0 0.5", 3: "0 0 0 1 1"}).spec()
    for part in ("labels/0.txt, line 1: it isn't five numbers", "labels/1.txt, line 1: there is no class 2",
                 "2.png, box 1: width 0"):  # fmt: skip
        assert part in caught.value.message
    assert "3.png" not in caught.value.message  # cut off


def test_yolo_without_names_is_refused(tmp_path):
    source = yolo(tmp_path, {0: "0 0.5 0.5 0.5 0.5"})
    (tmp_path / "classes.txt").unlink()
    with pytest.raises(BadData, match="no file of class names"):
        source.spec()
