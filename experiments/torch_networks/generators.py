"""StarGAN (Choi et al. 2018) and GANimation (Pumarola et al. 2018): one trunk, different heads."""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from experiments.torch_networks.ops import State, conv, instance_norm, numbers

LEAKY_SLOPE = 0.01
HEADS = (("img_reg.0", "attetion_reg.0"), ("im_reg.0", "im_att.0"))  # two spellings are about


def stargan(
    state: State, x: Float[Tensor, "b 3 h w"], c: Float[Tensor, "b c_dim"]
) -> Float[Tensor, "b 3 h w"]:
    """Images in [-1, 1] and target labels → images in [-1, 1]."""
    x = _trunk(state, x, c)
    return torch.tanh(conv(state, f"main.{_first_up(state) + 6}", x, padding=3))


def ganimation(
    state: State, x: Float[Tensor, "b 3 h w"], c: Float[Tensor, "b c_dim"]
) -> tuple[Float[Tensor, "b 3 h w"], Float[Tensor, "b 1 h w"]]:
    """Images and action units → colour c [-1, 1], attention a [0, 1]; fake: a * x + (1 - a) * c."""
    colour_head, attention_head = next(h for h in HEADS if f"{h[0]}.weight" in state)
    features = _trunk(state, x, c)
    colour = torch.tanh(conv(state, colour_head, features, padding=3))
    return colour, torch.sigmoid(conv(state, attention_head, features, padding=3))


def stargan_discriminator(
    state: State, x: Float[Tensor, "b 3 s s"]
) -> tuple[Float[Tensor, "b 1 p p"], Float[Tensor, "b c_dim"]]:
    """Images in [-1, 1] → (score of every patch, label logits)."""
    for number in numbers(state, "main.", ".weight"):
        x = conv(state, f"main.{number}", x, 2, 1)
        x = F.leaky_relu(x, LEAKY_SLOPE, inplace=True)
    return conv(state, "conv1", x, padding=1), conv(state, "conv2", x).flatten(1)


def _first_up(state: State) -> int:
    """The number of the first transposed convolution: it follows the residual blocks."""
    return numbers(state, "main.", ".main.0.weight")[-1] + 1


def _trunk(state: State, x: Tensor, c: Tensor) -> Tensor:
    """Image and condition → the features that every head starts from."""
    planes = c[:, :, None, None].expand(-1, -1, *x.shape[2:])
    x = _norm_relu(state, 1, conv(state, "main.0", torch.cat([x, planes], 1), padding=3))
    for number in (3, 6):
        x = _norm_relu(state, number + 1, conv(state, f"main.{number}", x, 2, 1))
    for number in numbers(state, "main.", ".main.0.weight"):
        name = f"main.{number}.main"
        y = instance_norm(state, f"{name}.1", conv(state, f"{name}.0", x, padding=1))
        y = conv(state, f"{name}.3", F.relu(y, inplace=True), padding=1)
        x = x + instance_norm(state, f"{name}.4", y)
    first = _first_up(state)
    for number in (first, first + 3):
        x = F.conv_transpose2d(x, state[f"main.{number}.weight"], stride=2, padding=1)
        x = _norm_relu(state, number + 1, x)
    return x


def _norm_relu(state: State, number: int, x: Tensor) -> Tensor:
    return F.relu(instance_norm(state, f"main.{number}", x), inplace=True)
