from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
import torchvision

from model.captioner import Captioner
from model.encoder import Encoder, check_encoder
from model.errors import UserError
from model.grid import attention_grid
from model.settings import DecoderConfig, EncoderConfig

TINY = EncoderConfig(name="resnet18", weights="none", grid=0)


@pytest.fixture(scope="session")
def resnet18_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("weights") / "resnet18.safetensors"
    state = torchvision.models.resnet18().state_dict()
    safetensors.torch.save_file({n: v.half() if v.is_floating_point() else v for n, v in state.items()}, path)
    return path


@pytest.mark.parametrize(
    ("name", "max_stride_px", "size", "side"),
    [
        ("resnet18", 32, 512, 2),
        ("resnet18", 16, 256, 4),
        ("resnet18", 8, 128, 8),
        ("squeezenet1_1", 32, 512, 3),
        ("mobilenet_v3_small", 32, 576, 2),
        ("mobilenet_v3_small", 16, 48, 4),
        ("efficientnet_b0", 16, 112, 4),
    ],
)
def test_networks_are_cut_by_one_rule(name: str, max_stride_px: int, size: int, side: int) -> None:
    encoder = Encoder(replace(TINY, name=name, max_stride_px=max_stride_px)).eval()
    features, own = encoder(torch.zeros(1, 3, 64, 64, dtype=torch.uint8))
    assert (encoder.size, own, features.shape) == (size, (side, side), (1, side * side, size))


@pytest.mark.parametrize(("height", "width"), [(64, 64), (97, 64), (33, 150)])
def test_any_picture_size_comes_to_the_attention_grid(height: int, width: int) -> None:
    encoder = Encoder(TINY).eval()
    features, own = encoder(torch.zeros(2, 3, height, width, dtype=torch.uint8))
    grid = attention_grid(features, own, 5)
    assert grid.pooled().shape == (2, 25, 512)


@pytest.mark.parametrize(("grid", "max_stride_px"), [(14, 32), (2, 8), (0, 32)])  # larger, smaller, its own
def test_an_encoder_that_learns_in_bfloat16_gives_its_decoder_float32(grid: int, max_stride_px: int) -> None:
    encoder = EncoderConfig(name="resnet18", weights="none", grid=grid, max_stride_px=max_stride_px)
    captioner = Captioner(encoder=encoder, decoder=DecoderConfig(hidden_size=8), vocabulary_size=20).train()
    captioner.precision = torch.bfloat16
    pictures = torch.randint(0, 256, (2, 3, 64, 64), dtype=torch.uint8)
    assert captioner.grid(pictures).features.dtype == torch.float32
    taught = captioner(pictures, torch.ones(2, 5, dtype=torch.long), [5, 4])
    taught.logits.sum().backward()
    assert all(one.grad is None or one.grad.isfinite().all() for one in captioner.parameters())


def test_positions_stand_row_by_row() -> None:
    encoder = Encoder(replace(TINY, max_stride_px=8)).eval()
    picture = torch.zeros(1, 3, 64, 64, dtype=torch.uint8)
    marked = picture.clone()
    marked[:, :, 48:, 8:16] = 255
    change = (encoder(marked)[0] - encoder(picture)[0]).abs().sum(-1).view(8, 8)
    assert divmod(int(change.argmax()), 8) in {(row, column) for row in (6, 7) for column in (0, 1, 2)}


def test_the_networks_head_less_output_is_torchvisions(resnet18_file: Path) -> None:
    encoder = Encoder(replace(TINY, weights=str(resnet18_file))).eval()
    network = torchvision.models.resnet18()
    network.load_state_dict(
        {n: v.float() if v.is_floating_point() else v for n, v in safetensors.torch.load_file(resnet18_file).items()}
    )
    body = torch.nn.Sequential(*list(network.eval().children())[:-2])
    picture = torch.randint(0, 256, (2, 3, 64, 64), dtype=torch.uint8)
    normalised = (picture / 255 - encoder.mean) / encoder.std
    with torch.no_grad():
        expected = body(normalised).flatten(2).transpose(1, 2)
        torch.testing.assert_close(encoder(picture)[0], expected, rtol=1e-4, atol=1e-5)


def statistics(encoder: Encoder) -> dict[str, torch.Tensor]:
    return {name: buffer.clone() for name, buffer in encoder.named_buffers() if "running" in name}


def test_batch_norm_statistics_of_given_weights_never_move(resnet18_file: Path) -> None:
    encoder = Encoder(replace(TINY, weights=str(resnet18_file))).train()
    before = statistics(encoder)
    encoder(torch.randint(0, 256, (4, 3, 64, 64), dtype=torch.uint8))[0].sum().backward()
    torch.testing.assert_close(statistics(encoder), before, rtol=0, atol=0)
    trained = {name.split(".")[1] for name, parameter in encoder.named_parameters() if parameter.grad is not None}
    assert trained == {"2", "3", "4"}, "stem and layer1 stay frozen, layers 2 to 4 are fine-tuned"


