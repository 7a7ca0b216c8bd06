import itertools
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import pytest
import torch

from model.augmentation import augment, views
from model.dataset import Batch, EpochBatches, Pictures, Split, read_splits
from model.errors import UserError
from model.store import PictureStore
from model.vocabulary import Vocabulary
from tests.model.parts import write_data


def read(data: Path, max_words: int = 50) -> tuple[PictureStore, Split, Split]:
    store = PictureStore(data / "train.h5")
    vocabulary = Vocabulary.load(data / "vocabulary.json")
    return store, *read_splits(store, data / "captions.parquet", vocabulary, max_words=max_words)[:2]


def epoch(store: PictureStore, split: Split, **changes: int) -> EpochBatches:
    settings = {"batch_size": 4, "seed": 1, "epoch": 1, "horizontal_flip": True, "rotation_degrees": 10, "jitter": 0.1}
    settings["view_px"] = store.info.size_px
    return EpochBatches(Pictures(store), split, **{**settings, **changes})  # type: ignore[arg-type]


def pairs(batches: EpochBatches) -> list[tuple[bytes, tuple[int, ...]]]:
    found = []
    for index in range(len(batches)):
        batch = batches[index]
        for row, length in enumerate(batch.lengths):
            found.append((batch.seen[row].numpy().tobytes(), tuple(batch.captions[row, :length].tolist())))
    return found


def test_an_epoch_holds_every_caption_once_beside_its_picture(tmp_path: Path) -> None:
    store, training, _ = read(write_data(tmp_path, train=10, references=3))
    expected = [
        (store.read([training.rows[owner]])[0].tobytes(), tuple(caption))
        for caption, owner in zip(training.captions, training.owner, strict=True)
    ]
    assert sorted(pairs(epoch(store, training))) == sorted(expected)
    assert len(expected) == 30


def test_captions_of_a_batch_fall_in_length_and_batches_hold_like_lengths(tmp_path: Path) -> None:
    store, training, _ = read(write_data(tmp_path, train=60))
    lengths = [epoch(store, training)[index].lengths for index in range(15)]
    assert all(one == sorted(one, reverse=True) for one in lengths)
    assert np.mean([max(one) - min(one) for one in lengths]) < 0.5
    longest = [max(one) for one in lengths]
    assert longest not in (sorted(longest), sorted(longest, reverse=True)), "long and short ones come by chance"


def test_epochs_differ_and_repeat(tmp_path: Path) -> None:
    store, training, _ = read(write_data(tmp_path, train=20))
    assert pairs(epoch(store, training)) == pairs(epoch(store, training))
    assert pairs(epoch(store, training)) != pairs(epoch(store, training, epoch=2))
    assert pairs(epoch(store, training)) != pairs(epoch(store, training, seed=2))


@pytest.mark.parametrize("processes", [2, 3])
def test_processes_share_each_batch_the_last_uneven_one_included(tmp_path: Path, processes: int) -> None:
    store, training, _ = read(write_data(tmp_path, train=13))
    whole = epoch(store, training)
    shares = [epoch(store, training, rank=rank, processes=processes) for rank in range(processes)]
    sizes = set()
    for index in range(len(whole)):
        batch = whole[index]
        parts = [share[index] for share in shares]
        assert sum(len(part.lengths) for part in parts if not part.idle) == len(batch.lengths) == batch.count
        assert {(part.words, part.count) for part in parts} == {(batch.words, batch.count)}
        assert batch.words == sum(batch.lengths) - len(batch.lengths)
        chances = [
            [
                (*row, *view.flatten().tolist())
                for *row, view in zip(one.pictures, one.flip.tolist(), one.view, strict=True)
            ]
            for one in [batch, *(part for part in parts if not part.idle)]
        ]
        assert sorted(chances[0]) == sorted(itertools.chain(*chances[1:]))
        sizes.add(len(batch.lengths))
    assert sizes == {4, 1}, "13 captions leave a last batch of one, in which some processes idle"


