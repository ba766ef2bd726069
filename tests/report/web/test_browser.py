"""The page in a browser: it asks for nothing, counts right, sorts, filters, shows the right images, and is read."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from axe_playwright_python.sync_playwright import Axe

from steepslope.metrics import tnr, tpr
from steepslope.metrics._selective import confusion
from steepslope.outputs import ClassifierOutputs
from steepslope.scores import SCORES
from tests.report.web.conftest import CLASSES, ORACLE, Open, Opened, Shown

pytestmark = pytest.mark.slow
SERIOUS = ("serious", "critical")


def move(opened: Opened, score: str, part: float) -> dict[str, float]:
    """Choose a score, move the slider to a part of its way, and return the numbers that are shown."""
    opened.page.select_option("#score", label=score)
    opened.page.evaluate(
        """part => { const slider = document.getElementById("slider");
        slider.value = Math.round(part * slider.max); slider.dispatchEvent(new Event("input")); }""",
        part,
    )
    found = opened.page.eval_on_selector_all(
        "[data-number][data-value]", "all => all.map(one => [one.dataset.number, Number(one.dataset.value)])"
    )
    return dict(found)


@pytest.fixture
def one(shown: Shown, opened: Open) -> Opened:
    """Open the report."""
    return opened(shown.report)


def test_nothing_is_asked_for_and_nothing_goes_wrong(shown: Shown, one: Opened) -> None:
    move(one, "margin", 0.5)
    assert one.messages == []
    assert [url for url in one.requests if not url.startswith(("data:", "blob:"))] == [shown.report.as_uri()]


@pytest.mark.parametrize("score", ["mcp", "margin"])
def test_the_sliders_numbers_are_those_of_the_metrics(shown: Shown, one: Opened, score: str) -> None:
    confidence, is_correct = SCORES[score]().confidence(shown.outputs), shown.outputs.is_correct
    for part in (0.0, 0.2, 0.5, 0.8, 1.0):
        numbers = move(one, score, part)
        threshold = numbers["threshold"]
        accepted = is_correct[confidence > threshold]
        counts = confusion(confidence, is_correct, threshold)
        expected = {name: float(count) for name, count in counts.items() if isinstance(count, int)}
        expected["tpr"] = tpr(confidence, is_correct, threshold=threshold)
        expected["tnr"] = tnr(confidence, is_correct, threshold=threshold)
        expected["coverage"] = len(accepted) / len(is_correct)
        if len(accepted):
            expected["risk"] = float((~accepted).mean())
            assert (confidence >= threshold).sum() == len(accepted)
        assert {name: numbers[name] for name in expected} == pytest.approx(expected, abs=1e-12)


def test_a_certified_threshold_accepts_what_the_gate_accepts(shown: Shown, one: Opened) -> None:
    one.page.select_option("#score", label="margin")
    label = one.page.locator("#jump option").nth(1).inner_text()
    assert label.startswith("certified: risk ≤ 30 % (δ 5 %)")
    one.page.select_option("#jump", label=label)
    accepted = shown.gate.accepts(SCORES["margin"]().confidence(shown.outputs))
    right = shown.outputs.is_correct[accepted]
    found = [int(one.text(f"[data-number=trusted_{side}]")) for side in ("correct", "wrong")]
    assert found == [right.sum(), (~right).sum()]
    assert 0 < accepted.sum() < len(accepted)


def test_tables_sort_by_mouse_and_by_keyboard(one: Opened) -> None:
    values = """() => [...document.querySelectorAll("#scores ~ .wide tbody tr")].map(
        row => [row.cells[0].innerText, row.cells[1].innerText])"""
    before = one.page.evaluate(values)
    one.page.click("#scores ~ .wide thead th:nth-child(2) button")
    after = one.page.evaluate(values)
    numbers = [float(text.split()[0]) for _, text in after]
    assert numbers == sorted(numbers, reverse=True)
    assert sorted(before) == sorted(after)
    assert one.page.get_attribute("#scores ~ .wide thead th:nth-child(2)", "aria-sort") == "descending"
    one.page.focus("#scores ~ .wide thead th:nth-child(2) button")
    one.page.keyboard.press("Enter")
    assert one.page.evaluate(values) == after[::-1]


def test_a_definition_is_shown_on_hover_and_on_focus(one: Opened) -> None:
    heading = "#scores ~ .wide thead th:nth-child(2) button"
    one.page.hover(heading)
    one.page.mouse.move(0, 0)
    assert one.page.is_hidden("#tip")
    one.page.focus(heading)
    assert "correct prediction has more confidence than a wrong one" in one.text("#tip")
    one.page.keyboard.press("Escape")
    assert one.page.is_hidden("#tip")


def shown_cards(opened: Opened, kind: str) -> list[tuple[str, list[int], str]]:
    """Return id, colour of the picture and text of the cards that are shown."""
    found = opened.page.evaluate(
        """async kind => Promise.all([...document.querySelectorAll(`#${kind} .card`)].map(async card => {
          const image = card.querySelector("img.own");
          await image.decode();
          const canvas = document.createElement("canvas");
          [canvas.width, canvas.height] = [1, 1];
          const context = canvas.getContext("2d");
          context.drawImage(image, 0, 0, 1, 1);
          return [card.dataset.id, [...context.getImageData(0, 0, 1, 1).data].slice(0, 3), card.innerText];
        }))""",
        kind,
    )
    return [(name, color, text) for name, color, text in found]


def test_the_gallery_shows_the_extremes_with_their_own_images(shown: Shown, one: Opened) -> None:
    outputs = shown.outputs
    ids = outputs.require("ids").tolist()
    for score in ("mcp", "entropy"):
        one.page.select_option("#score", label=score)
        confidence = SCORES[score]().confidence(outputs)
        order = np.argsort(confidence, kind="stable")
        expected = {
            "errors": order[::-1][~outputs.is_correct[order[::-1]]],
            "successes": order[outputs.is_correct[order]],
        }
        for kind, rows in expected.items():
            cards = shown_cards(one, kind)
            assert len(cards) == 12
            found = confidence[[ids.index(name) for name, _, _ in cards]]
            assert found.tolist() == confidence[rows[:12]].tolist()
            for name, color, text in cards:
                assert color == list(shown.colors[name])
                row = ids.index(name)
                predicted, label = (CLASSES[code] for code in (outputs.predictions[row], outputs.require_labels()[row]))
                assert f"predicted {predicted}, label {label}" in text


def states(opened: Opened) -> list[bool]:
    """Return of each card that is shown whether its text calls it accepted."""
    texts = [text for kind in ("errors", "successes") for _, _, text in shown_cards(opened, kind)]
    assert all(("accepted, confidence" in text) != ("held back, confidence" in text) for text in texts)
    return ["accepted, confidence" in text for text in texts]


def test_the_gallery_filters_by_class_and_by_the_cut(shown: Shown, one: Opened) -> None:
    outputs = shown.outputs
    one.page.select_option("#label", label="plain")
    cards = shown_cards(one, "errors")
    assert len(cards) > 3
    assert all("label plain" in text for _, _, text in cards)
    one.page.select_option("#label", label="any")
    numbers = move(one, "mcp", 0.5)
    accepted = SCORES["mcp"]().confidence(outputs) > numbers["threshold"]
    ids = outputs.require("ids").tolist()
    assert set(states(one)) == {True, False}
    for state, wanted in (("accepted at the threshold", True), ("held back at the threshold", False)):
        one.page.select_option("#state", label=state)
        found = states(one)
        assert len(found) > 3
        assert set(found) == {wanted}
        here = [name for kind in ("errors", "successes") for name, _, _ in shown_cards(one, kind)]
        assert {bool(accepted[ids.index(name)]) for name in here} == {wanted}
    move(one, "mcp", 0.0)
    one.page.select_option("#state", label="accepted at the threshold")
    assert one.page.locator(".card").count() == 0
    move(one, "mcp", 1.0)
    assert one.page.locator(".card").count() > 3
    one.page.select_option("#state", label="held back at the threshold")
    assert one.page.locator(".card").count() == 0


def test_cards_tell_what_the_evidence_adds_and_the_nearest_references(shown: Shown, one: Opened) -> None:
    one.page.select_option("#score", label=ORACLE)
    card = one.page.locator("#errors .card").first
    row = shown.outputs.require("ids").tolist().index(card.get_attribute("data-id"))
    added = shown.oracle.explain(shown.outputs.subset(np.array([row])))
    for name, values in added.items():
        assert f"{name}\n{values[0]:+.2f}" in card.inner_text() or abs(values[0]) < 0.005
    reference = ClassifierOutputs.load(shown.report.parent.parent / "reference")
    distances = np.linalg.norm(reference.require_features() - shown.outputs.require_features()[row], axis=1)
    nearest = reference.require("ids")[np.argsort(distances)[:3]]
    assert card.locator(".near small").all_inner_texts() == nearest.tolist()
    assert card.locator(".near img").count() == 0  # these are of no image


def test_nothing_overflows_a_telephone(shown: Shown, opened: Open) -> None:
    one = opened(shown.report, width=390)
    for state in ("", "document.querySelectorAll('details').forEach(one => { one.open = true; })"):
        one.page.evaluate(f"() => {{ {state} }}")
        assert one.page.evaluate("document.documentElement.scrollWidth") <= 390
        wide = one.page.evaluate(
            """() => [...document.querySelectorAll("main *, header *")].filter(one =>
              !one.closest(".wide, .visually-hidden") && one.getBoundingClientRect().right > 391
            ).map(one => one.outerHTML.slice(0, 120))"""
        )
        assert wide == []


def test_a_telephone_shows_the_finding_first_and_says_where_tables_scroll(shown: Shown, opened: Open) -> None:
    """Before anything is unfolded, the page is seven screens long; what is unfolded has charts of its width."""
    one = opened(shown.report, width=390)
    assert one.page.evaluate("document.documentElement.scrollHeight") <= 6_000
    assert one.page.locator(".headline").bounding_box()["y"] < 100
    assert "MCP is the classifier's own confidence" in one.text("header")
    hint = "one => getComputedStyle(one, '::before').content"
    assert "sideways" in one.page.eval_on_selector("#scores ~ .wide", hint)
    assert one.page.eval_on_selector("#scores ~ .wide", "one => one.scrollWidth > one.clientWidth")
    one.page.click("nav a[href='#confidences']")
    one.page.wait_for_function("document.querySelector('[data-chart=histogram-0] svg').clientWidth > 300")


@pytest.mark.parametrize(("width", "scheme"), [(1280, "dark"), (390, "light")])
def test_axe_finds_nothing_serious(shown: Shown, opened: Open, width: int, scheme: str) -> None:
    one = opened(shown.report, width=width, scheme=scheme)
    one.page.evaluate("() => document.querySelectorAll('details').forEach(one => { one.open = true; })")
    found: list[dict[str, Any]] = Axe().run(one.page).response["violations"]
    assert found_texts([one for one in found if one["impact"] in SERIOUS]) == []


def found_texts(violations: list[dict[str, Any]]) -> list[str]:
    return [f"{one['id']}: {node['html'][:200]}" for one in violations for node in one["nodes"][:3]]


def test_names_with_tags_are_text(one: Opened) -> None:
    assert one.page.evaluate("window.broken === undefined")
    one.page.click("nav a[href='#groups']")
    one.page.wait_for_selector("details:has(#groups) .wide", state="visible")  # the event comes after the click
    assert CLASSES[0] in one.text("details:has(#groups) .wide")
    assert one.page.locator("#errors b, main i:not(.bar i)").count() == 0
    assert ORACLE in one.text("#scores ~ .wide")


def test_the_keyboard_moves_the_slider(one: Opened) -> None:
    one.page.focus("#slider")
    before = int(one.page.input_value("#slider"))
    one.page.keyboard.press("ArrowLeft")
    assert int(one.page.input_value("#slider")) == before - 1
    assert one.page.get_attribute("#slider", "aria-valuetext").startswith("coverage ")


SORTED = (
    ["-3.2", "+1.1", "9", "87.5", "1,234", "–"],
    ["2025-12-31", "2026-05-01", "2026-06-01"],
    ["5-9 years", "10-20 years", "class 9", "class 10"],
    ["3 → 5", "3 → 8", "10 → 1"],
    ["ant", "Infinity", "zebra"],
)


def test_numbers_sort_as_numbers_and_text_as_text(one: Opened) -> None:
    for expected in SORTED:
        found = one.page.evaluate(
            """texts => {
              const table = document.createElement("table");
              const cell = text => Object.assign(document.createElement("td"), { textContent: text });
              table.createTHead().insertRow().append(cell("x"));
              const body = table.createTBody();
              for (const text of texts) body.insertRow().append(cell(text));
              sortTable(table, 0, false);
              return [...body.rows].map(row => row.innerText.trim());
            }""",
            expected[1::2] + expected[::2],
        )
        assert found == expected
