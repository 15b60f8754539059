# SPDX-License-Identifier: Apache-2.0
"""Division of the carrier: hand-solved cases, a slow exact reference, and properties."""

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ir_slicing.allocation.division import QUANTUM, STEEPNESS, Hysteresis, Request, divide

blocks = st.floats(0.0, 80.0, allow_nan=False)
carriers = st.floats(1.0, 100.0)


@st.composite
def requests(draw, count=None):
    n = draw(st.integers(1, 6)) if count is None else count
    made = []
    for k in range(n):
        guaranteed = draw(st.floats(0.01, 40.0))
        reserved = guaranteed * draw(st.sampled_from([0.0, 0.1, 1.0]))
        made.append(Request(f"s{k}", guaranteed, reserved, draw(blocks), draw(st.integers(0, 2))))
    return made


@st.composite
def bounded(draw):
    """Requests of slices some of which have dedicated blocks and a ceiling."""
    made = []
    for one in draw(requests()):
        dedicated = one.guaranteed * draw(st.sampled_from([0.0, 0.3, 1.0]))
        ceiling = one.guaranteed + draw(st.sampled_from([0.0, 3.0, 50.0, np.inf]))
        made.append(replace(one, dedicated=dedicated, ceiling=ceiling))
    return made


def request(name, guaranteed, demand, reserved=0.0, priority=0):
    return Request(name, guaranteed, reserved, demand, priority)


def test_everything_fits_and_the_rest_follows_demand():
    """Guarantees 10 and 20, demands 30 and 10, carrier 60: 30 + 20 are asked or owed, 10 are left and go 3 : 1."""
    got = divide([request("a", 10, 30), request("b", 20, 10)], 60)
    assert got == pytest.approx([37.5, 22.5], abs=QUANTUM)


def test_demand_beyond_guarantees_is_shared_in_proportion_to_it():
    """Carrier 50, guarantees 10 + 10 both asked for; 20 and 40 more wanted, 30 left: 10 and 20."""
    got = divide([request("a", 10, 30), request("b", 10, 50)], 50)
    assert got == pytest.approx([20, 30], abs=QUANTUM)


def test_idle_guarantee_is_lent_but_for_the_reserve():
    got = divide([request("idle", 40, 0, reserved=4), request("busy", 10, 100)], 50)
    assert got == pytest.approx([4, 46], abs=QUANTUM)


def test_reserve_of_urllc_stays_whole_under_any_load():
    got = divide([request("control", 3, 0.1, reserved=3), request("video", 30, 500)], 50)
    assert got == pytest.approx([3, 47], abs=QUANTUM)


def test_no_demand_means_division_by_guarantees():
    got = divide([request("a", 10, 0), request("b", 30, 0)], 80)
    assert got == pytest.approx([20, 60], abs=QUANTUM)


def test_short_carrier_serves_priority_first():
    """Guarantees 30 and 30 on 40: the first class whole, the second what is left."""
    got = divide([request("low", 30, 30, priority=1), request("high", 30, 30, priority=0)], 40)
    assert got == pytest.approx([10, 30], abs=QUANTUM)


def test_a_ceiling_holds_and_the_others_have_the_rest():
    """Carrier 60, demands 30 and 10: what is over the ceiling of 25 goes to the other."""
    got = divide([replace(request("a", 10, 30), ceiling=25.0), request("b", 20, 10)], 60)
    assert got == pytest.approx([25, 35], abs=QUANTUM)
    got = divide([replace(request("a", 10, 30), ceiling=25.0), replace(request("b", 20, 10), ceiling=20.0)], 60)
    assert got == pytest.approx([25, 20], abs=QUANTUM), "15 blocks are nobody's"


def test_dedicated_blocks_come_before_every_priority():
    """Carrier 40, guarantees 30 and 30 asked for: the low one has its dedicated 20 even so."""
    low = replace(request("low", 30, 30, priority=1), dedicated=20.0)
    assert divide([low, request("high", 30, 30)], 40) == pytest.approx([20, 20], abs=QUANTUM)
    idle = replace(request("idle", 30, 0), dedicated=20.0)
    assert divide([idle, request("busy", 10, 100)], 40) == pytest.approx([20, 20], abs=QUANTUM)


def test_a_ceiling_that_a_rounding_error_lowered_is_kept_to_the_last_bit():
    below = np.nextafter(2.0, 0.0)
    assert divide([replace(request("a", 1, 30), ceiling=below), request("b", 1, 1)], 3)[0] == below


