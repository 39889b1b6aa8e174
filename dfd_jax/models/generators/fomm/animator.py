"""The First Order Motion Model as a frozen generator: photos follow the clips that it was given."""

import dataclasses
from collections.abc import Callable, Mapping

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from jaxtyping import Array, Float, Int, UInt8

from dfd_jax import pixels
from dfd_jax.models.frozen import FrozenGenerator
from dfd_jax.models.generators.fomm import motion
from dfd_jax.models.generators.fomm.motion import KeyPoints, Motion

Frame = Float[Array, "h w 3"] | UInt8[np.ndarray, "h w 3"]  # in [-1, 1], or 8-bit
Frames = Float[Array, "n h w 3"] | UInt8[np.ndarray, "n h w 3"]
DETECTED_AT_ONCE = 16  # frames of a clip in one batch
# Frames made together. More come in a loop, whose gradient takes four times as long on CPU; written
# out one by one they would bloat the program, which a TPU compiler works on for minutes.
AT_ONCE = 4


@struct.dataclass
class Clips:
    """Keypoints of driving clips, which do not depend on the photos. Shorter clips are padded."""

    points: KeyPoints  # [c n k ..]
    lengths: Int[Array, " c"]
    names: tuple[str, ...] = struct.field(pytree_node=False)


@struct.dataclass
class FOMM(FrozenGenerator):
    """A trained First Order Motion Model. A condition is a `Motion`: some frames of a clip.

    It has no conditions before `with_motions` gave it clips; those are then called by their names.
    """

    clips: Clips | None = None
    frames_per_photo: int = struct.field(pytree_node=False, default=1)

    @property
    def labels(self) -> tuple[str, ...]:
        """None: what a photo shows does not matter."""
        return ()

    @property
    def conditions(self) -> tuple[str, ...]:
        """Names of the clips."""
        return () if self.clips is None else self.clips.names

    def __call__(
        self, images: Float[Array, "b h w 3"], condition: Motion
    ) -> Float[Array, "n s s 3"]:
        """Each photo in each frame of its motion [b f ..]: n = b f fakes, photo-major, in [-1, 1].

        A photo's keypoints and features are computed once. Memory grows with the photos, and with
        the frames up to AT_ONCE of them.
        """
        photos = self._normalised(images)
        source: KeyPoints = self.apply(self.variables, photos, method="keypoints")
        features = self.apply(self.variables, photos, method="encode")
        is_relative = self.module.relative
        wanted = motion.normalize_kp(
            source, condition, is_relative, is_relative, self.module.adapt_movement_scale
        )

        def frame(driving: KeyPoints) -> Float[Array, "b s s 3"]:
            flow = self.apply(self.variables, photos, source, driving, method="flow")
            return self.apply(self.variables, features, flow, method="decode")

        fakes = _each_frame(frame, wanted)
        return 2 * fakes.reshape(-1, *fakes.shape[2:]) - 1

    def keypoints(self, images: Float[Array, "b h w 3"]) -> KeyPoints:
        """Keypoints of images in [-1, 1] of any size."""
        return self.apply(self.variables, self._normalised(images), method="keypoints")

    def with_motions(self, clips: Mapping[str, Frames], frames_per_photo: int) -> "FOMM":
        """The same network with these driving clips: name → frames, each of any number and size.

        `frames_per_photo` frames of a clip drive each photo. ValueError if there is no clip, no
        frame in one, or no frame per photo.
        """
        empty = [name for name, frames in clips.items() if len(frames) == 0]
        if not clips or empty:
            raise ValueError(
                f"driving clips without frames: {', '.join(empty)}; leave them out"
                if empty
                else "no driving clips given; a First Order Motion Model needs at least one"
            )
        if frames_per_photo < 1:
            raise ValueError(f"frames_per_photo is {frames_per_photo}, must be at least 1")
        points = [_detect_all(self, frames) for frames in clips.values()]
        lengths = [len(found.value) for found in points]
        padded = [_padded(found, max(lengths)) for found in points]
        bank = Clips(
            points=jax.tree.map(lambda *each: jnp.stack(each), *padded),
            lengths=jnp.asarray(lengths),
            names=tuple(clips),
        )
        return dataclasses.replace(self, clips=bank, frames_per_photo=frames_per_photo)

    def sample_condition(self, rng: Array, labels: Float[Array, "b a"], target: str) -> Motion:
        """For each photo `frames_per_photo` random frames of the clip `target`, in random order.

        "random" draws a clip for each photo. A frame may come twice. ValueError if the clip is not
        known, or photos come with labels.
        """
        clip_rng, frame_rng = jax.random.split(rng)
        clips, count = self._known(labels, target), len(labels)
        if target == "random":
            chosen = jax.random.randint(clip_rng, (count,), 0, len(clips.names))
        else:
            chosen = jnp.full((count,), clips.names.index(target))
        lengths = clips.lengths[chosen][:, None]
        drawn = jax.random.randint(frame_rng, (count, self.frames_per_photo), 0, lengths)
        return _motion(clips, chosen, drawn)

    def test_condition(self, labels: Float[Array, "b a"], target: str) -> Motion:
        """The middles of `frames_per_photo` equal parts of the clip, in order, for every photo.

        ValueError if the clip is not known, or photos come with labels.
        """
        clips, count = self._known(labels, target), len(labels)
        if target not in clips.names:
            raise ValueError(f"{target!r} is not one clip; known: {', '.join(clips.names)}")
        chosen = jnp.full((count,), clips.names.index(target))
        parts = 2 * jnp.arange(self.frames_per_photo) + 1
        frames = parts * clips.lengths[chosen][:, None] // (2 * self.frames_per_photo)
        return _motion(clips, chosen, frames)

    def best_frame(self, frames: Frames, driving_first: Frame | None = None) -> int:
        """Index of the frame whose pose is nearest to a driving clip's first frame [h w 3] (None:
        that of the first clip it has).

        Poses are keypoints, centred and scaled to one hull area. Movement relative to the first
        frame transfers best to a photo in the same pose.
        """
        if driving_first is not None:
            target = _detect_all(self, driving_first[None]).value[0]
        elif self.clips is not None:
            target = self.clips.points.value[0, 0]
        else:
            raise ValueError("no driving clip to compare with: give it some with with_motions")
        return int(motion.distances(_detect_all(self, frames).value, target).argmin())

    def _known(self, labels: Float[Array, "b a"], target: str) -> Clips:
        if self.clips is None:
            raise ValueError(
                "this First Order Motion Model has no driving clips: "
                "give it some with with_motions({name: frames}, frames_per_photo)"
            )
        if target not in (*self.clips.names, "random"):
            known = ", ".join(self.clips.names)
            raise ValueError(f"unknown target {target!r}; driving clips: {known}, or 'random'")
        if labels.shape[-1]:
            raise ValueError(f"photos have {labels.shape[-1]} labels; driving clips need none")
        return self.clips


