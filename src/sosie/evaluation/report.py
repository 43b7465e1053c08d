"""One self-contained page for each run: figures, answers as pictures, tables, and the configuration."""

from __future__ import annotations

import json
import posixpath
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import numpy as np

from sosie import files
from sosie.errors import UsageError
from sosie.evaluation import figures
from sosie.evaluation.compare import Comparison
from sosie.evaluation.copies import SHOWN as SHOWN_COPIES
from sosie.evaluation.copy_scores import CopyScore, score_copies
from sosie.evaluation.index_runs import IndexScore, score_indexes
from sosie.evaluation.labels import KS, SHOWN, LabelScore, score_labels
from sosie.evaluation.metrics import Ints
from sosie.evaluation.runs import Run
from sosie.present.charts import Series, line_chart, scatter_chart
from sosie.present.page import Html, escape, figure, join, page, section, table

__all__ = ["comparison_page", "interval_text", "report", "write_report"]

_MISSES = 24
_INDEX_NOTE = (
    "Everything that was measured. Settings were timed in turn, round by round: where the rounds of two overlap, which "
    "is faster is not known. The recall is that of held-out pictures of the collection; others may find less"
)
_LABELS = 40  # labels shown at each end of a long table
_HEAT = 60  # labels that a confusion map can show


def write_report(run: Run) -> Path:
    """Score a run and write RUN/report.html; return its path."""
    path = run.folder / "report.html"
    files.write(path, report(run))
    return path


def report(run: Run) -> str:
    """Score a run, write its tables, and return its page."""
    makers: Mapping[str, Callable[[Run], list[tuple[str, str, str]]]] = {
        "labels": lambda run: _labels_parts(run, score_labels(run)),
        "copies": lambda run: _copies_parts(run, score_copies(run)),
        "index": lambda run: _index_parts(score_indexes(run)),
    }
    if run.protocol not in makers:
        raise UsageError(f"{run.folder} holds a run of {run.protocol!r}: this version reports {', '.join(makers)}")
    parts = [*makers[run.protocol](run), ("configuration", "Configuration", _configuration(run.config))]
    titles = {"labels": "Likeness by labels", "copies": "Altered copies", "index": "Indexes"}
    count = run.config["references"]["count"]
    return _page(titles[run.protocol], f"{count} pictures · run {run.folder.name}", parts)


def comparison_page(comparison: Comparison) -> str:
    """Return the page of a comparison."""
    measures = list(dict.fromkeys(row["measure"] for row in comparison.rows))
    columns = ("measure", "set-up", "value", "difference", "low", "high")
    rows = [
        [*(row[name] for name in (*columns, "cluster_low", "cluster_high")), _clear(row)] for row in comparison.rows
    ]
    headers = [*columns, "low by cluster", "high by cluster", "to the first"]
    main = measures[0]
    shown = {r["set-up"]: (r["value"], r["value"], r["value"]) for r in comparison.rows if r["measure"] == main}
    body = figure(figures.bars(shown, title=main, y_label=main)) + table(
        rows,
        headers,
        caption="Differences to the first set-up, with 95 % paired bootstrap intervals, over queries and over clusters "
        "of them: pictures of one class, or altered from one",
    )
    parts = [("measures", "Measures", body)]
    if comparison.differing:
        parts.append(("configuration", "What the configurations differ in", _list(comparison.differing)))
    return _page("Comparison", " · ".join(comparison.names), parts)


def _clear(row: Mapping[str, Any]) -> str:
    if row["difference"] is None:
        return ""
    return ("better" if row["difference"] > 0 else "worse") if row["clear"] else "not clear"


def _page(title: str, lead: str, parts: Sequence[tuple[str, str, str]]) -> str:
    body = "".join(section(anchor, heading, content) for anchor, heading, content in parts if content)
    toc = [(anchor, heading) for anchor, heading, content in parts if content]
    return page(title, body, toc=toc, lead=lead, style=figures.STYLE)


def _configuration(config: Mapping[str, Any]) -> Html:
    rows = [[key, value if isinstance(value, str | int) else json.dumps(value)] for key, value in config.items()]
    return table([[key, str(value)] for key, value in rows], ["what", "value"])


def _list(lines: Sequence[str]) -> Html:
    return Html(f"<ul>{join(Html(f'<li>{escape(line)}</li>') for line in lines)}</ul>") if lines else Html("")


def interval_text(interval: Mapping[str, Any], cluster: str) -> str:
    """Say an interval over queries, and the one over their clusters beside it."""
    text = f"{interval['low']:.3f} to {interval['high']:.3f}"
    if not interval["clusters"]:
        return text
    return f"{text}; by {cluster} {interval['cluster_low']:.3f} to {interval['cluster_high']:.3f}"


def _name(uri: str) -> str:
    return posixpath.basename(unquote(uri, errors="replace"))


