"""Where the model runs, and how precisely: decided here alone, the reason logged."""

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import torch

from model import distributed
from model.errors import UserError

FORMATS = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
TIMED_PRODUCTS = 8
# What the system, the CUDA runtime and its libraries say beside PyTorch's own error.
OUT_OF_MEMORY = ("not enough memory", "can't allocate memory", "out of memory", "ALLOC_FAILED")
logger = logging.getLogger(__name__)


@cache
def _say(line: str) -> None:
    """Log a choice once a process, however often it is made."""
    logger.info(line)


def check_device(wanted: str) -> None:
    """Check that the device for `wanted` is there.

    Raises:
        UserError: CUDA is asked for and absent.
    """
    if wanted == "cuda" and not torch.cuda.is_available():
        raise UserError("train.device is cuda, but PyTorch sees no CUDA device here: set train.device=cpu or auto")


def check_training_device(wanted: str, *, precision: str, processes: int) -> None:
    """Check that the device for `wanted` is there, computes in `precision`, and is there for each of the processes.

    Raises:
        UserError: one of these is not so.
    """
    check_device(wanted)
    gpus = 0 if wanted == "cpu" or not torch.cuda.is_available() else torch.cuda.device_count()
    if precision == "fp16" and not gpus:
        raise UserError("train.precision is fp16, which only GPUs compute in: set train.precision=auto")
    if 0 < gpus < processes:
        raise UserError(f"train.processes is above the {gpus} CUDA devices of this machine")


def choose_device(wanted: str = "auto", *, local_rank: int = 0) -> torch.device:
    """The device for `wanted` (auto, cpu, cuda).

    Raises:
        UserError: CUDA is asked for and absent, or there are more processes than devices.
    """
    check_training_device(wanted, precision="auto", processes=local_rank + 1)
    if wanted == "cpu" or not torch.cuda.is_available():
        _say(f"running on the CPU: {'asked for' if wanted == 'cpu' else 'PyTorch sees no CUDA device'}")
        return torch.device("cpu")
    device = torch.device("cuda", local_rank)
    torch.cuda.set_device(device)
    torch.set_float32_matmul_precision("high")  # the decoder's products in TF32
    _say(f"running on {torch.cuda.get_device_name(device)}: {'asked for' if wanted == 'cuda' else 'found'}")
    return device


def choose_precision(wanted: str, device: torch.device) -> torch.dtype:
    """The number format of training's matrix products for `wanted` (auto, fp32, bf16, fp16); see `Captioner.precision`.

    Raises:
        UserError: fp16 is asked for on a CPU.
    """
    reason = "asked for"
    if wanted == "auto":
        # Every process as the first: what is measured may differ.
        fast = distributed.first_says(_bf16_is_faster(device), device)
        wanted = "bf16" if fast else "fp16" if device.type == "cuda" else "fp32"
        reason = f"bfloat16 is {'' if fast else 'not '}faster on this {device.type}"
    elif wanted == "fp16" and device.type == "cpu":
        check_training_device("cpu", precision=wanted, processes=1)
    logger.info("training multiplies in %s: %s", wanted, reason)
    return FORMATS[wanted]


def as_before(kept: list[str] | None, chosen: torch.dtype, device: torch.device) -> torch.dtype:
    """The number format that an interrupted training goes on in: what was measured on a CPU then, not now.

    Args:
        kept: kind of device and format, as the checkpoint has it; None of an earlier release.
        chosen: by `choose_precision` now.
        device: of now.
    """
    before = {str(number_format): number_format for number_format in FORMATS.values()}
    if kept is None or kept[0] != "cpu" or device.type != "cpu" or kept[1] == str(chosen):
        return chosen
    logger.info("going on in %s, as the training began", kept[1].removeprefix("torch."))
    return before[kept[1]]


@cache
def _bf16_is_faster(device: torch.device) -> bool:
    """Whether the device computes in bfloat16 by itself, and gains by it.

    Of CPUs that can, some take twice as long as in float32 (Intel's without AMX) and some half as long, so it is
    measured: the fastest of a few products each, in turns, which the machine's other work does not change.
    """
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    capabilities: dict[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()  # older releases cannot tell
    if not (capabilities.get("avx512_bf16") or capabilities.get("amx_bf16")):
        return False
    times = [(_product_s(torch.bfloat16), _product_s(torch.float32)) for _ in range(TIMED_PRODUCTS)]
    return min(bf16_s for bf16_s, _ in times) < min(fp32_s for _, fp32_s in times)


def _product_s(number_format: torch.dtype) -> float:
    square = torch.ones(512, 512, dtype=number_format)
    start = time.perf_counter()
    torch.mm(square, square)
    return time.perf_counter() - start


@contextmanager
def out_of_memory_says(advice: str) -> Iterator[None]:
    """Turn the many forms of running out of memory into one line that says which setting to lower."""
    try:
        yield
    except (torch.OutOfMemoryError, MemoryError) as error:
        raise UserError(f"Out of memory: {advice}") from error
    except RuntimeError as error:
        if any(sign in str(error) for sign in OUT_OF_MEMORY):
            raise UserError(f"Out of memory: {advice}") from error
        raise
