"""Schedules: what an application does, and what the network and the far ends do meanwhile.

A schedule comes from one integer and from nothing else; printed, it can be read, and kept as
JSON it is still the same when the rules here have changed.
"""

from __future__ import annotations

import random
from typing import Any

import attrs

from tests.faults.proxy import DOWN, FIN, RST, UP

#: A delayed answer is no later than this: long enough for a dial to give up before.
LONGEST_DELAY = 0.2
DIAL_SECONDS = 0.12
COMMAND_SECONDS = 0.15

Args = dict[str, Any]


@attrs.frozen
class Step:
    """Something to do; ``at`` counts from the beginning, or for an actor from its last step."""

    at: float
    do: str
    args: Args = attrs.field(factory=dict)

    def __str__(self) -> str:
        args = ", ".join(f"{name}={value!r}" for name, value in self.args.items())
        return f"{self.at:5.3f} {self.do}({args})"


@attrs.frozen
class Schedule:
    """``weather`` has its own time; each of ``actors`` is a thread that takes its steps in turn."""

    name: str
    settings: Args
    weather: tuple[Step, ...]
    actors: tuple[tuple[Step, ...], ...]

    def __str__(self) -> str:
        lines = [f"schedule {self.name}: {self.settings}"]
        lines += [f"  weather {step}" for step in self.weather]
        for number, steps in enumerate(self.actors):
            lines += [f"  actor {number} +{step}" for step in steps]
        return "\n".join(lines)

    def to_json(self) -> dict[str, Any]:
        return attrs.asdict(self)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Schedule:
        def steps(of: list[dict[str, Any]]) -> tuple[Step, ...]:
            return tuple(Step(**step) for step in of)

        actors = tuple(steps(actor) for actor in data["actors"])
        return cls(data["name"], data["settings"], steps(data["weather"]), actors)

    @classmethod
    def from_seed(cls, seed: int) -> Schedule:
        return _Maker(random.Random(seed)).schedule(str(seed))


