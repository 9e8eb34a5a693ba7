from random import Random

import open_clip
import pytest
import torch

from benchmarks.tiny.captions import caption, every_word, phrases
from benchmarks.tiny.train import Captions, compact, rendered_accuracy, train
from lpclip.data.fonts import CHARACTERS, DIGITS, LETTERS, SYMBOLS, glyphs
from lpclip.data.glyph_rendering import COLOURS, RESOLUTIONS, render, render_low_resolution
from lpclip.errors import LpclipError
from lpclip.models import tiny
from lpclip.models.tiny.weights import (
    EMBEDDING,
    TOKEN_IDS,
    expand,
    read_compact,
    write_compact,
    write_plain,
)

SHORT = {"steps": 3, "batch": 16, "threads": 1, "progress": False}


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    """Train a few steps: a valid file, a useless model."""
    path = tmp_path_factory.mktemp("tiny") / "weights.safetensors"
    tensors, metadata = train(seed=0, **SHORT)
    write_compact(path, tensors, metadata)
    return path


@pytest.fixture(scope="module")
def captions():
    return Captions(16)


@pytest.fixture(scope="module", params=["short", "embedded"])
def plain(request, checkpoint, tmp_path_factory):
    """Return a compact file and the model that open_clip loads from its expanded form."""
    compact_path = checkpoint if request.param == "short" else tiny.WEIGHTS
    path = tmp_path_factory.mktemp("plain") / "plain.safetensors"
    write_plain(path, compact_path)
    open_clip.add_model_config(tiny.CONFIG)
    return compact_path, open_clip.create_model_and_transforms(
        tiny.ARCHITECTURE, pretrained=str(path)
    )


def test_same_seed_gives_the_same_file_and_another_seed_another(checkpoint, tmp_path):
    again, other = tmp_path / "again", tmp_path / "other"
    write_compact(again, *train(seed=0, **SHORT))
    write_compact(other, *train(seed=1, **SHORT))
    assert again.read_bytes() == checkpoint.read_bytes()
    assert other.read_bytes() != checkpoint.read_bytes()


def test_training_leaves_the_global_generator_and_threads_alone():
    state, threads = torch.get_rng_state(), torch.get_num_threads()
    train(seed=5, **{**SHORT, "steps": 1})
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.get_num_threads() == threads


def test_training_changes_every_tensor(checkpoint):
    before, _ = train(seed=0, **{**SHORT, "steps": 0})
    after, _ = read_compact(checkpoint)
    assert before.keys() == after.keys()
    for name in ("visual.conv1.weight", EMBEDDING, "text_projection", "visual.bn1.running_mean"):
        assert not torch.equal(before[name], after[name]), name


def test_open_clip_loads_the_plain_file_as_its_own_class_with_the_expanded_tensors(plain):
    compact_path, (model, _, _) = plain
    assert type(model) is open_clip.CLIP
    expected = expand(read_compact(compact_path)[0])
    state = model.state_dict()
    assert state.keys() == expected.keys()
    for name, tensor in expected.items():
        assert torch.equal(state[name], tensor), name


def test_plain_load_normalises_as_training_did(plain):
    _, (_, _, preprocess) = plain
    normalise = preprocess.transforms[-1]
    assert tuple(normalise.mean) == open_clip.OPENAI_DATASET_MEAN
    assert tuple(normalise.std) == open_clip.OPENAI_DATASET_STD


def test_a_full_embedding_reads_captions_as_the_compact_one_does(checkpoint, captions):
    tensors, _ = read_compact(checkpoint)
    full, small = expand(tensors), tensors[EMBEDDING].float()
    text = ["a photo of the number seven.", "the question mark."]
    tokens = open_clip.get_tokenizer(tiny.ARCHITECTURE)(text)
    assert torch.equal(full[EMBEDDING][tokens], small[captions(text)])


def test_expand_and_compact_are_inverse(checkpoint):
    tensors, _ = read_compact(checkpoint)
    again = compact(expand(tensors), tensors[TOKEN_IDS].long())
    assert again.keys() == tensors.keys()
    for name, tensor in tensors.items():
        assert again[name].dtype == tensor.dtype
        assert torch.equal(again[name], tensor), name


def test_expand_zeroes_exactly_the_tokens_never_seen(checkpoint):
    tensors, _ = read_compact(checkpoint)
    rows = expand(tensors)[EMBEDDING]
    assert rows.shape == (49408, 32)
    assert torch.equal(rows.any(dim=1).nonzero()[:, 0], tensors[TOKEN_IDS].long())