def _each_frame(
    frame: Callable[[KeyPoints], Array], driving: KeyPoints
) -> Float[Array, "b f s s 3"]:
    """`frame` of each of f sets of keypoints [b f k ..]."""
    if driving.value.shape[1] <= AT_ONCE:
        return jax.vmap(frame, in_axes=1, out_axes=1)(driving)
    by_frame = jax.tree.map(lambda a: jnp.moveaxis(a, 1, 0), driving)
    remade = jax.checkpoint(frame)  # the gradient keeps the activations of a few frames, not of all
    return jnp.moveaxis(jax.lax.map(remade, by_frame, batch_size=AT_ONCE), 0, 1)


@jax.jit
def _detect(net: FOMM, frames: Float[Array, "n h w 3"]) -> KeyPoints:
    return net.keypoints(frames)


def _detect_all(net: FOMM, frames: Frames) -> KeyPoints:
    """Keypoints of n frames, some at a time; the last batch is filled up: one program will do."""
    found = []
    for start in range(0, len(frames), DETECTED_AT_ONCE):
        batch = jnp.asarray(frames[start : start + DETECTED_AT_ONCE])
        images = pixels.from_uint8(batch) if batch.dtype == jnp.uint8 else batch
        found.append(_detect(net, _repeat_last(images, DETECTED_AT_ONCE)))
    points = jax.tree.map(lambda *each: jnp.concatenate(each), *found)
    return jax.tree.map(lambda a: a[: len(frames)], points)


def _padded(points: KeyPoints, length: int) -> KeyPoints:
    return jax.tree.map(lambda a: _repeat_last(a, length), points)


def _repeat_last(array: Array, length: int) -> Array:
    widths = [(0, length - len(array))] + [(0, 0)] * (array.ndim - 1)
    return jnp.pad(array, widths, mode="edge")


def _motion(clips: Clips, chosen: Int[Array, " b"], frames: Int[Array, "b f"]) -> Motion:
    """The frames of each photo's clip, and that clip's first frame."""
    return Motion(
        driving=jax.tree.map(lambda a: a[chosen[:, None], frames], clips.points),
        initial=jax.tree.map(lambda a: a[chosen, 0], clips.points),
    )
