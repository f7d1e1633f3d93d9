from trainwell.optim import METHODS, table


def test_every_method_has_a_line_that_is_filled():
    rows = {row["name"]: row for row in table()}
    assert list(rows) == list(METHODS)
    assert all(all(row.values()) for row in rows.values())
    assert all(entry.lr > 0 and entry.paper for entry in METHODS.values())
    assert {entry.decay for entry in METHODS.values()} <= {"coupled", "decoupled", "none"}


def test_the_default_rate_is_the_classs_own_or_has_its_reason():
    assert all(len(entry.why) >= 5 for entry in METHODS.values())


def test_it_prints_in_columns():
    lines = str(table()).splitlines()
    assert len(lines) == len(METHODS) + 2
    assert lines[0].split()[:3] == ["name", "deck", "cost"]
    place = lines[0].index("memory")
    assert all(line[place - 1] == " " and line[place] != " " for line in lines[2:])
