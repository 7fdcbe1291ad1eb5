"""Find the run whose weights another run reads, and name encoders that come from elsewhere."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from bert_lightning.runs.run_folder import RunFolder
from bert_lightning.runs.run_records import RunRecord, read_run


def source_run(location: Any, reader: RunRecord, known: Mapping[Path, RunRecord]) -> RunRecord | None:
    """Return the run whose folder or checkpoint lies at a location; None if there is no such run here.

    A relative location refers to the folder that the reader was started in. This is looked for among the folders above
    the reader, so that runs are found from any working directory, and after they were moved together.

    Args:
        location: a value of `encoder`, `teacher` or `init_from`.
        reader: the run that reads the weights.
        known: runs that were read already, by resolved path.
    """
    if not isinstance(location, str) or ":" in location.partition("/")[0]:
        return None
    path = Path(location).expanduser()
    for place in _candidates(path.parent.parent if path.suffix == ".ckpt" else path, reader.path.resolve()):
        if (found := known.get(place.resolve())) is not None:
            return found
        if RunFolder(place).config.is_file():
            return read_run(place)
    return None


def checkpoint_name(location: Any) -> str:
    """Return the name of the checkpoint file that a location names; empty for a folder."""
    path = Path(str(location))
    return path.name if path.suffix == ".ckpt" else ""


def short_locations(locations: Iterable[str], taken: Iterable[str]) -> dict[str, str]:
    """Return for each location its shortest end that belongs to no other location and is not taken."""
    parts = {location: location.rstrip("/").split("/") for location in locations}
    used = {*taken}
    names = {}
    for location, own in parts.items():
        others = [other for key, other in parts.items() if key != location]
        ends = [own[-count:] for count in range(1, len(own) + 1)]
        unique = (end for end in ends if not any(other[-len(end) :] == end for other in others))
        names[location] = next((text for end in unique if (text := "/".join(end)) not in used), location)
    return names


def _candidates(place: Path, reader: Path) -> Iterator[Path]:
    """Yield the paths that a location may mean, the likeliest first."""
    if place.is_absolute():
        yield place
        tails = [Path(*place.parts[start:]) for start in range(1, len(place.parts) - 1)]  # of two names or more
    else:
        tails = [place]
    for tail in tails:
        for folder in reader.parents:
            yield folder / tail
    if not place.is_absolute():
        yield place
