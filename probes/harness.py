"""Run one request inside a cell: every job through its probe, one capture on disk each.

Foreign code: runs by path, unmodified, in every environment of the matrix (`python -I harness.py request.json`). It
imports the standard library, torch, transformers and safetensors only; README.md beside it is its contract.
"""

import gc

gc.disable()  # the imports below make millions of objects that never die: collecting among them costs a second

import contextlib  # noqa: E402
import importlib  # noqa: E402
import importlib.util  # noqa: E402
import json  # noqa: E402
import logging  # noqa: E402
import os  # noqa: E402
import platform  # noqa: E402
import shutil  # noqa: E402
import sys  # noqa: E402
import tempfile  # noqa: E402
import time  # noqa: E402
import traceback  # noqa: E402
import warnings  # noqa: E402

SCHEMA = 1
MESSAGE_LIMIT = 4000
WARNING_LIMIT = 50


class Record:
    """What one job has seen so far; a probe fills it, the harness writes it.

    Attributes:
        facts: JSON values by name.
        tensors: Tensors by name, on any device, in any dtype.
        stage: The stage that runs, for the error message when it fails.
        cost: Per stage, `seconds` and `peak_bytes` (resident memory at its highest).
        folder: Where a probe may write further files of its capture, such as tensors that would not fit into memory.
    """

    def __init__(self, announce, folder):
        self.folder = folder
        self.facts = {}
        self.tensors = {}
        self.stage = "load"
        self.announce = announce
        self.cost = {}
        self.warnings = []

    @staticmethod
    def is_transient(error):
        """Whether an error, such as too little memory, may not come again: then it must not be kept as a fact."""
        return is_transient(error)

    @contextlib.contextmanager
    def step(self, stage):
        """Time one stage, measure its peak memory and collect its warnings; errors are filed under its name."""
        self.stage = stage
        self.announce(stage)
        reset_peak()
        start = time.perf_counter()
        with collected_warnings(self.warnings):
            yield
        self.cost[stage] = {"seconds": round(time.perf_counter() - start, 4), "peak_bytes": peak_bytes()}


def main(path):
    """Read the request, run its jobs in order, and leave an event line before and after each."""
    with open(path, encoding="utf-8") as file:
        request = json.load(file)
    if request["schema"] > SCHEMA:
        sys.exit(f"harness: the request is written by a newer version, schema {request['schema']}")
    import torch

    die_with_parent()
    torch.set_num_interop_threads(1)
    environment = describe_environment(torch)
    no_tensor_float(torch)
    sys.meta_path.append(Probes())
    probes = {
        name: importlib.import_module(f"probe_{name}") for name in sorted({job["probe"] for job in request["jobs"]})
    }
    gc.freeze()
    for isolated, jobs in batches(request["jobs"]):
        work = run_isolated if isolated else run_batch
        work(jobs, probes, environment, request["events"])
    send(request["events"], event="done")


def batches(jobs):
    """Split jobs so that no remote code can change what the jobs of other code see: (isolated, jobs) in order.

    Every kind of remote code gets a child process, but for the last: nothing comes after it. Children come first,
    because a process that has run a model may hold threads, which a fork would not.
    """
    kinds = {}
    for job in jobs:
        kinds.setdefault(job["code"], []).append(job)
    native = kinds.pop(None, [])
    *first, last = kinds.values() if kinds else [[]]
    return [*((True, kind) for kind in first), (False, native), (False, last)]


def run_isolated(jobs, probes, environment, events):
    """Run jobs in a child; one that goes down takes this process with it, so that whoever watches sees one crash."""
    pid = os.fork()
    if pid == 0:
        die_with_parent()
        code = 1
        try:
            run_batch(jobs, probes, environment, events)
            code = 0
        except BaseException:  # noqa: BLE001 - the child must end here, whatever happens
            traceback.print_exc()
        finally:
            sys.stderr.flush()
            os._exit(code)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    if code < 0:
        os.kill(os.getpid(), -code)
    if code or not all(os.path.exists(os.path.join(job["folder"], "response.json")) for job in jobs):
        sys.exit(code or 1)


def run_batch(jobs, probes, environment, events):
    """Run jobs one after the other, with an event line before and after each."""
    for job in jobs:
        send(events, event="begin", job=job["id"])
        run(job, probes[job["probe"]], environment, events)
        send(events, event="end", job=job["id"])
        gc.collect()
        gc.freeze()  # what outlives a job are modules: the next collection need not look at them again


def run(job, probe, environment, events):
    """Run one job and write its capture; an error of the model is data, not a failure of the harness."""
    import torch

    torch.set_num_threads(job["variant"]["threads"])
    environment = {
        **environment,
        "threads": torch.get_num_threads(),
        "interop_threads": torch.get_num_interop_threads(),
    }
    torch.manual_seed(0)
    response = {"schema": SCHEMA, "key": job["key"], "job": job["id"], "status": "captured", "environment": environment}
    with new_folder(job["folder"]) as scratch:
        record = Record(lambda stage: send(events, event="stage", job=job["id"], stage=stage), scratch)
        try:
            probe.capture(job, record)
        except (Exception, SystemExit) as error:  # noqa: BLE001 - whatever foreign code raises is the finding
            response.update(status="probe_failed", failed_stage=record.stage, error=describe_error(error))
        response.update(record.facts, cost=record.cost, warnings=record.warnings[:WARNING_LIMIT])
        write(scratch, response, record.tensors)


