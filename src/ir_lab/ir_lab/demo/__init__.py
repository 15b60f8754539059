# SPDX-License-Identifier: Apache-2.0
"""Stories of one minute on the live page, each of which ends with two numbers that the run itself gave."""
