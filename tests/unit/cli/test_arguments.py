"""Wrong arguments end with 2, in plain words and without the secret of a key; the help is in the documentation."""

import re
from pathlib import Path

import pytest

from support.worlds.cli_world import make_key
from tunewright_cli.arguments import HELP_COLUMNS, parse_arguments

PAGE = Path(__file__).parents[3] / "docs" / "reference" / "cli.md"
KEY = make_key("A")
WRONG = (
    ([], "required: NOUN"),
    (["key"], "required: VERB"),
    (["key", "make", "web"], "invalid choice: 'make'"),
    (["key", "create"], "required: NAME"),
    (["key", "create", "web", "--alias", "a", "--all-aliases"], "not allowed with argument"),
    (["key", "create", "web", "--to-secret", "s", "--env-file", "f"], "not allowed with argument"),
    (["key", "create", "web", "-o", "json"], "invalid choice: 'json'"),
    (["key", "create", "web", "--dry-run=server"], "invalid choice: 'server'"),
    (["key", "create", "web", "more"], "unrecognized arguments: more"),
    (["key", "create", "web", "--wait", "--timeout", "soon"], "'soon' is not a duration"),
    (["key", "rotate", "web", "--overlap", "7"], "'7' is not a duration"),
    (["key", "revoke", "web", "short"], "a key id has the 12 letters and digits"),
    (["key", "revoke", "web", "-n", "a", "short"], "a key id has the 12 letters and digits"),
    (["key", "revoke", "web", "--al", "-x"], "unrecognized arguments: -x"),
    (["key", "revoke", "web", KEY[:-1]], "a key id has the 12 letters and digits"),
    (["key", "list", "web", KEY], "unrecognized arguments: sk-tw-AAAAAAAAAAAA_***"),
    (["key", KEY], "invalid choice: 'sk-tw-AAAAAAAAAAAA_***'"),
    ([KEY], "invalid choice: 'sk-tw-AAAAAAAAAAAA_***'"),
)


@pytest.mark.parametrize(("argv", "message"), WRONG)
def test_wrong_arguments(capsys, argv, message):
    with pytest.raises(SystemExit) as error:
        parse_arguments(argv)
    assert error.value.code == 2
    captured = capsys.readouterr()
    assert message in captured.err
    assert KEY[19:30] not in captured.out + captured.err


@pytest.mark.parametrize(
    "argv",
    [
        ["A" * 12, "B" * 12],
        [KEY, "-n", "support", "B" * 12],
        ["-n", "support", "A" * 12, "--no-wait", make_key("B")],
    ],
)
def test_ids_may_be_keys_and_stand_anywhere(argv):
    assert parse_arguments(["key", "revoke", "web", *argv]).key_id == ["A" * 12, "B" * 12]


def test_the_documentation_has_the_help_of_each_command(capsys):
    documented = dict(re.findall(r"^```console\n\$ (kubectl tunewright.*) --help\n(.*?)^```$", PAGE.read_text(), re.M | re.S))
    shown = {}
    for command in ("", " key", " key create", " key rotate", " key revoke", " key list"):
        with pytest.raises(SystemExit):
            parse_arguments([*command.split(), "--help"])
        shown[f"kubectl tunewright{command}"] = capsys.readouterr().out
    assert max(len(line) for text in shown.values() for line in text.splitlines()) <= HELP_COLUMNS
    assert documented == shown
