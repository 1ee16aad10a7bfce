"""A harness without torch: speaks the real one's protocol; a job's case name says how it ends.

Like the real one it runs by path, in another interpreter, and imports nothing of ours.
"""

import json
import os
import shutil
import signal
import sys
import time

ENVIRONMENT = {"cpu": "one CPU", "cpu_capability": "AVX2", "environ": dict(os.environ), "isolated": sys.flags.isolated}


def main(path):
    with open(path, encoding="utf-8") as file:
        request = json.load(file)
    names = [job["id"].split("/")[0] for job in request["jobs"]]
    if "early" in names:
        sys.exit("ImportError: no module named torch")
    for name, job in zip(names, request["jobs"]):
        if name == "between":
            sys.exit("the probe cannot be loaded")
        send(request["events"], event="begin", job=job["id"])
        end(name)
        capture(job, name)
        if name == "after":
            os.kill(os.getpid(), signal.SIGSEGV)
        send(request["events"], event="end", job=job["id"], status="captured")
    send(request["events"], event="done")


def end(name):
    if name == "crash":
        os.kill(os.getpid(), signal.SIGSEGV)
    if name == "hang":
        time.sleep(60)
    if name == "exit":
        sys.stderr.write("something broke\n\n")
        sys.exit(3)


def capture(job, name):
    response = {"schema": 1, "key": job["key"], "status": "captured", "environment": ENVIRONMENT}
    if name in ("fails", "full-disk"):
        error = {"type": "OSError", "message": "no", "traceback": "", "transient": name == "full-disk"}
        response.update(status="probe_failed", failed_stage="load", error=error)
    scratch = job["folder"] + ".scratch"
    os.makedirs(scratch)
    with open(os.path.join(scratch, "response.json"), "w", encoding="utf-8") as file:
        json.dump(response, file)
    shutil.rmtree(job["folder"], ignore_errors=True)
    os.rename(scratch, job["folder"])


def send(path, **event):
    with open(path, "a", encoding="utf-8") as file:
        file.write(json.dumps(event) + "\n")


if __name__ == "__main__":
    main(sys.argv[1])
