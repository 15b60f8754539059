# SPDX-License-Identifier: Apache-2.0
"""An agent that learns live, without ROS: what becomes a transition, what is learnt when, which version is in force."""

import math
import threading

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ir_common.config import ConfigError
from ir_drl.controller import Controller, Input
from ir_drl.live.agent_training import agent_training
from ir_drl.live.first_policy import first_policy
from ir_drl.live.learning_thread import LearningThread
from ir_drl.live.live_agent import LiveAgent
from ir_drl.live.live_config import LiveAgentConfig, VersionConfig
from ir_drl.live.policy_versions import Choice, PolicyVersions
from ir_drl.live.step_chain import Acted, ArrivedState, StepChain
from ir_drl.policies import TRAINED, ActionMemory, load_policy
from ir_drl.policies.exploring import ExploringPolicy
from ir_sim.tasks import make_task

HOPPER, CART = make_task("hopper"), make_task("cart")
NOTHING = LiveAgentConfig(algorithm="sac", learn_from="nothing", seed=1)


@pytest.fixture(autouse=True)
def _one_thread():
    """As in the stack; threads that spin for small matrices starve a busy machine."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


# --- versions ---


def versions(**changes) -> PolicyVersions:
    given = {"trial_episodes": 3, "trial_period": 10.0, "judged_episodes": 3, "held_episodes": 3} | changes
    return PolicyVersions(VersionConfig(**given))


def tried(one: PolicyVersions, returns, now: float = 0.0) -> Choice:
    """Hands a version over, has it return something, and asks."""
    number = one.hand(f"policy {one.handed + 1}", now).number
    for total in returns:
        one.returned(number, total)
    return one.choose(now)


def test_a_version_that_does_worse_is_taken_back_and_one_that_does_not_stays():
    one = versions()
    assert one.choose(0.0) is Choice.NEXT
    assert tried(one, [100.0, 110.0, 105.0]) is Choice.NEXT
    assert tried(one, [50.0, 55.0, 45.0]) is Choice.TAKE_BACK
    assert one.in_force is not None and (one.in_force.number, one.in_force.policy) == (1, "policy 1")
    assert tried(one, [100.0, 104.0, 99.0], 20.0) is Choice.NEXT
    assert (one.handed, one.taken_back) == (3, 1) and one.in_force.number == 3


def test_a_version_stays_until_it_has_shown_what_it_is():
    one = versions()
    tried(one, [1.0] * 3)
    number = one.hand("second", 5.0).number
    one.returned(number, 1.0)
    assert one.choose(14.9) is Choice.STAY
    assert one.choose(15.0) is Choice.NEXT  # its episodes are long
    for _ in range(2):
        one.returned(number, 1.0)
    assert one.choose(6.0) is Choice.NEXT


def test_who_fails_again_waits_longer():
    one = versions()
    tried(one, [100.0] * 3)
    for failed in (1, 2):
        assert tried(one, [50.0] * 3, 100.0 * failed) is Choice.TAKE_BACK
        assert one.failed == failed
        wait = 10.0 * 2 ** (failed - 1)
        assert one.choose(100.0 * failed + wait - 1.0) is Choice.STAY
        assert one.choose(100.0 * failed + wait) is Choice.NEXT
    assert tried(one, [100.0] * 3, 300.0) is Choice.NEXT and one.failed == 2
    tried(one, [100.0] * 3, 310.0)
    assert one.failed == 0 and one.reference.number == 4


def test_a_first_version_stays_until_others_can_be_compared_with_it():
    one = versions()
    assert tried(one, [100.0, 100.0]) is Choice.STAY and one.choose(59.0) is Choice.STAY
    one.returned(1, 100.0)
    assert one.choose(0.0) is Choice.NEXT
    one.hand("second", 0.0)
    one.returned(2, -100.0)
    assert one.choose(99.0) is Choice.NEXT  # one episode says nothing


def test_where_episodes_are_very_long_versions_come_all_the_same_and_are_compared_later():
    one = versions()
    assert tried(one, [100.0]) is Choice.STAY and one.choose(60.0) is Choice.NEXT
    for _ in range(3):
        tried(one, [100.0], 60.0)
    one.hand("fifth", 60.0)
    assert one.reference.number == 4 and len(one.reference.returns) == 3


def test_a_decline_in_small_steps_is_noticed():
    """Each version is within `worse_by` of the one before it, all are compared with the best that held."""
    one, score = versions(trial_episodes=2), 100.0
    tried(one, [score, score + 1.0, score - 1.0])
    while score > 10.0:
        score *= 0.9
        if tried(one, [score + 1.0, score - 1.0]) is Choice.TAKE_BACK:
            break
    assert one.taken_back == 1 and one.in_force.number == 1 and score > 40.0


def test_a_version_that_falls_now_and_then_does_not_pass_for_its_spread():
    one = versions()
    tried(one, [1900.0, 1910.0, 1890.0])
    assert tried(one, [1900.0, 300.0, 1900.0, 400.0]) is Choice.TAKE_BACK


def test_the_reference_is_the_best_that_held():
    one = versions(trial_episodes=1, held_episodes=4)
    tried(one, [100.0, 101.0, 99.0])
    for level in (103.0, 103.0, 103.0):
        tried(one, [level])
        assert one.reference.number == 1  # three episodes since: too few to hold
    tried(one, [103.0])
    one.hand("next", 0.0)
    assert one.reference.number == 5 and list(one.in_force.returns) == []


scores = st.lists(st.floats(-1e3, 1e3), min_size=3, max_size=6)


@given(scores, scores)
def test_only_worse_returns_take_a_version_back(before, after):
    one = versions()
    tried(one, before)
    choice = tried(one, after)
    assert (choice is Choice.TAKE_BACK) <= (np.mean(after) < np.mean(before))
    far = np.mean(before) - abs(np.mean(before)) - 10 * np.ptp(before) - 1.0
    assert (np.mean(after) < far) <= (choice is Choice.TAKE_BACK)
    known = versions()
    known.load(one.state(), 3.0)
    assert known.state() == one.state()


# --- transitions ---


def drive(policy: ExploringPolicy, steps: int, rng, episode: int = 1):
    """What a controller with a policy tells, and the states of a robot that does not care."""
    controller = Controller(HOPPER, policy, "hopper", 0, 0.5)
    told, states, in_force = [], [], np.empty(0)
    for step in range(steps + 1):
        observation = rng.normal(size=11)
        last = step == steps
        states.append(ArrivedState(episode, step, observation, in_force, float(step > 0), last, False, "fall" * last))
        given_state = Input(0.0, HOPPER.name, episode, observation, last, in_force)
        decision = controller.on_state(given_state, step, 0.0)
        assert decision is not None
        if decision.acted is not None:
            told.append(decision.acted)
        in_force = decision.action
    return told, states


def exploring(version: int = 1, memory: int = 4) -> ExploringPolicy:
    rng = np.random.default_rng(version)
    width = 11 + ActionMemory(HOPPER, memory).width
    layers = [(rng.normal(size=(8, width)), np.zeros(8)), (rng.normal(size=(6, 8)), np.full(6, -1.0))]
    return ExploringPolicy(HOPPER, layers, memory, version)


def test_what_a_controller_tells_is_what_it_did():
    told, _ = drive(exploring(7), 6, np.random.default_rng(0))
    assert [(one.step, one.version) for one in told] == [(step, 7) for step in range(6)]
    assert all(np.abs(one.action).max() <= 1.0 for one in told)
    assert np.array_equal(told[5].extended[11:23], np.concatenate([one.action for one in told[1:5]]))


@settings(deadline=None, max_examples=30)
@given(st.randoms(use_true_random=False), st.integers(0, 4), st.sets(st.integers(0, 12), max_size=6))
def test_transitions_are_those_of_what_arrived_in_whatever_order(random, memory, lost):
    """States are extended as the controller extends them, from the answer before alone."""
    told, states = drive(exploring(memory=memory), 12, np.random.default_rng(3))
    events = [one for one in [*told, *states] if not (isinstance(one, ArrivedState) and one.step in lost)]
    random.shuffle(events)
    chain, made = StepChain(HOPPER, memory), {}
    for one in events:
        step = chain.acted(one) if isinstance(one, Acted) else chain.observed(one)
        if step is not None:
            made[len(made)] = step.transition
    assert len(made) == sum(k + 1 not in lost for k in range(12))
    by_state = {one.extended.tobytes(): k for k, one in enumerate(told)}
    for transition in made.values():
        k = by_state[transition.state.tobytes()]
        assert np.allclose(transition.action, told[k].action)
        assert transition.terminated == (k == 11) and transition.reward == 1.0
        if k < 11:
            assert np.array_equal(transition.next_state, told[k + 1].extended)


def test_steps_that_follow_each_other_are_known_and_gaps_too():
    told, states = drive(exploring(), 4, np.random.default_rng(1))
    chain = StepChain(HOPPER, 4)
    for one in told:
        chain.acted(one)
    follows = [chain.observed(states[k]).follows for k in (1, 2, 4)]
    assert follows == [False, True, False]


def test_what_the_twin_sent_is_the_action_of_the_transition():
    told, states = drive(exploring(), 4, np.random.default_rng(1))
    chain = StepChain(HOPPER, 4)
    for one in told:
        chain.acted(one)
        if one.step == 2:
            chain.judged(one.action, np.array([0.5, -0.25, 0.0]))
    made = [chain.observed(state).transition for state in states[1:]]
    assert made[2].action.tolist() == [0.5, -0.25, 0.0]
    assert np.array_equal(made[2].next_state, told[3].extended)  # the policy remembers what it proposed
    assert np.allclose(made[1].action, told[1].action)


@pytest.mark.parametrize(
    "wrong", [np.full(26, np.nan), np.full(26, 1e300), np.zeros(11)], ids=["nan", "huge", "narrow"]
)
def test_what_is_not_sound_is_refused(wrong):
    chain = StepChain(HOPPER, 4)
    assert chain.acted(Acted(1, 0, wrong, np.zeros(3), 1)) is None
    assert chain.observed(ArrivedState(1, 1, np.zeros(11), np.zeros(2), 0.0, False, False)) is None
    assert chain.refused == 2


# --- the agent ---


def lived(agent: LiveAgent, episodes: int, steps: int = 30, seed: int = 0) -> None:
    """Some episodes of a robot that does not care, driven by the version in force."""
    rng = np.random.default_rng(seed)
    for _ in range(episodes):
        number = int(rng.integers(2**31))
        told, states = drive(agent.policy(), steps, rng, number)
        for k, state in enumerate(states):
            agent.observed("hopper", state)
            if k < len(told):
                agent.acted("hopper", told[k])


def short(monkeypatch, **changes):
    """Trainings that begin to learn after a few steps."""
    import ir_drl.live.live_agent as module

    def few(config, task):
        made = agent_training(config, task)
        sac = made.sac.model_copy(update={"batch": 16})
        return made.model_copy(update={"start_steps": 40, "epoch_steps": 50, "sac": sac, **changes})

    monkeypatch.setattr(module, "agent_training", few)


def test_it_learns_hands_over_and_repeats(monkeypatch):
    short(monkeypatch)

    def run() -> LiveAgent:
        agent = LiveAgent(NOTHING, HOPPER, ["hopper"], print)
        first = agent.exchange(0.0)
        assert first is not None and first.version == 1 and agent.exchange(0.0) is None
        lived(agent, 6)
        assert agent.exchange(0.5) is None  # nothing has been learnt yet
        assert agent.transitions == 180 and agent.falls == 6 and agent.due()
        while agent.due():
            agent.step()
        assert agent.learnt == 140
        second = agent.exchange(1.0)
        assert second is not None and second.version == 2
        assert not np.array_equal(first.layers[0][0], second.layers[0][0])
        return agent

    one, again = run(), run()
    assert one.status() == again.status()
    assert one.policy().to_bytes() == again.policy().to_bytes()
    assert [record.falls for record in one.records] == [1, 2, 2]


def test_the_actor_goes_back_with_its_version_and_the_critics_stay(monkeypatch):
    short(monkeypatch)
    agent = LiveAgent(NOTHING, HOPPER, ["hopper"], print)
    first = agent.exchange(0.0)
    lived(agent, 3)
    for _ in range(20):
        agent.versions.returned(1, 100.0)
    while agent.due():
        agent.step()
    second = agent.exchange(30.0)
    critics = agent.learner.agent.online.clone()
    for _ in range(3):
        agent.versions.returned(2, 10.0)
    back = agent.exchange(31.0)
    assert (second.version, back.version) == (2, 1) and back.to_bytes() == first.to_bytes()
    for (weight, bias), (was, before) in zip(agent.learner.agent.actor_layers(), first.layers, strict=True):
        assert np.array_equal(weight, was) and np.array_equal(bias, before)
    assert np.array_equal(agent.learner.agent.online, critics)
    lived(agent, 1)
    agent.step()  # and it learns on


def test_a_checkpoint_goes_on_exactly(monkeypatch, tmp_path):
    short(monkeypatch)
    whole = LiveAgent(NOTHING, HOPPER, ["hopper"], print)
    whole.exchange(0.0)
    lived(whole, 4)
    for _ in range(10):
        whole.step()
    whole.save(tmp_path / "agent.pt")
    other = LiveAgent(NOTHING, HOPPER, ["hopper"], print)
    other.load(tmp_path / "agent.pt", 0.0)
    for agent in (whole, other):
        lived(agent, 2, seed=1)
        while agent.due():
            agent.step()
    assert whole.status() == other.status()
    assert whole.exchange(50.0).to_bytes() == other.exchange(50.0).to_bytes()


def test_an_agent_whose_process_was_killed_goes_on_from_its_last_checkpoint(monkeypatch, tmp_path):
    """Nobody ended the thread: what it had written by then is whole, and what came later is lost."""
    short(monkeypatch)
    agent, written, proceed = LiveAgent(NOTHING, HOPPER, ["hopper"], print), threading.Event(), threading.Event()
    agent.exchange(0.0)
    lived(agent, 3)

    def keep() -> None:
        agent.save(tmp_path / "agent.pt")
        written.set()
        proceed.wait()

    thread = LearningThread(agent, 1.0, keep, keep_period=0.0)
    thread.start(1.0)
    assert written.wait(60.0)
    lost = LiveAgent(NOTHING, HOPPER, ["hopper"], print)
    lost.load(tmp_path / "agent.pt", 2.0)
    assert lost.transitions == 90 and lost.policy().version >= 1
    lived(lost, 1, seed=2)
    assert lost.transitions == 120
    lost.step()
    proceed.set()
    thread.close()


def test_a_checkpoint_of_another_agent_is_refused(tmp_path):
    agent = LiveAgent(NOTHING, HOPPER, ["hopper"], print)
    agent.save(tmp_path / "agent.pt")
    other = LiveAgent(NOTHING.model_copy(update={"learn_from": "shipped"}), HOPPER, ["hopper"], print)
    with pytest.raises(ConfigError, match="was made with"):
        other.load(tmp_path / "agent.pt", 0.0)


def test_steps_that_there_is_no_time_for_are_left_out(monkeypatch):
    short(monkeypatch)
    agent = LiveAgent(NOTHING.model_copy(update={"waiting_steps": 20}), HOPPER, ["hopper"], print)
    agent.exchange(0.0)
    lived(agent, 5)
    while agent.due():
        agent.step()
    assert agent.learnt + agent.left_out == 110 and agent.learnt == 20


@pytest.mark.parametrize("algorithm", ["predict", "gan", "best", "paper"])
def test_the_model_of_the_robot_gives_experience_too(monkeypatch, algorithm):
    short(monkeypatch)
    agent = LiveAgent(NOTHING.model_copy(update={"algorithm": algorithm}), HOPPER, ["hopper"], print)
    agent.exchange(0.0)
    agent.assistant._settings = agent.assistant._settings.model_copy(
        update={"max_error": 1e6, "first_fit_steps": 2, "starts": 20, "gan_steps": 1}
    )
    lived(agent, 2)
    for _ in range(3):
        agent.step()
    status = agent.status()
    assert 0.0 < status["twin_share"] <= 1.0 and math.isfinite(status["twin_error"])
    assert ("gan_passes" in status) == (algorithm in ("gan", "paper"))


def test_what_is_shipped_acts_as_it_is_at_first():
    agent = LiveAgent(LiveAgentConfig(), HOPPER, ["hopper"], print)
    policy, shipped = agent.exchange(0.0), load_policy(TRAINED / "hopper_hop.npz", HOPPER)
    for row in np.random.default_rng(0).normal(size=(20, 26)):
        assert np.allclose(policy.answer(row), shipped.answer(row), atol=1e-5)
    drawn = np.std([policy.explore(row, np.random.default_rng(k)) for k in range(200)], axis=0)
    assert (drawn > 0).all() and (drawn < 0.2).all()


def test_its_anchor_is_the_version_that_was_handed_over_last(monkeypatch):
    short(monkeypatch)
    agent = LiveAgent(LiveAgentConfig(algorithm="sac"), HOPPER, ["hopper"], print)
    sac = agent.learner.agent
    first = agent.exchange(0.0)
    for _ in range(5):
        agent.versions.returned(1, 100.0)
    sac.actor.flat += 0.01
    held = sac.anchor.flat.clone()
    second = agent.exchange(1.0)
    assert second.version == 2 and not torch.equal(sac.anchor.flat, held)
    for _ in range(5):
        agent.versions.returned(2, 1.0)
    assert agent.exchange(2.0).version == 1
    for layer, (weight, _) in zip(sac.anchor.layers, first.layers, strict=True):
        assert np.array_equal(layer[0, :-1].T, weight)


def test_a_policy_without_memory_is_given_one_that_counts_for_nothing():
    agent = LiveAgent(LiveAgentConfig(), CART, ["cart"], print)
    policy, shipped = agent.exchange(0.0), load_policy(TRAINED / "cart_navigation.npz", CART)
    row = np.random.default_rng(0).normal(size=16 + policy.memory.width)
    assert np.allclose(policy.answer(row), shipped.answer(row[:16]), atol=1e-5)


def test_a_policy_that_does_not_fit_is_refused_in_one_line(tmp_path):
    with pytest.raises(ConfigError, match="is for task 'hopper_hop'"):
        first_policy(LiveAgentConfig(learn_from=str(TRAINED / "hopper_hop.npz")), CART)
    with pytest.raises(ConfigError, match="cannot be read"):
        first_policy(LiveAgentConfig(learn_from=str(tmp_path / "none.npz")), CART)
    with pytest.raises(ConfigError, match=r"hidden layers of \(128, 128\) neurons, .* of \(256, 256, 256\)"):
        first_policy(LiveAgentConfig(algorithm="paper"), HOPPER)
    with pytest.raises(ConfigError, match="remembers 4 actions"):
        first_policy(LiveAgentConfig(memory=2), HOPPER)


# --- policies on their way ---


def test_a_policy_arrives_as_it_was_sent():
    sent = exploring(9)
    came = ExploringPolicy.from_bytes(sent.to_bytes(), HOPPER)
    assert (came.version, came.memory.length) == (9, 4)
    assert np.allclose(came.answer(np.ones(26)), sent.answer(np.ones(26)), atol=1e-6)


@given(st.binary(max_size=200))
def test_a_damaged_policy_is_refused(data):
    with pytest.raises(ConfigError):
        ExploringPolicy.from_bytes(data, HOPPER)
    whole = exploring().to_bytes()
    with pytest.raises(ConfigError):
        ExploringPolicy.from_bytes(whole[: len(whole) // 2] + data, HOPPER)
    with pytest.raises(ConfigError):
        ExploringPolicy.from_bytes(whole, CART)


def test_a_controller_goes_on_with_its_memory_when_the_policy_changes():
    first, second = exploring(1), exploring(2)
    controller = Controller(HOPPER, first, "hopper", 0, 0.5)
    state = Input(0.0, HOPPER.name, 1, np.zeros(11), action=np.zeros(3))
    actions = [controller.on_state(state, step, 0.0).action for step in range(4)]
    controller.adopt(second)
    decision = controller.on_state(state, 4, 0.0)
    assert decision.acted.version == 2
    assert np.array_equal(decision.acted.extended[11:23], np.concatenate(actions))
    assert np.array_equal(decision.noise_free, second.answer(decision.acted.extended))
