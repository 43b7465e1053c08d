"""What training starts from: the bundled network, or any of timm's, as blocks in a row."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import numpy as np
import torch
from torch import Tensor, nn

from sosie.embedders.bundled import BundledEmbedder
from sosie.embedders.lite import MEAN, STD, assembled
from sosie.errors import NotFound, ServiceAway, UnknownName, UsageError
from sosie.extras import missing
from sosie.registry import nearest
from sosie.training.heads import OwnHead
from sosie.training.lite import layers_of
from sosie.training.trunk import Trunk
from sosie.types import FloatMatrix

__all__ = ["Start", "bundled_start", "open_start"]

_PATIENCE = 3.0  # seconds
_TRIED = 96  # side of the noise that tells whether blocks in a row are the network


@dataclass(frozen=True)
class Start:
    """A backbone and what is known of it. ``mean`` and ``std`` are those of pixels 0..255.

    ``head`` is the start's own, or None.
    """

    name: str
    trunk: Trunk
    side: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    licence: str
    origin: str
    head: OwnHead | None = None


def open_start(name: str, weights: str | None, pooling: str) -> Start:
    """Return the start of a name; raise UnknownName, NotFound, ServiceAway, UsageError for another's checkpoint."""
    if name == "bundled":
        if weights is not None:
            raise UsageError("the bundled network has its weights: leave out --weights, or name a timm network")
        return bundled_start()
    return _timm_start(name, weights, pooling)


# ------------------------------------------------------------------------------------------------ bundled


def bundled_start() -> Start:
    """Build the newest network that the wheel carries in torch, from the weights of its ONNX file."""
    embedder = BundledEmbedder()
    convolutions, dense = _weights(embedder.description.path)
    blocks, taps = [], []
    for layers in layers_of(assembled(convolutions)):
        blocks += layers
        taps.append(len(blocks) - 1)
    weight, bias = dense["semantic"]
    return Start(
        name="bundled",
        trunk=Trunk(blocks, taps=tuple(taps), pooling="mean+deviation").eval(),
        side=embedder.spec.preprocessing.side,
        mean=(MEAN,) * 3,
        std=(STD,) * 3,
        licence=embedder.spec.licence,
        origin=f"the bundled network, version {embedder.spec.version}",
        head=OwnHead(torch.from_numpy(weight), torch.from_numpy(bias), roots=len(convolutions[-1][1])),
    )


Weights = tuple[FloatMatrix, FloatMatrix]


def _weights(path: Path) -> tuple[list[Weights], dict[str, Weights]]:
    """Return weight and bias of the convolutions of the bundled file, as they run, and of its dense layers by name."""
    try:
        import onnx
        from onnx import numpy_helper
    except ModuleNotFoundError as error:
        raise missing("training needs onnx", "train") from error

    graph = onnx.load(path).graph
    values = {
        tensor.name.removesuffix(".half"): np.array(numpy_helper.to_array(tensor), np.float32)
        for tensor in graph.initializer
    }
    convolutions = [(values[node.input[1]], values[node.input[2]]) for node in graph.node if node.op_type == "Conv"]
    heads = {name.removesuffix(".weight") for name in values if name.count(".") == 1 and name.endswith(".weight")}
    return convolutions, {name: (values[f"{name}.weight"], values[f"{name}.bias"]) for name in heads}


# ------------------------------------------------------------------------------------------------ timm


def _timm_start(name: str, weights: str | None, pooling: str) -> Start:
    import timm

    if not timm.is_model(name):
        raise UnknownName(f"no network of timm is called {name!r}; {nearest(name, ['bundled', *timm.list_models()])}")
    try:
        with _offline_at_once(wanted=weights is None):
            net: Any = timm.create_model(name, pretrained=weights is None, num_classes=0, global_pool="")
    except Exception as error:  # whatever the hub raises
        if weights is not None:
            raise
        raise ServiceAway(
            f"the published weights of {name} cannot be had ({type(error).__name__}): "
            "give a checkpoint with --weights FILE, or --weights none to begin from random ones"
        ) from error
    if weights not in (None, "none"):
        _load_checkpoint(net, Path(str(weights)), name)
    data: Mapping[str, Any] = net.pretrained_cfg
    return Start(
        name=name,
        trunk=Trunk(_blocks(net.eval()), pooling=pooling).eval(),
        side=int(data["input_size"][-1]),
        mean=tuple(255 * value for value in data["mean"]),
        std=tuple(255 * value for value in data["std"]),
        licence=str(data.get("license") or "see timm"),
        origin=f"{name} of timm {timm.__version__}, weights: {weights or 'published'}",
    )


