"""People judge in a real browser: by mouse, by keyboard, several at once, on a phone, over interruptions."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from rewardgen.records import candidate_of
from rewardgen.replay import ensure
from rewardgen.store import Judgements, Store
from rewardgen.tasks import load_task
from tests.replay.made import add_generation, make_run
from tests.web.browser import Person, needs_browser
from tests.web.conftest import RUN, Site, open_site

pytestmark = [needs_browser, pytest.mark.slow]

PAIRS = 6  # of four candidates


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run of ``runs_dir`` with all its replays, made once for all."""
    run_dir = make_run(tmp_path_factory.mktemp("recorded") / RUN, task="cartpole/swingup", candidates=5)
    for number in range(4):
        ensure(run_dir, f"r0g0c{number}")
    return run_dir


@pytest.fixture
def runs_dir(recorded: Path, tmp_path: Path) -> Path:
    shutil.copytree(recorded, tmp_path / "runs" / RUN)
    return tmp_path / "runs"


def test_a_whole_generation_by_mouse(browser: Browser, site: Site, runs_dir: Path) -> None:
    shutil.rmtree(runs_dir / RUN / "replays")  # they are recorded while the page waits
    ada = Person(browser, site)
    page = ada.enter("Ada")
    answers = ["Left", "Right", "Equal", "Can't tell", "Both bad", "Left"]
    shown = []
    for number, answer in enumerate(answers):
        ada.wait_for_answered(number)
        ada.wait_for_replays()
        shown.append((page.locator("input[name=left]").input_value(), page.locator("input[name=right]").input_value()))
        if number == 0:
            page.get_by_label("What makes the difference?").fill("drags its left foot\n<b>really</b>")
        page.get_by_role("button", name=answer, exact=True).click()
    expect(page.locator("#done")).to_contain_text("every pair")
    kept = Judgements(runs_dir / RUN).judgements()
    assert [each.answer for each in kept] == ["left", "right", "equal", "unsure", "both_bad", "left"]
    assert [(each.left, each.right) for each in kept] == shown
    assert len({frozenset(pair) for pair in shown}) == PAIRS
    assert kept[0].words == "drags its left foot\n<b>really</b>" and not any(each.words for each in kept[1:])
    assert all(each.judge == "Ada" and each.kind == "person" and each.seconds > 0 for each in kept)
    assert not ada.complaints


def test_a_whole_generation_by_keyboard_with_undo(browser: Browser, site: Site, runs_dir: Path) -> None:
    ada = Person(browser, site)
    page = ada.enter("Ada")
    kept = Judgements(runs_dir / RUN)
    ada.wait_for_replays()
    page.keyboard.press("w")
    page.keyboard.type("x falls")  # letters in the box are words, not answers
    page.keyboard.press("Escape")
    page.keyboard.press("ArrowLeft")
    ada.wait_for_answered(1)
    expect(page.get_by_role("status").filter(has_text="Left: kept")).to_be_visible()
    first = kept.judgements()[0]
    assert (first.answer, first.words) == ("left", "x falls")
    page.keyboard.press("u")
    ada.wait_for_answered(0)
    assert kept.judgements() == ()
    again = page.locator("input[name=left]").input_value(), page.locator("input[name=right]").input_value()
    assert again == (first.left, first.right)  # the same two on the same sides, to answer otherwise
    expect(page.locator("#words")).to_have_value("x falls")
    for number, key in enumerate(["ArrowRight", "ArrowDown", "?", "x", "ArrowLeft", "ArrowRight"], start=1):
        page.keyboard.press(key)
        ada.wait_for_answered(number)
    assert [each.answer for each in kept.judgements()] == ["right", "equal", "unsure", "both_bad", "left", "right"]
    expect(page.locator("#done")).to_be_visible()
    # without the keys: by tab and enter alone, and single keys can be switched off
    page.keyboard.press("u")
    ada.wait_for_answered(5)
    page.locator("#keys-on").uncheck()
    page.keyboard.press("x")
    page.get_by_role("button", name="Equal", exact=True).focus()
    page.keyboard.press("Enter")
    ada.wait_for_answered(6)
    assert [each.answer for each in kept.judgements()][-1] == "equal"
    assert not ada.complaints


