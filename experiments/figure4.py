"""Figure 4: a reenacted clip with and without protection: python -m experiments.figure4

A row for each frame: the photo, the protected photo, the frame that drives, and the fakes of both.
On drawn faces unless --config.data.root names photographs, whose picture goes to the workdir: real
people are in it.
"""

from dfd_jax.data import sources
from dfd_jax.evaluation import files, inference
from dfd_jax.evaluation.report import examples, picture_grid
from experiments.tables import command, rows
from experiments.tables.inputs import TableRun

FRAMES, PHOTOS = 3, 2
CLIP = 0  # of the driving motions


def make(run: TableRun) -> picture_grid.Panels:
    """A row for each photo and frame."""
    config = run.config
    with config.unlocked():
        config.photos = PHOTOS
        config.driving.test_frames = FRAMES
    inputs = run.inputs("fomm")
    reference, condition = inputs.reference, inputs.conditions[CLIP]
    size = inputs.net.card.input_size
    driving = examples.shown_frames(
        sources.driving_clips(config.driving.root, size)[condition], FRAMES
    )
    change = rows.change_by(inputs, config.perturbers["fomm"])
    crops = files.through_files(reference.photos, change, (size,)).crops[size]
    attributes = reference.photos.attributes
    after = inference.make_fakes(reference.networks, "fomm", crops, attributes, condition).images
    before = reference.originals["fomm", condition].images
    return [
        {
            "x": reference.clean[size][i],
            "x+P(x)": crops[i],
            "driving": driving[k],
            "G(x)": before[i, k],
            "G(x+P(x))": after[i, k],
        }
        for i in range(len(crops))
        for k in range(FRAMES)
    ]


if __name__ == "__main__":
    command.run_figure("figure4", make)
