"""The records of the study, put together over seeds."""

import json
from collections import defaultdict
from dataclasses import dataclass, field
from statistics import mean, stdev

BUNDLED = "bundled"
FILES = ("study.json", "study_rivals.json", "study_bundled.json")


@dataclass
class Row:
    """One exit of one model in one state, over all its seeds.

    Attributes:
        name: of the run.
        what: in words.
        state: before or after fine-tuning, else empty.
        group: of the study.
        task: a key of ``data.wham.TASKS``.
        n_blocks: the exit.
        last: whether it is the run's last exit.
        trained: with this package's engine (the rest came trained).
        ours: a model of this package.
        steps: of the optimizer, over all stages; 0 where nothing was trained.
        values: the figures of its exit, a list over the seeds each.
    """

    name: str
    what: str
    state: str
    group: str
    task: str
    n_blocks: int
    last: bool
    trained: bool
    ours: bool
    steps: int
    values: dict = field(default_factory=lambda: defaultdict(list))

    def mean(self, key):
        """Mean over the seeds; None where there is no figure."""
        found = [value for value in self.values[key] if value is not None]
        return mean(found) if found else None

    def spread(self, key):
        """Standard deviation over the seeds; None for one seed."""
        found = [value for value in self.values[key] if value is not None]
        return stdev(found) if len(found) > 1 else None

    def shown(self, key, digits=2):
        """``mean``, or ``mean ± spread`` over more than one seed."""
        middle, spread = self.mean(key), self.spread(key)
        if middle is None:
            return "–"
        return f"{middle:.{digits}f}" + ("" if spread is None else f" ± {spread:.{digits}f}")


class Study:
    """Runs by name, each a list over the seeds.

    Args:
        runs: ``runs`` of ``study.json``, of the untrained rivals and of the bundled models.
    """

    def __init__(self, runs):
        self.runs = defaultdict(list)
        for run in runs:
            self.runs[run["name"]].append(run)
        self.rows = [row for records in self.runs.values() for row in _rows(records)]

    @classmethod
    def of_folder(cls, folder):
        """What ``docs/results`` holds, or the part of it that there is."""
        runs = []
        for path in (folder / name for name in FILES):
            if path.exists():
                runs += json.loads(path.read_text())["runs"]
        return cls(runs)

    def group(self, group):
        """Name -> records over the seeds, in the order of the JSON."""
        return {n: records for n, records in self.runs.items() if records[0]["group"] == group}

    def of(self, name, state=None):
        """Rows of a run, its exits in order; none if it was not trained."""
        return [r for r in self.rows if r.name == name and state in (None, r.state)]

    def ours(self, task):
        """Rows of the study's own models of this package on a task, all their exits."""
        return [r for r in self.rows if r.ours and r.task == task and r.group != BUNDLED]

    def bundled(self, task):
        """Rows of the models that come with the package, all their exits."""
        return [r for r in self.rows if r.task == task and r.group == BUNDLED]

    def others(self, task):
        """Rows of all other models on a task."""
        return [r for r in self.rows if not r.ours and r.task == task]


def seconds(records):
    """Processor time of the training, mean over the seeds."""
    return mean(run["seconds"]["cpu"] for run in records)


def front(rows, cost="macs_per_second"):
    """Those that no cheaper row equals or beats, the cheapest first."""
    best, kept = float("-inf"), []
    for row in sorted(rows, key=lambda r: (r.mean(cost), -r.mean("si_sdr_imp"))):
        if row.mean("si_sdr_imp") > best:
            best = row.mean("si_sdr_imp")
            kept.append(row)
    return kept


def label(name):
    """A short name for lists and pictures."""
    short = name.split("/")[1]
    if short.startswith("price"):
        return f"gated, {short.removeprefix('price')} dB"
    return short.replace("fixed", "fixed ")


def _rows(records):
    first = records[0]
    trained = "steps" in first
    ours = trained and first["conf"]["model"]["name"] not in ("ConvTasNet", "SuDORMRFImprovedNet")
    steps = sum(step["optimizer_steps"] for step in first.get("steps", []))
    found = {}
    for run in records:
        for result in run["results"]:
            for one in result["exits"]:
                key = result["state"], one["n_blocks"]
                if key not in found:
                    last = one is result["exits"][-1]
                    names = (first["name"], first["what"], key[0], first["group"], first["task"])
                    found[key] = Row(*names, key[1], last, trained, ours, steps)
                for name, value in one.items():
                    if name != "kinds":
                        found[key].values[name].append(value)
                for kind, value in one["kinds"].items():
                    found[key].values[f"kind {kind}"].append(value)
    return list(found.values())
