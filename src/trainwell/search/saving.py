"""The folder of a race: ``race.json`` and ``race.html``."""

import json

from trainwell.search.outcome import Race
from trainwell.training.fitting import make_folder
from trainwell.training.state import Teller
from trainwell.training.weights import write_text


def save(race: Race, teller: Teller) -> None:
    """Write both files into the race's folder."""
    assert race.folder is not None  # asked for by the caller
    make_folder(race.folder)
    write_text(race.folder / "race.json", json.dumps(race.to_dict(), indent=1, allow_nan=False) + "\n")
    teller.stage("writing the report")
    race.save_html(race.folder / "race.html")
