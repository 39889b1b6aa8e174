"""Saving and resuming a training run. Resuming equals never having stopped, bit for bit.

A checkpoint holds the training state, the position of the data iterator, and what the run depends
on: the sha256 of the frozen networks and the number of processes. A restore under other ones is
refused.
"""

import pathlib
from typing import Any, TypeVar

import grain.checkpoint as grain_checkpoint
import jax
import orbax.checkpoint as ocp
from orbax.checkpoint.checkpoint_managers import preservation_policy

State = TypeVar("State")


class Checkpoints:
    """The checkpoints of one run, in one folder."""

    def __init__(self, folder: pathlib.Path, keep: int = 2) -> None:
        options = ocp.CheckpointManagerOptions(
            preservation_policy=preservation_policy.LatestN(keep),
            cleanup_tmp_directories=True,
            enable_async_checkpointing=False,  # saving is fast, and a step that returned is on disk
        )
        self._manager = ocp.CheckpointManager(folder.resolve(), options=options)

    def latest_step(self) -> int | None:
        """The step of the newest complete checkpoint; None if there is none."""
        return self._manager.latest_step()

    def save(self, step: int, state: Any, batches: Any, depends_on: dict[str, Any]) -> bool:
        """Write a checkpoint; False if this step has one. `batches` is the grain iterator."""
        if step in self._manager.all_steps():
            return False
        items = ocp.args.Composite(
            state=ocp.args.StandardSave(state),
            data=grain_checkpoint.CheckpointSave(batches),  # pyright: ignore[reportCallIssue]
            depends_on=ocp.args.JsonSave(self._complete(depends_on)),
        )
        self._manager.save(step, args=items, force=True)
        self._manager.wait_until_finished()
        return True

    def restore(self, state: State, batches: Any, depends_on: dict[str, Any]) -> State:
        """The newest state, with the sharding of `state`; moves `batches` to its position. None
        restores the state alone.

        ValueError if it was saved with other frozen networks or another number of processes.
        """
        step = self.latest_step()
        self._refuse_other(step, self._complete(depends_on))
        abstract = jax.tree.map(ocp.tree.to_shape_dtype_struct, state)
        items: dict[str, Any] = {"state": ocp.args.StandardRestore(abstract)}
        if batches is not None:
            items["data"] = grain_checkpoint.CheckpointRestore(batches)  # pyright: ignore[reportCallIssue]
        return self._manager.restore(step, args=ocp.args.Composite(**items))["state"]

    def close(self) -> None:
        """End the manager's threads."""
        self._manager.close()

    def _refuse_other(self, step: int | None, expected: dict[str, Any]) -> None:
        items = ocp.args.Composite(depends_on=ocp.args.JsonRestore())
        saved = self._manager.restore(step, args=items)["depends_on"]
        changed = [k for k in {**saved, **expected} if saved.get(k) != expected.get(k)]
        if changed:
            lines = [f"{k}: saved {saved.get(k)}, now {expected.get(k)}" for k in sorted(changed)]
            raise ValueError(
                f"checkpoint {self._manager.directory} was made under other conditions:\n  "
                + "\n  ".join(lines)
                + "\nUse the same networks and processes, or another --workdir."
            )

    @staticmethod
    def _complete(depends_on: dict[str, Any]) -> dict[str, Any]:
        return {**depends_on, "processes": jax.process_count()}
