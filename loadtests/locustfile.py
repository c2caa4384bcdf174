"""Load on one model of a Triton server, held against its p99 SLO: `plansmith load` starts this.

    locust -f loadtests/locustfile.py --headless --only-summary --loglevel WARNING \\
        --model NAME --concurrency 16 --p99-ms 100 [--json FILE]

Without --headless the same file opens in Locust's web UI; with --processes, or --master and
--worker, the workers' exact histograms are added up. Our figures and the verdict go to stdout,
progress, errors and Locust's own (rounded) statistics to stderr. Exit codes: 0 pass, 1 fail or no
server, 2 bad arguments, 3 a package is missing, 4 unclear, 130 interrupted.
"""

from __future__ import annotations

import sys

from locust import User, events, task
from locust.exception import StopUser

try:
    import grpc.experimental.gevent

    # Before any channel is made: gRPC's waiting then yields to the other users.
    grpc.experimental.gevent.init_gevent()
    from load_control import Control
    from load_options import add_arguments
except ModuleNotFoundError as error:
    print(
        f"plansmith load: no module {error.name}: pip install 'plansmith-client[grpc]'",
        file=sys.stderr,
    )
    sys.exit(3)

control = Control()
events.init_command_line_parser.add_listener(add_arguments)
events.init.add_listener(control.on_init)
events.test_start.add_listener(control.on_test_start)
events.test_stop.add_listener(control.on_test_stop)
events.report_to_master.add_listener(control.on_report_to_master)
events.worker_report.add_listener(control.on_worker_report)
events.quitting.add_listener(control.on_quitting)


class TritonUser(User):
    """One user: sends as the run's arrivals say, from the first request to the last."""

    @task
    def send(self) -> None:
        control.run_user()
        raise StopUser
