"""Torture for as long as one likes: ``python tests/torture/run.py --seed 7 --seconds 300``.

The database is a PostgreSQL of its own, which is restarted too, or the one that ``WF_TEST_POSTGRES_URL`` names with
``--shared``. Prints what happened and writes it to ``report.json``; the exit code is 1 where an invariant broke and 2
where too little happened for the run to count.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1]))
sys.path.append(str(Path(__file__).parents[1] / "store"))

import databases
from mix import Outcome, torture, write_report
from own_postgres import RestartingPostgres
from programs import Nursery
from supervisor import Supervisor


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1_000_000), help="everything at random follows from it")
    parser.add_argument("--seconds", type=float, default=60.0, help="how long faults are done")
    parser.add_argument("--shared", action="store_true", help="use the server of WF_TEST_POSTGRES_URL, and never restart it")
    parser.add_argument("--folder", type=Path, help="where logs, ledger, events and report go; by default a new one in the temporary folder")
    given = parser.parse_args(arguments)
    folder = given.folder or Path(tempfile.mkdtemp(prefix="wf-torture-"))
    folder.mkdir(parents=True, exist_ok=True)
    print(f"seed {given.seed}, {given.seconds:g} seconds, evidence in {folder}", flush=True)
    outcome = run(given.seed, given.seconds, folder, shared=given.shared)
    print(json.dumps(outcome.report(), indent=2))
    print(f"report: {write_report(outcome, folder)}")
    return 1 if outcome.violations else 2 if outcome.lacking else 0


def run(seed: int, seconds: float, folder: Path, *, shared: bool) -> Outcome:
    with ExitStack() as ended:
        nursery = Nursery()
        ended.callback(nursery.close)
        if shared:
            places = databases.postgres()
            ended.callback(places.close)
            postgres, url = None, places.empty()
        else:
            postgres = RestartingPostgres()
            ended.callback(postgres.close)
            url = postgres.url
        supervisor = ended.enter_context(Supervisor(databases.upgraded(url), folder, nursery, proxied=True))
        return torture(supervisor, seed=seed, seconds=seconds, postgres=postgres)


if __name__ == "__main__":
    sys.exit(main())