@given(bounded(), carriers)
def test_ratios_hold(made, carrier):
    """No ceiling is exceeded, dedicated blocks are there where they fit, and all that may be given out is."""
    given_out = divide(made, carrier)
    ceilings = np.array([r.ceiling for r in made])
    assert (given_out <= ceilings).all()
    dedicated = np.array([r.dedicated for r in made])
    if dedicated.sum() + len(made) * QUANTUM <= carrier:
        assert (given_out >= np.minimum(dedicated, ceilings - QUANTUM)).all()
    assert given_out.sum() == pytest.approx(min(carrier, ceilings.sum()), abs=(len(made) + 1) * QUANTUM)
    asked = np.array([max(r.dedicated, min(r.guaranteed, r.demand)) for r in made])
    if np.maximum(asked, [r.reserved for r in made]).sum() + 2 * len(made) * QUANTUM <= carrier:
        assert (given_out >= np.minimum(asked, ceilings - QUANTUM) - QUANTUM).all(), "the guarantees asked for are kept"


@given(bounded(), carriers)
def test_without_ratios_nothing_is_different(made, carrier):
    plain = [replace(one, dedicated=0.0, ceiling=np.inf) for one in made]
    wide = [replace(one, dedicated=0.0, ceiling=1e6) for one in made]
    assert divide(plain, carrier).tolist() == divide(wide, carrier).tolist()


def test_no_slices_and_no_carrier():
    assert divide([], 50).shape == (0,)
    assert divide([request("a", 10, 5)], 0).tolist() == [0.0]


@pytest.mark.parametrize(
    "bad", [(-1.0, 0.0, 0.0), (1.0, 2.0, 0.0), (1.0, 0.0, -1.0), (np.nan, 0.0, 0.0), (1, 0, np.inf)]
)
def test_impossible_request_is_refused(bad):
    guaranteed, reserved, demand = bad
    with pytest.raises(ValueError, match="slice x"):
        Request("x", guaranteed, reserved, demand, 0)


