# SPDX-License-Identifier: Apache-2.0
"""Controllers at the edge, their policies, and how these are learnt."""
