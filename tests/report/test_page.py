from __future__ import annotations

import json
import math

from counterpoint.report import page


def test_embedded_json_cannot_leave_its_script() -> None:
    value = {"a": "</script><!--", "b": "x & y > z", "c": "\u2028", "d": [1, None]}
    text = page.embed_json(value)
    assert not set("<>&\u2028") & set(text)
    assert json.loads(text) == value


def test_embedded_json_knows_no_nan() -> None:
    assert json.loads(page.embed_json({"a": [math.nan, math.inf, 1.5]})) == {"a": [None, None, 1.5]}
