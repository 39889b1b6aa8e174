"""Small videos for tests, and looks at what a video file holds."""

import pathlib
from fractions import Fraction
from typing import Any, NamedTuple

import av
import numpy as np
from PIL import Image

from dfd_jax.data.video_files import CAREFUL

SOUND = {".mp4": "aac", ".mov": "aac", ".mkv": "flac", ".webm": "libopus", ".avi": "mp2"}


def pictures(count: int = 16, height: int = 48, width: int = 48) -> list[np.ndarray]:
    """A smooth coloured scene that moves down by two pixels a frame."""
    coarse = np.random.default_rng(0).integers(50, 206, (5, 3, 3), np.uint8)
    size = (width, height + 2 * count)
    scene = np.array(Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC))
    return [np.ascontiguousarray(scene[2 * i : 2 * i + height]) for i in range(count)]


def write_video(
    path: pathlib.Path,
    frames: list[np.ndarray] | None = None,
    *,
    codec: str = "libx264",
    pix_fmt: str = "yuv420p",
    rate: int = 25,
    times: list[int] | None = None,
    sound: bool = False,
    rotation: float | None = None,
    tags: dict[str, str] | None = None,
    videos: int = 1,
) -> pathlib.Path:
    """A video; `times` of its frames are in units of 1/rate."""
    frames = pictures() if frames is None else frames
    path.parent.mkdir(parents=True, exist_ok=True)
    height, width, _ = frames[0].shape
    with av.open(str(path), "w") as file:
        streams: list[Any] = []
        for _ in range(videos):
            stream: Any = file.add_stream(codec, rate, width=width, height=height)
            stream.pix_fmt = pix_fmt
            stream.options = {} if codec == "mpeg4" else {"crf": "5"}
            stream.bit_rate = 4_000_000 if codec == "mpeg4" else 0
            if rotation is not None:
                stream.set_display_rotation(rotation)
            streams.append(stream)
        voice: Any = file.add_stream(SOUND[path.suffix], 48000) if sound else None
        file.metadata.update(tags or {})
        if voice is not None:
            voice.layout = "mono"
        for stream in streams:
            for index, pixels in enumerate(frames):
                frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
                frame = frame.reformat(format=pix_fmt, interpolation=CAREFUL)
                frame.pts = index if times is None else times[index]
                frame.time_base = Fraction(1, rate)
                file.mux(stream.encode(frame))
            file.mux(stream.encode(None))
        if voice is not None:
            _write_tone(file, voice, len(frames) / rate)
    return path


def _write_tone(file: Any, voice: Any, seconds: float) -> None:
    wave = 8000 * np.sin(np.arange(int(48000 * seconds)) * 0.05)
    tone = av.AudioFrame.from_ndarray(wave.astype(np.int16)[None], format="s16", layout="mono")
    tone.sample_rate, tone.pts = 48000, 0
    size = voice.codec_context.frame_size or 1024
    for part in av.AudioResampler(voice.format.name, "mono", 48000, size).resample(tone):
        file.mux(voice.encode(part))
    file.mux(voice.encode(None))


class Look(NamedTuple):
    container: str
    codec: str
    pix_fmt: str
    rate: Fraction
    times: list[float]
    sound: list[bytes]  # packets
    tags: dict[str, str]


def look(path: pathlib.Path) -> Look:
    """What a file holds."""
    with av.open(str(path)) as file:
        video: Any = file.streams.video[0]
        times = [round(frame.time, 4) for frame in file.decode(video)]
    with av.open(str(path)) as file:
        video = file.streams.video[0]
        packets = [bytes(p) for p in file.demux() if p.stream.type == "audio" and p.size]
        codec = video.codec_context.codec.canonical_name
        tags = dict(file.metadata)
        return Look(
            file.format.name, codec, video.pix_fmt, video.average_rate, times, packets, tags
        )
