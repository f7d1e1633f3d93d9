"""What each verb asks of its job, and what it prints."""

import json
import pathlib

import pytest

from trainwell.cli.lr import COLUMNS, ROWS, plot


def test_resume_goes_on_in_the_folder(run, jobs):
    done = run("resume", "runs/digits-1")
    assert done.code == 0 and jobs.calls == [(pathlib.Path("runs/digits-1"),)]
    assert "trainwell predict runs/digits-1" in done.out


def test_train_in_folds_shows_mean_spread_and_each_fold(run, jobs):
    done = run("train", "digits", "--folds", "2", "--seed", "3")
    assert jobs.calls[0][0] == "digits" and jobs.calls[0][1].training.seed == 3 and jobs.calls[0][2] == 2
    assert done.out.splitlines()[1].split() == ["accuracy", "0.85000", "0.071", "0.80000", "0.90000"]
    assert json.loads(run("train", "digits", "--folds", "2", "--json").out)["spread"]["test"] == {"accuracy": 0.0707}


def test_evaluate_prints_metrics_by_part(run, jobs):
    done = run("evaluate", "runs/x", "new.csv")
    assert jobs.calls == [(pathlib.Path("runs/x"), "new.csv")]
    assert done.out.splitlines()[0].split() == ["train", "val", "test"]
    assert done.out.splitlines()[2].split() == ["accuracy", "0.99000", "0.50000", "–"]
    assert json.loads(run("evaluate", "runs/x", "--json").out)["metrics"]["val"] == {"loss": None, "accuracy": 0.5}


def test_predict_writes_csv_on_stdout(run, jobs):
    assert run("predict", "runs/x", "inbox").out == (
        'file,label,p(cat),"p(dog, small)"\na.png,cat,0.9,0.1\nb.png,"dog, small",0.2,0.8\n'
    )


def test_predict_of_one_image_prints_class_and_probabilities(run, jobs):
    assert run("predict", "runs/x", "a.PNG").out.split() == ["cat", "cat", "0.9000", "dog,", "small", "0.1000"]


def test_predict_into_a_file_leaves_writing_to_the_job(run, jobs):
    assert run("predict", "runs/x", "inbox", "-o", "out.csv").out == "out.csv\n"
    assert jobs.calls[0][2] == pathlib.Path("out.csv")


def test_predict_as_json_names_every_cell(run, jobs):
    assert json.loads(run("predict", "runs/x", "inbox", "--json").out)["rows"][0] == {
        "file": "a.png",
        "label": "cat",
        "p(cat)": 0.9,
        "p(dog, small)": 0.1,
    }


def test_export_says_how_exact_the_file_is(run, jobs):
    done = run("export", "runs/x", "m.onnx")
    assert done.out.startswith("m.onnx") and "2.0e-07" in done.out


def test_report_prints_its_path(run, jobs):
    assert run("report", "runs/x").out == f"{pathlib.Path('runs/x/report.html')}\n"


def test_summary_shows_shapes_and_parameters(run, jobs):
    done = run("summary", "digits", "--model", "mlp")
    assert jobs.calls[0][0] == "digits" and jobs.calls[0][1].model.name == "mlp"
    assert done.out.splitlines()[1].split() == ["body.0", "Linear", "64", "10", "650"]
    assert "650 parameters, 2.6 kB" in done.out
    layers = json.loads(run("summary", "digits", "--json").out)["layers"]
    assert layers[0]["input_shape"] == [64] and layers[1]["kind"] == "activation"


def test_lr_suggests_and_plots(run, jobs):
    done = run("lr", "digits")
    assert "Suggestion: 0.01" in done.out and "--lr 0.01" in done.out
    result = json.loads(run("lr", "digits", "--json").out)
    assert result["suggestion"] == 0.01 and result["losses"][-1] is None and len(result["rates"]) == 50


def test_plot_of_a_line_is_a_diagonal():  # closed form: loss linear in the logarithm of the rate
    rates = [10.0 ** (-i / (ROWS - 1)) for i in range(ROWS)][::-1]
    lines = plot(rates, [float(ROWS - 1 - i) for i in range(ROWS)], marked=0.0)
    columns = [line.split("┤")[1].index("•") for line in lines[:ROWS]]
    assert columns == [round(i * (COLUMNS - 1) / (ROWS - 1)) for i in range(ROWS)]


def test_plot_cuts_off_what_diverges():
    lines = plot([1e-3, 1e-2, 1e-1, 1.0], [2.0, 1.0, 1.5, 1e9], marked=1e-2)
    assert "│" in lines[0] and sum(line.count("•") for line in lines) == 3


def test_plot_of_nothing_finite_says_so():
    assert "too few" in plot([1e-3, 1e-2], [float("nan")] * 2, marked=1e-3)[0]


@pytest.mark.parametrize("json_wanted", [True, False])
def test_doctor_knows_versions_and_gives_advice(json_wanted, run):
    done = run("doctor", *(["--json"] if json_wanted else []))
    assert done.code == 0
    if json_wanted:
        facts = json.loads(done.out)
        assert facts["versions"]["torch"] and facts["bf16_speed"] > 0 and facts["memory"]["total"] > 0
        assert facts["advice"] and all(sentence.endswith(".") for sentence in facts["advice"])
    else:
        assert "torch" in done.out and "\x1b" not in done.out
