import os
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from model.encoder import Encoder
from model.errors import RunError, UserError
from model.features import FeatureCache, cached_features
from model.files import PARTIAL_SUFFIX
from model.grid import attention_grid
from model.settings import EncoderConfig
from model.store import PictureStore
from tests.model.parts import ENCODER, write_data


def cache(data: Path, folder: Path, *, seed: int = 0, mirrored: bool = True) -> tuple[FeatureCache, Encoder, list[str]]:
    torch.manual_seed(seed)
    encoder = Encoder(replace(ENCODER, grid=0))
    steps: list[str] = []
    store = PictureStore(data / "train.h5")
    found = cached_features(folder, encoder, store, mirrored=mirrored, on_progress=lambda step, *_: steps.append(step))
    return found, encoder, steps


def test_the_cache_holds_what_the_encoder_sees_mirrored_or_not(tmp_path: Path) -> None:
    data = write_data(tmp_path / "data")
    found, encoder, _ = cache(data, tmp_path / "features")
    rows, flip = np.array([3, 0, 13]), np.array([False, True, False])
    pictures = torch.from_numpy(PictureStore(data / "train.h5").read(rows))
    pictures[1] = pictures[1].flip(2)
    with torch.no_grad():
        expected, own = encoder.eval()(pictures)
    assert found.own == own
    np.testing.assert_allclose(found.read(rows, flip), expected.numpy(), rtol=2e-3, atol=1e-3)


def test_a_smaller_attention_grid_is_pooled_before_it_is_kept(tmp_path: Path) -> None:
    store = PictureStore(write_data(tmp_path / "data") / "train.h5")
    encoder = Encoder(EncoderConfig(name="resnet18", weights="none", grid=2, max_stride_px=8))
    found = cached_features(tmp_path, encoder, store, mirrored=False, on_progress=lambda *_: None)
    assert found.own == (2, 2)
    rows = np.array([3, 0])
    with torch.no_grad():
        features, own = encoder(torch.from_numpy(store.read(rows)))
        expected = attention_grid(features, own, 2).pooled()
    np.testing.assert_allclose(found.read(rows, rows < 0), expected.numpy(), rtol=2e-3, atol=1e-3)


def test_features_are_computed_once_and_what_a_killed_run_left_of_them_goes(tmp_path: Path) -> None:
    data = write_data(tmp_path / "data")
    found, _, steps = cache(data, tmp_path / "features")
    assert steps
    found.path.rename(found.path.with_name(f".{found.path.name}.1{PARTIAL_SUFFIX}"))
    assert cache(data, tmp_path / "features")[2]
    assert len(list((tmp_path / "features").iterdir())) == 2
    assert not cache(data, tmp_path / "features")[2]


@pytest.mark.parametrize("suffix", [".npy", ".json"])
@pytest.mark.parametrize("kept", [0, 0.5])
def test_a_cache_that_was_cut_short_is_computed_again(tmp_path: Path, suffix: str, kept: float) -> None:
    data = write_data(tmp_path / "data")
    whole = cache(data, tmp_path / "features")[0].path.read_bytes()
    (damaged,) = (tmp_path / "features").glob(f"*{suffix}")
    content = damaged.read_bytes()
    damaged.write_bytes(content[: int(len(content) * kept)])
    found, _, steps = cache(data, tmp_path / "features")
    assert steps
    assert found.path.read_bytes() == whole


def test_other_weights_or_other_pictures_are_another_cache(tmp_path: Path) -> None:
    data = write_data(tmp_path / "data")
    paths = {cache(data, tmp_path / "features")[0].path, cache(data, tmp_path / "features", seed=1)[0].path}
    shutil.rmtree(data)
    paths.add(cache(write_data(tmp_path / "data", seed=5), tmp_path / "features")[0].path)
    assert len(paths) == 3


def test_mirrored_pictures_too_are_another_cache_and_the_same_weights_under_another_name_are_not(
    tmp_path: Path,
) -> None:
    data = write_data(tmp_path / "data")
    found, encoder, _ = cache(data, tmp_path / "features", mirrored=False)
    both, _, steps = cache(data, tmp_path / "features", mirrored=True)
    assert (steps != [], both.path != found.path) == (True, True)
    rows = np.arange(3)
    assert not np.array_equal(both.read(rows, rows < 3), both.read(rows, rows < 0))
    encoder.config = replace(encoder.config, weights="elsewhere.safetensors")
    store = PictureStore(data / "train.h5")
    again = cached_features(tmp_path / "features", encoder, store, mirrored=False, on_progress=lambda *_: None)
    assert again.path == found.path


def test_features_that_half_precision_does_not_hold_are_one_clear_line_and_leave_no_cache(tmp_path: Path) -> None:
    store = PictureStore(write_data(tmp_path / "data") / "train.h5")
    encoder = Encoder(replace(ENCODER, grid=0))
    next(encoder.parameters()).data.fill_(1e6)
    with pytest.raises(RunError, match=r"do not fit half precision.*set train\.cache_features=false"):
        cached_features(tmp_path / "features", encoder, store, mirrored=False, on_progress=lambda *_: None)
    assert not list((tmp_path / "features").iterdir())


def test_the_same_weights_cut_elsewhere_are_another_cache(tmp_path: Path) -> None:
    """What is cut from AlexNet between these strides is a pooling without weights."""
    data = write_data(tmp_path / "data", size_px=64)
    store = PictureStore(data / "train.h5")
    paths = set()
    for max_stride_px in (8, 16):
        torch.manual_seed(0)
        encoder = Encoder(EncoderConfig(name="alexnet", weights="none", grid=0, max_stride_px=max_stride_px))
        found = cached_features(tmp_path / "features", encoder, store, mirrored=False, on_progress=lambda *_: None)
        paths.add(found.path)
    assert len(paths) == 2


def test_too_little_room_says_how_much_is_needed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(1, 1, 100))
    with pytest.raises(UserError, match=r"0\.0 GB free, the frozen encoder's features need .* GB: make room, or set"):
        cache(write_data(tmp_path / "data"), tmp_path / "features")
    assert not list((tmp_path / "features").iterdir())


@pytest.mark.skipif(not hasattr(os, "posix_fallocate"), reason="this system cannot reserve room for a file")
def test_the_cache_has_all_its_room_from_the_beginning(tmp_path: Path) -> None:
    """A page that finds the disk full when it is written ends the process without a word."""
    store = PictureStore(write_data(tmp_path / "data", train=60, size_px=64) / "train.h5")
    sizes: list[tuple[int, int]] = []

    def look(*_: object) -> None:
        (partial,) = tmp_path.glob(f".features-*{PARTIAL_SUFFIX}")
        sizes.append((partial.stat().st_blocks * 512, partial.stat().st_size))

    cached_features(tmp_path, Encoder(replace(ENCODER, grid=0)), store, mirrored=True, on_progress=look)
    assert len(sizes) == 2
    assert all(taken >= size for taken, size in sizes)
