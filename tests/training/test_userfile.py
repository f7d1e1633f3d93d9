import pytest

from trainwell.errors import InputError
from trainwell.training.userfile import absolute, load_function, names_file, refuse_inside


def test_a_function_is_found_in_a_file_and_may_import_what_it_likes(tmp_path):
    path = tmp_path / "my net.py"
    path.write_text(
        "import math\nfrom dataclasses import dataclass\n"
        "@dataclass\nclass A:\n    x: int\ndef f(): return A(math.floor(2.5)).x\n"
    )
    assert load_function(f"{path}:f")() == 2
    assert names_file(f"{path}:f") and not names_file("mlp") and not names_file("folder.py")


@pytest.mark.parametrize(
    ("text", "name", "message"),
    [
        ("def f(): pass", "g", "has no function 'g'. It has f"),
        ("x = 3", "x", "has no function 'x'. It has none"),
        ("def f(:", "f", "failed while it was imported: SyntaxError"),
        ("import nowhere_at_all", "f", "failed while it was imported: ModuleNotFoundError"),
        ("1 / 0", "f", "failed while it was imported: ZeroDivisionError"),
    ],
)
def test_what_is_wrong_with_the_file_is_said(text, name, message, tmp_path):
    (tmp_path / "net.py").write_text(text)
    with pytest.raises(InputError, match=message):
        load_function(f"{tmp_path / 'net.py'}:{name}")


def test_a_missing_file_is_named():
    with pytest.raises(InputError, match=r"nowhere.py does not exist"):
        load_function("nowhere.py:f")


def test_names_become_absolute(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert absolute("net.py:f") == f"{tmp_path.resolve() / 'net.py'}:f"


def test_files_inside_a_folder_are_refused_through_links_and_dots_too(tmp_path):
    (tmp_path / "run" / "sub").mkdir(parents=True)
    (tmp_path / "run" / "sub" / "evil.py").write_text("")
    (tmp_path / "link.py").symlink_to(tmp_path / "run" / "sub" / "evil.py")
    for name in ("run/sub/evil.py", "run/../run/sub/evil.py", "link.py"):
        with pytest.raises(InputError, match="inside its own folder"):
            refuse_inside(f"{tmp_path / name}:f", tmp_path / "run")
    refuse_inside(f"{tmp_path / 'mine.py'}:f", tmp_path / "run")
