"""The probe that puts parts of another cell's model into this one, and says which of them restore that cell's logits.

`restore` runs in the cell that went wrong and searches for the smallest set; `inject` runs in the one that is right,
puts the other side's parts of one given set in, and shows whether they are what it takes. README.md is the contract.
"""

import json
import re

import probe_bench as benches
import probe_measure as measure
import probe_minimise as minimise
import probe_parts as parts

CLEAR = 0.01
"""Parts that restore less than this share are no cause of their own beside changed code: numbers that are near anyway
move a little nearer or farther with any change."""
SEVERAL = 12
"""How many kinds of parts are tried one by one where all of them together do not run."""


def capture(job, record):
    """Capture every trial; a part that cannot be put in is data, the model's own forward must work."""
    record.facts.update(trials=[], replayed=[], chosen=[], control=None, held={}, forwards=0)
    bench, chosen = benches.Bench(job, record), []
    with record.step("logits"):
        bench.own_logits()
    if job["ask"]["mode"] == "inject":
        with record.step("swap"):
            chosen = inject(bench, job["ask"]["parts"])
    else:
        with record.step("replay"):
            run = bench.replayed([])
        record.facts["replayed"] = run.report() if run else []
        with record.step("swap"):
            chosen = restore(bench, job["ask"]["parts"], run) if bench.differs else []
    bench.choose(chosen)
    with record.step("control"):
        bench.control(chosen)


def restore(bench, asked, run):
    """The smallest set found that restores most: state, what a load is asked for, both, or outputs of modules."""
    state = all_state(bench, [part for part in asked if part["kind"] in parts.STATE])
    loads = [part for part in asked if part["kind"] in parts.RELOAD]
    if state and bench.trial(state)[1]:
        return upstream(bench, loads, state)
    tried = [state] if state else []
    for whole in [loads, [*loads, *state]] if loads else []:
        if bench.trial(whole)[1]:
            return smallest(bench, whole)
        tried.append(whole)
    base = max(tried, key=lambda whole: share_of(bench, whole), default=[])
    base = smallest(bench, base) if base and share_of(bench, base) > CLEAR else []
    return with_outputs(bench, base, bench.replayed(base) if base else run)


def inject(bench, asked):
    """The parts; where outputs among them do not do, the outputs of what is faulty on the other side's inputs, too.

    Code may do the same on the right inputs, and something else on what other faults have made of them.
    """
    if bench.trial(asked)[1] or all(part["kind"] != "output" for part in asked):
        return asked
    taken = {benches.name_of(part) for part in asked}
    further = [part for part in outputs_of(bench, bench.replayed([])) if benches.name_of(part) not in taken]
    more = [*asked, *further]
    return more if further and bench.trial(more)[1] else asked


def all_state(bench, asked):
    """All state that can be put in and runs; what restores most of tensors, other state, and both."""
    fitting = [part for part in asked if bench.fits(part)]
    whole = minimise.flat(units(bench, fitting))
    if whole and bench.trial(whole)[0] is None:
        running = [unit for unit in units(bench, fitting)[:SEVERAL] if bench.trial(unit)[0] is not None]
        whole = minimise.flat(running)
    halves = [[part for part in whole if (part["kind"] == "tensor") is tensor] for tensor in (True, False)]
    tried = [whole] if whole else []
    for half in halves:
        if all(halves) and not bench.trial(tried[-1])[1]:
            tried.append(half)
    return max(tried, key=lambda some: (bench.trial(some)[1], share_of(bench, some)), default=[])


