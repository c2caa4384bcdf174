"""Locust's events → one run: alone, or as master or worker of several processes.

A worker sends what it counted with each of Locust's reports, and a last message when its users
are done. The master adds up, concludes when every worker is done, and stops Locust.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
import time
from collections.abc import Callable
from typing import Any, NoReturn

import gevent
from locust.env import Environment
from locust.exception import StopTest
from locust.runners import MasterRunner, Runner, WorkerRunner

from load_options import BadOptions, LoadOptions, parse
from load_result import conclude, summary
from load_samples import UnusableSamples
from load_session import Session, generator_health, latest_end_s
from load_tally import Tally
from load_target import Unreachable, connect

EXIT_NO_SERVER, EXIT_BAD_OPTIONS, EXIT_INTERRUPTED = 1, 2, 130
MESSAGE = "plansmith_load_done"
REPORT_KEY = "plansmith_load"
# Locust's master hears of a worker once a second, and of a lost one after three.
WORKERS_SLACK_S = 5.0
PROGRESS_EVERY_S = 1.0


class Control:
    """Listens to Locust's events; at most one run at a time."""

    def __init__(self) -> None:
        self._run: _Run | None = None

    def on_init(self, environment: Environment, **_: object) -> None:
        """Checks arguments and server before Locust begins, where nobody could correct them."""
        runner, parsed = environment.runner, environment.parsed_options
        if isinstance(runner, MasterRunner):
            runner.register_message(MESSAGE, self._on_worker_done)
        if parsed is None or isinstance(runner, WorkerRunner):
            return
        if parsed.headless:
            options = _checked_or_exit(vars(parsed))
            # Locust waits for a KeyboardInterrupt, which is lost where it comes up inside of gRPC.
            gevent.signal_handler(signal.SIGINT, os.kill, os.getpid(), signal.SIGTERM)
            # It warns of spawn rates above 100 per second; our users share one connection.
            logging.getLogger("locust.runners").setLevel(logging.ERROR)
            parsed.num_users = parsed.spawn_rate = options.users
            # Locust fixes its tables' logger at INFO: let --loglevel WARNING silence it too.
            logging.getLogger("locust.stats_logger").setLevel(parsed.loglevel)

    def on_test_start(self, environment: Environment, **_: object) -> None:
        """Begins a run with what the arguments, or the web form, say now."""
        runner, parsed = environment.runner, environment.parsed_options
        assert runner is not None
        assert parsed is not None
        logging.getLogger("locust.runners").setLevel(logging.NOTSET)
        values = vars(parsed)
        if isinstance(runner, MasterRunner):
            # Parsed options travel to the workers, and these with them.
            clients = runner.clients
            values["load_workers"] = [
                worker.id for worker in clients.ready + clients.spawning + clients.running
            ]
            values["load_run"] = time.time()
        if not isinstance(runner, WorkerRunner) and not parsed.headless and not values["rate"]:
            values["concurrency"] = runner.target_user_count
        try:
            self._run = _Run(environment, runner, parse(values))
        except (BadOptions, UnusableSamples, Unreachable) as error:
            raise StopTest(f"plansmith load: {error}") from error

    def run_user(self) -> None:
        if self._run is not None and self._run.session is not None:
            self._run.session.run_user()

    def on_report_to_master(self, data: dict[str, Any], **_: object) -> None:
        if self._run is not None and self._run.session is not None:
            data[REPORT_KEY] = self._run.report()

    def on_worker_report(self, data: dict[str, Any], **_: object) -> None:
        if self._run is not None and REPORT_KEY in data:
            self._run.add(data[REPORT_KEY])

    def _on_worker_done(self, msg: Any, **_: object) -> None:
        if self._run is not None:
            self._run.add(msg.data)
            self._run.waiting_for.discard(msg.node_id)

    def on_test_stop(self, **_: object) -> None:
        if self._run is not None:
            self._run.close()

    def on_quitting(self, environment: Environment, **_: object) -> None:
        """Whatever ends Locust before the run's end was not in the plan: Ctrl-C, SIGTERM."""
        if isinstance(environment.runner, WorkerRunner) or environment.parsed_options is None:
            return
        if environment.parsed_options.headless and environment.process_exit_code is None:
            _say("interrupted: no verdict and no result")
            environment.process_exit_code = EXIT_INTERRUPTED


