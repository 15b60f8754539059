# SPDX-License-Identifier: Apache-2.0
"""The stack in the model's time: one process, deterministic, as fast as it can; and experiments made of such runs."""

import os

# before NumPy, for this process and those that it starts: of such small products a second thread makes more work than
# it takes, and sums may depend on how many there are
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
