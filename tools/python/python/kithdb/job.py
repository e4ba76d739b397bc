"""Trainings and compactions in the background."""

from __future__ import annotations

from typing import Any, NamedTuple

from . import _kithdb
from .exceptions import StorageError

#: Seconds between two looks at a job: Ctrl-C is heard as often.
GLANCE = 0.1


class Progress(NamedTuple):
    """How far a job is."""

    phase: str
    step: int
    of: int
    """Steps of the phase; 0 where it has no steps."""


class Job:
    """A training or compaction that runs in the background. Dropping it lets the job run on."""

    def __init__(self, job: _kithdb.Job) -> None:
        self._job = job

    def progress(self) -> Progress:
        """How far it is."""
        return Progress(*self._job.progress())

    def cancel(self) -> None:
        """Asks it to stop. Unless it is publishing already it does so within a fraction of a second, and publishes nothing."""
        self._job.cancel()

    def is_finished(self) -> bool:
        """Whether it has ended, one way or another."""
        return self._job.is_finished()

    def wait(self, progress: bool | None = None) -> dict[str, Any]:
        """Waits for it to end; what it came to.

        A bar of tqdm, where that is installed, shows how far it is: where stderr is a terminal, or always or never as ``progress`` says. Ctrl-C cancels
        the job and raises ``KeyboardInterrupt`` when it has ended.
        """
        try:
            with _Bar(progress) as bar:
                while not self._job.wait_timeout(GLANCE):
                    bar.show(self.progress())
        except BaseException:
            self._job.cancel()
            self._job.wait_timeout(60)
            raise
        return self._job.outcome()

    def __repr__(self) -> str:
        try:
            phase, step, of = self.progress()
        except StorageError:
            return "<kithdb.Job: of another process>"
        return f"<kithdb.Job: {phase}{f' {step}/{of}' if of else ''}>"


class _Bar:
    """A bar a phase."""

    def __init__(self, wanted: bool | None) -> None:
        self._tqdm = None
        self._bar: Any = None
        self._phase = ""
        # What tqdm itself understands: None means only where it writes to a terminal.
        self._disable = None if wanted is None else not wanted
        if wanted is not False:
            try:
                from tqdm.auto import tqdm  # type: ignore[import-untyped, unused-ignore]
            except ImportError:
                return
            self._tqdm = tqdm

    def show(self, progress: Progress) -> None:
        if self._tqdm is None:
            return
        if progress.phase != self._phase:
            self._close()
            self._phase = progress.phase
            self._bar = self._tqdm(desc=progress.phase, total=progress.of or None, disable=self._disable, leave=False)
        self._bar.n = progress.step
        self._bar.refresh()

    def _close(self) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None

    def __enter__(self) -> _Bar:
        return self

    def __exit__(self, *_: object) -> None:
        self._close()