class _Run:
    """One run in this process: a session, except on the master, and a greenlet that sees it out."""

    def __init__(self, environment: Environment, runner: Runner, options: LoadOptions) -> None:
        self._environment = environment
        self._runner = runner
        self._options = options
        self._began = time.perf_counter()
        self._busy_share = 0.0
        values = vars(environment.parsed_options)
        workers: list[str] = values.get("load_workers", [])
        self._number: float = values.get("load_run", 0.0)
        self.waiting_for = set(workers) if isinstance(runner, MasterRunner) else set[str]()
        self.session: Session | None = None
        self._tally = Tally()
        if not isinstance(runner, MasterRunner):
            client_id = getattr(runner, "client_id", "")
            self.session = Session(
                options,
                connect(options),
                rank=workers.index(client_id) if client_id in workers else 0,
                shards=max(1, len(workers)),
                report=self._tell_locust,
            )
            self._tally = self.session.tally
        tasks: list[Callable[[], None]] = [self._see_out]
        if self.session is not None:
            tasks.append(self.session.watch)
        if not isinstance(runner, WorkerRunner):
            tasks.append(self._tell_progress)
        self._greenlets: list[gevent.Greenlet[[], None]] = [gevent.spawn(task) for task in tasks]
        self._greenlets[0].link_exception(self._give_up)

    def report(self) -> dict[str, Any]:
        """What this worker counted since its last report, as msgpack carries it."""
        busy_share = self.session.busy_share() if self.session else 0.0
        return {
            "run": self._number,
            "tally": self._tally.drain().to_plain(),
            "busy_share": busy_share,
        }

    def add(self, report: dict[str, Any]) -> None:
        """Adds a worker's report; one from an earlier, broken-off run is left out."""
        if report["run"] == self._number:
            self._tally.merge(Tally.from_plain(report["tally"]))
            self._busy_share = max(self._busy_share, report["busy_share"])

    def close(self) -> None:
        others = [one for one in self._greenlets if one is not gevent.getcurrent()]
        gevent.killall(others, block=False)
        if self.session is not None:
            self.session.close()

    def _see_out(self) -> None:
        if self.session is None:
            over_s = latest_end_s(self._options) + WORKERS_SLACK_S
            while self.waiting_for and time.perf_counter() - self._began < over_s:
                gevent.sleep(0.05)
        else:
            self.session.wait()
            self._busy_share = self.session.busy_share()
        if isinstance(self._runner, WorkerRunner):
            self._runner.send_message(MESSAGE, self.report())
        else:
            self._conclude()

    def _conclude(self) -> None:
        generator = generator_health(self._tally, self._busy_share, len(self.waiting_for))
        result = conclude(self._options, self._tally, generator)
        print(summary(result, generator), flush=True)
        self._environment.process_exit_code = result.exit_code
        if path := self._options.json_file:
            try:
                result.write(path)
            except OSError as error:
                _say(f"--json {path}: {error.strerror}")
                self._environment.process_exit_code = EXIT_NO_SERVER
        self._stop_locust()

    def _stop_locust(self) -> None:
        parsed = self._environment.parsed_options
        if parsed is not None and parsed.headless:
            self._runner.quit()
        else:
            self._runner.stop()

    def _give_up(self, _: object) -> None:
        """A bug in this file must not leave Locust running for ever; gevent printed the trace."""
        self._environment.process_exit_code = EXIT_NO_SERVER
        self._stop_locust()

    def _tell_progress(self) -> None:
        while True:
            gevent.sleep(PROGRESS_EVERY_S)
            _say(
                f"{time.perf_counter() - self._began:.0f} s of {self._options.window.end_s:g}: "
                f"{self._tally.succeeded} answered after the warm-up, {self._tally.failed} failed"
            )

    def _tell_locust(self, latency_s: float, error: Exception | None) -> None:
        self._environment.events.request.fire(
            request_type="gRPC",
            name=self._options.model,
            response_time=latency_s * 1e3,
            response_length=0,
            exception=error,
            context={},
        )


def _checked_or_exit(values: dict[str, Any]) -> LoadOptions:
    try:
        if values["num_users"] is not None or values["run_time"] is not None:
            raise BadOptions("--users and --run-time follow from --concurrency and --duration-s")
        options = parse(values)
        connect(options).close()
    except (BadOptions, UnusableSamples) as error:
        _exit(error, EXIT_BAD_OPTIONS)
    except Unreachable as error:
        _exit(error, EXIT_NO_SERVER)
    if options.input_file is None:
        _say(f"no --input: random data of the model's input types, seed {options.seed}")
    return options


def _exit(error: Exception, code: int) -> NoReturn:
    _say(str(error))
    sys.exit(code)


def _say(line: str) -> None:
    print(f"plansmith load: {line}", file=sys.stderr, flush=True)
