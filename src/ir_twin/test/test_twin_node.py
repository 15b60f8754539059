# SPDX-License-Identifier: Apache-2.0
"""The node: a verdict for every proposal, the right command out, at once."""

import math
import time
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from geometry_msgs.msg import Twist
from rclpy.executors import SingleThreadedExecutor
from twin_bench import Robot, make, parameters, predicting_last_action

from ir_common.config import ConfigError
from ir_common.ros_node import RELIABLE
from ir_common.testing import RosHarness
from ir_dynamics import model_checkpoint
from ir_dynamics.dynamics_config import EnsembleConfig
from ir_dynamics.ensemble_network import EnsembleNetwork
from ir_dynamics.model_version import ModelVersion
from ir_dynamics.network_file import VECTORS
from ir_dynamics.risk_network import RiskNetwork
from ir_dynamics.transitions import TransitionLayout, layout_of
from ir_interfaces.msg import NoiseFreeAction, TaskState, Verdict
from ir_sim.ros_task_messages import action_to_command
from ir_sim.tasks import make_task
from ir_twin.command_delay import WINDOW
from ir_twin.twin_node import STATES
from ir_twin.verdict_outcomes import Judged


@pytest.mark.parametrize(("name", "model"), [("cart", "cart"), ("jumper", "hopper")])
@pytest.mark.parametrize("mode", ["off", "shadow", "enforce"])
def test_every_proposal_gets_its_verdict_and_its_command(ros: RosHarness, mode: str, name: str, model: str) -> None:
    node, robot = make(ros, mode=mode), Robot(ros, name, model)
    for task in node.engine.twins.tasks.values():
        task.adopt(predicting_last_action(task.name), node.parameters.config)
    robot.ready()
    robot.observe()
    ros.until(lambda: all(port.twin.chain.state is not None for port in node.robots if port.twin.robot == name))
    good, bad = np.full(len(robot.task.action_low), 0.5), np.full(len(robot.task.action_low), -0.5)

    verdict = robot.propose(good)
    tested = mode != "off"
    assert (verdict.accepted, verdict.sent_safe_action, verdict.sequence) == (True, False, 1)
    assert verdict.reason == (Verdict.REASON_ACCEPTED if tested else Verdict.REASON_UNTESTED)
    assert verdict.header.frame_id == name
    np.testing.assert_allclose(verdict.proposed, good)
    np.testing.assert_allclose(robot.commands[-1], good)
    if tested:
        assert verdict.predicted_reward == pytest.approx(0.5)
        assert (verdict.model_version, verdict.threshold) == (4, 0.0)
    else:
        assert math.isnan(verdict.predicted_reward)

    verdict = robot.propose(bad)
    assert verdict.accepted == (mode == "off")
    assert verdict.sent_safe_action == (mode == "enforce")
    sent = robot.task.safe_action if mode == "enforce" else bad
    np.testing.assert_allclose(robot.commands[-1], sent)
    np.testing.assert_allclose(verdict.sent, sent)
    np.testing.assert_allclose(verdict.proposed, bad)
    assert verdict.sequence == 2
    assert 0 < verdict.latency < 1


def test_an_exploring_controller_is_sent_back_to_its_own_action(ros: RosHarness) -> None:
    node, robot = make(ros, mode="enforce", replace_with="noise_free"), Robot(ros, "jumper", "hopper")
    node.engine.twins.tasks["hopper_hop"].adopt(predicting_last_action("hopper_hop"), node.parameters.config)
    publisher = robot.node.create_publisher(NoiseFreeAction, "/edge/jumper/noise_free", RELIABLE)
    robot.ready()
    robot.observe()
    ros.until(lambda: node.robots[1].twin.chain.state is not None and publisher.get_subscription_count(), what="state")
    noisy, own = [0.3, 0.1, -0.7], [0.2, 0.1, -0.4]
    publisher.publish(NoiseFreeAction(proposed=noisy, action=own))
    ros.until(lambda: node.robots[1]._told is not None)
    verdict = robot.propose(noisy)
    assert (verdict.reason, verdict.sent_as) == (Verdict.REASON_LOW_REWARD, Verdict.SENT_NOISE_FREE)
    np.testing.assert_allclose(robot.commands[-1], own)
    verdict = robot.propose([0.3, 0.1, -0.8])  # of that nothing was said
    assert verdict.sent_as == Verdict.SENT_PROPOSAL and not verdict.accepted
    np.testing.assert_allclose(robot.commands[-1], [0.3, 0.1, -0.8])


