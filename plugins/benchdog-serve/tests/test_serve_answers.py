"""Inputs that /predict accepts, and its predictions."""

import base64
import io

import numpy as np
import pytest
from PIL import Image
from serve_doubles import error_text, files, png


def test_predictions_of_files_keep_their_order(make_client):
    client = make_client("image")
    response = client.post(files=files(("a.png", png(0)), ("b.png", png(255)), ("c.png", png(0, size=9))))
    assert [each["label"] for each in response.json()["answers"]] == ["dark", "bright", "dark"]
    first = response.json()["answers"][0]
    assert first["probability"] == first["probabilities"]["dark"] > 0.5
    assert sum(first["probabilities"].values()) == pytest.approx(1)


@pytest.mark.parametrize("kind", ["image/png", "image/jpeg", "application/octet-stream", "IMAGE/PNG; q=1"])
def test_image_bytes_as_body(make_client, kind):
    response = make_client("image").post(content=png(255), headers={"content-type": kind})
    assert response.json()["answers"][0]["label"] == "bright"


def test_images_in_json(make_client):
    encoded = {"b64": base64.b64encode(png(255)).decode()}
    body = {"instances": [encoded, [[0] * 4] * 4, [[[255] * 4] * 4]]}
    response = make_client("image").post(json=body)
    assert [each["label"] for each in response.json()["answers"]] == ["bright", "dark", "bright"]


def test_rows_with_missing_and_unseen_values(make_client):
    rows = [{"acid": 900, "colour": "red"}, {"acid": None, "colour": None}, {"acid": "1e3", "colour": "new"}]
    response = make_client("row").post(json={"rows": rows})
    assert [each["label"] for each in response.json()["answers"]] == ["bright", "dark", "bright"]


def test_out_of_range_values_are_reported(make_client):
    client = make_client("row")
    rows = [{"acid": 900, "colour": "red"}, {"acid": 3, "colour": "new"}]
    before = client.post(json={"rows": rows}).json()["answers"]
    columns = {"acid": {"missing": False, "low": 0, "high": 14.2}, "colour": {"missing": True, "seen": ["red"]}}
    client.service.model.meta["ranges"] = {"samples": 9, "fields": {"input": {"columns": columns}}}
    after = client.post(json={"rows": rows}).json()["answers"]
    assert after[0].pop("outside") == [{"field": "acid", "said": "acid 900 is above the 14.2 seen in training"}]
    assert after[1].pop("outside") == [{"field": "colour", "said": "category 'new' of 'colour' was never seen"}]
    assert after == before


def test_arrays_in_json_and_npy(make_client):
    client = make_client("array")
    buffer = io.BytesIO()
    np.save(buffer, np.full((1, 3), 200, np.float32))
    response = client.post(json={"instances": [[[1, 2, 3.5]], [[200, 300, 400]]]})
    assert [each["label"] for each in response.json()["answers"]] == ["dark", "bright"]
    for options in (
        {"content": buffer.getvalue(), "headers": {"content-type": "application/x-npy"}},
        {"files": files(("x.npy", buffer.getvalue()))},
    ):
        assert client.post(**options).json()["answers"][0]["label"] == "bright"


def test_texts_of_any_length(make_client):
    client = make_client("tokens")
    for body in ({"text": "ab"}, {"text": ["a", "abc abc abc abc"]}):
        answers = client.post(json=body).json()["answers"]
        prompts = body["text"] if isinstance(body["text"], list) else [body["text"]]
        assert [each["prompt"] for each in answers] == prompts
        assert all(len(each["text"]) > 0 for each in answers)
    plain = client.post(content="ab", headers={"content-type": "text/plain; charset=utf-8"})
    assert plain.json()["answers"][0]["prompt"] == "ab"


def test_several_inputs(make_client):
    client = make_client("several")
    body = {"instances": [{"left": [[255] * 4] * 4, "sound": [[0, 0, 0]]}]}
    assert client.post(json=body).json()["answers"][0]["label"] == "bright"
    text = error_text(client.post(json={"instances": [{"left": 1, "noise": 2}]}), 422)
    assert "'sound'" in text
    assert "'noise'" in text
    assert "'sound'" in error_text(client.post(files={"left": ("l.png", png(0))}), 422)


def test_mask_is_a_png_of_class_indices(make_client):
    pixels = np.zeros((4, 4), np.uint8)
    pixels[1:3, 2] = 255
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format="PNG")
    response = make_client("mask").post(content=buffer.getvalue(), headers={"content-type": "image/png"}).json()
    (prediction,) = response["answers"]
    image = Image.open(io.BytesIO(base64.b64decode(prediction["mask"])))
    assert np.array_equal(np.asarray(image), pixels // 255)
    assert np.asarray(image.convert("RGBA"))[0, 0, 3] == 0
    assert prediction["classes"] == {"none": 0.875, "disc": 0.125}


def test_image_and_audio_are_files_in_base64_and_small_arrays_are_lists(make_client):
    response = make_client("drawing").post(content=png(200), headers={"content-type": "image/png"}).json()
    (prediction,) = response["answers"]
    assert prediction["picture"]["media_type"] == "image/png"
    image = Image.open(io.BytesIO(base64.b64decode(prediction["picture"]["base64"])))
    assert np.asarray(image).tolist() == [[200] * 4] * 4
    assert prediction["sound"]["media_type"] == "audio/wav"
    assert base64.b64decode(prediction["sound"]["base64"])[:4] == b"RIFF"
    assert prediction["numbers"] == [0, 1]


@pytest.mark.parametrize(
    ("variant", "accept", "kind", "begins"),
    [
        ("drawing", "image/png", "image/png", b"\x89PNG"),
        ("drawing", "text/html, image/jpeg;q=0.9, */*", "image/jpeg", b"\xff\xd8"),
        ("drawing", "audio/wav", "audio/wav", b"RIFF"),
        ("mask", "image/png", "image/png", b"\x89PNG"),
        ("drawing", "application/json, image/png", "application/json", b"{"),
        ("drawing", "text/html", "application/json", b"{"),
        ("image", "image/png", "application/json", b"{"),
    ],
)
def test_accept_header_chooses_the_file_of_a_value(make_client, variant, accept, kind, begins):
    headers = {"content-type": "image/png", "accept": accept}
    response = make_client(variant).post(content=png(200), headers=headers)
    assert response.headers["content-type"] == kind
    assert response.content.startswith(begins)


def test_file_for_several_samples_is_refused(make_client):
    sent = files(("a.png", png(1)), ("b.png", png(2)))
    text = error_text(make_client("drawing").post(files=sent, headers={"accept": "image/png"}), 406)
    assert "can't be the response for 2 samples" in text


def test_concurrent_requests_share_a_batch(make_client):
    client = make_client("image")
    double = client.service.model
    double.gate.clear()
    requests = [("POST", "/predict", {"files": files((f"{n}.png", png(n)))}) for n in (0, 255, 0, 255, 0)]
    responses = client.many(requests, meanwhile=double.gate.set)
    labels = [each.json()["answers"][0]["label"] for each in responses]
    assert labels == ["dark", "bright", "dark", "bright", "dark"]
    assert sum(double.sizes) == 5
    assert len(double.sizes) <= 2


def test_batch_is_no_larger_than_the_models_limit(make_client):
    client = make_client("image", max_batch=2)
    assert client.post(files=files(*[(f"{n}.png", png(0)) for n in range(5)])).status_code == 200
    assert max(client.service.model.sizes) == 2