@contextlib.contextmanager
def new_folder(folder):
    """A temporary folder that becomes `folder` in one step when the block ends well."""
    parent = os.path.dirname(folder)
    os.makedirs(parent, exist_ok=True)
    scratch = tempfile.mkdtemp(dir=parent, prefix="." + os.path.basename(folder) + ".")
    try:
        yield scratch
        os.chmod(scratch, 0o755)  # noqa: S103 - as an ordinary folder; mkdtemp makes private ones
        shutil.rmtree(folder, ignore_errors=True)
        os.rename(scratch, folder)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def write(folder, response, tensors):
    """Write response.json, with what is said of the tensors, and tensors.safetensors."""
    import probe_bits as bits
    import torch
    from safetensors.torch import save_file

    described, stored, taken = {}, {}, set()
    for name, tensor in tensors.items():
        described[name] = {"dtype": str(tensor.dtype)[6:], "shape": list(tensor.shape), "sha256": bits.digest(tensor)}
        described[name]["finite"] = bits.finite(tensor)
        # readers without torch know no bfloat16 or float8; float32 holds their values exactly
        narrow = tensor.is_floating_point() and tensor.dtype not in (torch.float64, torch.float32, torch.float16)
        stored[name] = alone(tensor.detach().to("cpu", torch.float32 if narrow else tensor.dtype), taken)
    response["tensors"] = described
    save_file(stored, os.path.join(folder, "tensors.safetensors"))
    with open(os.path.join(folder, "response.json"), "w", encoding="utf-8") as file:
        json.dump(response, file, indent=1, default=str)


def alone(tensor, taken):
    """A tensor as it can be stored: copied only where it is laid out otherwise, or its memory is stored already.

    Args:
        tensor: On the CPU.
        taken: Where the memory of what is stored begins; this one's is added.
    """
    place = tensor.untyped_storage().data_ptr()
    if tensor.is_contiguous() and not tensor.is_neg() and not tensor.is_conj() and place not in taken:
        taken.add(place)
        return tensor
    import torch

    return tensor.clone(memory_format=torch.contiguous_format)


def describe_environment(torch):
    """What this process runs on: every installed version, the CPU and the torch build."""
    site = [path for path in sys.path if path.endswith(("site-packages", "dist-packages"))]
    names = [name[: -len(".dist-info")] for path in site for name in os.listdir(path) if name.endswith(".dist-info")]
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "versions": dict(sorted(name.rsplit("-", 1) for name in names)),
        "torch": torch.__version__,
        "torch_build": torch.__config__.show(),
        "cpu": cpu_model(),
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        "cuda": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
    }


def cpu_model():
    """The CPU's name, as the system gives it."""
    with contextlib.suppress(OSError), open("/proc/cpuinfo", encoding="utf-8") as file:
        for line in file:
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor()


def describe_error(error):
    """Type, message and the end of the traceback, each bounded."""
    trace = "".join(traceback.format_exception(type(error), error, error.__traceback__))
    return {
        "type": type(error).__name__,
        "message": str(error)[:MESSAGE_LIMIT],
        "traceback": trace[-MESSAGE_LIMIT:],
        "transient": is_transient(error),
    }


def is_transient(error):
    """Whether the next time may go better: too little memory (torch says so in words), a full disk, too many files."""
    words = ("allocate memory", "out of memory")
    said = isinstance(error, RuntimeError) and any(word in str(error) for word in words)
    return said or isinstance(error, MemoryError) or getattr(error, "errno", None) in (12, 24, 28)


@contextlib.contextmanager
def collected_warnings(into):
    """Collect Python warnings and what transformers logs at warning level, each message once."""

    class Handler(logging.Handler):
        def emit(self, entry):
            try:
                add(entry.getMessage())
            except TypeError:  # a release's own slip: arguments that its message has no place for
                add(str(entry.msg))

    def add(message):
        if message not in into:
            into.append(str(message)[:MESSAGE_LIMIT])

    handler, logger = Handler(level=logging.WARNING), logging.getLogger("transformers")
    logger.addHandler(handler)
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            yield
    finally:
        logger.removeHandler(handler)
    for warning in caught:
        add(str(warning.message))


def reset_peak():
    """Let the peak of resident memory start anew (Linux, proc(5), clear_refs)."""
    with contextlib.suppress(OSError), open("/proc/self/clear_refs", "w", encoding="ascii") as file:
        file.write("5")


def peak_bytes():
    """The highest resident memory since the last reset; since the start where the system cannot reset it."""
    with contextlib.suppress(OSError), open("/proc/self/status", encoding="utf-8") as file:
        for line in file:
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


class Probes:
    """Finds `probe_NAME` in this file's folder, which is not on the path: a file there could shadow a package."""

    def find_spec(self, name, path=None, target=None):  # noqa: ARG002 - the signature of sys.meta_path
        """What `import probe_NAME` loads; None for every other module."""
        file = os.path.join(os.path.dirname(os.path.abspath(__file__)), name[len("probe_") :] + ".py")
        known = name.startswith("probe_") and os.path.exists(file)
        return importlib.util.spec_from_file_location(name, file) if known else None


def no_tensor_float(torch):
    """Keep float32 whole on a GPU: TF32 would round it to 10 bits, and autotuning would choose other kernels."""
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cudnn.benchmark = False
    torch.backends.cudnn.deterministic = True


def die_with_parent():
    """Ask the system to end this process when whoever started it is gone (Linux, prctl(2), PR_SET_PDEATHSIG)."""
    import ctypes
    import signal

    with contextlib.suppress(AttributeError, OSError):
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)


def send(path, **event):
    """Append one event line; short enough to be written in one piece."""
    event["time"] = time.time()
    with open(path, "a", encoding="utf-8") as file:
        file.write(json.dumps(event) + "\n")


if __name__ == "__main__":
    main(sys.argv[1])
