"""Names of the user's files and folders are not shared."""

import json

import numpy as np

from lpclip.cli.hub.provenance import shared_provenance


def test_names_of_files_are_not_shared():
    shared = shared_provenance(
        {
            "architecture": "local-dir:/home/somebody/models/mine",
            "pretrained": "/home/somebody/mine.safetensors",
            "weights": "abc",
            "force_image_size": np.int64(0),
            "method": "guarded",
            "made_from": "../../cache/somebody",
        }
    )
    assert "somebody" not in json.dumps(shared)
    assert shared == {
        "architecture": "local-dir:mine",
        "pretrained": "mine.safetensors",
        "weights": "abc",
        "force_image_size": 0,
        "method": "guarded",
    }


def test_a_tag_of_open_clip_stays():
    about = {"architecture": "hf-hub:org/name", "pretrained": "laion2b_s34b_b79k"}
    assert shared_provenance(about) == about
