"""How different two photos look to a network: an LPIPS-style distance without a download.

As in LPIPS (Zhang et al. 2018): features of several depths, each position's feature vector scaled
to length one, squared differences summed over the channels and averaged over the positions. There
are no learned weights: the stages count alike, and the distance is their mean. The published metric
takes networks that were trained on ImageNet, whose weights are a download; this one takes the
stages of `zoo:resnet50`, a small detector of manipulated faces. **Its values are not comparable
with published LPIPS**, only with one another, and not where the perturber was trained against this
detector (its card says so): such a one learned to keep the detector's verdict, and what it sees
with that.
"""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, UInt8

from dfd_jax import models, pixels
from dfd_jax.models.frozen import Network
from dfd_jax.runtime.batching import padded_batches

NETWORK = "zoo:resnet50"
STAGES = ("layer1", "layer2", "layer3", "layer4")  # 1/4 … 1/32 of the photo's side
SMALLEST = 16  # pixels: the last two stages then have one position
_TINY = 1e-10  # added to a squared length, for positions where every feature is zero


def distance(
    a: UInt8[np.ndarray, "n h w 3"], b: UInt8[np.ndarray, "n h w 3"], batch_size: int = 16
) -> Float[np.ndarray, " n"]:
    """The distance of each pair, from 0 (equal) to 2 (nothing in common).

    Photos are looked at as large as they are: resizing would hide what is to be measured. There is
    one compilation for each size of photo. ValueError if the photos do not pair up, or are smaller
    than 16 pixels.
    """
    if a.shape != b.shape or min(a.shape[1:3]) < SMALLEST:
        raise ValueError(
            f"photos are {a.shape} and {b.shape}, expected two equally many and equally large, "
            f"at least {SMALLEST} x {SMALLEST} pixels"
        )
    net, distances = network(), []
    for rows, count in padded_batches(len(a), batch_size):
        pairs = _distances(net, jnp.asarray(a[rows]), jnp.asarray(b[rows]))
        distances.append(np.asarray(pairs)[:count])
    return np.concatenate(distances) if distances else np.zeros(0, np.float32)


def description() -> dict[str, Any]:
    """Which network the distances come from, for the JSON that holds them."""
    return {
        "measure": "LPIPS-style, own network, no learned weights: not comparable with LPIPS",
        "network": NETWORK,
        "sha256": network().card.sha256,
        "stages": list(STAGES),
    }


@functools.cache
def network() -> Network:
    """The network whose features are compared."""
    return models.load(NETWORK)


def between(
    net: Network, a: Float[Array, "b h w 3"], b: Float[Array, "b h w 3"]
) -> Float[Array, " b"]:
    """`distance` as a function that can be differentiated, of pictures on [-1, 1]."""
    pairs = zip(_features(net, a), _features(net, b), strict=True)
    return jnp.stack([jnp.square(x - y).sum(-1).mean((1, 2)) for x, y in pairs]).mean(0)


@jax.jit
def _distances(
    net: Network, a: UInt8[Array, "b h w 3"], b: UInt8[Array, "b h w 3"]
) -> Float[Array, " b"]:
    return between(net, pixels.from_uint8(a), pixels.from_uint8(b))


def _features(net: Network, images: Float[Array, "b h w 3"]) -> list[Array]:
    """The stages' features, each position's of length one: float32 [b, h/4, w/4, c] and smaller."""
    mean, std = (np.asarray(x, np.float32) for x in (net.card.input_mean, net.card.input_std))
    inputs = ((images + 1) / 2 - mean) / std
    _, state = net.apply(net.variables, inputs, mutable=["intermediates"])
    stages = [state["intermediates"][name][0].astype(jnp.float32) for name in STAGES]
    return [x * jax.lax.rsqrt(jnp.square(x).sum(-1, keepdims=True) + _TINY) for x in stages]
