"""Pictures with text: preprocessed as CLIP does, patches first, refused where they are none."""

import numpy as np
import pytest
import torch
from PIL import Image

from jatlab.data.language.pictures import normalise, open_picture, open_pictures, preprocess
from jatlab.data.windows import open_source, to_tensors
from jatlab.model import JatModel
from jatlab.model.config import JatConfig
from tests.support.helpers import small
from tests.support.language_data import as_bytes, picture, write_pictures

NANO = JatConfig.preset("nano")


SIZES = [
    (640, 480),
    (333, 500),
    (112, 112),
    (60, 200),
    (1000, 90),
    (113, 112),
    (224, 225),
    (37, 37),
]


def clip_processor(**options):
    """CLIP's preprocessing on Pillow, under the names that it has had in transformers 5."""
    try:
        from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil
    except ModuleNotFoundError:
        from transformers.models.clip.image_processing_clip import CLIPImageProcessor

        return CLIPImageProcessor(**options)
    return CLIPImageProcessorPil(**options)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("side", [224, 112])
def test_preprocessing_equals_clip(size, side):
    image, square = picture(3, *size), {"height": side, "width": side}
    processor = clip_processor(size={"shortest_edge": side}, crop_size=square)
    theirs = processor(image, return_tensors="np")["pixel_values"]
    ours = normalise(torch.from_numpy(preprocess(image, side).copy())[None]).numpy()
    assert ours.shape == theirs.shape == (1, 3, side, side)
    assert np.abs(ours - theirs).max() < 1e-2


@pytest.mark.parametrize("mode", ["L", "RGBA", "P", "1", "LA", "CMYK"])
def test_pictures_of_other_modes_become_rgb_as_clip_makes_them(mode):
    image = picture(5, 130, 120, mode)
    theirs = clip_processor()(image, return_tensors="np")["pixel_values"]
    ours = normalise(torch.from_numpy(preprocess(open_picture(image), 224).copy())[None]).numpy()
    assert np.abs(ours - theirs).max() < 1e-2


def sixteen_bits():
    return Image.fromarray(np.arange(400, dtype=np.uint16).reshape(20, 20) * 160)


@pytest.mark.parametrize(
    ("image", "mode"),
    [
        (sixteen_bits(), "I;16"),
        (Image.new("I", (20, 20)), "I"),
        (Image.new("F", (20, 20)), "F"),
        (Image.new("LAB", (9, 9)), "LAB"),
    ],
)
def test_modes_that_rgb_cannot_represent_are_refused(image, mode):
    with pytest.raises(ValueError, match=f"mode '{mode}', expected one of RGB, .*8 bits"):
        open_picture(image)


def test_what_is_no_picture_is_refused(tmp_path):
    with pytest.raises(ValueError, match="picture 7 cannot be decoded"):
        open_picture(b"no picture at all", "picture 7")
    with pytest.raises(ValueError, match="cannot be decoded"):
        open_picture(as_bytes(picture(0, 60, 60))[:200])
    with pytest.raises(FileNotFoundError, match="no picture at"):
        open_picture(tmp_path / "absent.png")


def test_a_row_is_the_picture_then_its_text_between_end_marks(tmp_path, tokenizer):
    pictures = [picture(i, 30 + i, 40) for i in range(6)]
    texts = [f"a red ball {'and a box ' * i}" for i in range(6)]
    write_pictures(tmp_path, "conceptual-captions", [as_bytes(p, "PNG") for p in pictures], texts)
    source = open_source("conceptual-captions", tmp_path, NANO, tokenizer)
    windows = source.windows(np.random.default_rng(0))
    batch = source.batch(windows)
    pixels = batch["pixel_values"]
    assert pixels.shape == (6, 3, 112, 112) and pixels.dtype == np.uint8
    for i in range(6):
        mask = batch["attention_mask"][i]
        ids, padding = batch["input_ids"][i][mask == 1], batch["input_ids"][i][mask == 0]
        assert ids.tolist() == [tokenizer.end_id, *tokenizer.encode(texts[i]), tokenizer.end_id]
        assert (padding == tokenizer.pad_id).all()
        assert np.array_equal(pixels[i], preprocess(pictures[i], 112))
        assert windows[i, 1] == (49 + len(ids) + 1) // 2
    tensors = to_tensors(batch)
    assert tensors["pixel_values"].dtype == torch.float32 and abs(tensors["pixel_values"]).max() < 3


