"""A video file with its frames replaced: same container, times, sound and subtitles."""

import collections
import os
import pathlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import av
import numpy as np
from av.codec.codec import find_best_pix_fmt_of_list
from av.codec.context import Flags
from av.container import InputContainer, OutputContainer
from av.error import FFmpegError
from av.packet import Packet
from av.stream import Stream
from av.video.stream import VideoStream

from dfd_jax.data.images import UnreadableImage
from dfd_jax.data.video_files import (
    CAREFUL,
    Path,
    Pixels,
    as_stored,
    decode,
    display_matrix,
    first_frame,
    frame_rate,
    open_video,
    upright_rgb,
    video_stream,
    video_streams,
)

Change = Callable[[Iterator[Pixels]], Iterator[Pixels]]

CONTAINERS = {  # by suffix
    ".mp4": "mp4",
    ".m4v": "mp4",
    ".mov": "mov",
    ".mkv": "matroska",
    ".webm": "webm",
    ".avi": "avi",
}
UNWRITABLE = frozenset({".mpg", ".mpeg", ".wmv", ".flv", ".3gp", ".ts", ".mts", ".m2ts", ".ogv"})
LOSSLESS = 0  # as a quality

# encoders by the source's codec; others are encoded by the container's, else by libx264
_SAME_CODEC = {"h264": "libx264", "hevc": "libx265", "vp9": "libvpx-vp9"}
_USUAL = {"webm": "libvpx-vp9", "avi": "mpeg4"}
_SMALLEST_X265 = 64  # x265 4.2 writes beyond its memory for pictures smaller than its blocks
_QP_TO_LAMBDA = 118  # FFmpeg's unit of quality
_EXACT = {"webm": "libvpx-vp9", "avi": "ffv1"}  # the encoder of lossless RGB; else libx264rgb
_EFFORT = {
    "libx264": {"preset": "slow"},
    "libx264rgb": {"preset": "medium"},
    "libx265": {"preset": "medium", "x265-params": "log-level=none"},
    "libvpx-vp9": {"deadline": "good", "cpu-used": "2", "row-mt": "1", "b": "0"},
    "mpeg4": {"mbd": "rd"},
    "ffv1": {},
}
_RGB = ("rgb24", "gbrp", "bgr0")  # the pixel formats of lossless copies
_TAGS = ("colorspace", "color_primaries", "color_trc")


class Rewritten(NamedTuple):
    """What became of a video."""

    frames: int
    encoder: str
    pix_fmt: str
    left_out: tuple[str, ...]  # streams of the source that the copy does not have


