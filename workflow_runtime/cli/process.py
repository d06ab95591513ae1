"""``wfr process``: create, find, look at, and command processes. The operator's verbs are in ``operate.py``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from workflow_runtime.cli.creating import create_many
from workflow_runtime.cli.naming import DONE, FAILED, noun
from workflow_runtime.cli.options import BESIDE, Call, Output, verb
from workflow_runtime.cli.output import Table, card, first, say, shown
from workflow_runtime.cli.selecting import STDIN, every, parameters, parsed, resolve
from workflow_runtime.cli.server import condition
from workflow_runtime.core.plain import plain

if TYPE_CHECKING:
    from workflow_runtime.core.answers import CommandResult
    from workflow_runtime.core.process import HistoryEntry, Process
    from workflow_runtime.runtime import WorkflowRuntime

process = noun("process", "Create, find, look at, command and repair processes. Ids may be shortened to 6 characters.")

ROWS = 100  #: of a table; the other forms print all

_PROCESSES = Table(
    {
        "process": lambda p: p.id,
        "scheme": lambda p: p.scheme_code,
        "status": lambda p: p.status,
        "activity": lambda p: f"{p.activity} -> {p.walk.activity}" if p.walk else p.activity,
        "state": lambda p: p.state,
        "updated": lambda p: p.updated_at,
    },
    id=lambda p: p.id,
    empty="no process matches; wfr process create SCHEME makes one",
)

_HISTORY = Table(
    {
        "seq": lambda e: e.seq,
        "at": lambda e: e.at,
        "event": lambda e: e.kind,
        "from": lambda e: e.from_activity,
        "to": lambda e: e.to_activity,
        "status": lambda e: e.status,
        "by": lambda e: _by(e),
        "reason": lambda e: e.reason or (e.error.message if e.error else ""),
    },
    id=lambda e: e.process_id,
    empty="this process has no history",
)

_COMMANDS = Table(
    {"command": lambda c: c.name, "title": lambda c: c.localized_name, "parameters": lambda c: ", ".join(p.name for p in c.parameters)},
    id=lambda c: c.name,
    empty="no command may be given here now; wfr process show ID tells where it stands",
)


_KEY = click.option("--key", metavar="KEY", help="An idempotency key: sent again with it, nothing is done twice and the answer is the same.")
_WAIT = click.option("--wait", type=click.FloatRange(min=0), default=0.0, metavar="SECONDS", help="With --key: how long to wait for the first to end.")


@verb(
    process,
    "create",
    "wfr process create Order -p Amount=100 --app shop:runtime",
    "wfr process create Order --params order.json --as alice -o ids",
    "wfr process create Order --from orders.jsonl -p Country=NL -o ids",
)
@click.argument("scheme")
@click.option("-p", "pairs", multiple=True, metavar="NAME=VALUE", help="A parameter; JSON, else a text. Repeatable.")
@click.option("--params", metavar="FILE|-", help="A JSON object of parameters.")
@click.option("--count", type=click.IntRange(min=0), metavar="N", help="Create so many, with the same parameters.")
@click.option("--from", "source", metavar="FILE|-", help="Create one for each line, a JSON object of parameters; they go before -p and --params.")
@click.option("--id", "process_id", metavar="UUID", help="The id; random by default.")
@click.option("--as", "identity", metavar="USER", help="Whom history names.")
@_KEY
@_WAIT
@BESIDE
def create(
    call: Call,
    scheme: str,
    pairs: tuple[str, ...],
    params: str | None,
    count: int | None,
    source: str | None,
    process_id: str | None,
    identity: str | None,
    key: str | None,
    wait: float,
    multi: bool,
) -> int:
    """Create a process and drive it until it rests. Starts a server.

    With --count or --from many are created, in few transactions. Then no server is started and nothing is executed, so it works
    beside a server: what comes to rest without an action is stored so, what acts waits for any server. The scheme must be stored
    already, as every server does when it starts. A line that cannot be created ends the command: it is named, and what was
    created before stays. The answer is their number; with -o ids their ids.
    """
    if count is not None or source is not None:
        _require_many(count, source, process_id, key, params)
        return create_many(call, scheme, parameters(pairs, params), count=count, source=source, identity=identity)
    values = parameters(pairs, params)
    with call.server(multi=multi) as runtime:
        created = runtime.create_instance(scheme, process_id=process_id, parameters=values, identity=identity, idempotency_key=key, wait=wait)
        _card(runtime, created, call.output)
    return DONE


def _require_many(count: int | None, source: str | None, process_id: str | None, key: str | None, params: str | None) -> None:
    if count is not None and source is not None:
        raise click.UsageError("--count and --from both say how many; give one of them")
    if process_id is not None or key is not None:
        raise click.UsageError("--id and --key are for one process; leave them out with --count and --from")
    if source == params == STDIN:
        raise click.UsageError("--from and --params cannot both read stdin; name a file")


@verb(
    process,
    "list",
    "wfr process list",
    "wfr process list --where 'status=Error scheme_code=Order updated_before=1h'",
    "wfr process list --where 'parameters.Amount=100' -o ids | wfr process resume - --reason INC-77 --dry-run",
)
@click.option("--where", metavar="FILTER", help="field=value ...; a value with blanks in double quotes. The fields are listed above.")
@click.option("--limit", type=click.IntRange(min=1), help=f"How many; a table shows {ROWS} by default, the other forms all.")
def list_(call: Call, where: str | None, limit: int | None) -> None:
    """List processes, the newest first. Works beside a server, and where none runs.

    The fields of --where; a process must fit all that are given:

    \b
    - scheme_code=Order
    - status=Idled,Error (one or several)
    - activity=Review
    - state=Review
    - identity=anna (who acted in its history)
    - tenant_id=north
    - parent_id=7f3a21c0-0000-4000-8000-000000000001
    - updated_before=1h (an age, or a time such as 2031-12-24T08:00:00Z)
    - parameters.Amount=100 (JSON, or a text where it is no JSON; parameters."Due date"=... where its name has blanks)
    - text="too late" (in its scheme, activity, state, parameters or last error)

    Without --where: all processes.
    """
    filter = parsed(where)
    with call.client() as runtime:
        rows = every(runtime, filter)
        limit = limit or (ROWS if call.output is Output.TABLE else None)
        _PROCESSES.show(rows if limit is None else first(rows, limit, f"there are more than these {limit}; --limit N shows more, --where fewer"), call.output)


@verb(process, "show", "wfr process show 7f3a21", "wfr process get 7f3a21 -o json")
@click.argument("id")
def show(call: Call, id: str) -> None:
    """Show one process: where it stands, what is under way, its parameters and timers."""
    with call.client() as runtime:
        _card(runtime, runtime.get_process(resolve(runtime, id)), call.output)


@verb(process, "history", "wfr process history 7f3a21", "wfr process history 7f3a21 -o jsonl")
@click.argument("id")
def history(call: Call, id: str) -> None:
    """Show what happened to a process, the oldest first. The full id of a deleted one works too."""
    with call.client() as runtime:
        process_id = resolve(runtime, id)
        page = runtime.get_history(process_id)
        rows: list[HistoryEntry] = list(page)
        while page.next is not None:
            page = runtime.get_history(process_id, after=int(page.next))
            rows += page
        if not rows:
            runtime.get_process(process_id)  # ProcessNotFound
        _HISTORY.show(rows, call.output)


@verb(process, "commands", "wfr process commands 7f3a21", "wfr process commands 7f3a21 --as anna --app shop:runtime")
@click.argument("id")
@click.option("--as", "identity", metavar="USER", help="Only what this identity may do; needs the rules of --app or --plugins.")
@click.option("--check-conditions", is_flag=True, help="Only what would be executed now.")
def commands(call: Call, id: str, identity: str | None, check_conditions: bool) -> None:
    """List the commands that may be given to a process now."""
    with call.client() as runtime:
        _COMMANDS.show(runtime.get_available_commands(resolve(runtime, id), identity, check_conditions=check_conditions), call.output)


@verb(process, "execute", "wfr process execute 7f3a21 Approve --as anna --app shop:runtime", "wfr process execute 7f3a21 Reject -p Comment='too late'")
@click.argument("id")
@click.argument("command")
@click.option("-p", "pairs", multiple=True, metavar="NAME=VALUE", help="A parameter; JSON, else a text. Repeatable.")
@click.option("--params", metavar="FILE|-", help="A JSON object of parameters.")
@click.option("--as", "identity", metavar="USER", help="Who gives the command; its rights are checked.")
@click.option("--expected-revision", type=int, metavar="N", help="Refuse if the process has changed since.")
@_KEY
@_WAIT
@BESIDE
def execute(
    call: Call,
    id: str,
    command: str,
    pairs: tuple[str, ...],
    params: str | None,
    identity: str | None,
    expected_revision: int | None,
    key: str | None,
    wait: float,
    multi: bool,
) -> int:
    """Give a command and drive the process until it rests. Starts a server. Exit code 1 if it was not executed.

    JSON is the answer to the command: was_executed, process, reason, waiting_until, replayed.
    """
    values = parameters(pairs, params)
    with call.server(multi=multi) as runtime:
        result = runtime.execute_command(
            resolve(runtime, id),
            command,
            identity=identity,
            parameters=values,
            check_restrictions=identity is not None,
            idempotency_key=key,
            wait=wait,
            expected_revision=expected_revision,
        )
        _card(runtime, result.process, call.output, result=result)
    if not result.was_executed:
        say(f"not executed: {result.reason}")
    return DONE if result.was_executed else FAILED


def _by(entry: HistoryEntry) -> str:
    """Who or what: an operator, an identity with its command, a timer; and the key of the request that began it."""
    what = f"{entry.trigger.kind.value} {entry.trigger.name}".rstrip()
    who = entry.actor or entry.identity
    key = f", key {entry.idempotency_key}" if entry.idempotency_key else ""
    return f"{what} by {who}{key}" if who else f"{what}{key}"


def _card(runtime: WorkflowRuntime, process: Process, output: Output, *, result: CommandResult | None = None) -> None:
    """A process with its timers; as JSON inside the answer to a command, where there was one."""
    timers = runtime.get_timers(process.id)
    value: dict[str, Any] = {**plain(process), "timers": plain(timers)}
    if result is not None:
        value = {**plain(result), "process": value}
    told = {"timers": ", ".join(f"{timer.name} at {shown(timer.due)}" for timer in timers)}
    card(value, _lines(process, _owner(runtime, process.owner)) | told, output, id=process.id)


def _owner(runtime: WorkflowRuntime, owner: str | None) -> str:
    """Who executes it, and whether that one still lives."""
    if owner is None:
        return ""
    server = next((server for server in runtime.get_servers() if server.id == owner), None)
    if server is None:
        return f"{owner[:12]} (gone: this database knows no such server)"
    return f"{server.name} on {server.host}, pid {server.pid} ({condition(server, runtime.get_time())}, {owner[:12]})"


def _lines(process: Process, owner: str) -> dict[str, Any]:
    error, walk, cancel = process.last_error, process.walk, process.cancel_requested
    return {
        "process": process.id,
        "scheme": f"{process.scheme_code} (version {process.scheme_version[:12]})",
        "status": process.status,
        "activity": process.activity,
        "state": process.state,
        "on the way to": f"{walk.activity}, because of {walk.run.kind.value} {walk.run.name}".rstrip() if walk else "",
        "executed by": owner,
        "cancel requested": f"by {cancel.actor}, because {cancel.reason}" if cancel else "",
        "deadline": walk.deadline if walk and process.status == "Running" else None,
        "waits until": process.waiting_until,
        "last error": f"{error.type}: {error.message}" if error else "",
        "parameters": process.parameters,
        "parent": process.parent_id,
        "tenant": process.tenant_id,
        "created": process.created_at,
        "updated": process.updated_at,
        "revision": process.revision,
    }
