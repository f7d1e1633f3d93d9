"""verl-project/verl#7401: resuming at an epoch's end silently skips the next epoch and exits 0."""

import pytest
from pain_programs import STEPS, interrupted, program


@pytest.mark.parametrize(
    ("step", "event"),
    [
        (STEPS, "step_end"),
        (STEPS, "validation_start"),
        (STEPS, "validation_end"),
        (2 * STEPS, "step_end"),
        (3 * STEPS, "step_end"),
    ],
)
def test_no_epoch_is_skipped(step, event, tmp_path):
    trained = []

    def note(name, state):
        if name == "step_end":
            trained.append((state.epoch, state.step_in_epoch))

    run = interrupted(program, tmp_path, step, event, callbacks=[note])
    assert trained == [(epoch, i) for epoch in (1, 2, 3) for i in range(1, STEPS + 1)]
    assert [row["epoch"] for row in run.history] == [1, 2, 3]


def test_counting_a_finished_epoch_twice_skips_the_next():  # control: the saved epoch is already the next one
    done, saved = [], None
    for epoch in (1, 2, 3):
        done.append(epoch)
        saved = epoch + 1
        break
    done += range(saved + 1, 4)
    assert done == [1, 3]