def test_patches_and_text_share_the_positions(tmp_path, tokenizer):
    write_pictures(tmp_path, "ok-vqa", [picture(0)], ["Q: " + "word " * 200 + "? A: yes"])
    message = "1 of 1 texts are longer than the 77 tokens beside a picture and were cut"
    with pytest.warns(UserWarning, match=message):
        source = open_source("ok-vqa", tmp_path, NANO, tokenizer)
    batch = source.batch(source.windows(np.random.default_rng(0)))
    assert 49 + batch["input_ids"].shape[1] == NANO.max_position_embeddings
    assert torch.isfinite(JatModel(NANO)(**to_tensors(batch)).loss)
    message = "a picture takes 49 positions of 50, which leaves no room for text"
    with pytest.raises(ValueError, match=message):
        open_source("ok-vqa", tmp_path, NANO.replace(max_position_embeddings=50), tokenizer)


def test_the_loss_is_that_of_the_text_alone_and_sees_the_picture():
    config = small(image_size=16, patch_size=8, vocab_size=40)
    torch.manual_seed(0)
    model = JatModel(config).eval()
    ids = torch.randint(2, 40, (2, 6))
    pixels = torch.randn(2, 3, 16, 16)
    with torch.no_grad():
        output, other = (model(input_ids=ids, pixel_values=p) for p in (pixels, pixels + 1))
    assert output.logits.shape == (2, 4 + 6, 40)
    predictions = output.logits[:, 4:-1].flatten(0, 1)
    expected = torch.nn.functional.cross_entropy(predictions, ids[:, 1:].flatten())
    assert output.loss == pytest.approx(expected.item(), abs=1e-5)
    assert abs(other.loss - output.loss) > 1e-6


def test_split_and_fingerprint(tmp_path, tokenizer):
    pictures, texts = [picture(i) for i in range(10)], [f"Q: which? A: {i}" for i in range(10)]
    write_pictures(tmp_path, "ok-vqa", pictures, texts)
    source = open_pictures("ok-vqa", tmp_path, NANO, tokenizer)
    train, held = source.split(0.3, seed=1)
    assert len(held.episodes) == 3 and sorted([*train.episodes, *held.episodes]) == list(range(10))
    assert train.timesteps + held.timesteps == source.timesteps
    assert len({train.fingerprint, held.fingerprint, source.fingerprint}) == 3
    assert "picture" in held.describe(held.windows(np.random.default_rng(0)))


@pytest.mark.parametrize(
    ("image", "match"),
    [
        (as_bytes(sixteen_bits()), "picture 1 has mode 'I;16'"),
        (b"GIF?", "picture 1: not a picture that Pillow knows"),
        (b"", "holds no bytes of a picture"),
    ],
)
def test_a_bad_picture_in_the_data_is_named(tmp_path, tokenizer, image, match):
    write_pictures(tmp_path, "ok-vqa", [picture(0), image], ["Q: a? A: b"] * 2)
    with pytest.raises(ValueError, match=match):
        open_source("ok-vqa", tmp_path, NANO, tokenizer)


def test_a_missing_column_is_named(tmp_path, tokenizer):
    from tests.support.language_data import write_texts

    write_texts(tmp_path, "conceptual-captions", ["a caption without its picture"])
    with pytest.raises(ValueError, match="column 'images' is missing; the file has text"):
        open_source("conceptual-captions", tmp_path, NANO, tokenizer)
