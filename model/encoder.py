"""The encoder: a torchvision network without its head, giving one feature vector a position.

B batch, S picture side, N positions, D encoder.
"""

import math
from pathlib import Path

import safetensors.torch
import torch
import torchvision
from torch import Tensor, nn

from model.errors import UserError, first_line
from model.settings import EncoderConfig

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
PROBE_PX = 128  # height of the blank picture that shows how far a network shrinks its input
# What PyTorch says where a layer's input leaves it nothing, or a batch norm that learns a single value: one picture,
# as in a last batch, of one position.
TOO_SMALL = (
    "Output size is too small",
    "Kernel size can't be greater than actual input size",
    "Expected more than 1 value per channel when training",
)


class Encoder(nn.Module):
    """Pictures to features. Works on any picture size that leaves at least one position."""

    mean: Tensor
    std: Tensor

    def __init__(self, config: EncoderConfig, *, load_weights: bool = True) -> None:
        """Build the network and load its weights (not `load_weights`: they come from a model directory).

        Raises:
            UserError: the name is unknown or no encoder's, or the weights cannot be had or do not fit.
        """
        super().__init__()
        self.config = config
        network = _network(config.name)
        if load_weights and config.pretrained:
            _load(network, config)
        self.blocks, self.size = _cut(_blocks(network, config.name), config.max_stride_px, config.name)
        self.frozen = False
        self.register_buffer("mean", torch.tensor(IMAGENET_MEAN).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(IMAGENET_STD).view(1, 3, 1, 1), persistent=False)
        self.freeze(False)

    def freeze(self, frozen: bool) -> None:
        """Freeze all of the encoder, or only its first blocks (none of them if it learns from nothing)."""
        self.frozen = frozen
        kept = self.config.frozen_blocks if self.config.pretrained else 0
        for index, block in enumerate(self.blocks):
            block.requires_grad_(not frozen and index >= kept)
        self.train(self.training)

    def train(self, mode: bool = True) -> "Encoder":
        """As `nn.Module.train`, but what is frozen stays in evaluation mode, and so do pretrained batch norms."""
        super().train(mode)
        for block in self.blocks:
            if self.frozen or not any(parameter.requires_grad for parameter in block.parameters()):
                block.eval()
            elif self.config.pretrained:
                for module in block.modules():
                    if isinstance(module, nn.modules.batchnorm._BatchNorm):
                        module.eval()
        return self

    def forward(self, pictures: Tensor) -> tuple[Tensor, tuple[int, int]]:
        """Look at pictures.

        Args:
            pictures: (B, 3, S, S), uint8 RGB or float in 0 … 255.

        Returns:
            Features (B, N, D) and the network's own grid (rows, columns), N row by row.

        Raises:
            UserError: the pictures are too small to leave a position.
        """
        features = (pictures.float() / 255 - self.mean) / self.std
        features = features.contiguous(memory_format=torch.channels_last)
        try:
            for block in self.blocks:
                features = block(features)  # (B, C, rows, columns)
        except (RuntimeError, ValueError) as error:
            if not any(sign in str(error) for sign in TOO_SMALL):
                raise
            raise UserError(
                f"pictures of {pictures.shape[3]} px are too small for {self.config.name}: "
                "raise image.size_px (or train.small_first), or lower encoder.max_stride_px"
            ) from None
        rows, columns = features.shape[2:]
        return features.permute(0, 2, 3, 1).flatten(1, 2), (rows, columns)  # (B, D, rows, columns) -> (B, N, D)


def check_encoder(config: EncoderConfig) -> None:
    """Check that there is such a network and, if it is given, the file of its weights, without computing anything.

    Raises:
        UserError: the name is unknown or no encoder's, or the file is missing or holds no weights.
    """
    with torch.device("meta"):  # shapes alone
        Encoder(config, load_weights=False)
    if config.weights not in {"imagenet", "none"}:
        _file(Path(config.weights))