def test_the_stock_executor_serves_it_too(ros: RosHarness) -> None:
    ros.executor.shutdown()
    ros.executor = SingleThreadedExecutor()  # type: ignore[assignment]
    node, robot = make(ros, mode="enforce"), Robot(ros, "jumper", "hopper")
    node.engine.twins.tasks["hopper_hop"].adopt(predicting_last_action("hopper_hop"), node.parameters.config)
    robot.ready()
    robot.observe()
    ros.until(lambda: node.robots[1].twin.chain.state is not None, what="state")
    assert robot.propose([0.0, 0.0, 0.5]).accepted
    assert not robot.propose([0.0, 0.0, -0.5]).accepted


def falling_with_the_last_action(task_name: str) -> ModelVersion:
    """An ensemble that predicts s' = s and a terminal state, at once and ahead, for a last number x over 0.6.

    The first two neurons of each layer hand z = 100 (x - 0.6) on: silu(z) - silu(-z) = z.
    """
    version, config = predicting_last_action(task_name), EnsembleConfig()
    n = version.network.num_state + version.network.num_action  # with the action before
    inputs = n + version.network.num_action
    sizes = [inputs, *config.hidden, 2 * n + 3]
    weights = [np.zeros((config.members, *shape), np.float32) for shape in pairwise(sizes)]
    biases = [np.zeros((config.members, 1, width), np.float32) for width in sizes[1:]]
    weights[0][:, -1, :2], biases[0][:, 0, :2] = (100.0, -100.0), (-60.0, 60.0)
    for weight in weights[1:-1]:
        weight[:, :2, :2] = (1.0, -1.0), (-1.0, 1.0)
    weights[-1][:, :2, n + 1] = 1.0, -1.0
    widths = {"input": inputs, "output": n + 1}
    vectors = {name: np.full(widths[name.split("_")[0]], name.endswith("scale"), dtype=np.float32) for name in VECTORS}
    limits = np.zeros((config.members, 2, n + 1), np.float32)
    last = weights[-1][:, :, n + 1 : n + 2], biases[-1][..., :1]
    risk = RiskNetwork((weights[0], last[0]), (biases[0], last[1]))
    network = EnsembleNetwork(
        tuple(weights), tuple(biases), limits, config.elites, **vectors, clip=math.inf, to_go=risk
    )
    return replace(version, network=network)


@pytest.mark.parametrize("rule", ["risk", "risk_to_go"])
def test_the_risk_rules_send_a_candidate_in_place_of_a_fall_and_go_on_from_a_checkpoint(
    ros: RosHarness, tmp_path: Path, rule: str
) -> None:
    model_checkpoint.save(
        model_checkpoint.file_of(tmp_path, "hopper_hop"), falling_with_the_last_action("hopper_hop"), "ensemble"
    )
    node = make(
        ros,
        mode="enforce",
        rule=rule,
        preset="ensemble",
        checkpoints=str(tmp_path),
        risk_candidates=100 * (rule != "risk"),
    )
    robot, twin = Robot(ros, "jumper", "hopper"), node.robots[1].twin
    for _ in range(200):  # it has earned its veto
        twin.task.risk_limit.add(Judged(False, 0.1, 1.0), False)
    twin.task.reconsider(node.parameters.config)
    robot.ready()
    robot.observe()
    ros.until(lambda: twin.chain.state is not None)
    verdict = robot.propose([0.0, 0.0, 1.0])
    assert (verdict.reason, verdict.accepted, verdict.model_version) == (Verdict.REASON_HIGH_RISK, False, 4)
    sent_as, most = (Verdict.SENT_SCALED, 0.5) if rule == "risk" else (Verdict.SENT_SAMPLED, 0.6)
    assert (verdict.sent_as, verdict.sent_safe_action) == (sent_as, False)
    assert verdict.risk > 0.99 > verdict.risk_limit == 0.5 > verdict.sent_risk
    assert 0.5 <= robot.commands[-1][2] <= most
    assert robot.propose([0.0, 0.0, 0.1]).accepted
    ros.until(lambda: robot.statuses and robot.statuses[-1].proposals == 2, what="a status")
    status = robot.statuses[-1]
    assert (status.vetoed, status.accepted, status.model_version, status.rollbacks) == (1, 1, 4, 0)
    assert (status.foresight_steps, status.foresight_judged) == (5, 0)
    assert math.isnan(status.foresight_precision)


