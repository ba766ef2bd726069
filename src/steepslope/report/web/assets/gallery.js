// The gallery: cards of the most trusted errors and the least trusted correct predictions, as the chosen score ranks.

const STEP = innerWidth < 640 ? 3 : 12;  // cards of a kind; a telephone shows one next to none
const NO_LABEL = "–";
const shown = { errors: STEP, successes: STEP, choice: "" };

function element(tag, text, className) {
  const made = document.createElement(tag);
  if (text !== undefined) made.textContent = text;
  if (className) made.className = className;
  return made;
}

function picture(source, text, className) {
  const image = element("img", undefined, className);
  image.src = source;
  image.alt = text;
  image.addEventListener("load", () => image.classList.toggle("large", image.naturalWidth > 40));
  return image;
}

function signed(value) {
  return `${value > 0 ? "+" : ""}${value.toFixed(2)}`;
}

// What each kind of evidence adds to the trust logit: to the right of the middle it speaks for trust.
function explanation(card, score) {
  const parts = Object.entries((card.explained || {})[score.name] || {}).filter(([, value]) => value !== 0);
  const list = element("dl", undefined, "evidence");
  const most = Math.max(...parts.map(([, value]) => Math.abs(value)));
  for (const [name, value] of parts) {
    const bar = element("i");
    bar.style.width = `${(50 * Math.abs(value)) / most}%`;
    bar.style[value > 0 ? "left" : "right"] = "50%";
    bar.style.background = value > 0 ? "var(--right)" : "var(--wrong)";
    const box = element("dd", undefined, "bar");
    box.append(bar);
    list.append(element("dt", name.replaceAll("_", " ")), box, element("dd", signed(value)));
  }
  return parts.length ? [list] : [];
}

function nearest(card) {
  if (!(card.near || []).length) return [];
  const box = element("div", "nearest:", "near");
  for (const one of card.near.map((place) => report.references[place])) {
    const figure = element("figure");
    if (one.image) figure.append(picture(one.image, ""));
    const caption = element("figcaption");
    const same = one.label === card.predicted || one.label === NO_LABEL;
    caption.append(element("span", one.label, same ? "" : "other"), element("small", one.id));
    figure.append(caption);
    box.append(figure);
  }
  return [box];
}

// JSON holds no infinity: the greatest number stands for it.
function confidenceText(value, unit) {
  const endless = Math.abs(value) >= Number.MAX_VALUE;
  return `${endless ? (value > 0 ? "∞" : "−∞") : shownNumber(value, 4)} (${unit})`;
}

function cardElement(card, accepted) {
  const score = report.scores[point.score];
  const item = element("li", undefined, accepted ? "card accepted" : "card");
  item.dataset.id = card.id;
  if (card.image) item.append(picture(card.image, `image of ${card.id}`, "own"));
  else item.append(element("span", card.no_image, card.no_image ? "own" : ""));
  const text = element("div");
  const what = card.label === undefined ? (card.right ? "correct" : "wrong") : `predicted ${card.predicted}, label ${card.label}`;
  text.append(element("p", what, "what"));
  if (card.top) text.append(element("p", card.top.map(([name, p]) => `${name}\u00a0${(100 * p).toFixed(1)}\u00a0%`).join(" · "), "quiet"));
  const confidence = confidenceText(card.confidence[point.score], score.unit);
  text.append(element("p", `${accepted ? "accepted" : "held back"}, confidence ${confidence}`, "state"));
  text.append(element("p", card.id, "quiet"));
  if (card.described) text.append(element("p", card.described, "quiet"));
  item.append(text, ...explanation(card, score), ...nearest(card));
  return item;
}

// What is chosen above the cards; where it changes, few are shown again.
function wantedCards() {
  const wanted = Object.fromEntries(["label", "predicted", "state"].map((id) => [id, document.getElementById(id).value]));
  const choice = JSON.stringify([point.score, wanted]);
  if (choice !== shown.choice) Object.assign(shown, { choice, errors: STEP, successes: STEP });
  return wanted;
}

function showGallery() {
  const score = report.scores[point.score];
  const threshold = score.points.threshold[point.place];
  const all = point.place === score.points.threshold.length - 1;  // −∞ too, which is above no threshold
  const wanted = wantedCards();
  const accepts = (card) => all || card.confidence[point.score] > threshold;
  const fits = (card) =>
    (!wanted.label || card.label === wanted.label) && (!wanted.predicted || card.predicted === wanted.predicted) &&
    (!wanted.state || accepts(card) === (wanted.state === "accepted"));
  const counts = {};
  for (const [id, right, sign] of [["errors", false, -1], ["successes", true, 1]]) {
    const cards = report.cards.filter((card) => card.right === right && fits(card));
    cards.sort((a, b) => sign * (a.confidence[point.score] - b.confidence[point.score]));
    counts[id] = [cards.filter(accepts).length, cards.length];
    document.getElementById(id).replaceChildren(...cards.slice(0, shown[id]).map((card) => cardElement(card, accepts(card))));
    document.querySelector(`[data-more="${id}"]`).hidden = cards.length <= shown[id];
  }
  document.getElementById("gallery-note").textContent = galleryNote(score, counts, wanted);
}

function galleryNote(score, counts, wanted) {
  const told = ([accepted, all], name) => `${accepted} of ${all} ${name} are accepted at the threshold`;
  const part = report.cards.length < report.n;
  const where = part ? `, of the ${report.cards.length} predictions in this page` : "";
  const note = `By ${score.name}${where}: ${told(counts.errors, "errors")} (of all rows ` +
    `${rates(score, point.place).trusted_wrong} errors are), and ${told(counts.successes, "correct predictions")}.`;
  const many = ["errors", "successes"].some((id) => Math.min(shown[id], counts[id][1]) > report.of_each);
  if (!part || !(many || Object.values(wanted).some(Boolean))) return note;
  const leader = report.scores[report.leader].name;
  return `${note} Filtered, or after the first ${report.of_each} of each kind, cards are the extremes among these ` +
    `predictions only, which were chosen by ${leader} beyond the first of each score.`;
}

// The button may be gone, and with it the focus: the first new card gets it.
function showMore(id) {
  const before = shown[id];
  shown[id] += 4 * STEP;
  showGallery();
  const first = document.getElementById(id).children[before];
  first.tabIndex = -1;
  first.focus();
}

function startGallery() {
  for (const id of ["label", "predicted"]) {
    const select = document.getElementById(id);
    const names = [...new Set(report.cards.map((card) => card[id]).filter((name) => name !== undefined))];
    names.sort((a, b) => report.classes.indexOf(a) - report.classes.indexOf(b));
    select.append(...names.map((name) => new Option(name, name)));
    select.closest("label").hidden = names.length === 0;
  }
  for (const id of ["label", "predicted", "state"]) document.getElementById(id).addEventListener("change", showGallery);
  for (const button of document.querySelectorAll("[data-more]")) {
    button.addEventListener("click", () => showMore(button.dataset.more));
  }
}
