# SPDX-License-Identifier: Apache-2.0
"""The air once more: slow, with lists, sets and fractions, written from the rules and not from the engine."""

from fractions import Fraction

SLOT = 1_000_000


def lost_share(scene, share):
    if scene.loss == "threshold":
        return Fraction(int(share > Fraction(scene.loss_threshold, 1000)))
    return share ** (1 if scene.loss == "linear" else scene.loss_exponent)


def reference(scene, packets, jobs, rates, errors, slots):
    """packets: [(ready, luck)], jobs: [(ready, user, bits)]; returns ends of both, jobs' left, grid, plans.

    The grid says {(slot, mini-slot, sub-carrier): packet}.
    """
    packet_end, job_end = ["queued"] * len(packets), ["queued"] * len(jobs)
    left = [bits for _, _, bits in jobs]
    grid, plans, fails = {}, [], [0] * scene.embb_robots
    age, pointer = {}, 0  # age: mini-slots that a packet has seen
    for slot in range(slots):
        start, era = slot * SLOT, slot // scene.coherence_slots
        usable = [c for c in range(scene.sub_carriers) if errors[era][c] <= scene.epsilon]
        if scene.puncture == "best_channel":
            usable.sort(key=lambda c: errors[era][c])
        waiting = [
            [j for j, job in enumerate(jobs) if job[1] == u and job[0] <= start and job_end[j] == "queued"]
            for u in range(scene.embb_robots)
        ]
        if scene.scheduler == "fifo":
            plan = fifo(scene, packets, jobs, rates[era], usable, slot, waiting, left, grid)
        else:
            plan = max_weight(scene, rates[era], [sum(left[j] for j in queue) for queue in waiting])
            for mini in range(scene.minislots):
                now = start + mini * SLOT // scene.minislots
                alive = [
                    i
                    for i, p in enumerate(packets)
                    if p[0] <= now and packet_end[i] == "queued" and (i not in sent(grid))
                ]
                for i in alive:
                    age[i] = age.get(i, 0) + 1
                old, new = [i for i in alive if age[i] == 2], [i for i in alive if age[i] == 1]
                line = old + new if scene.carried_first else new + old
                going = line[: min(scene.packets_per_minislot, len(usable))]
                going = sorted(going)  # oldest first onto the chosen sub-carriers
                where, pointer = places(scene, plan, usable, len(going), pointer)
                for i, c in zip(going, where, strict=True):
                    assert (slot, mini, c) not in grid
                    grid[slot, mini, c] = i
                for i in alive:
                    if i not in going and (age[i] == 2 or scene.scheduler != "puncturing"):
                        packet_end[i] = "dropped"
        for (s, mini, c), i in grid.items():
            if s == slot:
                lost = packets[i][1] < errors[era][c]
                packet_end[i] = "lost" if lost else start + (mini + 1) * SLOT // scene.minislots
        plans.append(plan)
        for u, queue in enumerate(waiting):
            mine = [c for c in range(scene.sub_carriers) if plan[c] == u]
            if not mine or not queue:
                continue
            hits = sum((slot, m, c) in grid for m in range(scene.minislots) for c in mine)
            share = lost_share(scene, Fraction(hits, len(mine) * scene.minislots))
            if scene.loss == "threshold" and share == 1:
                fails[u] += 1
                if fails[u] > scene.retransmissions:
                    fails[u] = 0
                    job_end[queue[0]] = "dropped"
                continue
            fails[u] = 0
            carry = int(sum(int(rates[era][u][c]) for c in mine) * (1 - share))
            for j in queue:
                part = min(carry, left[j])
                left[j] -= part
                carry -= part
                if left[j] == 0:
                    job_end[j] = start + SLOT
    return packet_end, job_end, left, grid, plans


def sent(grid):
    return set(grid.values())


def max_weight(scene, rates, backlog):
    plan = []
    for c in range(scene.sub_carriers):
        weights = [max(backlog[u], 0) * int(rates[u][c]) for u in range(scene.embb_robots)]
        best = weights.index(max(weights))
        plan.append(best if weights[best] > 0 else -1)
        if weights[best] > 0:
            backlog[best] -= int(rates[best][c])
    return plan


def places(scene, plan, usable, count, pointer):
    if not count:
        return [], pointer
    if scene.puncture == "best_channel":
        return usable[:count], pointer
    idle = [c for c in usable if plan[c] == -1] if scene.puncture == "idle_first" else []
    where = idle[:count]
    pointer %= len(usable)
    while len(where) < count:
        if usable[pointer] not in idle:
            where.append(usable[pointer])
        pointer = (pointer + 1) % len(usable)
    return where, pointer


def fifo(scene, packets, jobs, rates, usable, slot, waiting, left, grid):
    """One line for all, in the order in which they became ready; packets before jobs and low users first at ties."""
    start, gone = slot * SLOT, sent(grid)
    line = [(p[0], -1, i) for i, p in enumerate(packets) if p[0] <= start and i not in gone]
    line += [(jobs[j][0], u, j) for u, queue in enumerate(waiting) for j in queue]
    plan = [-1] * scene.sub_carriers
    place, mini, packets_stop, full = None, scene.minislots, False, set()
    need = [0] * scene.embb_robots
    for _, user, i in sorted(line):
        if user == -1 and not packets_stop:
            if mini == scene.minislots:
                free = [c for c in usable if plan[c] == -1]
                if not free:
                    packets_stop = True
                    continue
                place, mini = free[0], 0
                plan[place] = -2
            grid[slot, mini, place] = i
            mini += 1
        elif user >= 0 and user not in full:
            need[user] += left[i]
            while sum(int(rates[user][c]) for c in range(scene.sub_carriers) if plan[c] == user) < need[user]:
                free = [c for c in range(scene.sub_carriers) if plan[c] == -1 and rates[user][c] > 0]
                if not free:
                    full.add(user)
                    break
                plan[max(free, key=lambda c: (rates[user][c], -c))] = user
    return plan
