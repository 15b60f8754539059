# SPDX-License-Identifier: Apache-2.0
"""The live cell: slots and mini-slots, queues, computing, puncturing, handover, in integer nanoseconds.

`cell.Cell` is the engine, `kernel` its inner loop, and `live_air` the air that serves messages as they come, in the
relay and in a simulation alike. (`ir_radio.coexistence.batch_air` is the batch engine of the coexistence experiments.)
In compiled functions `t` is `ir_radio.cell_tables.Tables`, a row of it is an int64 index: `s` of a slice at a station,
`q` of a queue, `m` of a message, `f` of a flow, `k` of a station; `n` is the number of events written so far. Times are
int64, ns; rates and bits are float64.
"""
