// Send a remark on one replay.

import { drafts, flush, newId, say, send } from "./outbox.js";

function prepare() {
  const form = document.querySelector("#remarks form");
  if (!form) return;
  form.elements.id.value = newId();
  drafts(form);
}

document.addEventListener("submit", (event) => {
  const form = event.target;
  if (!form.closest("#remarks")) return;
  event.preventDefault();
  send(form, event.submitter, (taken) => {
    if (!taken) return;
    prepare();
    say("Kept.");
    document.querySelector("#remarks textarea")?.focus();
  });
});

prepare();
flush();