# ------------------------------------------------------------------------------------------------ labels


def _labels_parts(run: Run, score: LabelScore) -> list[tuple[str, str, str]]:
    top = ("mAP", "mAP@20", "recall@1", "precision@10", "R-precision", "nDCG@10")
    notes = {name: interval_text(i, "class") for name, i in score.intervals.items() if i["value"] == i["value"]}
    summary = figures.tiles({name: score.metrics[name] for name in top}, notes) + _list(score.notes)
    return [
        ("summary", "Summary", summary + _label_curves(score) + _all_metrics(score.metrics)),
        ("labels", "By label", _by_label(score.per_label)),
        ("confusion", "First answers", _confusion(score)),
        ("answers", "Queries and their neighbours", _panels(run, score)),
    ]


def _by_label(rows: Sequence[Mapping[str, Any]]) -> Html:
    """Show the worst and the best labels; all of them are in the table beside the report."""
    if len(rows) <= 2 * _LABELS:
        return figures.heat_table(rows, "Worst first")
    worst = figures.heat_table(rows[:_LABELS], f"The worst of {len(rows)} labels; all are in per_label.csv")
    return join([worst, figures.heat_table(rows[-_LABELS:], "The best")])


def _label_curves(score: LabelScore) -> str:
    lines = [
        Series(name, list(KS), [score.metrics[f"{name}@{k}"] for k in KS])
        for name in ("recall", "found", "precision", "nDCG")
    ]
    chart = line_chart(lines, title="Measures over k", x_label="k", log_x=True, y_range=(0.0, 1.0))
    spread = figures.histogram(
        {"queries": score.per_query["mAP"]}, title="Average precision of the queries", x_label="average precision"
    )
    return figure(chart, "recall: some relevant picture in the first k; found: share of the relevant ones") + figure(
        spread
    )


def _all_metrics(metrics: Mapping[str, float]) -> Html:
    names = list(dict.fromkeys(name.partition("@")[0] for name in metrics))
    rows = [[name, metrics.get(name), *(metrics.get(f"{name}@{k}") for k in KS)] for name in names]
    return table(rows, ["measure", "all", *(f"@{k}" for k in KS)], caption="All measures, means over queries")


def _confusion(score: LabelScore) -> Html:
    counts = {(row["label"], row["answered"]): row["count"] for row in score.confusion}
    if not counts:
        return Html("")
    wrong = sorted(((n, a, b) for (a, b), n in counts.items() if a != b), key=lambda row: (-row[0], row[1:]))[:20]
    pairs = table([[a, b, n] for n, a, b in wrong], ["asked", "answered", "times"], caption="Most frequent confusions")
    if len(score.references.names) > _HEAT:
        return pairs
    return Html(figures.heat_map(counts, "Label of the first answer (columns) to queries of each label (rows)") + pairs)


def _panels(run: Run, score: LabelScore) -> str:
    uris = {"q": [r["uri"] for r in run.table("queries")], "r": [r["uri"] for r in run.table("references")]}
    return "".join(_panel(run, score, int(row), uris) for row in score.panels)


def _panel(run: Run, score: LabelScore, row: int, uris: Mapping[str, Sequence[str]]) -> Html:
    mine = set(score.queries.words(row))
    value = score.per_query["mAP"][row]
    name = _name(uris["q"][row])
    query = figures.answer(
        run.picture(f"q{row}.jpg"), f"{name} · {', '.join(sorted(mine))}", alt=f"query {name}", right=None
    )
    answers = []
    for rank, (column, likeness) in enumerate(zip(score.columns[row], score.scores[row], strict=True), start=1):
        if rank > SHOWN or column < 0:
            break
        theirs = score.references.words(int(column))
        distance = float(np.sqrt(max(0.0, 2 - 2 * float(likeness))))
        caption = f"{rank}. score {likeness:.3f}, distance {distance:.3f} · {', '.join(theirs)}"
        data, alt = run.picture(f"r{column}.jpg"), f"answer {rank}: {_name(uris['r'][int(column)])}"
        answers.append(figures.answer(data, caption, alt=alt, right=bool(mine & set(theirs))))
    tone = "bad" if value < 0.2 else "good" if value > 0.8 else "note"
    return figures.panel(query, answers, f"average precision {value:.3f}", tone)


# ------------------------------------------------------------------------------------------------ copies


