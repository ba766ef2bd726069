// Runs side by side: the metric whose dots are shown, and the score whose curves are.

function dotsOf(metric) {
  return report.values[metric];
}

// `choice` 0 is the best score of each run, and all others are names of scores.
function curvesOf(choice) {
  const select = document.getElementById("curve");
  const name = select.options[choice].textContent;
  const shown = report.curves.filter((one) => (choice === 0 ? one.best : one.score === name));
  return shown.flatMap((one) => one.coverage.map((coverage, place) => ({ score: one.run, coverage, risk: one.risk[place], place })));
}

const metric = document.getElementById("metric");
const curve = document.getElementById("curve");
startTables();
startDownloads();
startCharts(() => ({ dots: dotsOf(metric.value), curves: curvesOf(curve.selectedIndex), now: [] })).then(() => {
  metric.addEventListener("change", () => fill({ dots: dotsOf(metric.value) }, ""));
  curve.addEventListener("change", () => fill({ curves: curvesOf(curve.selectedIndex) }, ""));
  document.documentElement.dataset.ready = "true";
});
