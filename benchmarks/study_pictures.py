"""Pictures of the study: quality against cost over all families, and what the gates do."""

from statistics import mean

from matplotlib.figure import Figure

from asteroid_latref.files import atomic_path
from asteroid_latref.gating_pictures import curve_picture, snr_picture

from .study_data import label

# They differ in lightness and marker too, so the curves survive a grey print.
BLUE, ORANGE, BLACK, GREEN, PINK, GREY, PURPLE = (
    "#1f5fa8",
    "#e08a1e",
    "#111111",
    "#4aa564",
    "#c04a86",
    "#8a8a8a",
    "#6a3d9a",
)
QUALITY, CURVE, SNR = "study_quality.png", "study_gate_curve.png", "study_gate_snr.png"


def write(study, images, gate_items=None):
    """Writes the pictures that there are figures for; returns their names."""
    written = []
    if study.ours("enh_single"):
        quality_picture(images / QUALITY, study)
        written.append(QUALITY)
    gates = study.group("gate")
    if gates:
        models = {label(name): _summary(records) for name, records in gates.items()}
        curves = {
            label(name): records[0]["gate"]["curve"]["bias"]
            for name, records in gates.items()
            if "curve" in records[0]["gate"]
        }
        curve_picture(images / CURVE, models, curves)
        written.append(CURVE)
    if gate_items is not None:
        snr_picture(images / SNR, _shown_items(gate_items))
        written.append(SNR)
    return written


def quality_picture(path, study):
    """SI-SDRi against multiply-accumulates: Sudo rm -rf left, Conv-TasNet right, rivals in both."""
    figure = Figure(figsize=(9.5, 6.6), layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True)
    for line in _sudo_lines(study):
        _line(left, *line)
    for line in _conv_lines(study):
        _line(right, *line)
    for row in study.others("enh_single"):
        if row.mean("macs_per_second"):
            axis = left if "SuDORMRF" in row.name else right
            _line(axis, row.what, [row], {"color": BLACK, "marker": "*", "ms": 11, "ls": "none"})
        elif row.trained is False and "nothing" not in row.name:
            for axis in (left, right):
                _level(axis, row)
    for axis, title in ((left, "Sudo rm -rf"), (right, "Conv-TasNet")):
        axis.set_xscale("log")
        axis.margins(x=0.12, y=0.08)
        axis.set_title(title, fontsize=10, loc="left")
        axis.set_xlabel("multiply-accumulates per second of sound (millions)")
        axis.grid(alpha=0.3, which="both")
        axis.xaxis.set_major_formatter(_tick)
        axis.xaxis.set_minor_formatter(_tick)
        axis.tick_params(axis="x", which="both", labelsize=8)
        if axis.get_legend_handles_labels()[0]:
            place = {"loc": "upper center", "bbox_to_anchor": (0.5, -0.12), "ncols": 1}
            axis.legend(frameon=False, fontsize=8, **place)
    left.set_ylabel("SI-SDRi (dB)")
    with atomic_path(path) as tmp:
        figure.savefig(tmp, dpi=90)


def _sudo_lines(study):
    """Label, rows and style of every curve over U-ConvBlocks."""
    of = study.of
    yield (
        "1 U-ConvBlock, 1–4 iterations",
        [r for n in range(1, 5) for r in of(f"iterations/1x1x{n}")],
        {"color": BLUE, "marker": "o"},
    )
    yield (
        "4 U-ConvBlocks, 1–4 iterations",
        [r for n in range(1, 5) for r in of(f"iterations/1x4x{n}")],
        {"color": ORANGE, "marker": "s"},
    )
    yield (
        "not iterated, 1, 4, 8, 16",
        [r for n in (1, 4, 8, 16) for r in of(f"iterations/1x{n}x1")],
        {"color": BLACK, "marker": "^", "ls": "--", "mfc": "none", "ms": 8},
    )
    shades = {"progressive/4": (GREEN, "D"), "progressive/2": (PINK, "v")}
    for start, (colour, marker) in shades.items():
        text = f"grown in {start[-1]} steps, its exits"
        for name in (name for name in study.runs if name.startswith(start)):
            style = {"color": colour, "marker": marker, "lw": 1, "ms": 4}
            yield text, of(name), style
            text = None  # one entry in the legend for all of them
    gated = [r for name in study.group("gate") if "price" in name for r in of(name)]
    yield from _bundled(study, conv=False)
    yield "gated, mean cost", gated, {"color": GREY, "marker": "P", "ms": 8, "ls": "none"}


def _conv_lines(study):
    """Label, rows and style of every curve over BLOOM-Net's blocks."""
    deepest = range(1, 100)
    separate = [r for n in deepest for r in study.of(f"bloom/separate{n}")]
    yield "BLOOM, one model per depth", separate, {"color": BLACK, "marker": "^", "ls": "--"}
    for state, colour, marker in (
        ("before fine-tuning", ORANGE, "s"),
        ("after fine-tuning", BLUE, "o"),
    ):
        rows = study.of("bloom/scalable", state)
        yield f"BLOOM, {state}", rows, {"color": colour, "marker": marker}
    yield from _bundled(study, conv=True)


def _bundled(study, conv):
    """The models that come with the package, which were trained for longer."""
    rows = [r for r in study.bundled("enh_single") if ("conv" in r.name) == conv]
    for name in dict.fromkeys(row.name for row in rows):
        its = [row for row in rows if row.name == name]
        marker = "P" if "gated" in name else "X"
        style = {"color": PURPLE, "marker": marker, "lw": 2, "ms": 8}
        yield f"{its[0].what} ({its[0].steps:,} steps)", its, style


def _line(axis, text, rows, style):
    if not rows:
        return
    costs = [row.mean("macs_per_second") / 1e6 for row in rows]
    quality = [row.mean("si_sdr_imp") for row in rows]
    spread = [row.spread("si_sdr_imp") or 0 for row in rows]
    style = {"lw": 1.5, "ms": 6, **style}
    error = spread if any(spread) else None
    axis.errorbar(costs, quality, yerr=error, capsize=2, label=text, **style)


def _tick(value, _):
    """One, two and five of every decade; more would not fit."""
    return f"{value:g}" if f"{value:e}"[0] in "125" else ""


def _level(axis, row):
    """A model whose operations nobody counted: a line across."""
    quality = row.mean("si_sdr_imp")
    axis.axhline(quality, color=GREY, lw=1, ls=":")
    axis.annotate(
        row.what.split(", through")[0],
        (0.99, quality),
        xycoords=("axes fraction", "data"),
        xytext=(0, 2),
        textcoords="offset points",
        ha="right",
        fontsize=8,
        color="#555555",
    )


def _summary(records):
    gates = [run["gate"] for run in records]
    return {key: mean(one[key] for one in gates) for key in ("mean_steps", "si_sdr_imp")}


def _shown_items(items, n_gated=2):
    """One seed of the gates that tell most inputs apart, and of three and four iterations."""
    items = items[items["seed"] == items["seed"].min()]
    spread = items.groupby("run")["n_steps"].std()
    gated = spread[spread.index.str.contains("/price")].nlargest(n_gated).index
    fixed = ["gate/fixed3", "gate/fixed4"]
    chosen = items[items["run"].isin([*sorted(gated), *fixed])]
    return chosen.assign(model=chosen["run"].map(label))
