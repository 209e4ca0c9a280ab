// Judge a pair of replays by click or key, without reloading the page.

import { drafts, flush, newId, say, send } from "./outbox.js";
import { group } from "./player.js";

const ANSWERS = { ArrowLeft: "left", ArrowRight: "right", ArrowDown: "equal", "?": "unsure", x: "both_bad" };
const KEYS = "rewardgen-keys";
const TOLD = { left: "Left", right: "Right", equal: "Equal", unsure: "Can't tell", both_bad: "Both bad" };

let began = performance.now();
let busy = false;

function prepare() {
  began = performance.now();
  busy = false;
  const form = document.getElementById("pair");
  if (!form) return;
  form.elements.id.value = newId();
  drafts(form);
}

function answer(form, submitter) {
  if (busy) return;
  busy = true;
  const undoing = form.matches("#undo"); // not form.id: that is the field named "id"
  if (!undoing) form.elements.seconds.value = ((performance.now() - began) / 1000).toFixed(3);
  const told = undoing ? "Taken back." : `${TOLD[submitter.value]}: kept.`;
  for (const button of document.querySelectorAll("#judging button")) button.setAttribute("aria-disabled", "true");
  send(form, submitter, (taken, part) => {
    if (taken) say(`${told} ${part?.querySelector("#count")?.textContent ?? ""}`);
    for (const button of document.querySelectorAll("#judging button")) button.removeAttribute("aria-disabled");
    prepare();
    focus();
  });
}

// Keep the keyboard focus on the answers.
function focus() {
  if (document.activeElement && document.activeElement !== document.body) return;
  (document.querySelector(".answers button") ?? document.querySelector("#done a") ?? document.getElementById("main")).focus({ preventScroll: true });
}

document.addEventListener("submit", (event) => {
  const form = event.target;
  if (!form.matches("#pair, #undo")) return;
  event.preventDefault();
  if (form.matches("#pair") && !event.submitter?.value) return;
  answer(form, event.submitter);
});

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.altKey || event.metaKey || event.isComposing) return;
  const words = document.getElementById("words");
  if (event.key === "Escape" && document.activeElement === words) {
    words.blur();
    document.querySelector(".answers button")?.focus();
    return;
  }
  if (!keysOn?.checked || event.repeat) return;
  if (event.target.closest("textarea, select, input:not([type=checkbox])")) return;
  const form = document.getElementById("pair");
  const chosen = ANSWERS[event.key];
  if (chosen && form) {
    event.preventDefault();
    form.requestSubmit(form.querySelector(`button[value="${chosen}"]`));
  } else if (event.key === "u" && document.getElementById("undo")) {
    event.preventDefault();
    document.getElementById("undo").requestSubmit();
  } else if (event.key === "w" && words) {
    event.preventDefault();
    words.focus();
  } else if (event.key === "r") {
    group("duel").restart();
  } else if (event.key === " " && !event.target.closest("button, a, input")) {
    event.preventDefault();
    const own = group("duel");
    if (own.playing) own.pause();
    else own.play();
  }
});

const keysOn = document.getElementById("keys-on");
if (keysOn) keysOn.checked = localStorage.getItem(KEYS) !== "off";
keysOn?.addEventListener("change", () => localStorage.setItem(KEYS, keysOn.checked ? "on" : "off"));

prepare();
flush();
