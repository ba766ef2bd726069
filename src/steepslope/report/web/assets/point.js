// The operating point: a score and a place among its thresholds. Everything that depends on it is told of a change.

const point = { score: 0, place: 0 };

function rates(score, place) {
  const { correct, wrong, threshold } = score.points;
  const accepted = correct[place] + wrong[place];
  const errors = report.n - report.correct;
  const over = (a, b) => (b ? a / b : NaN);
  return {
    coverage: accepted / report.n,
    risk: over(wrong[place], accepted),
    tpr: over(correct[place], report.correct),
    fpr: over(wrong[place], errors),
    tnr: over(errors - wrong[place], errors),
    recall: over(errors - wrong[place], errors),
    precision: over(errors - wrong[place], report.n - accepted),
    threshold: threshold[place],
    trusted_correct: correct[place],
    trusted_wrong: wrong[place],
    distrusted_correct: report.correct - correct[place],
    distrusted_wrong: errors - wrong[place],
    place,
  };
}

function curves() {
  const rows = [];
  for (const score of report.scores) {
    for (let place = 0; place < score.points.threshold.length; place += 1) {
      const row = { score: score.name, ...rates(score, place) };
      for (const name of ["risk", "precision", "tpr", "fpr", "recall"]) if (Number.isNaN(row[name])) row[name] = null;
      rows.push(row);
    }
  }
  return rows;
}

// The interval of the risk, from the coverage on from which it is narrow enough to be drawn.
const LEAST_BAND = 0.02;

// What charts show of one score: its interval at each point, and what is certified of it.
function ofScore(score) {
  const { low, high } = score.points;
  const bands = (low || []).map((_, place) => ({ coverage: rates(score, place).coverage, low: low[place], high: high[place] }));
  const certified = score.stops.slice(0, score.certified);
  return {
    bands: bands.filter((one) => one.coverage >= LEAST_BAND),
    certified: certified.map((stop) => ({ label: stop.label, coverage: rates(score, stop.place).coverage })),
  };
}

// What charts show at first: each score at its own start, and the page's own score where a chart shows all.
function startData(name) {
  const score = report.scores.find((one) => one.name === name) || report.scores[report.leader];
  return { curves: name === null ? curves() : [], now: [rates(score, score.start)], ...ofScore(score) };
}

function percent(value) {
  return Number.isNaN(value) ? "–" : `${(100 * value).toFixed(2)} %`;
}

function shownNumber(value, digits = 6) {
  const far = Math.abs(value) >= 1e5 || Math.abs(value) < 1e-3;
  return value === 0 ? "0" : far ? value.toExponential(digits - 2) : value.toPrecision(digits);
}

function showPoint() {
  const score = report.scores[point.score];
  const now = rates(score, point.place);
  const put = (name, text, value) => {
    const place = document.querySelector(`[data-number="${name}"]`);
    place.textContent = text;
    if (value !== undefined) place.dataset.value = String(value);
  };
  for (const name of ["coverage", "risk", "tpr", "tnr"]) put(name, percent(now[name]), now[name]);
  for (const name of ["trusted_correct", "trusted_wrong", "distrusted_correct", "distrusted_wrong"]) {
    put(name, now[name].toLocaleString("en"), now[name]);
  }
  const limits = score.points.low ? [score.points.low[point.place], score.points.high[point.place]] : null;
  put("limits", limits && now.coverage > 0 ? `[${(100 * limits[0]).toFixed(2)}, ${(100 * limits[1]).toFixed(2)}]` : "");
  const p = score.points.p ? score.points.p[point.place] : NaN;
  put("p", percent(p), p);
  put("p-by", score.points.p_by || "");
  put("threshold", shownNumber(now.threshold), now.threshold);
  put("unit", score.unit);
  document.querySelector('[data-number="threshold"]').title = String(now.threshold);
  const slider = document.getElementById("slider");
  slider.max = score.points.threshold.length - 1;
  slider.value = point.place;
  slider.setAttribute("aria-valuetext", `coverage ${percent(now.coverage)}, risk ${percent(now.risk)}`);
  fill({ now: [now], ...ofScore(score) }, score.name);
  showGallery();
}

function choose(score) {
  point.score = score;
  point.place = report.scores[score].start;
  const jump = document.getElementById("jump");
  jump.replaceChildren(new Option("…", ""), ...report.scores[score].stops.map((stop) => new Option(stop.label, stop.place)));
  jump.value = report.scores[score].stops.some((stop) => stop.place === point.place) ? String(point.place) : "";
  showPoint();
}

function startPoint() {
  const score = document.getElementById("score");
  const slider = document.getElementById("slider");
  score.selectedIndex = report.leader;
  score.addEventListener("change", () => choose(score.selectedIndex));
  slider.addEventListener("input", () => {
    point.place = Number(slider.value);
    document.getElementById("jump").value = "";
    showPoint();
  });
  document.getElementById("jump").addEventListener("change", (event) => {
    if (event.target.value !== "") point.place = Number(event.target.value);
    showPoint();
  });
  choose(report.leader);
}