def test_the_page_says_when_the_next_generation_can_be_judged(browser: Browser, site: Site, runs_dir: Path) -> None:
    with Store(runs_dir / RUN) as store:
        store.set_meta(status="running")
        ada = Person(browser, site)
        page = ada.enter("Ada", f"/runs/{RUN}/judge?generation=r0g0")
        expect(page.locator("#later")).to_contain_text("The search goes on")
        add_generation(store, load_task("cartpole/swingup"), 1, [f"r0g1c{number}" for number in range(3)])
        expect(page.get_by_role("status").filter(has_text="Generation 1 can be judged now")).to_be_visible()
        page.get_by_role("link", name="Judge it").click()
        expect(page.locator("#count")).to_contain_text("Generation 1: you have judged 0 of 1 pair")
        expect(page.locator("#later")).to_contain_text("The search goes on")
    assert not ada.complaints


def test_replays_start_together_and_stay_together(browser: Browser, site: Site) -> None:
    ada = Person(browser, site)
    page = ada.enter("Ada")
    ada.wait_for_replays()
    transport = page.locator(".transport")
    transport.get_by_role("button", name="Play").click()
    page.wait_for_function("() => Number(document.querySelector('[data-seek]').value) > 0.2")
    transport.get_by_role("button", name="Pause").click()
    slider = page.get_by_label("Time")
    slider.focus()
    before = float(slider.input_value())
    page.keyboard.press("ArrowRight")  # moves the time, and answers nothing
    assert float(slider.input_value()) > before
    assert ada.answered() == 0 and not ada.complaints


def test_the_browser_closes_and_the_server_restarts_in_the_middle(browser: Browser, runs_dir: Path) -> None:
    site = open_site(runs_dir)
    port = site.pages.listening.getsockname()[1]
    ada = Person(browser, site)
    page = ada.enter("Ada")
    page.keyboard.press("ArrowLeft")
    ada.wait_for_answered(1)
    pair = page.locator("input[name=left]").input_value(), page.locator("input[name=right]").input_value()
    page.locator("#words").fill("half a sentence")
    state = ada.context.storage_state()
    ada.context.close()

    ada = Person(browser, site, state=state)  # opened again: the same two, the words still there
    page = ada.open(f"/runs/{RUN}/judge")
    assert ada.answered() == 1
    assert (page.locator("input[name=left]").input_value(), page.locator("input[name=right]").input_value()) == pair
    expect(page.locator("#words")).to_have_value("half a sentence")

    site.end()  # the server is gone when the answer is given
    page.keyboard.press("ArrowRight")
    expect(page.get_by_role("status").filter(has_text="Not sent yet")).to_be_visible()
    site = open_site(runs_dir, port=port)  # it comes back, and the page finds it by itself
    try:
        ada.wait_for_answered(2)
        kept = Judgements(runs_dir / RUN).judgements()
        assert [(each.answer, each.words) for each in kept] == [("left", ""), ("right", "half a sentence")]
        assert not ada.complaints
    finally:
        site.end()


def test_an_unsent_answer_outlives_its_browser(browser: Browser, site: Site, runs_dir: Path) -> None:
    ada = Person(browser, site)
    page = ada.enter("Ada")
    page.route("**/judgements", lambda route: route.abort())
    page.keyboard.press("ArrowLeft")
    expect(page.get_by_role("status").filter(has_text="Not sent yet")).to_be_visible()
    state = ada.context.storage_state()
    ada.context.close()
    assert Judgements(runs_dir / RUN).judgements() == ()
    ada = Person(browser, site, state=state)
    with ada.page.expect_response("**/judgements"):
        ada.open(f"/runs/{RUN}/judge")
    assert [each.answer for each in Judgements(runs_dir / RUN).judgements()] == ["left"]


