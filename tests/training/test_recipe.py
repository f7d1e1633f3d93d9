import math
import tomllib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trainwell.errors import InputError
from trainwell.training import Recipe, Training


def test_an_empty_recipe_is_complete_and_goes_round(tmp_path):
    path = tmp_path / "recipe.toml"
    path.write_text(Recipe().to_toml(), encoding="utf-8")
    assert Recipe.read(path) == Recipe()
    path.write_text("")
    assert Recipe.read(path) == Recipe()


def test_toml_goes_round_with_awkward_values(tmp_path):
    changed = Recipe().override(
        [
            'data.source="C:\\\\data\\\\häuser \\"neu\\".csv"',
            'data.keep=["a, b", "größe", "x\\ny"]',
            "optimizer.lr=1e-3",
            "training.threshold=auto",
            "training.checkpoint_every=17",
            "precision.channels_last=true",
            "augmentation.flip=false",
        ]
    )
    changed = changed.model_copy(update={"picked": {"lr": 'range test "fast" # 100 steps\n'}})
    path = tmp_path / "recipe.toml"
    path.write_text(changed.to_toml(), encoding="utf-8")
    assert Recipe.read(path) == changed


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    st.text(st.characters(exclude_categories=["Cs"]), max_size=20),
    st.floats(min_value=1e-12, max_value=1e6),
    st.integers(1, 10**6),
    st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=8), max_size=3),
)
def test_any_text_and_number_goes_round(source, lr, epochs, keep):
    recipe = Recipe()
    recipe = recipe.model_copy(
        update={
            "data": recipe.data.with_(source=source, keep=keep),
            "optimizer": recipe.optimizer.with_(lr=lr),
            "training": recipe.training.with_(epochs=epochs),
        }
    )
    assert Recipe.checked(tomllib.loads(recipe.to_toml())) == recipe


def test_every_field_has_its_sentence_in_the_file():
    text = Recipe().to_toml()
    for section in (s for s in vars(Recipe()).values() if hasattr(s, "model_fields_set")):
        for name, field in type(section).model_fields.items():
            assert field.description and field.description in text, name
    assert "# lr = …" in text  # an absent field is shown as a comment


def test_comments_of_the_users_file_do_no_harm(tmp_path):
    (tmp_path / "r.toml").write_text("# mine\n[optimizer]  # here\nlr = 1  # a whole number\n")
    assert Recipe.read(tmp_path / "r.toml").optimizer.lr == 1.0


@pytest.mark.parametrize(
    ("assignment", "message"),
    [
        ("optimizer.learning_rate=0.1", r"no field optimizer.learning_rate .*Did you mean optimizer.lr\?"),
        ("optimizer.momentun=0.1", r"Did you mean optimizer.momentum\?"),
        ("trainning.epochs=3", r"no field trainning .*Did you mean training\?"),
        ("training.lr=0.1", r"Did you mean optimizer.lr\?"),
        ("model.epochs=3", r"Did you mean training.epochs\?"),
        ("training.xyzzy=3", r"no field training.xyzzy .*Known: .*epochs"),
        ("optimizer.lr=-0.1", r"optimizer.lr is -0.1.*greater than 0"),
        ("optimizer.lr=0", r"optimizer.lr is 0"),
        ("optimizer.lr=inf", "optimizer.lr is inf.*finite"),
        ("optimizer.lr=nan", "optimizer.lr is nan.*finite"),
        ("optimizer.lr=fast", "optimizer.lr is 'fast'.*valid number"),
        ("optimizer.lr=true", "optimizer.lr is True"),
        ("optimizer.weight_decay=-1", "optimizer.weight_decay is -1"),
        ("optimizer.weight_decay=inf", "optimizer.weight_decay is inf"),
        ("precision.dtype=bfloat32", r"precision.dtype is 'bfloat32'.*Did you mean float32\?"),
        ("loss.label_smoothing=1.5", "loss.label_smoothing is 1.5"),
        ("loss.label_smoothing=-0.1", "loss.label_smoothing is -0.1"),
        ("training.threshold=7", "training.threshold is 7"),
        ("training.checkpoint_every=0", "training.checkpoint_every is 0"),
        ("training.log_every=-1", "training.log_every is -1"),
        ("training.epochs=0", "training.epochs is 0"),
        ("training.epochs=2.5", "training.epochs is 2.5"),
        ("training.epochs='3'", "training.epochs is '3'"),
        ("training.ema=1", "training.ema is 1"),
        ("precision.threads=-1", "precision.threads is -1"),
        ("precision.dtype=float16", r"precision.dtype is 'float16'.*Did you mean bfloat16|float32"),
        ("data.val=1.5", "data.val is 1.5"),
        ("schedule.warmup=1", "schedule.warmup is 1"),
        ("format=2", "not of the form section.field=value"),
        ("optimizer.lr", "not of the form section.field=value"),
        ("format.x=2", "format is not a section"),
        ("optimizer.lr=", "optimizer.lr is ''"),
    ],
)
def test_wrong_overrides_name_field_value_and_way_out(assignment, message):
    with pytest.raises(InputError, match=message):
        Recipe().override([assignment])


def test_overrides_apply_in_order_and_take_plain_words():
    recipe = Recipe().override(["optimizer.lr=1", "optimizer.lr=0.5", "model.name=my net.py:make", "data.keep=['a']"])
    assert recipe.optimizer.lr == 0.5 and recipe.model.name == "my net.py:make" and recipe.data.keep == ["a"]
    assert Recipe().optimizer.lr is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[optimizer\nlr = 1", "cannot be read"),
        ("format = 9", "format is 9, this trainwell reads 1"),
        ("[optimiser]\nlr = 1", r"no field optimiser .*Did you mean optimizer\?"),
        ("optimizer = 3", "optimizer is 3"),
    ],
)
def test_wrong_files_are_a_sentence_with_their_path(text, message, tmp_path):
    (tmp_path / "r.toml").write_text(text)
    with pytest.raises(InputError, match=message) as error:
        Recipe.read(tmp_path / "r.toml")
    assert "r.toml" in str(error.value)


def test_a_missing_or_binary_file_is_a_sentence(tmp_path):
    with pytest.raises(InputError, match="does not exist"):
        Recipe.read(tmp_path / "none.toml")
    (tmp_path / "b.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match="UTF-8"):
        Recipe.read(tmp_path / "b.toml")


def test_the_fingerprint_knows_what_decides_the_weights():
    base = Recipe().fingerprint()
    for same in ("output.folder=elsewhere", "output.report=false", "training.max_minutes=3", "training.device=cpu"):
        assert Recipe().override([same]).fingerprint() == base, same
    for other in ("optimizer.lr=0.1", "training.seed=1", "data.source=a", "precision.dtype=bfloat16", "model.width=3"):
        assert Recipe().override([other]).fingerprint() != base, other
    assert Recipe().model_copy(update={"picked": {"lr": "why"}}).fingerprint() == base


def test_fields_cannot_be_assigned_and_copies_are_checked():
    with pytest.raises(ValueError, match="frozen"):
        Recipe().optimizer.lr = 3.0
    with pytest.raises(ValueError, match="greater than 0"):
        Recipe().optimizer.with_(lr=-1.0)
    assert math.isclose(Recipe().optimizer.with_(lr=0.5).lr, 0.5)


@pytest.mark.parametrize(
    "wrong", [{"seed": -1}, {"accumulate": 0}, {"ema": 1.0}, {"log_every": 0}, {"checkpoint_every": 0}, {"nonsense": 1}]
)
def test_training_refuses_what_no_run_can_use(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Training(**wrong)
