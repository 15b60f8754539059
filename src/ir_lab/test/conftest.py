# SPDX-License-Identifier: Apache-2.0
import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch: threads that spin for small matrices starve other tests