def test_two_people_at_once_are_told_apart(browser: Browser, site: Site, runs_dir: Path) -> None:
    ada, ben = Person(browser, site), Person(browser, site)
    ada.enter("Ada")
    ben.open(f"/runs/{RUN}/judge")
    ben.page.get_by_label("Your name").fill("Ada")
    ben.page.keyboard.press("Enter")
    expect(ben.page.get_by_role("alert")).to_contain_text("Ada has been here from another browser")
    ben.page.get_by_label("Your name").fill("Ben")
    ben.page.keyboard.press("Enter")
    ben.wait_until_in()
    for number in range(PAIRS):
        for person, key in ((ada, "ArrowLeft"), (ben, "ArrowRight")):
            person.page.keyboard.press(key)
            person.wait_for_answered(number + 1)
    kept = Judgements(runs_dir / RUN)
    for judge, answer in (("Ada", "left"), ("Ben", "right")):
        mine = [each for each in kept.judgements() if each.judge == judge]
        assert [each.answer for each in mine] == [answer] * PAIRS
        pairs = {frozenset((candidate_of(each.left), candidate_of(each.right))) for each in mine}
        assert len(pairs) == PAIRS  # both answered every pair, and both answers count
    ben.page.keyboard.press("u")
    ben.wait_for_answered(PAIRS - 1)
    assert [each.judge for each in kept.judgements()].count("Ada") == PAIRS  # nobody takes back another's
    page = ada.open(f"/runs/{RUN}")
    expect(page.locator("#people-section")).to_contain_text("Ada: 6, Ben: 5")


def test_a_generation_is_put_in_order_by_dragging_and_by_keyboard(browser: Browser, site: Site, runs_dir: Path) -> None:
    ada = Person(browser, site)
    page = ada.enter("Ada", f"/runs/{RUN}/order/r0g0")
    ada.wait_for_replays(4)

    def letters() -> list[str]:
        return page.locator("ol.order li").evaluate_all("all => all.map(row => row.dataset.letter)")

    assert letters() == ["A", "B", "C", "D"]
    handle = page.get_by_role("button", name=re.compile("^C, place"))
    handle.focus()
    page.keyboard.press("ArrowUp")
    assert letters() == ["A", "C", "B", "D"]
    expect(handle).to_be_focused()
    expect(page.locator("#said")).to_have_text("C is now 2 of 4.")
    page.keyboard.press("Home")
    assert letters() == ["C", "A", "B", "D"]
    page.get_by_role("button", name="Move D up").click()
    assert letters() == ["C", "A", "D", "B"]
    page.locator("li[data-letter=C]").scroll_into_view_if_needed()
    start, end = (page.locator(f"li[data-letter={each}]").bounding_box() for each in "CA")
    grip = page.locator("li[data-letter=C] .handle").bounding_box()
    assert start and end and grip
    page.mouse.move(grip["x"] + 8, grip["y"] + 8)
    page.mouse.down()
    page.mouse.move(grip["x"] + 8, end["y"] + end["height"] * 0.7, steps=6)
    page.mouse.up()
    assert letters() == ["A", "C", "D", "B"]
    candidates = page.locator("ol.order li").evaluate_all("all => all.map(row => row.dataset.candidate)")
    page.get_by_label("Why?").fill("A keeps it up")
    page.get_by_role("button", name="Send this order").click()
    expect(page.locator("#saved")).to_be_visible()
    kept = Judgements(runs_dir / RUN)
    assert [(each.candidates, each.words, each.judge) for each in kept.orders()] == [
        (tuple(candidates), "A keeps it up", "Ada")
    ]
    page.get_by_role("button", name="Move B up").click()  # changed her mind: one order a person
    page.get_by_role("button", name="Send this order").click()
    page.wait_for_function("() => document.querySelector('#said').textContent === 'Kept.'")
    assert len(kept.orders()) == 1 and kept.orders()[0].candidates != tuple(candidates)
    page.reload()
    assert letters() == ["A", "C", "B", "D"]
    assert not ada.complaints


def test_words_about_one_replay_are_kept_and_shown_as_they_are(browser: Browser, site: Site, runs_dir: Path) -> None:
    ada = Person(browser, site)
    ada.enter("<i>Ada</i>")
    page = ada.open(f"/runs/{RUN}/candidates/r0g0c1")
    attack = "<script>alert(1)</script><img src=x onerror=alert(2)>{{ 7*7 }}"
    page.get_by_label("What do you see?").fill(attack)
    page.get_by_role("button", name="Keep these words").click()
    expect(page.locator("#remarks blockquote p")).to_have_text(attack)
    assert [(each.replay, each.words) for each in Judgements(runs_dir / RUN).remarks()] == [("r0g0c1.0", attack)]
    page = ada.open(f"/runs/{RUN}")
    expect(page.locator("#people-section blockquote p")).to_have_text(attack)
    expect(page.locator("#people-section")).to_contain_text("<i>Ada</i>")
    assert not ada.complaints