def reference(made, carrier):
    """The five tiers in exact fractions, one slice at a time."""
    q = Fraction(QUANTUM)
    up = lambda x: max(0, -((Fraction(1, 10**9) - Fraction(x) / q) // 1))  # noqa: E731
    total = int(Fraction(carrier) / q)
    free = Fraction(total)
    got = {r.name: Fraction(0) for r in made}
    owed = {r.name: max(1, up(r.guaranteed)) for r in made}

    def hand_out(wanted):
        nonlocal free
        total_wanted = sum(wanted.values())
        factor = 1 if total_wanted <= free else free / total_wanted
        for name, amount in wanted.items():
            got[name] += amount * factor
        free -= total_wanted * factor

    for tier in range(2):
        for level in sorted({r.priority for r in made}):
            asked = {}
            for r in (r for r in made if r.priority == level):
                goal = up(r.reserved) if tier == 0 else max(up(r.reserved), min(owed[r.name], up(r.demand)))
                asked[r.name] = goal - got[r.name]
            hand_out(asked)
    hand_out({r.name: max(Fraction(0), up(r.demand) - got[r.name]) for r in made})
    hand_out({r.name: max(Fraction(0), owed[r.name] - got[r.name]) for r in made})
    weight = {r.name: up(r.demand) for r in made}
    if not any(weight.values()):
        weight = owed
    whole = sum(weight.values())
    for name in got:
        got[name] += free * weight[name] / whole
    return np.array([float(got[r.name] * q) for r in made])


@given(requests(), carriers)
def test_agrees_with_slow_reference(made, carrier):
    assert divide(made, carrier) == pytest.approx(reference(made, carrier), abs=2 * QUANTUM)


@given(requests(), carriers)
def test_the_whole_carrier_is_given_out_and_no_more(made, carrier):
    got = divide(made, carrier)
    assert np.all(got >= 0)
    assert carrier - QUANTUM < sum(got.tolist()) <= carrier


@given(requests(), carriers)
def test_guarantees_asked_for_are_kept_when_they_fit(made, carrier):
    entitled = np.array([max(r.reserved, min(r.guaranteed, r.demand)) for r in made])
    got = divide(made, carrier)
    if entitled.sum() + len(made) * QUANTUM <= carrier:
        assert np.all(got >= entitled - 1e-6)
    if sum(r.guaranteed for r in made) + len(made) * QUANTUM <= carrier and all(r.demand <= r.guaranteed for r in made):
        assert np.all(got >= [r.guaranteed - 1e-6 for r in made])


@given(requests(), carriers)
def test_work_conserving(made, carrier):
    """While a slice wants more, no slice holds more than it asks for or has reserved."""
    got = divide(made, carrier)
    waiting = any(r.demand > g + 2 * QUANTUM for r, g in zip(made, got, strict=True))
    if waiting:
        assert all(g <= max(r.demand, r.reserved) + 3 * QUANTUM for r, g in zip(made, got, strict=True))


@given(requests(), carriers, st.integers(0, 5), st.floats(0.0, 50.0))
def test_monotone_in_own_demand(made, carrier, which, more):
    which %= len(made)
    r = made[which]
    raised = list(made)
    raised[which] = Request(r.name, r.guaranteed, r.reserved, r.demand + more, r.priority)
    assert divide(raised, carrier)[which] >= divide(made, carrier)[which]


@given(requests(count=4), carriers, st.permutations(range(4)))
def test_deterministic_and_independent_of_order(made, carrier, order):
    got = divide(made, carrier)
    assert np.array_equal(got, divide(made, carrier))
    assert divide([made[k] for k in order], carrier) == pytest.approx(got[list(order)], abs=2 * QUANTUM)


def test_hysteresis_lets_only_real_changes_through():
    settle = Hysteresis(0.1)
    a, b, c = (request(name, 1, 1) for name in "abc")
    assert settle.changed([a, b], np.array([10.0, 40.0]), 50)
    assert not settle.changed([a, b], np.array([10.9, 39.1]), 50)
    assert not settle.changed([a, b], np.array([10.9, 39.1]), 50), "drift is measured from the one in force"
    assert settle.changed([a, b], np.array([11.1, 38.9]), 50)
    assert settle.changed([a, c], np.array([11.1, 38.9]), 50), "other slices"
    assert settle.changed([a, c], np.array([11.1, 38.9]), 52), "other carrier"
    assert settle.changed([a, replace(c, ceiling=38.5)], np.array([11.1, 38.5]), 52), "over a new ceiling"
    assert settle.changed([replace(a, guaranteed=11.5, dedicated=11.5), c], np.array([11.5, 38.5]), 52), "dedicated"


def utility(given, made):
    demand = np.array([one.demand for one in made])
    ratio = np.minimum(np.divide(given, demand, out=np.ones_like(given), where=demand > 0.0), 1.0)
    return float((1.0 / (1.0 + np.exp(-STEEPNESS * (ratio - 1.0)))).sum())


def test_by_utility_some_are_served_where_in_proportion_all_are_short():
    """Three slices want 30 of 61 blocks each: two have them, and one has next to nothing."""
    made = [request(name, 0.01, 30) for name in "abc"]
    assert divide(made, 61) == pytest.approx([61 / 3] * 3, abs=0.1)
    got = sorted(divide(made, 61, "utility"))
    assert got[1:] == pytest.approx([30, 30], abs=0.3) and got[0] == pytest.approx(1, abs=0.6)


def test_by_utility_guarantees_stay_whatever_they_are_worth():
    made = [request("a", 20, 60), request("b", 5, 25)]
    got = divide(made, 45, "utility")
    assert got[0] >= 20 - QUANTUM and got[1] == pytest.approx(25, abs=0.3)
    assert divide(made, 45)[1] < 15


@given(made=bounded(), carrier=carriers)
def test_by_utility_is_worth_no_less_keeps_the_tiers_and_changes_nothing_that_fits(made, carrier):
    plain, got = divide(made, carrier), divide(made, carrier, "utility")
    assert got.sum() == pytest.approx(plain.sum(), abs=1e-9)
    held = np.minimum([max(one.reserved, min(one.guaranteed, one.demand)) for one in made], plain)
    assert (got >= held - 2 * QUANTUM).all()
    assert all(blocks <= one.ceiling for blocks, one in zip(got, made, strict=True))
    if sum(max(min(one.demand, one.ceiling), one.reserved) for one in made) < carrier - 0.01:
        assert np.array_equal(got, plain)
    worth = sum(STEEPNESS / 4 * carrier / 256 / max(one.demand, 1e-9) for one in made)  # a step of the grid in each
    assert utility(got, made) >= utility(plain, made) - worth
