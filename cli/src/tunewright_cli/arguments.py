"""The command line of ``kubectl tunewright``, from which docs/reference/cli.md is generated."""

from __future__ import annotations

import argparse
import datetime as dt
import re
from collections.abc import Callable, Sequence
from typing import Final, NoReturn, TypeAlias

from tunewright_cli.errors import CommandError
from tunewright_cli.expiry import DEFAULT_EXPIRY, NEVER, parse_duration
from tunewright_contracts.clients.client_key import ID_PATTERN, find_key_id, mask_client_keys

PROGRAM: Final = "kubectl tunewright"
EXPIRES_HELP: Final = (
    f"when the key ends: a duration (90d, 12h), a time (2027-02-25T00:00:00Z) or {NEVER} (default: {DEFAULT_EXPIRY})"
)


class Parser(argparse.ArgumentParser):
    """Parses arguments; a key among them, pasted by mistake, is in no error message."""

    def error(self, message: str) -> NoReturn:
        """Print the usage and the error, and exit with 2."""
        super().error(mask_client_keys(message))


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the whole command line."""
    parser = Parser(prog=PROGRAM, description="Work with Tunewright's resources.")
    nouns = parser.add_subparsers(required=True, metavar="NOUN", parser_class=Parser)
    key = nouns.add_parser("key", help="keys of clients", description="Keys of clients.")
    verbs = key.add_subparsers(dest="verb", required=True, metavar="VERB", parser_class=Parser)
    for add in (_add_create, _add_rotate, _add_revoke, _add_list):
        _add_cluster(add(verbs))
    return parser


Verbs: TypeAlias = "argparse._SubParsersAction[Parser]"  # noqa: SLF001 - the type of add_subparsers() has no other name


def _add_verb(verbs: Verbs, name: str, summary: str, description: str) -> argparse.ArgumentParser:
    return verbs.add_parser(name, help=summary, description=description)


def _add_create(verbs: Verbs) -> argparse.ArgumentParser:
    verb = _add_verb(
        verbs,
        "create",
        "create a key",
        "Create a key on this machine and store its hash in a ModelClient, which is created if it does not exist."
        " The key is printed once on stdout, or goes to a Secret or a file.",
    )
    verb.add_argument("name", metavar="NAME", help="the ModelClient")
    aliases = verb.add_mutually_exclusive_group()
    aliases.add_argument(
        "--alias", action="append", metavar="ALIAS", help="an alias that the client may call; repeatable"
    )
    aliases.add_argument(
        "--selector", "-l", metavar="KEY=VALUE", help="labels of the AdapterDeployments whose aliases it may call"
    )
    aliases.add_argument("--all-aliases", action="store_true", help="all aliases of the namespace, also later ones")
    verb.add_argument("--expires", default=DEFAULT_EXPIRY, metavar="WHEN", help=EXPIRES_HELP)
    _add_target(verb, "create this Secret", "create this file, which only you can read,")
    verb.add_argument(
        "--dry-run",
        nargs="?",
        const="client",
        choices=("client",),
        help="write nothing to the cluster: print the ModelClient as YAML, with only the hash (needs --env-file)",
    )
    verb.add_argument("--output", "-o", choices=("yaml",), help="the same as --dry-run")
    _add_wait(verb, default=False)
    return verb


def _add_rotate(verbs: Verbs) -> argparse.ArgumentParser:
    verb = _add_verb(
        verbs,
        "rotate",
        "replace a key by a new one without an interruption",
        "Add a new key, wait until all replicas know it, hand it over, and let the old key end later."
        " If that fails, nothing is changed.",
    )
    verb.add_argument("name", metavar="NAME", help="the ModelClient")
    _add_key_ids(verb, "a key that ends; needed only if the client has several", "all keys of the client end")
    verb.add_argument("--expires", default=DEFAULT_EXPIRY, metavar="WHEN", help=EXPIRES_HELP)
    verb.add_argument(
        "--overlap",
        type=_read(parse_duration),
        default=dt.timedelta(days=7),
        metavar="DURATION",
        help="how long the old key is still valid (default: 7d)",
    )
    _add_target(
        verb,
        "create this Secret, or replace it if it was written for the same client,",
        "create this file, or replace it if it has nothing but a key of the client,",
    )
    _add_wait(verb, default=True)
    return verb


def _add_revoke(verbs: Verbs) -> argparse.ArgumentParser:
    verb = _add_verb(
        verbs,
        "revoke",
        "stop keys",
        "Remove keys from a ModelClient and wait until no replica accepts them.",
    )
    verb.add_argument("name", metavar="NAME", help="the ModelClient")
    _add_key_ids(verb, "the id of a key, or the whole key", "revoke all keys of the client")
    verb.add_argument(
        "--suspend", action="store_true", help="stop all keys of the client without removing them, until it is undone"
    )
    _add_wait(verb, default=True)
    return verb


def _add_list(verbs: Verbs) -> argparse.ArgumentParser:
    verb = _add_verb(verbs, "list", "list keys", "List the keys of the namespace's clients by their public ids.")
    verb.add_argument("name", metavar="NAME", nargs="?", help="a ModelClient (default: all of the namespace)")
    return verb


def _add_key_ids(verb: argparse.ArgumentParser, one: str, every: str) -> None:
    verb.add_argument("key_id", metavar="ID", nargs="*", type=read_key_id, help=one)
    verb.add_argument("--all", action="store_true", help=every)


def _add_target(verb: argparse.ArgumentParser, secret: str, file: str) -> None:
    target = verb.add_mutually_exclusive_group()
    target.add_argument("--to-secret", metavar="NAME", help=f"{secret} with the key as OPENAI_API_KEY")
    target.add_argument("--env-file", metavar="FILE", help=f"{file} with the line OPENAI_API_KEY=<key>")


def _add_wait(verb: argparse.ArgumentParser, *, default: bool) -> None:
    marks = {True: " (default)", False: ""}
    wait = verb.add_mutually_exclusive_group()
    wait.add_argument(
        "--wait", action="store_true", default=default, help=f"wait until all replicas apply the change{marks[default]}"
    )
    wait.add_argument("--no-wait", dest="wait", action="store_false", help=f"do not wait{marks[not default]}")
    verb.add_argument(
        "--timeout",
        type=_read(parse_duration),
        default=dt.timedelta(seconds=60),
        metavar="DURATION",
        help="how long to wait (default: 60s)",
    )


def _add_cluster(verb: argparse.ArgumentParser) -> None:
    cluster = verb.add_argument_group("cluster")
    cluster.add_argument("--namespace", "-n", help="the namespace (default: that of the context)")
    cluster.add_argument("--context", help="the context of the kubeconfig (default: the current one)")
    cluster.add_argument("--kubeconfig", metavar="FILE", help="the kubeconfig (default: as kubectl)")


def read_key_id(text: str) -> str:
    """Return the id in an argument, which may also be the whole key.

    Raises:
        ArgumentTypeError: it is neither.
    """
    found = text if re.match(ID_PATTERN, text) else find_key_id(text)
    if found is None:
        raise argparse.ArgumentTypeError(
            "a key id has the 12 letters and digits between sk-tw- and _; `kubectl tunewright key list` shows them"
        )
    return found


def _read(parse: Callable[[str], dt.timedelta]) -> Callable[[str], dt.timedelta]:
    """Return a parser whose errors are errors of the usage."""

    def read(text: str) -> dt.timedelta:
        try:
            return parse(text)
        except CommandError as error:
            raise argparse.ArgumentTypeError(str(error)) from error

    return read


def parse_arguments(argv: Sequence[str]) -> argparse.Namespace:
    """Return the arguments; a wrong one ends the process with 2."""
    parser = build_parser()
    arguments, rest = parser.parse_known_args(argv)
    if rest and hasattr(arguments, "key_id") and not any(text.startswith("-") for text in rest):
        # argparse takes ids only where the name is: in `revoke web -n support ID`, the id is left over.
        try:
            arguments.key_id += [read_key_id(text) for text in rest]
        except argparse.ArgumentTypeError as error:
            parser.error(str(error))
    elif rest:
        parser.error(f"unrecognized arguments: {' '.join(rest)}")
    return arguments