def test_every_caption_has_chances_of_its_own_that_its_source_is_told_and_its_picture_shows(tmp_path: Path) -> None:
    class Told:
        def read(self, rows: Any, flip: Any) -> Any:
            return np.stack([rows, flip], 1)

    store, training, _ = read(write_data(tmp_path, train=20, references=3))
    still = epoch(store, training, rotation_degrees=0, jitter=0)
    told = epoch(store, training)
    told.seen = Told()
    flips: dict[int, set[bool]] = {}
    views: dict[int, set[bytes]] = {}
    for index in range(len(told)):
        batch, shown = told[index], still[index]
        expected = [
            [training.rows[picture], mirror] for picture, mirror in zip(batch.pictures, batch.flip, strict=True)
        ]
        assert batch.seen.tolist() == expected
        for picture, mirror, view in zip(batch.pictures, batch.flip.tolist(), batch.view, strict=True):
            flips.setdefault(picture, set()).add(mirror)
            views.setdefault(picture, set()).add(view.numpy().tobytes())
        seen = shown.look(torch.device("cpu"), cached=False)
        pictures = store.read(training.rows[shown.pictures])
        mirrored = [one[:, :, ::-1] if mirror else one for one, mirror in zip(pictures, shown.flip, strict=True)]
        assert np.array_equal(seen.numpy(), np.stack(mirrored))
    assert {len(several) for several in flips.values()} == {1, 2}
    assert {len(several) for several in views.values()} == {3}


@pytest.mark.filterwarnings("ignore:This process")
def test_workers_give_what_the_process_itself_gives(tmp_path: Path) -> None:
    store, training, _ = read(write_data(tmp_path, train=20))
    batches = epoch(store, training)
    loader = torch.utils.data.DataLoader(batches, batch_size=None, num_workers=2, multiprocessing_context="forkserver")
    for index, batch in enumerate(loader):
        alone: Batch = batches[index]
        assert torch.equal(batch.seen, alone.seen)
        assert torch.equal(batch.captions, alone.captions)


def test_captions_over_the_limit_are_cut_counted_and_not_taught_to_end(tmp_path: Path) -> None:
    data = write_data(tmp_path, train=20)
    vocabulary = Vocabulary.load(data / "vocabulary.json")
    _, training, _ = read(data, max_words=4)
    long = [len(references[0]) > 4 for references in training.references]
    assert training.cut == sum(long) > 0
    assert [caption[-1] != vocabulary.end for caption in training.captions] == long
    assert max(len(caption) for caption in training.captions) == 5
    assert any(len(references[0]) == 5 for references in training.references), "references are never cut"


def test_pictures_and_captions_of_different_counts(tmp_path: Path) -> None:
    data = write_data(tmp_path)
    pd.read_parquet(data / "captions.parquet").iloc[:-1].to_parquet(data / "captions.parquet")
    with pytest.raises(UserError, match=r"captions of 13 training and validation pictures, .* has 14 pictures"):
        read(data)


@pytest.mark.parametrize(("column", "value"), [("record_id", "another"), ("split", "validation")])
def test_captions_of_other_pictures(tmp_path: Path, column: str, value: str) -> None:
    data = write_data(tmp_path)
    table = pd.read_parquet(data / "captions.parquet")
    table.loc[3, column] = value
    table.to_parquet(data / "captions.parquet")
    with pytest.raises(UserError, match="different records"):
        read(data)


def test_the_digest_is_of_the_words_that_are_learned_and_not_of_the_test_products(tmp_path: Path) -> None:
    data = write_data(tmp_path)
    store, vocabulary = PictureStore(data / "train.h5"), Vocabulary.load(data / "vocabulary.json")
    table = pd.read_parquet(data / "captions.parquet")
    tested = pd.DataFrame([{**table.iloc[0], "record_id": "tested", "split": "test"}])
    other = table.assign(tokens=table["tokens"].map(lambda _: [["blue"]]))
    digests = []
    for number, one in enumerate([table, pd.concat([tested, table]), other]):
        one.to_parquet(tmp_path / f"{number}.parquet")
        digests.append(read_splits(store, tmp_path / f"{number}.parquet", vocabulary, max_words=50)[2])
    assert digests[0] == digests[1] != digests[2]


def test_of_several_captions_the_first_is_the_one_that_each_picture_keeps(tmp_path: Path) -> None:
    store, training, _ = read(write_data(tmp_path, train=9, references=3))
    one = training.one_caption_each()
    assert one.captions == training.captions[::3]
    assert one.owner.tolist() == list(range(9))
    assert sorted(pairs(epoch(store, one))) == sorted(
        (store.read([row])[0].tobytes(), tuple(caption))
        for row, caption in zip(training.rows, training.captions[::3], strict=True)
    )


@pytest.mark.parametrize(("train", "validation", "name"), [(0, 4, "train"), (4, 0, "validation")])
def test_an_empty_split(tmp_path: Path, train: int, validation: int, name: str) -> None:
    data = write_data(tmp_path / "whole")
    empty = write_data(tmp_path / "empty", train=max(train, 1), validation=validation)
    if not train:
        table = pd.read_parquet(empty / "captions.parquet")
        table["split"] = "validation"
        table.to_parquet(empty / "captions.parquet")
        with h5py.File(empty / "train.h5", "r+") as file:
            file["split"][:] = "validation"
    (empty / "vocabulary.json").write_bytes((data / "vocabulary.json").read_bytes())
    with pytest.raises(UserError, match=f"has no {name} pictures: raise sample.{name}"):
        read(empty)