def _copies_parts(run: Run, score: CopyScore) -> list[tuple[str, str, str]]:
    first = score.metrics[score.first]
    top = ("micro_ap", "recall@p90", "recall_before_false", "recall@1")
    interval = score.intervals[score.first]
    summary = figures.tiles({k: first[k] for k in top}, {"micro_ap": interval_text(interval.to_json(), "picture")})
    measures = list(dict.fromkeys(measure for each in score.metrics.values() for measure in each))
    rows = [[name, *(each.get(measure) for measure in measures)] for name, each in score.metrics.items()]
    methods = table(rows, ["method", *measures], caption="Methods, all pairs pooled")
    bars = {name: (each.value, each.low, each.high) for name, each in score.intervals.items()}
    charts = [figure(figures.bars(bars, title="micro-AP", y_label="micro-AP"), "With 95 % bootstrap intervals")]
    pairs = {name: (each.score, each.truth, each.total) for name, each in score.pools.items()}
    charts.append(figure(figures.curve(pairs, title="Precision over recall, all pairs pooled")))
    pool = score.pools[score.first]
    spread = {"true pairs": pool.score[pool.truth], "false pairs": pool.score[~pool.truth]}
    charts.append(figure(figures.histogram(spread, title=f"Scores of {score.first}", x_label="score")))
    return [
        ("summary", "Summary", join([summary, _list(score.notes), methods, *charts])),
        (
            "alterations",
            "By alteration",
            figures.heat_table(_by_measure(score), "recall@p90 at each method's threshold"),
        ),
        ("misses", f"Missed by {score.first}", _missed(run, score)),
    ]


def _by_measure(score: CopyScore) -> list[dict[str, Any]]:
    """Put the methods side by side for each measure; recall@1 stays in the table beside the report."""
    shown = [f"{method} {measure}" for measure in ("micro_ap", "recall@p90") for method in score.metrics]
    return [{key: row[key] for key in ("alteration", "queries", *shown)} for row in score.per_alteration]


def _missed(run: Run, score: CopyScore) -> str:
    pool, missed = score.pools[score.first], score.misses[score.first]
    some = missed[np.unique(np.linspace(0, len(missed) - 1, _MISSES).astype(int))] if len(missed) else missed
    line = f"{len(missed)} of {pool.total} copies score below the threshold of 90 % precision; some of them:"
    return f"<p>{escape(line)}</p>" + "".join(_miss(run, score, int(at)) for at in some)


def _miss(run: Run, score: CopyScore, at: int) -> Html:
    query = score.queries[at]
    steps = " + ".join(step["name"] for step in json.loads(query["record"])["steps"])
    asked = figures.answer(run.picture(f"q{at}.jpg"), f"{query['alteration']}: {steps}", alt="altered", right=None)
    source = int(query["source"])
    shown = [figures.answer(run.picture(f"r{source}.jpg"), f"source · {_name(query['uri'])}", alt="source", right=None)]
    pool = score.pools[score.first]
    mine: Ints = np.flatnonzero(pool.query == at)
    for pair in mine[np.argsort(pool.rank[mine])][:SHOWN_COPIES]:
        right = bool(pool.truth[pair])
        caption = f"{pool.rank[pair]}. score {pool.score[pair]:.3f}"
        data = run.picture(f"r{pool.reference[pair]}.jpg")
        shown.append(figures.answer(data, caption, alt=f"answer {pool.rank[pair]}", right=right))
    return figures.panel(asked, shown)


# ------------------------------------------------------------------------------------------------ indexes


def _index_parts(score: IndexScore) -> list[tuple[str, str, str]]:
    kinds = list(dict.fromkeys(row["kind"] for row in score.rows))
    series = []
    for kind in kinds:
        mine = sorted((row for row in score.rows if row["kind"] == kind), key=lambda row: row["queries_per_second"])
        rates = [row["queries_per_second"] for row in mine]
        series.append(Series(kind, rates, [r["recall"] for r in mine], names=[r["setting"] for r in mine]))
    chart = scatter_chart(
        series,
        title=f"recall@{score.k} over queries per second",
        x_label="queries per second, asked one by one",
        y_label=f"recall@{score.k}",
        log_x=True,
    )
    fastest = [[f"≥ {least}", *_setting_cells(row)] for least, row in score.fastest.items()]
    rows = [[*_setting_cells(row), "yes" if row["pareto"] else ""] for row in score.rows]
    names = ["kind", "setting", "recall", "from", "to", "queries/s", "batched/s"]
    names += ["ms a query", "fastest round", "slowest round", "build s", "MiB"]
    return [
        ("summary", "Summary", figure(chart) + table(fastest, ["recall", *names], caption="Fastest at each recall")),
        ("settings", "Settings", table(rows, [*names, "on the front"], caption=_INDEX_NOTE)),
    ]


def _setting_cells(row: Mapping[str, Any]) -> list[object]:
    rates = [round(row["queries_per_second"]), round(row["batched_per_second"])]
    recall = [row.get(name) for name in ("recall", "recall_low", "recall_high")]  # older runs have no intervals
    times = [row.get(name) for name in ("one_query_ms", "one_query_ms_low", "one_query_ms_high")]
    return [row["kind"], row["setting"], *recall, *rates, *times, row["build_s"], row["size_mib"]]
