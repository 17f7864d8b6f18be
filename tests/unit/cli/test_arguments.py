"""Wrong arguments end with 2; the error never has the secret of a key."""

import pytest

from support.worlds.cli_world import make_key
from tunewright_cli.arguments import parse_arguments

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
    (["key", "revoke", "web", "--wait", "--no-wait"], "not allowed with argument"),
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