def upstream(bench, loads, state):
    """Of state that restores all, the smallest set; what a load is asked for, where that does as much and is no more.

    Only of what both sides have: a key that one side lacks cannot be put into the other as it is there. Where a load
    drew what it missed, such keys are tried all the same, so that the trials tell. A load that leaves memory unwritten
    is not asked again: it may find the good side's numbers there. All of what it never wrote is at fault, however
    little of it shows in what this load happened to find there.
    """
    if bench.own_load["uninitialised"]:
        # which of them matter depends on what happens to lie there, in another load others
        unwritten = [part for part in state if part["name"] in bench.own_load["uninitialised"]]
        return unwritten if unwritten and bench.trial(unwritten)[1] else smallest(bench, state)
    both = [part for part in loads if part["kind"] != "config" or None not in (part["good"], part["bad"])]
    if loads != both and bench.own_load["loading"]["missing_keys"] and bench.trial(loads)[1]:
        smallest(bench, loads)
    asked = smallest(bench, both) if both and bench.trial(both)[1] else []
    if len(asked) == 1:
        return asked
    chosen = smallest(bench, state)
    return asked if asked and len(asked) <= len(chosen) else chosen


def smallest(bench, whole):
    """The smallest set found that does what all of these parts do."""
    return minimise.Search(bench.trial).smallest(units(bench, whole), bench.trial(whole))


def with_outputs(bench, base, run):
    """Parts, and the outputs of modules that are faulty all the same.

    Of the faulty calls, callees first, the shortest prefix that is enough: a later output alone hides those before it,
    and would say nothing of them, though each is faulty by itself on the right inputs.
    """
    outputs = outputs_of(bench, run)
    if not outputs:
        return base
    alone = unpaired(bench, outputs)
    if alone and len(alone) < len(outputs) and bench.trial([*base, *alone])[1]:
        outputs = alone
    whole = bench.trial([*base, *outputs])
    if not whole[1] and (whole[0] is None or (base and whole[0] <= share_of(bench, base))):
        return base
    search = minimise.Search(lambda some: bench.trial([*base, *some]))
    return [*base, *search.prefix(outputs, whole)]


def unpaired(bench, outputs):
    """Outputs without those of two calls, one right inside the other, that are both faulty.

    Work that a release moved from a module into its caller, or back, looks like two faults; they undo each other.
    """
    calls = {call["index"]: call for call in bench.recorded.calls.values()}
    names = {part["name"] for part in outputs}
    callers = [(call["module"], calls[call["parent"]]["module"]) for call in calls.values() if call["parent"] in calls]
    paired = {name for pair in callers if names.issuperset(pair) for name in pair}
    return [part for part in outputs if part["name"] not in paired]


def outputs_of(bench, run):
    """The outputs of the calls that a replay has found faulty, as parts; without a number where there is one call."""
    modules = [module for module, _ in bench.recorded.calls]
    return [
        {"kind": "output", "name": module, "nth": None if modules.count(module) == 1 else nth}
        for module, nth in (run.faulty() if run else ())
    ]


def share_of(bench, some):
    """How much a set restores; less than anything where it does not run."""
    share = bench.trial(some)[0]
    return float("-inf") if share is None else share


def units(bench, some):
    """Parts that are one thing in several places, together; those with the largest relative difference first."""
    groups = {}
    for part in some:
        path = re.sub(r"\b\d+\b", "*", part["name"])
        name = path if part["kind"] == "tensor" else path.rpartition(".")[2]
        key = part["kind"], name, json.dumps([part["good"], part["bad"]])
        groups.setdefault(key, []).append(part)
    return sorted(groups.values(), key=lambda unit: -max(relative(bench, part) for part in unit))


def relative(bench, part):
    """How much a part differs, relative to what it is on the other side; 1 for what is no number."""
    if part["kind"] != "tensor":
        numbers = [part[side] for side in ("good", "bad")]
        if any(isinstance(number, bool) or not isinstance(number, (int, float)) for number in numbers):
            return 1.0
        return abs(numbers[0] - numbers[1]) / max(map(abs, numbers)) if any(numbers) else 0.0
    own, other = bench.state.get(part["name"]), bench.other.tensor(part["name"])
    if own is None or other is None or own.is_meta or own.shape != other.shape:
        return float("inf")
    found = measure.difference(own, other)["l2_rel"]
    return float("inf") if found is None else found
