"""Tables and pictures of the page on performance: ``python -m benchmarks.speed_pages``."""

import json
from pathlib import Path

from asteroid_latref.files import atomic_path

DOCS = Path(__file__).parents[1] / "docs"
MIB = 2**20
SETTINGS = {"default": "default allocator", "kept": "memory kept"}


def summary(found):
    """The figures that the project promises, one line each."""
    lines = []
    for setting, title in SETTINGS.items():
        row = next(r for r in found[setting]["inference"] if (r["batch"], r["seconds"]) == (1, 4))
        t = {name: times["median"] for name, times in row["times"].items()}
        step = {name: times["median"] for name, times in found[setting]["training"].items()}
        lines += [
            f"{title}: inference {t['Asteroid'] / t['ours']:.2f}x Asteroid eager, "
            f"{t['Asteroid'] / t['ours, compiled']:.2f}x compiled; compiled is "
            f"{t['ours, compiled'] / t['floor']:.2f} of the floor "
            f"({t['ours, compiled'] / t['floor, as conv1d']:.2f} of the products as conv1d, "
            f"{t['ours, compiled'] / t['floor, as linear']:.2f} as linear)",
            f"{title}: training step {step['Asteroid'] / step['ours']:.2f}x Asteroid (eager)",
        ]
    saved = found["saved_bytes"]
    deep, iters = saved["sub_blocks"]["16"], saved["iterations"]
    grown = iters["16"]["checkpointed"] / iters["2"]["checkpointed"]
    lines.append(f"saved for backward, 16 sub-blocks: {deep['ours'] / deep['Asteroid']:.3f}")
    lines.append(f"saved with checkpoint_iters, 16 iterations against 2: {grown:.3f}")
    per_second = per_second_of_audio(found["length"])
    reference = per_second[4]
    spread = [f"{s} s: {v / reference:.3f}" for s, v in per_second.items() if s >= 4]
    lines.append("time per second of audio against that at 4 s: " + ", ".join(spread))
    return "\n".join(lines)


def per_second_of_audio(rows):
    return {row["seconds"]: row["times"]["median"] / row["seconds"] for row in rows}


def inference_table(found):
    lines = ["| batch × length | memory | " + " | ".join(_names(found)) + " |"]
    lines.append("|---" * (len(_names(found)) + 2) + "|")
    for setting, title in SETTINGS.items():
        for row in found[setting]["inference"]:
            base = row["times"]["Asteroid"]["median"]
            cells = [f"{_ms(row['times'][n])}, {_ratio(base, row, n)}" for n in _names(found)]
            lines.append(f"| {row['batch']} × {row['seconds']} s | {title} | " + _cells(cells))
    return lines


def _names(found):
    return list(found["default"]["inference"][0]["times"])


def _ratio(base, row, name):
    return f"{base / row['times'][name]['median']:.2f}×"


def _ms(times):
    """Median and quartiles in milliseconds."""
    low, mid, high = (times[k] * 1e3 for k in ("q1", "median", "q3"))
    digits = 0 if mid >= 100 else 1
    return f"{mid:.{digits}f} ms ({low:.{digits}f}–{high:.{digits}f})"


def _cells(cells):
    return " | ".join(cells) + " |"


def training_table(found):
    names = list(found["default"]["training"])
    lines = ["| memory | " + " | ".join(names) + " |", "|---" * (len(names) + 1) + "|"]
    for setting, title in SETTINGS.items():
        times = found[setting]["training"]
        base = times["Asteroid"]["median"]
        cells = [f"{_ms(times[n])}, {base / times[n]['median']:.2f}×" for n in names]
        lines.append(f"| {title} | " + _cells(cells))
    return lines


def others_table(found):
    lines = ["| network | parameters | GMAC per second of audio | time for 4 s |", "|---" * 4 + "|"]
    others = found["others"]
    for name, times in others["times"].items():
        macs = others["macs"][name] / 4e9
        lines.append(f"| {name} | {others['parameters'][name]:,} | {macs:.2f} | {_ms(times)} |")
    return lines


def memory_table(found):
    lines = ["| what | Asteroid | ours | ratio |", "|---" * 4 + "|"]
    for depth, row in found["saved_bytes"]["sub_blocks"].items():
        what = f"saved for backward, {depth} sub-blocks, one example of 4 s"
        lines.append(_memory_line(what, row["Asteroid"], row["ours"]))
    peaks = found.get("peak", {}).get("beyond_import", {})
    for case in [c for c in peaks if " ours " in c]:
        task, _, seconds = case.split()
        what = f"process at its peak, {task}, {'4 × ' if task == 'training' else ''}{seconds} s"
        lines.append(_memory_line(what, peaks[case.replace("ours", "Asteroid")], peaks[case]))
    return lines