class _Maker:
    def __init__(self, chance: random.Random) -> None:
        self.chance = chance
        self.shared_route = chance.random() < 0.25
        self.dials = 0

    def schedule(self, name: str) -> Schedule:
        chance = self.chance
        settings: Args = {
            "orphan_policy": chance.choice(["hangup", "hangup", "hangup", "keep"]),
            "respond": chance.choice(["answer", "early"]),
            "subscribe": chance.random() < 0.2,
            # What the callback does with each incoming call, in turn.
            "incoming": [
                chance.choice(["accept", "accept", "accept", "reject", "keep", "leave", "raise"])
                for _ in range(3)
            ],
            "on_digits": chance.choice(["", "", "", "hangup", "send_dtmf"]),
        }
        horizon = chance.uniform(0.08, 0.3)
        actors = [self.caller() for _ in range(chance.choice([1, 1, 2]))]
        if chance.random() < 0.15:
            numbers = [f"+1800555{n:04}" for n in range(chance.randint(0, 3))]
            at = chance.uniform(0, horizon)
            actors.append((Step(round(at, 3), "subscribe", {"numbers": numbers}),))
        if chance.random() < 0.08:
            at = chance.uniform(0, horizon)
            args = {"hangup_active": chance.random() < 0.4, "twice": chance.random() < 0.3}
            actors.append((Step(round(at, 3), "close", args),))
        weather = self.network(horizon) + self.far_ends(horizon)
        weather.sort(key=lambda step: step.at)
        return Schedule(name, settings, tuple(weather), tuple(actors))

    def caller(self) -> tuple[Step, ...]:
        """A thread that dials once or twice, and does something with the call."""
        chance, steps = self.chance, []
        for _ in range(chance.choice([1, 1, 1, 2])):
            self.dials += 1
            uid = "7" if self.shared_route else str(self.dials)
            args: Args = {"from_": f"+1555{self.dials:07}", "uid": uid}
            if chance.random() < 0.3:
                args["script"] = self.script()
            steps.append(Step(round(chance.uniform(0, 0.08), 3), "dial", args))
            for _ in range(chance.choice([0, 1, 2, 3])):
                do = chance.choice(
                    ["wait_answered", "send_dtmf", "bridge", "unbridge", "rebridge", "collect",
                     "transfer", "hangup", "wait_ended"]
                )  # fmt: skip
                steps.append(Step(round(chance.uniform(0, 0.04), 3), do))
            if chance.random() < 0.6:
                do = chance.choice(["hangup", "leave"])
                steps.append(Step(round(chance.uniform(0, 0.05), 3), do))
        return tuple(steps)

    def script(self) -> Args:
        chance = self.chance
        args: Args = {
            "outcome": chance.choice(
                ["answer"] * 4 + ["busy", "no_answer", "no_gateway", "invalid"]
            )
        }
        if chance.random() < 0.4:
            args["delay"] = chance.choice([1.0, 3.0])
        if chance.random() < 0.3:
            args["ring"] = chance.choice([0.0, 0.5, 4.0])
        if chance.random() < 0.15 and args["outcome"] == "answer":
            args["composite_hangup"] = True
        return args

    def network(self, horizon: float) -> list[Step]:
        """One to three faults, most of which end by themselves or with the connection."""
        chance, steps = self.chance, []
        for _ in range(chance.choice([1, 1, 2, 3])):
            at = round(chance.uniform(0, horizon), 3)
            way = chance.choice([UP, DOWN])
            until = round(at + chance.uniform(0.02, 0.15), 3)
            do = chance.choice(
                ["cut", "cut", "cut", "end", "half_close", "delay", "slice", "hold",
                 "stop_reading", "blackhole", "refuse", "cm_delay", "cm_delay", "cm_duplicate",
                 "cm_reorder", "cm_refuse", "cm_drop"]
            )  # fmt: skip
            if do == "cut":
                after = chance.choice([0, 1, chance.randint(0, 60), chance.randint(0, 900)])
                how = chance.choice([FIN, RST])
                steps.append(Step(at, do, {"direction": way, "after": after, "how": how}))
            elif do == "end":
                steps.append(Step(at, do, {"how": chance.choice([FIN, RST])}))
            elif do == "half_close":
                steps.append(Step(at, do, {"direction": way}))
            elif do == "delay":
                seconds = round(chance.uniform(0.005, 0.15), 3)
                steps.append(Step(at, do, {"direction": way, "seconds": seconds}))
            elif do == "slice":
                steps.append(Step(at, do, {"direction": way, "size": chance.randint(1, 40)}))
            elif do in ("hold", "stop_reading"):
                steps.append(Step(at, do, {"direction": way}))
                steps.append(Step(until, do, {"direction": way, "on": False}))
            elif do == "refuse":
                steps.append(Step(at, "refuse"))
                steps.append(Step(at, "end", {"how": RST}))
                steps.append(Step(until, "refuse", {"on": False}))
            elif do == "blackhole":
                steps.append(Step(at, do))
            elif do == "cm_delay":
                action = chance.choice(["outbound", "outbound", "accept", "endcall", None])
                seconds = round(chance.uniform(0.01, LONGEST_DELAY), 3)
                steps.append(Step(at, do, {"seconds": seconds, "action": action}))
            elif do == "cm_reorder":
                steps.append(Step(at, do, {"seed": chance.randint(0, 99)}))
            elif do == "cm_refuse":
                action = chance.choice(["outbound", "accept", "endcall", "send_dtmf"])
                form = chance.choice(["error", "data", "status"])
                args: Args = {"reason": "no", "action": action, "form": form}
                args["status_code"] = 503  # 404 would say that there is no such call
                steps.append(Step(at, do, args))
            else:
                steps.append(Step(at, do))
        return steps

    def far_ends(self, horizon: float) -> list[Step]:
        chance = self.chance
        steps: list[Step] = []
        for _ in range(chance.choice([0, 0, 1, 2])):
            number = f"+1666{len(steps):07}"
            steps.append(Step(round(chance.uniform(0, horizon), 3), "incoming", {"from_": number}))
        for _ in range(chance.choice([0, 1, 2])):
            do = chance.choice(["press", "hang_up"])
            args = {"which": chance.randint(0, 3)}
            steps.append(Step(round(chance.uniform(0, horizon + 0.1), 3), do, args))
        return steps
