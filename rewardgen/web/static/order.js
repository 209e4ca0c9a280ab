// Sort a list by dragging (mouse, pen or finger), by keys on a handle, or by buttons.

import { drafts, flush, newId, say, send } from "./outbox.js";

let began = performance.now();

const list = () => document.querySelector("ol.order");
const rows = () => [...list().children];

function prepare() {
  began = performance.now();
  const form = document.getElementById("ordering");
  form.elements.id.value = newId();
  drafts(form);
}

// Update the form and the labels of the handles after the list has changed.
function number() {
  const all = rows();
  document.getElementById("ordering").elements.candidates.value = all.map((row) => row.dataset.candidate).join(",");
  all.forEach((row, place) => {
    row.querySelector(".handle").setAttribute("aria-label", `${row.dataset.letter}, place ${place + 1} of ${all.length}`);
  });
}

function move(row, place) {
  const all = rows();
  const to = Math.min(Math.max(place, 0), all.length - 1);
  const from = all.indexOf(row);
  if (to === from) return;
  // moveBefore, where supported, does not restart the replay in the row
  const before = all[to > from ? to + 1 : to] ?? null;
  if (list().moveBefore) list().moveBefore(row, before);
  else list().insertBefore(row, before);
  number();
  say(`${row.dataset.letter} is now ${to + 1} of ${all.length}.`);
}

document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-move]");
  if (!button) return;
  const row = button.closest("li");
  move(row, rows().indexOf(row) + Number(button.dataset.move));
  button.focus();
});

document.addEventListener("keydown", (event) => {
  const handle = event.target.closest(".handle");
  if (!handle || event.ctrlKey || event.altKey || event.metaKey) return;
  const row = handle.closest("li");
  const place = rows().indexOf(row);
  const to = { ArrowUp: place - 1, ArrowDown: place + 1, Home: 0, End: Infinity }[event.key];
  if (to === undefined) return;
  event.preventDefault();
  move(row, to);
  handle.focus();
});

document.addEventListener("pointerdown", (event) => {
  const handle = event.target.closest(".handle");
  if (!handle || event.button !== 0) return;
  const row = handle.closest("li");
  handle.setPointerCapture(event.pointerId);
  row.classList.add("dragged");
  const follow = (moved) => {
    const others = rows().filter((other) => other !== row);
    const above = others.filter((other) => {
      const box = other.getBoundingClientRect();
      return moved.clientY > box.top + box.height / 2;
    });
    if (rows().indexOf(row) !== above.length) {
      move(row, above.length);
      if (handle.isConnected && !handle.hasPointerCapture(event.pointerId)) handle.setPointerCapture(event.pointerId);
    }
  };
  const drop = () => {
    row.classList.remove("dragged");
    handle.removeEventListener("pointermove", follow);
    handle.removeEventListener("pointerup", drop);
    handle.removeEventListener("pointercancel", drop);
  };
  handle.addEventListener("pointermove", follow);
  handle.addEventListener("pointerup", drop);
  handle.addEventListener("pointercancel", drop);
});

document.addEventListener("submit", (event) => {
  const form = event.target;
  if (!form.matches("#ordering")) return;
  event.preventDefault();
  form.elements.seconds.value = ((performance.now() - began) / 1000).toFixed(3);
  send(form, event.submitter, (taken) => {
    if (!taken) return;
    prepare();
    say("Kept.");
    document.querySelector("#ordering button[type=submit]").focus();
  });
});

prepare();
flush();
