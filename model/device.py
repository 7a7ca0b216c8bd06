"""Where the model runs, and how precisely: decided here alone, the reason logged."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from model.errors import UserError

DEVICES = ("auto", "cpu", "cuda")
PRECISIONS = ("auto", "fp32", "bf16", "fp16")
logger = logging.getLogger(__name__)


def choose_device(wanted: str = "auto", *, local_rank: int = 0) -> torch.device:
    """The device for `wanted` (auto, cpu, cuda).

    Raises:
        UserError: CUDA is asked for and absent.
    """
    available = torch.cuda.is_available()
    if wanted == "cuda" and not available:
        raise UserError("train.device is cuda, but PyTorch sees no CUDA device here: set train.device=cpu or auto")
    if wanted == "cpu" or not available:
        logger.info("running on the CPU: %s", "asked for" if wanted == "cpu" else "PyTorch sees no CUDA device")
        return torch.device("cpu")
    device = torch.device("cuda", local_rank)
    torch.cuda.set_device(device)
    torch.set_float32_matmul_precision("high")  # the decoder's products in TF32
    logger.info("running on %s: %s", torch.cuda.get_device_name(device), "asked for" if wanted == "cuda" else "found")
    return device


def choose_precision(wanted: str, device: torch.device) -> torch.dtype:
    """The encoder's number format for `wanted` (auto, fp32, bf16, fp16); the decoder always computes in float32."""
    if wanted == "auto":
        wanted = "fp32"
        if device.type == "cuda":
            wanted = "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp16"
    elif wanted != "fp32" and device.type == "cpu":
        raise UserError(f"train.precision is {wanted}, which only pays on a GPU: set train.precision=auto")
    logger.info("the encoder computes in %s", wanted)
    return {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}[wanted]


@contextmanager
def out_of_memory_says(advice: str) -> Iterator[None]:
    """Turn the many forms of running out of memory into one line that says which setting to lower."""
    try:
        yield
    except (torch.OutOfMemoryError, MemoryError) as error:
        raise UserError(f"Out of memory: {advice}") from error
    except RuntimeError as error:
        if "not enough memory" in str(error) or "can't allocate memory" in str(error):
            raise UserError(f"Out of memory: {advice}") from error
        raise