def _memory_line(what, theirs, ours):
    shown = f"{theirs / MIB:.0f} MiB | {ours / MIB:.0f} MiB"
    return f"| {what} | {shown} | {ours / theirs:.2f} |"


def iterations_table(found):
    lines = [
        "| iterations | inference | training step | with `checkpoint_iters` | saved for backward "
        "| with `checkpoint_iters` |",
        "|---" * 6 + "|",
    ]
    for row in found["iterations"]:
        saved = found["saved_bytes"]["iterations"][str(row["n_iters"])]
        steps = (_ms(row["steps"][k]) for k in ("stored", "checkpointed"))
        kept = (f"{saved[k] / MIB:.1f} MiB" for k in ("stored", "checkpointed"))
        cells = [_ms(row["inference"]), *steps, *kept]
        lines.append(f"| {row['n_iters']} | " + _cells(cells))
    return lines


def choices_table(found):
    lines = ["| choice | time | per second of audio |", "|---" * 3 + "|"]
    for row in found["choices"]:
        each = row["times"]["median"] / (4 * row["batch"]) * 1e3
        lines.append(f"| {row['name']} | {_ms(row['times'])} | {each:.1f} ms |")
    return lines


def length_table(found):
    lines = ["| length | time per second of audio | against 4 s | process at its peak |"]
    lines.append("|---" * 4 + "|")
    per_second = per_second_of_audio(found["length"])
    for row in found["length"]:
        value = per_second[row["seconds"]]
        shown = f"{value * 1e3:.2f} ms | {value / per_second[4]:.3f}"
        lines.append(f"| {row['seconds']} s | {shown} | {row['peak_rss'] / 2**30:.2f} GiB |")
    return lines


def hour_line(found):
    hour = found["hour"]
    return [
        f"{hour['seconds'] / 60:.0f} minutes from file to files, in {hour['windows']} windows of "
        f"{hour['window_seconds']:g} s: {hour['elapsed']:.0f} s, the process at its peak "
        f"{hour['peak_rss'] / MIB:.0f} MiB, Python and PyTorch included."
    ]


def circumstances_line(found):
    c = found["circumstances"]
    return (
        f"{c['processor']}, {c['threads']} threads, {c['device']}, {c['system']}, Python "
        f"{c['python']}, PyTorch {c['torch']}, asteroid_latref {c['asteroid_latref']}; median and "
        f"quartiles, contestants in turns in one process; {found['minutes']:.0f} minutes in all."
    )


TABLES = {
    "inference": inference_table,
    "training": training_table,
    "others": others_table,
    "memory": memory_table,
    "iterations": iterations_table,
    "choices": choices_table,
    "length": length_table,
    "hour": hour_line,
}


def write(found, json_path):
    """Tables beside the JSON file and pictures in ``docs/images``, named after it."""
    for name, table in TABLES.items():
        _write(json_path.with_name(f"{json_path.stem}_{name}.inc"), table(found))
    _write(json_path.with_name(f"{json_path.stem}_summary.inc"), ["```text", summary(found), "```"])
    _write(json_path.with_name(f"{json_path.stem}_machine.inc"), [circumstances_line(found)])
    pictures(found, json_path.stem)


def _write(path, lines):
    with atomic_path(path) as tmp:
        tmp.write_text("\n".join(lines) + "\n")


def pictures(found, stem):
    """Bars of the inference times, and curves of cost by length and by iterations."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    figure, (bars, lengths, iters) = plt.subplots(1, 3, figsize=(13, 3.6), layout="constrained")
    row = next(r for r in found["kept"]["inference"] if (r["batch"], r["seconds"]) == (1, 4))
    names = list(row["times"])
    bars.barh(names, [row["times"][n]["median"] * 1e3 for n in names], color="tab:blue")
    bars.invert_yaxis()
    bars.set(xlabel="ms", title="inference, 4 sub-blocks, 4 s")
    per_second = per_second_of_audio(found["length"])
    lengths.plot(list(per_second), [v * 1e3 for v in per_second.values()], marker="o")
    lengths.set(xscale="log", xlabel="length of the input, s", title="ms per second of audio")
    lengths.set_ylim(bottom=0)
    counts = [r["n_iters"] for r in found["iterations"]]
    saved = found["saved_bytes"]["iterations"]
    for kind in ("stored", "checkpointed"):
        iters.plot(counts, [saved[str(n)][kind] / MIB for n in counts], marker="o", label=kind)
    iters.set(xlabel="iterations", title="saved for backward, MiB")
    iters.set_ylim(bottom=0)
    iters.legend()
    with atomic_path(DOCS / "images" / f"{stem}.png") as tmp:
        figure.savefig(tmp, dpi=110, format="png")
    plt.close(figure)


if __name__ == "__main__":
    path = DOCS / "results" / "performance.json"
    write(json.loads(path.read_text()), path)
    print(summary(json.loads(path.read_text())))