def _network(name: str) -> nn.Module:
    try:
        network: nn.Module = torchvision.models.get_model(name, weights=None)
    except ValueError:
        raise UserError(
            f"encoder.name is {name!r}, which torchvision does not have: try resnet101, resnet18 or squeezenet1_1"
        ) from None
    # networks that insist on arguments, or on a part's own weights, or that cannot be built without numbers
    except (TypeError, OSError, NotImplementedError):
        raise UserError(f"encoder.name is {name!r}, which cannot be an encoder: try resnet101") from None
    return network


def _blocks(network: nn.Module, name: str) -> list[nn.Module]:
    if isinstance(network, torchvision.models.ResNet):
        stem = nn.Sequential(network.conv1, network.bn1, network.relu, network.maxpool)
        return [stem, network.layer1, network.layer2, network.layer3, network.layer4]
    if isinstance(features := getattr(network, "features", None), nn.Sequential):
        return list(features)
    raise UserError(f"encoder.name is {name!r}, which is no ResNet and has no `.features`: try resnet101")


@torch.no_grad()
def _cut(blocks: list[nn.Module], max_stride_px: int, name: str) -> tuple[nn.ModuleList, int]:
    """The first blocks, as far as the stride allows, and the size D of their features."""
    features = torch.zeros(1, 3, PROBE_PX, 2 * PROBE_PX)
    kept: list[nn.Module] = []
    for block in blocks:
        try:
            after = block.eval()(features)
        except RuntimeError as error:  # made for videos
            raise UserError(f"encoder.name is {name!r}, which does not look at pictures: try resnet101") from error
        if after.ndim != 4 or round(after.shape[3] / after.shape[2]) != 2:  # not twice as wide as high any more
            raise UserError(f"encoder.name is {name!r}, whose features are no (channels, rows, columns): try resnet101")
        if 2 ** round(math.log2(PROBE_PX / after.shape[2])) > max_stride_px:
            break
        kept.append(block)
        features = after
    return nn.ModuleList(kept).to(memory_format=torch.channels_last).train(), features.shape[1]


def _load(network: nn.Module, config: EncoderConfig) -> None:
    state = _imagenet(config.name) if config.weights == "imagenet" else _file(Path(config.weights))
    state = {name: value.float() if value.is_floating_point() else value for name, value in state.items()}
    try:
        missing, _ = network.load_state_dict(state, strict=False)
    except RuntimeError as error:
        first = str(error).splitlines()[1].strip() if "\n" in str(error) else str(error)
        raise UserError(f"encoder.weights {config.weights} do not fit {config.name}: {first}") from None
    if missing := [name for name in missing if not name.startswith(("fc.", "classifier.", "head."))]:
        raise UserError(f"encoder.weights {config.weights} do not fit {config.name}: {missing[0]} is missing")


def _imagenet(name: str) -> dict[str, Tensor]:
    try:
        weights = torchvision.models.get_model_weights(name)["IMAGENET1K_V1"]
        state: dict[str, Tensor] = weights.get_state_dict(progress=False, check_hash=True, weights_only=True)
    except Exception as error:  # torch raises nearly anything on a damaged file, as one that was put there by hand
        raise UserError(
            f"ImageNet weights of {name} cannot be had ({first_line(error)}): "
            "give a local state-dict file as encoder.weights, or encoder.weights=none"
        ) from None
    return state


def _file(path: Path) -> dict[str, Tensor]:
    if not path.is_file():
        raise UserError(f"encoder.weights is {path}, which is no file: give imagenet, none or a state-dict file")
    try:
        if path.suffix == ".safetensors":
            return safetensors.torch.load_file(path)
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise UserError(f"encoder.weights {path} is no state-dict file: {first_line(error)}") from None
    # A training's checkpoint often holds the state dict under a name, beside other things.
    if not (isinstance(state, dict) and all(isinstance(n, str) and isinstance(v, Tensor) for n, v in state.items())):
        raise UserError(f"encoder.weights {path} is no state-dict file: it holds more than names and their tensors")
    return state
