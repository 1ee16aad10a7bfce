"""A bench for swaps: one model, the other side's logits as the target, and trials with parts of the other side."""

import probe_anatomy as anatomy
import probe_hf as hf
import probe_measure as measure
import probe_minimise as minimise
import probe_parts as parts
import probe_replay as replay
import probe_stored as stored
import torch

NOTHING = {"share": None, "identical": False, "max_abs": None, "error": None}


class Bench:
    """The model, and trials on it.

    Args:
        job: The job.
        record: The harness's record, which gets every trial.

    Attributes:
        own_load: Facts of this side's trace, which loaded with a look at memory: `uninitialised` and `loading`.
        state: Every parameter, buffer and plain tensor by name.
        own: This side's logits.
        differs: Whether their bits are others than the target's.
        apart: The L2 norm of what lies between the two.
    """

    def __init__(self, job, record):
        self.job, self.record = job, record
        self.restoring = job["ask"]["mode"] == "restore"
        self.wanted = "good" if self.restoring else "bad"
        captures = {role: stored.Stored(folder) for role, folder in job["captures"].items()}
        self.other = stored.Other(captures["anatomy"], captures.get("restored"))
        self.recorded = stored.Recorded(captures["trace"])
        self.own_load = captures["own"].facts
        by_output = any(part["kind"] == "output" for part in job["ask"]["parts"])
        self.goal = captures["trace" if self.restoring or by_output else "restored"].tensor("logits")
        with record.step("load"):
            self.model = hf.from_pretrained(job)[0].to(job["variant"]["device"]).eval()
            self.snapshot = parts.Snapshot(self.model)
            self.state = {**dict(anatomy.plain_tensors(self.model)), **dict(hf.tensors_of(self.model))}
        with record.step("tokens"):
            self.inputs, record.facts["tokens"] = hf.tokenize(job, self.model)
        record.facts.update(model_class=type(self.model).__name__, config=self.model.config.to_dict())
        record.facts["attention"] = hf.used_attention(self.model)
        self.mask = self.inputs.get("attention_mask")
        self.mask = self.mask.bool().cpu() if self.mask is not None and self.mask.ndim == 2 else None  # noqa: PLR2004
        self.loaded = (), self.model, self.snapshot
        self.outcomes, self.best = {}, None

    def own_logits(self):
        """This side's own logits, twice: random numbers go on, so that a forward that draws any shows."""
        with torch.random.fork_rng():
            self.own, again = self.forward(self.model), self.forward(self.model)
        self.snapshot.restore()
        self.record.tensors["logits"] = self.own
        self.record.facts["repeats"] = hf.digest(again) == hf.digest(self.own)
        self.differs, self.apart = not self.is_goal(self.own), self.norm(self.own)

    def forward(self, model):
        """One forward, counted, on the CPU."""
        self.record.facts["forwards"] += 1
        with torch.no_grad():
            return hf.main_output(model(**self.inputs), self.job["ask"].get("output")).detach().to("cpu", copy=True)

    def is_goal(self, logits):
        """Whether logits are the target's, bit for bit, wherever the mask lets the model look."""
        return measure.same(measure.kept(logits, self.mask), measure.kept(self.goal, self.mask))

    def norm(self, logits):
        """How far logits are from the target's; infinite where they cannot be compared or hold NaN."""
        if logits.shape != self.goal.shape:
            return float("inf")
        apart = measure.distance(measure.kept(logits, self.mask), measure.kept(self.goal, self.mask))
        return float(torch.linalg.vector_norm(apart).nan_to_num(nan=float("inf")))

    def trial(self, chosen):
        """What the model computes with some parts of the other side.

        Returns:
            (share of the difference that is gone, or None where it could not run; whether the bits are the target's).
        """
        key = frozenset(map(name_of, chosen))
        if key not in self.outcomes:
            entry, logits = self.attempt(chosen)
            self.record.facts["trials"].append(entry)
            self.outcomes[key] = outcome = entry["share"], entry["identical"]
            if logits is not None and (self.best is None or minimise.as_good(outcome, self.best[1])):
                self.best = key, outcome, logits
        return self.outcomes[key]

    def attempt(self, chosen):
        """One trial as the facts have it, and its logits."""
        entry = {"parts": list(map(name_of, chosen)), **NOTHING}
        try:
            logits = self.swapped(chosen, self.forward)
        except Exception as error:
            if self.record.is_transient(error):
                raise
            return {**entry, "error": described(error)}, None
        entry.update(identical=self.is_goal(logits), share=self.share(logits))
        if logits.shape == self.goal.shape:
            a, b = measure.kept(logits, self.mask), measure.kept(self.goal, self.mask)
            entry["max_abs"] = measure.difference(a, b)["max_abs"]
        return entry, logits

    def share(self, logits):
        """How much of the difference is gone; None where it cannot be compared."""
        left = self.norm(logits)
        if left == self.apart:
            return 0.0
        return measure.finite(1 - left / self.apart) if self.apart else None

    def swapped(self, chosen, work):
        """Do something with a model that has some parts of the other side, and put everything back."""
        asked = [part for part in chosen if part["kind"] in parts.RELOAD]
        model, snapshot = self.reloaded(asked)
        outputs = [part for part in chosen if part["kind"] == "output"]
        try:
            for part in chosen:
                if part["kind"] in parts.STATE:
                    parts.put(model, snapshot, part, self.wanted, self.other)
            with replay.patched(model, outputs, self.recorded), torch.random.fork_rng():
                return work(model)
        finally:
            snapshot.restore()

    def reloaded(self, asked):
        """The model as a load makes it that is asked for what the other side has; the last such is kept."""
        key = tuple(sorted(map(name_of, asked)))
        if not key:
            return self.model, self.snapshot
        if key != self.loaded[0]:
            self.loaded = (), self.model, self.snapshot  # never three models at once
            model = parts.reload(self.job, asked, self.wanted)
            self.loaded = key, model, parts.Snapshot(model)
        return self.loaded[1:]

    def fits(self, part):
        """Whether a part can be put in at all; why not is a trial that could not run."""
        try:
            self.swapped([part], lambda _model: None)
        except Exception as error:
            if self.record.is_transient(error):
                raise
            self.record.facts["trials"].append({"parts": [name_of(part)], **NOTHING, "error": described(error)})
            return False
        return True

    def replayed(self, chosen):
        """Replay the other side's inputs on this model with some of its parts.

        Returns:
            The replay, or None where the model does not run on them.
        """

        def work(model):
            with replay.Replay(model, self.recorded, self.mask) as run:
                self.forward(model)
            return run

        try:
            return self.swapped(chosen, work)
        except Exception as error:
            if self.record.is_transient(error):
                raise
            self.record.facts["replay_error"] = described(error)
            return None

    def choose(self, chosen):
        """Write down the set that was chosen, its logits, and this side's own tensors of it."""
        facts, tensors = self.record.facts, self.record.tensors
        facts["chosen"] = [{"name": "", "good": None, "bad": None, "nth": None, **part} for part in chosen]
        if self.best and frozenset(map(name_of, chosen)) == self.best[0]:
            tensors["logits/best"] = self.best[2]
        own = self.state
        for part in chosen:
            tensor = own.get(part["name"]) if part["kind"] == "tensor" else None
            if tensor is not None and not tensor.is_meta:
                facts["held"][part["name"]] = str(tensor.dtype)[6:]
                tensors["part/" + part["name"]] = anatomy.plain_numbers(tensor)

    def control(self, chosen):
        """Put in what both sides have; that must give this side's own bits, which also shows that all is back."""
        taken, own = {part["name"] for part in chosen}, self.state
        equal = [
            name
            for name in self.other.anatomy.facts["kept"]
            if name in own and name not in taken and self.other.states[name]["sha256"] == hf.digest(own[name])
        ]
        back = False
        if equal and self.differs:
            name = min(equal, key=lambda n: (not own[n].is_floating_point(), own[n].numel()))
            entry, logits = self.attempt([{"kind": "tensor", "name": name}])
            self.record.facts["control"] = entry
            back = logits is not None and measure.same(logits, self.own)
        self.record.facts["restored_own"] = back or measure.same(self.forward(self.model), self.own)


def described(error):
    """Type and first line of an error."""
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0][:300] if lines else ''}"


def name_of(part):
    """A part's id, as `matrix.explain.swap.Part.id` has it."""
    nth = part.get("nth")
    return f"{part['kind']}:{part.get('name', '')}" + ("" if nth is None else f"#{nth}")
