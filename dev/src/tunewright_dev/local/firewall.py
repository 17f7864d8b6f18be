"""The packet filter of the local cluster: what pods can reach, and how to remove all rules.

Pods can reach pods and the API server, but no address outside the machine and no other service on it.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator

from tunewright_dev import commands, topology

FORWARD_CHAIN = "TUNEWRIGHT-FORWARD"
INPUT_CHAIN = "TUNEWRIGHT-INPUT"
_HOOKS = {"FORWARD": FORWARD_CHAIN, "INPUT": INPUT_CHAIN}
_COMMANDS = ("iptables", "ip6tables")
_OWN_CHAIN = re.compile(r"(KUBE|TUNEWRIGHT)-\S+")
_TARGET = re.compile(r" -[jg] (\S+)")


def build_rules() -> str:
    """Return the rules in the format of iptables-restore."""
    pods = topology.POD_RANGE
    return "\n".join(
        [
            "*filter",
            f":{FORWARD_CHAIN} - [0:0]",
            f":{INPUT_CHAIN} - [0:0]",
            f"-A {FORWARD_CHAIN} -s {pods} -d {pods} -j ACCEPT",
            f"-A {FORWARD_CHAIN} -s {pods} -j REJECT",
            f"-A {FORWARD_CHAIN} -d {pods} -j REJECT",
            # Answers to the kubelet's probes, and to users who call pods and Services from the machine.
            f"-A {INPUT_CHAIN} -s {pods} -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT",
            f"-A {INPUT_CHAIN} -s {pods} -d {topology.NODE_ADDRESS} -p tcp --dport {topology.API_PORT} -j ACCEPT",
            f"-A {INPUT_CHAIN} -s {pods} -j REJECT",
            "COMMIT",
            "",
        ]
    )


def build_removal(saved: str) -> str:
    """Return the script for `iptables-restore --noflush` that removes our and kube-proxy's chains.

    Args:
        saved: the output of iptables-save. Rules and chains of other programs do not change.
    """
    lines: list[str] = []
    for table, body in _split_tables(saved):
        own = _pick_own(body)
        if not own:
            continue
        jumps = [line for line in body if line.startswith("-A ") and _leads_into(line, own)]
        lines += [f"*{table}", *(f":{chain} - [0:0]" for chain in own)]
        lines += [f"-D{jump.removeprefix('-A')}" for jump in jumps]
        lines += [*(f"-X {chain}" for chain in own), "COMMIT"]
    return "\n".join([*lines, ""]) if lines else ""


def apply() -> None:
    """Add our chains, before all other rules."""
    commands.capture(["iptables-restore", "--wait", "--noflush"], stdin=build_rules())
    listed = commands.capture(["iptables-save", "-t", "filter"])
    for hook, chain in _HOOKS.items():
        if f"-A {hook} -j {chain}" not in listed.splitlines():
            commands.capture(["iptables", "--wait", "-I", hook, "1", "-j", chain])


def remove() -> None:
    """Remove our and kube-proxy's chains for both address families."""
    for command in filter(shutil.which, _COMMANDS):
        script = build_removal(commands.capture([f"{command}-save"]))
        if script:
            commands.capture([f"{command}-restore", "--wait", "--noflush"], stdin=script)


def find_chains() -> list[str]:
    """Return our and kube-proxy's existing chains, each with its command and table."""
    found = []
    for command in filter(shutil.which, _COMMANDS):
        saved = commands.capture([f"{command}-save"])
        found += [f"{command} chain {chain} of table {table}" for table, chain in list_chains(saved)]
    return found


def list_chains(saved: str) -> list[tuple[str, str]]:
    """Return (table, chain) of our and kube-proxy's chains in the output of iptables-save."""
    return [(table, chain) for table, body in _split_tables(saved) for chain in _pick_own(body)]


def _pick_own(body: list[str]) -> list[str]:
    chains = [line[1:].split()[0] for line in body if line.startswith(":")]
    return [chain for chain in chains if _OWN_CHAIN.fullmatch(chain)]


def _split_tables(saved: str) -> Iterator[tuple[str, list[str]]]:
    table, body = "", list[str]()
    for line in saved.splitlines():
        if line.startswith("*"):
            table, body = line[1:], []
        elif line == "COMMIT":
            yield table, body
        elif not line.startswith("#"):
            body.append(line)


def _leads_into(rule: str, own: list[str]) -> bool:
    target = _TARGET.search(rule)
    return target is not None and target[1] in own and rule.split()[1] not in own
