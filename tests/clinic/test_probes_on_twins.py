"""Single probes on programs of the suite: each suspects the sick one of its fault, and not its repaired twin."""

import importlib
import sys
from pathlib import Path
from typing import Any

import pytest

from trainwell import Program
from trainwell.clinic.meter import Meter
from trainwell.clinic.subject import Subject

FOLDER = Path(__file__).parents[2] / "bench" / "clinic"
sys.path.insert(0, str(FOLDER))
PROGRAMS = importlib.import_module("program").load_programs()
FIELDS = ("model", "train", "val", "loss", "optimizer", "batch_size", "epochs", "shuffle", "scheduler", "clip_grad")
TRIED = 0.1  # prior from which a suspicion is tried
TWINS = [
    ("hidden_softmax", "softmax_as_hidden_activation", "vanishing-gradient"),
    ("loud_products", "dot_of_standard_normal_vectors", "bad-init-scale"),
    ("class_balance", "weights_the_wrong_way_round", "class-imbalance"),
    ("class_balance", "complaints_among_praise", "class-imbalance"),
    ("class_balance", "accidents_by_severity", "class-imbalance"),
    ("dropout_rate", "dropout_of_the_answers", "dropout-too-high"),
    ("dropout_rate", "half_of_sixteen_units_thrice", "dropout-too-high"),
    ("norm_modes", "momentum_of_one_keeps_the_last_batch", "bn-train-eval-mismatch"),
    ("batches", "pooled_vectors_in_twos", "bn-small-batch"),
    ("signal", "norms_shifted_below_zero", "dead-relu"),
    ("signal", "state_grows_by_a_fifth", "exploding-gradient"),
    ("task_and_loss", "uncertain_findings", "label-out-of-range"),
    ("task_and_loss", "double_absent_tags_and_slow", "label-out-of-range"),
    ("weight_scale", "scores_never_put_through_softmax", "exploding-activations"),
    ("symmetry", "constant_for_reproducible_runs", "symmetric-init"),
    ("idle_weights", "persons_table_read_twice", "unused-parameters"),
    ("optimizer_settings", "penalty_of_a_ported_detector", "weight-decay-too-high"),
    ("rate", "mean_divided_once_more", "lr-too-low"),
    ("emptied_gradients", "accumulated_but_stepped_each_time", "stale-gradients"),
    ("norm_gap", "norms_behind_dropout", "bn-train-eval-mismatch"),
    ("receptive_field", "kernels_of_one_pixel", "underfitting-capacity"),
    ("nonlinearity", "cell_without_its_tanh", "missing-nonlinearity"),
]


def priors(probe: str, case: dict[str, Any], task: str) -> dict[str, float]:
    """Code → prior of what one probe suspects, once the rehearsals are there."""
    fields = {key: case[key] for key in FIELDS if case.get(key) is not None}
    subject = Subject(Program(**fields, task=task), Meter(1000.0))
    if not subject.first_step.error:
        _ = subject.whole, subject.opening
    found = importlib.import_module(f"trainwell.clinic.probes.{probe}").probe(subject)
    return {suspicion.code: suspicion.prior for suspicion in found}


@pytest.mark.parametrize(("probe", "name", "code"), TWINS, ids=[f"{probe}-{name}" for probe, name, _ in TWINS])
@pytest.mark.filterwarnings("ignore")
def test_the_sick_one_is_suspected_and_its_repaired_twin_is_not(probe: str, name: str, code: str) -> None:
    program = PROGRAMS[name]
    sick = priors(probe, program.build(0, True), program.task)
    assert sick.get(code, 0.0) >= 0.4
    well = priors(probe, program.build(0, False), program.task)
    assert well.get(code, 0.0) < TRIED
