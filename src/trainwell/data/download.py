"""Fetch one published file: resumable, checked, and complete or absent.

The bytes go to NAME.part; a broken transfer is continued there with an HTTP Range request. Only when the checksum is
the published one is the file renamed to NAME.
"""

import hashlib
import http.client
import os
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path

from trainwell.data.source import Progress
from trainwell.errors import InputError

CHUNK = 1 << 18
TIMEOUT = 30.0
"""Seconds without an answer after which a server is given up."""


@dataclass(frozen=True)
class RemoteFile:
    """A file as its authors publish it.

    Args:
        name: of the file.
        urls: where it is, the first choice first.
        checksum: "md5:…" or "sha256:…".
    """

    name: str
    urls: tuple[str, ...]
    checksum: str


def download(
    remote: RemoteFile, folder: Path, progress: Progress | None = None, *, attempts: int = 3, wait: float = 1.0
) -> Path:
    """Bring the file into the folder unless it is there, and return its path.

    Args:
        remote: what to fetch.
        folder: where to put it; made if needed.
        progress: told how far it is.
        attempts: transfers for each address before it is given up; each goes on where the last one broke.
        wait: seconds before the second attempt, doubled with each further one.

    Raises:
        InputError: if no address answers or the checksum differs; it says which file to put where.
    """
    place = folder / remote.name
    if place.is_file():
        return place
    by_hand = f"Fetch {remote.urls[0]} by other means and put it at {place}."
    reason = ""
    for url in remote.urls:
        for attempt in range(attempts):
            try:
                folder.mkdir(parents=True, exist_ok=True)
                if attempt:
                    time.sleep(wait * 2 ** (attempt - 1))
                _transfer(url, place.with_name(f"{remote.name}.part"), remote.name, progress)
                return _checked(place, remote.checksum)
            except _WrongChecksum as error:
                reason = str(error)
            except urllib.error.HTTPError as error:
                reason = f"the server answers {error.code} {error.reason}"
                error.close()
                break
            except (OSError, http.client.HTTPException, ValueError) as error:
                reason = str(getattr(error, "reason", error)) or type(error).__name__
    raise InputError(f"{remote.name} could not be downloaded from {remote.urls[0]} ({reason}).", by_hand)


class _WrongChecksum(Exception):
    pass


def _transfer(url: str, part: Path, name: str, progress: Progress | None) -> None:
    done = part.stat().st_size if part.exists() else 0
    request = urllib.request.Request(url, headers={"Range": f"bytes={done}-"} if done else {})
    try:
        response = urllib.request.urlopen(request, timeout=TIMEOUT)
    except urllib.error.HTTPError as error:
        if error.code == 416:
            error.close()
            return
        raise
    with response:
        goes_on = response.status == 206
        done = done if goes_on else 0
        length = response.headers.get("Content-Length")
        total = done + int(length) if length else None
        with part.open("ab" if goes_on else "wb") as file:
            while block := response.read(CHUNK):
                file.write(block)
                done += len(block)
                if progress:
                    progress(f"downloading {name}", done / total if total else None)
            file.flush()
            os.fsync(file.fileno())
    if total is not None and done < total:
        raise ConnectionError(f"the transfer broke off after {done} of {total} bytes")


def _checked(place: Path, checksum: str) -> Path:
    part = place.with_name(f"{place.name}.part")
    algorithm, _, published = checksum.partition(":")
    with part.open("rb") as file:
        found = hashlib.file_digest(file, lambda: hashlib.new(algorithm, usedforsecurity=False)).hexdigest()
    if found != published:
        part.unlink()
        raise _WrongChecksum(f"its {algorithm} is {found}, published is {published}")
    part.replace(place)
    return place