def test_a_narrow_screen_shows_everything_without_scrolling_sideways(browser: Browser, site: Site) -> None:
    ada = Person(browser, site, width=360)
    for path in ("/", f"/runs/{RUN}", f"/runs/{RUN}/candidates/r0g0c0", f"/runs/{RUN}/compare", "/you", "/nowhere"):
        page = ada.open(path)
        page.wait_for_load_state("load")
        assert page.evaluate("document.documentElement.scrollWidth") <= 360, path
        assert page.locator("h1").count() == 1 and page.locator("main").count() == 1, path
        unnamed = page.locator("input:not([type=hidden]), select, textarea, button").evaluate_all(
            "all => all.filter(one => !one.labels?.length && !one.ariaLabel && !one.textContent.trim())"
            ".map(one => one.outerHTML)"
        )
        assert unnamed == [], path
    page = ada.open(f"/runs/{RUN}")
    page.wait_for_function("() => document.querySelectorAll('#figures svg').length > 0")
    assert page.evaluate("document.documentElement.scrollWidth") <= 360  # with its figures
    assert not ada.complaints


def test_a_phone_judges(browser: Browser, site: Site, runs_dir: Path) -> None:
    ada = Person(browser, site, width=360)
    page = ada.enter("Ada")
    ada.wait_for_replays()
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    left, right = (page.locator(".duel figure").nth(side).bounding_box() for side in (0, 1))
    assert left and right and left["y"] == right["y"] and right["x"] > left["x"]  # side by side here too
    for button in page.locator(".answers button").all():
        box = button.bounding_box()
        assert box and box["height"] >= 44 and box["width"] >= 44  # what a finger hits
    page.get_by_role("button", name="Both bad").click()
    ada.wait_for_answered(1)
    page.goto(f"{site.url}/runs/{RUN}/order/r0g0")
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    assert len(Judgements(runs_dir / RUN).judgements()) == 1 and not ada.complaints


def test_a_refused_token_lets_nobody_in_and_the_right_one_does(browser: Browser, runs_dir: Path) -> None:
    site = open_site(runs_dir, token="a token of 24 characters")
    try:
        ada = Person(browser, site)
        page = ada.open(f"/runs/{RUN}?token=something+else")
        expect(page.get_by_role("alert")).to_have_text("That is not the token.")
        page.get_by_label("Token").fill("a guess that is long enough")
        page.keyboard.press("Enter")
        expect(page.get_by_role("alert")).to_be_visible()
        page.get_by_label("Token").fill("a token of 24 characters")
        page.keyboard.press("Enter")
        expect(page.get_by_role("heading", level=1)).to_contain_text("cartpole/swingup")
        assert "token" not in page.url
        ben = Person(browser, site)
        page = ben.open(f"/runs/{RUN}?token=a+token+of+24+characters")
        expect(page.get_by_role("heading", level=1)).to_contain_text("cartpole/swingup")
        assert "token" not in page.url
        assert not ada.complaints and not ben.complaints
    finally:
        site.end()


def test_another_site_in_the_same_browser_can_do_nothing(browser: Browser, site: Site, runs_dir: Path) -> None:
    """A page from elsewhere, in the browser of somebody who judges here: it posts, reads, and frames."""
    ada = Person(browser, site)
    ada.enter("Ada")
    form = {"left": "r0g0c0.0", "right": "r0g0c1.0", "answer": "left"}
    elsewhere = ada.context.new_page()
    evil = "http://evil.example/"
    elsewhere.route(f"{evil}**", lambda route: route.fulfill(body="<h1>evil</h1>", content_type="text/html"))
    elsewhere.goto(evil)
    tried = elsewhere.evaluate(
        """async ([url, form]) => {
          const refused = () => "refused";
          const post = {method: "POST", body: new URLSearchParams(form), mode: "no-cors", credentials: "include"};
          await fetch(`${url}/judgements`, post).catch(refused);
          const read = await fetch(url, {credentials: "include"}).then(() => "read", refused);
          const frame = document.createElement("iframe");
          frame.src = url;
          document.body.append(frame);
          await new Promise(done => { frame.onload = done; });
          return [read, frame.contentDocument?.body.textContent ?? ""];
        }""",
        [f"{site.url}/runs/{RUN}", form],
    )
    assert tried == ["refused", ""]
    assert Judgements(runs_dir / RUN).judgements() == ()
