"""Draw docs/images/learning-curve.svg from a run of `sosie train`.

python docs/make_learning_curve.py RUN
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from sosie.present.charts import Series, line_chart

STYLE = (
    "<style>.chart{font-family:sans-serif;background:#fff}.chart text{fill:#555;font-size:12px}.chart .name{fill:#111;"
    "font-size:14px;font-weight:600}.chart .axis{stroke:#777;fill:none}.chart .grid{stroke:#ddd}.chart .line{stroke:"
    "var(--tone);stroke-width:2;fill:none}.chart .mark{fill:var(--tone)}.chart .s1{--tone:#2f6fb0}.chart .s2{--tone:"
    "#c4572b}.chart .s3{--tone:#2e8b62}</style>"
)


def main(runs: list[str]) -> None:
    """Draw the held-out mAP of each run, epoch by epoch."""
    series = []
    for run in map(Path, runs):
        epochs = json.loads((run / "report.json").read_text(encoding="utf-8"))["epochs"]
        series.append(Series(run.name, [e["epoch"] for e in epochs], [e["mAP"] for e in epochs]))
    chart = line_chart(series, title="mAP of held-out pictures", x_label="epoch", y_label="mAP")
    alone = str(chart).replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" ', 1).replace(">", f">{STYLE}", 1)
    out = Path(__file__).parent / "images" / "learning-curve.svg"
    out.write_text(alone + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
