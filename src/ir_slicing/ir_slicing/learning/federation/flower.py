# SPDX-License-Identifier: Apache-2.0
"""`large_federation` under Flower (optional: requirements/federation.txt): its messages carry ours, byte for byte.

``server_app`` and ``client_app`` are the components of the Flower app in config/flower (docs/guide/slices.md).
"""

from __future__ import annotations

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
    line,
    make_server,
    site_round,
)

RECORD = "ir"
"""Name of our record in a Flower message."""
PATIENCE = 600.0
"""s that the server waits for the answers of a round; who is late has no part in it."""

# Flower looks for the components without importing this module, and sees no assignment of two names at once.
client_app = ClientApp()
server_app = ServerApp()


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
