"""Results of the published settings: kept without figures, and those in the package name what they ran on."""

from trainwell.lab.catalogue import entries
from trainwell.lab.full_results import FOLDER, keep, kept
from trainwell.lab.single import Options, run

HELD = {"holds", "in part", "fails"}


def test_what_is_kept_comes_back(tmp_path):
    (chosen,) = [one for one in entries() if one.id == "S11"]
    result = run(chosen, Options(seed=1))
    keep(result, "a machine", tmp_path)
    found = kept("S11", tmp_path)
    assert found["verdict"] == result["verdict"] and found["hardware"] == "a machine" and found["setting"]["seed"] == 1
    assert [check["name"] for check in found["checks"]] == [check["name"] for check in result["checks"]]
    assert not {"figure", "code"} & found.keys() and kept("S12", tmp_path) is None


def test_every_kept_result_is_sound_and_says_where_and_how_long():
    known = {one.id for one in entries()}
    for place in FOLDER.glob("*.json"):
        found = kept(place.stem)
        assert found["id"] in known and found["verdict"] in HELD and found["swapped"] != "holds"
        assert found["hardware"] and found["seconds"] > 0 and found["versions"]["torch"]