def test_the_learner_is_told_what_each_transition_led_to(ros: RosHarness) -> None:
    node = make(ros, preset="ensemble", risk_horizon=0.2)
    learnt: list[float] = []
    node.engine.learner.add = lambda task, transition: learnt.append(transition.ahead)  # type: ignore[method-assign]
    robot = Robot(ros, "cart", "cart")
    robot.ready()
    for step in range(6):
        robot.observe(terminated=step == 5)
    ros.until(lambda: len(learnt) == 5, what="all five transitions")
    assert learnt == pytest.approx([0.0, 0.0, 0.05, 0.05**0.5, 1.0])


def test_transitions_of_another_preset_end_the_start_even_without_a_network(ros: RosHarness, tmp_path: Path) -> None:
    """Else the learner's process would end with them, time and again."""
    path = model_checkpoint.file_of(tmp_path, "cart_navigation")
    model_checkpoint.save_rows(path, *[np.zeros((3, make_layout("live", "cart").width), np.float32)] * 2)
    with pytest.raises(ConfigError, match=r"rows\.npz: .*remove it"):
        make(ros, preset="ensemble", checkpoints=str(tmp_path))
    make(ros, preset="live", checkpoints=str(tmp_path))


def test_a_folder_of_another_preset_is_said_to_be_one(ros: RosHarness, tmp_path: Path) -> None:
    """And not that its transitions are to be removed."""
    path = model_checkpoint.file_of(tmp_path, "cart_navigation")
    model_checkpoint.save(path, predicting_last_action("cart_navigation"), "live")
    model_checkpoint.save_rows(path, *[np.zeros((3, make_layout("live", "cart").width), np.float32)] * 2)
    with pytest.raises(ConfigError, match=r"navigation\.npz: .*preset live.*or the preset it was made with"):
        make(ros, preset="ensemble", checkpoints=str(tmp_path))


def make_layout(preset: str, model: str) -> TransitionLayout:
    task = make_task(model)
    return layout_of(preset, len(task.observation_names), len(task.action_names))


@pytest.mark.parametrize("mode", ["off", "shadow", "enforce"])
def test_nan_never_passes(ros: RosHarness, mode: str) -> None:
    make(ros, mode=mode)
    robot = Robot(ros, "cart", "cart")
    robot.ready()
    command = Twist()
    command.linear.x = math.nan
    verdict = robot.send(command)
    assert (verdict.accepted, verdict.sent_safe_action) == (False, True)
    assert verdict.reason == Verdict.REASON_INVALID_COMMAND
    assert len(verdict.proposed) == 0
    np.testing.assert_array_equal(robot.commands[-1], robot.task.safe_action)
    assert robot.propose([0.3, 0.0]).sequence == 2  # and it goes on


def test_without_a_model_or_a_state_the_verdict_says_so(ros: RosHarness) -> None:
    node, robot = make(ros, mode="enforce"), Robot(ros, "cart", "cart")
    robot.ready()
    assert robot.propose([0.3, 0.0]).reason == Verdict.REASON_NO_MODEL
    node.engine.twins.tasks["cart_navigation"].adopt(predicting_last_action("cart_navigation"), node.parameters.config)
    stale = robot.propose([0.3, 0.0])
    assert (stale.reason, stale.sent_safe_action) == (Verdict.REASON_STALE_STATE, True)


def test_mode_and_threshold_change_while_it_runs_and_absurd_ones_are_refused(ros: RosHarness) -> None:
    node, robot = make(ros, mode="shadow", threshold=-1, trial_steps=50), Robot(ros, "cart", "cart")
    node.engine.twins.tasks["cart_navigation"].adopt(predicting_last_action("cart_navigation"), node.parameters.config)
    robot.ready()
    for i in range(60):
        robot.observe(reward=-0.5, action=[0.0, -0.5] if i else [])
        ros.until(lambda i=i: node.robots[0].twin.chain.made == i)
    assert robot.propose([0.0, -0.6]).accepted
    assert node.set_parameters(parameters(mode="enforce", threshold=-0.55))[1].successful
    assert node.set_parameters(parameters(mode="enforce"))[0].successful
    verdict = robot.propose([0.0, -0.6])
    assert (verdict.mode, verdict.threshold, verdict.sent_safe_action) == (Verdict.MODE_ENFORCE, -0.55, True)

    refused = node.set_parameters(parameters(threshold=3.0))[0]
    assert not refused.successful
    assert "above 100% of the last 59 rewards" in refused.reason
    for change in ({"threshold": math.nan}, {"mode": "sometimes"}, {"seed": 5}, {"threshold": "low"}):
        assert not node.set_parameters(parameters(**change))[0].successful, change
    assert robot.propose([0.0, -0.6]).threshold == -0.55
    assert node.set_parameters(parameters(threshold="auto", mode=False))[0].successful  # off, as YAML reads it
    robot.propose([0.0, -0.6])
    assert robot.verdicts[-1].threshold == pytest.approx(-0.5)


