// Charts: Vega-Lite specifications from the page's data, in the page's colours, filled with the data that they name.

const CONFIG = {
  background: null,
  font: "system-ui, sans-serif",
  view: { stroke: null },
  axis: {
    labelColor: "var(--text)", titleColor: "var(--quiet)", titleFontWeight: "normal", gridColor: "var(--line)",
    gridOpacity: 0.6, domainColor: "var(--line)", tickColor: "var(--line)", labelFontSize: 11, titleFontSize: 12,
  },
  legend: { labelColor: "var(--text)", titleColor: "var(--quiet)", labelFontSize: 12 },
};
const views = {};

// `dataOf` returns the data of the charts of one score, by its name, or of all scores, by null.
async function startCharts(dataOf) {
  for (const place of document.querySelectorAll("[data-chart]")) {
    const name = place.dataset.chart;
    const spec = report.charts[name];
    const { uses, own } = spec.usermeta;
    const data = dataOf(own || null);
    spec.datasets = Object.fromEntries(uses.map((one) => [one, data[one]]));
    try {
      const options = { actions: false, renderer: "svg", config: CONFIG, tooltip: { theme: "custom" } };
      const embedded = await vegaEmbed(place, spec, options);
      views[name] = { view: embedded.view, uses, own };
    } catch (error) {
      place.textContent = `This chart cannot be drawn here (${error.message}).`;
      continue;
    }
    place.setAttribute("role", "img");
    place.setAttribute("aria-label", spec.description);
    place.firstElementChild.setAttribute("aria-hidden", "true");  // its marks are many, and tell nothing one by one
  }
}

// Give each chart the data that it uses; `own` is the score whose chart may take them, or null for those of all scores.
function fill(data, chosen) {
  for (const { view, uses, own } of Object.values(views)) {
    if (own && own !== chosen) continue;
    for (const name of uses) if (name in data) view.data(name, data[name]);
    if (!own) view.signal("chosen", chosen);
    view.run();
  }
}
