"""A GPU where there is none: tensors that say they are on cuda:0, and are computed on the CPU.

What a GPU refuses fails here too: operations on tensors of both devices, NumPy on the GPU's. How often the program
would wait for the GPU is counted. How fast a GPU is, and how it rounds, is not to be learned here.

Every tensor of the pretended GPU wraps one of the CPU. To PyTorch's own code in C++ it is on `meta`, the one device
beside the CPU that needs no driver; to Python it says cuda:0. All operations pass through `_run`.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, ClassVar
from unittest.mock import patch

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode, return_and_correct_aliasing
from torch.utils._pytree import tree_leaves, tree_map

from model.device import _bf16_is_faster
from model.grid import pooling_map

GPU = torch.device("cuda", 0)
# They copy from one device to the other, or take lengths or places from the CPU.
OF_BOTH = {"copy_", "_to_copy", "index", "index_put_", "_index_put_impl_", "_pack_padded_sequence"}
OF_BOTH |= {"_pack_padded_sequence_backward"}
WAITS = {"_local_scalar_dense", "nonzero", "masked_select", "equal"}


class OnGpu(Tensor):
    """A tensor of the pretended GPU."""

    held: Tensor
    waits: ClassVar[list[str]] = []  # operations whose result the CPU must know: it waits until the GPU has come so far
    __torch_function__ = torch._C._disabled_torch_function_impl  # type: ignore[assignment]

    @staticmethod
    def __new__(cls, held: Tensor) -> "OnGpu":
        made: OnGpu = Tensor._make_wrapper_subclass(
            cls, held.size(), strides=held.stride(), storage_offset=held.storage_offset(), dtype=held.dtype,
            device=torch.device("meta"),
        )  # fmt: skip
        made.held = held
        return made

    @classmethod
    def __torch_dispatch__(cls, operation: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:  # type: ignore[override]
        return _run(operation, args, kwargs or {})

    device = property(lambda _: GPU)
    is_cuda = property(lambda _: True)
    is_meta = property(lambda _: False)

    def __repr__(self) -> str:  # type: ignore[override]
        return f"OnGpu({self.held!r})"

    def __reduce_ex__(self, protocol: Any) -> Any:
        held: Any = self.held.detach().clone()  # `torch.load` puts it where it is asked to
        return held.__reduce_ex__(protocol)

    def __getitem__(self, key: Any) -> Any:
        return super().__getitem__(_moved(key))

    def __setitem__(self, key: Any, value: Any) -> None:
        super().__setitem__(_moved(key), value)

    def tolist(self) -> Any:
        self.waits.append("tolist")
        return self.held.tolist()

    def numpy(self, *_: Any, **__: Any) -> Any:
        raise TypeError("can't convert cuda:0 device type tensor to numpy")

    def __array__(self, *_: Any, **__: Any) -> Any:
        return self.numpy()


def _moved(key: Any) -> Any:
    """Lists among places, as tensors of the GPU: PyTorch does so itself, but for this one it would choose `meta`."""
    if isinstance(key, tuple):
        return tuple(map(_moved, key))
    return torch.tensor(key).to(GPU) if isinstance(key, list) else key


def _run(operation: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    """An operation of PyTorch, on either device."""
    name = operation._schema.name.partition("::")[2]
    tensors = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
    on_gpu = [isinstance(tensor, OnGpu) for tensor in tensors]
    if any(on_gpu):
        alone = all(on_gpu) or all(there or not tensor.dim() for there, tensor in zip(on_gpu, tensors, strict=True))
        if not alone and (name not in OF_BOTH or (name.startswith("index") and not on_gpu[0])):
            raise RuntimeError(f"{name}: expected all tensors to be on the same device, {on_gpu} are on cuda:0")
        to_cpu = name == "_to_copy" and str(kwargs.get("device", GPU)) == "cpu"
        if name in WAITS or to_cpu:
            OnGpu.waits.append(name)
    wanted = kwargs.get("device")
    made_on_gpu = any(on_gpu) if wanted is None else torch.device(wanted).type in {"cuda", "meta"}
    if name == "copy_":
        made_on_gpu = on_gpu[0]
    if made_on_gpu and wanted is not None:
        kwargs = {**kwargs, "device": torch.device("cpu"), "pin_memory": False}
    result = operation(*tree_map(_real, args), **tree_map(_real, kwargs))
    if not made_on_gpu:
        return result
    if name == "_pack_padded_sequence":  # the lengths stay on the CPU
        return OnGpu(result[0]), result[1]
    result = tree_map(lambda value: OnGpu(value) if isinstance(value, Tensor) else value, result)
    # A view, or what was changed in place, is to be known as such.
    return return_and_correct_aliasing(operation, args, kwargs, result) if any(on_gpu) else result  # type: ignore[no-untyped-call]


def _real(value: Any) -> Any:
    return value.held if isinstance(value, OnGpu) else value


class _Everything(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Also operations that take no tensor, as those that make one."""

    def __torch_dispatch__(self, operation: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _run(operation, args, kwargs or {})


@contextmanager
def pretended_gpu() -> Iterator[list[str]]:
    """PyTorch has one GPU for as long as the block runs. Gives the operations that waited for it."""
    make, load, prepare = torch.tensor, torch.load, torch.utils.data.DataLoader.__init__

    def tensor(data: Any, *, device: Any = None, **settings: Any) -> Tensor:
        made: Tensor = make(data, **settings)
        return made if device is None else made.to(device)

    def loaded(file: Any, *, map_location: Any, **settings: Any) -> Any:  # where it was saved may not be here
        found = load(file, map_location="cpu", **settings)
        return tree_map(lambda value: value.to(map_location) if isinstance(value, Tensor) else value, found)

    def unpinned(*args: Any, **settings: Any) -> None:
        prepare(*args, **{**settings, "pin_memory": False})

    def answers(value: Any) -> Callable[..., Any]:
        return lambda *_, **__: value

    OnGpu.waits = []
    overwritten = torch.__future__.get_overwrite_module_params_on_conversion()
    with ExitStack() as stack:
        for name, value in {
            "is_available": True, "device_count": 1, "current_device": 0, "set_device": None, "_lazy_init": None,
            "get_device_name": "a pretended GPU", "is_bf16_supported": True, "synchronize": None,
        }.items():  # fmt: skip
            stack.enter_context(patch.object(torch.cuda, name, answers(value)))
        stack.enter_context(patch.object(torch, "tensor", tensor))
        stack.enter_context(patch.object(torch, "load", loaded))
        stack.enter_context(patch.object(torch.utils.data.DataLoader, "__init__", unpinned))
        # Asks the driver whether it is recording.
        check = "_accelerator_graph_capture_health_check"
        stack.enter_context(patch.object(torch.optim.Optimizer, check, answers(None), create=True))
        torch.__future__.set_overwrite_module_params_on_conversion(True)
        stack.callback(torch.__future__.set_overwrite_module_params_on_conversion, overwritten)
        stack.callback(torch.set_float32_matmul_precision, torch.get_float32_matmul_precision())
        for kept in (pooling_map, _bf16_is_faster):  # by device, which may be a real one elsewhere
            kept.cache_clear()
            stack.callback(kept.cache_clear)
        stack.enter_context(_Everything())  # type: ignore[no-untyped-call]
        yield OnGpu.waits