def test_an_encoder_from_nothing_trains_everything_statistics_included() -> None:
    encoder = Encoder(TINY).train()
    before = statistics(encoder)
    encoder(torch.randint(0, 256, (4, 3, 64, 64), dtype=torch.uint8))[0].sum().backward()
    assert all(parameter.grad is not None for parameter in encoder.parameters())
    assert not any(torch.equal(value, before[name]) for name, value in statistics(encoder).items())


def test_a_frozen_encoder_takes_no_gradient_and_stays_in_evaluation_mode(resnet18_file: Path) -> None:
    encoder = Encoder(replace(TINY, weights=str(resnet18_file))).train()
    encoder.freeze(True)
    encoder.train()
    assert not any(parameter.requires_grad for parameter in encoder.parameters())
    assert not any(block.training for block in encoder.blocks)
    encoder.freeze(False)
    assert any(parameter.requires_grad for parameter in encoder.parameters())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"name": "resnet19"}, r"encoder\.name is 'resnet19'"),
        ({"name": "vit_b_16"}, r"no ResNet and has no `\.features`"),
        ({"name": "regnet_y_400mf"}, r"encoder\.name is 'regnet_y_400mf', which "),
        ({"name": "s3d"}, r"encoder\.name is 's3d', which does not look at pictures"),
        ({"name": "swin_t"}, r"swin_t', whose features are no \(channels, rows, columns\)"),
        ({"weights": "/nowhere/weights.pt"}, r"/nowhere/weights\.pt, which is no file"),
    ],
)
def test_a_wrong_network_is_one_clear_line(changes: dict[str, Any], message: str) -> None:
    for look in (Encoder, check_encoder):
        with pytest.raises(UserError, match=message):
            look(replace(TINY, **changes))


def test_a_network_is_known_without_its_numbers(resnet18_file: Path) -> None:
    before = torch.get_rng_state()
    check_encoder(replace(TINY, name="resnet101", weights="imagenet"))
    check_encoder(replace(TINY, weights=str(resnet18_file)))
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize(("name", "side"), [("squeezenet1_1", 8), ("alexnet", 32)])
def test_pictures_that_leave_no_position_are_one_clear_line(name: str, side: int) -> None:
    with pytest.raises(UserError, match=rf"pictures of {side} px are too small for {name}: raise image\.size_px"):
        Encoder(replace(TINY, name=name, max_stride_px=32))(torch.zeros(1, 3, side, side))


def test_one_picture_of_one_position_that_a_batch_norm_cannot_learn_from_is_one_clear_line() -> None:
    encoder = Encoder(TINY).train()
    encoder(torch.zeros(2, 3, 32, 32))
    with pytest.raises(UserError, match=r"pictures of 32 px are too small for resnet18: raise image\.size_px"):
        encoder(torch.zeros(1, 3, 32, 32))


def test_weights_of_another_network_are_one_clear_line(resnet18_file: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="do not fit resnet50"):
        Encoder(replace(TINY, name="resnet50", weights=str(resnet18_file)))
    torch.save({"conv1.weight": torch.zeros(64, 3, 7, 7)}, tmp_path / "half.pt")
    with pytest.raises(UserError, match="is missing"):
        Encoder(replace(TINY, weights=str(tmp_path / "half.pt")))
    (tmp_path / "text.safetensors").write_text("no weights")
    with pytest.raises(UserError, match="is no state-dict file"):
        Encoder(replace(TINY, weights=str(tmp_path / "text.safetensors")))


@pytest.mark.parametrize("name", ["state_dict", "list", "number"])
def test_a_file_that_holds_more_or_less_than_a_state_dict_is_one_clear_line(tmp_path: Path, name: str) -> None:
    tensors = {"conv1.weight": torch.zeros(64, 3, 7, 7)}
    torch.save({"state_dict": {"state_dict": tensors, "epoch": 3}, "list": [1], "number": 1}[name], tmp_path / "it.pt")
    for look in (Encoder, check_encoder):
        with pytest.raises(
            UserError, match=r"it\.pt is no state-dict file: it holds more than names and their tensors"
        ):
            look(replace(TINY, weights=str(tmp_path / "it.pt")))


@pytest.mark.parametrize("damaged", [b"", b"<html>\n<title>404</title>\n", b"PK\x03\x04 cut short"])
def test_a_damaged_file_of_imagenet_weights_is_one_clear_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, damaged: bytes
) -> None:
    """Put there by hand, as where there is no network: what was downloaded is checked then."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    name = Path(torchvision.models.get_model_weights("resnet18")["IMAGENET1K_V1"].url).name
    (tmp_path / "hub" / "checkpoints").mkdir(parents=True)
    (tmp_path / "hub" / "checkpoints" / name).write_bytes(damaged)
    with pytest.raises(UserError, match="ImageNet weights of resnet18 cannot be had") as refused:
        Encoder(EncoderConfig(name="resnet18", weights="imagenet"))
    assert "\n" not in str(refused.value)