@contextmanager
def _offline_at_once(*, wanted: bool) -> Iterator[None]:
    """Keep the hub's client from trying for a minute where nothing answers: what was fetched before is taken then."""
    if not wanted or _reachable():
        yield
        return
    from huggingface_hub import constants

    before = constants.HF_HUB_OFFLINE
    constants.HF_HUB_OFFLINE = True
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = before


def _reachable() -> bool:
    """Tell whether the hub, or the proxy on the way to it, takes a connection within three seconds."""
    hub = urlsplit(os.environ.get("HF_ENDPOINT") or "https://huggingface.co")
    proxy = getproxies().get(hub.scheme)
    way = hub if proxy is None or proxy_bypass(hub.hostname or "") else urlsplit(proxy)
    answered: list[bool] = []

    def knock() -> None:
        try:
            port = way.port or (443 if way.scheme == "https" else 80)
            socket.create_connection((way.hostname or "", port), timeout=_PATIENCE).close()
            answered.append(True)
        except (OSError, ValueError):
            return

    thread = threading.Thread(target=knock, daemon=True)  # finding a name's address has no time limit of its own
    thread.start()
    thread.join(_PATIENCE)
    return bool(answered)


def _load_checkpoint(net: nn.Module, path: Path, name: str) -> None:
    if not path.is_file():
        raise NotFound(f"no checkpoint at {path}")
    stored = _read_checkpoint(path)
    wanted = net.state_dict()
    first = next(iter(wanted))
    prefix = next((key.removesuffix(first) for key in stored if key.endswith(first)), "")
    state = {key.removeprefix(prefix): value for key, value in stored.items() if key.startswith(prefix)}
    lacking = [k for k, v in wanted.items() if k not in state or state[k].shape != v.shape]
    if lacking:
        raise UsageError(
            f"{path} is a checkpoint of another network than {name}: {len(lacking)} of {len(wanted)} weights do not fit"
            f" (first: {lacking[0]}); give --start the network that it is of"
        )
    net.load_state_dict({key: state[key].float() if state[key].is_floating_point() else state[key] for key in wanted})


def _read_checkpoint(path: Path) -> Mapping[str, Tensor]:
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            stored: Any = load_file(path)
        else:
            stored = torch.load(path, map_location="cpu", weights_only=True)  # never runs code that a file brings
    except Exception as error:
        raise UsageError(f"{path} is no checkpoint that can be read safely: {str(error).splitlines()[0]}") from error
    for key in ("state_dict", "model", "state_dict_ema"):
        stored = stored.get(key, stored) if isinstance(stored, Mapping) else stored
    if not isinstance(stored, Mapping) or not all(isinstance(value, Tensor) for value in stored.values()):
        raise UsageError(f"{path} holds no weights by name: save the state_dict of the network")
    return stored


def _blocks(net: nn.Module) -> list[nn.Module]:
    """Return a network as blocks in a row, as fine as it goes; one block where it is no row. Tried, not guessed."""
    whole = _Features(net)
    noise = torch.randn(1, 3, *_size(net))
    with torch.no_grad():
        expected = whole(noise)
        for depth in (3, 2, 1):
            blocks = [b for child in net.children() for b in _unrolled(child, depth)]
            try:
                found = nn.Sequential(*blocks)(noise)
            except (RuntimeError, TypeError, ValueError, NotImplementedError, IndexError, AttributeError):
                continue
            if found.shape == expected.shape and torch.allclose(found, expected, atol=1e-5):
                return blocks
    return [whole]


def _size(net: Any) -> tuple[int, int]:
    high, wide = net.pretrained_cfg["input_size"][-2:]
    return (high, wide) if net.pretrained_cfg.get("fixed_input_size") else (_TRIED, _TRIED)


def _unrolled(module: nn.Module, depth: int) -> list[nn.Module]:
    if depth and isinstance(module, nn.Sequential):
        return [block for child in module for block in _unrolled(child, depth - 1)]
    return [module]


class _Features(nn.Module):
    """The whole of a network without its classifier, as one block."""

    def __init__(self, net: Any) -> None:
        super().__init__()
        self.net = net

    def forward(self, pictures: Tensor) -> Tensor:
        net: Any = self.net
        features: Tensor = net.forward_features(pictures)
        return features
