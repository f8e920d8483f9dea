"""A value put into a YAML text: nothing else of it changes."""

import pytest
import yaml

from search.spec.yaml_file import with_value

NEW = "{loguniform: [1.0e-03, 1.0e-02]}"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("space:\n  lr: 0.1   # why\n  seed: 1\n", f"space:\n  lr: {NEW}   # why\n  seed: 1\n"),
        ("space:\n  lr: {uniform: [1, 2]}  # why\n", f"space:\n  lr: {NEW}  # why\n"),
        (
            "space:\n  lr:\n    uniform: [1, 2]  # a\n  # b\n  seed: 1\n",
            f"space:\n  lr: {NEW}  # a\n  # b\n  seed: 1\n",
        ),
        ("space:\n  lr:\n    uniform:\n      - 1\n      - 2\n\n  seed: 1\n", f"space:\n  lr: {NEW}\n\n  seed: 1\n"),
        ("space: {lr: 0.1, seed: 1}\n", f"space: {{lr: {NEW}, seed: 1}}\n"),
        ("space:\n  seed: 1  # c\nname: x\n", f"space:\n  lr: {NEW}\n  seed: 1  # c\nname: x\n"),
        ("space: {seed: 1}\nname: x\n", f"space: {{lr: {NEW}, seed: 1}}\nname: x\n"),
        ("# top\nname: x\n", f"# top\nname: x\nspace:\n  lr: {NEW}\n"),
    ],
)
def test_the_value_is_replaced_or_added(text, expected):
    result = with_value(text, ("space", "lr"), NEW)
    assert result == expected
    assert yaml.safe_load(result)["space"]["lr"] == yaml.safe_load(NEW)
