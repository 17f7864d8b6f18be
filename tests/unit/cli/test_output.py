"""Messages have no key, also not in base64; the result is printed as it is."""

import base64

from support.worlds.cli_world import make_key
from tunewright_cli.output import Output

KEY = make_key("A")


def test_a_message_has_only_the_public_part_of_a_key(capsys):
    encoded = base64.b64encode(KEY.encode()).decode()
    Output().note(f"a {KEY} and {KEY[:40]}… and data: {{OPENAI_API_KEY: {encoded}}}.")
    masked = "sk-tw-AAAAAAAAAAAA_***"
    assert capsys.readouterr().err == f"a {masked} and {masked}… and data: {{OPENAI_API_KEY: c2stdHct***}}.\n"


def test_a_result_is_printed_as_it_is(capsys):
    Output().result(KEY)
    assert capsys.readouterr() == (f"{KEY}\n", "")
