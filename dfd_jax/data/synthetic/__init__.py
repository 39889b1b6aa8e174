"""Faces drawn by rule: shaded heads with exact labels, at any size, no photograph involved."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import UInt8

from dfd_jax.data.faces import ATTRIBUTES, Face
from dfd_jax.data.synthetic import eyes, geometry, hair, light, relief, scene, skin
from dfd_jax.data.synthetic.geometry import Field, Relief, Shape, smoothstep
from dfd_jax.data.synthetic.light import Light
from dfd_jax.data.synthetic.parameters import (
    LABELLED,
    FaceParameters,
    action_units,
    apply_action_units,
    attributes,
    sample_parameters,
)

__all__ = [
    "LABELLED",
    "FaceParameters",
    "SyntheticFaces",
    "action_units",
    "apply_action_units",
    "attributes",
    "render",
    "sample_parameters",
]

FINE_ENOUGH = 120  # below this size every pixel is the mean of four


def _face_light(
    face: FaceParameters,
    surface: geometry.Surface,
    where: np.ndarray,
    relief_maps: Relief,
    lamp: Light,
    step: float,
) -> np.ndarray:
    """Light leaving the head at the pixels `where`, (3, n)."""
    u, v = surface.u.ravel()[where], surface.v.ravel()[where]
    paint = skin.skin(face, u, v, step)
    skin.stubble(face, paint, u, v, step)
    skin.brows(face, paint, u, v, step)
    near = np.flatnonzero((np.abs(u) < 25.0) & (np.abs(v - 44.0) < 22.0))
    part = paint.part(near)
    skin.mouth(face, part, u[near], v[near], step)
    paint.put(near, part)
    eyes.eyes(face, paint, u, v, step)
    sheltered, lit = relief_maps("open", u, v), relief_maps("lit", u, v)
    under = smoothstep(-11.0, 1.0, hair.hair_edge(face, u, v))
    if face.hair_style not in hair.FALLING and face.fringe == 0:  # grows here, hangs over nothing
        under = under * 0.2
    lit, sheltered = lit * (1.0 - 0.55 * under), sheltered * (1.0 - 0.45 * under)
    normal = surface.normal.reshape(3, -1)[:, where]
    shaded = light.shade_skin(lamp, normal, paint.colour, paint.gloss, lit, sheltered)
    return shaded + paint.glint * lamp.lamp[:, None]


def _layers(face: FaceParameters, x: Field, y: Field, step: float) -> np.ndarray:
    """Linear light at every pixel, (3, h, w), painted from back to front."""
    lamp, turned = light.light_of(face), geometry.rotation(face)
    shape: Shape = geometry.head_shape(face)
    maps = relief.build(face, shape, turned.T @ lamp.towards)
    surface = geometry.trace(x, y, turned, shape, maps)
    locks = hair.grow(face, x, y, step, turned, shape, lamp, surface.margin)
    chin = geometry.project((0.0, shape.bottom - 2.0, 30.0), turned)
    picture = scene.background(face, x, y).astype(np.float32)
    scene.over(picture, locks.light * 0.42, locks.back)
    scene.neck(face, picture, x, y, lamp, chin)
    scene.clothes(face, picture, x, y, lamp)
    covered = surface.coverage(step).ravel()
    where = np.flatnonzero(covered > 0)
    head = picture.reshape(3, -1)
    skin_light = _face_light(face, surface, where, maps, lamp, step)
    head[:, where] += (skin_light - head[:, where]) * covered[where]
    scene.over(picture, locks.light, locks.front)
    if face.hair_style not in hair.FALLING:
        depth = np.where(surface.margin > 0.0, surface.z, -100.0)
        scene.ears(face, picture, x, y, lamp, turned, shape, depth)
    scene.glasses(face, picture, x, y, turned, lamp)
    return picture * light.vignette(x, y)


def render(parameters: FaceParameters, size: int) -> UInt8[np.ndarray, "s s 3"]:
    """The face as an RGB picture of size x size pixels, framed like CelebA's centred crop.

    The same face at any size: only noise finer than a pixel is lost. ValueError if size < 8.
    """
    if size < 8:
        raise ValueError(f"a picture of {size} pixels shows no face; ask for 8 or more")
    finer = 2 if size < FINE_ENOUGH else 1
    x, y, step = geometry.pixel_grid(size * finer)
    levels = light.film(_layers(parameters, x, y, step))
    levels = levels.reshape(3, size, finer, size, finer).mean((2, 4))
    grain = np.random.default_rng(parameters.texture_seed).normal(0, 1.0, (size, size))
    levels = levels + grain.astype(np.float32)
    return np.clip(np.rint(levels), 0, 255).astype(np.uint8).transpose(1, 2, 0).copy()


class SyntheticFaces:
    """A random-access collection of drawn faces; face i depends on nothing but (seed, i).

    Names that are neither in LABELLED nor action units raise ValueError at once.
    """

    def __init__(
        self,
        count: int,
        seed: int = 0,
        size: int = 178,
        attribute_names: Sequence[str] = ATTRIBUTES,
    ) -> None:
        attributes(FaceParameters(), attribute_names)
        self.count, self.seed, self.size = count, seed, size
        self.attribute_names = self.known_names = tuple(attribute_names)

    def __len__(self) -> int:
        return self.count

    def parameters(self, index: int) -> FaceParameters:
        """What face `index` is made of. IndexError outside the collection."""
        if not 0 <= index < self.count:
            raise IndexError(f"face {index} of {self.count}")
        return sample_parameters(np.random.default_rng([self.seed, index]))

    def __getitem__(self, index: int, /) -> Face:
        """Face `index`, bit-identical on every call."""
        face = self.parameters(index)
        return Face(
            render(face, self.size),
            attributes(face, self.attribute_names),
            f"synthetic-{self.seed}-{index:06d}",
        )