def rewrite_video(
    source: Path,
    target: Path,
    change: Change,
    *,
    quality: int = 12,
    keep_metadata: bool = False,
) -> Rewritten:
    """Copy a video with its frames replaced by `change(frames)`: one out for one in, in order.

    The container follows from the target's suffix, the codec from the source's where there is an
    encoder, else from the container; the pixel format is kept where that encoder has it. Frames
    keep their times, streams of sound and subtitles are copied packet by packet. A turned video
    stays turned, though `change` sees it upright. `quality` is the encoder's CRF, lower is better;
    LOSSLESS keeps every pixel of the RGB frames, which few players show. Tags such as the place of
    recording are dropped unless `keep_metadata`; so are, always, covers (they would show the face
    as it was) and data streams (they may say where it was).

    UnreadableImage for a broken source; ValueError for what cannot be written: another suffix, or
    a second moving picture, as it would stay unprotected. What was written by then stays.
    """
    path = pathlib.Path(target)
    container = _container(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    is_quicktime = container in ("mp4", "mov")
    flags = {"movflags": "+faststart" + "+use_metadata_tags" * keep_metadata}
    with open_video(source) as reading:
        stream, count = video_stream(reading, source), len(video_streams(reading))
        if count > 1:
            raise ValueError(
                f"holds {count} videos, of which only one could be protected; split it"
            )
        with open_video(source) as peeking:
            first = first_frame(peeking, video_stream(peeking, source), source)
        with (
            _saying(path),
            av.open(
                os.fspath(path),
                "w",
                format=container,
                container_options=flags if is_quicktime else {},
            ) as writing,
        ):
            encoder = _add_encoder(writing, stream, first, quality)
            copies, left_out = _add_copies(reading, stream, writing, keep_metadata)
            if keep_metadata:
                writing.metadata.update(reading.metadata)
                encoder.metadata.update(stream.metadata)
            writing.set_chapters(reading.chapters())
            frames = _encode(reading, stream, source, writing, encoder, copies, change)
            name, pix_fmt = encoder.codec_context.codec.name, encoder.pix_fmt or ""
    return Rewritten(frames, name, pix_fmt, tuple(left_out))


def _encode(
    reading: InputContainer,
    stream: VideoStream,
    source: Path,
    writing: OutputContainer,
    encoder: VideoStream,
    copies: dict[int, Stream],
    change: Change,
) -> int:
    """Pull the frames through `change` and write them; packets of the other streams go along."""

    def copy(packet: Packet) -> None:
        if packet.stream_index in copies and packet.size:
            packet.stream = copies[packet.stream_index]
            writing.mux(packet)

    clock = _Clock(stream, reading.format.name)
    within: collections.deque[tuple[av.VideoFrame, int, Pixels]] = collections.deque()

    def frames() -> Iterator[Pixels]:
        for frame in decode(reading, stream, source, copy):
            within.append((frame, clock.time_of(frame), upright_rgb(frame)))
            yield within[-1][2]

    count = 0
    for pixels in change(frames()):
        original, time, before = within.popleft()
        frame = _changed(original, before, pixels, encoder)
        frame.pts, frame.duration, frame.time_base = time, original.duration, clock.time_base
        writing.mux(encoder.encode(frame))
        count += 1
    assert not within, "a change gives one frame for each that it takes"
    if not count:
        raise UnreadableImage(source, "holds no frame")
    writing.mux(encoder.encode(None))
    return count


class _Clock:
    """Times of frames in units of `time_base`: they always rise, also where the file has none.

    AVI has no times of showing, and what FFmpeg makes of the order of decoding is wrong for H.264:
    there frames are counted.
    """

    def __init__(self, stream: VideoStream, container: str = "") -> None:
        codec = stream.codec_context.codec.canonical_name
        self._is_counting = (container, codec) == ("avi", "h264")
        rate = frame_rate(stream)
        self.time_base = stream.time_base or 1 / rate
        self._step = max(1, round(1 / (rate * self.time_base)))
        self._last: int | None = None

    def time_of(self, frame: av.VideoFrame) -> int:
        time = None if self._is_counting else frame.pts
        if self._last is None:
            self._last = time or 0
        else:
            expected = self._last + self._step
            self._last = max(expected if time is None else time, self._last + 1)
        return self._last


def _add_encoder(
    writing: OutputContainer, stream: VideoStream, first: av.VideoFrame, quality: int
) -> VideoStream:
    """The output's video stream, as like the source's as can be."""
    container, is_exact = writing.format.name, quality == LOSSLESS
    width, height = first.width, first.height
    is_tiny = min(width, height) < _SMALLEST_X265
    name = _encoder_name(container, stream.codec_context.codec.canonical_name, is_exact, is_tiny)
    options = _EFFORT[name] | {"crf": str(quality)}
    if name == "libvpx-vp9" and is_exact:
        options = _EFFORT[name] | {"lossless": "1"}
    encoder = writing.add_stream(name, frame_rate(stream), options, width=width, height=height)
    assert isinstance(encoder, VideoStream)
    context = encoder.codec_context
    context.time_base = _Clock(stream).time_base
    context.thread_type = "AUTO"
    context.flags |= Flags.frame_duration  # else the last frame lasts as long as the one before
    encoder.pix_fmt = _pix_fmt(context.codec, first, width, height, is_exact)
    if not is_exact:
        context.color_range = first.color_range
        for tag in _TAGS:
            setattr(context, tag, getattr(first, tag))
    if name == "mpeg4":  # it knows no CRF; its quantiser's steps are about six of that
        context.qscale, context.global_quality = True, max(1, round(quality / 6)) * _QP_TO_LAMBDA
    if container == "avi":
        context.max_b_frames = 0  # it has no place for the order in which frames are shown
    if name == "libx265" and container in ("mp4", "mov"):
        context.codec_tag = "hvc1"  # the one of its two tags that Apple's players take
    if stream.sample_aspect_ratio:
        context.sample_aspect_ratio = stream.sample_aspect_ratio
    encoder.set_display_matrix(display_matrix(first))
    return encoder


def _encoder_name(container: str, codec: str, is_exact: bool, is_tiny: bool) -> str:
    if is_exact:
        return _EXACT.get(container, "libx264rgb")
    usual = _USUAL.get(container, "libx264")
    if container == "webm" or (container, codec) == ("avi", "vp9"):
        return usual
    return "libx264" if is_tiny and codec == "hevc" else _SAME_CODEC.get(codec, usual)


def _pix_fmt(
    encoder: av.Codec, first: av.VideoFrame, width: int, height: int, is_exact: bool
) -> str:
    """The source's pixel format, or the nearest that the encoder has and that fits the size."""
    formats = [known.name for known in encoder.video_formats or []]
    if is_exact:
        return next(name for name in _RGB if name in formats)
    wanted = first.format.name
    halves = first.format.chroma_width(2) < 2 or first.format.chroma_height(2) < 2
    if halves and (width % 2 or height % 2) and encoder.name in ("libx264", "libx265"):
        wanted = "yuv444p10le" if first.format.components[0].bits > 8 else "yuv444p"
    if wanted in formats:
        return wanted
    best, _ = find_best_pix_fmt_of_list(formats, wanted)
    return formats[0] if best is None else best.name


def _changed(
    original: av.VideoFrame, before: Pixels, after: Pixels, encoder: VideoStream
) -> av.VideoFrame:
    """The original frame in the encoder's colours, moved by what moves `before` to `after`.

    Converting `after` as a whole would blur all colour: files that keep one colour for four pixels
    lose by being taken to RGB and back (up to 39 levels at edges of a portrait's video). So only
    the difference takes that way; where there is none, the frame stays as it was.
    """

    def as_frame(pixels: Pixels) -> av.VideoFrame:
        frame = av.VideoFrame.from_ndarray(as_stored(pixels, original), format="rgb24")
        return _tagged(frame, encoder)

    if encoder.pix_fmt in _RGB:
        frame = av.VideoFrame.from_ndarray(as_stored(after, original), format="rgb24")
        return frame.reformat(format=encoder.pix_fmt)
    base, old, new = (
        frame.reformat(
            format=encoder.pix_fmt,
            interpolation=CAREFUL,
            dst_color_range=encoder.codec_context.color_range,
        ).to_ndarray()
        for frame in (original, as_frame(before), as_frame(after))
    )
    assert encoder.format is not None
    bits = encoder.format.components[0].bits
    moved = base.astype(np.int16 if bits <= 12 else np.int32)
    moved += new
    moved -= old
    np.clip(moved, 0, 2**bits - 1, out=moved)
    levels: Any = moved.astype(base.dtype)
    return _tagged(av.VideoFrame.from_ndarray(levels, format=encoder.format.name), encoder)


def _tagged(frame: av.VideoFrame, encoder: VideoStream) -> av.VideoFrame:
    """The frame with the encoder's matrix, primaries and transfer curve written on it."""
    for tag in _TAGS:
        setattr(frame, tag, getattr(encoder.codec_context, tag))
    return frame


def _add_copies(
    reading: InputContainer, stream: VideoStream, writing: OutputContainer, keep_metadata: bool
) -> tuple[dict[int, Stream], list[str]]:
    """Streams to be copied as they are, by their index in the source; and those left out."""
    copies: dict[int, Stream] = {}
    left_out: list[str] = []
    for other in reading.streams:
        if other.index == stream.index:
            continue
        what = "cover" if other.type == "video" else other.type
        if what in ("cover", "data", "unknown"):
            left_out.append(f"stream {other.index}: {what}")
            continue
        try:
            copy = writing.add_stream_from_template(other)
        except (ValueError, FFmpegError) as error:
            left_out.append(f"stream {other.index}: {what} ({error})")
            continue
        copy.disposition = other.disposition
        tags = other.metadata.items()
        copy.metadata.update({k: v for k, v in tags if keep_metadata or k == "language"})
        copies[other.index] = copy
    return copies, left_out


def _container(path: pathlib.Path) -> str:
    suffix = path.suffix.lower()
    if suffix not in CONTAINERS:
        known = " ".join(sorted(CONTAINERS))
        raise ValueError(f"cannot write {suffix} videos, only {known}; convert it first")
    return CONTAINERS[suffix]


@contextmanager
def _saying(path: pathlib.Path) -> Iterator[None]:
    """Whatever the encoder or the container cannot take becomes a ValueError that says so."""
    try:
        yield
    except UnreadableImage:
        raise
    except FFmpegError as error:
        raise ValueError(f"{path.name} cannot be written: {error.strerror}") from error