def test_a_missing_picture_file(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="does not exist: run the data stages"):
        PictureStore(tmp_path / "train.h5")


@pytest.mark.parametrize("kept", [0.0, 0.1, 0.5, 0.99])
def test_a_picture_file_cut_short(tmp_path: Path, kept: float) -> None:
    path = write_data(tmp_path) / "train.h5"
    whole = path.read_bytes()
    path.write_bytes(whole[: int(kept * len(whole))])
    with pytest.raises(UserError, match=r"train\.h5 cannot be read .* delete it and run the data stages again"):
        PictureStore(path)


def test_a_picture_file_of_another_schema_version(tmp_path: Path) -> None:
    path = write_data(tmp_path) / "train.h5"
    with h5py.File(path, "r+") as file:
        file.attrs["schema_version"] = 99
    with pytest.raises(UserError, match="99"):
        PictureStore(path)


@pytest.mark.parametrize(("shape", "kind"), [((14, 3, 32, 32), "f4"), ((14, 32, 32), "u1"), ((14, 3, 16, 16), "u1")])
def test_a_picture_file_whose_pictures_are_not_as_it_says(tmp_path: Path, shape: tuple[int, ...], kind: str) -> None:
    path = write_data(tmp_path) / "train.h5"
    with h5py.File(path, "r+") as file:
        del file["images"]
        file.create_dataset("images", shape, dtype=kind)
    with pytest.raises(UserError, match=r"its pictures (are no bytes|have the shape)"):
        PictureStore(path)


def test_mirroring_is_exact_and_turning_by_nothing_changes_nothing() -> None:
    pictures = torch.randint(0, 256, (3, 3, 8, 8), dtype=torch.uint8)
    flip = torch.tensor([True, False, True])
    out = augment(pictures, flip, view(), view_px=8)
    assert out.dtype == torch.uint8
    assert torch.equal(out[0], pictures[0].flip(2))
    assert torch.equal(out[1], pictures[1])
    turned = augment(pictures, torch.zeros(3, dtype=torch.bool), view(turn_degrees=[0, 90, 0]), view_px=8)
    torch.testing.assert_close(turned[1], torch.rot90(pictures[1], 1, (1, 2)).float(), rtol=0, atol=0.01)
    torch.testing.assert_close(turned[2], pictures[2].float(), rtol=0, atol=0.01)


def test_a_view_is_moved_by_its_shift_and_enlarged_by_its_zoom() -> None:
    pictures = torch.randint(0, 256, (3, 3, 8, 8), dtype=torch.uint8)
    none = torch.zeros(3, dtype=torch.bool)
    # by an eighth and a quarter of the side
    moved = augment(pictures, none, view(shift=[(0, 0), (0.25, 0), (0, -0.5)]), view_px=8)
    torch.testing.assert_close(moved[1, :, :, :7], pictures[1, :, :, 1:].float(), rtol=0, atol=0.01)
    torch.testing.assert_close(moved[2, :, 2:], pictures[2, :, :6].float(), rtol=0, atol=0.01)
    enlarged = augment(pictures, none, view(zoom=[1, 0.5, 1]), view_px=8)
    middle = torch.nn.functional.interpolate(pictures.float(), scale_factor=2, mode="bilinear")[1, :, 4:12, 4:12]
    torch.testing.assert_close(enlarged[1], middle, rtol=0, atol=0.01)


def test_a_smaller_view_shows_the_whole_picture_smaller() -> None:
    pictures = torch.randint(0, 256, (3, 3, 8, 8), dtype=torch.uint8)
    flip = torch.tensor([True, False, False])
    half = augment(pictures, flip, view(), view_px=4)
    means = torch.nn.functional.avg_pool2d(pictures.float(), 2)
    torch.testing.assert_close(half[0], means[0].flip(2), rtol=0, atol=0.01)
    torch.testing.assert_close(half[1:], means[1:], rtol=0, atol=0.01)


def view(turn_degrees: Any = (0, 0, 0), zoom: Any = (1, 1, 1), shift: Any = ((0, 0),) * 3) -> torch.Tensor:
    return torch.from_numpy(views(np.array(turn_degrees, float), np.array(zoom, float), np.array(shift, float)))
