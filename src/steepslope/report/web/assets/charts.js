// Charts as SVG: axes, and marks at the rows of the page's data, drawn anew where the page changes its width.

const SVG = "http://www.w3.org/2000/svg";
const MARGIN = { left: 56, right: 26, top: 10, bottom: 40 };
const TICKS = 5;
const charts = {};  // what each shows now, by its name: its place in the page, rows by the name of their data, a score

function drawing(tag, attributes, text) {
  const made = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  if (text !== undefined) made.textContent = text;
  return made;
}

// Round numbers within a domain, about as many as TICKS.
function ticks([low, high]) {
  const rough = (high - low) / TICKS;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = power * [1, 2, 5, 10].find((one) => one * power >= rough * 0.999);
  const found = [];
  for (let place = Math.ceil(low / step - 1e-6); place * step <= high + 1e-6 * step; place += 1) found.push(place * step);
  return found;
}

function tickText(value, axis) {
  return axis.percent ? `${+(100 * value).toPrecision(6)} %` : `${+value.toPrecision(6)}`;
}

function scale([low, high], start, end) {
  return (value) => start + ((value - low) / (high - low)) * (end - start);
}

// A mark's text, which the browser shows on hover.
function told(mark, text) {
  if (text) mark.append(drawing("title", {}, text));
  return mark;
}

function path(points, style, close = "") {
  const text = points.map(([x, y]) => `${x.toFixed(1)},${y.toFixed(1)}`).join("L");
  return drawing("path", { d: points.length ? `M${text}${close}` : "", style });
}

const percentOf = (row, names) => names.map((name) => `${name} ${percent(row[name])}`).join(", ");

// Each returns the elements of a layer: rows, what the layer says of them, the scales of both axes, the chosen score.
const MARKS = {
  area: (rows, layer, x, y) => {
    const above = rows.map((row) => [x(row[layer.x]), y(row.high)]);
    const below = rows.map((row) => [x(row[layer.x]), y(row.low)]);
    return [path([...above, ...below.reverse()], "fill: var(--text); fill-opacity: .16; stroke: none", "Z")];
  },
  rule: (rows, layer, x, y, chosen, box) =>
    rows.map((row) => told(path([[x(row[layer.x]), box.top], [x(row[layer.x]), box.bottom]], layer.style), row.label)),
  diagonal: (rows, layer, x, y, chosen, box) => [path([[box.left, box.bottom], [box.right, box.top]], layer.style)],
  line: (rows, layer, x, y, chosen) =>
    [...new Set(rows.map((row) => row[layer.by]))].map((name) => {
      const own = rows.filter((row) => row[layer.by] === name && row[layer.y] !== null);
      const { color, dash } = report.looks[name];
      const width = name === chosen ? 2.6 : 1.2;
      const style = `fill: none; stroke: ${color}; stroke-width: ${width}; stroke-dasharray: ${dash.join(" ")}`;
      return told(path(own.map((row) => [x(row[layer.x]), y(row[layer.y])]), style), name);
    }),
  dot: (rows, layer, x, y) =>
    rows.filter((row) => Number.isFinite(row[layer.x]) && Number.isFinite(row[layer.y])).map((row) => {
      const fill = layer.by ? report.looks[row[layer.by]].color : "var(--text)";
      const place = { cx: x(row[layer.x]), cy: y(row[layer.y]), r: layer.by ? 3.5 : 5.5, style: `fill: ${fill}` };
      return told(drawing("circle", place), percentOf(row, [layer.x, layer.y]));
    }),
  interval: (rows, layer, x, y) =>
    rows.map((row) => path([[x(row[layer.x]), y(row.low)], [x(row[layer.x]), y(row.high)]],
      `stroke: ${report.looks[row[layer.by]].color}; stroke-width: 1.4`)),
  bar: (rows, layer, x, y) =>
    rows.filter((row) => row.part > 0).map((row) => {
      const fill = row.side === "correct" ? "var(--right)" : "var(--wrong)";
      const box = { x: x(row.from), y: y(row.part), width: Math.max(x(row.to) - x(row.from), 0), height: y(0) - y(row.part) };
      return told(drawing("rect", { ...box, style: `fill: ${fill}; fill-opacity: .45` }),
        `${row.side}, ${tickText(row.from, {})} to ${tickText(row.to, {})}: ${percent(row.part)} of its side`);
    }),
};

function axes(spec, x, y, box) {
  const group = drawing("g", { class: "axes" });
  for (const value of ticks(spec.x.domain)) {
    group.append(path([[x(value), box.top], [x(value), box.bottom]], ""));
    group.append(drawing("text", { x: x(value), y: box.bottom + 16, "text-anchor": "middle" }, tickText(value, spec.x)));
  }
  for (const value of ticks(spec.y.domain)) {
    group.append(path([[box.left, y(value)], [box.right, y(value)]], ""));
    group.append(drawing("text", { x: box.left - 6, y: y(value) + 4, "text-anchor": "end" }, tickText(value, spec.y)));
  }
  const middle = (box.top + box.bottom) / 2;
  const across = { x: (box.left + box.right) / 2, y: box.bottom + 34, "text-anchor": "middle", class: "title" };
  const up = { x: 12, y: middle, "text-anchor": "middle", transform: `rotate(-90 12 ${middle})`, class: "title" };
  group.append(drawing("text", across, spec.x.title), drawing("text", up, spec.y.title));
  return group;
}

// What is folded away has no width; it is drawn when it is unfolded.
function draw(name) {
  const { place, rows, chosen } = charts[name];
  const spec = report.charts[name];
  const width = place.clientWidth;
  if (!width) return;
  const box = { left: MARGIN.left, right: width - MARGIN.right, top: MARGIN.top, bottom: spec.height - MARGIN.bottom };
  const x = scale(spec.x.domain, box.left, box.right);
  const y = scale(spec.y.domain, box.bottom, box.top);
  const image = drawing("svg", { viewBox: `0 0 ${width} ${spec.height}`, width, height: spec.height, "aria-hidden": "true" });
  const clip = drawing("clipPath", { id: `clip-${name}` });
  const inside = { x: box.left - 6, y: box.top - 6, width: box.right - box.left + 12, height: box.bottom - box.top + 6 };
  clip.append(drawing("rect", inside));
  const marks = drawing("g", { "clip-path": `url(#clip-${name})` });
  for (const layer of spec.layers) {
    marks.append(...MARKS[layer.mark](layer.rows || rows[layer.data] || [], layer, x, y, chosen, box));
  }
  image.append(clip, axes(spec, x, y, box), marks);
  place.replaceChildren(image);
}

// `dataOf` returns the data of the charts of one score, by its name, or of all scores, by null.
function startCharts(dataOf) {
  for (const place of document.querySelectorAll("[data-chart]")) {
    const name = place.dataset.chart;
    const { own, description } = report.charts[name];
    charts[name] = { place, rows: dataOf(own), chosen: "" };
    place.setAttribute("role", "img");
    place.setAttribute("aria-label", description);
  }
  addEventListener("resize", () => Object.keys(charts).forEach(draw));
}

// Give each chart the data that it shows; `chosen` is the score whose own chart may take them, as those of all scores do.
function fill(data, chosen) {
  for (const [name, chart] of Object.entries(charts)) {
    const { own } = report.charts[name];
    if (own && own !== chosen) continue;
    Object.assign(chart.rows, data);
    chart.chosen = chosen;
    draw(name);
  }
}