def test_refused_states_are_counted_in_the_status(ros: RosHarness) -> None:
    make(ros)
    robot = Robot(ros, "jumper", "hopper")
    robot.ready()
    robot.observe()
    robot.observe(observation=[math.nan] * 11)
    robot.observe(observation=[0.0] * 3)
    robot.observe(task="cart_navigation")
    ros.until(lambda: robot.statuses and robot.statuses[-1].transitions_rejected == 3, what="three refused states")
    status = robot.statuses[-1]
    assert (status.task, status.model_version, status.header.frame_id) == ("hopper_hop", 0, "jumper")
    assert math.isnan(status.reward_error)
    assert math.isnan(status.latency_p99)


def test_radio_off_means_no_prefix(ros: RosHarness) -> None:
    make(ros, edge_namespace="", mode="off")
    robot = Robot(ros, "cart", "cart", namespace="")
    robot.ready()
    assert robot.propose([0.1, 0.2]).accepted


def test_verdicts_are_quick(ros: RosHarness) -> None:
    node, robot = make(ros, mode="enforce"), Robot(ros, "jumper", "hopper")
    node.engine.twins.tasks["hopper_hop"].adopt(predicting_last_action("hopper_hop"), node.parameters.config)
    robot.ready()
    for _ in range(200):
        robot.observe()
        robot.propose([0.1, 0.1, 0.1])
    assert np.median([verdict.latency for verdict in robot.verdicts]) < 0.010

    port, spent = node.robots[1], []
    command = action_to_command(robot.task, np.full(3, 0.1), node.get_clock().now().to_msg())
    for _ in range(500):
        began = time.thread_time()  # of this thread alone: other tests may keep the machine busy
        port._on_proposal(command)
        spent.append(time.thread_time() - began)
    assert np.quantile(spent, 0.99) < 0.002


def test_controllers_are_given_the_state_that_their_command_will_meet(ros: RosHarness) -> None:
    node, robot = make(ros, mode="enforce", threshold=-1e6, compensate_delay=True), Robot(ros, "jumper", "hopper")
    expected: list[TaskState] = []
    robot.node.create_subscription(TaskState, "/edge/jumper/expected_state", expected.append, STATES)
    robot.ready()
    ros.until(lambda: robot.node.count_publishers("/edge/jumper/expected_state"), what="publisher")
    (twin,) = (port.twin for port in node.robots if port.twin.robot == "jumper")
    sent: list[np.ndarray] = []
    state = np.zeros(len(robot.task.observation_names))

    def step(**changes: object) -> None:
        """One control step of a robot that moves by what was sent in answer to the state before the last one."""
        before, late = robot.step, {}
        if before:
            action = robot.task.clip(sent[max(before - 2, 0)])
            state[:] += action[-1]
            late = {"action": action.tolist()}
        robot.observe(**({"observation": state.tolist()} | late | changes))
        ros.until(lambda: twin.chain.step == before, what="state")
        robot.propose(robot.rng.uniform(-1, 1, len(robot.task.action_low)))
        sent.append(robot.commands[-1])

    while not twin.delay.steps:
        assert robot.step < 2 * WINDOW and not expected
        step()
    known = robot.step - 1
    ros.until(lambda: [m.step for m in expected] == [known], what="the state as it came, as there is no network yet")
    node.engine.twins.tasks["hopper_hop"].adopt(moving_by_action(), node.parameters.config)
    for _ in range(WINDOW // 2):
        step()
        ros.until(lambda: expected[-1].step == robot.step - 1, what="the state as it came, while it is on trial")
        assert list(expected[-1].observation) == state.tolist()
    step()
    ros.until(lambda: expected[-1].step == robot.step - 1, what="the state as the command will meet it")
    assert expected[-1].episode == 1
    np.testing.assert_allclose(expected[-1].observation, state + robot.task.clip(sent[-2])[-1], atol=1e-5)
    step(terminated=True)
    ros.until(lambda: expected[-1].terminated, what="the end of the episode")
    assert list(expected[-1].observation) == state.tolist()
    known = len(expected)
    node.set_parameters(parameters(compensate_delay=False))
    robot.step = 0
    step()
    assert len(expected) == known


def moving_by_action() -> ModelVersion:
    """A model in which every number of the state grows by the action's last."""
    model = predicting_last_action("hopper_hop")
    layer = np.zeros_like(model.network.weights[0])
    layer[-1, :-1] = 1.0
    return replace(model, network=replace(model.network, weights=(layer,)))
