"""Several processes, started by `torchrun`; alone, every function here does nothing or gives back what it got."""

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import timedelta

import torch
import torch.distributed as torch_distributed
from torch import Tensor

# The others wait while the first computes a frozen encoder's features; one that dies is seen at once, not by this.
LONGEST_WAIT = timedelta(days=2)
MEETING = "EC_DESCR_GEN_MEETING"  # names where the processes of one machine meet: file://PATH


def rank() -> int:
    """This process's number among all."""
    return torch_distributed.get_rank() if torch_distributed.is_initialized() else 0


def processes() -> int:
    """How many processes train together."""
    return torch_distributed.get_world_size() if torch_distributed.is_initialized() else 1


def local_rank() -> int:
    """This process's number on its machine."""
    return int(os.environ.get("LOCAL_RANK", "0"))


def started() -> bool:
    """Whether `torchrun` started this process."""
    return "TORCHELASTIC_RUN_ID" in os.environ


@contextmanager
def joined(device: torch.device) -> Iterator[None]:
    """Join the processes that `torchrun` started, for as long as the block runs.

    One that fails does not leave the others, as NCCL would wait for them, and they for it: it ends.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) == 1 or torch_distributed.is_initialized():
        yield
        return
    torch_distributed.init_process_group(
        "nccl" if device.type == "cuda" else "gloo",
        timeout=LONGEST_WAIT,
        init_method=os.environ.get(MEETING, "env://"),
        rank=int(os.environ["RANK"]),
        world_size=int(os.environ["WORLD_SIZE"]),
    )
    yield
    torch_distributed.destroy_process_group()


def barrier() -> None:
    """Wait for all processes."""
    if processes() > 1:
        torch_distributed.barrier()


def total(values: list[float], device: torch.device) -> list[float]:
    """Sum each value over all processes."""
    if processes() == 1:
        return values
    tensor = torch.tensor(values, dtype=torch.float64, device=device)
    torch_distributed.all_reduce(tensor)
    summed: list[float] = tensor.tolist()
    return summed


def gather_rows(rows: Tensor) -> Tensor:
    """Rows (n, …) of all processes, as many from each: row i of process r stands at i · processes + r."""
    if processes() == 1:
        return rows
    parts = [torch.empty_like(rows) for _ in range(processes())]
    torch_distributed.all_gather(parts, rows.contiguous())
    return torch.stack(parts, 1).flatten(0, 1)


def first_says(value: bool, device: torch.device) -> bool:
    """What the first process says."""
    if processes() == 1:
        return value
    tensor = torch.tensor(int(value), device=device)
    torch_distributed.broadcast(tensor, 0)
    return bool(tensor)


def first_gives(tensors: Iterable[Tensor]) -> None:
    """Every process takes the values that the first has."""
    if processes() > 1:
        for tensor in tensors:
            torch_distributed.broadcast(tensor, 0)


@contextmanager
def first_before_others() -> Iterator[None]:
    """The first process runs the block before the others do."""
    if rank():
        barrier()
    yield
    if not rank():
        barrier()
