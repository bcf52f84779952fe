"""A canary job in Python: starts a rollout, waits for its verdict through lost connections, and takes everything back when it is interrupted.

Exit codes are those of `shadowctl rollout run`: 0 passed, 8 rolled back, 9 aborted. Once, beside this file:

    pip install --require-hashes -r requirements.txt
    python -m grpc_tools.protoc -I API --python_out=. --grpc_python_out=. API/crossfade/v1/{api,mirror,rollout,service}.proto

where API is the folder api of Crossfade.
"""

import argparse
import signal
import sys
import time

import grpc

from crossfade.v1 import api_pb2, api_pb2_grpc, rollout_pb2

LEASE = 60  # seconds: for how long the rollout goes on if this program is gone, and for how long it looks for a server that is
EXIT = {"Pass": 0, "Fail": 8, "Inconclusive": 9}


class Interrupted(BaseException):
    """Somebody cancels the job."""


def interrupt(number, frame):
    for s in (signal.SIGINT, signal.SIGTERM):
        signal.signal(s, signal.SIG_DFL)  # a second one ends the program at once
    raise Interrupted


def request(args):
    rollout = rollout_pb2.Rollout(
        api_version="crossfade/v1", kind="Rollout", name=args.service + "-canary", service=args.service, to=args.to, preset=args.steps,
        guards=[
            rollout_pb2.RolloutGuard(name="errors", metric="errorRate", max="0.5%"),
            rollout_pb2.RolloutGuard(name="latency", metric="p99", max="10s"),
        ],
    )
    rollout.bake.FromSeconds(args.bake)
    r = api_pb2.RunCanaryRequest(rollout=rollout, options=api_pb2.ChangeOptions(idempotency_key=args.key, actor="ci"))
    r.lease.FromSeconds(LEASE)
    return r


class Job:
    """A rollout that is waited for."""

    def __init__(self, api, asked):
        self.api, self.asked = api, asked
        self.abort = False  # as soon as it is seen
        self.said = ""

    def run(self):
        """Starts the rollout and returns its verdict. Interrupted, it aborts the rollout and waits for its end all the same."""
        try:
            return self.wait()
        except Interrupted:
            print("interrupted: the rollout is aborted", flush=True)
            self.abort = True
            return self.wait()

    def wait(self):
        """Returns the verdict. A lost connection is made again: the same key is the same rollout."""
        self.seen = time.monotonic()
        while True:
            try:
                return self.follow()
            except grpc.RpcError as e:
                if e.code() != grpc.StatusCode.UNAVAILABLE or time.monotonic() > self.seen + LEASE:
                    raise
                print("the connection was lost and is made again:", e.details(), file=sys.stderr, flush=True)
                time.sleep(1)

    def follow(self):
        """Reads one stream to its end."""
        for e in self.api.RunCanary(self.asked):
            self.seen = time.monotonic()
            line = f"{e.status.state} step {e.status.step}: {e.status.reason}"
            if line != self.said:
                print(line, flush=True)
                self.said = line
            if e.verdict:
                return e.verdict
            if self.abort:
                self.abort = False
                self.take_back(e.status.name)
        raise RuntimeError("the stream ended without a verdict")

    def take_back(self, name):
        options = api_pb2.ChangeOptions(reason="the job was cancelled", actor="ci")
        try:
            self.api.ActOnRollout(api_pb2.ActOnRolloutRequest(name=name, action="abort", options=options))
        except grpc.RpcError as e:
            if e.code() != grpc.StatusCode.FAILED_PRECONDITION:  # it goes back already
                raise


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--server", default="127.0.0.1:18080", help="HOST:PORT")
    p.add_argument("--service", required=True)
    p.add_argument("--to", required=True, help="the origin that traffic moves to")
    p.add_argument("--steps", default="10", help="weights in percent")
    p.add_argument("--bake", type=int, default=300, help="how many seconds each step is watched")
    p.add_argument("--key", required=True, help="names this attempt of the job: with the same one, the same rollout is waited for")
    args = p.parse_args()
    for s in (signal.SIGINT, signal.SIGTERM):
        signal.signal(s, interrupt)
    # Pings notice a connection that is silently gone.
    options = [("grpc.keepalive_time_ms", 20_000), ("grpc.keepalive_timeout_ms", 10_000), ("grpc.max_reconnect_backoff_ms", 1000)]
    with grpc.insecure_channel(args.server, options=options) as channel:
        verdict = Job(api_pb2_grpc.CrossfadeServiceStub(channel), request(args)).run()
    print("verdict:", verdict)
    return EXIT[verdict]


if __name__ == "__main__":
    sys.exit(main())
