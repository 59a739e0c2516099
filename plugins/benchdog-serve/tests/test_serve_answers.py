"""What a client can send, and what it is answered."""

import base64
import io

import numpy as np
import pytest
from PIL import Image
from serve_doubles import fault, files, png


def test_files_are_answered_in_their_order(serving):
    client = serving("image")
    response = client.post(files=files(("a.png", png(0)), ("b.png", png(255)), ("c.png", png(0, size=9))))
    assert [each["label"] for each in response.json()["answers"]] == ["dark", "bright", "dark"]
    first = response.json()["answers"][0]
    assert first["probability"] == first["probabilities"]["dark"] > 0.5
    assert sum(first["probabilities"].values()) == pytest.approx(1)


@pytest.mark.parametrize("kind", ["image/png", "image/jpeg", "application/octet-stream", "IMAGE/PNG; q=1"])
def test_the_bytes_of_an_image_are_enough(serving, kind):
    response = serving("image").post(content=png(255), headers={"content-type": kind})
    assert response.json()["answers"][0]["label"] == "bright"


def test_images_in_json(serving):
    encoded = {"b64": base64.b64encode(png(255)).decode()}
    body = {"instances": [encoded, [[0] * 4] * 4, [[[255] * 4] * 4]]}
    response = serving("image").post(json=body)
    assert [each["label"] for each in response.json()["answers"]] == ["bright", "dark", "bright"]


def test_rows(serving):
    rows = [{"acid": 900, "colour": "red"}, {"acid": None, "colour": None}, {"acid": "1e3", "colour": "new"}]
    response = serving("row").post(json={"rows": rows})
    assert [each["label"] for each in response.json()["answers"]] == ["bright", "dark", "bright"]


def test_what_lies_outside_the_training_is_told(serving):
    client = serving("row")
    rows = [{"acid": 900, "colour": "red"}, {"acid": 3, "colour": "new"}]
    before = client.post(json={"rows": rows}).json()["answers"]
    columns = {"acid": {"missing": False, "low": 0, "high": 14.2}, "colour": {"missing": True, "seen": ["red"]}}
    client.service.model.meta["ranges"] = {"samples": 9, "fields": {"input": {"columns": columns}}}
    after = client.post(json={"rows": rows}).json()["answers"]
    assert after[0].pop("outside") == [{"field": "acid", "said": "acid 900 is above the 14.2 seen in training"}]
    assert after[1].pop("outside") == [{"field": "colour", "said": "category 'new' of 'colour' was never seen"}]
    assert after == before


def test_arrays(serving):
    client = serving("array")
    buffer = io.BytesIO()
    np.save(buffer, np.full((1, 3), 200, np.float32))
    response = client.post(json={"instances": [[[1, 2, 3.5]], [[200, 300, 400]]]})
    assert [each["label"] for each in response.json()["answers"]] == ["dark", "bright"]
    for options in (
        {"content": buffer.getvalue(), "headers": {"content-type": "application/x-npy"}},
        {"files": files(("x.npy", buffer.getvalue()))},
    ):
        assert client.post(**options).json()["answers"][0]["label"] == "bright"


def test_texts_of_any_length(serving):
    client = serving("tokens")
    for body in ({"text": "ab"}, {"text": ["a", "abc abc abc abc"]}):
        answers = client.post(json=body).json()["answers"]
        wanted = body["text"] if isinstance(body["text"], list) else [body["text"]]
        assert [each["prompt"] for each in answers] == wanted
        assert all(len(each["text"]) > 0 for each in answers)
    plain = client.post(content="ab", headers={"content-type": "text/plain; charset=utf-8"})
    assert plain.json()["answers"][0]["prompt"] == "ab"


def test_several_inputs(serving):
    client = serving("several")
    body = {"instances": [{"left": [[255] * 4] * 4, "sound": [[0, 0, 0]]}]}
    assert client.post(json=body).json()["answers"][0]["label"] == "bright"
    text = fault(client.post(json={"instances": [{"left": 1, "noise": 2}]}), 422)
    assert "'sound'" in text
    assert "'noise'" in text
    assert "'sound'" in fault(client.post(files={"left": ("l.png", png(0))}), 422)


def test_a_mask_is_a_png_of_codes(serving):
    picture = np.zeros((4, 4), np.uint8)
    picture[1:3, 2] = 255
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, format="PNG")
    answer = serving("mask").post(content=buffer.getvalue(), headers={"content-type": "image/png"}).json()
    (told,) = answer["answers"]
    image = Image.open(io.BytesIO(base64.b64decode(told["mask"])))
    assert np.array_equal(np.asarray(image), picture // 255)
    assert np.asarray(image.convert("RGBA"))[0, 0, 3] == 0
    assert told["classes"] == {"none": 0.875, "disc": 0.125}


def test_requests_that_arrive_together_share_a_call(serving):
    client = serving("image")
    double = client.service.model
    double.gate.clear()
    requests = [("POST", "/predict", {"files": files((f"{n}.png", png(n)))}) for n in (0, 255, 0, 255, 0)]
    responses = client.many(requests, meanwhile=double.gate.set)
    labels = [each.json()["answers"][0]["label"] for each in responses]
    assert labels == ["dark", "bright", "dark", "bright", "dark"]
    assert sum(double.sizes) == 5
    assert len(double.sizes) <= 2


def test_the_models_own_limit_holds(serving):
    client = serving("image", max_batch=2)
    assert client.post(files=files(*[(f"{n}.png", png(0)) for n in range(5)])).status_code == 200
    assert max(client.service.model.sizes) == 2
