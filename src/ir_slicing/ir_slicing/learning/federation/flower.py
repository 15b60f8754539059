# SPDX-License-Identifier: Apache-2.0
"""`large_federation` under Flower (optional: requirements/federation.txt): its messages carry ours, byte for byte.

    python -m ir_slicing.learning.federation.flower --slices 200            # Flower's simulation engine on this machine
    python -m ir_slicing.learning.federation.flower --slices 200 --plain    # the same run without Flower

On a cluster ``server_app`` and ``client_app`` are the components of a Flower app (docs/guide/slices.md).
"""

from __future__ import annotations

import argparse
import time
from typing import Any

import numpy as np
import torch
from flwr.app import ConfigRecord, Context, Message, RecordDict
from flwr.clientapp import ClientApp
from flwr.serverapp import Grid, ServerApp

from ir_slicing.learning.federation.large_federation import (
    FederationHistory,
    FederationRun,
    close_round,
    make_server,
    run_in_process,
    site_round,
)

RECORD = "ir"
"""Name of our record in a Flower message."""
PATIENCE = 600.0
"""s that the server waits for the answers of a round; who is late has no part in it."""

client_app, server_app = ClientApp(), ServerApp()


@client_app.train()
def train(message: Message, context: Context) -> Message:
    """A site's part of a round; its state on the node is what its last message could not hold."""
    torch.set_num_threads(1)
    given: Any = message.content[RECORD]
    run = FederationRun.model_validate_json(given["run"])
    index = int(context.node_config["partition-id"])
    kept: Any = context.state.get(RECORD)
    rest = None if kept is None else np.frombuffer(kept["rest"], "<f4").astype(np.float32)
    data, rest, reward = site_round(run, index, given["whole"], rest)
    context.state[RECORD] = ConfigRecord({"rest": rest.astype("<f4").tobytes()})
    return Message(RecordDict({RECORD: ConfigRecord({"update": data, "reward": reward})}), reply_to=message)


def orchestrate(grid: Grid, run: FederationRun) -> FederationHistory:
    """The server's side over any Flower grid."""
    server, history = make_server(run), FederationHistory()
    while len(list(grid.get_node_ids())) < run.slices:
        time.sleep(0.2)
    for number in range(run.rounds):
        given = {"whole": server.whole().to_bytes(), "run": run.model_dump_json()}
        sent = [
            Message(RecordDict({RECORD: ConfigRecord(dict(given))}), node, "train", group_id=str(number))
            for node in grid.get_node_ids()
        ]
        answers = []
        for reply in grid.send_and_receive(sent, timeout=PATIENCE):
            if not reply.has_error():
                told: Any = reply.content[RECORD]
                answers.append((told["update"], told["reward"]))
        close_round(server, history, answers)
        print(f"round {number}: {line(history)}; refused: {dict(server.refused) or 'none'}", flush=True)
    return history


@server_app.main()
def main_of_server(grid: Grid, context: Context) -> None:
    """Runs as many sites as the app's configuration says (keys: slices, rounds)."""
    values = {name: value for name, value in context.run_config.items() if name in FederationRun.model_fields}
    orchestrate(grid, FederationRun.model_validate(values))


def line(history: FederationHistory) -> str:
    """The last round in words."""
    return f"reward {history.reward[-1]:.4f}, {history.updates[-1]} updates, {history.bytes_up[-1]} bytes up"


def simulate(run: FederationRun) -> FederationHistory:
    """Runs under Flower's simulation engine (Ray) on this machine."""
    from flwr.simulation import run_simulation

    done: list[FederationHistory] = []
    local = ServerApp()

    @local.main()
    def _main(grid: Grid, context: Context) -> None:
        done.append(orchestrate(grid, run))

    backend: Any = {"client_resources": {"num_cpus": 1, "num_gpus": 0.0}}
    run_simulation(local, client_app, num_supernodes=run.slices, backend_config=backend)
    return done[0]


def main() -> None:
    """Runs from the command line."""
    parser = argparse.ArgumentParser(description="federated training of many slices under Flower")
    parser.add_argument("--slices", type=int, default=200, help="sites [200]")
    parser.add_argument("--rounds", type=int, default=5, help="federated rounds [5]")
    parser.add_argument("--seed", type=int, default=0, help="of everything [0]")
    parser.add_argument("--plain", action="store_true", help="without Flower, in this process")
    given = parser.parse_args()
    torch.set_num_threads(1)
    run = FederationRun(slices=given.slices, rounds=given.rounds, seed=given.seed)
    began = time.perf_counter()
    history = run_in_process(run)[1] if given.plain else simulate(run)
    print(f"{given.slices} slices, {given.rounds} rounds in {time.perf_counter() - began:.1f} s; last {line(history)}")


if __name__ == "__main__":
    main()
