def test_prints_a_line_an_objective(invoke):
    result = invoke("bench", "dcl", "--rows", "64", "--rounds", "1")
    assert result.exit_code == 0
    assert "dcl" in result.stdout
    assert "three dense products" in result.stdout


def test_json_is_for_machines(as_json):
    found = as_json("bench", "dcl", "clip", "--rows", "64", "--rounds", "1")
    assert found["rows"] == 64
    assert set(found["objectives"]) == {"dcl", "clip"}


def test_an_unknown_objective_is_said_with_the_nearest(invoke):
    result = invoke("bench", "dcll")
    assert result.exit_code == 2
    assert "Did you mean dcl" in result.stderr
