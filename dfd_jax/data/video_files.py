"""Video files in: together with `video_rewriting` the only file that decodes videos.

Whatever a file holds (turned by its display matrix, 10 bits, limited range, any frame rate …), the
rest of the project sees upright 8-bit RGB frames one at a time, or an `UnreadableImage`.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from fractions import Fraction
from typing import Any, NamedTuple

import av
import numpy as np
from av.container import InputContainer
from av.error import FFmpegError
from av.packet import Packet
from av.stream import Disposition
from av.video.reformatter import ColorRange, Interpolation
from av.video.stream import VideoStream
from jaxtyping import UInt8

from dfd_jax.data.images import UnreadableImage

Pixels = UInt8[np.ndarray, "_ _ 3"]
Path = str | os.PathLike[str]

USUAL_RATE = Fraction(25)  # of a file that does not say how many frames a second it has
# swscale's defaults average colour over pixel pairs and round carelessly: to 4:2:0 and back they
# moved a smooth picture by up to 23 levels, these by 3.
CAREFUL = (
    Interpolation.BICUBIC
    | Interpolation.ACCURATE_RND
    | Interpolation.FULL_CHR_H_INT
    | Interpolation.FULL_CHR_H_INP
)


class VideoInfo(NamedTuple):
    """What a video is, as seen upright."""

    width: int
    height: int
    fps: float  # the average, where the rate varies
    frames: int  # as the file claims or its length suggests; 0: it does not say


def read_info(path: Path) -> VideoInfo:
    """Size, rate and length of a video. UnreadableImage if not even its first frame can be read."""
    with open_video(path) as source:
        stream = video_stream(source, path)
        height, width, _ = upright_rgb(first_frame(source, stream, path)).shape
        rate = frame_rate(stream)
        frames = stream.frames
        if not frames and source.duration:
            frames = round(source.duration / av.time_base * rate)
        return VideoInfo(width, height, float(rate), frames)


def read_frames(path: Path, start: float = 0.0, stop: float | None = None) -> Iterator[Pixels]:
    """The upright frames shown from `start` to `stop` seconds (None: to the end), in order, each
    decoded when it is asked for.

    UnreadableImage if the file is missing, broken or shows nothing then: where the first frame that
    cannot be read is asked for.
    """
    with open_video(path) as source:
        stream = video_stream(source, path)
        half = float(0.5 / frame_rate(stream))
        if start > 0:
            source.seek(int((start - half) * av.time_base))
        is_empty = True
        for frame in decode(source, stream, path):
            seconds = start if frame.time is None else frame.time
            if stop is not None and seconds > stop + half:
                break
            if seconds >= start - half:
                is_empty = False
                yield upright_rgb(frame)
        if is_empty:
            when = "" if start <= 0 else f" at {start:.2f} s"
            raise UnreadableImage(path, f"holds no frame{when}")


@contextmanager
def open_video(path: Path) -> Iterator[InputContainer]:
    """An open file. UnreadableImage if it is missing, a folder or nothing that can hold a video."""
    try:
        source = av.open(os.fspath(path), "r")
    except FileNotFoundError as error:
        raise UnreadableImage(path, "no such file") from error
    except (FFmpegError, OSError) as error:
        is_empty = os.path.isfile(path) and not os.path.getsize(path)
        reason = "a folder, not a file" if os.path.isdir(path) else "not a video"
        raise UnreadableImage(path, "an empty file" if is_empty else reason) from error
    with source:
        yield source


def video_stream(source: InputContainer, path: Path) -> VideoStream:
    """The file's first moving picture (a cover is none). UnreadableImage if there is none."""
    streams = video_streams(source)
    if not streams:
        raise UnreadableImage(path, "holds no video")
    streams[0].thread_type = "AUTO"
    return streams[0]


def video_streams(source: InputContainer) -> list[VideoStream]:
    """All moving pictures of a file; covers and thumbnails are none."""
    still = Disposition.attached_pic | Disposition.timed_thumbnails
    return [stream for stream in source.streams.video if not stream.disposition & still]


def frame_rate(stream: VideoStream) -> Fraction:
    """Frames per second, on average."""
    return stream.average_rate or stream.guessed_rate or USUAL_RATE


def decode(
    source: InputContainer,
    stream: VideoStream,
    path: Path,
    aside: Callable[[Packet], None] = lambda packet: None,
) -> Iterator[av.VideoFrame]:
    """The stream's frames as stored; packets of all other streams go to `aside` in passing.

    UnreadableImage where decoding fails. What `aside` raises is passed on as it is.
    """
    packets = source.demux()
    while True:
        try:
            packet = next(packets, None)
            if packet is None:
                return
            frames = packet.decode() if packet.stream_index == stream.index else None
        except FFmpegError as error:
            raise UnreadableImage(path, f"cannot be decoded: {error.strerror}") from error
        if frames is None:
            aside(packet)
        else:
            yield from (frame for frame in frames if isinstance(frame, av.VideoFrame))


def first_frame(source: InputContainer, stream: VideoStream, path: Path) -> av.VideoFrame:
    """The first frame, as stored. UnreadableImage if there is none."""
    frame = next(decode(source, stream, path), None)
    if frame is None:
        raise UnreadableImage(path, "holds no frame")
    return frame


def upright_rgb(frame: av.VideoFrame) -> Pixels:
    """A decoded frame as upright 8-bit RGB."""
    full = frame.reformat(format="rgb24", interpolation=CAREFUL, dst_color_range=ColorRange.JPEG)
    swap, flips = _turn(display_matrix(frame))
    pixels = full.to_ndarray()
    return np.ascontiguousarray((pixels.swapaxes(0, 1) if swap else pixels)[flips])


def as_stored(pixels: Pixels, frame: av.VideoFrame) -> Pixels:
    """An upright picture turned as `frame` is stored: undoes what `upright_rgb` turned."""
    swap, flips = _turn(display_matrix(frame))
    return np.ascontiguousarray(pixels[flips].swapaxes(0, 1) if swap else pixels[flips])


def display_matrix(frame: av.VideoFrame) -> tuple[int, ...] | None:
    """The frame's display matrix, 9 numbers; None if it is stored upright."""
    side_data: Any = frame.side_data  # PyAV's annotations do not fit this class of its own
    for index in range(len(side_data)):
        entry = side_data[index]
        if entry.type.name == "DISPLAYMATRIX":
            return tuple(np.frombuffer(bytes(entry), np.int32).tolist())
    return None


def _turn(matrix: tuple[int, ...] | None) -> tuple[bool, tuple[slice, slice]]:
    """Whether to swap rows and columns, and then how to walk each, to turn a picture upright.

    The display matrix a b u c d v x y w moves (x, y) to (a x + c y, b x + d y).
    """
    if matrix is None:
        return False, (slice(None), slice(None))
    a, b, _, c, d = matrix[:5]
    swap = abs(b) > abs(a)
    down, right = (b, c) if swap else (d, a)
    flips = tuple(slice(None, None, -1 if way < 0 else 1) for way in (down, right))
    return swap, (flips[0], flips[1])
