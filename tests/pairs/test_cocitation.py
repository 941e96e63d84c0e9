from counterpoint.pairs.cocitation import cocited_pairs


def test_pairs_cited_together_once():
    citations = {"x": ["a", "b", "a", "x"], "y": ["b", "a", "c"], "z": ["c"], "a": []}
    assert cocited_pairs(citations) == [("a", "b"), ("b", "c"), ("a", "c")]
    assert cocited_pairs(citations, among=["a", "c"]) == [("a", "c")]
    assert cocited_pairs({}) == []
