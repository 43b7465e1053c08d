"""Detectors and segmenters by description: every layout gives what was meant, and what does not fit fails."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sosie.errors import NotFound, UntrustedModel, UsageError
from sosie.networks.onnx_file import input_size
from sosie.regions.description import Description, Input, read_description, shipped
from sosie.regions.detector import OnnxDetector
from sosie.regions.fitting import fit
from sosie.regions.masks import cut_out, masked_region
from sosie.regions.pooled import pooled_regions, squares
from sosie.regions.segmenter import Segmenter
from sosie.regions.suppression import suppress
from sosie.types import Region
from tests.detectors import describe, write_network

GREY = np.full((64, 128, 3), 128, np.uint8)  # twice as wide as high: a letterbox has borders
CLASSES = ["bag", "shoe"]


def detector(path: Path) -> OnnxDetector:
    return OnnxDetector(read_description(str(path), task="detect"), threads=1)


def yolov8_output(*rows: tuple[float, float, float, float, float, float]) -> np.ndarray:
    return np.array(rows, np.float32).T[None]


# ------------------------------------------------------------------------------------------------ layouts


def test_yolov8_boxes_come_back_in_shares_of_the_picture(tmp_path: Path) -> None:
    # the picture fills rows 16 to 48 of the padded square
    path = write_network(
        tmp_path, {"output0": yolov8_output((32, 32, 32, 16, 0.9, 0.1))}, like="yolov8", classes=CLASSES
    )
    [seen] = detector(path).detect(GREY)
    assert seen.label == "bag"
    assert seen.box == pytest.approx((0.25, 0.25, 0.5, 0.5))
    assert seen.confidence == pytest.approx(0.9)


def test_of_two_boxes_over_one_thing_the_surer_stays(tmp_path: Path) -> None:
    rows = [(32, 32, 32, 16, 0.6, 0), (33, 32, 32, 16, 0.9, 0), (10, 32, 8, 8, 0.5, 0), (32, 32, 32, 16, 0, 0.8)]
    path = write_network(tmp_path, {"output0": yolov8_output(*rows)}, like="yolov8", classes=CLASSES)
    seen = detector(path).detect(GREY)
    # the shoe lies exactly where a bag was seen more surely: one thing under two names
    assert [(one.label, round(one.confidence, 2)) for one in seen] == [("bag", 0.9), ("bag", 0.5)]


def test_yolox_cells_become_boxes(tmp_path: Path) -> None:
    cells = 8 * 8 + 4 * 4 + 2 * 2
    output = np.zeros((1, cells, 7), np.float32)
    output[0, 64 + 5] = [0.5, 0.5, np.log(2), np.log(1), 0.9, 0.1, 0.8]  # stride 16, cell (1, 1)
    path = write_network(tmp_path, {"output": output}, like="yolox", classes=CLASSES)
    [seen] = detector(path).detect(np.zeros((64, 64, 3), np.uint8))
    assert (seen.label, round(seen.confidence, 2)) == ("shoe", 0.72)
    assert seen.box == pytest.approx((8 / 64, 16 / 64, 32 / 64, 16 / 64))


def test_detr_queries_become_boxes_without_suppression(tmp_path: Path) -> None:
    logits = np.array([[[2.0, -4.0], [-9.0, -9.0]]], np.float32)
    boxes = np.array([[[0.5, 0.5, 0.5, 0.25], [0.1, 0.1, 0.1, 0.1]]], np.float32)
    path = write_network(
        tmp_path,
        {"logits": logits, "pred_boxes": boxes},
        inputs=("pixel_values",),
        like="rtdetr",
        classes=CLASSES,
    )
    [seen] = detector(path).detect(GREY)
    assert (seen.label, round(seen.confidence, 2)) == ("bag", 0.88)
    assert seen.box == pytest.approx((0.25, 0.375, 0.5, 0.25))


def test_dfine_gives_ready_made_boxes_and_takes_a_size(tmp_path: Path) -> None:
    outputs = {
        "labels": np.array([[1]], np.int64),
        "boxes": np.array([[[16, 16, 48, 32]]], np.float32),
        "scores": np.array([[0.7]], np.float32),
    }
    path = write_network(tmp_path, outputs, inputs=("images", "orig_target_sizes"), like="dfine", classes=CLASSES)
    [seen] = detector(path).detect(GREY)
    assert seen.label == "shoe"
    assert seen.box == pytest.approx((0.25, 0.25, 0.5, 0.25))


def test_a_hundred_objects_are_a_hundred_and_no_more(tmp_path: Path) -> None:
    rows = [(4 + 4 * (i % 12), 20 + 2 * (i // 12), 3, 1.5, 0.5 + i / 1000, 0) for i in range(144)]
    path = write_network(tmp_path, {"output0": yolov8_output(*rows)}, like="yolov8", classes=CLASSES)
    seen = detector(path).detect(GREY)
    assert len(seen) == 100
    assert seen[0].confidence == pytest.approx(0.643)


def test_no_object_is_an_empty_list(tmp_path: Path) -> None:
    path = write_network(tmp_path, {"output0": yolov8_output((32, 32, 8, 8, 0.01, 0))}, like="yolov8", classes=CLASSES)
    assert detector(path).detect(GREY) == []


def test_boxes_outside_of_no_area_and_not_finite_are_dropped(tmp_path: Path) -> None:
    rows = [(-90, 32, 8, 8, 0.9, 0), (32, 32, 0, 0, 0.9, 0), (np.nan, 32, 8, 8, 0.9, 0), (60, 32, 40, 16, 0.8, 0)]
    path = write_network(tmp_path, {"output0": yolov8_output(*rows)}, like="yolov8", classes=CLASSES)
    [seen] = detector(path).detect(GREY)
    assert seen.box[0] + seen.box[2] == pytest.approx(1.0)  # cut at the picture's edge


# ------------------------------------------------------------------------------------------------ what does not fit


def test_outputs_that_the_description_does_not_fit_fail_before_any_picture(tmp_path: Path) -> None:
    path = write_network(tmp_path, {"output0": yolov8_output((1, 1, 1, 1, 0, 0))}, like="yolov8", classes=["one"])
    with pytest.raises(UntrustedModel, match="rows of 5 numbers were described"):
        detector(path).warm_up()


def test_an_output_that_is_not_there_is_named(tmp_path: Path) -> None:
    path = write_network(tmp_path, {"other": np.zeros((1, 6, 1), np.float32)}, like="yolov8", classes=CLASSES)
    with pytest.raises(UntrustedModel, match=r"no output \['output0'\]; it has \['other'\]"):
        detector(path).warm_up()


def test_an_input_of_another_size_fails_with_one_line(tmp_path: Path) -> None:
    path = write_network(tmp_path, {"output0": yolov8_output((1, 1, 1, 1, 0, 0))}, like="yolov8", classes=CLASSES)
    raw = json.loads(path.read_text())
    raw["input"]["width"] = 96
    path.write_text(json.dumps(raw))
    with pytest.raises(UntrustedModel, match="does not take what is described"):
        detector(path).warm_up()


def test_a_wrong_digest_is_refused_before_the_file_is_parsed(tmp_path: Path) -> None:
    path = write_network(tmp_path, {"output0": yolov8_output((1, 1, 1, 1, 0, 0))}, like="yolov8", classes=CLASSES)
    (tmp_path / "tiny.onnx").write_bytes(b"no network at all")
    with pytest.raises(UntrustedModel, match="SHA-256"):
        detector(path).warm_up()


def test_external_data_is_never_read(tmp_path: Path) -> None:
    import onnx
    from onnx.external_data_helper import convert_model_to_external_data

    write_network(tmp_path, {"output0": np.zeros((1, 6, 600), np.float32)}, like="yolov8", classes=CLASSES)
    model = onnx.load(tmp_path / "tiny.onnx")
    value = model.graph.node[0].attribute[0].t
    model.graph.initializer.append(value)
    model.graph.initializer[0].name = "output0_value"
    model.graph.node[0].CopyFrom(onnx.helper.make_node("Identity", ["output0_value"], ["output0"]))
    convert_model_to_external_data(model, location="weights.bin", size_threshold=0)
    onnx.save(model, tmp_path / "tiny.onnx")
    assert (tmp_path / "weights.bin").exists()
    with pytest.raises(UntrustedModel):
        detector(describe(tmp_path / "tiny.onnx", like="yolov8", classes=CLASSES)).warm_up()


def test_custom_operators_are_refused(tmp_path: Path) -> None:
    from onnx import TensorProto, helper

    node = helper.make_node("Secret", ["images"], ["output0"], domain="com.example")
    graph = helper.make_graph(
        [node],
        "custom",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, [1, 3, 64, 64])],
        [helper.make_tensor_value_info("output0", TensorProto.FLOAT, [1, 6, 1])],
    )
    opsets = [helper.make_opsetid("", 13), helper.make_opsetid("com.example", 1)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=8)
    (tmp_path / "tiny.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(UntrustedModel):
        detector(describe(tmp_path / "tiny.onnx", like="yolov8", classes=CLASSES)).warm_up()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"like": "yolov9000"}, "did you mean"),
        ({"treshold": 0.5}, "did you mean 'threshold'"),
        ({"classes": []}, "names no classes"),
        ({"threshold": 7}, "between 0 and 1"),
        ({"input": {"width": 100_000}}, "between 8 and 4096"),
        ({"layout": "cubist"}, "no layout of boxes is called 'cubist'"),
        ({"like": "deeplabv3_pascal"}, "can segment, not detect"),
    ],
)
def test_a_description_that_makes_no_sense_says_why(tmp_path: Path, change: dict[str, object], message: str) -> None:
    (tmp_path / "tiny.onnx").write_bytes(b"")
    path = describe(tmp_path / "tiny.onnx", **{"like": "yolov8", "classes": CLASSES, **change})
    with pytest.raises(UntrustedModel, match=message):
        detector(path)


@pytest.mark.parametrize("side", [96, 64])
def test_a_preset_takes_the_size_of_the_input_from_the_file(tmp_path: Path, side: int) -> None:
    write_network(tmp_path, {"output0": np.zeros((1, 6, 1), np.float32)}, side=side, like="yolov8", classes=CLASSES)
    found = read_description(f"yolov8:{tmp_path / 'tiny.onnx'}", task="detect")
    assert (found.input.width, found.input.height, found.input.name) == (side, side, "images")


def test_an_input_whose_size_is_open_leaves_what_is_described(tmp_path: Path) -> None:
    from onnx import TensorProto, helper

    open_input = helper.make_tensor_value_info("images", TensorProto.FLOAT, ["n", 3, "h", "w"])
    graph = helper.make_graph([helper.make_node("Identity", ["images"], ["out"])], "open", [open_input], [open_input])
    data = helper.make_model(graph).SerializeToString()
    assert input_size(data, "images") is None
    assert input_size(data, "another") is None
    assert input_size(data[: len(data) // 2], "images") is None
    assert input_size(b"no network", "images") is None


def test_a_description_that_is_away_or_no_json_says_so(tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        read_description(str(tmp_path / "no.json"), task="detect")
    (tmp_path / "bad.json").write_text("[")
    with pytest.raises(UntrustedModel, match="is not JSON"):
        read_description(str(tmp_path / "bad.json"), task="detect")
    with pytest.raises(UntrustedModel, match=r"NAME:FILE\.onnx"):
        read_description("yolox", task="detect")
    with pytest.raises(NotFound):
        read_description(f"yolox:{tmp_path / 'no.onnx'}", task="detect")


def test_every_shipped_description_parses_and_says_its_licence(tmp_path: Path) -> None:
    (tmp_path / "any.onnx").write_bytes(b"x")
    assert {"yolox", "yolov8", "yolo11", "rtdetr", "dfine"} <= set(shipped())
    for name in shipped():
        task = "segment" if name in ("deeplabv3_pascal", "skin_clothes_hair") else "detect"
        found = read_description(f"{name}:{tmp_path / 'any.onnx'}", task=task)
        assert found.licence
        assert found.classes


# ------------------------------------------------------------------------------------------------ masks


def segmenter(tmp_path: Path, logits: np.ndarray) -> Segmenter:
    path = write_network(
        tmp_path,
        {"logits": logits.astype(np.float32)},
        task="segment",
        layout="classes",
        input={"name": "images"},
        outputs=["logits"],
        classes=["background", "person"],
    )
    return Segmenter(read_description(str(path), task="segment"), threads=1)


def left_half() -> np.ndarray:
    logits = np.zeros((1, 2, 64, 64))
    logits[0, 0, :, 32:] = logits[0, 1, :, :32] = 8
    return logits


def test_a_mask_keeps_a_class_and_its_opposite_the_rest(tmp_path: Path) -> None:
    network = segmenter(tmp_path, left_half())
    kept = masked_region(network.probability(GREY, "person"), "person", threshold=0.5)
    dropped = masked_region(network.probability(GREY, "!person"), "!person", threshold=0.5)
    assert kept.box[0] == 0
    assert kept.box[2] == pytest.approx(0.52, abs=0.01)
    assert dropped.box[0] == pytest.approx(0.48, abs=0.01)
    assert kept.confidence > 0.95


def test_an_unknown_class_is_named_with_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="did you mean 'person'"):
        segmenter(tmp_path, left_half()).probability(GREY, "persn")


def test_an_empty_mask_is_the_whole_picture_and_says_so() -> None:
    region = masked_region(np.zeros((32, 32), np.float32), "person", threshold=0.5)
    assert (region.box, region.label, region.confidence, region.mask) == ((0, 0, 1, 1), None, 0, None)


def test_a_mask_of_everything_is_the_picture_as_it_is() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (40, 50, 3), dtype=np.uint8)
    region = masked_region(np.ones((40, 50), np.float32), "person", threshold=0.5)
    assert region.box == (0, 0, 1, 1)
    np.testing.assert_array_equal(cut_out(pixels, region), pixels)


@pytest.mark.parametrize("fill", ["mean", "blur"])
def test_what_a_mask_leaves_out_is_filled_and_its_edge_is_feathered(fill: str) -> None:
    pixels = np.zeros((100, 100, 3), np.uint8)
    pixels[:, 1::2] = 255  # stripes, which a blur makes grey
    probability = np.zeros((100, 100), np.float32)
    probability[:, :50] = 1
    region = masked_region(probability, "person", threshold=0.5)
    cut = cut_out(pixels, Region((0, 0, 1, 1), "person", 1.0, region.mask), fill=fill)
    np.testing.assert_array_equal(cut[:, :40], pixels[:, :40])
    assert cut[:, 60:].std() < 40
    between = cut[50, 47:53].astype(int)
    assert len(np.unique(between, axis=0)) > 3


# ------------------------------------------------------------------------------------------------ geometry, pooling


@pytest.mark.parametrize("how", ["squash", "corner", "centre"])
@pytest.mark.parametrize("shape", [(64, 128), (90, 31), (1, 500)])
def test_a_place_in_the_input_comes_back_to_its_place_in_the_picture(how: str, shape: tuple[int, int]) -> None:
    fitted = fit(np.zeros((*shape, 3), np.uint8), Input("x", 64, 64, how))
    inside = np.array([[fitted.left, fitted.top, fitted.left + fitted.width, fitted.top + fitted.height]], np.float32)
    np.testing.assert_allclose(fitted.back(inside), [[0, 0, 1, 1]])


@pytest.mark.parametrize("channels", ["RGB", "BGR"])
@pytest.mark.parametrize(("how", "left"), [("squash", 0), ("corner", 0), ("centre", 8)])
def test_the_input_holds_the_numbers_that_the_description_asks_for(channels: str, how: str, left: int) -> None:
    colour = np.array([200, 100, 7], np.uint8)
    mean, std = np.array([0.5, 0.25, 0.125]), np.array([0.2, 0.4, 0.8])
    wanted = Input("x", 32, 32, how, pad=9, channels=channels, scale=255.0, mean=tuple(mean), std=tuple(std))
    tensor = fit(np.tile(colour, (60, 30, 1)), wanted).tensor
    numbers = (colour[:: -1 if channels == "BGR" else 1] / 255 - mean) / std
    borders = (9 / 255 - mean) / std
    for channel, number, border in zip(tensor[0], numbers, borders, strict=True):
        expected = np.full((32, 32), border)
        expected[:, left : left + (32 if how == "squash" else 16)] = number
        np.testing.assert_allclose(channel, expected, rtol=1e-5, atol=1e-6)


def test_a_place_whose_class_is_no_number_is_nothing(tmp_path: Path) -> None:
    rows = [(32, 32, 32, 16, np.nan, 0.9), (32, 32, 32, 16, 0.1, 0.8)]
    path = write_network(tmp_path, {"output0": yolov8_output(*rows)}, like="yolov8", classes=CLASSES)
    assert [round(one.confidence, 2) for one in detector(path).detect(GREY)] == [0.8]


def test_suppression_keeps_boxes_of_other_classes_apart() -> None:
    boxes = np.array([[0, 0, 10, 10], [1, 0, 11, 10], [30, 30, 40, 40]], np.float32)
    scores = np.array([0.5, 0.9, 0.4], np.float32)
    assert suppress(boxes, scores, np.array([0, 0, 0]), overlap=0.5, most=9).tolist() == [1, 2]
    assert suppress(boxes, scores, np.array([0, 1, 0]), overlap=0.5, most=9).tolist() == [1, 0, 2]


def test_squares_cover_the_map_at_three_sizes() -> None:
    where = squares(4, 4)
    assert where[0] == (0, 0, 4)
    assert {side for _, _, side in where} == {4, 3, 2}
    assert len(squares(4, 8)) > len(where)
    assert all(y + side <= 4 and x + side <= 8 for y, x, side in squares(4, 8))


def test_pooling_takes_the_greatest_of_each_channel_and_its_place() -> None:
    maps = np.zeros((1, 2, 4, 4), np.float32)
    maps[0, 0], maps[0, 1, 0, 0] = 1, 3
    regions, vectors = pooled_regions(maps)
    assert vectors.shape == (1, len(regions), 2)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=2), 1, rtol=1e-5)
    corner = [r.box[:2] == (0, 0) for r in regions]
    np.testing.assert_array_equal(vectors[0, :, 1] > 0.9, corner)


# ------------------------------------------------------------------------------------------------ real networks


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("yolox_nano", "yolox_nano.onnx"),
        ("ssd_mobilenet_v1", "ssd_mobilenet_v1.onnx"),
        ("fastestdet", "FastestDet.onnx"),
    ],
)
def test_a_real_detector_finds_the_cat(sosie_shared: Path, name: str, file: str) -> None:
    network = OnnxDetector(read_description(f"{name}:{sosie_shared / 'weights' / file}", task="detect"), threads=1)
    picture = sosie_shared / "data" / "regions-dev" / "images" / "coco__08cd25e319.jpg"
    seen = network.detect(np.asarray(Image.open(picture).convert("RGB")))
    [cat] = [one for one in seen if one.label == "cat"]
    assert cat.confidence > 0.5
    assert cat.area > 0.2


@pytest.mark.parametrize(
    ("name", "file", "wanted"),
    [
        ("deeplabv3_pascal", "deeplabv3_mnv2_pascal.onnx", "person"),
        ("skin_clothes_hair", "pan_skin_clothes_hair.onnx", "skin,clothes,hair"),
    ],
)
def test_a_real_segmenter_covers_the_person(sosie_shared: Path, name: str, file: str, wanted: str) -> None:
    network = Segmenter(read_description(f"{name}:{sosie_shared / 'weights' / file}", task="segment"), threads=1)
    pack = sosie_shared / "data" / "people-dev"
    overlaps = []
    for path in sorted((pack / "masks").iterdir())[:6]:
        truth = np.asarray(Image.open(path)) > 0
        picture = Image.open(pack / "images" / f"{path.stem}.jpg").convert("RGB")
        found = network.probability(np.asarray(picture), wanted) >= network.description.threshold
        found = np.asarray(Image.fromarray(found).resize(truth.shape[::-1]))
        overlaps.append((found & truth).sum() / (found | truth).sum())
    assert np.mean(overlaps) > 0.7


def test_a_wrong_real_file_is_refused(sosie_shared: Path) -> None:
    about = read_description(f"yolox_nano:{sosie_shared / 'weights' / 'FastestDet.onnx'}", task="detect")
    with pytest.raises(UntrustedModel, match="SHA-256"):
        OnnxDetector(about).warm_up()


def test_a_description_knows_where_its_network_lies() -> None:
    about = Description("n", "detect", "yolox", Input("x", 64, 64), ("o",), ("c",), file="n.onnx", folder=Path("/a"))
    assert about.path == Path("/a/n.onnx")