@pytest.mark.parametrize("missing", [TOKEN_IDS, EMBEDDING])
def test_expand_refuses_tensors_of_another_kind(checkpoint, missing):
    tensors, _ = read_compact(checkpoint)
    del tensors[missing]
    with pytest.raises(LpclipError, match="Not a compact"):
        expand(tensors)


def test_expand_refuses_ids_that_do_not_fit(checkpoint):
    tensors, _ = read_compact(checkpoint)
    tensors[TOKEN_IDS] = tensors[TOKEN_IDS][1:]
    with pytest.raises(LpclipError, match="one token id"):
        expand(tensors)


def test_a_truncated_or_missing_file_is_a_sentence(checkpoint, tmp_path):
    truncated = tmp_path / "truncated.safetensors"
    truncated.write_bytes(checkpoint.read_bytes()[:1000])
    with pytest.raises(LpclipError, match="not a readable safetensors file"):
        read_compact(truncated)
    with pytest.raises(LpclipError, match="no checkpoint"):
        read_compact(tmp_path / "none.safetensors")


def test_embedded_weights_are_small_and_hold_no_pickle():
    data = tiny.WEIGHTS.read_bytes()
    assert len(data) < 3.2e6
    assert not data.startswith((b"PK", b"\x80"))  # zip and pickle
    assert not any((tiny.CONFIG.parent).rglob("*.p*[tk]*l"))
    assert int.from_bytes(data[:8], "little") < len(data)  # safetensors: length of a JSON header
    assert data[8:9] == b"{"


def test_embedded_weights_know_rendered_digits():
    tensors, metadata = read_compact()
    assert '"seed": 0' in metadata["lpclip"]
    assert rendered_accuracy(tensors, DIGITS, seed=7, n=200) > 0.8


def test_every_character_has_masks_in_many_fonts_and_names():
    shapes = glyphs()
    assert CHARACTERS == DIGITS + LETTERS + SYMBOLS
    assert len(shapes.fonts) == len(CHARACTERS) == 82
    assert shapes.fonts.min() >= 16
    assert int(shapes.fonts.sum()) == len(shapes.masks)
    ink = shapes.masks.sum(dim=(1, 2))
    assert ink.min() > 20
    for character in CHARACTERS:
        assert phrases(character)


def test_every_caption_fits_the_context_and_the_vocabulary(captions):
    random = Random(0)
    tokenize = open_clip.get_tokenizer(tiny.ARCHITECTURE)
    texts = {
        caption(
            character,
            foreground=random.choice(list(COLOURS)),
            background=random.choice(list(COLOURS)),
            resolution=random.choice(RESOLUTIONS),
            noise=random.random() * 0.12,
            random=random,
        )
        for character in CHARACTERS
        for _ in range(20)
    }
    tokens = tokenize([*texts, *every_word()])
    end = int(captions.ids[-1])
    assert end == 49407
    assert bool((tokens == end).any(dim=1).all())
    assert not bool((tokens[:, -1] == end).any())  # nothing was truncated
    assert torch.isin(tokens, captions.ids).all()


def test_captions_name_digits_as_word_and_figure_and_say_only_what_is_true():
    random = Random(1)

    def texts(resolution, noise):
        return {
            caption(
                "7",
                foreground="red",
                background="white",
                resolution=resolution,
                noise=noise,
                random=random,
            )
            for _ in range(300)
        }

    clear, poor = texts(32, 0.0), texts(8, 0.1)
    assert {"seven" in text for text in clear} == {True, False}
    assert all("seven" in text or "7" in text for text in clear | poor)
    for word in ("blurry", "low resolution", "noisy"):
        assert not any(word in text for text in clear)
        assert any(word in text for text in poor)
    assert "the number 7 in red on a white background." in clear


def test_rendering_depends_on_the_generator_alone():
    masks = glyphs().masks[::300]
    first, style = render(masks, torch.Generator().manual_seed(3))
    again, _ = render(masks, torch.Generator().manual_seed(3))
    other, _ = render(masks, torch.Generator().manual_seed(4))
    assert first.shape == (len(masks), 3, 32, 32)
    assert first.min() >= 0
    assert first.max() <= 1
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert bool((style.foreground != style.background).all())


def test_low_resolution_counts_fill_the_frame_and_follow_the_distortion():
    masks = glyphs().masks[:100:9]
    straight, bent = (
        render_low_resolution(masks, torch.Generator().manual_seed(0), distortion=distortion)
        for distortion in (0.0, 1.0)
    )
    assert straight.shape == (len(masks), 8, 8)
    assert straight.dtype == torch.uint8
    assert straight.max() <= 16
    assert bool((straight.amax(dim=2) > 0).all())  # ink in every row, top to bottom
    assert not torch.equal(straight, bent)
