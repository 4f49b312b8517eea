"""What the tables of the study are put together from."""

from .study_data import BUNDLED, label, seconds

NOT_RUN = "*Not run yet.*"
COSTS = ["parameters", "million MAC per second", "CPU time per second of sound, ms"]
QUALITY = "SI-SDRi (dB)"


def costs(row):
    """Cells of :data:`COSTS`."""
    size, macs, time = (row.mean(k) for k in ("parameters", "macs_per_second", "real_time_factor"))
    return [
        "–" if size is None else f"{size:,.0f}",
        "–" if macs is None else f"{macs / 1e6:.1f}",
        "–" if not time or time < 5e-5 else f"{1000 * time:.1f}",
    ]


def minutes(records):
    """Processor time of the training; that of a first phase which another run did is left out."""
    return f"{seconds(records) / 60:.1f}" + (
        " + first phase" if "first_phase" in records[0] else ""
    )


def name_of(row):
    """What a row is, told apart from all others."""
    group, short = row.name.split("/")
    if group == BUNDLED:
        name = f"`{row.what}`"
    elif group == "gate":
        fixed = short.startswith("fixed")
        name = (
            f"IterSudoRmRf 1×1×{short[-1]}, two phases"
            if fixed
            else f"GatedSudoRmRf{label(row.name)[5:]}"
        )
    elif group == "bloom":
        separate = short.startswith("separate")
        name = f"BloomConvTasNet{f' of {row.n_blocks}, alone' if separate else ''}"
    else:
        sizes = short.split("_")[-1].replace("x", "×")
        name = ("grown " if group == "progressive" else "") + f"IterSudoRmRf {sizes}"
    exit_ = "" if row.last else f", exit {row.n_blocks}"
    return name + exit_ + (f", {row.state}" if row.state else "")


def circumstances(study):
    """What was trained how long on what, with what."""
    everything = [run for records in study.runs.values() for run in records]
    runs = [run for run in everything if "steps" in run and run["group"] != BUNDLED]
    if not runs:
        return NOT_RUN
    steps = sorted({sum(s["optimizer_steps"] for s in run["steps"]) for run in runs})
    training, data = runs[0]["conf"]["training"], runs[0]["conf"]["data"]
    seeds = sorted({run["seed"] for run in runs})
    versions = {f"{k} {v}" for run in runs for k, v in run["versions"].items()}
    processors = sorted({run["hardware"]["processor"] for run in runs})
    threads = sorted({run["hardware"]["threads"] for run in runs})
    spread = "; ± is the standard deviation over the seeds" if len(seeds) > 1 else ""
    dynamic = f", {data['n_mixtures']} new mixtures per epoch" if data.get("n_mixtures") else ""
    errors = [r.mean("si_sdr_imp_error") for r in study.rows if r.trained and r.group != BUNDLED]
    largest = max((error for error in errors if error is not None), default=None)
    items = sorted({run["n_items"] for run in everything})
    return (
        f"{listed(steps)} optimizer steps for every run of the study (fine-tuning and second"
        " phases included),"
        f" batch {training['batch_size']}, {data['segment']:g} s; {runs[0]['data']}{dynamic}"
        f" at {data['sample_rate']} Hz; {listed(items)} test mixtures;"
        f" seed {listed(seeds)}{spread}; {listed(sorted(versions))}; {listed(processors)},"
        f" {listed(threads)} thread."
        + (
            ""
            if largest is None
            else f" Standard error over the mixtures: at most {largest:.2f} dB."
        )
    )


def listed(values):
    return ", ".join(map(str, values))


def table(titles, lines):
    """Markdown; :data:`NOT_RUN` without lines."""
    if not lines:
        return NOT_RUN
    rows = [titles, ["---"] * len(titles), *lines]
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)
