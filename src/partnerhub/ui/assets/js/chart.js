// <u-chart data-chart='{"labels": […], "series": [{"label", "values"}], "kind": "bars"|"lines", "format": {…Intl}}'>.
// Draws on a canvas what the table beside it says in text; the table is what assistive technology reads.
import uPlot from "uplot";

class Chart extends HTMLElement {
  connectedCallback() {
    this.redraw = () => this.draw();
    this.media = matchMedia("(prefers-color-scheme: dark)");
    this.media.addEventListener("change", this.redraw);
    document.addEventListener("ui:theme", this.redraw);
    this.observer = new ResizeObserver(() => {
      const width = Math.floor(this.canvas().clientWidth);
      if (this.plot && width && width !== this.plot.width) this.plot.setSize({ width, height: this.plot.height });
    });
    this.observer.observe(this);
    // A swap of the page around it brings other data, or empties the place that the server knows as empty.
    this.watcher = new MutationObserver(() => {
      if (this.dataset.chart !== this.drawn || !this.canvas()?.firstElementChild) this.draw();
    });
    this.watcher.observe(this, { attributes: true, attributeFilter: ["data-chart"], childList: true, subtree: true });
    document.fonts.ready.then(this.redraw);
  }

  disconnectedCallback() {
    this.media.removeEventListener("change", this.redraw);
    document.removeEventListener("ui:theme", this.redraw);
    this.observer.disconnect();
    this.watcher.disconnect();
    this.plot?.destroy();
    this.plot = null;
  }

  canvas() {
    return this.querySelector(".chart-canvas");
  }

  // light-dark() is only resolved on an element, never in the text of a custom property.
  colour(name) {
    const probe = document.createElement("i");
    probe.style.color = `var(${name})`;
    this.append(probe);
    const value = getComputedStyle(probe).color;
    probe.remove();
    return value;
  }

  draw() {
    const place = this.canvas();
    if (!this.isConnected || !place) return;
    this.drawn = this.dataset.chart;
    const { labels, series, kind, format } = JSON.parse(this.drawn);
    const number = new Intl.NumberFormat(document.documentElement.lang || "en", format ?? {});
    const largest = Math.max(0, ...series.flatMap((one) => one.values));
    const axis = new Intl.NumberFormat(document.documentElement.lang || "en", {
      ...(format ?? {}), maximumFractionDigits: largest < 10 ? 2 : 0, notation: largest < 100_000 ? "standard" : "compact",
    });
    const width = Math.floor(place.clientWidth);
    const height = Math.floor(place.clientHeight) || 240;
    const bars = kind !== "lines";
    const stacked = bars ? stack(series.map((one) => one.values)) : series.map((one) => one.values);
    const font = `11px ${getComputedStyle(this).fontFamily}`;
    const ink = this.colour("--muted-foreground");
    const grid = this.colour("--border");
    const colours = [...this.querySelectorAll(".chart-legend svg")].map((sample) => getComputedStyle(sample).color);
    // Stacked bars are drawn from the highest sum down, so that each covers the foot of the one behind it.
    const order = bars ? series.map((_, i) => series.length - 1 - i) : series.map((_, i) => i);
    const note = this.querySelector(".chart-note");
    this.plot?.destroy();
    this.plot = new uPlot(
      {
        width,
        height,
        legend: { show: false },
        cursor: { y: false, points: { show: false }, drag: { x: false, y: false } },
        padding: [8, 4, 0, 0],
        scales: {
          x: { time: false, range: bars ? [-0.6, labels.length - 0.4] : [0, Math.max(1, labels.length - 1)] },
          y: { range: (_, low, high) => [Math.min(0, low), high > 0 ? high * 1.06 : 1] },
        },
        axes: [
          {
            stroke: ink, font, size: 28, gap: 6,
            grid: { show: false }, ticks: { show: false }, border: { show: true, stroke: grid, width: 1 },
            splits: () => thin(labels, width),
            values: (_, at) => at.map((i) => labels[i] ?? ""),
          },
          {
            stroke: ink, font, gap: 8, ticks: { show: false }, grid: { stroke: grid, width: 1 },
            size: (_, values) => Math.max(24, ...(values ?? []).map((v) => v.length * 6.6 + 12)),
            values: (_, at) => at.map((v) => axis.format(v)),
          },
        ],
        series: [
          {},
          ...order.map((i) => ({
            label: series[i].label,
            stroke: colours[i],
            width: bars ? 0 : 2,
            fill: bars ? colours[i] : undefined,
            paths: bars ? uPlot.paths.bars({ size: [0.45, 40], radius: i === series.length - 1 ? 0.12 : 0 }) : uPlot.paths.spline?.(),
            points: { show: false },
          })),
        ],
        hooks: {
          setCursor: [
            (plot) => {
              const at = plot.cursor.idx;
              note.textContent = at == null
                ? ""
                : [labels[at], ...series.map((one) => `${one.label} ${number.format(one.values[at])}`)].join(" · ");
            },
          ],
        },
      },
      [labels.map((_, i) => i), ...order.map((i) => stacked[i])],
      place,
    );
  }
}

function stack(rows) {
  const sums = rows[0]?.map(() => 0) ?? [];
  return rows.map((row) => row.map((value, i) => (sums[i] += value)));
}

// As many labels as have room beside each other, none of them cut at the end.
function thin(labels, width) {
  const count = labels.length;
  const room = Math.max(44, ...labels.map((label) => label.length * 6.2 + 14));
  const step = Math.max(1, Math.ceil((count * room) / width));
  const places = Array.from({ length: Math.ceil(count / step) }, (_, i) => i * step);
  return places.filter((place) => place === 0 || ((count - place - 0.5) * width) / count >= room / 2);
}

customElements.define("u-chart", Chart);
